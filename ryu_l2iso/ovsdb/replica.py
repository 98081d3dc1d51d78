"""The idl of one OVSDB server, and how a green thread that runs it is woken."""

from __future__ import annotations

import socket
from typing import Any

import ovs.poller
from ovs.db.idl import Idl
from ovs.stream import Stream

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.reader import BridgeReader
from ryu_l2iso.ovsdb.schema import schema_helper

MIN_BACKOFF = 1.0
"""Seconds; the idl takes no less."""

_ssl_files = False


def use_ssl(private_key: str, certificate: str, ca_certs: str) -> None:
    """Set the PEM files that ``ssl:`` addresses need, for the whole process.

    Not with eventlet 0.30.2, which Ryu needs: its SSLContext recurses without end when ``ovs``
    sets the lowest TLS version, and the connection then logs that and keeps trying.
    """
    global _ssl_files
    Stream.ssl_set_private_key_file(private_key)
    Stream.ssl_set_certificate_file(certificate)
    Stream.ssl_set_ca_cert_file(ca_certs)
    _ssl_files = True


class Replica(Idl):  # type: ignore[misc]
    """The idl of one server; tells the reader which rows changed."""

    def __init__(self, address: str, reader: BridgeReader, max_backoff: float) -> None:
        """Raise OVSDBError when the address is ``ssl:`` and ``use_ssl`` was not called."""
        if address.startswith("ssl:") and not _ssl_files:
            raise OVSDBError(f"{address} needs a private key, a certificate and CA certificates")
        super().__init__(address, schema_helper())
        self._reader = reader
        backoff = (int(MIN_BACKOFF * 1000), int(max_backoff * 1000))
        self._session.reconnect.set_backoff(*backoff)

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        """Pass on that a row changed; called by ``run()``."""
        self._reader.row_changed(row._table.name, row.uuid)

    @property
    def connected(self) -> bool:
        """Tell whether the server has accepted a connection and not dropped it."""
        return bool(self._session.is_connected())

    @property
    def in_sync(self) -> bool:
        """Tell whether this is the database's content, up to what is on its way."""
        return self.connected and self.state == Idl.IDL_S_MONITORING


class Waker:
    """Wakes a green thread that is blocked in a poller."""

    def __init__(self) -> None:
        self._receive, self._send = socket.socketpair()
        self._receive.setblocking(False)
        self._send.setblocking(False)
        self._woken = False

    def wake(self) -> None:
        """Let ``block`` return, now or the next time that it is called."""
        if not self._woken:
            self._woken = True
            self._send.send(b"w")

    def block(self, poller: Any) -> None:
        """Block on the poller until something that it waits for happens, or ``wake()``."""
        poller.fd_wait(self._receive, ovs.poller.POLLIN)
        poller.block()
        if self._woken:
            self._receive.recv(1)
            self._woken = False

    def pause(self, seconds: float) -> None:
        """Block for some seconds, less after ``wake()``."""
        poller = ovs.poller.Poller()
        poller.timer_wait(int(seconds * 1000))
        self.block(poller)

    def close(self) -> None:
        """Give the sockets back; ``wake()`` does nothing any more."""
        self._woken = True
        self._receive.close()
        self._send.close()
