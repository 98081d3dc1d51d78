"""The subjects of one switch that are left out because the switch refused something of theirs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ryu_l2iso.openflow.plan import Key
from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.state.subjects import Subject

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds until what was refused is tried again; doubled each time that it is refused again."""


class LeftOut:
    """A switch should hold nothing for these, so that all others can have theirs.

    A subject is left out as a whole, and what was there of it goes: half of what lets packets
    through may be the wrong half.  ``now`` is ``time.monotonic()`` throughout.
    """

    def __init__(self, dpid: int) -> None:
        self._dpid = dpid
        self._out: set[Subject] = set()
        # subject → what was logged of it, until it is in again
        self._logged: dict[Subject, str] = {}
        self._pause = FIRST_PAUSE
        self._until = 0.0

    def add(
        self, sent: Mapping[Subject, Sequence[Key]], refused: Mapping[Key, str], now: float
    ) -> bool:
        """Leave out the subjects of refused pieces; False if there are none: they were deletions.

        ``sent`` is subject → names of what was sent for it, ``refused`` as `Refused.by_key`.
        """
        found = {
            subject: refused[key]
            for subject, keys in sent.items()
            for key in keys
            if key in refused
        }
        if found and not self._out:
            self._until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._out.update(found)
        for subject, why in found.items():
            if self._logged.get(subject) != why:
                self._logged[subject] = why
                LOG.error("switch %016x: %s is left out: %s", self._dpid, subject, why)
        return bool(found)

    def wanted(self, subject: Subject, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Return what to send of a subject's pieces: none of one that is left out."""
        if not self._out:
            return pieces
        if not pieces:
            self._out.discard(subject)
        return () if subject in self._out else pieces

    def seconds(self, now: float) -> float | None:
        """Return when it is time to try again, in seconds from now; None if nothing is out."""
        return max(self._until - now, 0.001) if self._out else None

    def end(self, now: float) -> bool:
        """Let all in that are out, if it is time to; tell whether that is so."""
        due = bool(self._out) and now >= self._until
        if due:
            self._out.clear()
        return due

    def begin_anew(self) -> None:
        """Let all in that are out: the switch may be another one now."""
        self._out.clear()
        self._pause = FIRST_PAUSE

    def confirmed(self) -> None:
        """Note that the switch holds what is desired of all subjects that are not left out."""
        for subject in self._logged.keys() - self._out:
            del self._logged[subject]
            LOG.info("switch %016x: %s is no longer left out", self._dpid, subject)
        if not self._out:
            self._pause = FIRST_PAUSE
