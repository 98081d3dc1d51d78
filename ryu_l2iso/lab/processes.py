"""Programs that run while the lab does: each with its log, and ended by its own id."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.shell import LabError


class Process:
    """A program that can be started, stopped and killed again and again."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process; raises LabError when it was never started."""
        if self._popen is None:
            raise LabError(f"{self.name} was not started")
        return self._popen.pid

    def start(self) -> None:
        """Start the program; what it prints goes to the end of its log."""
        if self.running:
            raise LabError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            # In a session of its own, so that Ctrl-C ends the lab and the lab ends the program.
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    def check(self) -> bool:
        """Return True while the program runs; raises LabError with its last words when not."""
        if not self.running:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            raise LabError(f"{self.name} ended: {lines[-1] if lines else 'it said nothing'}")
        return True

    def stop(self, deadline: float = 5.0) -> None:
        """End the program by SIGTERM, and by SIGKILL when ``deadline`` seconds have passed."""
        if self._popen is None:
            return
        self.terminate()
        try:
            self._popen.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()

    def terminate(self) -> None:
        """Send SIGTERM and do not wait; nothing happens when the program does not run."""
        if self._popen is not None:
            self._popen.terminate()

    def kill(self) -> None:
        """End the program by SIGKILL."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()


def python_process(
    name: str, namespace: Namespace, directory: Path, arguments: Sequence[str]
) -> Process:
    """Return a module of the suite to be run in a namespace; its log is in ``directory``."""
    # The lab runs the very package that it is part of, installed or not.
    package_parent = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH"))))
    argv = namespace.command(sys.executable, "-m", *arguments)
    return Process(name, argv, directory / f"{name}.log", {"PYTHONPATH": path})


def controller_options(directory: Path) -> Path:
    """Return the file with the controller's options, to be written before it is started."""
    return directory / "controller.conf"


def controller_process(
    namespace: Namespace,
    directory: Path,
    isolation: str,
    address: str,
    rest_port: int,
    openflow_port: int,
) -> Process:
    """Return the controller, to be started, listening on ``address`` in ``namespace``."""
    arguments: list[str] = ["ryu_l2iso.manager", "--isolation", isolation]
    arguments += ["--config-file", str(controller_options(directory))]
    arguments += ["--wsapi-host", address, "--wsapi-port", str(rest_port)]
    arguments += ["--ofp-listen-host", address]
    for kind in ("tcp", "ssl"):
        arguments += [f"--ofp-{kind}-listen-port", str(openflow_port)]
    return python_process("controller", namespace, directory, arguments)


def agent_process(
    name: str,
    namespace: Namespace,
    directory: Path,
    url: str,
    database: str,
    tunnel_ip: str,
    options: Sequence[str],
) -> Process:
    """Return a compute node's agent, to be started; ``database`` is an OVSDB remote."""
    # Not the options of an agent that is installed on this machine.
    arguments = ["ryu_l2iso.agent", "--config-file", os.devnull]
    arguments += ["--bridge", "br-int", "--controller-url", url]
    arguments += ["--ovsdb-connection", database, "--tunnel-ip", tunnel_ip]
    return python_process(name, namespace, directory, [*arguments, *options])
