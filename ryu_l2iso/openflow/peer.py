"""One connection of a switch: the socket that the framework's datapath reads from and sends by.

It hands on whole messages, checked and made plain (see ``inspection``), takes what only we read,
replies, packet-ins of our flows and what becomes of ports, past the framework, and answers echo
requests itself.
"""

from __future__ import annotations

import _socket
import logging
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ryu_l2iso import tls, turns
from ryu_l2iso.framework import hub
from ryu_l2iso.openflow import inspection
from ryu_l2iso.openflow.framing import (
    HEADER_SIZE,
    MULTIPART_REPLY,
    PORT_STATUS,
    WireError,
    message,
)
from ryu_l2iso.openflow.inspection import Header
from ryu_l2iso.openflow.ports import PortStatus, is_real, unpack_port_status
from ryu_l2iso.state.ports import OFPort

LOG = logging.getLogger(__name__)

SEND_SECONDS = 10.0
"""How long a switch may take none of what is sent."""

MAX_PORTS = 8192
"""Ports of one switch; a peer decides how many it tells of."""

_CHUNK = 0x4000
_TURN = 0x4000
"""Bytes read at a time, and handled before other threads have their turn."""

_TURN_SHARE = 256
"""A message counts as this many bytes more than it has."""

_TURN_OF_REPLIES = 0x20000
"""The same of replies to what we asked: large turns, for which a connection waits in a row with
all others.  What a switch says behind its own flows, an echo request above all, waits for them."""

_MAX_WAITING = 256
"""Echo messages that may wait to be sent."""

BREAKS = "it breaks the protocol"

_ECHO_XID = 0x6C326973

_HELLO, _FEATURES, _PORTS, _READY = range(4)
"""What a connection waits for; nothing more once it is ready."""


def _leave(_told: object) -> None:
    """Take what nobody has asked for."""


class Refused(WireError):
    """A peer that keeps to the protocol and may not stay all the same."""


