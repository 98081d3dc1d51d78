"""The locations of every interface during a live migration, and which of them are active.

While a guest is copied from one node to another its interface has two locations.  The guest runs
at one of them; whatever the other is made to send or receive would be seen twice, or come from a
copy that is not running yet.  So only one location is *active*, the other is *waiting*:

1. Where the guest showed itself last, that location is active.
2. As long as it did not, the location that came first is; when that one goes, the next.
3. Of locations that were there when their switches connected nobody knows which came first.  All
   of them are active: missing knowledge is no reason to cut a guest that runs.  But they came after
   all that was known when the controller, or their switch, was heard last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ryu_l2iso.state.ports import PortId, VMPort

ACTIVATE = "activate"
DUPLICATE = "duplicate"
"""Values of the option ``migration``; with ``duplicate`` every location is active."""


class _Guest(NamedTuple):
    """What two locations must have in common to be the same guest's."""

    iface_id: str | None
    network_id: str | None
    mac: str | None


class Locations:
    """Complete VM ports by interface."""

    def __init__(self, migration: str = ACTIVATE) -> None:
        self._migration = migration
        self._ports: dict[_Guest, dict[PortId, VMPort]] = {}
        self._waiting: set[PortId] = set()

    def is_active(self, port_id: PortId) -> bool:
        """Tell whether a port may send and receive, as far as migration is concerned."""
        return port_id not in self._waiting

    def add(self, port: VMPort) -> set[PortId]:
        """Add or replace a complete VM port; return the ports that became active or waiting."""
        if port.iface_id is None:
            return set()
        ports = self._ports.setdefault(_guest(port), {})
        ports[port.id] = port
        return self._look_at(ports.values())

    def remove(self, port: VMPort) -> set[PortId]:
        """Remove a VM port; return the other ports that became active or waiting."""
        if port.iface_id is None:
            return set()
        self._waiting.discard(port.id)
        ports = self._ports[_guest(port)]
        del ports[port.id]
        if not ports:
            del self._ports[_guest(port)]
        return self._look_at(ports.values())

    def _look_at(self, ports: Iterable[VMPort]) -> set[PortId]:
        waiting = {port.id for port in ports} - self._active(ports)
        touched = {port.id for port in ports if (port.id in self._waiting) != (port.id in waiting)}
        self._waiting ^= touched
        return touched

    def _active(self, ports: Iterable[VMPort]) -> set[PortId]:
        if self._migration == DUPLICATE:
            return {port.id for port in ports}
        shown = max((port.shown for port in ports), default=0)
        if shown:
            return {port.id for port in ports if port.shown == shown}
        first = min((port.since for port in ports), default=0)
        return {port.id for port in ports if port.since == first}


def _guest(port: VMPort) -> _Guest:
    return _Guest(port.iface_id, port.network_id, port.mac)
