"""Work that belongs to one switch and may have to wait for it, in a green thread of its own."""

from __future__ import annotations

import logging
from typing import Callable

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

    def mark(self, dpid: int) -> None:
        """Have the work done for a switch, soon; returns at once."""
        self._dirty.add(dpid)
        if dpid not in self._running:
            self._running.add(dpid)
            hub.spawn(self._run, dpid)

    def forget(self, dpid: int) -> None:
        """Give up what is still to do for a switch."""
        self._dirty.discard(dpid)

    def _run(self, dpid: int) -> None:
        pause, logged = MIN_BACKOFF, ""
        try:
            while dpid in self._dirty:
                self._dirty.discard(dpid)
                error = self._attempt(dpid)
                if error is None:
                    pause, logged = MIN_BACKOFF, ""
                    continue
                if error != logged:
                    LOG.warning("switch %s: %s: %s", dpid_to_str(dpid), self._what, error)
                logged = error
                self._dirty.add(dpid)
                hub.sleep(pause)
                pause = min(2 * pause, MAX_BACKOFF)
        finally:
            self._running.discard(dpid)

    def _attempt(self, dpid: int) -> str | None:
        """Do the work; return why it failed, or None."""
        try:
            self._work(dpid)
        except L2IsoError as error:
            return str(error)
        except Exception as error:
            LOG.exception("switch %s: %s failed", dpid_to_str(dpid), self._what)
            return repr(error)
        return None
