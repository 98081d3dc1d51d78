"""What somebody else changes on a switch: ``Programmer.check``, ``Drift`` and the patrol."""

from __future__ import annotations

import logging

import pytest

from ryu_l2iso.framework import hub
from ryu_l2iso.openflow.drift import Drift
from ryu_l2iso.openflow.fleet import Fleet
from ryu_l2iso.openflow.plan import Contents
from ryu_l2iso.openflow.programmer import READ_EVERY, Programmer
from ryu_l2iso.pipelines.flow import Group, Meter
from ryu_l2iso.state.subjects import PortSubject
from tests.functional.ovs import wait_until
from tests.unit.openflow_fakes import (
    DPID,
    Source,
    Switch,
    filled_source,
    flood,
    flow,
    key,
    opaque,
    packed,
    pieces,
)

LABEL = "switch 00000000000000ab"


@pytest.fixture
def source() -> Source:
    return filled_source()


@pytest.fixture
def programmer(source: Source) -> Programmer:
    """Return a programmer without its worker, at the first of its checks."""
    made = Programmer(DPID, source)
    made._checks = 0
    made.ovsdb_read()
    return made


@pytest.fixture
def switch(programmer: Programmer) -> Switch:
    """Return its switch, which holds what it should."""
    made = Switch(Contents())
    programmer.connected(made)
    assert programmer.step() == 0
    return made


