"""What happens to ports, as events on the app manager that any app may observe.

An app handles them with ``@set_ev_cls(events.EventVMPort)``; quantum_adapter, which sends them,
is loaded with it.  An app that leaves 128 events unhandled holds up the others' events, but
neither flows nor tunnels.
"""

from __future__ import annotations

from ryu_l2iso.framework import EventBase
from ryu_l2iso.state.changes import PortChange
from ryu_l2iso.state.ports import ExternalPort, Port, TunnelPort, VMPort

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
