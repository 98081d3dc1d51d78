"""The programmers of all switches; each has its worker, so a slow switch holds up no other."""

from __future__ import annotations

import random
from typing import Any

from ryu_l2iso.framework import hub
from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.parties import Source, Watcher
from ryu_l2iso.openflow.programmer import TIMEOUT, Programmer
from ryu_l2iso.state.subjects import Subject


class Fleet:
    """dpid → programmer.  No method blocks."""

    def __init__(
        self,
        source: Source,
        timeout: float = TIMEOUT,
        watcher: Watcher | None = None,
        check_interval: float = 0.0,
    ) -> None:
        """Take ``timeout``, in seconds, as what a switch may take for one answer.

        Every switch is checked for what others have changed once in ``check_interval``, also in
        seconds; with 0 never.
        """
        self._watcher = watcher
        self._source = source
        self._timeout = timeout
        self._programmers: dict[int, Programmer] = {}
        self._patrol = hub.spawn(self._check_all, check_interval) if check_interval else None

    def programmer(self, dpid: int) -> Programmer | None:
        """Return the programmer of a switch, if it was ever connected or its OVSDB read."""
        return self._programmers.get(dpid)

    def mark(self, dpid: int, subject: Subject) -> None:
        """Record that what a switch should hold for ``subject`` may have changed."""
        programmer = self._programmers.get(dpid)
        if programmer is not None:
            programmer.mark(subject)

    def connected(self, datapath: Any) -> None:
        """Program a switch that has connected: the framework's ``datapath`` knows its ``id``."""
        connection = Connection(datapath)
        datapath.socket.replies = connection.received
        self._ensure(datapath.id).connected(connection)

    def disconnected(self, datapath: Any) -> None:
        """Stop sending by a datapath."""
        programmer = self._programmers.get(datapath.id)
        if programmer is not None:
            programmer.disconnected(datapath)

    def ovsdb_read(self, dpid: int) -> None:
        """Record that all that the OVSDB of a switch tells is known: strays may be deleted."""
        self._ensure(dpid).ovsdb_read()

    def forget(self, dpid: int) -> None:
        """Stop programming a switch and forget all about it; it keeps what it has."""
        programmer = self._programmers.pop(dpid, None)
        if programmer is not None:
            programmer.stop()

    def stop(self) -> None:
        """Stop programming all switches; they keep what they have."""
        if self._patrol is not None:
            hub.kill(self._patrol)
        for dpid in list(self._programmers):
            self.forget(dpid)

    def _check_all(self, interval: float) -> None:
        """Check one switch after the other, for ever, so that no two are due together.

        One that is being programmed has its turn the next time: after a cold start all would be
        due.
        """
        while True:
            dpids = list(self._programmers)
            if not dpids:
                hub.sleep(interval)
            for dpid in dpids:
                hub.sleep(random.uniform(0.5, 1.5) * interval / len(dpids))
                programmer = self._programmers.get(dpid)
                if programmer is not None and programmer.synced:
                    programmer.check()

    def _ensure(self, dpid: int) -> Programmer:
        if dpid not in self._programmers:
            self._programmers[dpid] = Programmer(dpid, self._source, self._timeout, self._watcher)
            self._programmers[dpid].start()
        return self._programmers[dpid]
