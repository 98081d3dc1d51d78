"""Interfaces, as the Quantum plugin registers them: values by name, ``network_id`` above all."""

from __future__ import annotations

from ryu_l2iso.exceptions import Conflict, NotFound
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.records import INTERFACE_VALUES

NETWORK_ID = "network_id"
PORTS = "ports"
"""The name under which REST gives an interface's locations; they are read from the switches."""


class Interfaces:
    """iface_id → name → value."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._values: dict[str, dict[str, str]] = {}

    def __contains__(self, iface_id: str) -> bool:
        return iface_id in self._values

    def ids(self) -> list[str]:
        """Return the ids of all registered interfaces."""
        return list(self._values)

    def names(self, iface_id: str) -> list[str]:
        """Return the names of the values of an interface, sorted."""
        return sorted(self._values.get(iface_id, {}))

    def value(self, iface_id: str, name: str) -> str | None:
        """Return a value, or None."""
        return self._values.get(iface_id, {}).get(name)

    def network_id(self, iface_id: str | None) -> str | None:
        """Return the network of an interface, or None."""
        return None if iface_id is None else self.value(iface_id, NETWORK_ID)

    def add(self, iface_id: str, name: str, value: str) -> None:
        """Set a value; raises Conflict when there is one."""
        if name == PORTS or self.value(iface_id, name) is not None:
            raise Conflict(f"{name}: interface {iface_id} has a value for it")
        self.put(iface_id, name, value)

    def ensure(self, iface_id: str, name: str, value: str) -> bool:
        """Set a value and tell whether there was none; Conflict when there is another."""
        if name == PORTS:
            raise Conflict("ports: is read from the switches")
        current = self.value(iface_id, name)
        if current is not None and current != value:
            raise Conflict(f"{name}: interface {iface_id} has {current}")
        self.put(iface_id, name, value)
        return current is None

    def remove(self, iface_id: str) -> None:
        """Forget an interface; raises NotFound."""
        if iface_id not in self._values:
            raise NotFound(f"iface_id: there is no interface {iface_id}")
        for name in self.names(iface_id):
            self.discard(iface_id, name)

    def put(self, iface_id: str, name: str, value: str) -> None:
        """Set a value, whatever there was before."""
        values = self._values.setdefault(iface_id, {})
        old = (values[name],) if name in values else None
        values[name] = value
        self._changes.record(INTERFACE_VALUES, (iface_id, name), (value,), old)

    def discard(self, iface_id: str, name: str) -> None:
        """Remove a value, if there is one; an interface goes with its last."""
        value = self._values.get(iface_id, {}).pop(name, None)
        if value is not None:
            self._changes.record(INTERFACE_VALUES, (iface_id, name), None, (value,))
            if not self._values[iface_id]:
                del self._values[iface_id]
