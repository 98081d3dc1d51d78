"""Programming one switch: a worker that keeps *installed* equal to *desired* (see ``plan``)."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ryu_l2iso.exceptions import L2IsoError, SwitchError
from ryu_l2iso.framework import hub
from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.plan import Contents, Key, Plan, compare, key_of, stale_flows
from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.state.subjects import PortSubject, Subject

LOG = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds that a switch may take for one read or one bundle."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between a failure and the next full sync; doubled with each failure in a row."""


class Source(Protocol):
    """Where a programmer asks what a switch should hold.  Pure and fast: it never blocks."""

    cookie: int
    cookie_mask: int
    """A flow is ours if its cookie equals ``cookie`` in the bits of ``cookie_mask``."""

    def subjects(self, dpid: int) -> Iterable[Subject]:
        """Return all subjects of a switch."""

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the ports that a switch has."""

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        """Return what the switch should hold for a subject; nothing for one that is gone."""


class Watcher:
    """Is told what a switch holds, by subject; each method does nothing unless overridden.

    No method may block.
    """

    def may_hold(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Flows for these subjects are about to be sent."""

    def holds_none(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """The switch has confirmed that it holds nothing for these subjects."""

    def holds_only(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """The switch has confirmed that it holds nothing for any other subjects."""


@dataclass
class Counters:
    """What a programmer has sent since it was made."""

    flow_mods: int = 0
    group_mods: int = 0
    meter_mods: int = 0
    bundles: int = 0
    full_syncs: int = 0


class Programmer:
    """Keeps one switch as its source wants it; ``start`` spawns the worker.

    What is known and changes only here:
    ``_installed``: what the switch holds, by its own account;
    ``_keys``: subject → names of the pieces that were last confirmed for it;
    ``_known``: the names of all that was ever desired and may still be on the switch.
    """

    def __init__(
        self, dpid: int, source: Source, timeout: float = TIMEOUT, watcher: Watcher | None = None
    ) -> None:
        """Take ``timeout``, in seconds, as what the switch may take for one answer."""
        self._watcher = watcher or Watcher()
        self.counters = Counters()
        self._dpid = dpid
        self._source = source
        self._timeout = timeout
        self._connection: Connection | None = None
        self._installed = Contents()
        self._keys: dict[Subject, frozenset[Key]] = {}
        self._known: set[Key] = set()
        self._dirty: set[Subject] = set()
        self._full = False
        self._busy = False
        self._held = 0
        self._ovsdb_read = False
        self._failures = 0
        self._last_error = ""
        self._wake = hub.Event()
        self._hurry = hub.Event()
        self._settled = hub.Event()
        self._thread: Any = None

    # What happens to a switch: recorded here, dealt with by the worker

    def connected(self, connection: Connection) -> None:
        """Use ``connection`` from now on; a full sync is due."""
        if self._connection is not None:
            self._connection.close()
        self._connection = connection
        self._failures = 0
        self._request_full_sync()
        self._hurry.set()

    def disconnected(self, datapath: Any) -> None:
        """Forget the connection, unless the switch has come back by another one meanwhile."""
        if self._connection is not None and self._connection.datapath is datapath:
            self._connection.close()
            self._connection = None
            self._settled.clear()

    def mark(self, subject: Subject) -> None:
        """Record that what the switch should hold for ``subject`` may have changed."""
        if self._held and self._is_gone(subject):
            # What is held back may be about that port.
            self._request_full_sync()
        if self._connection is not None:
            self._dirty.add(subject)
            self._settled.clear()
            self._wake.set()

    def _is_gone(self, subject: Subject) -> bool:
        ports = self._source.ports(self._dpid)
        return isinstance(subject, PortSubject) and subject.port_no not in ports

    def ovsdb_read(self) -> None:
        """Record that all that the switch's OVSDB tells is known: strays may be deleted."""
        self._ovsdb_read = True
        if self._held:
            self._request_full_sync()

    def received(self, msg: Any) -> None:
        """Hand a message of the switch to the connection that it came by."""
        if self._connection is not None and self._connection.datapath is msg.datapath:
            self._connection.received(msg)

    def _request_full_sync(self) -> None:
        self._full = True
        self._settled.clear()
        self._wake.set()

    # The worker

    def start(self) -> None:
        """Spawn the worker."""
        self._thread = hub.spawn(self._work)

    def stop(self) -> None:
        """End the worker; the switch keeps what it has."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._thread is not None:
            hub.kill(self._thread)
            self._thread = None

    @property
    def synced(self) -> bool:
        """Return whether the switch is connected and has confirmed all that is desired."""
        due = self._full or self._busy or self._dirty
        return self._connection is not None and not due

    def wait_synced(self, deadline: float) -> bool:
        """Wait until ``synced``, for ``deadline`` seconds at most; return whether it is."""
        return self.synced or bool(self._settled.wait(deadline))

    def _work(self) -> None:
        while True:
            self._wake.wait()
            # What was marked together by others in this turn of the hub goes in one bundle.
            hub.sleep(0)
            self._wake.clear()
            pause = self.step()
            if pause:
                self._hurry.wait(pause)

    def step(self) -> float:
        """Do all that is due now; return the seconds to pause because it failed, or 0."""
        self._hurry.clear()
        connection = self._connection
        if connection is None or self.synced:
            return 0.0
        self._busy = True
        try:
            if self._full:
                self._sync_all(connection)
            else:
                self._sync_dirty(connection)
        except Exception as error:
            return self._failed(connection, error)
        finally:
            self._busy = False
        self._failures = 0
        self._last_error = ""
        if self.synced:
            self._settled.set()
        return 0.0

    def _failed(self, connection: Connection, error: Exception) -> float:
        """Log a failure, once per cause, and ask for a full sync after the pause returned."""
        self._request_full_sync()
        if connection is not self._connection:
            return 0.0
        text = f"{type(error).__name__}: {error}"
        if text != self._last_error:
            self._last_error = text
            trace = None if isinstance(error, L2IsoError) else error
            LOG.error("switch %016x: %s; trying again", self._dpid, error, exc_info=trace)
        pause = min(FIRST_PAUSE * 2.0**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 16)
        return pause

    def _sync_all(self, connection: Connection) -> None:
        """Read back what the switch holds, compare all of it, send the difference."""
        source = self._source
        read = [
            *connection.read_flows(source.cookie, source.cookie_mask, self._timeout),
            *connection.read_groups(self._timeout),
            *connection.read_meters(self._timeout),
        ]
        if connection is not self._connection:
            raise SwitchError("the connection was replaced while it was read")
        self._installed = Contents.of(read)
        self._full = False
        self._dirty.clear()
        pieces = {s: source.desired(self._dpid, s) for s in source.subjects(self._dpid)}
        desired = Contents.of(piece for of_one in pieces.values() for piece in of_one)
        known = self._known | stale_flows(self._installed, source.ports(self._dpid))
        plan = compare(desired, self._installed, known, self._ovsdb_read)
        self._held = plan.held
        changed = sum(flow.id in self._installed.flows for flow in plan.flows_to_add)
        keys = _named(pieces)
        self._watcher.may_hold(self._dpid, keys)
        self._send(connection, plan, desired)
        self._known = set(desired.keys())
        self._keys = keys
        self._watcher.holds_only(self._dpid, keys)
        self.counters.full_syncs += 1
        LOG.info(
            "switch %016x: full sync: %d flows added, %d changed, %d deleted, %d strays held",
            self._dpid,
            len(plan.flows_to_add) - changed,
            changed,
            len(plan.flows_to_delete),
            plan.held,
        )

    def _sync_dirty(self, connection: Connection) -> None:
        """Compute the dirty subjects only, compare with what is installed for them, send."""
        pieces = {s: self._source.desired(self._dpid, s) for s in self._dirty}
        self._dirty.clear()
        desired = Contents.of(piece for of_one in pieces.values() for piece in of_one)
        before = {key for subject in pieces for key in self._keys.get(subject, ())}
        installed = self._installed.part(before.union(desired.keys()))
        plan = compare(desired, installed, self._known, False)
        keys = _named(pieces)
        self._watcher.may_hold(self._dpid, keys)
        self._send(connection, plan, desired)
        self._known -= before.difference(desired.keys())
        self._keys.update(keys)
        empty = pieces.keys() - keys.keys()
        for subject in empty:
            self._keys.pop(subject, None)
        self._watcher.holds_none(self._dpid, empty)
        LOG.debug(
            "switch %016x: %d subjects: %d flow-mods, %d group-mods",
            self._dpid,
            len(pieces),
            plan.flow_mods,
            plan.group_mods,
        )

    def _send(self, connection: Connection, plan: Plan, desired: Contents) -> None:
        """Apply a plan; what it sends is known from before on, for it may arrive unconfirmed."""
        self._known.update(desired.keys())
        if not plan:
            return
        self.counters.bundles += bool(plan.flow_mods or plan.group_mods)
        self.counters.flow_mods += plan.flow_mods
        self.counters.group_mods += plan.group_mods
        self.counters.meter_mods += plan.meter_mods
        connection.apply(plan, self._timeout)
        self._installed.apply(plan)


def _named(
    pieces: dict[Subject, Sequence[Piece]],
) -> dict[Subject, frozenset[Key]]:
    """Return the names of the pieces of each subject that has any."""
    return {s: frozenset(map(key_of, of_one)) for s, of_one in pieces.items() if of_one}
