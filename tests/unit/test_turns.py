"""``Turns``: some work each time that the hub looks round."""

from __future__ import annotations

import socket
import time
from typing import Any

import eventlet
import pytest
from eventlet.green import select

from ryu_l2iso.framework import hub
from ryu_l2iso.turns import SLICE, Turns


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

    def in_rounds(self, rounds: int) -> list[int]:
        """Let the hub look round so often; return how many turns were had each time."""
        counts = []
        for _ in range(rounds):
            before = len(self.done)
            hub.sleep(0)
            counts.append(len(self.done) - before)
        return counts


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
    turns, done = Turns(), []
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
