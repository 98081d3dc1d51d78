"""VLAN isolation: what a switch holds so that OVS's own learning switch keeps networks apart.

A VM port is an access port of its network's VLAN: the switch adds the tag to what the VM sends,
drops what the VM has tagged itself, and sends the VM packets of that VLAN only.  All that the
controller adds is when a port may send, and where a MAC is that is on two switches.  How to add a
table: see `ryu_l2iso.pipelines.gre`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ryu_l2iso.pipelines.flow import (
    NORMAL,
    UNTAGGED,
    Action,
    Flow,
    Match,
    Output,
    Piece,
    PopVlan,
    PushVlan,
    SetVlan,
)
from ryu_l2iso.pipelines.subjects import SubjectPipeline
from ryu_l2iso.pipelines.table import Pipeline, Table
from ryu_l2iso.pipelines.waiting import Rank, announcement_pieces
from ryu_l2iso.state.ports import ExternalPort, InterfaceFact, PortId, VMPort, is_complete
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import PortSubject, SwitchSubject
from ryu_l2iso.state.values import KeyRange
from ryu_l2iso.state.vlans import DEAD_VLAN

CLASSIFY = Table(
    number=0,
    name="classify",
    purpose="Let a packet in by a VM port that is in its VLAN, or by an external port.",
    matches=frozenset(
        {"in_port", "vlan_vid", "eth_src", "eth_dst", "eth_type", "ip_proto", "icmpv6_type"}
    ),
    goto=frozenset(),
    miss="drop: no VM's and no external port, or its tag is not confirmed to be its network's",
)


class Reason(enum.IntEnum):
    """Why a flow is there; the low bits of its cookie."""

    MISS = 0
    FROM_VM = 1
    FROM_EXTERNAL = 2
    DEAD_VLAN = 3
    STRANGER = 4
    TO_MOVING = 5
    ANNOUNCEMENT = 6


PIPELINE = Pipeline(2, Reason, [CLASSIFY])

KEYS = KeyRange("the VLAN ID", 1, 4094)
"""0 and 4095 name no VLAN (IEEE 802.1Q, 9.6)."""

VLAN, MAC, PORT, MISS = 30, 25, 20, 0
"""Priorities: one VLAN or kind of packet of a port; one MAC; all the rest of it; all the rest."""


class VlanPipeline(SubjectPipeline):
    """The desired flows of any switch, cut into subjects."""

    kinds: tuple[type, ...] = (SwitchSubject, PortSubject)

    def _switch_pieces(self, dpid: int) -> Sequence[Flow]:
        return [PIPELINE.flow(CLASSIFY, MISS, Match(), Reason.MISS)]

    def _port_pieces(self, dpid: int, port_no: int) -> Sequence[Piece]:
        port_id = PortId(dpid, port_no)
        port = self._state.ports.get(port_id)
        if isinstance(port, ExternalPort):
            return self._external_pieces(port)
        if isinstance(port, VMPort) and is_complete(port, key_required=True):
            return self._vm_port_pieces(port) if port.tag == port.key else []
        return []

    def _vm_port_pieces(self, port: VMPort) -> list[Piece]:
        found: list[Piece] = [_from_vm_flow(port)]
        if not self._state.topology.is_active(port.id):
            rank = Rank(VLAN, Reason.ANNOUNCEMENT)
            found += announcement_pieces(PIPELINE, CLASSIFY, port, rank, [Output(NORMAL)])
        uplinks = self._state.ports.external(port.dpid)
        # By which of several a VM is reached, OVS alone knows.
        if len(uplinks) == 1:
            found += self._moving_flows(port, uplinks[0])
        return found

    def _moving_flows(self, port: VMPort, uplink: int) -> Iterator[Flow]:
        """Yield how a port reaches VMs that move to or from its switch, and how it is reached."""
        topology, network_id = self._state.topology, port.network_id or ""
        for mac in topology.spread(network_id, port.dpid):
            locations = topology.locations(network_id, mac)
            here = self._active_here(locations, port.dpid)
            if port.id not in locations and here is not None:
                yield _to_moving_flow(port, mac, here, uplink)
            elif here == [port.port_no]:
                yield _from_outside_flow(port, uplink)

    def _active_here(self, locations: Iterable[PortId], dpid: int) -> list[int] | None:
        """Return the port of a switch where a VM is, if it is there; None where OVS has to know.

        That is so while a port waits here for a guest that has shown itself nowhere: if it comes
        while there is no controller, OVS sees it.
        """
        found = map(self._state.ports.get, locations)
        ports = [port for port in found if isinstance(port, VMPort)]
        local = [port for port in ports if port.dpid == dpid]
        if len(local) > 1 or local[0].tag != local[0].key:
            return None
        if self._state.topology.is_active(local[0].id):
            return [local[0].port_no]
        return [] if any(port.shown for port in ports) else None

    def _external_pieces(self, port: ExternalPort) -> Sequence[Flow]:
        """Return the flows of an external port, as soon as it is known which VLANs ports are in.

        A switch that has come back has them in its database, from another time perhaps.
        """
        ports = self._state.ports
        if port.name not in ports.facts(port.dpid).interfaces:
            return []
        return _from_external_flows(port, sorted(ports.vlans.cut_off(port.dpid)))


def _from_vm_flow(port: VMPort) -> Flow:
    match = Match(in_port=port.port_no)
    return PIPELINE.flow(CLASSIFY, PORT, match, Reason.FROM_VM, [Output(NORMAL)])


def _to_moving_flow(port: VMPort, mac: str, here: Sequence[int], uplink: int) -> Flow:
    assert port.key is not None
    match = Match(in_port=port.port_no, vlan_vid=UNTAGGED, eth_dst=mac)
    actions: list[Action] = [*map(Output, here), PushVlan(), SetVlan(port.key), Output(uplink)]
    return PIPELINE.flow(CLASSIFY, MAC, match, Reason.TO_MOVING, actions)


def _from_outside_flow(port: VMPort, uplink: int) -> Flow:
    match = Match(in_port=uplink, vlan_vid=port.key, eth_dst=port.mac)
    actions: list[Action] = [PopVlan(), Output(port.port_no)]
    return PIPELINE.flow(CLASSIFY, MAC, match, Reason.TO_MOVING, actions)


def _from_external_flows(port: ExternalPort, strange: Sequence[int]) -> list[Flow]:
    """Let in all VLANs but those in which a port of another network is and stays."""
    dead = Match(in_port=port.port_no, vlan_vid=DEAD_VLAN)
    every = Match(in_port=port.port_no)
    matches = [Match(in_port=port.port_no, vlan_vid=vlan) for vlan in strange]
    return [
        PIPELINE.flow(CLASSIFY, VLAN, dead, Reason.DEAD_VLAN),
        *(PIPELINE.flow(CLASSIFY, VLAN, match, Reason.STRANGER) for match in matches),
        PIPELINE.flow(CLASSIFY, PORT, every, Reason.FROM_EXTERNAL, [Output(NORMAL)]),
    ]


class DesiredTag(NamedTuple):
    """The access tag that a port should have, and what its row says now.

    ``iface_id`` is what is plugged there, and ``present`` the tag that it has, or None.
    ``stranger`` is the port of another network that has to leave the VLAN first, or None.
    """

    tag: int
    iface_id: str | None
    present: int | None
    stranger: PortId | None = None


def desired_tags(state: State, dpid: int) -> dict[str, DesiredTag]:
    """Return name → tag that a switch's VM ports should have; ports of others are left out.

    A port without network, key or MAC is in the dead VLAN, never without a tag: OVS makes that
    a trunk, which gets everybody's broadcasts.  A port that OpenFlow has not told of (yet) is
    put there as well if it has no tag, and left as it is if it has one.
    """
    facts = state.ports.facts(dpid)
    joined = {port.name: port for port in facts.of_ports.values() if facts.interface(port)}
    found = {}
    for name, row in facts.interfaces.items():
        port = state.ports.get(PortId(dpid, joined[name].port_no)) if name in joined else None
        if isinstance(port, VMPort):
            found[name] = _tag_of(state, port, row)
        elif port is None and row.iface_id is not None and (row.tag is None or name in joined):
            found[name] = DesiredTag(DEAD_VLAN, row.iface_id, row.tag)
    return found


def _tag_of(state: State, port: VMPort, row: InterfaceFact) -> DesiredTag:
    key, stranger = port.key, None
    if key is not None and port.mac is not None and row.tag != key:
        stranger = state.ports.vlans.stranger(key)
    if key is None or port.mac is None or stranger is not None:
        key = DEAD_VLAN
    return DesiredTag(key, row.iface_id, row.tag, stranger)
