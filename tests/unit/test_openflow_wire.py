"""The bytes of ``openflow.wire`` against the framework's, and back."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_l2iso import framework
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.openflow.wire import OpaqueFlow, OpaqueGroup, OpaqueMeter
from ryu_l2iso.pipelines.flow import (
    ARP,
    ICMPV6,
    IPV6,
    MULTICAST,
    NORMAL,
    Action,
    Flow,
    Group,
    Match,
    Meter,
    Output,
    SetTunnelId,
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
    vlan_vid=st.none() | numbers(12),
    ip_proto=st.none() | st.just(ICMPV6),
    icmpv6_type=st.none() | numbers(8),
)
port_numbers = st.integers(0, 0xFFFFFF00) | st.just(NORMAL)
actions = st.one_of(
    st.builds(SetTunnelId, numbers(64)),
    st.builds(Output, port_numbers),
    st.builds(ToController, numbers(16)),
    st.builds(ToGroup, numbers(32)),
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
    if "vlan_vid" in fields:
        fields["vlan_vid"] |= OFP.OFPVID_PRESENT
    return PARSER.OFPMatch(**fields)


def framework_action(action: Action) -> Any:
    if isinstance(action, Output):
        return PARSER.OFPActionOutput(action.port_no, 0)
    if isinstance(action, ToGroup):
        return PARSER.OFPActionGroup(action.group_id)
    if isinstance(action, ToController):
        return PARSER.OFPActionOutput(OFP.OFPP_CONTROLLER, action.length)
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
    flow(Match(in_port=7))._replace(metadata=6, goto=2),
    flow(Match(metadata=6, in_port=7), (ToController(64),))._replace(meter=7),
    flow(Match(in_port=7, vlan_vid=5), (Output(NORMAL),)),
    flow(Match(in_port=7, eth_type=ARP)),
    flow(Match(in_port=7, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=136)),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flow_bytes_equal_the_frameworks(shape: Flow) -> None:
    added = framework_flow_mod(shape, OFP.OFPFC_ADD, framework_instructions(shape))
    deleted = framework_flow_mod(shape, OFP.OFPFC_DELETE_STRICT, [])
    assert wire.pack_flow_add(shape, 77) == framework_bytes(added, 77)
    assert wire.pack_flow_delete_strict(shape, 78) == framework_bytes(deleted, 78)


@given(flows)
def test_any_flows_bytes_equal_the_frameworks(any_flow: Flow) -> None:
    added = framework_flow_mod(any_flow, OFP.OFPFC_ADD, framework_instructions(any_flow))
    assert wire.pack_flow_add(any_flow, 77) == framework_bytes(added, 77)


@given(groups)
def test_group_bytes_equal_the_frameworks(group: Group) -> None:
    added = framework_group_mod(group, OFP.OFPGC_ADD)
    changed = framework_group_mod(group, OFP.OFPGC_MODIFY)
    deleted = framework_group_mod(Group(group.group_id, ()), OFP.OFPGC_DELETE)
    assert wire.pack_group_add(group, 1) == framework_bytes(added, 1)
    assert wire.pack_group_modify(group, 2) == framework_bytes(changed, 2)
    assert wire.pack_group_delete(group.group_id, 3) == framework_bytes(deleted, 3)


@given(meters)
def test_meter_bytes_equal_the_frameworks(meter: Meter) -> None:
    added = framework_meter_mod(meter, OFP.OFPMC_ADD)
    changed = framework_meter_mod(meter, OFP.OFPMC_MODIFY)
    deleted = framework_meter_mod(meter, OFP.OFPMC_DELETE, bands=False)
    assert wire.pack_meter_add(meter, 1) == framework_bytes(added, 1)
    assert wire.pack_meter_modify(meter, 2) == framework_bytes(changed, 2)
    assert wire.pack_meter_delete(meter.meter_id, 3) == framework_bytes(deleted, 3)


def test_bundle_bytes_equal_the_frameworks() -> None:
    flags = OFP.OFPBF_ATOMIC | OFP.OFPBF_ORDERED
    for kind, theirs in (
        (wire.OPEN_REQUEST, OFP.OFPBCT_OPEN_REQUEST),
        (wire.COMMIT_REQUEST, OFP.OFPBCT_COMMIT_REQUEST),
    ):
        control = PARSER.OFPBundleCtrlMsg(DATAPATH, 4, theirs, flags, [])
        assert wire.pack_bundle_control(4, kind, 5) == framework_bytes(control, 5)
    inner = framework_flow_mod(SHAPES[3], OFP.OFPFC_ADD, framework_instructions(SHAPES[3]))
    add = PARSER.OFPBundleAddMsg(DATAPATH, 4, flags, inner, [])
    packed = wire.pack_bundle_add(4, wire.pack_flow_add(SHAPES[3], 6))
    assert packed == framework_bytes(add, 6)


def test_request_bytes_equal_the_frameworks() -> None:
    mask = 0xFFFF << 48
    request = PARSER.OFPFlowStatsRequest(
        DATAPATH, 0, OFP.OFPTT_ALL, OFP.OFPP_ANY, OFP.OFPG_ANY, COOKIE, mask, PARSER.OFPMatch()
    )
    assert wire.pack_flow_stats_request(COOKIE, mask, 8) == framework_bytes(request, 8)
    of_number = PARSER.OFPAggregateStatsRequest(
        DATAPATH, 0, OFP.OFPTT_ALL, OFP.OFPP_ANY, OFP.OFPG_ANY, COOKIE, mask, PARSER.OFPMatch()
    )
    assert wire.pack_aggregate_request(COOKIE, mask, 8) == framework_bytes(of_number, 8)
    of_groups = PARSER.OFPGroupDescStatsRequest(DATAPATH, 0)
    assert wire.pack_group_desc_request(9) == framework_bytes(of_groups, 9)
    of_meters = PARSER.OFPMeterConfigStatsRequest(DATAPATH, 0, OFP.OFPM_ALL)
    assert wire.pack_meter_config_request(10) == framework_bytes(of_meters, 10)
    barrier = PARSER.OFPBarrierRequest(DATAPATH)
    assert wire.pack_barrier_request(11) == framework_bytes(barrier, 11)


def reply(kind: int, entries: bytes, more: bool = False) -> bytes:
    """Return a multipart reply as a switch sends it."""
    return struct.pack("!BBHIHH4x", 5, 19, 16 + len(entries), 1, kind, more) + entries


def flow_entry(of: Flow | OpaqueFlow, tail: bytes | None = None, hard: int = 0) -> bytes:
    """Return ``ofp_flow_stats``; ``tail`` stands for match and instructions."""
    if tail is None:
        assert isinstance(of, Flow)
        tail = wire.pack_flow_add(of, 0)[48:]
    head = struct.pack("!HBxIIHHHHH2x", 48 + len(tail), of.table, 1, 2, of.priority, 0, hard, 0, 0)
    return head + struct.pack("!QQQ", of.cookie, 3, 4) + tail


def group_entry(group: Group) -> bytes:
    buckets = wire.pack_group_add(group, 0)[16:]
    return struct.pack("!HBxI", 8 + len(buckets), 0, group.group_id) + buckets


def meter_entry(meter: Meter, flags: int = 6, kind: int = 1, length: int = 16) -> bytes:
    band = struct.pack("!HHII", kind, length, meter.rate, meter.burst).ljust(length, b"\0")
    return struct.pack("!HHI", 8 + length, flags, meter.meter_id) + band


@given(st.lists(flows, max_size=4), st.booleans())
def test_flow_to_bytes_to_flow_is_the_identity(some: list[Flow], more: bool) -> None:
    buf = reply(1, b"".join(map(flow_entry, some)), more)
    assert wire.unpack_flow_stats(buf) == (some, more)


@given(st.lists(groups, max_size=4), st.booleans())
def test_group_to_bytes_to_group_is_the_identity(some: list[Group], more: bool) -> None:
    buf = reply(7, b"".join(map(group_entry, some)), more)
    assert wire.unpack_group_desc(buf) == (some, more)


@given(st.lists(meters, max_size=4), st.booleans())
def test_meter_to_bytes_to_meter_is_the_identity(some: list[Meter], more: bool) -> None:
    buf = reply(10, b"".join(map(meter_entry, some)), more)
    assert wire.unpack_meter_config(buf) == (some, more)


@given(numbers(64), numbers(64), numbers(32))
def test_aggregate_is_read_as_the_framework_reads_it(packets: int, octets: int, count: int) -> None:
    buf = reply(2, struct.pack("!QQI4x", packets, octets, count))
    theirs = PARSER.msg_parser(DATAPATH, 5, 19, len(buf), 1, buf)
    assert theirs.body.flow_count == count
    assert wire.unpack_aggregate(buf) == ([count], False)


@pytest.mark.parametrize(
    "buf", [reply(2, bytes(16)), reply(2, bytes(32)), reply(2, bytes(24), more=True), reply(1, b"")]
)
def test_broken_aggregates(buf: bytes) -> None:
    with pytest.raises(WireError):
        wire.unpack_aggregate(buf)


def test_other_meters_are_opaque() -> None:
    meter = Meter(5, 10, 20)
    no_band = struct.pack("!HHI", 8, 6, 5)
    for entry in (
        *(meter_entry(meter, flags=4), meter_entry(meter, kind=2), meter_entry(meter, length=24)),
        *(no_band, struct.pack("!H", 40) + meter_entry(meter)[2:] + meter_entry(meter)[8:]),
    ):
        assert wire.unpack_meter_config(reply(10, entry)) == ([OpaqueMeter(5)], False)


IN_PORT_7 = bytes.fromhex("0001000c80000004 00000007 00000000")
VLAN_PCP_3 = bytes.fromhex("80000e01 03")
UNTAGGED = bytes.fromhex("80000c02 0000")
METER = bytes.fromhex("0006000800000001")
CLEAR_ACTIONS = bytes.fromhex("0005000800000000")
SHORT_METADATA = bytes.fromhex("0002000800000000")
SOME_METADATA = bytes.fromhex("0002001800000000 000000000000002a 00000000000000ff")
GOTO_2 = bytes.fromhex("0001000802000000")
NORMAL = bytes.fromhex("0000001000000000fffffffa000000000000")[2:]
POP_VLAN = bytes.fromhex("0012000800000000")


def apply(packed_actions: bytes) -> bytes:
    return struct.pack("!HH4x", 4, 8 + len(packed_actions)) + packed_actions


@pytest.mark.parametrize(
    "instructions",
    [
        *(SOME_METADATA, SHORT_METADATA, CLEAR_ACTIONS),
        *(GOTO_2 + METER, GOTO_2 + GOTO_2, apply(POP_VLAN), apply(b"") + apply(b"")),
    ],
    ids=[
        *("masked metadata", "short metadata", "clear actions"),
        *("meter after goto", "two gotos", "another action", "apply twice"),
    ],
)
def test_edited_instructions_give_a_flow_that_can_be_deleted(instructions: bytes) -> None:
    ours = flow(Match(in_port=7))
    (edited,), _ = wire.unpack_flow_stats(reply(1, flow_entry(ours, IN_PORT_7 + instructions)))
    assert edited == OpaqueFlow(1, 100, Match(in_port=7), COOKIE)
    assert edited.id == ours.id
    assert wire.pack_flow_delete_strict(edited, 1) == wire.pack_flow_delete_strict(ours, 1)


def test_time_out_makes_a_flow_opaque() -> None:
    ours = flow(Match(in_port=7))
    (edited,), _ = wire.unpack_flow_stats(reply(1, flow_entry(ours, hard=10)))
    assert edited == OpaqueFlow(1, 100, Match(in_port=7), COOKIE)


@pytest.mark.parametrize(
    ("field", "fields"), [(VLAN_PCP_3, {"vlan_pcp": 3}), (UNTAGGED, {"vlan_vid": 0})]
)
def test_foreign_match_field_gives_a_flow_that_can_be_deleted(
    field: bytes, fields: dict[str, int]
) -> None:
    padding = bytes(-(4 + len(field)) % 8)
    tail = struct.pack("!HH", 1, 4 + len(field)) + field + padding + GOTO_2
    (edited,), _ = wire.unpack_flow_stats(reply(1, flow_entry(flow(), tail)))
    assert edited == OpaqueFlow(1, 100, field, COOKIE)
    deleted = framework_flow_mod(flow(), OFP.OFPFC_DELETE_STRICT, [])
    deleted.match = PARSER.OFPMatch(**fields)
    assert wire.pack_flow_delete_strict(edited, 1) == framework_bytes(deleted, 1)


def test_field_given_twice_is_not_taken_for_ours() -> None:
    oxm = IN_PORT_7[4:12] * 2
    tail = struct.pack("!HH", 1, 4 + len(oxm)) + oxm + bytes(4)
    (edited,), _ = wire.unpack_flow_stats(reply(1, flow_entry(flow(), tail)))
    assert edited == OpaqueFlow(1, 100, oxm, COOKIE)


def test_other_groups_are_opaque() -> None:
    indirect = struct.pack("!HBxI", 8, 2, 5)
    two_actions = wire.pack_group_add(Group(6, (1,)), 0)[16:]
    two_actions = struct.pack("!H", 48) + two_actions[2:] + two_actions[16:]
    both = indirect + struct.pack("!HBxI", 8 + 48, 0, 6) + two_actions
    assert wire.unpack_group_desc(reply(7, both))[0] == [OpaqueGroup(5), OpaqueGroup(6)]


def test_error_and_bundle_control() -> None:
    refused = wire.pack_flow_add(flow(), 3)
    error = PARSER.OFPErrorMsg(DATAPATH, OFP.OFPET_BAD_ACTION, OFP.OFPBAC_BAD_OUT_PORT, refused)
    assert wire.unpack_error(framework_bytes(error, 3)) == (2, 4, refused)
    control = wire.pack_bundle_control(4, wire.COMMIT_REPLY, 5)
    assert wire.unpack_bundle_control(control) == (4, wire.COMMIT_REPLY)


@pytest.mark.parametrize("unpack", [wire.unpack_error, wire.unpack_bundle_control])
def test_error_and_bundle_control_of_another_type_or_too_short(unpack: Any) -> None:
    for kind in (wire.ERROR, wire.BUNDLE_CONTROL, wire.FLOW_MOD):
        with pytest.raises(WireError, match="no message of type"):
            unpack(struct.pack("!BBHIH", 5, kind, 10, 1, 0))


def with_u16(buf: bytes, at: int, value: int) -> bytes:
    return buf[:at] + struct.pack("!H", value) + buf[at + 2 :]


FULL = flow(Match(in_port=7, eth_dst=MULTICAST), (SetTunnelId(1), Output(2)), 3)
FLOWS = reply(1, flow_entry(FULL))
GROUPS = reply(7, group_entry(Group(5, (1, 2))))
# The match starts at 64 and is 32 bytes with its padding; then come the apply-actions
# instruction, its first action and the goto.
MATCH, APPLY, ACTION, GOTO = 64, 96, 104, 136


@pytest.mark.parametrize("length", [0, 3, 7, 0xFFFF])
@pytest.mark.parametrize("at", [16, MATCH + 2, APPLY + 2, ACTION + 2, GOTO + 2])
def test_every_length_in_a_flow_is_checked(at: int, length: int) -> None:
    assert wire.unpack_flow_stats(FLOWS) == ([FULL], False)
    with pytest.raises(WireError):
        wire.unpack_flow_stats(with_u16(FLOWS, at, length))


@pytest.mark.parametrize("length", [0, 7, 0xFFFF])
@pytest.mark.parametrize("at", [16, 24 + 2])
def test_every_length_in_a_meter_is_checked(at: int, length: int) -> None:
    with pytest.raises(WireError):
        wire.unpack_meter_config(with_u16(reply(10, meter_entry(Meter(5, 1, 2))), at, length))


@pytest.mark.parametrize("length", [0, 7, 0xFFFF])
@pytest.mark.parametrize("at", [16, 24, 24 + 18])
def test_every_length_in_a_group_is_checked(at: int, length: int) -> None:
    with pytest.raises(WireError):
        wire.unpack_group_desc(with_u16(GROUPS, at, length))


def test_match_field_beyond_its_match() -> None:
    with pytest.raises(WireError, match="match field"):
        wire.unpack_flow_stats(FLOWS[: MATCH + 7] + b"\xff" + FLOWS[MATCH + 8 :])


@pytest.mark.parametrize(
    "buf",
    [b"", FLOWS[:7], FLOWS[:-1], FLOWS + b"\0", b"\x04" + FLOWS[1:], GROUPS, reply(1, b"\0" * 9)],
    ids=["empty", "no header", "cut", "too long", "version", "another reply", "cut entry"],
)
def test_broken_messages(buf: bytes) -> None:
    with pytest.raises(WireError):
        wire.unpack_flow_stats(buf)


@given(st.integers(16, len(FLOWS) - 1), st.integers(0, 255))
def test_any_byte_of_a_reply_may_be_wrong(at: int, value: int) -> None:
    try:
        found, _ = wire.unpack_flow_stats(FLOWS[:at] + bytes([value]) + FLOWS[at + 1 :])
    except WireError:
        return
    for one in found:
        wire.pack_flow_delete_strict(one, 1)


def test_what_one_message_cannot_hold_is_refused() -> None:
    ports = tuple(range(1, 5000))
    with pytest.raises(WireError, match="65535"):
        wire.pack_group_add(Group(1, ports), 1)
    with pytest.raises(WireError, match="4999 actions"):
        wire.pack_flow_add(flow(does=tuple(map(Output, ports))), 1)
