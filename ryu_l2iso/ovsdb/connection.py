"""The connection to one switch's OVSDB server."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Generic

import eventlet
import ovs.poller

from ryu_l2iso import turns
from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.commands import Command
from ryu_l2iso.ovsdb.health import Health
from ryu_l2iso.ovsdb.listener import Key, Listener
from ryu_l2iso.ovsdb.reader import BridgeReader, Interfaces, bridge_dpids, difference
from ryu_l2iso.ovsdb.replica import MIN_BACKOFF, Replica, Waker
from ryu_l2iso.ovsdb.rows import BridgeRow, InterfaceRow
from ryu_l2iso.ovsdb.transactions import Request, Transactions
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds that a transaction may take unless told otherwise."""
CHECK_INTERVAL_MS = 1000
"""How often a connection that is not in sync looks at the clock."""


class Connection(Generic[Key]):
    """Reads one bridge on one OVSDB server and changes it, in a green thread of its own.

    ``bridge`` is a dpid or the name of a bridge.  ``address`` is ``tcp:IP:PORT``, ``ssl:IP:PORT``
    or ``unix:PATH``, IPv6 in brackets.  ``max_backoff`` is the longest pause in seconds between
    two attempts to reach the server.

    What is known is kept while the server cannot be reached; once it can, the listener is told
    what is different.  Whatever is wrong with a server is logged once, and tried again.
    """

    def __init__(
        self, bridge: Key, address: str, listener: Listener[Key], max_backoff: float = 8.0
    ) -> None:
        self._key: Key = bridge
        self._address = address
        self._listener: Listener[Key] = listener
        self._max_backoff = max_backoff
        self._label = f"bridge {dpid_to_str(bridge) if isinstance(bridge, int) else bridge}"
        self._health = Health(self._label)
        self._reader = BridgeReader(bridge)
        self._transactions = Transactions()
        self._waker = Waker()
        self._bridge: BridgeRow | None = None
        self._interfaces: Interfaces = {}
        self._dpids: frozenset[int | None] = frozenset()
        self._seen = 0
        self._tell_synced = True
        self._moved = False
        self._silent = False
        self._closed = False
        self._thread = eventlet.spawn(self._run)

    @property
    def address(self) -> str:
        """The address of the server."""
        return self._address

    @property
    def bridge(self) -> BridgeRow | None:
        """The bridge as last read; None when it was not there, or nothing was read yet."""
        return self._bridge

    @property
    def interfaces(self) -> Mapping[str, InterfaceRow]:
        """The interfaces of the bridge as last read: name → row."""
        return self._interfaces

    @property
    def dpids(self) -> frozenset[int | None]:
        """The dpids of all bridges of the server as last read, None for one without (yet)."""
        return self._dpids

    @property
    def synced(self) -> bool:
        """Tell whether the listener knows all that the server has, as far as anybody can tell."""
        return not self._tell_synced

    def move(self, address: str) -> None:
        """Go on at another address; what is known is kept and compared with what is there."""
        if address != self._address:
            self._address = address
            self._health.moved()
            self._moved = True
            self._waker.wake()

    def silence(self) -> None:
        """Tell the listener nothing more."""
        self._silent = True

    def close(self) -> None:
        """End the connection; the listener is told nothing more, and who waits gets an error."""
        self._closed = True
        self._waker.wake()

    def transact(
        self, commands: Sequence[Command], timeout: float = TIMEOUT, wait_for_vswitchd: bool = False
    ) -> None:
        """Do all commands or none, and return when the server has committed them.

        With ``wait_for_vswitchd`` return when ovs-vswitchd has applied them too.  Callable from
        every green thread but the connection's own, so never from a listener.  Raises OVSDBError
        with the reason when it is refused, or not confirmed within ``timeout`` seconds.
        """
        if eventlet.getcurrent() is self._thread:
            raise RuntimeError("transact() called in a listener would wait for itself")
        if self._closed:
            raise OVSDBError(f"{self._label}: the connection is closed")
        request = Request(tuple(commands), time.monotonic() + timeout, wait_for_vswitchd)
        self._transactions.add(request)
        self._waker.wake()
        try:
            request.wait()
        except OVSDBError as error:
            raise OVSDBError(f"{self._label}: {error}") from None

    def _run(self) -> None:
        pause = MIN_BACKOFF
        while not self._closed:
            try:
                self._serve()
                pause = MIN_BACKOFF
            except Exception as error:
                known = isinstance(error, OVSDBError)
                text = str(error) if known else f"OVSDB server {self._address}: {error!r}"
                self._health.log_once(text, traceback=not known)
                self._waker.pause(pause)
                pause = min(pause * 2, self._max_backoff)
        self._transactions.fail("the connection is closed")
        self._waker.close()

    def _serve(self) -> None:
        self._moved = False
        self._seen = 0
        self._transactions.reconnected()
        turns.FACTS.take()
        replica = Replica(self._address, self._reader, self._max_backoff)
        try:
            while not (self._closed or self._moved):
                replica.run()
                poller = ovs.poller.Poller()
                if replica.in_sync:
                    self._look_at(replica)
                else:
                    self._wait_for_sync(replica, poller)
                if not replica.has_more:
                    replica.wait(poller)
                    self._waker.block(poller)
                # After a restart all servers send all that they have.
                turns.FACTS.take()
        finally:
            replica.close()

    def _wait_for_sync(self, replica: Replica, poller: Any) -> None:
        self._tell_synced = True
        now, trouble = time.monotonic(), replica.trouble
        if self._health.not_in_sync(now, replica.connected, self._address, trouble):
            replica.force_reconnect()
        poller.timer_wait(CHECK_INTERVAL_MS)

    def _look_at(self, replica: Replica) -> None:
        missing = f"there is no such bridge at {self._address}"
        if replica.change_seqno != self._seen:
            self._seen = replica.change_seqno
            replica.well()
            bridge, interfaces = self._reader.read(replica.tables)
            self._dpids = bridge_dpids(replica.tables)
            if bridge is None:
                self._health.log_once(missing)
            else:
                self._health.well()
            self._deliver(bridge, interfaces)
        self._transactions.step(replica, self._reader.find(replica.tables), missing)

    def _deliver(self, bridge: BridgeRow | None, interfaces: Interfaces) -> None:
        changed = difference(self._interfaces, interfaces)
        before, self._bridge, self._interfaces = self._bridge, bridge, interfaces
        if bridge != before:
            self._tell(self._listener.bridge_changed, bridge)
        if changed:
            self._tell(self._listener.interfaces_changed, changed)
        if bridge is None:
            self._tell_synced = True
        elif self._tell_synced:
            self._tell_synced = False
            self._tell(self._listener.synced)

    def _tell(self, method: Callable[..., None], *args: Any) -> None:
        if self._closed or self._silent:
            return
        try:
            method(self._key, *args)
        except Exception:
            LOG.exception("%s: the listener of its OVSDB failed", self._label)
