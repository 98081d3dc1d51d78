"""``Programmer`` on switches that are a ``Contents`` each; mostly the worker by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Callable

import pytest

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.framework import hub
from ryu_l2iso.openflow import programmer as programmer_module
from ryu_l2iso.openflow.parties import Watcher
from ryu_l2iso.openflow.parts import Refusal, Refused
from ryu_l2iso.openflow.plan import Contents, Plan
from ryu_l2iso.openflow.programmer import FIRST_PAUSE, LONGEST_PAUSE, TURN, Programmer
from ryu_l2iso.pipelines.flow import Flow, Group, Match, Meter, Piece, ToGroup
from ryu_l2iso.state.subjects import PortSubject, Subject
from tests.unit.openflow_fakes import (
    DPID,
    FLOOD,
    Source,
    Switch,
    filled_source,
    flood,
    flow,
    key,
    packed,
    pieces,
)


@pytest.fixture
def source() -> Source:
    """Return a source with a port and a flood."""
    return filled_source()


@pytest.fixture
def programmer(source: Source) -> Programmer:
    """Return a programmer without its worker."""
    return Programmer(DPID, source)


def connect(programmer: Programmer, holds: Contents | None = None) -> Switch:
    switch = Switch(Contents() if holds is None else holds)
    programmer.connected(switch)
    return switch


def test_connect_installs_all_in_one_bundle(programmer: Programmer, source: Source) -> None:
    assert programmer.step() == 0
    assert not programmer.synced
    switch = connect(programmer)
    assert not programmer.synced
    assert programmer.step() == 0
    assert programmer.synced
    assert programmer.wait_synced(0)
    assert switch.holds == pieces(source)
    counters = programmer.counters
    assert (counters.flow_mods, counters.group_mods) == (2, 1)
    assert (counters.bundles, counters.full_syncs) == (1, 1)


def test_mark_computes_that_subject_only(programmer: Programmer, source: Source) -> None:
    switch = connect(programmer)
    programmer.step()
    source.computed.clear()
    source.table[PortSubject(1)] = [flow(1, 9)]
    programmer.mark(PortSubject(1))
    programmer.mark(PortSubject(1))
    assert not programmer.synced
    programmer.step()
    assert source.computed == [PortSubject(1)]
    assert switch.plans[1:] == [Plan(flows_to_add=packed(flow(1, 9)))]
    assert programmer.counters.full_syncs == 1


def test_a_meter_goes_with_the_flow_that_refers_to_it(
    programmer: Programmer, source: Source
) -> None:
    switch = connect(programmer)
    source.table[PortSubject(2)] = [Meter(2, 10, 20), flow(2)._replace(meter=2)]
    programmer.step()
    assert switch.holds == pieces(source)
    source.table[PortSubject(2)] = [Meter(2, 30, 40), flow(2)._replace(meter=2)]
    programmer.mark(PortSubject(2))
    programmer.step()
    assert switch.plans[-1] == Plan(meters_to_modify=(Meter(2, 30, 40),))
    assert (programmer.counters.meter_mods, programmer.counters.bundles) == (2, 1)
    del source.table[PortSubject(2)]
    programmer.mark(PortSubject(2))
    programmer.step()
    assert switch.holds == pieces(source)
    assert programmer.counters.meter_mods == 3


class Recorder(Watcher):
    """Records what it is told; ``waits`` is called, and emptied, before something may be sent."""

    def __init__(self) -> None:
        self.told: list[tuple[str, set[Subject], set[Subject]]] = []
        self.waits: list[Callable[[], None]] = []

    def connected(self, dpid: int) -> None:
        self.told.append(("connected", set(), set()))

    def lost(self, dpid: int) -> None:
        self.told.append(("lost", set(), set()))

    def failed(self, dpid: int) -> None:
        self.told.append(("failed", set(), set()))

    def may_hold(self, dpid: int, filled: AbstractSet[Subject]) -> bool:
        self.told.append(("may hold", set(filled), set()))
        waits, self.waits = self.waits, []
        for wait in waits:
            wait()
        return bool(waits)

    def holds(self, dpid: int, filled: AbstractSet[Subject], empty: AbstractSet[Subject]) -> None:
        self.told.append(("holds", set(filled), set(empty)))

    def holds_only(self, dpid: int, filled: AbstractSet[Subject]) -> None:
        self.told.append(("holds only", set(filled), set()))

    def take(self) -> list[tuple[str, set[Subject], set[Subject]]]:
        """Return, and forget, what it was told."""
        told, self.told = self.told, []
        return told


BOTH: set[Subject] = {PortSubject(1), FLOOD}
SENT: tuple[str, set[Subject], set[Subject]] = ("sent", set(), set())


@pytest.fixture
def recorder() -> Recorder:
    """Return a watcher."""
    return Recorder()


@pytest.fixture
def watched(source: Source, recorder: Recorder) -> Programmer:
    """Return a programmer with that watcher, without its worker."""
    return Programmer(DPID, source, watcher=recorder)


def connect_watched(programmer: Programmer, recorder: Recorder, *pieces: Flow | Group) -> Switch:
    """Connect a switch that holds ``pieces``; the watcher is told when something is sent."""
    switch = connect(programmer, Contents.of(pieces))
    switch.before_commit = lambda: recorder.told.append(SENT)
    return switch


def test_a_watcher_hears_before_something_is_sent_and_when_it_is_confirmed(
    watched: Programmer, recorder: Recorder, source: Source
) -> None:
    switch = connect_watched(watched, recorder)
    watched.step()
    assert recorder.take() == [
        *(("connected", set(), set()), ("may hold", BOTH, set()), SENT),
        ("holds only", BOTH, set()),
    ]
    source.table = {PortSubject(1): [flow(1, 9)]}
    for subject in BOTH:
        watched.mark(subject)
    watched.step()
    port: set[Subject] = {PortSubject(1)}
    assert recorder.take() == [("may hold", port, set()), SENT, ("holds", port, {FLOOD})]
    switch.before_commit = switch.fail
    del source.table[PortSubject(1)]
    watched.mark(PortSubject(1))
    watched.step()
    watched.disconnected(switch.datapath)
    assert [told for told, _, _ in recorder.take()] == ["may hold", "failed", "lost"]


def test_while_strays_are_held_back_nothing_is_confirmed(
    watched: Programmer, recorder: Recorder
) -> None:
    connect_watched(watched, recorder, flow(9))
    watched.step()
    watched.mark(FLOOD)
    watched.step()
    assert [told for told, _, _ in recorder.take()] == ["connected", "may hold", "sent", "may hold"]
    watched.ovsdb_read()
    watched.step()
    assert recorder.take()[1:] == [SENT, ("holds only", BOTH, set())]


def test_what_changes_while_the_watcher_waits_is_not_sent_as_it_was(
    watched: Programmer, recorder: Recorder, source: Source
) -> None:
    switch = connect_watched(watched, recorder)

    def change() -> None:
        source.table = {PortSubject(2): [flow(2)]}
        for subject in (*BOTH, PortSubject(2)):
            watched.mark(subject)

    recorder.waits = [change]
    watched.step()
    assert switch.holds == Contents.of([flow(2)])
    source.table[PortSubject(2)] = [flow(2, 7)]
    watched.mark(PortSubject(2))

    def clear() -> None:
        source.table.clear()
        watched.mark(PortSubject(2))
        watched.mark(PortSubject(3))

    recorder.waits = [clear]
    watched.step()
    assert switch.holds == Contents()
    assert recorder.take()[-1] == ("holds", set(), {PortSubject(2), PortSubject(3)})
    assert watched.synced


def test_nothing_is_sent_by_a_connection_that_was_replaced_while_the_watcher_waited(
    watched: Programmer, recorder: Recorder
) -> None:
    first = connect_watched(watched, recorder)
    second = Switch(Contents())
    recorder.waits = [lambda: watched.connected(second)]
    watched.step()
    assert not first.plans
    watched.step()
    assert second.plans


def test_nothing_is_sent_that_could_not_be_recorded(
    watched: Programmer, recorder: Recorder, source: Source
) -> None:
    switch = connect_watched(watched, recorder)
    recorder.waits = [switch.fail]
    assert watched.step() > 0
    assert not switch.plans
    watched.step()
    assert switch.holds == pieces(source)


def test_a_subject_that_is_left_out_counts_as_filled(
    watched: Programmer, recorder: Recorder, source: Source
) -> None:
    """Other subjects of its network are on the switch."""
    switch = connect_watched(watched, recorder)
    watched.step()
    recorder.take()

    def refuse() -> None:
        if any(isinstance(piece, Group) for piece in switch.plans[-1].groups_to_modify):
            raise Refused("no", [Refusal(7, "no room")])

    switch.before_commit = refuse
    source.table[FLOOD] = flood(1, 9)
    watched.mark(FLOOD)
    while not watched.synced:
        watched.step()
    assert switch.holds == Contents.of([flow(1)])
    assert recorder.take()[-1] == ("holds only", BOTH, set())


def test_nothing_is_sent_when_nothing_differs(programmer: Programmer) -> None:
    switch = connect(programmer)
    programmer.step()
    programmer.mark(PortSubject(1))
    programmer.mark(PortSubject(5))
    programmer.step()
    assert programmer.synced
    assert len(switch.plans) == 1


def test_subject_gone_and_back(programmer: Programmer, source: Source) -> None:
    switch = connect(programmer)
    programmer.step()
    del source.table[FLOOD]
    programmer.mark(FLOOD)
    programmer.step()
    assert switch.holds == Contents.of([flow(1)])
    source.table[FLOOD] = flood(3)
    programmer.mark(FLOOD)
    programmer.step()
    assert switch.holds == pieces(source)


def test_others_run_while_much_is_computed_and_what_they_change_is_sent(
    programmer: Programmer, source: Source
) -> None:
    last = PortSubject(3 * TURN)
    source.table = {PortSubject(n): [flow(n)] for n in range(1, last.port_no + 1)}
    switch = connect(programmer)

    def change() -> None:
        while PortSubject(1) not in source.computed:
            hub.sleep(0)
        assert last not in source.computed, "nobody else has run"
        source.table[PortSubject(1)] = []
        source.table[last] = [flow(1, 9)]
        for subject in (last, PortSubject(1)):
            programmer.mark(subject)

    changing = hub.spawn(change)
    programmer.step()
    changing.wait()
    assert programmer.synced
    assert switch.holds == pieces(source)
    assert len(switch.plans) == 1


def test_flow_that_passes_from_one_subject_to_another(
    programmer: Programmer, source: Source
) -> None:
    switch = connect(programmer)
    programmer.step()
    source.table[PortSubject(2)] = source.table.pop(PortSubject(1))
    programmer.mark(PortSubject(1))
    programmer.mark(PortSubject(2))
    programmer.step()
    assert len(switch.plans) == 1
    assert switch.holds == pieces(source)


def test_marks_without_a_connection_are_not_collected(programmer: Programmer) -> None:
    programmer.mark(PortSubject(1))
    assert not programmer._dirty


def test_restart_sends_only_the_difference(programmer: Programmer, source: Source) -> None:
    holds = Contents.of([flow(1), *flood(1)])
    switch = connect(programmer, holds)
    programmer.step()
    assert switch.plans == [Plan(groups_to_modify=(Group(7, (1, 2)),))]
    assert switch.holds == pieces(source)


def test_strays_wait_for_the_ovsdb(
    programmer: Programmer, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    foreign = flow(8)._replace(cookie=0x200)
    switch = connect(programmer, Contents.of([flow(1, 5), flow(9), foreign, Group(4, ())]))
    programmer.step()
    expected = "switch 00000000000000ab: full sync: 1 flows added, 1 changed, 0 deleted, 1 strays"
    assert expected in caplog.text
    source.table[PortSubject(2)] = [flow(2)]
    programmer.mark(PortSubject(2))
    programmer.step()
    assert key(flow(9)) in switch.holds.flows
    assert programmer.wait_synced(0) and not programmer.wait_rid(0)
    programmer.ovsdb_read()
    assert not programmer.synced
    programmer.step()
    assert programmer.wait_rid(0)
    assert switch.plans[-1] == Plan(flows_to_delete=packed(flow(9)))
    assert switch.holds == Contents.of([foreign, Group(4, ()), *pieces_of(source)])
    assert programmer.counters.full_syncs == 2


def test_what_names_a_port_that_is_gone_does_not_wait_for_the_ovsdb(
    programmer: Programmer, source: Source
) -> None:
    by_group = flow(9)._replace(match=Match(tunnel_id=9), actions=(ToGroup(9),))
    left = flow(7)._replace(match=Match(in_port=70))
    source.port_numbers = {1, 2, 70}
    switch = connect(programmer, Contents.of([left, by_group, Group(9, (2, 3))]))
    programmer.step()
    assert key(left) in switch.holds.flows
    assert key(by_group) not in switch.holds.flows and 9 not in switch.holds.groups
    source.port_numbers = {1, 2}
    programmer.mark(PortSubject(70))
    programmer.step()
    assert key(left) not in switch.holds.flows


def pieces_of(source: Source) -> Iterator[Piece]:
    for some in source.table.values():
        yield from some


def test_ovsdb_read_without_strays_needs_no_sync(programmer: Programmer) -> None:
    connect(programmer)
    programmer.step()
    programmer.ovsdb_read()
    assert programmer.synced


def test_ovsdb_read_before_the_connection(programmer: Programmer, source: Source) -> None:
    programmer.ovsdb_read()
    switch = connect(programmer, Contents.of([flow(9)]))
    programmer.step()
    assert switch.holds == pieces(source)


def test_stray_that_becomes_desired_may_go_later(programmer: Programmer, source: Source) -> None:
    switch = connect(programmer, Contents.of([flow(9)]))
    programmer.step()
    source.table[PortSubject(9)] = [flow(9)]
    programmer.mark(PortSubject(9))
    programmer.step()
    assert len(switch.plans) == 1
    del source.table[PortSubject(9)]
    programmer.mark(PortSubject(9))
    programmer.step()
    assert key(flow(9)) not in switch.holds.flows


def test_refused_bundle_leads_to_a_full_sync(programmer: Programmer, source: Source) -> None:
    switch = connect(programmer)
    programmer.step()
    switch.before_commit = switch.fail
    source.table[PortSubject(1)] = [flow(1, 9)]
    programmer.mark(PortSubject(1))
    assert programmer.step() == FIRST_PAUSE
    assert not programmer.synced
    switch.before_commit = lambda: None
    assert programmer.step() == 0
    assert switch.holds == pieces(source)
    assert programmer.counters.full_syncs == 2


def test_what_was_sent_but_not_confirmed_may_be_deleted(
    programmer: Programmer, source: Source
) -> None:
    switch = connect(programmer)
    programmer.step()

    def done_but_no_answer() -> None:
        switch.holds.apply(switch.plans[-1])
        raise SwitchError("no answer")

    switch.before_commit = done_but_no_answer
    source.table[PortSubject(2)] = [flow(2)]
    programmer.mark(PortSubject(2))
    programmer.step()
    assert key(flow(2)) in switch.holds.flows
    switch.before_commit = lambda: None
    del source.table[PortSubject(2)]
    programmer.step()
    assert switch.holds == pieces(source)


def test_pauses_grow_to_a_cap_and_the_cause_is_logged_once(
    programmer: Programmer, caplog: pytest.LogCaptureFixture
) -> None:
    switch = connect(programmer)
    switch.before_commit = switch.fail
    pauses = [programmer.step() for _ in range(30)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert [r.getMessage() for r in errors] == ["switch 00000000000000ab: no; trying again"]
    assert errors[0].exc_info is None
    connect(programmer, switch.holds)
    assert programmer.step() == 0


def test_source_that_raises_is_logged_with_its_trace(
    programmer: Programmer, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(dpid: int) -> list[Subject]:
        raise KeyError("oops")

    working, source.subjects = source.subjects, broken  # type: ignore[method-assign]
    switch = connect(programmer)
    assert programmer.step() == FIRST_PAUSE
    assert "Traceback" in caplog.text
    source.subjects = working  # type: ignore[method-assign]
    assert programmer.step() == 0
    assert switch.holds == pieces(source)


def test_change_during_a_bundle_is_done_next(programmer: Programmer, source: Source) -> None:
    switch = connect(programmer)

    def change() -> None:
        switch.before_commit = lambda: None
        source.table[PortSubject(1)] = [flow(1, 9)]
        programmer.mark(PortSubject(1))

    switch.before_commit = change
    programmer.step()
    assert not programmer.synced
    programmer.step()
    assert programmer.synced
    assert switch.holds == pieces(source)


@pytest.mark.parametrize("moment", ["before_commit", "after_read"])
def test_reconnect_during_a_sync(programmer: Programmer, source: Source, moment: str) -> None:
    old = connect(programmer)
    replaced: list[Switch] = []
    setattr(old, moment, lambda: replaced.append(connect(programmer)))
    assert programmer.step() == 0
    assert not programmer.synced
    old.before_commit = old.after_read = lambda: None
    programmer.step()
    assert programmer.synced
    assert replaced[0].holds == pieces(source)


def test_what_was_desired_is_known_across_a_reconnect(
    programmer: Programmer, source: Source
) -> None:
    switch = connect(programmer)
    programmer.step()
    programmer.disconnected(switch.datapath)
    assert not programmer.synced
    del source.table[PortSubject(1)]
    again = connect(programmer, switch.holds)
    programmer.step()
    assert again.plans == [Plan(flows_to_delete=packed(flow(1)))]


def test_disconnect_of_an_old_datapath_is_ignored(programmer: Programmer) -> None:
    old = connect(programmer)
    new = connect(programmer)
    programmer.disconnected(old.datapath)
    programmer.step()
    assert programmer.synced
    programmer.disconnected(new.datapath)
    assert not programmer.synced
    assert programmer.step() == 0


def test_stop_without_a_worker_or_a_connection(programmer: Programmer) -> None:
    programmer.stop()
    connect(programmer)
    programmer.stop()
    programmer.stop()
    assert not programmer.synced


# With the worker


def wait_for(condition: Callable[[], object], what: str) -> None:
    for _ in range(2000):
        if condition():
            return
        hub.sleep(0.005)
    raise TimeoutError(f"waited 10 s for {what}")


@pytest.fixture
def working(programmer: Programmer) -> Iterator[Programmer]:
    """Return a programmer with its worker."""
    programmer.start()
    yield programmer
    programmer.stop()


def test_what_is_marked_together_goes_in_one_bundle(working: Programmer, source: Source) -> None:
    switch = connect(working)
    assert working.wait_synced(5)
    for port in range(10, 20):
        source.table[PortSubject(port)] = [flow(port)]
        working.mark(PortSubject(port))
    assert working.wait_synced(5)
    assert len(switch.plans) == 2
    assert switch.holds == pieces(source)


def test_worker_waits_for_what_others_are_about_to_mark(
    working: Programmer, source: Source
) -> None:
    switch = connect(working)
    assert working.wait_synced(5)

    def mark_in_two_turns() -> None:
        for port in (10, 11):
            source.table[PortSubject(port)] = [flow(port)]
            working.mark(PortSubject(port))
            hub.sleep(0)

    hub.spawn(mark_in_two_turns).wait()
    assert working.wait_synced(5)
    assert len(switch.plans) == 2


def test_worker_survives_and_tries_again(
    working: Programmer, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programmer_module, "FIRST_PAUSE", 0.001)
    switch = connect(working)

    def fail_thrice() -> None:
        if len(switch.plans) <= 3:
            raise ValueError("unforeseen")

    switch.before_commit = fail_thrice
    assert working.wait_synced(5)
    assert len(switch.plans) == 4
    assert switch.holds == pieces(source)


def test_reconnect_ends_the_pause(
    working: Programmer, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programmer_module, "FIRST_PAUSE", 1000.0)
    old = connect(working)
    old.before_commit = old.fail
    wait_for(lambda: old.plans, "the first bundle")
    hub.sleep(0)
    working.mark(PortSubject(1))
    assert not working.wait_synced(0.02)
    assert len(old.plans) == 1
    new = connect(working)
    assert working.wait_synced(5)
    assert new.holds == pieces(source)
