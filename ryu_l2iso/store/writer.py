"""Has the records that change written, and tells who waits for it.

All that has changed while a transaction was on its way goes into the next: the disk is asked as
seldom as it is slow.  The store works in a native thread, and no green one waits for it unasked.

What cannot be written comes in two kinds.  *Orders* are what somebody asked for and still waits
for the answer to: they are taken back, all that are not on disk, for each may build on those
before.  *Facts* are true whatever the disk does: they stay due, and are written when it works
again.  There is at most one change due of each record, so what is due does not grow with time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from eventlet import tpool

from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.framework import hub
from ryu_l2iso.state.records import (
    OF_PORTS,
    Record,
    RecordChanges,
    RecordId,
    Value,
    applied,
    merge,
)
from ryu_l2iso.store import Store

LOG = logging.getLogger(__name__)

TIMEOUT = 20.0
"""Seconds that the disk may take before who waits is told that it is not known."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between two attempts to write facts; orders are tried at once."""


@dataclass
class _Outcome:
    """What becomes of one transaction."""

    event: Any = field(default_factory=hub.Event)
    error: StoreError | None = None

    def settle(self, error: StoreError | None = None) -> None:
        self.error = error
        self.event.set()

    def wait(self) -> None:
        if not self.event.wait(TIMEOUT):
            raise StoreError("the disk does not answer; what was asked for may yet be done")
        if self.error is not None:
            raise self.error


class Writer:
    """Writes to a store; a green thread does it, from `start` to `close`."""

    def __init__(self, store: Store, undo: Callable[[Sequence[Record]], None]) -> None:
        """Take what to call with the records that orders which failed had before.

        ``undo`` must not block; what it changes is `add`ed before it returns.
        """
        self._store = store
        self._undo = undo
        self._due: RecordChanges = {}
        self._writing: RecordChanges = {}
        # Orders that are not on disk, in order of time, each with what becomes of it
        self._orders: list[tuple[RecordChanges, _Outcome]] = []
        self._current = _Outcome()
        self._next = _Outcome()
        # The last change that was added, that is being written or on disk, and that is on disk
        self._added = -1
        self._begun = -1
        self._written = -1
        self._wake = hub.Event()
        self._pause = 0.0
        self._closing = False
        self._thread: Any = None

    def start(self) -> None:
        """Spawn the green thread."""
        self._thread = hub.spawn(self._run)

    def add(self, changes: RecordChanges, ordered: bool = False, number: int = -1) -> None:
        """Have changes of records written soon; ``ordered`` if somebody asked for them.

        ``number`` is that of the change of the state, higher each time; -1 at the start.
        """
        self._added = max(self._added, number)
        if not changes:
            return
        # The pause ends by itself only for what was due when it began.
        pauses = bool(self._pause and self._due)
        merge(self._due, changes)
        if ordered:
            self._orders.append((changes, self._next))
        if ordered or not pauses:
            self._wake.set()

    def wait(self, number: int | None = None) -> None:
        """Return when all that was added so far is on disk; raises StoreError if it is not.

        With a ``number``, when what was added up to that is: who waits for what is being written
        does not wait for what came meanwhile, so some go on while others are written.
        """
        if self._due and (number is None or number > self._begun):
            self._wake.set()
            self._next.wait()
        elif self._writing and (number is None or number > self._written):
            self._current.wait()

    def wait_for_orders(self) -> None:
        """Return when all orders so far are on disk; raises StoreError when they were undone."""
        if self._orders:
            self._orders[-1][1].wait()

    def close(self, deadline: float) -> None:
        """Write what is due, for at most ``deadline`` seconds, and close the store."""
        self._closing = True
        self._wake.set()
        done = hub.Event()
        if self._thread is not None:
            self._thread.link(lambda _thread: done.set())
            if not done.wait(deadline):
                LOG.error("the disk has not answered in time: %d changes are lost", len(self._due))
                return
        self._store.close()

    def _run(self) -> None:
        while self._due or self._orders or not self._closing:
            if not self._closing:
                self._wake.wait((self._pause or None) if self._due else None)
            self._wake.clear()
            # What was changed by others in this turn of the hub goes into one transaction.
            hub.sleep(0)
            if not self._step() and self._closing:
                LOG.error("%d changes are lost", len(self._due))
                return

    def _step(self) -> bool:
        """Write all that is due; tell whether it is on disk."""
        self._writing, self._due = self._due, {}
        self._current, self._next = self._next, _Outcome()
        self._begun = self._added
        if self._writing:
            try:
                tpool.execute(self._store.apply, applied(self._writing))
            except Exception as error:
                self._failed(error)
                return False
            if self._pause:
                LOG.info("what changed is written again")
            self._pause = 0.0
        self._writing, self._written = {}, self._begun
        self._orders = [order for order in self._orders if order[1] is not self._current]
        self._current.settle()
        return True

    def _failed(self, error: Exception) -> None:
        """Take back what was ordered, keep the rest due, and tell who waits."""
        if not self._pause:
            trace = None if isinstance(error, StoreError) else error
            LOG.error("what changed is not kept: %s; trying again", error, exc_info=trace)
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        failed = (self._current, self._next)
        self._next = _Outcome()
        self._wake.clear()
        due, self._writing, self._begun = self._writing, {}, self._written
        merge(due, self._due)
        self._due = due
        undone = self._before_orders()
        self._orders = []
        try:
            self._undo([Record(*record_id, value) for record_id, value in undone.items()])
        except Exception:
            LOG.exception("what was asked for and could not be kept is not all undone")
        for outcome in failed:
            outcome.settle(StoreError(f"it cannot be kept, and is not done: {error}"))

    def _before_orders(self) -> dict[RecordId, Value | None]:
        """Return what the records of all orders were before, but those that a fact changed since.

        Ports as OpenFlow tells of them are no order's: one only decides whether they are kept.
        """
        before: dict[RecordId, Value | None] = {}
        for changes, _ in reversed(self._orders):
            for record_id, change in changes.items():
                if record_id in before:
                    latest = before[record_id]
                elif record_id in self._due:
                    latest = self._due[record_id].new
                else:
                    continue
                if record_id.table is not OF_PORTS and latest == change.new:
                    before[record_id] = change.old
        return before
