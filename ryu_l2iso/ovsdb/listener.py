"""What the owner of a connection is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from ryu_l2iso.ovsdb.rows import BridgeRow, InterfaceRow

Key = TypeVar("Key", int, str, contravariant=True)
"""How a connection's bridge is known: by its dpid or by its name."""


class Listener(Protocol[Key]):
    """Is called in the connection's green thread, with values that never change.

    A method may take its time, but holds up this connection; it must not call ``transact`` there.
    An exception is logged and the connection lives on.
    """

    def bridge_changed(self, key: Key, bridge: BridgeRow | None) -> None:
        """The bridge was found or is not as it was; None: there is no such bridge (any more)."""

    def interfaces_changed(self, key: Key, changed: Mapping[str, InterfaceRow | None]) -> None:
        """Interfaces of the bridge came, changed or went: name → row, None for gone."""

    def synced(self, key: Key) -> None:
        """All that the database says of the bridge has been told.

        Called once the bridge has been found, and again after each reconnection.
        """
