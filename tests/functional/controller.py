"""A controller process: ``l2iso-manager`` or ``ryu-manager``, on ports of its own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.functional.ovs import DEADLINE, wait_until
from tests.functional.ports import free_port

ROOT = Path(__file__).parents[2]
MANAGER = (sys.executable, "-m", "ryu_l2iso.manager")


class Controller:
    """One controller process; use it as a context manager, which ends the process.

    ``command`` is the start of the command line, ``apps`` and ``options`` are its rest;
    ``connection`` is where it keeps its state, by default a file that goes with it;
    ``settings`` are options of the group ``[l2iso]``.
    """

    def __init__(
        self,
        *apps: str,
        command: tuple[str, ...] = MANAGER,
        options: tuple[str, ...] = (),
        connection: Path | str | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.openflow_port = free_port()
        self.rest_port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._directory = tempfile.TemporaryDirectory(prefix="l2iso-controller-")
        self.connection = str(connection or Path(self._directory.name, "state.db"))
        config = Path(self._directory.name, "controller.conf")
        lines = {"connection": self.connection, **(settings or {})}
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        config.write_text(f"[l2iso]\n{text}", encoding="utf-8")
        # The last option on a command line is the one that counts.
        arguments = ["--config-file", str(config), "--ofp-listen-host", "127.0.0.1"]
        arguments += ["--ofp-tcp-listen-port", str(self.openflow_port)]
        arguments += ["--wsapi-port", str(self.rest_port), *options, *apps]
        self.process = subprocess.Popen(
            (*command, *arguments),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Controller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        if error is not None:
            print(self.log())
        self._log.close()
        self._directory.cleanup()

    @property
    def target(self) -> str:
        """Return what a bridge's controller is set to."""
        return f"tcp:127.0.0.1:{self.openflow_port}"

    def log(self) -> str:
        """Return all that the process has printed."""
        # The process writes where this file object stands: to seek would have it write there.
        descriptor = self._log.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def wait_for_log(self, text: str) -> None:
        """Wait until the process has printed ``text``; raise when it ends before."""

        def printed() -> bool:
            if text in self.log():
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"ended before it printed {text!r}:\n{self.log()}")
            return False

        wait_until(printed, f"{text!r} in the log")

    def wait_until_listening(self) -> None:
        """Wait until a connection to the OpenFlow port is accepted."""

        def accepted() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended before it listened:\n{self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.openflow_port), DEADLINE).close()
            except ConnectionRefusedError:
                return False
            return True

        wait_until(accepted, "the OpenFlow port")

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; return the exit status and the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE)
        return status, time.monotonic() - start

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Send a REST request; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=DEADLINE)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()
