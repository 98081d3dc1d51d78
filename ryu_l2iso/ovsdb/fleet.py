"""The connections to the OVSDB servers of all switches."""

from __future__ import annotations

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.connection import Connection
from ryu_l2iso.ovsdb.listener import Listener
from ryu_l2iso.state.values import dpid_to_str


class Fleet:
    """One connection per switch; a server that is dead or slow costs its own switch only."""

    def __init__(self, listener: Listener[int]) -> None:
        self._listener = listener
        self._connections: dict[int, Connection[int]] = {}

    def set_address(self, dpid: int, address: str) -> None:
        """Read the switch's OVSDB at this address from now on; nothing happens when it does."""
        connection = self._connections.get(dpid)
        if connection is None:
            self._connections[dpid] = Connection(dpid, address, self._listener)
        else:
            connection.move(address)

    def remove(self, dpid: int) -> None:
        """Close the switch's connection, if there is one; its listener hears nothing more."""
        connection = self.release(dpid)
        if connection is not None:
            connection.close()

    def release(self, dpid: int) -> Connection[int] | None:
        """Return the switch's connection, for who will close it; its listener hears no more."""
        connection = self._connections.pop(dpid, None)
        if connection is not None:
            connection.silence()
        return connection

    def get(self, dpid: int) -> Connection[int]:
        """Return the switch's connection; raises OVSDBError when it has no OVSDB address."""
        try:
            return self._connections[dpid]
        except KeyError:
            raise OVSDBError(f"switch {dpid_to_str(dpid)} has no OVSDB address") from None

    def is_synced(self, dpid: int) -> bool:
        """Tell whether all that the switch's OVSDB has is known; not so without an address."""
        connection = self._connections.get(dpid)
        return connection is not None and connection.synced

    def close(self) -> None:
        """Close every connection."""
        for dpid in list(self._connections):
            self.remove(dpid)
