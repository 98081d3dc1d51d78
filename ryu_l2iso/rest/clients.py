"""The connections of REST clients: what each may take, and which one makes room for another."""

from __future__ import annotations

import io
import logging
import socket
import time
import weakref
from collections import Counter
from typing import Any

import eventlet

LOG = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024
"""Connections at a time; one more takes the place of the one that has been waited for longest."""

WAIT_SECONDS = 0.02
"""Pause before the next look for a place, where every client is being served."""


class TimedSocket(io.RawIOBase):
    """One direction of a connection: a stage of it must end in time, not each piece of it."""

    def __init__(self, client: Client, call: str) -> None:
        # The client has us.
        self._client: Any = weakref.proxy(client)
        self._call = call
        self._seconds: float | None = None
        self._since: float | None = None

    def begin(self, seconds: float | None) -> None:
        """Begin a stage: ``seconds`` from the first wait on, None for no limit here."""
        self._seconds = seconds
        self._since = None

    def readable(self) -> bool:
        """Tell io that it may be read."""
        return self._call == "recv_into"

    def writable(self) -> bool:
        """Tell io that it may be written."""
        return self._call == "send"

    def readinto(self, buffer: Any) -> int:
        """Receive into a buffer; raises socket.timeout when the stage has taken too long."""
        return self._wait(buffer)

    def write(self, data: Any) -> int:
        """Send some of the data and return how much; raises socket.timeout likewise."""
        return self._wait(data)

    def _wait(self, data: Any) -> int:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = None if self._seconds is None else self._since + self._seconds - now
        if left is not None and left <= 0:
            raise socket.timeout("timed out")
        connection: Any = self._client[1]
        connection.settimeout(left)
        self._client.waiting_since = self._since
        try:
            done: int = getattr(connection, self._call)(data)
        finally:
            self._client.waiting_since = None
        return done


class Client(list[Any]):
    """One connection: eventlet's ``[address, socket, state]``, and more.

    ``waiting_since``: when the stage began in which the client is waited for; None while it waits
    for us.  ``thread``: the green thread that serves it.
    """

    def __init__(self, connection: Any, address: Any) -> None:
        super().__init__([address, connection, eventlet.wsgi.STATE_IDLE])
        self.host: str = address[0]
        self.reads = TimedSocket(self, "recv_into")
        self.writes = TimedSocket(self, "send")
        self.waiting_since: float | None = None
        self.thread: Any = None

    def cut(self) -> None:
        """End it at once, whatever it is doing."""
        # What is still buffered would be sent on the way out.
        self.reads.begin(0)
        self.writes.begin(0)
        self.thread.kill()
        self.close()

    def close(self) -> None:
        """Close the socket; harmless when repeated."""
        eventlet.greenio.shutdown_safe(self[1])
        self[1].close()


class Clients:
    """The connections that there are, at most MAX_CONNECTIONS."""

    def __init__(self) -> None:
        # In the order of their coming.
        self._clients: dict[int, Client] = {}
        self._full = False

    def add(self, client: Client) -> None:
        """Take a client in, and wait for a place while every other is being served."""
        while len(self._clients) >= MAX_CONNECTIONS and not self.make_room():
            eventlet.sleep(WAIT_SECONDS)
        self._clients[id(client)] = client

    def remove(self, client: Client) -> None:
        """Forget a client that is gone; harmless when repeated."""
        self._clients.pop(id(client), None)
        if self._full and len(self._clients) < MAX_CONNECTIONS // 2:
            self._full = False

    def make_room(self) -> bool:
        """Cut the client that has been waited for longest; return False when there is none.

        It is one of the address that most of them come from, so that nobody's connections cost
        the others theirs.
        """
        waiting = [client for client in self._clients.values() if client.waiting_since is not None]
        if not waiting:
            return False
        of_host = Counter(client.host for client in waiting)
        longest = min(waiting, key=lambda c: (-of_host[c.host], c.waiting_since))
        if not self._full:
            self._full = True
            LOG.warning(
                "%d REST clients are connected, %d of them from %s: who has not sent a request for "
                "longest makes room",
                len(self._clients),
                of_host[longest.host],
                longest.host,
            )
        longest.cut()
        return True

    def cut_all(self) -> None:
        """End every connection."""
        for client in list(self._clients.values()):
            client.cut()
            self.remove(client)
