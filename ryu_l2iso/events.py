"""What happens to ports, as events on the app manager that any app may observe.

An app handles them with ``@set_ev_cls(events.EventVMPort)``; quantum_adapter, which sends them,
is loaded with it.  An app that leaves 128 events unhandled holds up the others' events, but
neither flows nor tunnels.  What becomes of a port meanwhile is one event: what waits is never more
than there are ports.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from ryu_l2iso.framework import EventBase, hub
from ryu_l2iso.state.changes import PortChange
from ryu_l2iso.state.ports import ExternalPort, Port, PortId, TunnelPort, VMPort

_SERVICE_NAME = "ryu_l2iso.apps.quantum_adapter"

ADDED = "added"
CHANGED = "changed"
REMOVED = "removed"


class PortEvent(EventBase):
    """A port was added, changed or removed.

    ``change`` is `ADDED`, `CHANGED` or `REMOVED`; ``port`` is the port as it is now, or was last;
    ``old`` is the port as it was before a change, else None.
    """

    def __init__(self, change: str, port: Port, old: Port | None = None) -> None:
        super().__init__()
        self.change = change
        self.port = port
        self.old = old


class EventVMPort(PortEvent):
    """A VM port; also one that gets no flows yet (see `ryu_l2iso.state.ports.is_complete`)."""


class EventTunnelPort(PortEvent):
    """A tunnel port."""


class EventExternalPort(PortEvent):
    """An external port."""


_CLASSES: dict[type, type[PortEvent]] = {
    VMPort: EventVMPort,
    TunnelPort: EventTunnelPort,
    ExternalPort: EventExternalPort,
}


def _event(change: str, port: Port, old: Port | None = None) -> PortEvent:
    return _CLASSES[type(port)](change, port, old)


def port_events(change: PortChange) -> list[PortEvent]:
    """Return the events of a change; a port that is of another kind now was removed and added."""
    old, new = change
    if old is not None and new is not None and type(old) is type(new):
        return [_event(CHANGED, new, old)]
    events = [] if old is None else [_event(REMOVED, old)]
    return events if new is None else [*events, _event(ADDED, new)]


class Outgoing:
    """Changes that are to be announced, at most one for each port, in order of the first."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[PortId, PortChange] = OrderedDict()
        self._closed = False
        self._wake = hub.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, changes: Iterable[PortChange]) -> None:
        """Add changes, joining each with what waits for the same port."""
        for old, new in changes:
            port = new or old
            if port is not None:
                port_id = PortId(port.dpid, port.port_no)
                waiting = self._waiting.get(port_id)
                first = old if waiting is None else waiting.old
                self._waiting[port_id] = PortChange(first, new)
                if first == new:
                    del self._waiting[port_id]
        self._wake.set()

    def close(self) -> None:
        """End who takes changes."""
        self._closed = True
        self._wake.set()

    def changes(self) -> Iterator[PortChange]:
        """Yield changes, waiting for more, until it is closed."""
        while not self._closed:
            if not self._waiting:
                self._wake.clear()
                self._wake.wait()
                continue
            yield self._waiting.popitem(last=False)[1]
