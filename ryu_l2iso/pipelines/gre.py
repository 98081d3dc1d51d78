"""GRE isolation: what a switch holds so that a packet carries its network's key and stays in it.

How to add a table: declare it below with a number after the tables that send packets to it, name
what it matches and where it may go, give its flows a reason, build them in a function named after
what they match, and add it to docs/pipeline-gre.rst (a test compares the two).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from ryu_l2iso.pipelines.flow import (
    MULTICAST,
    Flow,
    Group,
    Match,
    Piece,
    SetTunnelId,
    flood,
    outputs,
    remembered,
)
from ryu_l2iso.pipelines.subjects import SubjectPipeline
from ryu_l2iso.pipelines.table import Pipeline, Table
from ryu_l2iso.pipelines.waiting import Rank, waiting_pieces
from ryu_l2iso.state.ports import PortId, TunnelPort, VMPort, is_complete
from ryu_l2iso.state.subjects import PeerSubject

# Packets pass the tables in this order.  Numbers stand here and nowhere else.

SOURCE = Table(
    number=0,
    name="source",
    purpose="Decide which network a packet is of, by the port it came in by; drop spoofed ones.",
    matches=frozenset(
        {"in_port", "eth_src", "tunnel_id", "eth_type", "ip_proto", "icmpv6_type"},
    ),
    goto=frozenset({"tunnel_out", "local_out"}),
    miss="drop: the port is no VM's and no tunnel's, or not all is known of it yet",
)
TUNNEL_OUT = Table(
    number=1,
    name="tunnel_out",
    purpose="Send a packet of a local VM to the other switches where its destination is.",
    matches=frozenset({"tunnel_id", "eth_dst"}),
    goto=frozenset({"local_out"}),
    miss="drop: no network has the key",
)
LOCAL_OUT = Table(
    number=2,
    name="local_out",
    purpose="Deliver a packet to the VMs of its network on this switch.",
    matches=frozenset({"tunnel_id", "eth_dst"}),
    goto=frozenset(),
    miss="drop: no network has the key",
)


class Reason(enum.IntEnum):
    """Why a flow is there; the low bits of its cookie."""

    MISS = 0
    FROM_VM = 1
    SPOOFED_SOURCE = 2
    FROM_TUNNEL = 3
    UNKNOWN_KEY = 4
    TO_REMOTE_MAC = 5
    TO_REMOTE_MULTICAST = 6
    NOT_REMOTE = 7
    TO_LOCAL_MAC = 8
    TO_LOCAL_MULTICAST = 9
    UNKNOWN_DESTINATION = 10
    ANNOUNCEMENT = 11
    WAITING = 12


PIPELINE = Pipeline(1, Reason, [SOURCE, TUNNEL_OUT, LOCAL_OUT])

EXACT, WIDE, MISS = 20, 10, 0
"""Priorities: one MAC or one key; all the rest of a port or a network; all the rest."""


def tunnel_group_id(key: int) -> int:
    """Return the id of the group of the tunnels to all other switches with the network."""
    return 2 * key


def local_group_id(key: int) -> int:
    """Return the id of the group of the network's VM ports on the switch."""
    return 2 * key + 1


class GrePipeline(SubjectPipeline):
    """The desired flows and groups of any switch, cut into subjects."""

    kinds = (*SubjectPipeline.kinds, PeerSubject)

    def _switch_pieces(self, dpid: int) -> Sequence[Piece]:
        return _miss_flows()

    def _port_pieces(self, dpid: int, port_no: int) -> Sequence[Piece]:
        port_id = PortId(dpid, port_no)
        port = self._state.ports.get(port_id)
        if isinstance(port, TunnelPort):
            return [_from_tunnel_unknown_key_flow(port)]
        if isinstance(port, VMPort) and is_complete(port, key_required=True):
            if self._state.topology.is_active(port_id):
                return _from_vm_flows(port)
            return _from_waiting_port(port)
        return []

    def _network_pieces(self, dpid: int, network_id: str) -> Sequence[Flow | Group]:
        key, topology = self._key(dpid, network_id), self._state.topology
        if key is None:
            return []
        return [
            *_tunnel_flood(key, topology.tunnels(dpid, topology.members(network_id))),
            _not_remote_flow(key),
            *_local_flood(key, topology.active_members(network_id, dpid)),
            _unknown_destination_flow(key),
        ]

    def _peer_pieces(self, dpid: int, network_id: str, remote_dpid: int) -> Sequence[Flow]:
        key, topology = self._key(dpid, network_id), self._state.topology
        if key is None or remote_dpid not in topology.members(network_id):
            return []
        ports = topology.tunnels_to(dpid, remote_dpid)
        return [_from_tunnel_flow(port_no, key) for port_no in ports]

    def _mac_pieces(self, dpid: int, network_id: str, mac: str) -> Sequence[Flow]:
        tunnels, local = self._state.topology.ways(dpid, network_id, mac)
        key = self._state.networks.key_in_force(network_id)
        if key is None:
            return []
        flows = []
        if tunnels:
            to_remote = _to_remote_mac_flow(key, mac, bool(local))
            flows.append(to_remote.doing(outputs(tunnels)))
        if local:
            flows.append(_to_local_mac_flow(key, mac, local))
        return flows

    def _key(self, dpid: int, network_id: str) -> int | None:
        """Return the key that a network has in force; None on a switch without the network."""
        if dpid not in self._state.topology.members(network_id):
            return None
        return self._state.networks.key_in_force(network_id)


