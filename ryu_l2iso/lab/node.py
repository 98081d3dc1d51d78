"""A compute node: a namespace with an Open vSwitch of its own, on the physical network."""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

from ryu_l2iso.lab.netns import Namespace, PhysicalNetwork
from ryu_l2iso.lab.processes import Process
from ryu_l2iso.lab.shell import run, wait_until

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
INTEGRATION_BRIDGE = "br-int"
PHYSICAL_BRIDGE = "br-phy"


class Tunnel(NamedTuple):
    """A tunnel interface as OVSDB has it; the addresses are IP addresses."""

    port: str
    kind: str
    local: str
    remote: str


class Node:
    """A compute node; ``address`` is its IPv4 address on the physical network, a /24.

    ``br-phy`` holds the node's ``eth0`` and its address, and carries the tunnels of ``br-int``,
    where the VMs are plugged in.  Both are of OVS's userspace datapath: no kernel module.
    """

    def __init__(self, name: str, namespace: Namespace, directory: Path, address: str) -> None:
        self.name = name
        self.namespace = namespace
        self.directory = directory
        self.address = address
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

    def add(self, physical: PhysicalNetwork) -> None:
        """Create namespace, cable and database, and start both daemons; no bridge yet."""
        self.namespace.add(ipv6=False)
        physical.connect(self.namespace, self.name)
        self.directory.mkdir()
        run(["ovsdb-tool", "create", str(self.directory / "conf.db"), str(SCHEMA)])
        self.start_ovsdb_server()
        self.vsctl("--no-wait", "init")
        self.vswitchd.start()

    def remove(self) -> None:
        """Stop the daemons, and remove the namespace and the database."""
        self.vswitchd.stop()
        self.ovsdb_server.stop()
        self.namespace.remove()
        shutil.rmtree(self.directory, ignore_errors=True)

    def add_bridges(self) -> None:
        """Create br-phy with the node's address, and br-int."""
        arguments = []
        for bridge in (PHYSICAL_BRIDGE, INTEGRATION_BRIDGE):
            arguments += ["--", "add-br", bridge]
            arguments += ["--", "set", "bridge", bridge, "datapath_type=netdev"]
        self.vsctl(*arguments[1:], "--", "add-port", PHYSICAL_BRIDGE, "eth0")
        self._set_address()

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

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd again, wait until it has made its bridges, restore the address."""
        self.vswitchd.start()
        wait_until(
            lambda: self.vswitchd.check() and PHYSICAL_BRIDGE in self.namespace.ip("link show"),
            15,
            f"{self.vswitchd.name} to make {PHYSICAL_BRIDGE}",
        )
        self._set_address()

    def _set_address(self) -> None:
        self.namespace.ip(
            f"addr replace {self.address}/24 dev {PHYSICAL_BRIDGE}",
            f"link set {PHYSICAL_BRIDGE} up",
        )

    def dpid(self) -> str:
        """Return br-int's datapath id, 16 hex digits."""
        return self.vsctl("get", "bridge", INTEGRATION_BRIDGE, "datapath_id").strip().strip('"')

    def programmed(self) -> bool:
        """Whether br-int holds flows of a controller: those of OVS itself have no cookie."""
        flows = self.ofctl("dump-flows", INTEGRATION_BRIDGE)
        return re.search(r"cookie=0x[1-9a-f]", flows) is not None

    def connected(self) -> bool:
        """Whether br-int is connected to its controller, as told by OVS some seconds late."""
        found = self.vsctl("--bare", "--columns=is_connected", "find", "Controller")
        return "true" in found.split()

    def tunnels(self) -> list[Tunnel]:
        """Return the tunnel interfaces that exist, by name."""
        table = json.loads(
            self.vsctl("--format=json", "--columns=name,type,options", "list", "Interface")
        )
        tunnels = []
        for name, kind, (_, pairs) in table["data"]:
            options = dict(pairs)
            if "remote_ip" in options:
                local = options.get("local_ip", "")
                tunnels.append(Tunnel(name, kind, local, options["remote_ip"]))
        return sorted(tunnels)

    def vsctl(self, *argv: str) -> str:
        """Run ovs-vsctl(8) on the node's OVS; raises LabError."""
        return run(["ovs-vsctl", "--timeout=15", *argv], env=self.env)

    def ofctl(self, *argv: str, stdin: str = "") -> str:
        """Run ovs-ofctl(8), OpenFlow 1.4, on the node's OVS; raises LabError."""
        return run(["ovs-ofctl", "-O", "OpenFlow14", *argv], env=self.env, stdin=stdin)

    def appctl(self, *argv: str) -> str:
        """Run ovs-appctl(8) on the node's ovs-vswitchd; raises LabError."""
        return run(["ovs-appctl", *argv], env=self.env)
