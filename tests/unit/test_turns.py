"""``Turns``: some work each time that the hub looks round."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from eventlet.green import select

from ryu_l2iso.framework import hub
from ryu_l2iso.turns import IN_A_ROW, LASTING, LULL, REST, SLICE, Turns
from tests.unit.clock import Clock


class Threads:
    """Green threads that take turns again and again; ``done`` is who had one, in order.

    Each piece takes no time at all, or with ``long`` as much as there is between two looks.
    """

    def __init__(self, long: bool = False) -> None:
        self.done: list[str] = []
        self._seconds = SLICE if long else 0.0

    def start(self, name: str, turns: Turns, pieces: int) -> Any:
        def run() -> None:
            for _ in range(pieces):
                turns.take()
                self.done.append(name)
                end = time.monotonic() + self._seconds
                while time.monotonic() < end:
                    pass

        return hub.spawn(run)

    def run_under_way(self, name: str, turns: Turns, pieces: int, clock: Clock) -> None:
        """Have turns for one thing, each of which takes as much as there is between two looks."""
        with turns.under_way():
            for _ in range(pieces):
                turns.take()
                self.done.append(name)
                clock.now += SLICE

    def in_rounds(self, rounds: int) -> list[int]:
        """Let the hub look round so often; return how many turns were had each time."""
        counts = []
        for _ in range(rounds):
            before = len(self.done)
            hub.sleep(0)
            counts.append(len(self.done) - before)
        return counts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("ryu_l2iso.turns.time", clock)
    return clock


class EndlessWork:
    """A green thread that has always something to do; ``had`` is how many turns it had."""

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self.had = 0
        self._turns = turns
        self._clock = clock
        self._thread = eventlet.spawn(self._run)

    def _run(self) -> None:
        with self._turns.under_way():
            while True:
                self._turns.take()
                self.had += 1
                self._clock.now += SLICE

    def goes_on(self) -> bool:
        """Tell whether it has turns, without that the time goes on by itself."""
        before = self.had
        with eventlet.Timeout(2 * REST, False):
            while self.had < before + 3:
                eventlet.sleep(0)
        return self.had >= before + 3

    def stop(self) -> None:
        eventlet.kill(self._thread)


@pytest.fixture
def endless(clock: Clock) -> Iterator[tuple[Turns, EndlessWork]]:
    turns = Turns()
    work = EndlessWork(turns, clock)
    yield turns, work
    work.stop()


def test_of_long_pieces_one_is_done_at_a_time_in_the_order_of_asking() -> None:
    turns, threads = Turns(), Threads(long=True)
    for name in "abc":
        threads.start(name, turns, 2)
    counts = threads.in_rounds(20)
    assert threads.done == ["a", "b", "c"] * 2
    assert max(counts) == 1


def test_short_pieces_are_done_together_one_of_each_that_has_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow this machine is.
    monkeypatch.setattr("ryu_l2iso.turns.SLICE", 60.0)
    turns, threads = Turns(), Threads()
    for name in "abc":
        threads.start(name, turns, 2)
    counts = threads.in_rounds(20)
    assert threads.done == ["a", "b", "c"] * 2
    assert [count for count in counts if count] == [3, 3]


def test_who_is_alone_waits_for_what_is_due_and_no_longer() -> None:
    turns, threads = Turns(), Threads()
    threads.start("a", turns, 3)
    # One round to begin, two for each turn.
    assert sum(threads.in_rounds(1 + 3 * 2)) == 3


def test_work_holds_up_no_other_sort_of_work() -> None:
    facts, work, threads = Turns(), Turns(), Threads(long=True)
    for _ in range(50):
        threads.start("work", work, 1)
    threads.start("fact", facts, 1)
    threads.in_rounds(5)
    assert threads.done.index("fact") <= 2


def test_who_is_killed_while_it_waits_holds_up_nobody() -> None:
    turns, threads = Turns(), Threads()
    threads.start("a", turns, 1)
    killed = threads.start("b", turns, 1)
    threads.start("c", turns, 1)
    hub.sleep(0)
    hub.kill(killed)
    threads.in_rounds(10)
    assert threads.done == ["a", "c"]


def test_who_fails_in_its_turn_holds_up_nobody() -> None:
    def fail() -> None:
        turns.take()
        raise ValueError("on purpose")

    turns, threads = Turns(), Threads(long=True)
    eventlet.spawn(fail)
    for name in "ab":
        threads.start(name, turns, 1)
    threads.in_rounds(10)
    assert threads.done == ["a", "b"]


def test_who_waits_no_more_is_not_woken_by_its_turn() -> None:
    def give_up() -> None:
        with eventlet.Timeout(0, False):
            turns.take()
        eventlet.Event().wait()
        threads.done.append("woken")

    turns, threads = Turns(), Threads(long=True)
    threads.start("a", turns, 2)
    waits = eventlet.spawn(give_up)
    threads.start("b", turns, 1)
    threads.in_rounds(10)
    eventlet.kill(waits)
    assert threads.done == ["a", "b", "a"]


def test_a_file_that_was_ready_beside_another_is_no_turn() -> None:
    """eventlet's select() wakes its caller for the second one in whatever he waits for next."""
    turns = Turns()
    done: list[object] = []
    pairs = [socket.socketpair() for _ in range(2)]
    try:
        thread = hub.spawn(_select_and_take, turns, [receive for receive, _ in pairs], done)
        hub.sleep(0)
        for _, send in pairs:
            send.send(b"x")
        with eventlet.Timeout(5):
            thread.wait()
    finally:
        for pair in pairs:
            pair[0].close()
            pair[1].close()
    assert done == ["turn", ([], [], [])]