def check(programmer: Programmer, times: int = 1) -> None:
    for _ in range(times):
        programmer.check()
        assert programmer.step() == 0
        programmer.step()
        assert programmer.synced


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_nothing_changed_is_a_count_and_now_and_then_a_read(
    programmer: Programmer, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    check(programmer, 2 * READ_EVERY)
    counters = programmer.counters
    assert (counters.checks, counters.full_syncs) == (2 * READ_EVERY, 1 + 2)
    assert len(switch.plans) == 1
    assert counters.repairs == 0
    assert caplog.messages == []


def test_a_flow_that_was_deleted_or_added_is_found_by_the_count(
    programmer: Programmer, switch: Switch, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    del switch.holds.flows[key(flow(1))]
    check(programmer)
    assert switch.holds == pieces(source)
    switch.holds.flows.update(packed(flow(9)))
    check(programmer)
    assert switch.holds == pieces(source)
    assert programmer.counters.repairs == 2
    assert warnings(caplog) == [
        f"{LABEL}: changed by somebody else: 1 missing ({flow(1)})",
        f"{LABEL}: changed by somebody else: 1 not sent by us ({flow(9)})",
    ]


def test_what_a_count_does_not_show_is_found_when_all_is_read(
    programmer: Programmer, switch: Switch, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    switch.holds.flows.update(packed(flow(1, 5)))
    switch.holds.groups[7] = Group(7, (9,))
    switch.holds.groups[99] = Group(99, (1,))
    check(programmer, READ_EVERY - 1)
    assert warnings(caplog) == []
    check(programmer)
    assert switch.holds == Contents.of(
        [*(p for some in source.table.values() for p in some), Group(99, (1,))]
    )
    (line,) = warnings(caplog)
    assert "2 changed" in line
    assert programmer.counters.repairs == 2


def test_what_is_being_changed_is_checked_afterwards(
    programmer: Programmer, switch: Switch, source: Source
) -> None:
    source.table[PortSubject(2)] = [flow(2)]
    programmer.mark(PortSubject(2))
    programmer.check()
    programmer.step()
    assert switch.holds == pieces(source)
    assert programmer.counters.checks == 0
    assert programmer._wake.is_set(), "or nobody would look at the check that is due"
    programmer.step()
    assert (programmer.counters.checks, programmer.counters.repairs) == (1, 0)


def test_no_check_of_a_switch_that_is_gone_and_none_left_over(
    programmer: Programmer, switch: Switch
) -> None:
    programmer.check()
    programmer.disconnected(switch.datapath)
    programmer.check()
    assert programmer.step() == 0
    programmer.connected(switch)
    programmer.step()
    programmer.step()
    assert programmer.counters.checks == 0


def test_what_differs_after_a_reconnection_is_no_drift(
    programmer: Programmer, switch: Switch, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    again = Switch(Contents())
    programmer.connected(again)
    programmer.step()
    assert again.holds == pieces(source)
    assert warnings(caplog) == []


def test_a_stray_that_may_not_go_yet_is_logged_once(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    programmer, switch = Programmer(DPID, source), Switch(Contents())
    programmer.connected(switch)
    programmer.step()
    switch.holds.flows.update(packed(flow(9)))
    check(programmer, 2 * READ_EVERY)
    assert len(warnings(caplog)) == 1
    assert key(flow(9)) in switch.holds.flows


@pytest.mark.parametrize("known", [False, True])
def test_a_group_or_meter_of_others_with_our_id_is_replaced_and_that_is_logged(
    source: Source, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    metered = flow(2)._replace(meter=3)
    source.table[PortSubject(2)] = [Meter(3, 10, 20), metered]
    used = [*flood(5), metered] if known else []
    programmer = Programmer(DPID, source)
    switch = Switch(Contents.of([Group(7, (5,)), Meter(3, 1, 1), *used]))
    programmer.connected(switch)
    for _ in range(2):
        programmer.step()
        programmer.connected(switch)
    assert switch.holds == pieces(source)
    line = f"{LABEL}: {{}}, of somebody else, has an id of ours: replaced"
    expected = [line.format("group 7"), line.format("meter 3")]
    assert warnings(caplog) == ([] if known else expected)


def test_drift_names_some_and_counts_all() -> None:
    before = Contents.of([*(flow(n) for n in range(1, 7)), Group(7, (1,)), Meter(1, 2, 3)])
    now = Contents.of([flow(1), flow(2, 9), flow(8)])
    now.flows.update(opaque(flow(3)))
    drift = Drift.between(before, now, set())
    assert drift.count == 3 + 2 + 2 + 1
    text = str(drift)
    assert text.startswith(f"5 missing ({flow(4)}; {flow(5)}; {flow(6)}; …), 2 changed (")
    assert text.endswith(f", 1 not sent by us ({flow(8)})")
    assert Drift.between(before, before, set()).count == 0


class Checked:
    """A programmer that only counts its checks."""

    def __init__(self, synced: bool = True) -> None:
        self.synced = synced
        self.times: list[float] = []

    def check(self) -> None:
        self.times.append(hub.eventlet.hubs.get_hub().clock())

    def stop(self) -> None:
        pass


def test_the_patrol_comes_to_each_switch_once_an_interval_and_to_none_with_another(
    source: Source,
) -> None:
    fleet = Fleet(source, check_interval=0.2)
    made = {dpid: Checked() for dpid in range(4)}
    fleet._programmers.update(made)  # type: ignore[arg-type]
    try:
        wait_until(lambda: all(len(one.times) >= 3 for one in made.values()), "three rounds")
    finally:
        fleet.stop()
    counts = [len(one.times) for one in made.values()]
    assert max(counts) - min(counts) <= 1
    times = sorted(moment for one in made.values() for moment in one.times)
    assert min(b - a for a, b in zip(times, times[1:])) >= 0.2 / 4 / 2 * 0.9
    after = sum(counts)
    hub.sleep(0.15)
    assert sum(len(one.times) for one in made.values()) == after, "a fleet that was stopped"


def test_the_patrol_leaves_out_who_is_being_programmed(source: Source) -> None:
    fleet = Fleet(source, check_interval=0.1)
    made = {dpid: Checked(dpid == 1) for dpid in range(2)}
    fleet._programmers.update(made)  # type: ignore[arg-type]
    try:
        wait_until(lambda: len(made[1].times) >= 3, "three rounds")
    finally:
        fleet.stop()
    assert made[0].times == []


def test_without_an_interval_there_is_no_patrol(source: Source) -> None:
    assert Fleet(source)._patrol is None
