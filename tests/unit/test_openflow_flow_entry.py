"""Flows as bytes: against the framework's, as a switch tells of them, and back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_l2iso.openflow import flow_entry, picture, wire
from ryu_l2iso.openflow.flow_entry import (
    LONGEST_BODY,
    Entry,
    InstalledFlow,
    OpaqueFlow,
    as_packed,
    pack_flow,
    unpack_flow,
)
from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.openflow.picture import Desired
from ryu_l2iso.pipelines.flow import MULTICAST, Flow, Match, Output, SetTunnelId
from ryu_l2iso.state.subjects import PortSubject
from tests.unit.openflow_shapes import (
    COOKIE,
    DATAPATH,
    MAC,
    OFP,
    PARSER,
    SHAPES,
    by_number,
    flow,
    flow_stats,
    flows,
    framework_bytes,
    framework_flow_mod,
    framework_instructions,
    reply,
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flow_bytes_equal_the_frameworks(shape: Flow) -> None:
    added = framework_flow_mod(shape, OFP.OFPFC_ADD, framework_instructions(shape))
    deleted = framework_flow_mod(shape, OFP.OFPFC_DELETE_STRICT, [])
    ours = pack_flow(shape)
    assert by_number(wire.pack_flow_add(ours, 77)) == framework_bytes(added, 77)
    assert by_number(wire.pack_flow_delete_strict(ours, 78)) == framework_bytes(deleted, 78)


@given(flows)
def test_any_flows_bytes_equal_the_frameworks(any_flow: Flow) -> None:
    added = framework_flow_mod(any_flow, OFP.OFPFC_ADD, framework_instructions(any_flow))
    ours = wire.pack_flow_add(pack_flow(any_flow), 77)
    assert by_number(ours) == framework_bytes(added, 77)


def unpacked(buf: bytes) -> tuple[list[InstalledFlow], bool]:
    """Return the flows of a reply as values, and whether more follow."""
    entries, more = wire.unpack_flow_stats(buf)
    return list(map(unpack_flow, entries)), more


@given(st.lists(flows, max_size=4), st.booleans())
def test_flow_to_bytes_to_flow_is_the_identity(some: list[Flow], more: bool) -> None:
    buf = reply(1, b"".join(map(flow_stats, some)), more)
    assert unpacked(buf) == (some, more)


@given(st.lists(flows, max_size=4))
def test_what_a_switch_tells_of_a_flow_is_what_it_was_told(some: list[Flow]) -> None:
    """Time-outs and the like are 0; how long the flow is there and what it counted is left out."""
    entries, _ = wire.unpack_flow_stats(reply(1, b"".join(map(flow_stats, some))))
    assert entries == list(map(pack_flow, some))
    assert [as_packed(entry) for entry in entries] == entries


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_frameworks_parser_reads_what_we_pack(shape: Flow) -> None:
    buf = reply(1, flow_stats(shape))
    (read,) = PARSER.msg_parser(DATAPATH, 5, 19, len(buf), 1, buf).body
    again = framework_flow_mod(shape, OFP.OFPFC_ADD, read.instructions)
    again.match = read.match
    assert wire.pack_flow_add(pack_flow(shape), 5) == framework_bytes(again, 5)


@given(flows)
def test_fields_in_another_order_are_the_same_flow(some: Flow) -> None:
    mod = by_number(wire.pack_flow_add(pack_flow(some), 0))
    (entry,), _ = wire.unpack_flow_stats(reply(1, flow_stats(some, mod[48:])))
    assert as_packed(entry) == pack_flow(some)


def test_what_else_is_said_of_an_action_is_left() -> None:
    """An output that is not the controller has no use for a length; nor has padding for a value."""
    ours = flow(Match(in_port=7), (Output(3),))
    key, body = pack_flow(ours)
    padded = key[:-1] + b"\1", body[:-8] + b"\0\7" + body[-6:]
    assert unpack_flow(padded) == ours
    assert as_packed(padded) == pack_flow(ours) != padded


IN_PORT_7 = bytes.fromhex("0001000c80000004 00000007 00000000")
VLAN_PCP_3 = bytes.fromhex("80000e01 03")
NO_TAG_5 = bytes.fromhex("80000c02 0005")
METER = bytes.fromhex("0006000800000001")
CLEAR_ACTIONS = bytes.fromhex("0005000800000000")
SHORT_METADATA = bytes.fromhex("0002000800000000")
SOME_METADATA = bytes.fromhex("0002001800000000 000000000000002a 00000000000000ff")
GOTO_2 = bytes.fromhex("0001000802000000")
DEC_TTL = bytes.fromhex("0018000800000000")
PUSH_OTHER_TAG = bytes.fromhex("0011000888a80000")
SET_NO_TAG = bytes.fromhex("00190010 80000c02 0000 000000000000")
SET_ETH_TYPE = bytes.fromhex("00190010 80000a02 0800 000000000000")


def read(stats: bytes) -> Entry:
    """Return a flow as it is kept, by its bytes in a reply."""
    (entry,), _ = wire.unpack_flow_stats(reply(1, stats))
    return as_packed(entry)


def apply(packed_actions: bytes) -> bytes:
    return struct.pack("!HH4x", 4, 8 + len(packed_actions)) + packed_actions


@pytest.mark.parametrize(
    "instructions",
    [
        *(SOME_METADATA, SHORT_METADATA, CLEAR_ACTIONS),
        *(GOTO_2 + METER, GOTO_2 + GOTO_2, apply(DEC_TTL), apply(b"") + apply(b"")),
        *(apply(PUSH_OTHER_TAG), apply(SET_NO_TAG), apply(SET_ETH_TYPE)),
    ],
    ids=[
        *("masked metadata", "short metadata", "clear actions"),
        *("meter after goto", "two gotos", "another action", "apply twice"),
        *("push another tag", "set no tag", "set another field"),
    ],
)
def test_edited_instructions_give_a_flow_that_can_be_deleted(instructions: bytes) -> None:
    ours = flow(Match(in_port=7))
    edited = read(flow_stats(ours, IN_PORT_7 + instructions))
    assert unpack_flow(edited) == OpaqueFlow(1, 100, Match(in_port=7), COOKIE)
    assert edited[0] == pack_flow(ours)[0]
    deleted = wire.pack_flow_delete_strict(pack_flow(ours), 1)
    assert wire.pack_flow_delete_strict(edited, 1) == deleted


def test_time_out_makes_a_flow_opaque() -> None:
    ours = flow(Match(in_port=7))
    edited = read(flow_stats(ours, hard=10))
    assert unpack_flow(edited) == OpaqueFlow(1, 100, Match(in_port=7), COOKIE)
    assert edited[0] == pack_flow(ours)[0]


@pytest.mark.parametrize(
    ("field", "fields"), [(VLAN_PCP_3, {"vlan_pcp": 3}), (NO_TAG_5, {"vlan_vid": 5})]
)
def test_foreign_match_field_gives_a_flow_that_can_be_deleted(
    field: bytes, fields: dict[str, int]
) -> None:
    padding = bytes(-(4 + len(field)) % 8)
    tail = struct.pack("!HH", 1, 4 + len(field)) + field + padding + GOTO_2
    edited = read(flow_stats(flow(), tail))
    assert unpack_flow(edited) == OpaqueFlow(1, 100, field, COOKIE)
    deleted = framework_flow_mod(flow(), OFP.OFPFC_DELETE_STRICT, [])
    deleted.match = PARSER.OFPMatch(**fields)
    assert wire.pack_flow_delete_strict(edited, 1) == framework_bytes(deleted, 1)


def test_field_given_twice_is_not_taken_for_ours() -> None:
    oxm = IN_PORT_7[4:12] * 2
    tail = struct.pack("!HH", 1, 4 + len(oxm)) + oxm + bytes(4)
    assert unpack_flow(read(flow_stats(flow(), tail))) == OpaqueFlow(1, 100, oxm, COOKIE)


def with_u16(buf: bytes, at: int, value: int) -> bytes:
    return buf[:at] + struct.pack("!H", value) + buf[at + 2 :]


FULL = flow(Match(in_port=7, eth_dst=MULTICAST), (SetTunnelId(1), Output(2)), 3)
FLOWS = reply(1, flow_stats(FULL))
# The match starts at 64 and is 32 bytes with its padding; then come the apply-actions
# instruction, its first action and the goto.
MATCH, APPLY, ACTION, GOTO = 64, 96, 104, 136


@pytest.mark.parametrize("length", [0, 3, 7, 0xFFFF])
@pytest.mark.parametrize("at", [16, MATCH + 2, APPLY + 2, ACTION + 2, GOTO + 2])
def test_every_length_in_a_flow_is_checked(at: int, length: int) -> None:
    assert unpacked(FLOWS) == ([FULL], False)
    with pytest.raises(WireError):
        unpacked(with_u16(FLOWS, at, length))


def test_match_field_beyond_its_match() -> None:
    with pytest.raises(WireError, match="match field"):
        unpacked(FLOWS[: MATCH + 7] + b"\xff" + FLOWS[MATCH + 8 :])


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        FLOWS[:7],
        FLOWS[:-1],
        FLOWS + b"\0",
        b"\x04" + FLOWS[1:],
        reply(7, b""),
        reply(1, b"\0" * 9),
    ],
    ids=["empty", "no header", "cut", "too long", "version", "another reply", "cut entry"],
)
def test_broken_messages(buf: bytes) -> None:
    with pytest.raises(WireError):
        unpacked(buf)


@given(st.integers(16, len(FLOWS) - 1), st.integers(0, 255))
def test_any_byte_of_a_reply_may_be_wrong(at: int, value: int) -> None:
    try:
        found, _ = wire.unpack_flow_stats(FLOWS[:at] + bytes([value]) + FLOWS[at + 1 :])
        kept = list(map(as_packed, found))
    except WireError:
        return
    for one in kept:
        wire.pack_flow_delete_strict(one, 1)


def test_the_longest_body_fits_into_a_bundle() -> None:
    actions = (LONGEST_BODY - 18 - 8) // 16
    match = Match(1, 2, 3, 4, MAC, MULTICAST, 2, 1, 1)
    most = flow(match, tuple(map(Output, range(actions))))
    entry = pack_flow(most)
    assert LONGEST_BODY - 16 < len(entry[1]) <= LONGEST_BODY
    assert unpack_flow(entry) == most
    wire.pack_bundle_add(1, wire.pack_flow_add(entry, 1))


def test_what_was_packed_is_in_memory_once_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow_entry, "REMEMBERED", 2)
    monkeypatch.setattr(flow_entry, "_keys", keys := dict[object, bytes]())
    monkeypatch.setattr(flow_entry, "_bodies", bodies := dict[object, bytes]())
    first, again = (pack_flow(flow(Match(in_port=1), (Output(7),))) for _ in range(2))
    assert first[0] is again[0]
    assert first[1] is again[1]
    for number in range(1, 10):
        one = flow(Match(in_port=number), (Output(number),))
        assert unpack_flow(pack_flow(one)) == one
        assert len(keys) <= 2
        assert len(bodies) <= 2


def test_names_of_what_is_desired_are_in_memory_once_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture, "REMEMBERED", 2)
    monkeypatch.setattr(picture, "_shared", shared := dict[object, object]())
    switches = Desired(), Desired()
    for number in range(1, 10):
        for desired in switches:
            desired.put(PortSubject(number), [flow(Match(in_port=number))], True)
        first, second = (desired.names[PortSubject(number)] for desired in switches)
        assert first is second
        assert len(shared) <= 2
