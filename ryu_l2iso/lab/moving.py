"""Moving a VM from node to node, step by step as libvirt does.

The guest is one and the same before and after: its namespace, with its eth0, sockets and
neighbour caches.  What changes is the cable by which its eth0 leads into a node::

    eth0 ── nic ── bridge ─┬─ to-node1 ── tap on node1
    (the guest)            └─ to-node2 ── tap on node2

A guest that is copied but does not run yet is a cable that is plugged into the node's br-int and
that is not in the bridge.
"""

from __future__ import annotations

import threading
import time

from ryu_l2iso.lab.frames import arp_request, reverse_arp
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.station import packet_socket
from ryu_l2iso.lab.vm import VM

ANNOUNCEMENT_PAUSES = (0.0, 0.05, 0.15, 0.25, 0.35)
"""Seconds before each announcement, by QEMU's defaults of announce-initial, -step and -rounds."""


class MovableVM:
    """A VM that can run at any node into which it has a cable; ``vm.node`` is where it runs."""

    BRIDGE = "br0"

    def __init__(self, vm: VM) -> None:
        self.vm = vm
        self._announcing: threading.Thread | None = None

    def add(self) -> None:
        """Give a VM that is not plugged its eth0 anew, with a cable into its node."""
        namespace = self.vm.namespace
        namespace.ip("link del eth0")
        self.vm.add_eth0("nic")
        namespace.ip(f"link add name {self.BRIDGE} type bridge mcast_snooping 0")
        for port in (self.BRIDGE, "nic"):
            self._silence(port)
        namespace.ip(f"link set nic master {self.BRIDGE} up", f"link set {self.BRIDGE} up")
        self.connect(self.vm.node)
        namespace.ip(f"link set {self.cable(self.vm.node)} master {self.BRIDGE}")

    @staticmethod
    def cable(node: Node) -> str:
        """Return what the cable into a node is called in the VM's namespace."""
        return f"to-{node.name}"

    def connect(self, node: Node) -> None:
        """Lay a cable into a node; the guest does not use it."""
        name, tap, namespace = self.cable(node), self.vm.tap, self.vm.namespace
        namespace.ip(
            f"link add {name} mtu {self.vm.isolation.mtu}"
            f" type veth peer name {tap} netns {node.namespace.name}"
        )
        self._silence(name)
        namespace.ip(f"link set {name} up")
        node.namespace.ip(f"link set {tap} up")

    def disconnect(self, node: Node) -> None:
        """Take the cable into a node away."""
        self.vm.namespace.ip(f"link del {self.cable(node)}")

    # -- the steps of a migration ------------------------------------------------------------

    def prepare(self, destination: Node) -> None:
        """Have the interface at the destination as well, while the guest runs at its source."""
        self.connect(destination)
        self.vm.plug_into(destination)

    def switch_over(self, destination: Node) -> float:
        """Pause the guest at its node and resume it at the destination; it is not announced.

        Returns the seconds that it was paused, at most: the time that the command took.
        """
        source, self.vm.node = self.vm.node, destination
        start = time.monotonic()
        self.vm.namespace.ip(
            f"link set {self.cable(source)} nomaster",
            f"link set {self.cable(destination)} master {self.BRIDGE}",
        )
        return time.monotonic() - start

    def announce(self) -> None:
        """Begin to announce the guest where it runs, again and again as QEMU does."""
        self._announcing = threading.Thread(target=self._announce)
        self._announcing.start()

    def leave(self, node: Node) -> None:
        """Take the interface away at a node where the guest does not run."""
        self.vm.unplug_from(node)
        self.disconnect(node)

    def wait_announced(self) -> None:
        """Wait until the last announcement was sent."""
        if self._announcing is not None:
            self._announcing.join()

    def _announce(self) -> None:
        """Send what QEMU sends for a guest, and in VLAN mode what the guest itself does."""
        address = self.vm.address
        frames = [reverse_arp(address.mac)]
        if self.vm.isolation.name == "vlan":
            frames.append(arp_request(address.mac, address.ipv4, address.ipv4))
        with packet_socket(self.vm.namespace, "eth0") as opened:
            for pause in ANNOUNCEMENT_PAUSES:
                time.sleep(pause)
                for frame in frames:
                    opened.send(frame)

    def send_from(self, node: Node, *frames: bytes) -> None:
        """Send frames at a node, also where the guest does not run."""
        with packet_socket(self.vm.namespace, self.cable(node)) as opened:
            for frame in frames:
                opened.send(frame)

    # -- helpers -----------------------------------------------------------------------------

    def _silence(self, port: str) -> None:
        """Keep the guest's IP stack from answering by a port that is none of the guest's."""
        self.vm.namespace.sysctl(f"net/ipv6/conf/{port}/disable_ipv6", 1)
        self.vm.namespace.ip(f"link set {port} arp off")
