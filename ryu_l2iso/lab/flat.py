"""The flat physical network of VLAN and MAC isolation: a switch that learns MACs per VLAN."""

from __future__ import annotations

from pathlib import Path

from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.node import UPLINK, Node
from ryu_l2iso.lab.ovs import OpenVSwitch


class FlatNetwork(OpenVSwitch):
    """An Open vSwitch bridge of which every port is a trunk of all VLANs.

    Not a Linux bridge: without VLAN filtering, which not every kernel has, that learns a MAC
    once for all VLANs, and two tenants with one MAC would take each other's packets.
    """

    BRIDGE = "br-flat"

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        super().__init__("flat", namespace, directory)

    def add(self) -> None:
        """Start the daemons in the namespace, which exists, and create the bridge."""
        self.start_daemons()
        # Without cached flows it learns from every packet, as a switch in hardware does.
        no_cache = ("set", "Open_vSwitch", ".", "other_config:flow-limit=0")
        netdev = ("set", "bridge", self.BRIDGE, "datapath_type=netdev")
        self.vsctl("add-br", self.BRIDGE, "--", *netdev, "--", *no_cache)

    def remove(self) -> None:
        """Stop the daemons and remove the database; the namespace stays."""
        self.stop_daemons()

    @staticmethod
    def port(node: Node) -> str:
        """Return what the end of a node's cable is called here."""
        return f"{node.name}-flat"

    def connect(self, node: Node) -> None:
        """Give a node its ``eth1``, and put the other end into the bridge."""
        port = self.port(node)
        node.namespace.ip(
            f"link add {UPLINK} type veth peer name {port} netns {self.namespace.name}",
            f"link set {UPLINK} up",
        )
        # A checksum left for the hardware is never filled in: OVS takes the packet raw.
        node.namespace.run("ethtool", "-K", UPLINK, "tx", "off")
        self.namespace.ip(f"link set {port} up")
        self.vsctl("add-port", self.BRIDGE, port)
