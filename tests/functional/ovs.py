"""A private Open vSwitch: one ovsdb-server and one ovs-vswitchd with the dummy datapath.

It needs no root, no kernel module and nothing of the machine's own Open vSwitch: all its files
stand in one temporary directory, and only the processes started here are ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DEADLINE = 60.0
"""Seconds that a daemon or a command may take, also on a machine that has much else to do."""


def wait_until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Poll until ``condition()`` is true; raise TimeoutError naming ``what`` it waited for."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline} s for {what}")
        time.sleep(0.01)


class OVS:
    """One private Open vSwitch; use it as a context manager.

    ``rundir`` holds sockets, database and logs; ``db_sock`` is the OVSDB server's Unix socket,
    ``db_address`` the same as ``unix:PATH``.
    """

    def __init__(self) -> None:
        self.rundir = Path(tempfile.mkdtemp(prefix="l2iso-ovs-"))
        self.db_sock = self.rundir / "db.sock"
        self.db_address = f"unix:{self.db_sock}"
        self.env: dict[str, str] = dict(os.environ)
        for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"):
            self.env[name] = str(self.rundir)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> OVS:
        try:
            self._run("ovsdb-tool", "create", str(self.rundir / "conf.db"), SCHEMA)
            self.start_ovsdb()
            self.vsctl("--no-wait", "init")
            self.start_vswitchd()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both daemons and remove every file."""
        self.kill_vswitchd()
        self.kill_ovsdb()
        shutil.rmtree(self.rundir, ignore_errors=True)

    def start_ovsdb(self) -> None:
        """Start ovsdb-server and wait until it answers."""
        self._start(
            "ovsdb-server",
            str(self.rundir / "conf.db"),
            f"--remote=punix:{self.db_sock}",
            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
            "--private-key=db:Open_vSwitch,SSL,private_key",
            "--certificate=db:Open_vSwitch,SSL,certificate",
            "--ca-cert=db:Open_vSwitch,SSL,ca_cert",
        )

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd and wait until it has configured itself from the database."""
        self._start("ovs-vswitchd", self.db_address, "--enable-dummy=system", "--disable-system")
        self.vsctl("get", "Open_vSwitch", ".", "ovs_version")

    def kill_ovsdb(self) -> None:
        """Kill ovsdb-server, as a crash does; the database file stays."""
        self._kill("ovsdb-server")

    def kill_vswitchd(self) -> None:
        """Kill ovs-vswitchd, as a crash does; its flows are gone."""
        self._kill("ovs-vswitchd")

    def signal_vswitchd(self, number: signal.Signals) -> None:
        """Send ovs-vswitchd a signal."""
        self._daemons["ovs-vswitchd"].send_signal(number)

    @contextlib.contextmanager
    def stopped_ovsdb(self) -> Iterator[None]:
        """Have ovsdb-server answer nobody for a while."""
        self._daemons["ovsdb-server"].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._daemons["ovsdb-server"].send_signal(signal.SIGCONT)

    def restart_ovsdb(self) -> None:
        """Kill ovsdb-server and start it again."""
        self.kill_ovsdb()
        self.start_ovsdb()

    def restart_vswitchd(self) -> None:
        """Kill ovs-vswitchd and start it again."""
        self.kill_vswitchd()
        self.start_vswitchd()

    def add_bridge(self, name: str, dpid: int, controller: str | None = None) -> None:
        """Add a bridge in secure mode; ``controller`` is as in ``tcp:127.0.0.1:6653``."""
        args = ["add-br", name, "--", "set", "bridge", name]
        args += [f"other_config:datapath-id={dpid:016x}", "fail_mode=secure"]
        if controller is not None:
            args += ["--", "set-controller", name, controller]
        self.vsctl(*args)

    def add_port(self, bridge: str, name: str, *settings: str) -> int:
        """Add a dummy port with ``settings`` of its Interface row; return its OpenFlow number."""
        row = ("interface", name, "type=dummy", *settings)
        self.vsctl("add-port", bridge, name, "--", "set", *row)
        return int(self.vsctl("get", "interface", name, "ofport"))

    def vsctl(self, *args: str) -> str:
        """Run ovs-vsctl; it waits until ovs-vswitchd has done the change."""
        return self._run("ovs-vsctl", f"--db={self.db_address}", *args).strip()

    def ofctl(self, *args: str) -> str:
        """Run ``ovs-ofctl -O OpenFlow14``."""
        return self._run("ovs-ofctl", "-O", "OpenFlow14", *args)

    def appctl(self, *args: str) -> str:
        """Run ovs-appctl on ovs-vswitchd."""
        return self._run("ovs-appctl", "-t", str(self.rundir / "ovs-vswitchd.ctl"), *args)

    def flows(self, bridge: str) -> list[str]:
        """Return the flows of a bridge, sorted, as ``str(flow)`` prints them."""
        return sorted(self._dump("dump-flows", bridge, "--no-stats", "--no-names"))

    def groups(self, bridge: str) -> list[str]:
        """Return the groups of a bridge, sorted, as ``str(group)`` prints them."""
        return sorted(self._dump("dump-groups", bridge, "--no-names"))

    def meters(self, bridge: str) -> list[str]:
        """Return the meters of a bridge, sorted, as ``str(meter)`` prints them."""
        dump = " ".join(self._dump("dump-meters", bridge)).replace("bands= ", "bands=")
        return sorted(f"meter={text.strip()}" for text in dump.split("meter=")[1:])

    def _dump(self, command: str, bridge: str, *options: str) -> list[str]:
        lines = self.ofctl(*options, command, bridge).splitlines()
        return [line.strip() for line in lines if "_REPLY" not in line and " reply " not in line]

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
        return done.stdout.decode()

    def _start(self, name: str, *args: str) -> None:
        socket = self.rundir / f"{name}.ctl"
        options = ("-vconsole:off", f"--unixctl={socket}", f"--log-file={self.rundir / name}.log")
        daemon = subprocess.Popen((name, *options, *args), env=self.env, stdin=subprocess.DEVNULL)
        self._daemons[name] = daemon

        def answers() -> bool:
            if daemon.poll() is not None:
                raise RuntimeError(f"{name} ended with status {daemon.returncode}")
            try:
                self._run("ovs-appctl", "-t", str(socket), "version")
            except RuntimeError:
                return False
            return True

        wait_until(answers, f"{name} to answer")

    def _kill(self, name: str) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon is not None:
            daemon.kill()
            daemon.wait(DEADLINE)
        (self.rundir / f"{name}.ctl").unlink(missing_ok=True)
