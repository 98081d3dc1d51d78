"""Programming one switch: a worker that keeps *installed* equal to *desired* (see ``plan``)."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ryu_l2iso import turns
from ryu_l2iso.exceptions import L2IsoError, SwitchError
from ryu_l2iso.framework import hub
from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.drift import Drift, log_taken
from ryu_l2iso.openflow.left_out import LeftOut
from ryu_l2iso.openflow.parties import Source, Watcher
from ryu_l2iso.openflow.parts import Refused
from ryu_l2iso.openflow.picture import Desired, Picture
from ryu_l2iso.openflow.plan import Contents, Key, MeterKey, Plan
from ryu_l2iso.state.subjects import PortSubject, Subject

LOG = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds that a switch may take for one read or one bundle."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between a failure and the next full sync; doubled with each failure in a row."""

MOST_REFUSALS = 10
"""How often in a row a switch may refuse something before it is given pauses."""

TURN = 1000
"""Flows, groups and meters that are computed before other threads have their turn."""

READ_EVERY = 5
"""Of so many checks of a switch all but one only count its flows, and one reads all it holds."""


@dataclass
class Counters:
    """What a programmer has sent since it was made."""

    flow_mods: int = 0
    group_mods: int = 0
    meter_mods: int = 0
    bundles: int = 0
    full_syncs: int = 0
    checks: int = 0
    repairs: int = 0
    """Flows, groups and meters that somebody else had changed (`ryu_l2iso.openflow.drift`)."""