class Peer:
    """A connection; ``claim`` is asked with a dpid before the framework hears of it.

    ``claim`` may block, and raises Refused.  ``replies`` takes the bytes of each reply, and
    ``packet_ins`` those of each packet-in of one of our flows; both may raise WireError.
    ``address`` is the peer's; ``sock`` is green, TCP or TLS.
    """

    def __init__(
        self, sock: Any, address: tuple[str, int], claim: Callable[[Peer, int], None]
    ) -> None:
        self.address = address
        self.dpid: int | None = None
        self.fault = ""
        """Why we closed it; empty while we have not, and when the peer did."""
        self.detail = ""
        """What the peer did, where ``fault`` says no more than that it breaks the protocol."""
        self.gone = hub.Event()
        """Set by the server when the framework knows that the connection is over."""
        self.certificate: Mapping[str, Any] | None = None
        """What ``getpeercert`` gives of a TLS connection."""
        self.replies: Callable[[bytes], None] = _leave
        self.packet_ins: Callable[[bytes], None] = _leave
        self._sock = sock
        self._claim = claim
        self._waits_for = _HELLO
        # Every number that a port had; the ports as they are, until somebody takes them
        self._numbers: set[int] = set()
        self._ports: dict[int, OFPort] = {}
        self._port_changed: Callable[[PortStatus], None] = self._note
        self._passes_ports_on = True
        self._buffer = bytearray()
        self._turn = 0
        self._closed = False
        self._silent = 0
        self._answer: Any = None
        self._greeted = hub.Event()
        self._sending = hub.BoundedSemaphore(1)
        self._waiting: list[bytes] = []
        self._posting = False
        sock.settimeout(SEND_SECONDS)

    @property
    def identified(self) -> bool:
        """Tell whether the peer has said, and may be, who it is, and what ports it has."""
        return self._waits_for == _READY

    def secure(self, credentials: tls.Credentials) -> None:
        """Do the handshake of TLS; raises HandshakeError."""
        self._sock = tls.accept(self._sock, credentials)
        self._sock.settimeout(SEND_SECONDS)
        self.certificate = self._sock.getpeercert() or {}

    # The socket that the framework sees

    def recv(self, _size: int) -> bytes:
        """Return the next message for the framework, whole; b"" at the end."""
        if self._waits_for == _HELLO:
            # The framework's threads begin; ended before that they would keep us (`call_later`).
            hub.sleep(0)
        try:
            while not self._closed:
                header, buf = self._next()
                plain = self._take(header, buf)
                if plain:
                    return plain
        except Refused as error:
            self.close_for(str(error))
        except WireError as error:
            self.close_for(BREAKS, str(error))
        except (OSError, EOFError):
            pass
        return b""

    def sendall(self, data: bytes) -> None:
        """Send; raises OSError when the switch has taken none of it for some seconds."""
        with self._sending:
            try:
                self._sock.sendall(data)
                self._greeted.set()
            except socket.timeout:
                self.close_for(f"it takes no data for {SEND_SECONDS:g} s")
                raise

    def setsockopt(self, *args: Any) -> None:
        """Set an option of the socket."""
        self._sock.setsockopt(*args)

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing: what a switch may take for its answers is watched by `tick`."""

    def shutdown(self, _how: int) -> None:
        """End the connection: nothing that still comes would be read."""
        self.close_for("")

    def close(self) -> None:
        """Give the socket back."""
        self._closed = True
        # Who takes replies and ports holds the datapath, which holds this.
        self.replies, self._port_changed = _leave, _leave
        self._sock.close()

    # What the server and the claims ask

    def close_for(self, fault: str, detail: str = "") -> None:
        """End the connection; ``recv`` returns at once."""
        if self._closed:
            return
        self._closed = True
        self.fault, self.detail = fault, detail
        # The plain socket's method: that of TLS takes away what the thread that reads is using.
        plain = self._sock
        while hasattr(plain, "fd"):
            plain = plain.fd
        try:
            _socket.socket.shutdown(plain, socket.SHUT_RDWR)
        except OSError:
            LOG.debug("%s has gone already", self.address)

    def tick(self, ticks: int) -> None:
        """Ask for an echo; close when none has been answered for so many ticks."""
        self._silent += 1
        if self._silent > ticks:
            self.close_for("it answers no echo requests")
        elif self.identified:
            self._ask_for_echo()

    def answers(self, seconds: float) -> bool:
        """Ask for an echo and tell whether it comes in time."""
        if self._closed:
            return False
        if self._answer is None:
            self._answer = hub.Event()
            self._ask_for_echo()
        return bool(self._answer.wait(seconds))

    def _ask_for_echo(self) -> None:
        self._post(message(inspection.ECHO_REQUEST, _ECHO_XID, b""))

    def _post(self, data: bytes) -> None:
        """Send without blocking: who reads must not wait until the switch reads too."""
        self._waiting.append(data)
        if not self._posting:
            self._posting = True
            hub.spawn(self._send_waiting)

    def _send_waiting(self) -> None:
        try:
            while self._waiting:
                data, self._waiting = b"".join(self._waiting), []
                self.sendall(data)
            self._posting = False
        except OSError:
            self.close_for("")

    # Ports

    def take_ports(self, changed: Callable[[PortStatus], None], pass_on: bool) -> list[OFPort]:
        """Return the real ports; ``changed`` is told of each that changes from now on.

        With ``pass_on`` the framework is as well.
        """
        ports, self._ports = list(self._ports.values()), {}
        self._port_changed, self._passes_ports_on = changed, pass_on
        return ports

    def _note(self, status: PortStatus) -> None:
        self._ports.pop(status.port.port_no, None)
        if not status.gone:
            self._ports[status.port.port_no] = status.port

    def _count(self, ports: Iterable[OFPort]) -> None:
        self._numbers.update(port.port_no for port in ports)
        if len(self._numbers) > MAX_PORTS:
            raise Refused(f"it has more than {MAX_PORTS} ports")

    # Messages

    def _next(self) -> tuple[Header, bytes]:
        """Return the next message; raises EOFError at the end."""
        buffer, length = self._buffer, HEADER_SIZE
        while True:
            if len(buffer) >= HEADER_SIZE:
                header = inspection.read_header(buffer, 0)
                self._check_turn_of(header.kind)
                length = header.length
            if len(buffer) >= length:
                buf = bytes(buffer[:length])
                del buffer[:length]
                self._let_others_run(header)
                return header, buf
            data = self._receive()
            if not data:
                raise EOFError
            buffer += data

    def _receive(self) -> bytes:
        while not self._closed:
            try:
                data: bytes = self._sock.recv(_CHUNK)
                return data
            except socket.timeout:
                continue
        return b""

    def _check_turn_of(self, kind: int) -> None:
        """Raise WireError for a message that may not come yet, before it is there."""
        if self._waits_for == _HELLO and kind not in (inspection.HELLO, inspection.ERROR):
            raise WireError(f"a message of type {kind} before its HELLO")

    def _let_others_run(self, header: Header) -> None:
        self._turn += header.length + _TURN_SHARE
        if header.kind == MULTIPART_REPLY:
            if self._turn >= _TURN_OF_REPLIES:
                self._turn = 0
                turns.FACTS.take()
        elif self._turn >= _TURN:
            self._turn = 0
            hub.sleep(0)

    def _take(self, header: Header, buf: bytes) -> bytes | None:
        """Deal with a message; return what of it is for the framework."""
        kind = header.kind
        if kind == inspection.ECHO_REQUEST:
            if len(self._waiting) >= _MAX_WAITING:
                raise Refused("it asks for echoes and does not read the answers")
            self._post(message(inspection.ECHO_REPLY, header.xid, buf[HEADER_SIZE:]))
            return None
        if kind == inspection.ECHO_REPLY:
            return self._take_echo_reply(header, buf)
        if self._waits_for == _HELLO:
            return self._take_hello(header, buf)
        if self._waits_for == _FEATURES and kind == inspection.FEATURES_REPLY:
            return self._take_features(buf)
        if self._waits_for == _PORTS and kind == MULTIPART_REPLY:
            return self._take_ports(buf)
        if self._waits_for == _READY:
            return self._take_of_switch(kind, buf)
        if kind in inspection.REPLIES:
            raise WireError(f"a message of type {kind} during the handshake")
        return None

    def _take_echo_reply(self, header: Header, buf: bytes) -> bytes | None:
        self._silent = 0
        if header.xid != _ECHO_XID:
            return buf
        if self._answer is not None:
            self._answer.set()
            self._answer = None
        return None

    def _take_hello(self, header: Header, buf: bytes) -> bytes:
        if header.kind == inspection.ERROR:
            raise Refused("it refuses OpenFlow 1.4")
        if not inspection.speaks(buf):
            # Our HELLO comes first, which the framework sends in a thread of its own.
            self._greeted.wait(SEND_SECONDS)
            self.sendall(inspection.refuse_hello(buf))
            raise Refused("it does not speak OpenFlow 1.4")
        self._waits_for = _FEATURES
        return inspection.plain_hello(buf)

    def _take_features(self, buf: bytes) -> bytes:
        dpid = inspection.dpid_of(buf)
        self._claim(self, dpid)
        self._waits_for = _PORTS
        return buf

    def _take_ports(self, buf: bytes) -> bytes:
        told = inspection.plain_ports(buf)
        self._count(told.ports)
        self._ports.update((port.port_no, port) for port in told.ports if is_real(port))
        if not told.more:
            self._silent = 0
            self._waits_for = _READY
        return told.buf

    def _take_of_switch(self, kind: int, buf: bytes) -> bytes | None:
        if kind in inspection.REPLIES:
            self.replies(buf)
        elif kind == inspection.PACKET_IN:
            if not inspection.is_ours(buf):
                return inspection.plain_packet_in(buf)
            self.packet_ins(buf)
        elif kind == PORT_STATUS:
            status = unpack_port_status(buf)
            self._count([status.port])
            if is_real(status.port):
                self._port_changed(status)
            return inspection.plain_port_status(buf) if self._passes_ports_on else None
        return None
