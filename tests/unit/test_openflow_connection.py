"""Requests and replies of ``Connection`` on a datapath that only records what is sent."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, Callable

import pytest

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.framework import hub
from ryu_l2iso.openflow import connection as connection_module
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.flow_entry import pack_flow
from ryu_l2iso.openflow.parts import Refused
from ryu_l2iso.openflow.plan import MeterKey, Plan
from ryu_l2iso.pipelines.flow import Flow, Group, Match, Meter, Output
from tests.unit.openflow_fakes import key, packed

FLOW = Flow(1, 5, Match(in_port=1), (Output(2),), None, 9)
OLD = FLOW._replace(priority=4)
PLAN = Plan(
    groups_to_add=(Group(1, (1,)),),
    groups_to_modify=(Group(2, (2,)),),
    flows_to_delete=packed(OLD),
    flows_to_add=packed(FLOW),
    groups_to_delete=(3,),
)
METERS = Plan((Meter(4, 10, 20),), (Meter(5, 10, 20),), meters_to_delete=(MeterKey(6),))


class Datapath:
    """Records the chunks sent; ``takes`` says what ``send`` returns, or what it does first."""

    def __init__(self, takes: Callable[[], bool] = lambda: True) -> None:
        self.sent: list[bytes] = []
        self._takes = takes

    def send(self, chunk: bytes) -> bool:
        self.sent.append(chunk)
        return self._takes()


def split(data: bytes) -> list[bytes]:
    """Return the messages in ``data``."""
    messages = []
    while data:
        length = struct.unpack_from("!H", data, 2)[0]
        messages.append(data[:length])
        data = data[length:]
    return messages


def answer(connection: Connection, *replies: bytes) -> None:
    """Let the switch answer as soon as somebody waits."""

    def give() -> None:
        for reply in replies:
            connection.received(reply)

    hub.spawn(give)


def stats(xid: int, entries: bytes = b"", more: bool = False, kind: int = 1) -> bytes:
    return struct.pack("!BBHIHH4x", 5, 19, 16 + len(entries), xid, kind, more) + entries


def entry(flow: Flow) -> bytes:
    tail = wire.pack_flow_add(pack_flow(flow), 0)[48:]
    head = struct.pack("!HBxIIHHHHH2x", 48 + len(tail), flow.table, 0, 0, flow.priority, 0, 0, 0, 0)
    return head + struct.pack("!QQQ", flow.cookie, 0, 0) + tail


def refusal(xid: int) -> bytes:
    """Return an error message: bad action, bad output port."""
    return struct.pack("!BBHIHH", 5, 1, 12, xid, 2, 4)


def committed(xid: int) -> bytes:
    return wire.pack_bundle_control(1, wire.COMMIT_REPLY, xid)


def test_flows_of_several_replies() -> None:
    datapath = Datapath()
    connection = Connection(datapath)
    answer(connection, stats(1, entry(FLOW), True), stats(1, b"", True), stats(1, entry(OLD)))
    assert connection.read_flows(9, 0xFF, {}, 5.0) == packed(FLOW, OLD)
    assert datapath.sent == [wire.pack_flow_stats_request(9, 0xFF, 1)]


def test_groups() -> None:
    connection = Connection(Datapath())
    answer(connection, stats(1, struct.pack("!HBxI", 8, 0, 7), kind=7))
    assert connection.read_groups(5.0) == [Group(7, ())]


def test_plan_is_one_bundle_in_order() -> None:
    datapath = Datapath()
    connection = Connection(datapath)
    opened = wire.pack_bundle_control(1, wire.OPEN_REPLY, 1)
    answer(connection, opened, committed(7))
    connection.apply(PLAN, 5.0)
    assert split(b"".join(datapath.sent)) == [
        wire.pack_bundle_control(1, wire.OPEN_REQUEST, 1),
        wire.pack_bundle_add(1, wire.pack_group_add(Group(1, (1,)), 2)),
        wire.pack_bundle_add(1, wire.pack_group_modify(Group(2, (2,)), 3)),
        wire.pack_bundle_add(1, wire.pack_flow_delete_strict(pack_flow(OLD), 4)),
        wire.pack_bundle_add(1, wire.pack_flow_add(pack_flow(FLOW), 5)),
        wire.pack_bundle_add(1, wire.pack_group_delete(3, 6)),
        wire.pack_bundle_control(1, wire.COMMIT_REQUEST, 7),
    ]


def test_meters() -> None:
    entry = struct.pack("!HHIHHII4x", 24, 6, 4, 1, 16, 10, 20)
    connection = Connection(Datapath())
    answer(connection, stats(1, entry, kind=10))
    assert connection.read_meters(5.0) == [Meter(4, 10, 20)]


def barrier(xid: int) -> bytes:
    """Return the reply to a barrier request."""
    return struct.pack("!BBHI", 5, wire.BARRIER_REPLY, 8, xid)


def test_meters_are_made_before_the_bundle_and_deleted_after_it() -> None:
    datapath = Datapath()
    connection = Connection(datapath)

    def give() -> None:
        for reply in (barrier(4), committed(7), barrier(10)):
            connection.received(reply)
            hub.sleep(0)
            hub.sleep(0)

    hub.spawn(give)
    connection.apply(replace(METERS, flows_to_add=PLAN.flows_to_add), 5.0)
    assert split(b"".join(datapath.sent)) == [
        wire.pack_meter_add(Meter(4, 10, 20), 2),
        wire.pack_meter_modify(Meter(5, 10, 20), 3),
        wire.pack_barrier_request(4),
        wire.pack_bundle_control(1, wire.OPEN_REQUEST, 5),
        wire.pack_bundle_add(1, wire.pack_flow_add(pack_flow(FLOW), 6)),
        wire.pack_bundle_control(1, wire.COMMIT_REQUEST, 7),
        wire.pack_meter_delete(6, 9),
        wire.pack_barrier_request(10),
    ]


@pytest.mark.parametrize(("xid", "what"), [(2, "adding meter=4"), (3, "changing meter=5")])
def test_a_refused_meter_ends_the_plan(xid: int, what: str) -> None:
    datapath = Datapath()
    connection = Connection(datapath)
    answer(connection, refusal(xid), barrier(4))
    with pytest.raises(SwitchError, match=f"its meters: .*{what}"):
        connection.apply(replace(METERS, flows_to_add=PLAN.flows_to_add), 5.0)
    assert len(split(b"".join(datapath.sent))) == 3


def test_large_plan_goes_in_chunks_of_whole_messages() -> None:
    datapath = Datapath()
    connection = Connection(datapath)
    flows = packed(*(FLOW._replace(priority=number) for number in range(3000)))
    answer(connection, committed(3002))
    connection.apply(Plan(flows_to_add=flows), 5.0)
    assert len(datapath.sent) > 1
    assert max(map(len, datapath.sent)) < 2 * 0x10000
    assert [len(split(chunk)) > 0 for chunk in datapath.sent] == [True] * len(datapath.sent)
    assert len(split(b"".join(datapath.sent))) == 3002


@pytest.mark.parametrize(
    ("xid", "what"),
    [
        (1, r"\(4\)$"),
        (2, "adding group_id=1"),
        (4, "deleting cookie"),
        (5, "adding cookie"),
        (7, r"\(4\)$"),
    ],
)
def test_refusal_names_what_was_refused(xid: int, what: str) -> None:
    connection = Connection(Datapath())
    answer(connection, refusal(xid), committed(7))
    with pytest.raises(SwitchError, match=f"OFPET_BAD_ACTION.*OFPBAC_BAD_OUT_PORT.*{what}"):
        connection.apply(PLAN, 5.0)


def test_all_that_is_refused_is_told_at_once() -> None:
    connection = Connection(Datapath())
    answer(connection, refusal(2), refusal(5), refusal(7))
    with pytest.raises(Refused, match="adding group_id=1") as caught:
        connection.apply(PLAN, 5.0)
    assert caught.value.by_key().keys() == {1, key(FLOW)}


def test_what_no_message_can_hold_is_told_and_nothing_is_sent() -> None:
    datapath = Datapath()
    ports = tuple(range(1, 5000))
    long = OLD._replace(actions=tuple(map(Output, ports)))
    plan = replace(PLAN, groups_to_add=(Group(1, ports[:2047]), Group(4, ports)))
    with pytest.raises(
        Refused, match="longer than OpenFlow.s 65535 bytes: adding group_id=1,"
    ) as caught:
        Connection(datapath).apply(replace(plan, flows_to_add=packed(FLOW, long)), 5.0)
    refused = caught.value.by_key()
    assert refused.keys() == {1, 4, key(long)}
    assert max(map(len, refused.values())) < 400
    assert datapath.sent == []


def test_the_number_of_flows() -> None:
    datapath = Datapath()
    connection = Connection(datapath)
    answer(connection, stats(1, struct.pack("!QQI4x", 5, 6, 7), kind=2))
    assert connection.count_flows(9, 0xFF, 5.0) == 7
    assert datapath.sent == [wire.pack_aggregate_request(9, 0xFF, 1)]


def test_answers_to_others_are_left() -> None:
    connection = Connection(Datapath())
    foreign = [refusal(99), stats(5), refusal(0xFFFFFFFF)]
    connection.received(refusal(1))
    answer(connection, *foreign, stats(1, entry(FLOW)))
    assert connection.read_flows(9, 0xFF, {}, 5.0) == packed(FLOW)


def test_no_answer() -> None:
    connection = Connection(Datapath())
    with pytest.raises(SwitchError, match=r"the read of its flows: no answer in 0.01 s"):
        connection.read_flows(9, 0xFF, {}, 0.01)
    answer(connection, stats(1, entry(OLD)), stats(2, entry(FLOW)))
    assert connection.read_flows(9, 0xFF, {}, 5.0) == packed(FLOW)


def test_broken_answer() -> None:
    connection = Connection(Datapath())
    answer(connection, stats(1, b"\0" * 60))
    with pytest.raises(SwitchError, match="the switch sent a structure of 0 bytes"):
        connection.read_flows(9, 0xFF, {}, 5.0)


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MAX_READ", 3)
    connection = Connection(Datapath())
    endless = [stats(1, entry(FLOW) * 2, more=True)] * 2
    answer(connection, *endless)
    with pytest.raises(SwitchError, match="the switch sent more than 3 flows"):
        connection.read_flows(9, 0xFF, {}, 5.0)


def test_switch_that_takes_no_data() -> None:
    def block() -> bool:
        hub.Event().wait()
        return True

    connection = Connection(Datapath(block))
    with pytest.raises(SwitchError, match="takes no more data"):
        connection.read_groups(0.01)


def test_time_out_of_somebody_else_passes_through() -> None:
    def expire() -> bool:
        raise other

    other = hub.Timeout(1000)
    connection = Connection(Datapath(expire))
    try:
        with pytest.raises(hub.Timeout) as caught:
            connection.read_groups(5.0)
        assert caught.value is other
    finally:
        other.cancel()


@pytest.mark.parametrize("how", ["closing", "closed before", "closed while waiting"])
def test_closed(how: str) -> None:
    connection = Connection(Datapath(lambda: how != "closing"))
    if how == "closed before":
        connection.close()
    elif how == "closed while waiting":
        hub.spawn(connection.close)
    with pytest.raises(SwitchError, match="the connection is closed"):
        connection.read_groups(5.0)


def test_answer_counts_though_the_connection_closes_before_it_is_looked_at() -> None:
    connection = Connection(Datapath())

    def answer_and_close() -> None:
        connection.received(stats(1, entry(FLOW)))
        connection.received(stats(1, entry(OLD)))
        connection.close()

    hub.spawn(answer_and_close)
    assert connection.read_flows(9, 0xFF, {}, 5.0) == packed(FLOW)


def test_xids_begin_again() -> None:
    connection: Any = Connection(Datapath())
    connection._next_xid = 0xFFFFFFFF
    answer(connection, stats(0xFFFFFFFF))
    assert connection.read_flows(9, 0xFF, {}, 5.0) == {}
    answer(connection, stats(1))
    assert connection.read_flows(9, 0xFF, {}, 5.0) == {}
