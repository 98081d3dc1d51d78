"""MAC isolation: what a switch holds so that a packet's source MAC decides which network it is of.

How to add a table: declare it below with a number after the tables that send packets to it, name
what it matches and where it may go, give its flows a reason, build them in a function named after
what they match, and add it to docs/pipeline-mac.rst (a test compares the two).
"""

from __future__ import annotations

import enum
import functools
import hashlib
from collections.abc import Sequence

from ryu_l2iso.pipelines.flow import (
    MULTICAST,
    Action,
    Flow,
    Group,
    Match,
    Meter,
    Piece,
    ToController,
    ToGroup,
    outputs,
    remembered,
)
from ryu_l2iso.pipelines.subjects import SubjectPipeline
from ryu_l2iso.pipelines.table import Pipeline, Table
from ryu_l2iso.pipelines.waiting import Rank, waiting_pieces
from ryu_l2iso.state.ports import ExternalPort, PortId, VMPort
from ryu_l2iso.state.state import State

# Packets pass the tables in this order.  Numbers stand here and nowhere else.

CLASSIFY = Table(
    number=0,
    name="classify",
    purpose="Note where a packet came from: the network of its VM port, or outside.",
    matches=frozenset({"in_port", "eth_src", "eth_type", "ip_proto", "icmpv6_type"}),
    goto=frozenset({"source"}),
    miss="drop: the port is no VM's and no external one, or not all is known of it yet",
)
SOURCE = Table(
    number=1,
    name="source",
    purpose="Let through what its sender may send; note the network of what came from outside.",
    matches=frozenset({"metadata", "in_port", "eth_src"}),
    goto=frozenset({"destination"}),
    miss="drop: no packet comes here without a flow that looks at it",
)
DESTINATION = Table(
    number=2,
    name="destination",
    purpose="Deliver a packet within its network: to VMs of this switch, and to the outside.",
    matches=frozenset({"metadata", "eth_dst"}),
    goto=frozenset(),
    miss="drop: the network has no VM on this switch",
)


class Reason(enum.IntEnum):
    """Why a flow is there; the low bits of its cookie."""

    MISS = 0
    VM_PORT = 1
    EXTERNAL_PORT = 2
    ANNOUNCEMENT = 3
    WAITING = 4
    FROM_VM = 5
    FROM_OUTSIDE = 6
    UNKNOWN_VM_SOURCE = 7
    UNKNOWN_OUTSIDE_SOURCE = 8
    TO_MAC = 9
    TO_MULTICAST = 10
    UNKNOWN_DESTINATION = 11


PIPELINE = Pipeline(3, Reason, [CLASSIFY, SOURCE, DESTINATION])

_LEARNED_FROM = PIPELINE.cookie | Reason.UNKNOWN_VM_SOURCE

EXACT, WIDE, MISS = 20, 10, 0
"""Priorities: one MAC; all the rest of a port or a network; all the rest."""

OUTSIDE = 1 << 63
"""The metadata of a packet from outside whose network is not known yet."""

EXTERNAL_GROUP = 1
"""Id of the group of all external ports of a switch."""


