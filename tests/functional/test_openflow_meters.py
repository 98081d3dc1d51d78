"""Meters, metadata and packet-ins on a real Open vSwitch (dummy datapath)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.plan import MeterKey, Plan
from ryu_l2iso.pipelines.flow import Flow, Match, Meter, Output, ToController
from ryu_l2iso.state.subjects import PortSubject
from tests.functional.openflow import COOKIE, Controller
from tests.functional.ovs import OVS

DPID = 0x11


@pytest.fixture
def controller() -> Iterator[Controller]:
    """Return a controller whose source is empty."""
    with Controller() as running:
        yield running


def port(number: int, rate: int = 10) -> list[Flow | Meter]:
    """Return what a port has: metadata, and a metered flow to the controller."""
    match = Match(metadata=number, in_port=number)
    return [
        Meter(number, rate, 64),
        Flow(0, 10, Match(in_port=number), (), 1, COOKIE, metadata=number),
        Flow(1, 10, match, (ToController(),), None, COOKIE, meter=number),
        Flow(1, 20, match._replace(eth_src="fa:16:3e:00:00:01"), (Output(5),), None, COOKIE),
    ]


def assert_installed(ovs: OVS, controller: Controller) -> None:
    pieces = [piece for found in controller.source.table.values() for piece in found]
    assert ovs.flows("br0") == sorted(str(p) for p in pieces if isinstance(p, Flow))
    assert ovs.meters("br0") == sorted(str(p) for p in pieces if isinstance(p, Meter))


def test_meters_come_change_and_go_with_the_flows(ovs: OVS, controller: Controller) -> None:
    table = controller.source.table
    for number in (1, 2, 3):
        table[PortSubject(number)] = port(number)
    ovs.add_bridge("br0", DPID, controller.target)
    programmer = controller.synced(DPID)
    assert_installed(ovs, controller)
    table[PortSubject(1)] = port(1, rate=20)
    table[PortSubject(2)] = []
    for number in (1, 2):
        controller.fleet.mark(DPID, PortSubject(number))
    controller.synced(DPID)
    assert_installed(ovs, controller)
    assert programmer.counters.meter_mods == 3 + 2
    assert programmer.counters.full_syncs == 1


def test_a_restart_sends_nothing_and_puts_right_what_somebody_edited(
    ovs: OVS, controller: Controller
) -> None:
    controller.source.table[PortSubject(1)] = port(1)
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    foreign = "meter=9 pktps burst bands=type=drop rate=1 burst_size=1"
    ovs.ofctl("add-meter", "br0", foreign)
    controller.restart_fleet()
    controller.fleet.ovsdb_read(DPID)
    counters = controller.synced(DPID).counters
    assert (counters.flow_mods, counters.meter_mods) == (0, 0)
    ovs.ofctl("mod-meter", "br0", "meter=1 kbps bands=type=drop rate=7")
    controller.restart_fleet()
    controller.fleet.ovsdb_read(DPID)
    assert controller.synced(DPID).counters.meter_mods == 1
    assert ovs.meters("br0") == [str(Meter(1, 10, 64)), foreign]
    controller.source.table.clear()
    controller.restart_fleet()
    controller.fleet.ovsdb_read(DPID)
    controller.synced(DPID)
    assert (ovs.flows("br0"), ovs.meters("br0")) == ([], [foreign])


def test_a_meter_that_is_there_already_is_an_error(ovs: OVS, controller: Controller) -> None:
    ovs.add_bridge("br0", DPID, controller.target)
    connection = controller.synced(DPID)._connection
    assert isinstance(connection, Connection)
    meter = Meter(1, 10, 64)
    connection.apply(Plan(meters_to_add=(meter,)), 5.0)
    with pytest.raises(Exception, match=r"OFPMMFC_METER_EXISTS.* adding meter=1"):
        connection.apply(Plan(meters_to_add=(meter,)), 5.0)
    assert connection.read_meters(5.0) == [meter]
    connection.apply(Plan(meters_to_delete=(MeterKey(1),)), 5.0)
    assert connection.read_meters(5.0) == []
