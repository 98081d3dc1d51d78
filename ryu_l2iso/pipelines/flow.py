"""Flows, groups and meters as values.

A flow is compared, hashed and printed; nothing in it knows a socket.  ``str(flow)`` is what
``ovs-ofctl -O OpenFlow14 --no-stats dump-flows`` prints, so that a test reads like a flow dump.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Union

remembered = functools.lru_cache(maxsize=1 << 16)
"""Decorates what gives values that are the same on many switches: each is made once."""

MULTICAST = "01:00:00:00:00:00/01:00:00:00:00:00"
"""Matches every multicast address, broadcast included (ovs-fields(7), "Ethernet Destination")."""

NORMAL = 0xFFFFFFFA
"""As the port of `Output`: OVS's learning switch decides where the packet goes (OFPP_NORMAL)."""

CONTROLLER = 0xFFFFFFFD
"""OFPP_CONTROLLER; `ToController` is the way to it."""

ARP, RARP, IPV6 = 0x0806, 0x8035, 0x86DD
ICMPV6 = 58
"""Values of ``eth_type`` and ``ip_proto``."""

VLAN_PRESENT = 0x1000
"""OFPVID_PRESENT: the packet has a tag; on the wire a bit of ``vlan_vid`` (7.2.3.7)."""

UNTAGGED = -1
"""As the ``vlan_vid`` of a `Match`: the packet has no tag (OFPVID_NONE)."""

_PROTOCOLS: dict[tuple[int, int | None], str] = {
    (ARP, None): "arp",
    (RARP, None): "rarp",
    (IPV6, None): "ipv6",
    (IPV6, ICMPV6): "icmp6",
}

DEFAULT_PRIORITY = 0x8000
"""The priority that ``ovs-ofctl`` does not print; it leaves out table 0 as well."""


class Match(NamedTuple):
    """What a packet must carry; ``None`` matches anything.

    MACs are ``xx:xx:xx:xx:xx:xx`` in lower case; ``eth_dst`` may be ``value/mask``.
    ``vlan_vid`` is that of the packet's tag, or `UNTAGGED`.  ``ip_proto`` needs an ``eth_type`` and
    ``icmpv6_type`` an ``ip_proto`` (OpenFlow 1.4, 7.2.3.6, prerequisites).
    The fields stand in the order in which ``ovs-ofctl`` prints them.
    """

    tunnel_id: int | None = None
    metadata: int | None = None
    in_port: int | None = None
    vlan_vid: int | None = None
    eth_src: str | None = None
    eth_dst: str | None = None
    eth_type: int | None = None
    ip_proto: int | None = None
    icmpv6_type: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.eth_type is not None:
            parts.append(_PROTOCOLS[self.eth_type, self.ip_proto])
        if self.tunnel_id is not None:
            parts.append(f"tun_id=0x{self.tunnel_id:x}")
        if self.metadata is not None:
            parts.append(f"metadata=0x{self.metadata:x}")
        if self.in_port is not None:
            parts.append(f"in_port={self.in_port}")
        if self.vlan_vid == UNTAGGED:
            parts.append("vlan_tci=0x0000/0x1fff")
        elif self.vlan_vid is not None:
            parts.append(f"dl_vlan={self.vlan_vid}")
        if self.eth_src is not None:
            parts.append(f"dl_src={self.eth_src}")
        if self.eth_dst is not None:
            parts.append(f"dl_dst={self.eth_dst}")
        if self.icmpv6_type is not None:
            parts.append(f"icmp_type={self.icmpv6_type}")
        return ",".join(parts)

    def fields(self) -> frozenset[str]:
        """Return the names of the fields that are matched."""
        return frozenset(n for n, v in zip(self._fields, self) if v is not None)


# Actions are tuples, which are quick to make, hash and compare; by ``kind`` those of two kinds
# differ though their numbers are the same.


class SetTunnelId(NamedTuple):
    """Set the tunnel key that the packet leaves with."""

    tunnel_id: int
    kind: str = "set_field"

    def __str__(self) -> str:
        return f"set_field:0x{self.tunnel_id:x}->tun_id"


