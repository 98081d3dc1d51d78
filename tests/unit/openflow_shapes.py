"""Flows, groups and meters of every shape, and what the framework makes of them."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from ryu_l2iso import framework
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.flow_entry import pack_flow
from ryu_l2iso.pipelines.flow import (
    ARP,
    ICMPV6,
    IPV6,
    MULTICAST,
    NORMAL,
    UNTAGGED,
    Action,
    Flow,
    Group,
    Match,
    Meter,
    Output,
    PopVlan,
    PushVlan,
    SetTunnelId,
    SetVlan,
    ToController,
    ToGroup,
)

OFP = framework.ofproto_v1_4
PARSER = framework.ofproto_v1_4_parser
COOKIE = 0x4C32_0001_0000_0002
MAC = "00:16:3e:00:00:01"


class _Datapath:
    ofproto = OFP
    ofproto_parser = PARSER


DATAPATH = _Datapath()

macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@st.composite
def masked_macs(draw: st.DrawFn) -> str:
    """A MAC with a mask that is not all ones, and no bit of the MAC outside of the mask."""
    mask = draw(st.binary(min_size=6, max_size=6))
    value = bytes(a & b for a, b in zip(draw(st.binary(min_size=6, max_size=6)), mask))
    return f"{value.hex(':')}/{mask.hex(':')}"


def numbers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


matches = st.builds(
    Match,
    tunnel_id=st.none() | numbers(64),
    metadata=st.none() | numbers(64),
    in_port=st.none() | numbers(32),
    eth_src=st.none() | macs,
    eth_dst=st.none() | macs | masked_macs() | st.just(MULTICAST),
    eth_type=st.none() | st.sampled_from([ARP, IPV6]),
    vlan_vid=st.none() | numbers(12) | st.just(UNTAGGED),
    ip_proto=st.none() | st.just(ICMPV6),
    icmpv6_type=st.none() | numbers(8),
)
port_numbers = st.integers(0, 0xFFFFFF00) | st.just(NORMAL)
actions = st.one_of(
    numbers(64).map(SetTunnelId),
    port_numbers.map(Output),
    numbers(16).map(ToController),
    numbers(32).map(ToGroup),
    numbers(12).map(SetVlan),
    st.sampled_from([PushVlan(), PopVlan()]),
)
flows = st.builds(
    Flow,
    table=st.integers(0, 254),
    priority=numbers(16),
    match=matches,
    actions=st.lists(actions, max_size=5).map(tuple),
    goto=st.none() | st.integers(0, 254),
    cookie=numbers(64),
    meter=st.none() | numbers(32),
    metadata=st.none() | numbers(64),
)
groups = st.builds(Group, numbers(32), st.lists(port_numbers, max_size=5).map(tuple))
meters = st.builds(Meter, numbers(32), numbers(32), numbers(32))


def framework_bytes(message: Any, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def framework_match(match: Match) -> Any:
    fields = {name: value for name, value in match._asdict().items() if value is not None}
    eth_dst = fields.get("eth_dst", "")
    if "/" in eth_dst:
        fields["eth_dst"] = tuple(eth_dst.split("/"))
    if match.vlan_vid is not None:
        tag = match.vlan_vid | OFP.OFPVID_PRESENT
        fields["vlan_vid"] = OFP.OFPVID_NONE if match.vlan_vid == UNTAGGED else tag
    return PARSER.OFPMatch(**fields)


def framework_action(action: Action) -> Any:
    if isinstance(action, Output):
        return PARSER.OFPActionOutput(action.port_no, 0)
    if isinstance(action, ToGroup):
        return PARSER.OFPActionGroup(action.group_id)
    if isinstance(action, ToController):
        return PARSER.OFPActionOutput(OFP.OFPP_CONTROLLER, action.length)
    if isinstance(action, PushVlan):
        return PARSER.OFPActionPushVlan(0x8100)
    if isinstance(action, PopVlan):
        return PARSER.OFPActionPopVlan()
    if isinstance(action, SetVlan):
        return PARSER.OFPActionSetField(vlan_vid=action.vlan | OFP.OFPVID_PRESENT)
    return PARSER.OFPActionSetField(tunnel_id=action.tunnel_id)


def framework_instructions(flow: Flow) -> list[Any]:
    found: list[Any] = []
    if flow.meter is not None:
        found.append(PARSER.OFPInstructionMeter(flow.meter))
    if flow.actions:
        does = [framework_action(action) for action in flow.actions]
        found.append(PARSER.OFPInstructionActions(OFP.OFPIT_APPLY_ACTIONS, does))
    if flow.metadata is not None:
        found.append(PARSER.OFPInstructionWriteMetadata(flow.metadata, 2**64 - 1))
    if flow.goto is not None:
        found.append(PARSER.OFPInstructionGotoTable(flow.goto))
    return found


def framework_flow_mod(flow: Flow, command: int, instructions: list[Any]) -> Any:
    return PARSER.OFPFlowMod(
        DATAPATH,
        cookie=flow.cookie,
        table_id=flow.table,
        command=command,
        priority=flow.priority,
        buffer_id=OFP.OFP_NO_BUFFER,
        out_port=OFP.OFPP_ANY,
        out_group=OFP.OFPG_ANY,
        match=framework_match(flow.match),
        instructions=instructions,
    )


def framework_group_mod(group: Group, command: int) -> Any:
    buckets = [
        PARSER.OFPBucket(
            watch_port=OFP.OFPP_ANY,
            watch_group=OFP.OFPG_ANY,
            actions=[PARSER.OFPActionOutput(port, 0)],
        )
        for port in group.ports
    ]
    return PARSER.OFPGroupMod(DATAPATH, command, OFP.OFPGT_ALL, group.group_id, buckets)


def framework_meter_mod(meter: Meter, command: int, bands: bool = True) -> Any:
    flags = OFP.OFPMF_PKTPS | OFP.OFPMF_BURST
    drop = PARSER.OFPMeterBandDrop(meter.rate, meter.burst)
    return PARSER.OFPMeterMod(DATAPATH, command, flags, meter.meter_id, [drop] if bands else [])


def by_number(flow_mod: bytes) -> bytes:
    """Return a flow-mod with the fields of its match in the order of their numbers.

    That is how the framework sorts them; ours are in the order in which Open vSwitch has them.
    """
    length = struct.unpack_from("!H", flow_mod, 50)[0]
    oxm, end = flow_mod[52 : 48 + length], 48 + length
    fields = []
    while oxm:
        size = 4 + oxm[3]
        fields.append(oxm[:size])
        oxm = oxm[size:]
    return flow_mod[:52] + b"".join(sorted(fields)) + flow_mod[end:]


ANY = Match()


def flow(match: Match = ANY, does: tuple[Action, ...] = (), goto: int | None = None) -> Flow:
    return Flow(1, 100, match, does, goto, COOKIE)


SHAPES = [
    flow(),
    flow(goto=2),
    flow(Match(in_port=7)),
    flow(Match(in_port=7, eth_src=MAC), (SetTunnelId(0xABCDEF),), 1),
    flow(Match(in_port=7, tunnel_id=5), (), 2),
    flow(Match(tunnel_id=5, eth_dst=MAC), (Output(3),), 2),
    flow(Match(tunnel_id=5, eth_dst=MAC), (Output(3), Output(4))),
    flow(Match(tunnel_id=5, eth_dst=MULTICAST), (ToGroup(9),), 2),
    flow(Match(tunnel_id=5, metadata=6, in_port=7, eth_src=MAC, eth_dst=MULTICAST)),
    flow(Match(metadata=6, in_port=7, eth_src=MAC), (), 2),
    flow(Match(metadata=6, eth_dst=MAC), (Output(3), ToGroup(9))),
    flow(Match(in_port=7))._replace(metadata=6, goto=2),
    flow(Match(metadata=6, in_port=7), (ToController(64),))._replace(meter=7),
    flow(Match(in_port=7, vlan_vid=5), (Output(NORMAL),)),
    flow(Match(in_port=7, vlan_vid=UNTAGGED), (PushVlan(), SetVlan(5), Output(3))),
    flow(Match(in_port=7, vlan_vid=5), (PopVlan(), Output(3))),
    flow(Match(in_port=7, eth_type=ARP)),
    flow(Match(in_port=7, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=136)),
]


def reply(kind: int, entries: bytes, more: bool = False) -> bytes:
    """Return a multipart reply as a switch sends it."""
    return struct.pack("!BBHIHH4x", 5, 19, 16 + len(entries), 1, kind, more) + entries


def flow_stats(of: Flow, tail: bytes | None = None, hard: int = 0) -> bytes:
    """Return ``ofp_flow_stats``; ``tail`` stands for match and instructions."""
    if tail is None:
        tail = wire.pack_flow_add(pack_flow(of), 0)[48:]
    head = struct.pack("!HBxIIHHHHH2x", 48 + len(tail), of.table, 1, 2, of.priority, 0, hard, 0, 0)
    return head + struct.pack("!QQQ", of.cookie, 3, 4) + tail


def group_stats(group: Group) -> bytes:
    buckets = wire.pack_group_add(group, 0)[16:]
    return struct.pack("!HBxI", 8 + len(buckets), 0, group.group_id) + buckets


def meter_stats(meter: Meter, flags: int = 6, kind: int = 1, length: int = 16) -> bytes:
    band = struct.pack("!HHII", kind, length, meter.rate, meter.burst).ljust(length, b"\0")
    return struct.pack("!HHI", 8 + length, flags, meter.meter_id) + band
