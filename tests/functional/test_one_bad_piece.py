"""Flows, groups and meters that a real Open vSwitch refuses cost their own subject only."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ryu_l2iso.openflow import left_out as left_out_module
from ryu_l2iso.pipelines.flow import MOST_PORTS, Flow, Group, Match, Meter, Output, Piece, ToGroup
from ryu_l2iso.pipelines.flow import flood as flood_to
from ryu_l2iso.state.subjects import NetworkSubject, PortSubject, Subject
from tests.functional.openflow import COOKIE, Controller
from tests.functional.ovs import OVS, wait_until

DPID = 0x11


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Controller]:
    """Return a controller whose source is empty, and which tries again soon."""
    monkeypatch.setattr(left_out_module, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(left_out_module, "LONGEST_PAUSE", 0.4)
    with Controller() as running:
        yield running


def flow(port: int, *actions: Output | ToGroup, meter: int | None = None) -> Flow:
    return Flow(1, 5, Match(in_port=port), actions, None, COOKIE | 1, meter)


def left_out(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    return sorted(text.removeprefix(f"switch {DPID:016x}: ") for text in texts)


BAD: dict[Subject, list[Piece]] = {
    PortSubject(11): [flow(11, ToGroup(77))],
    PortSubject(12): [flow(12, Output(0x10000))],
    PortSubject(13): [Meter(0xFFFF0001, 1, 1), flow(13, meter=0xFFFF0001)],
    NetworkSubject("huge"): [Group(9, tuple(range(1, MOST_PORTS + 2))), flow(19, ToGroup(9))],
}


def test_what_is_refused_costs_its_subject_only_and_heals(
    ovs: OVS, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    table = controller.source.table
    table.update(BAD)
    table[PortSubject(1)] = [flow(1, Output(2))]
    ovs.add_bridge("br0", DPID, controller.target)
    programmer = controller.synced(DPID)
    assert ovs.flows("br0") == [str(flow(1, Output(2)))]
    assert (ovs.groups("br0"), ovs.meters("br0")) == ([], [])
    told = left_out(caplog)
    for line, (subject, why) in zip(
        sorted(told),
        [
            ("network huge", "longer than OpenFlow's 65535"),
            ("port 11", "OFPBAC_BAD_OUT_GROUP"),
            ("port 12", "OFPBAC_BAD_OUT_PORT"),
            ("port 13", "OFPMMFC_INVALID_METER"),
        ],
    ):
        assert line.startswith(f"{subject} is left out: ") and why in line
    table[PortSubject(2)] = [flow(2, Output(3))]
    controller.fleet.mark(DPID, PortSubject(2))
    controller.synced(DPID)
    assert len(ovs.flows("br0")) == 2, "the others go on"
    wait_until(lambda: programmer.counters.full_syncs > 3, "it to be tried again", 10)
    assert left_out(caplog) == told, "once, not at every attempt"
    table[NetworkSubject("huge")] = []
    for port_no in (11, 12, 13):
        table[PortSubject(port_no)] = [flow(port_no, Output(4))]
    wait_until(lambda: len(ovs.flows("br0")) == 5, "all to be in", 10)
    assert len(left_out(caplog)) == 4


def test_a_flood_to_more_ports_than_a_group_holds(ovs: OVS, controller: Controller) -> None:
    group, actions = flood_to(8, range(1, 2 * MOST_PORTS))
    flow = Flow(1, 5, Match(in_port=1), tuple(actions), None, COOKIE | 1)
    controller.source.table[NetworkSubject("large")] = [group, flow]
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    assert ovs.groups("br0") == [str(group)]
    assert ovs.flows("br0") == [str(flow)]
    controller.restart_fleet()
    assert controller.synced(DPID).counters.flow_mods == 0


def test_a_group_that_somebody_deleted_is_made_again_when_it_is_to_be_changed(
    ovs: OVS, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    table, network = controller.source.table, NetworkSubject("red")
    table[network] = [Group(8, (1, 2)), flow(1, ToGroup(8))]
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    ovs.ofctl("del-groups", "br0", "group_id=8")
    table[network] = [Group(8, (1, 2, 3)), flow(1, ToGroup(8))]
    controller.fleet.mark(DPID, network)
    controller.synced(DPID)
    assert ovs.groups("br0") == [str(Group(8, (1, 2, 3)))]
    assert ovs.flows("br0") == [str(flow(1, ToGroup(8)))]
    assert left_out(caplog) == []


def test_a_group_of_others_with_an_id_of_ours_is_replaced_and_logged_once(
    ovs: OVS, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    ovs.ofctl("add-group", "br0", "group_id=8,type=select,bucket=actions=output:9")
    network = NetworkSubject("red")
    controller.source.table[network] = [Group(8, (1, 2)), flow(1, ToGroup(8))]
    controller.fleet.mark(DPID, network)
    wait_until(lambda: ovs.groups("br0") == [str(Group(8, (1, 2)))], "the group", 10)
    controller.restart_fleet()
    controller.synced(DPID)
    assert left_out(caplog) == ["group 8, of somebody else, has an id of ours: replaced"]