class Output(NamedTuple):
    """Send the packet out of a port; OVS never sends it back where it came in."""

    port_no: int
    kind: str = "output"

    def __str__(self) -> str:
        return "NORMAL" if self.port_no == NORMAL else f"output:{self.port_no}"


_output = remembered(Output)


def outputs(ports: Iterable[int]) -> tuple[Output, ...]:
    """Return the actions that send a packet out of each of these ports."""
    return tuple(map(_output, ports))


class ToController(NamedTuple):
    """Send the first ``length`` bytes of the packet to the controller, as a packet-in."""

    length: int = 128
    kind: str = "controller"

    def __str__(self) -> str:
        return f"CONTROLLER:{self.length}"


class ToGroup(NamedTuple):
    """Hand the packet to a group."""

    group_id: int
    kind: str = "group"

    def __str__(self) -> str:
        return f"group:{self.group_id}"


class PushVlan(NamedTuple):
    """Give the packet a tag (IEEE 802.1Q)."""

    kind: str = "push_vlan"

    def __str__(self) -> str:
        return "push_vlan:0x8100"


class SetVlan(NamedTuple):
    """Set the VLAN ID of the packet's tag."""

    vlan: int
    kind: str = "set_vlan"

    def __str__(self) -> str:
        return f"set_field:{self.vlan | VLAN_PRESENT}->vlan_vid"


class PopVlan(NamedTuple):
    """Take the packet's tag away."""

    kind: str = "pop_vlan"

    def __str__(self) -> str:
        return "pop_vlan"


Action = Union[SetTunnelId, Output, ToController, ToGroup, PushVlan, SetVlan, PopVlan]


class Flow(NamedTuple):
    """One flow: what a packet must carry, and what is done with it.

    It passes through ``meter``, which may drop it; ``actions`` are applied; ``metadata`` is
    written; it goes to table ``goto``: in this order, and ``None`` leaves a step out.
    """

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    goto: int | None
    cookie: int
    meter: int | None = None
    metadata: int | None = None

    def doing(self, actions: tuple[Action, ...]) -> Flow:
        """Return the same flow with these actions."""
        table, priority, match, _, goto, cookie, meter, metadata = self
        return Flow(table, priority, match, actions, goto, cookie, meter, metadata)

    def __str__(self) -> str:
        table = "" if self.table == 0 else f"table={self.table}, "
        match = [] if self.priority == DEFAULT_PRIORITY else [f"priority={self.priority}"]
        if self.match.fields():
            match.append(str(self.match))
        actions = [] if self.meter is None else [f"meter:{self.meter}"]
        actions += [str(a) for a in self.actions]
        if self.metadata is not None:
            actions.append(f"write_metadata:0x{self.metadata:x}")
        if self.goto is not None:
            actions.append(f"goto_table:{self.goto}")
        head = f"cookie=0x{self.cookie:x}, {table}{','.join(match)}".rstrip()
        return f"{head} actions={','.join(actions) or 'drop'}"


MOST_PORTS = 2046
"""Ports of one group: as many as fit, in a bundle, into the 64 KiB of a message."""


class Group(NamedTuple):
    """A group of type *all*: every port of ``ports`` (sorted) gets a copy of the packet."""

    group_id: int
    ports: tuple[int, ...]

    def __str__(self) -> str:
        buckets = "".join(f",bucket=actions=output:{p}" for p in self.ports)
        return f"group_id={self.group_id},type=all{buckets}"


def flood(group_id: int, ports: Sequence[int]) -> tuple[Group, list[Action]]:
    """Return a group of all ports, and the actions that send a packet to it.

    Ports beyond `MOST_PORTS` get theirs by actions of their own.
    """
    group = Group(group_id, tuple(ports[:MOST_PORTS]))
    return group, [ToGroup(group_id), *map(Output, ports[MOST_PORTS:])]


class Meter(NamedTuple):
    """A meter that drops what comes faster than ``rate`` packets a second.

    ``burst`` packets may come at once after a pause.
    """

    meter_id: int
    rate: int
    burst: int

    def __str__(self) -> str:
        band = f"type=drop rate={self.rate} burst_size={self.burst}"
        return f"meter={self.meter_id} pktps burst bands={band}"


Piece = Union[Flow, Group, Meter]
"""One of the things that a switch should hold."""