@functools.lru_cache(maxsize=4096)
def network_metadata(network_id: str) -> int:
    """Return the metadata of a network: 63 bits of a hash, so that it needs no memory.

    Two of a million networks are alike with a probability of 1 to 18 million.
    """
    digest = hashlib.sha256(network_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def is_learned_from(cookie: int) -> bool:
    """Tell whether a flow with this cookie sends packets to the controller to learn from."""
    return cookie == _LEARNED_FROM


class MacPipeline(SubjectPipeline):
    """The desired flows, groups and meters of any switch, cut into subjects."""

    def __init__(self, state: State, packet_in_rate: int) -> None:
        """Take ``packet_in_rate`` as the packets a second that a port may send to learn from."""
        super().__init__(state)
        self._packet_in_rate = packet_in_rate

    def _switch_pieces(self, dpid: int) -> Sequence[Piece]:
        ports = [p.port_no for p in self._state.ports.on(dpid) if isinstance(p, ExternalPort)]
        return [
            Group(EXTERNAL_GROUP, tuple(ports)),
            *(PIPELINE.flow(table, MISS, Match(), Reason.MISS) for table in PIPELINE.tables),
            PIPELINE.flow(SOURCE, WIDE, Match(metadata=OUTSIDE), Reason.UNKNOWN_OUTSIDE_SOURCE),
        ]

    def _port_pieces(self, dpid: int, port_no: int) -> Sequence[Piece]:
        port_id = PortId(dpid, port_no)
        port = self._state.ports.get(port_id)
        if isinstance(port, ExternalPort):
            return [_external_port_flow(port)]
        topology = self._state.topology
        if not isinstance(port, VMPort) or not topology.has_vm_port(port_id):
            return []
        if not topology.is_active(port_id):
            announces, rest = Rank(EXACT, Reason.ANNOUNCEMENT), Rank(WIDE, Reason.WAITING)
            return waiting_pieces(PIPELINE, CLASSIFY, port, announces, rest)
        return self._vm_port_pieces(port)

    def _vm_port_pieces(self, port: VMPort) -> Sequence[Piece]:
        metadata = network_metadata(port.network_id or "")
        learning_max = self._state.macs.learning_max
        if not learning_max:
            return [_vm_port_flow(port, metadata), _unknown_vm_source_flow(port, metadata)]
        meter = Meter(port.port_no, self._packet_in_rate, max(self._packet_in_rate, learning_max))
        return [
            meter,
            _vm_port_flow(port, metadata),
            _unknown_vm_source_flow(port, metadata, [ToController()], meter.meter_id),
        ]

    def _network_pieces(self, dpid: int, network_id: str) -> Sequence[Flow]:
        topology = self._state.topology
        if dpid not in topology.members(network_id):
            return []
        metadata = network_metadata(network_id)
        return [
            _to_multicast_flow(metadata, topology.active_members(network_id, dpid)),
            _unknown_destination_flow(metadata),
        ]

    def _mac_pieces(self, dpid: int, network_id: str, mac: str) -> Sequence[Flow]:
        topology = self._state.topology
        if dpid not in topology.members(network_id):
            return []
        metadata = network_metadata(network_id)
        local: list[int] = []
        is_elsewhere = False
        for port_id in topology.locations(network_id, mac):
            if port_id.dpid != dpid:
                is_elsewhere = True
            elif topology.is_active(port_id):
                local.append(port_id.port_no)
        local.sort()
        flows = [_from_vm_flow(metadata, port_no, mac) for port_no in local]
        if is_elsewhere:
            flows.append(_from_outside_flow(metadata, mac))
            flows.append(_to_mac_flow(metadata, mac, tuple(local), to_outside=True))
        elif local:
            flows.append(_to_mac_flow(metadata, mac, tuple(local), to_outside=False))
        return flows


def _vm_port_flow(port: VMPort, metadata: int) -> Flow:
    match = Match(in_port=port.port_no)
    return PIPELINE.flow(CLASSIFY, WIDE, match, Reason.VM_PORT, goto=SOURCE, metadata=metadata)


def _external_port_flow(port: ExternalPort) -> Flow:
    match, reason = Match(in_port=port.port_no), Reason.EXTERNAL_PORT
    return PIPELINE.flow(CLASSIFY, WIDE, match, reason, goto=SOURCE, metadata=OUTSIDE)


def _from_vm_flow(metadata: int, port_no: int, mac: str) -> Flow:
    match = Match(metadata=metadata, in_port=port_no, eth_src=mac)
    return PIPELINE.flow(SOURCE, EXACT, match, Reason.FROM_VM, goto=DESTINATION)


def _unknown_vm_source_flow(
    port: VMPort, metadata: int, actions: Sequence[Action] = (), meter: int | None = None
) -> Flow:
    match = Match(metadata=metadata, in_port=port.port_no)
    return PIPELINE.flow(SOURCE, WIDE, match, Reason.UNKNOWN_VM_SOURCE, actions, meter=meter)


@remembered
def _from_outside_flow(metadata: int, mac: str) -> Flow:
    match, reason = Match(metadata=OUTSIDE, eth_src=mac), Reason.FROM_OUTSIDE
    return PIPELINE.flow(SOURCE, EXACT, match, reason, goto=DESTINATION, metadata=metadata)


@remembered
def _to_mac_flow(metadata: int, mac: str, ports: tuple[int, ...], to_outside: bool) -> Flow:
    match = Match(metadata=metadata, eth_dst=mac)
    actions: list[Action] = [*outputs(ports)]
    if to_outside:
        actions.append(ToGroup(EXTERNAL_GROUP))
    return PIPELINE.flow(DESTINATION, EXACT, match, Reason.TO_MAC, actions)


def _to_multicast_flow(metadata: int, ports: Sequence[int]) -> Flow:
    match = Match(metadata=metadata, eth_dst=MULTICAST)
    actions: list[Action] = [*outputs(ports), ToGroup(EXTERNAL_GROUP)]
    return PIPELINE.flow(DESTINATION, EXACT, match, Reason.TO_MULTICAST, actions)


def _unknown_destination_flow(metadata: int) -> Flow:
    match = Match(metadata=metadata)
    return PIPELINE.flow(DESTINATION, WIDE, match, Reason.UNKNOWN_DESTINATION)
