"""Long work in short pieces, so that who asks for little is answered at once.

A green thread that has something long to do takes a turn before each piece of it.  Of each sort
of work `SLICE` seconds are done between two looks of the hub at its sockets and timers, one piece
at least, whoever's it is; those that wait come in the order in which they asked.  So an echo or a
REST call waits for a few pieces and not for those of five hundred switches, and facts that come
while work waits are dealt with together: the more there is to do, the more of them.  What a single
fact has to be done at some switches is done at once, before anybody deals with their answers.  Who
is alone waits for nothing.

A switch that is dealt with after each of many orders costs far more than one that is dealt with
after all of them.  So work that does not come to its end while orders keep coming is done in
`LONG_SLICE`s with `REST`s between them, which leave the time to the orders, and what waits grows
meanwhile.  What orders ask for one by one comes to its end each time, and rests for nothing; who
only waits for a switch that does not answer has no part in that.

Who is in the middle of something comes before those who begin, so that what is half done is not in
memory for all of them at once; yet after `IN_A_ROW` turns he waits with the others.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import eventlet
from eventlet.hubs import get_hub

SLICE = 0.003
"""Seconds of one sort of work after which no further piece is begun before the hub looks round."""

IN_A_ROW = 8
"""Turns that may be had before those who begin."""

LONG_SLICE = 0.01
REST = 0.1
"""The same while orders keep coming, and the seconds after it in which none is begun."""

LASTING = 0.5
"""Seconds that work is under way before it rests at all, and that count of who asks for no turn."""

LULL = 0.15
"""Seconds without an order after which it rests no more."""


class Turns:
    """Lets those who wait go on, some each time that the hub has looked round."""

    def __init__(self) -> None:
        # Those in the middle of something, and the others, each in the order in which they asked
        self._going_on: dict[Any, None] = {}
        self._waiting: dict[Any, None] = {}
        self._is_due = False
        # Who has something to do, with the turns that he had for it; since when anybody has
        self._busy: dict[Any, int] = {}
        self._busy_since = 0.0
        # When each of them was seen last; who waits for a turn is seen all the time
        self._seen: dict[Any, float] = {}
        self._last_order = -LULL
        self._rested = 0.0

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Count the caller as one that has something to do, while inside."""
        thread = eventlet.getcurrent()
        self._busy[thread] = 0
        self._is_seen(thread, time.monotonic())
        try:
            yield
        finally:
            del self._busy[thread], self._seen[thread]

    def ordered(self) -> None:
        """Note that somebody has asked for what makes work."""
        self._last_order = time.monotonic()

    def take(self) -> None:
        """Return when it is the caller's turn, at the earliest after all that is due now."""
        thread = eventlet.getcurrent()
        had = self._busy.get(thread, 0)
        if thread in self._busy:
            self._busy[thread] += 1
            self._is_seen(thread, math.inf)
        queue = self._going_on if had % IN_A_ROW else self._waiting
        queue[thread] = None
        self._schedule()
        try:
            # eventlet's select() wakes its caller for each file that is ready, wherever he is by
            # then: that is no turn.
            while thread in queue:
                get_hub().switch()
        finally:
            # It was killed, or has waited for too long.
            queue.pop(thread, None)
            if thread in self._busy:
                self._is_seen(thread, time.monotonic())

    def _is_seen(self, thread: Any, until: float) -> None:
        now = time.monotonic()
        if not self._is_under_way(now):
            self._busy_since = now
        self._seen[thread] = until

    def _is_under_way(self, now: float) -> bool:
        return any(now < seen + LASTING for seen in self._seen.values())

    def _schedule(self) -> None:
        if (self._going_on or self._waiting) and not self._is_due:
            self._is_due = True
            now = time.monotonic()
            pause = min(self._rested, self._last_order + LULL) - now if self._rests(now) else 0.0
            get_hub().schedule_call_global(max(pause, 0.0), self._next)

    def _rests(self, now: float) -> bool:
        lasts = self._is_under_way(now) and now >= self._busy_since + LASTING
        return lasts and now < self._last_order + LULL

    def _next(self) -> None:
        self._is_due = False
        now = time.monotonic()
        rests = self._rests(now)
        end = now + (LONG_SLICE if rests else SLICE)
        waiting = len(self._going_on) + len(self._waiting)
        try:
            # An order that came meanwhile makes the rest longer.
            if rests and now < self._rested:
                return
            # Those that ask from now on come after what is due by then.
            while waiting and time.monotonic() < end:
                waiting -= 1
                queue = self._going_on or self._waiting
                if queue:
                    thread = next(iter(queue))
                    del queue[thread]
                    thread.switch()
            self._rested = time.monotonic() + REST
        finally:
            self._schedule()


FACTS = Turns()
"""To read what switches tell."""

WORK = Turns()
"""To compute and send what they should hold: by its own turns it holds up no facts."""
