"""TLS towards a node's OVSDB server, which must show a certificate that names the switch."""

from __future__ import annotations

import errno
import ssl
from typing import Any

import ovs.poller
from ovs.stream import Stream, TCPStream

from ryu_l2iso import tls
from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.state.values import dpid_to_str

METHOD = "l2iso-tls"

_RETRY = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_credentials: tls.Credentials | None = None
_plaintext = True
_troubles: dict[str, str] = {}


def use_tls(credentials: tls.Credentials | None, plaintext: bool) -> None:
    """Set what ``ssl:`` addresses need, for the process.

    With credentials ``tcp:`` and ``unix:`` addresses are taken only if ``plaintext``.
    """
    global _credentials, _plaintext
    _credentials, _plaintext = credentials, plaintext or credentials is None


def stream_name(address: str, dpid: int | None) -> str:
    """Return how ``ovs`` is to connect to an OVSDB address.

    Raises OVSDBError for one that must not be used: ``ssl:`` without credentials, or without a
    dpid to expect there, and others where all has to go by TLS.
    """
    if not address.startswith("ssl:"):
        if not _plaintext:
            raise OVSDBError(f"{address} is without TLS, and the option plaintext has no ovsdb")
        return address
    if _credentials is None:
        raise OVSDBError(f"{address} needs ctl_privkey, ctl_cert and ca_certs")
    if dpid is None:
        raise OVSDBError(f"{address}: only a switch known by its dpid is reached by TLS")
    return f"{METHOD}:{dpid_to_str(dpid)}@{address[len('ssl:') :]}"


def trouble(name: str) -> str | None:
    """Return why TLS failed the last time at a stream of this name, about the server as "it"."""
    return _troubles.get(name)


def forget(name: str) -> None:
    """Forget what failed at a stream of this name."""
    _troubles.pop(name, None)


class NodeStream(TCPStream):  # type: ignore[misc]  # ovs has no types
    """A stream named by `stream_name`: nothing is sent before the certificate was looked at.

    That of ``ovs`` sets the TLS version in a way that eventlet 0.30 does not survive, spins while
    a server that has accepted the connection keeps it waiting for the handshake, and takes the
    certificate of any node for that of this one.
    """

    socket: Any
    _wrapped = False
    _secure = False
    _waits_to_send = False

    @staticmethod
    def _open(suffix: str, dscp: int) -> Any:
        return TCPStream._open(suffix.partition("@")[2], dscp)

    def connect(self) -> int:
        """Go on connecting; returns 0 once the server is the right one, EAGAIN, or an errno."""
        error: int = super().connect()
        if error or self._secure:
            return error
        try:
            self._shake_hands()
        except _RETRY as again:
            self._waits_to_send = isinstance(again, ssl.SSLWantWriteError)
            return errno.EAGAIN
        except OSError as failure:
            return self._failed(tls.cause(failure))
        dpid = int(self.name[len(METHOD) + 1 :].partition("@")[0], 16)
        reason = tls.may_be(dpid, self.socket.getpeercert() or {})
        if reason:
            return self._failed(reason)
        self._secure = True
        return 0

    def _shake_hands(self) -> None:
        if not self._wrapped:
            assert _credentials is not None
            self.socket = _credentials.context().wrap_socket(
                self.socket, do_handshake_on_connect=False
            )
            self.socket.setblocking(False)
            self._wrapped = True
        self.socket.do_handshake()

    def _failed(self, reason: str) -> int:
        _troubles[self.name] = reason
        return errno.EPROTO

    def recv(self, n: int) -> tuple[int, bytes]:
        """Return (errno, bytes): EAGAIN when there are none yet, 0 and none at the end."""
        error = self.connect()
        if error:
            return error, b""
        try:
            return 0, self.socket.recv(n)
        except _RETRY:
            return errno.EAGAIN, b""
        except OSError as failure:
            # With TLS 1.3 a server tells only now that it does not like our certificate.
            return self._failed(tls.cause(failure)), b""

    def send(self, buf: bytes | str) -> int:
        """Send some bytes; returns how many, or an errno as a negative number."""
        error = self.connect()
        if error:
            return -error
        try:
            return int(self.socket.send(buf.encode() if isinstance(buf, str) else buf))
        except _RETRY:
            return -errno.EAGAIN
        except OSError as failure:
            return -self._failed(tls.cause(failure))

    def wait(self, poller: Any, wait: int) -> None:
        """Let the poller wake up when there is something to do."""
        if self._wrapped and not self._secure:
            event = ovs.poller.POLLOUT if self._waits_to_send else ovs.poller.POLLIN
            poller.fd_wait(self.socket, event)
        elif self._secure and wait == Stream.W_RECV and self.socket.pending():
            # Received and decrypted already, so the file descriptor has nothing more to tell.
            poller.immediate_wake()
        else:
            super().wait(poller, wait)


Stream.register_method(METHOD, NodeStream)