class Programmer:
    """Keeps one switch as its source wants it; ``start`` spawns the worker.

    What is known of the switch changes only here: ``_picture``, and ``_confirmed_by``, the
    connection by which it was confirmed, if it was.
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
        self._picture = Picture()
        self._confirmed_by: Connection | None = None
        self._left_out = LeftOut(dpid)
        self._sending: Mapping[Subject, Sequence[Key]] = {}
        self._check_due = False
        # Switches that connect together are not read together.
        self._checks = random.randrange(READ_EVERY)
        self._dirty: set[Subject] = set()
        self._full = False
        self._busy = False
        self._held = 0
        # The connection of the full sync that was logged last, and how many strays it held
        self._told: tuple[Connection, int] | None = None
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
        self._check_due = False
        self._left_out.begin_anew()
        self._watcher.connected(self._dpid)
        self._request_full_sync()
        self._hurry.set()

    def disconnected(self, datapath: Any) -> None:
        """Forget the connection, unless the switch has come back by another one meanwhile."""
        if self._connection is not None and self._connection.datapath is datapath:
            self._connection.close()
            self._connection = None
            self._settled.clear()
            self._watcher.lost(self._dpid)

    def mark(self, subject: Subject) -> None:
        """Record that what the switch should hold for ``subject`` may have changed."""
        if self._held and self._is_gone(subject):
            # What is held back may be about that port.
            self._request_full_sync()
        if self._connection is not None:
            self._dirty.add(subject)
            self._settled.clear()
            if not self._wake.is_set():
                self._wake.set()

    def _is_gone(self, subject: Subject) -> bool:
        ports = self._source.ports(self._dpid)
        return isinstance(subject, PortSubject) and subject.port_no not in ports

    def ovsdb_read(self) -> None:
        """Record that all that the switch's OVSDB tells is known: strays may be deleted."""
        self._ovsdb_read = True
        if self._held:
            self._request_full_sync()

    def check(self) -> None:
        """Compare what the switch holds with what it has confirmed, when nothing else is due."""
        if self._connection is not None:
            self._check_due = True
            self._wake.set()

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

    def wait_rid(self, deadline: float) -> bool:
        """As ``wait_synced``, but False while strays are held: they are not desired by anybody."""
        return self.wait_synced(deadline) and not self._held

    def _work(self) -> None:
        while True:
            self._wake.wait(self._left_out.seconds(time.monotonic()))
            with turns.WORK.under_way():
                # What was marked until then goes in one bundle.
                turns.WORK.take()
                self._wake.clear()
                pause = self.step()
            if pause:
                self._hurry.wait(pause)

    def step(self) -> float:
        """Do all that is due now; return the seconds to pause because it failed, or 0."""
        self._hurry.clear()
        if self._left_out.end(time.monotonic()):
            self._request_full_sync()
        connection, full = self._connection, self._full
        if connection is None or (self.synced and not self._check_due):
            return 0.0
        try:
            if self.synced:
                self._check(connection)
            else:
                self._sync(connection)
        except Exception as error:
            return (
                0.0 if self._goes_on(connection, error, full) else self._failed(connection, error)
            )
        self._failures = 0
        self._last_error = ""
        if self.synced:
            self._settled.set()
        if self._check_due:
            self._wake.set()
        return 0.0

    def _sync(self, connection: Connection) -> None:
        """Compute what is due, read back what the switch holds if all is, send the difference."""
        of_all, desired = self._full, Desired()
        self._busy = True
        try:
            if of_all:
                self._full, self._dirty = False, set()
                self._compute(desired, list(self._source.subjects(self._dpid)))
                self._read(connection, desired)
            self._complete(connection, desired)
            plan = self._plan(desired, of_all)
            self._send(connection, plan, desired)
            self._log(connection, plan, desired, of_all)
            self._picture.confirmed(plan, desired, of_all)
            self._sending = {}
        finally:
            self._busy = False
        self._confirmed_by = connection
        self._left_out.confirmed()
        self.counters.full_syncs += of_all
        if self._held:
            # A stray may be about any subject.
            return
        if of_all:
            self._watcher.holds_only(self._dpid, desired.names.keys())
        else:
            self._watcher.holds(self._dpid, desired.names.keys(), desired.empty)

    def _check(self, connection: Connection) -> None:
        """Count the switch's flows; have all read if that differs, or it is time to."""
        self._check_due = False
        self._checks += 1
        self.counters.checks += 1
        if self._checks % READ_EVERY:
            source = self._source
            count = connection.count_flows(source.cookie, source.cookie_mask, self._timeout)
            if count == len(self._picture.installed.flows):
                return
        self._request_full_sync()

    def _goes_on(self, connection: Connection, error: Exception, full: bool) -> bool:
        """Tell whether a refusal asks for no more than a full sync, at once.

        The picture may not be right any more, when somebody deleted a group by hand.  What is
        refused after a full sync is left out of the next.
        """
        if not isinstance(error, Refused) or connection is not self._connection:
            return False
        if full and not self._left_out.add(self._sending, error.by_key(), time.monotonic()):
            return False
        if self._failures >= MOST_REFUSALS:
            return False
        self._failures += 1
        self._confirmed_by = None
        self._request_full_sync()
        return True

    def _failed(self, connection: Connection, error: Exception) -> float:
        """Log a failure, once per cause, and ask for a full sync after the pause returned."""
        self._confirmed_by = None
        self._request_full_sync()
        if connection is not self._connection:
            return 0.0
        self._watcher.failed(self._dpid)
        text = f"{type(error).__name__}: {error}"
        if text != self._last_error:
            self._last_error = text
            trace = None if isinstance(error, L2IsoError) else error
            LOG.error("switch %016x: %s; trying again", self._dpid, error, exc_info=trace)
        pause = min(FIRST_PAUSE * 2.0**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 16)
        return pause

    def _compute(self, desired: Desired, subjects: Collection[Subject]) -> None:
        """Add to ``desired`` what is wanted now for ``subjects``; others run meanwhile."""
        since = 0
        for subject in subjects:
            pieces = self._source.desired(self._dpid, subject)
            desired.put(subject, self._left_out.wanted(subject, pieces), bool(pieces))
            since += 1 + len(pieces)
            if since > TURN:
                since = 0
                turns.WORK.take()

    def _read(self, connection: Connection, desired: Desired) -> None:
        """Read back what the switch holds; note what has changed there by itself."""
        source, expected = self._source, desired.contents
        read = Contents(
            connection.read_flows(source.cookie, source.cookie_mask, expected.flows, self._timeout),
            {group.group_id: group for group in connection.read_groups(self._timeout)},
            {MeterKey(meter.meter_id): meter for meter in connection.read_meters(self._timeout)},
        )
        turns.WORK.take()
        self._check_current(connection)
        if self._confirmed_by is connection:
            self._note(Drift.between(self._picture.installed, read, self._picture.strays))
        self._picture.read(read, expected)

    def _complete(self, connection: Connection, desired: Desired) -> None:
        """Have in ``desired`` what was marked until now as well.

        Nothing is sent before the watcher has recorded it; what it waited for may have changed.
        """
        while True:
            while self._dirty:
                dirty, self._dirty = self._dirty, set()
                # All of them first: a flow may have passed from one to another.
                desired.forget(dirty)
                self._compute(desired, dirty)
            self._check_current(connection)
            if not self._watcher.may_hold(self._dpid, desired.names.keys()):
                return

    def _check_current(self, connection: Connection) -> None:
        if connection is not self._connection:
            raise SwitchError("the connection was replaced meanwhile")

    def _plan(self, desired: Desired, of_all: bool) -> Plan:
        if not of_all:
            return self._picture.plan_some(desired)
        ports = self._source.ports(self._dpid)
        plan = self._picture.plan_all(desired, self._ovsdb_read, ports)
        self._held = plan.held
        return plan

    def _send(self, connection: Connection, plan: Plan, desired: Desired) -> None:
        """Apply a plan; what it sends is known from before on, for it may arrive unconfirmed."""
        self._sending = desired.names
        log_taken(self._dpid, plan, self._picture.installed, self._picture.strays)
        if not plan:
            return
        self.counters.bundles += bool(plan.flow_mods or plan.group_mods)
        self.counters.flow_mods += plan.flow_mods
        self.counters.group_mods += plan.group_mods
        self.counters.meter_mods += plan.meter_mods
        self._picture.send(plan)
        try:
            connection.apply(plan, self._timeout)
        except Refused as error:
            self._picture.refused(error.by_key())
            raise

    def _log(self, connection: Connection, plan: Plan, desired: Desired, of_all: bool) -> None:
        if not of_all:
            subjects = len(desired.names) + len(desired.empty)
            text = "switch %016x: %d subjects: %d flow-mods, %d group-mods"
            LOG.debug(text, self._dpid, subjects, plan.flow_mods, plan.group_mods)
            return
        changed = len(plan.flows_to_add.keys() & self._picture.installed.flows.keys())
        told, self._told = self._told, (connection, plan.held)
        LOG.log(
            logging.INFO if plan or told != self._told else logging.DEBUG,
            "switch %016x: full sync: %d flows added, %d changed, %d deleted, %d strays held",
            self._dpid,
            len(plan.flows_to_add) - changed,
            changed,
            len(plan.flows_to_delete),
            plan.held,
        )

    def _note(self, drift: Drift) -> None:
        """Count and log what somebody else has changed, which the sync under way puts right."""
        if drift.count:
            self.counters.repairs += drift.count
            LOG.warning("switch %016x: changed by somebody else: %s", self._dpid, drift)
