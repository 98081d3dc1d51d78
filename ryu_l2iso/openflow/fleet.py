"""The programmers of all switches; each has its worker, so a slow switch holds up no other."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.programmer import TIMEOUT, Programmer, Source, Watcher
from ryu_l2iso.state.subjects import Subject


class Fleet:
    """dpid → programmer.  No method blocks."""

    def __init__(
        self, source: Source, timeout: float = TIMEOUT, watcher: Watcher | None = None
    ) -> None:
        """Take ``timeout``, in seconds, as what a switch may take for one answer."""
        self._watcher = watcher
        self._source = source
        self._timeout = timeout
        self._programmers: dict[int, Programmer] = {}
        # dpid → its datapaths, the one in use last: a switch may be told several of our addresses
        self._datapaths: dict[int, list[Any]] = {}

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
        self._datapaths.setdefault(datapath.id, []).append(datapath)
        self._ensure(datapath.id).connected(Connection(datapath))

    def disconnected(self, datapath: Any) -> None:
        """Stop sending by a datapath; if it was in use, the switch's next youngest is."""
        programmer = self._programmers.get(datapath.id)
        known = self._datapaths.pop(datapath.id, [])
        left = [other for other in known if other is not datapath]
        if left:
            self._datapaths[datapath.id] = left
        if programmer is not None:
            programmer.disconnected(datapath)
            if left and known[-1] is datapath:
                programmer.connected(Connection(left[-1]))

    def ovsdb_read(self, dpid: int) -> None:
        """Record that all that the OVSDB of a switch tells is known: strays may be deleted."""
        self._ensure(dpid).ovsdb_read()

    def received(self, msg: Any) -> None:
        """Take an answer of a switch, or its error message, that the framework has got."""
        programmer = self._programmers.get(msg.datapath.id)
        if programmer is not None:
            programmer.received(msg)

    def forget(self, dpid: int) -> None:
        """Stop programming a switch and forget all about it; it keeps what it has."""
        programmer = self._programmers.pop(dpid, None)
        if programmer is not None:
            programmer.stop()

    def stop(self) -> None:
        """Stop programming all switches; they keep what they have."""
        for dpid in list(self._programmers):
            self.forget(dpid)

    def _ensure(self, dpid: int) -> Programmer:
        if dpid not in self._programmers:
            self._programmers[dpid] = Programmer(dpid, self._source, self._timeout, self._watcher)
            self._programmers[dpid].start()
        return self._programmers[dpid]
