"""Walks packets through the desired flows of several switches, as Open vSwitch would."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ryu_l2iso.openflow.parties import Source
from ryu_l2iso.pipelines import gre, mac, vlan
from ryu_l2iso.pipelines.flow import Flow, Group, Match, Output, SetTunnelId, ToController, ToGroup
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.state.ports import ExternalPort, PortId, TunnelPort
from ryu_l2iso.state.state import State

PIPELINES = [gre.PIPELINE, vlan.PIPELINE, mac.PIPELINE]


class Packet(NamedTuple):
    """An Ethernet frame, as far as flows look at it."""

    eth_src: str
    eth_dst: str
    eth_type: int = 0x0800
    ip_proto: int | None = None
    icmpv6_type: int | None = None


def _mac_matches(wanted: str, mac: str) -> bool:
    value, _, mask = (text.replace(":", "") for text in wanted.partition("/"))
    bits = int(mask or "f" * 12, 16)
    return int(mac.replace(":", ""), 16) & bits == int(value, 16) & bits


class Registers(NamedTuple):
    """What a packet carries along through the tables of a switch."""

    tunnel_id: int = 0
    metadata: int = 0


def _matches(match: Match, in_port: int, registers: Registers, packet: Packet) -> bool:
    return (
        match.in_port in (None, in_port)
        and match.tunnel_id in (None, registers.tunnel_id)
        and match.metadata in (None, registers.metadata)
        and (match.eth_src is None or _mac_matches(match.eth_src, packet.eth_src))
        and (match.eth_dst is None or _mac_matches(match.eth_dst, packet.eth_dst))
        and match.eth_type in (None, packet.eth_type)
        and match.ip_proto in (None, packet.ip_proto)
        and match.icmpv6_type in (None, packet.icmpv6_type)
    )


class Evaluator:
    """The flows of every switch, and what becomes of a packet that a VM sends.

    ``drops`` counts the reasons of the flows at which packets ended without any output;
    ``packet_ins`` counts the ports whose packets went to the controller.  External ports are
    joined by one flat network, if ``flat``; otherwise packets arrive at them.
    """

    def __init__(self, state: State, pipeline: Source | None = None, flat: bool = True) -> None:
        self._state = state
        self._flat = flat
        self._flows: dict[int, list[Flow]] = {}
        self._groups: dict[int, dict[int, Group]] = {}
        self.drops: Counter[str] = Counter()
        self.packet_ins: Counter[PortId] = Counter()
        self.pipeline = pipeline or GrePipeline(state)
        for dpid in state.ports.dpids():
            parts = [
                part
                for subject in self.pipeline.subjects(dpid)
                for part in self.pipeline.desired(dpid, subject)
            ]
            self._flows[dpid] = [part for part in parts if isinstance(part, Flow)]
            self._groups[dpid] = {p.group_id: p for p in parts if isinstance(p, Group)}

    def flows(self, dpid: int) -> list[str]:
        """Return the flow dump of a switch, sorted."""
        return sorted(str(flow) for flow in self._flows[dpid])

    def groups(self, dpid: int) -> list[str]:
        """Return the group dump of a switch, sorted."""
        return sorted(str(group) for group in self._groups[dpid].values())

    def send(self, sender: PortId, packet: Packet) -> Counter[PortId]:
        """Return how often a packet that comes in by a port arrives at each VM port."""
        arrived: Counter[PortId] = Counter()
        self._enter(sender, 0, packet, arrived, hops=0)
        return arrived

    def send_by_tunnel(self, port_id: PortId, key: int, packet: Packet) -> Counter[PortId]:
        """Return the same for a packet that comes in by a tunnel port with a key."""
        arrived: Counter[PortId] = Counter()
        self._enter(port_id, key, packet, arrived, hops=0)
        return arrived

    def _enter(
        self, at: PortId, tunnel_id: int, packet: Packet, arrived: Counter[PortId], hops: int
    ) -> None:
        assert hops < 3, f"{packet} runs in a circle"
        table: int | None = 0
        registers = Registers(tunnel_id)
        outputs = []
        while table is not None:
            flow = self._lookup(at, table, registers, packet)
            for action in flow.actions:
                if isinstance(action, SetTunnelId):
                    registers = registers._replace(tunnel_id=action.tunnel_id)
                elif isinstance(action, Output):
                    outputs.append(action.port_no)
                elif isinstance(action, ToGroup):
                    outputs.extend(self._groups[at.dpid][action.group_id].ports)
                elif isinstance(action, ToController):
                    self.packet_ins[at] += 1
            if flow.metadata is not None:
                registers = registers._replace(metadata=flow.metadata)
            table = flow.goto
        if not outputs and ToController() not in flow.actions:
            self.drops[self.pipeline_reason(flow)] += 1
        for port_no in outputs:
            if port_no != at.port_no:
                port_id = PortId(at.dpid, port_no)
                self._leave(port_id, registers.tunnel_id, packet, arrived, hops)

    def _leave(
        self, port_id: PortId, tunnel_id: int, packet: Packet, arrived: Counter[PortId], hops: int
    ) -> None:
        port = self._state.ports.get(port_id)
        if isinstance(port, ExternalPort) and self._flat:
            for other in self._external_ports():
                if other != port_id:
                    self._enter(other, 0, packet, arrived, hops + 1)
            return
        if not isinstance(port, TunnelPort):
            arrived[port_id] += 1
            return
        for port_no in self._state.topology.tunnels_to(port.remote_dpid, port.dpid):
            at = PortId(port.remote_dpid, port_no)
            self._enter(at, tunnel_id, packet, arrived, hops + 1)

    def _external_ports(self) -> list[PortId]:
        found = (p for dpid in self._state.ports.dpids() for p in self._state.ports.on(dpid))
        return [port.id for port in found if isinstance(port, ExternalPort)]

    def _lookup(self, at: PortId, table: int, registers: Registers, packet: Packet) -> Flow:
        found = [
            flow
            for flow in self._flows[at.dpid]
            if flow.table == table and _matches(flow.match, at.port_no, registers, packet)
        ]
        best = max(flow.priority for flow in found)
        chosen = [flow for flow in found if flow.priority == best]
        assert len(chosen) == 1, f"ambiguous: {[str(flow) for flow in chosen]}"
        return chosen[0]

    @staticmethod
    def pipeline_reason(flow: Flow) -> str:
        """Return the name of the reason of a flow."""
        (pipeline,) = (p for p in PIPELINES if flow.cookie & p.cookie_mask == p.cookie)
        return pipeline.reason(flow.cookie).name
