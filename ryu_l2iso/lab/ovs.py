"""An Open vSwitch of its own in a network namespace: two daemons, a database, the tools."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.processes import Process
from ryu_l2iso.lab.shell import run, wait_until

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")

TLS_OPTIONS = (
    "--private-key=db:Open_vSwitch,SSL,private_key",
    "--certificate=db:Open_vSwitch,SSL,certificate",
    "--ca-cert=db:Open_vSwitch,SSL,ca_cert",
)
"""What ovsdb-server takes its TLS files from, as Debian and Red Hat start it."""


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd in a namespace; their files are in ``directory``.

    Bridges have to be of OVS's userspace datapath, ``netdev``: it needs no kernel module.
    """

    def __init__(self, name: str, namespace: Namespace, directory: Path) -> None:
        self.name = name
        self.namespace = namespace
        self.directory = directory
        self.database = f"unix:{directory}/db.sock"
        # ovs-vswitchd(8), ovs-vsctl(8): where each of them looks instead of /var and /etc.
        self.env: dict[str, str] = {
            "OVS_RUNDIR": str(directory),
            "OVS_LOGDIR": str(directory),
            "OVS_DBDIR": str(directory),
            "OVS_SYSCONFDIR": str(directory),
        }
        self.ovsdb_server = self._ovsdb_server()
        self.vswitchd = self._vswitchd()

    def _ovsdb_server(self) -> Process:
        argv = self.namespace.command(
            "ovsdb-server",
            str(self.directory / "conf.db"),
            f"--remote=p{self.database}",
            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
            *TLS_OPTIONS,
            "--pidfile",
            "--verbose=console:info",
        )
        log = self.directory.parent / f"{self.name}-ovsdb-server.log"
        return Process(f"{self.name}'s ovsdb-server", argv, log, self.env)

    def _vswitchd(self) -> Process:
        argv = self.namespace.command(
            "ovs-vswitchd",
            self.database,
            "--disable-system",
            "--pidfile",
            "--verbose=console:info",
        )
        log = self.directory.parent / f"{self.name}-ovs-vswitchd.log"
        return Process(f"{self.name}'s ovs-vswitchd", argv, log, self.env)

    def start_daemons(self) -> None:
        """Create the database and start both daemons; no bridge yet."""
        self.directory.mkdir(exist_ok=True)
        database = self.directory / "conf.db"
        database.unlink(missing_ok=True)
        run(["ovsdb-tool", "create", str(database), str(SCHEMA)])
        self.start_ovsdb_server()
        self.vsctl("--no-wait", "init")
        self.vswitchd.start()

    def stop_daemons(self) -> None:
        """Stop the daemons and remove the database."""
        self.vswitchd.stop()
        self.ovsdb_server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start_ovsdb_server(self) -> None:
        """Start ovsdb-server and wait until it answers."""
        self.ovsdb_server.start()
        wait_until(
            lambda: self.ovsdb_server.check() and self._database_answers(),
            10,
            f"{self.ovsdb_server.name} to listen",
            0.005,
        )

    def _database_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(self.database.partition(":")[2])
            except OSError:
                return False
            return True

    def vsctl(self, *argv: str) -> str:
        """Run ovs-vsctl(8) on this OVS; raises LabError."""
        return run(["ovs-vsctl", "--timeout=15", *argv], env=self.env)

    def ofctl(self, *argv: str, stdin: str = "") -> str:
        """Run ovs-ofctl(8), OpenFlow 1.4, on this OVS; raises LabError."""
        return run(["ovs-ofctl", "-O", "OpenFlow14", *argv], env=self.env, stdin=stdin)

    def appctl(self, *argv: str) -> str:
        """Run ovs-appctl(8) on this ovs-vswitchd; raises LabError."""
        return run(["ovs-appctl", *argv], env=self.env)