def _select_and_take(turns: Turns, files: list[socket.socket], done: list[Any]) -> None:
    select.select(files, [], [])
    turns.take()
    done.append("turn")
    done.append(select.select([], [], [], 0.05))


def test_work_that_does_not_end_rests_while_orders_keep_coming(
    endless: tuple[Turns, EndlessWork], clock: Clock
) -> None:
    turns, work = endless
    turns.ordered()
    assert work.goes_on()
    clock.now += LASTING
    turns.ordered()
    assert not work.goes_on()
    # Once, and then it rests again.
    before = work.had
    clock.now += REST
    turns.ordered()
    assert not work.goes_on()
    assert work.had > before


def test_work_goes_on_when_orders_come_no_more(
    endless: tuple[Turns, EndlessWork], clock: Clock
) -> None:
    turns, work = endless
    assert work.goes_on()
    clock.now += LASTING
    assert work.goes_on()
    turns.ordered()
    assert not work.goes_on()
    clock.now += LULL
    assert work.goes_on()


def test_work_that_ends_before_the_next_order_rests_for_nothing(clock: Clock) -> None:
    turns, done = Turns(), []

    def run() -> None:
        with turns.under_way():
            for _ in range(3):
                turns.take()
                clock.now += SLICE
        done.append(clock.now)

    for _ in range(int(2 * LASTING / SLICE)):
        turns.ordered()
        with eventlet.Timeout(5):
            eventlet.spawn(run).wait()
    assert done[-1] > done[0] + LASTING


def test_who_waits_for_a_switch_that_does_not_answer_has_nobody_rest(clock: Clock) -> None:
    turns, threads = Turns(), Threads()

    def wait_for_ever() -> None:
        with turns.under_way():
            turns.take()
            eventlet.Event().wait()

    stuck = eventlet.spawn(wait_for_ever)
    try:
        for _ in range(20):
            clock.now += LULL - 0.01
            turns.ordered()
            eventlet.spawn(threads.run_under_way, "a", turns, 2, clock)
            threads.start("b", turns, 1)
            threads.in_rounds(8)
        assert len(threads.done) == 20 * 3
    finally:
        eventlet.kill(stuck)


def test_who_is_in_the_middle_of_something_comes_before_who_begins(clock: Clock) -> None:
    turns, threads = Turns(), Threads()

    for name in "abc":
        eventlet.spawn(threads.run_under_way, name, turns, 2, clock)
    threads.in_rounds(20)
    assert "".join(threads.done) == "aabbcc"


def test_who_has_much_to_do_does_not_hold_up_the_others_for_long(clock: Clock) -> None:
    turns, threads = Turns(), Threads()

    eventlet.spawn(threads.run_under_way, "a", turns, 3 * IN_A_ROW, clock)
    eventlet.spawn(threads.run_under_way, "b", turns, 1, clock)
    threads.in_rounds(8 * IN_A_ROW)
    assert threads.done.index("b") == IN_A_ROW
    assert len(threads.done) == 3 * IN_A_ROW + 1