def _miss_flows() -> list[Flow]:
    return [PIPELINE.flow(t, MISS, Match(), Reason.MISS) for t in PIPELINE.tables]


def _from_vm_flows(port: VMPort) -> list[Flow]:
    assert port.key is not None
    own = Match(in_port=port.port_no, eth_src=port.mac)
    any_source = Match(in_port=port.port_no)
    to_network = [SetTunnelId(port.key)]
    return [
        PIPELINE.flow(SOURCE, EXACT, own, Reason.FROM_VM, to_network, TUNNEL_OUT),
        PIPELINE.flow(SOURCE, WIDE, any_source, Reason.SPOOFED_SOURCE),
    ]


def _from_waiting_port(port: VMPort) -> list[Piece]:
    announces, rest = Rank(EXACT, Reason.ANNOUNCEMENT), Rank(WIDE, Reason.WAITING)
    return waiting_pieces(PIPELINE, SOURCE, port, announces, rest)


def _from_tunnel_unknown_key_flow(port: TunnelPort) -> Flow:
    return PIPELINE.flow(SOURCE, WIDE, Match(in_port=port.port_no), Reason.UNKNOWN_KEY)


@remembered
def _from_tunnel_flow(port_no: int, key: int) -> Flow:
    match = Match(in_port=port_no, tunnel_id=key)
    return PIPELINE.flow(SOURCE, EXACT, match, Reason.FROM_TUNNEL, goto=LOCAL_OUT)


def _tunnel_flood(key: int, tunnels: Sequence[int]) -> list[Flow | Group]:
    if not tunnels:
        return []
    group, actions = flood(tunnel_group_id(key), tunnels)
    match = Match(tunnel_id=key, eth_dst=MULTICAST)
    reason = Reason.TO_REMOTE_MULTICAST
    return [group, PIPELINE.flow(TUNNEL_OUT, EXACT, match, reason, actions, LOCAL_OUT)]


@remembered
def _to_remote_mac_flow(key: int, mac: str, also_local: bool) -> Flow:
    """Return what is the same on all switches; each adds its own tunnels."""
    match, goto = Match(tunnel_id=key, eth_dst=mac), LOCAL_OUT if also_local else None
    return PIPELINE.flow(TUNNEL_OUT, EXACT, match, Reason.TO_REMOTE_MAC, goto=goto)


def _not_remote_flow(key: int) -> Flow:
    return PIPELINE.flow(TUNNEL_OUT, WIDE, Match(tunnel_id=key), Reason.NOT_REMOTE, goto=LOCAL_OUT)


def _to_local_mac_flow(key: int, mac: str, ports: Sequence[int]) -> Flow:
    match = Match(tunnel_id=key, eth_dst=mac)
    return PIPELINE.flow(LOCAL_OUT, EXACT, match, Reason.TO_LOCAL_MAC, outputs(ports))


def _local_flood(key: int, ports: Sequence[int]) -> list[Flow | Group]:
    if not ports:
        return []
    group, actions = flood(local_group_id(key), ports)
    match = Match(tunnel_id=key, eth_dst=MULTICAST)
    return [group, PIPELINE.flow(LOCAL_OUT, EXACT, match, Reason.TO_LOCAL_MULTICAST, actions)]


def _unknown_destination_flow(key: int) -> Flow:
    return PIPELINE.flow(LOCAL_OUT, WIDE, Match(tunnel_id=key), Reason.UNKNOWN_DESTINATION)
