"""Work that belongs to one switch and may have to wait for it, in a green thread of its own."""

from __future__ import annotations

import logging
from typing import Any, Callable

from ryu_l2iso import turns
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.framework import hub
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

MIN_BACKOFF = 0.5
MAX_BACKOFF = 8.0
"""Seconds between attempts: the first, and the longest."""


class Workers:
    """Runs ``work(dpid)`` for the switches that are marked, one at a time for each switch.

    What is marked while the work runs is done once more.  Work that fails is tried again, with
    pauses that grow; why it fails is logged once, until that changes.
    """

    def __init__(self, what: str, work: Callable[[int], None]) -> None:
        self._what = what
        self._work = work
        self._dirty: set[int] = set()
        self._running: set[int] = set()
        # dpid → what ends the pause before the next attempt
        self._pauses: dict[int, Any] = {}

    def mark(self, dpid: int) -> None:
        """Have the work done for a switch, soon; returns at once."""
        self._dirty.add(dpid)
        if dpid not in self._running:
            self._running.add(dpid)
            hub.spawn(self._run, dpid)

    def hurry(self, dpid: int) -> None:
        """Do the work for a switch now, also if it failed before: what it lacked may be there."""
        self.mark(dpid)
        if dpid in self._pauses:
            self._pauses[dpid].set()

    def forget(self, dpid: int) -> None:
        """Give up what is still to do for a switch."""
        self._dirty.discard(dpid)

    def _run(self, dpid: int) -> None:
        pause, logged = MIN_BACKOFF, ""
        try:
            while self._is_due(dpid):
                self._dirty.discard(dpid)
                error = self._attempt(dpid)
                if error is None:
                    pause, logged = MIN_BACKOFF, ""
                    continue
                if repr(error) != logged:
                    trace = None if isinstance(error, L2IsoError) else error
                    label = dpid_to_str(dpid)
                    LOG.warning("switch %s: %s: %s", label, self._what, error, exc_info=trace)
                logged = repr(error)
                self._dirty.add(dpid)
                self._pauses[dpid] = hub.Event()
                self._pauses[dpid].wait(pause)
                del self._pauses[dpid]
                pause = min(2 * pause, MAX_BACKOFF)
        finally:
            self._running.discard(dpid)

    def _is_due(self, dpid: int) -> bool:
        """Tell whether there is anything to do for a switch, when it is its turn."""
        if dpid in self._dirty:
            turns.WORK.take()
        return dpid in self._dirty

    def _attempt(self, dpid: int) -> Exception | None:
        """Do the work; return why it failed, or None."""
        try:
            self._work(dpid)
        except Exception as error:
            return error
        return None
