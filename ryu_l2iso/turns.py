"""Long work in short pieces, so that who asks for little is answered at once.

A green thread that has something long to do takes a turn before each piece of it.  Of each sort
of work `SLICE` seconds are done between two looks of the hub at its sockets and timers, one piece
at least, whoever's it is; those that wait come in the order in which they asked.  So an echo or a
REST call waits for a few pieces and not for those of five hundred switches, and facts that come
while work waits are dealt with together: the more there is to do, the more of them.  What a single
fact has to be done at some switches is done at once, before anybody deals with their answers.  Who
is alone waits for nothing.
"""

from __future__ import annotations

import time
from typing import Any

import eventlet
from eventlet.hubs import get_hub

SLICE = 0.003
"""Seconds of one sort of work after which no further piece is begun before the hub looks round."""


class Turns:
    """Lets those who wait go on, some each time that the hub has looked round."""

    def __init__(self) -> None:
        # In the order in which they asked
        self._waiting: dict[Any, None] = {}
        self._is_due = False

    def take(self) -> None:
        """Return when it is the caller's turn, at the earliest after all that is due now."""
        thread = eventlet.getcurrent()
        self._waiting[thread] = None
        self._schedule()
        try:
            # eventlet's select() wakes its caller for each file that is ready, wherever he is by
            # then: that is no turn.
            while thread in self._waiting:
                get_hub().switch()
        finally:
            # It was killed, or has waited for too long.
            self._waiting.pop(thread, None)

    def _schedule(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            get_hub().schedule_call_global(0, self._next)

    def _next(self) -> None:
        self._is_due = False
        waiting, end = len(self._waiting), time.monotonic() + SLICE
        try:
            # Those that ask from now on come after what is due by then.
            while waiting and self._waiting and time.monotonic() < end:
                waiting -= 1
                thread = next(iter(self._waiting))
                del self._waiting[thread]
                thread.switch()
        finally:
            self._schedule()


FACTS = Turns()
"""To read what switches tell."""

WORK = Turns()
"""To compute and send what they should hold: by its own turns it holds up no facts."""
