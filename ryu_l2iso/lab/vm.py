"""A VM: a namespace whose eth0 is a veth into a compute node."""

from __future__ import annotations

import time
import uuid
from typing import NamedTuple

from ryu_l2iso.lab.isolations import Isolation
from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node

DEAD_VLAN = 4095
"""A port with this tag gets no packet of any VLAN: 4095 is nobody's VLAN ID (IEEE 802.1Q)."""

RETRANSMIT_MS = 20
"""How soon a VM asks again who has an address; at Linux's second the first ping tells nothing."""

SOLICITATIONS = 50
"""How often it asks before it gives up: for a second; a busy machine may take 60 ms to answer."""

WAITING_BYTES = 8192
"""What a VM keeps for an address that it asks for: nine pings, where Linux would keep some 250.

Linux has one socket per CPU for the answers to the pings of all namespaces.  Some 160 answers that
wait for a VM that is cut off fill it, and then no VM of the lab answers anybody.
"""


class TenantNetwork(NamedTuple):
    """A tenant's network; ``key`` is its GRE key or VLAN ID."""

    name: str
    network_id: str
    key: int


class Address(NamedTuple):
    """What a VM is reached by; ``ipv4`` is of a /24, ``ipv6`` of a /64."""

    mac: str
    ipv4: str
    ipv6: str


class VM:
    """A VM on a node, the ``number``-th of its network, from 1.

    ``plugged_at`` is ``time.monotonic()`` just before it was plugged, ``None`` while it is not.
    """

    def __init__(
        self,
        name: str,
        number: int,
        namespace: Namespace,
        node: Node,
        network: TenantNetwork,
        address: Address,
        isolation: Isolation,
    ) -> None:
        self.name = name
        self.number = number
        self.namespace = namespace
        self.node = node
        self.network = network
        self.address = address
        self.isolation = isolation
        self.iface_id = str(uuid.uuid4())
        self.tap = f"tap-{name}"
        self.plugged_at: float | None = None

    def add(self) -> None:
        """Create the namespace and the veth into the node; it is not in a bridge yet."""
        self.namespace.add(ipv6=True)
        # No duplicate address detection and no router: the addresses are usable at once.
        self.namespace.sysctl("net/ipv6/conf/default/accept_dad", 0)
        self.namespace.sysctl("net/ipv6/conf/default/accept_ra", 0)
        self.add_eth0(f"{self.tap} netns {self.node.namespace.name}")
        self.node.namespace.ip(f"link set {self.tap} up")

    def add_eth0(self, peer: str) -> None:
        """Create eth0, up and with the VM's addresses; ``peer`` is the other end, for ip(8)."""
        self.namespace.ip(
            f"link add eth0 address {self.address.mac} mtu {self.isolation.mtu}"
            f" type veth peer name {peer}",
            f"addr add {self.address.ipv4}/24 dev eth0",
            f"addr add {self.address.ipv6}/64 dev eth0 nodad",
            "link set eth0 up",
        )
        # A checksum left for the hardware is never filled in: OVS takes the packet raw.
        self.namespace.run("ethtool", "-K", "eth0", "tx", "off")
        for family in ("ipv4", "ipv6"):
            neighbours = f"net/{family}/neigh/eth0"
            self.namespace.sysctl(f"{neighbours}/retrans_time_ms", RETRANSMIT_MS)
            self.namespace.sysctl(f"{neighbours}/ucast_solicit", SOLICITATIONS)
            self.namespace.sysctl(f"{neighbours}/mcast_solicit", SOLICITATIONS)
            self.namespace.sysctl(f"{neighbours}/unres_qlen_bytes", WAITING_BYTES)

    def remove(self) -> None:
        """Remove the namespace, and with it both ends of the veth."""
        self.namespace.remove()

    def plug(self, ofport: int | None = None) -> None:
        """Put the VM's port into its node's br-int; ``ofport`` as for `plug_into`."""
        self.plugged_at = time.monotonic()
        self.plug_into(self.node, ofport)

    def plug_into(self, node: Node, ofport: int | None = None) -> None:
        """Put the VM's port into a br-int as Nova does; returns when ovs-vswitchd has done so.

        With ``ofport`` it gets that number, if no port has it; OVS by itself gives one that nobody
        had for long.

        OVS makes a port without a tag a trunk of all VLANs; the dead VLAN's tag, in the same
        transaction, keeps it from getting any packet until the controller has set its own.
        """
        tag = [f"tag={DEAD_VLAN}"] if self.isolation.dead_tag else []
        number = [] if ofport is None else [f"ofport_request={ofport}"]
        node.vsctl(
            "add-port",
            INTEGRATION_BRIDGE,
            self.tap,
            *tag,
            "--",
            "set",
            "Interface",
            self.tap,
            f"external_ids:iface-id={self.iface_id}",
            f'external_ids:attached-mac="{self.address.mac}"',
            *number,
        )

    def unplug(self) -> None:
        """Take the VM's port out of its node's br-int; nothing happens when it is not in it."""
        self.unplug_from(self.node)
        self.plugged_at = None

    def unplug_from(self, node: Node) -> None:
        """Take the VM's port out of a br-int; nothing happens when it is not in it."""
        node.vsctl("--if-exists", "del-port", INTEGRATION_BRIDGE, self.tap)

    @property
    def plugged(self) -> bool:
        """Whether the VM's port was put into br-int."""
        return self.plugged_at is not None

    def ofport(self) -> int:
        """Return the OpenFlow port number of the plugged VM; raises LabError."""
        return int(self.node.vsctl("get", "Interface", self.tap, "ofport"))
