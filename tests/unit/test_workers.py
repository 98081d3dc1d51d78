"""``Workers``: work for one switch, again and again until it is done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ryu_l2iso import workers as workers_module
from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.framework import hub
from ryu_l2iso.workers import MAX_BACKOFF, MIN_BACKOFF, Workers
from tests.functional.ovs import wait_until


class Work:
    """Work whose outcomes are given: for each run an error, or None for success.

    ``done`` holds the dpids in the order in which their work was begun.
    """

    def __init__(self, *outcomes: Exception | None) -> None:
        self.done: list[int] = []
        self._outcomes = list(outcomes)
        self.gate = hub.Event()
        self.gate.set()

    def __call__(self, dpid: int) -> None:
        self.done.append(dpid)
        outcome = self._outcomes.pop(0) if self._outcomes else None
        assert self.gate.wait(5), "nobody opened the gate"
        if outcome is not None:
            raise outcome


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that workers make; none of them lasts."""
    made: list[float] = []

    class Event:
        def wait(self, seconds: float) -> None:
            made.append(seconds)
            hub.sleep(0)

    monkeypatch.setattr(workers_module, "hub", SimpleNamespace(spawn=hub.spawn, Event=Event))
    return made


def run(workers: Workers, dpid: int, work: Work, times: int) -> None:
    """Mark a switch and wait until its work has been done ``times`` times, and no more."""
    before = work.done.count(dpid)
    workers.mark(dpid)
    wait_until(lambda: work.done.count(dpid) - before >= times, f"{times} runs")
    for _ in range(20):
        hub.sleep(0)
    assert work.done.count(dpid) - before == times


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_is_marked_is_done_once(pauses: list[float]) -> None:
    work = Work()
    workers = Workers("working", work)
    workers.mark(1)
    workers.mark(1)
    run(workers, 1, work, 1)
    run(workers, 1, work, 1)
    run(workers, 2, work, 1)
    assert work.done == [1, 1, 2]
    assert pauses == []


def test_what_is_marked_while_the_work_runs_is_done_once_more() -> None:
    work = Work()
    workers = Workers("working", work)
    work.gate.clear()
    workers.mark(1)
    wait_until(lambda: work.done == [1], "the work to begin")
    workers.mark(1)
    workers.mark(1)
    hub.sleep(0)
    assert work.done == [1], "two at a time for one switch"
    work.gate.set()
    wait_until(lambda: work.done == [1, 1], "the second run")
    run(workers, 1, work, 1)


def test_a_switch_that_hangs_holds_up_no_other() -> None:
    work = Work()
    workers = Workers("working", work)
    work.gate.clear()
    workers.mark(1)
    workers.mark(2)
    wait_until(lambda: work.done == [1, 2], "both to begin")
    work.gate.set()


def test_pauses_grow_up_to_a_limit_and_begin_anew_after_success(pauses: list[float]) -> None:
    failures: list[Any] = [OVSDBError("no")] * 6
    work = Work(*failures, None, OVSDBError("no"), None)
    workers = Workers("working", work)
    run(workers, 1, work, 7)
    assert pauses == [0.5, 1, 2, 4, 8, 8]
    assert (pauses[0], pauses[-1]) == (MIN_BACKOFF, MAX_BACKOFF)
    run(workers, 1, work, 2)
    assert pauses[6:] == [MIN_BACKOFF]


def test_why_it_fails_is_logged_once_until_that_changes(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    full, away = OVSDBError("full"), OVSDBError("away")
    work = Work(full, full, away, away, full, None, full, None)
    workers = Workers("working", work)
    run(workers, 0xAB, work, 6)
    line = "switch 00000000000000ab: working: "
    assert warnings(caplog) == [f"{line}full", f"{line}away", f"{line}full"]
    assert "Traceback" not in caplog.text
    run(workers, 0xAB, work, 2)
    assert warnings(caplog)[3:] == [f"{line}full"]


def test_a_mistake_in_the_program_is_logged_once_with_its_trace(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(KeyError("x"), KeyError("x"), KeyError("x"), None)
    run(Workers("working", work), 1, work, 4)
    assert warnings(caplog) == ["switch 0000000000000001: working: 'x'"]
    assert caplog.text.count("Traceback") == 1
    assert "KeyError: 'x'" in caplog.text


def test_success_ends_a_row_of_failures_also_for_a_worker_that_goes_on(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[Exception | None] = [OVSDBError("no"), OVSDBError("no"), None, OVSDBError("no")]

    def work(dpid: int) -> None:
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome
        if outcomes:
            workers.mark(dpid)

    workers = Workers("working", work)
    workers.mark(1)
    wait_until(lambda: len(pauses) == 3, "the third failure")
    assert pauses == [0.5, 1, 0.5]
    assert warnings(caplog) == ["switch 0000000000000001: working: no"] * 2


def test_who_hurries_does_not_wait_for_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "MIN_BACKOFF", 3600.0)
    work = Work(OVSDBError("away"), OVSDBError("away"), None)
    workers = Workers("working", work)
    run(workers, 1, work, 1)
    workers.mark(1)
    hub.sleep(0)
    assert work.done == [1], "a mark ends no pause"
    workers.hurry(1)
    wait_until(lambda: len(work.done) == 2, "run 2")
    workers.hurry(1)
    wait_until(lambda: len(work.done) == 3, "run 3")
    workers.hurry(1)
    wait_until(lambda: len(work.done) == 4, "the work without a pause")


def test_what_is_forgotten_before_its_turn_is_not_done(pauses: list[float]) -> None:
    work = Work()
    workers = Workers("working", work)
    workers.mark(1)
    hub.sleep(0)
    workers.forget(1)
    run(workers, 2, work, 1)
    assert work.done == [2]


def test_what_is_forgotten_is_not_tried_again(pauses: list[float]) -> None:
    work = Work(*[OVSDBError("no")] * 100)
    workers = Workers("working", work)
    workers.mark(1)
    wait_until(lambda: len(work.done) > 1, "it to be tried again")
    tried = len(work.done)
    workers.forget(1)
    workers.forget(2)
    for _ in range(20):
        hub.sleep(0)
    assert len(work.done) == tried
    workers.mark(1)
    wait_until(lambda: len(work.done) == 101, "it to be tried when it is marked again")
