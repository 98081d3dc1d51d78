"""The bytes of ``openflow.wire`` against the framework's, and back."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.flow_entry import pack_flow
from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.openflow.wire import OpaqueGroup, OpaqueMeter
from ryu_l2iso.pipelines.flow import CONTROLLER, Group, Match, Meter, Output, SetTunnelId
from tests.unit.openflow_shapes import (
    COOKIE,
    DATAPATH,
    MAC,
    OFP,
    PARSER,
    flow,
    framework_bytes,
    framework_flow_mod,
    framework_group_mod,
    framework_instructions,
    framework_meter_mod,
    group_stats,
    groups,
    meter_stats,
    meters,
    numbers,
    reply,
)


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
    ours = flow(Match(in_port=7, eth_src=MAC), (SetTunnelId(0xABCDEF),), 1)
    inner = framework_flow_mod(ours, OFP.OFPFC_ADD, framework_instructions(ours))
    add = PARSER.OFPBundleAddMsg(DATAPATH, 4, flags, inner, [])
    packed = wire.pack_bundle_add(4, wire.pack_flow_add(pack_flow(ours), 6))
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


@given(st.lists(groups, max_size=4), st.booleans())
def test_group_to_bytes_to_group_is_the_identity(some: list[Group], more: bool) -> None:
    buf = reply(7, b"".join(map(group_stats, some)), more)
    assert wire.unpack_group_desc(buf) == (some, more)


@given(st.lists(meters, max_size=4), st.booleans())
def test_meter_to_bytes_to_meter_is_the_identity(some: list[Meter], more: bool) -> None:
    buf = reply(10, b"".join(map(meter_stats, some)), more)
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
        *(meter_stats(meter, flags=4), meter_stats(meter, kind=2), meter_stats(meter, length=24)),
        *(no_band, struct.pack("!H", 40) + meter_stats(meter)[2:] + meter_stats(meter)[8:]),
    ):
        assert wire.unpack_meter_config(reply(10, entry)) == ([OpaqueMeter(5)], False)


def test_other_groups_are_opaque() -> None:
    indirect = struct.pack("!HBxI", 8, 2, 5)
    two_actions = wire.pack_group_add(Group(6, (1,)), 0)[16:]
    two_actions = struct.pack("!H", 48) + two_actions[2:] + two_actions[16:]
    more = struct.pack("!HBxI", 8 + 48, 0, 6) + two_actions
    more += group_stats(Group(7, (1, CONTROLLER))) + group_stats(Group(8, (1, 2)))
    # The second bucket of the last one pushes a tag and pops it.
    more = more[:-16] + struct.pack("!HHH2xHH4x", 17, 8, 0x8100, 18, 8)
    found = wire.unpack_group_desc(reply(7, indirect + more))[0]
    assert found == list(map(OpaqueGroup, range(5, 9)))


def test_error_and_bundle_control() -> None:
    refused = wire.pack_flow_add(pack_flow(flow()), 3)
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


GROUPS = reply(7, group_stats(Group(5, (1, 2))))


@pytest.mark.parametrize("length", [0, 7, 0xFFFF])
@pytest.mark.parametrize("at", [16, 24 + 2])
def test_every_length_in_a_meter_is_checked(at: int, length: int) -> None:
    with pytest.raises(WireError):
        wire.unpack_meter_config(with_u16(reply(10, meter_stats(Meter(5, 1, 2))), at, length))


@pytest.mark.parametrize("length", [0, 7, 0xFFFF])
@pytest.mark.parametrize("at", [16, 24, 24 + 18])
def test_every_length_in_a_group_is_checked(at: int, length: int) -> None:
    with pytest.raises(WireError):
        wire.unpack_group_desc(with_u16(GROUPS, at, length))


def test_what_one_message_cannot_hold_is_refused() -> None:
    ports = tuple(range(1, 5000))
    with pytest.raises(WireError, match="65535"):
        wire.pack_group_add(Group(1, ports), 1)
    with pytest.raises(WireError, match="65535"):
        wire.pack_flow_add(pack_flow(flow(does=tuple(map(Output, ports)))), 1)
