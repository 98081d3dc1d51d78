"""A compute node: a namespace with an Open vSwitch of its own, on the physical network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from ryu_l2iso.lab.netns import Namespace, PhysicalNetwork
from ryu_l2iso.lab.ovs import OpenVSwitch
from ryu_l2iso.lab.shell import wait_until

INTEGRATION_BRIDGE = "br-int"
PHYSICAL_BRIDGE = "br-phy"
UPLINK = "eth1"


class Tunnel(NamedTuple):
    """A tunnel interface as OVSDB has it; the addresses are IP addresses."""

    port: str
    kind: str
    local: str
    remote: str


class Node(OpenVSwitch):
    """A compute node; ``address`` is its IPv4 address on the physical network, a /24.

    ``br-phy`` holds the node's ``eth0`` and its address, and carries the tunnels of ``br-int``,
    where the VMs are plugged in.  Where the physical network is flat, ``eth1`` leads from br-int
    to it.
    """

    def __init__(self, name: str, namespace: Namespace, directory: Path, address: str) -> None:
        super().__init__(name, namespace, directory)
        self.address = address

    def add(self, physical: PhysicalNetwork) -> None:
        """Create namespace, cable and database, and start both daemons; no bridge yet."""
        self.namespace.add(ipv6=False)
        physical.connect(self.namespace, self.name)
        self.start_daemons()

    def remove(self) -> None:
        """Stop the daemons, and remove the namespace and the database."""
        self.stop_daemons()
        self.namespace.remove()

    def add_bridges(self, dpid: str = "") -> None:
        """Create br-phy with the node's address, and br-int, with a dpid if it is to have one."""
        arguments = []
        for bridge in (PHYSICAL_BRIDGE, INTEGRATION_BRIDGE):
            arguments += ["--", "add-br", bridge]
            arguments += ["--", "set", "bridge", bridge, "datapath_type=netdev"]
        arguments += ["--", "add-port", PHYSICAL_BRIDGE, "eth0"]
        if dpid:
            setting = f"other_config:datapath-id={dpid}"
            arguments += ["--", "set", "bridge", INTEGRATION_BRIDGE, setting, "fail_mode=secure"]
        self.vsctl(*arguments[1:])
        self._set_address()

    def add_uplink(self) -> None:
        """Put ``eth1``, which the flat network has made, into br-int."""
        self.vsctl("add-port", INTEGRATION_BRIDGE, UPLINK)

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

    def purge_stale_tunnel_flows(self) -> bool:
        """Have OVS forget what it caches, if it hands tunnel packets to the host; tell if it did.

        The userspace datapath of OVS 3.1 may keep such a flow for ever when packets come in from
        the other end while a tunnel port is made: nothing makes it look again.
        """
        if not self.tunnels():
            return False
        cached = self.appctl("dpctl/dump-flows").splitlines()
        stale = [line for line in cached if "proto=47" in line and "tnl_p" not in line]
        if stale:
            self.appctl("revalidator/purge")
        return bool(stale)
