"""A listener that remembers what it was told, for the tests of the OVSDB client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic

from ryu_l2iso.ovsdb import BridgeRow, InterfaceRow
from ryu_l2iso.ovsdb.listener import Key
from tests.functional.ovs import wait_until


class Recorder(Generic[Key]):
    """``calls`` is what came, in order; ``interfaces`` what holds after all of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.bridges: list[BridgeRow | None] = []
        self.interfaces: dict[str, InterfaceRow] = {}
        self.syncs = 0

    def bridge_changed(self, key: Key, bridge: BridgeRow | None) -> None:
        self.calls.append(("bridge", bridge))
        self.bridges.append(bridge)

    def interfaces_changed(self, key: Key, changed: Mapping[str, InterfaceRow | None]) -> None:
        self.calls.append(("interfaces", dict(changed)))
        for name, row in changed.items():
            if row is None:
                del self.interfaces[name]
            else:
                self.interfaces[name] = row

    def synced(self, key: Key) -> None:
        self.calls.append(("synced", None))
        self.syncs += 1

    def changes(self) -> list[dict[str, InterfaceRow | None]]:
        """Return what ``interfaces_changed`` was called with, in order."""
        return [what for kind, what in self.calls if kind == "interfaces"]

    def wait_synced(self, times: int = 1) -> None:
        """Wait until the database has been read that often."""
        wait_until(lambda: self.syncs >= times, f"sync number {times}")

    def wait_interface(self, name: str, **values: object) -> InterfaceRow:
        """Wait until the interface is known with these values; return its row."""

        def known() -> bool:
            row = self.interfaces.get(name)
            return row is not None and all(getattr(row, k) == v for k, v in values.items())

        wait_until(known, f"interface {name} with {values}")
        return self.interfaces[name]

    def wait_gone(self, name: str) -> None:
        """Wait until the interface is known to be gone."""
        wait_until(lambda: name not in self.interfaces, f"interface {name} to go")

    def clear(self) -> None:
        """Forget the calls up to now, not what holds."""
        self.calls.clear()
        self.bridges.clear()
