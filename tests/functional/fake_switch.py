"""A switch made by hand: one OpenFlow connection, on which a test says what it likes."""

from __future__ import annotations

import socket
import struct
import time

from ryu_l2iso.framework import hub
from tests.functional.ovs import DEADLINE

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PACKET_IN, PORT_STATUS, MULTIPART_REQUEST, MULTIPART_REPLY = 10, 12, 18, 19
BARRIER_REQUEST, BARRIER_REPLY, BUNDLE_CONTROL = 20, 21, 33
FLOW_STATS, GROUP_DESC, METER_CONFIG, PORT_DESC = 1, 7, 10, 13


def message(kind: int, body: bytes = b"", xid: int = 1, version: int = 5) -> bytes:
    """Return a message whose length is right."""
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def multipart(kind: int, body: bytes = b"", xid: int = 1, more: bool = False) -> bytes:
    """Return a multipart reply."""
    return message(MULTIPART_REPLY, struct.pack("!HH4x", kind, more) + body, xid)


def port(number: int, name: bytes = b"vm1", properties: bytes = b"", length: int = -1) -> bytes:
    """Return a port description; ``length`` is what it says of itself, if not the truth."""
    length = 40 + len(properties) if length < 0 else length
    head = struct.pack("!IH2x6s2x16sII", number, length, bytes(6), name, 0, 0)
    return head + properties


def features(dpid: int, xid: int = 1) -> bytes:
    """Return a features reply."""
    return message(FEATURES_REPLY, struct.pack("!QIBB2xII", dpid, 0, 254, 0, 0x4F, 0), xid)


def packet_in(
    in_port: int, data: bytes = bytes(64), oxm: bytes | None = None, cookie: int = 0
) -> bytes:
    """Return a packet-in; ``oxm`` is its match's fields, if not just the port."""
    oxm = struct.pack("!HBBI", 0x8000, 0, 4, in_port) if oxm is None else oxm
    match = struct.pack("!HH", 1, 4 + len(oxm)) + oxm
    match += bytes(-len(match) % 8)
    head = struct.pack("!IHBBQ", 0xFFFFFFFF, len(data), 1, 0, cookie)
    return message(PACKET_IN, head + match + b"\0\0" + data)


def port_status(description: bytes, reason: int = 0) -> bytes:
    """Return a message that a port was added, or what else the reason says (7.4.3)."""
    return message(PORT_STATUS, bytes([reason, *bytes(7)]) + description)


class FakeSwitch:
    """One connection to a controller on 127.0.0.1; use it as a context manager.

    ``host`` is the address of this machine that it comes from.
    """

    def __init__(self, openflow_port: int, host: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection(("127.0.0.1", openflow_port), DEADLINE, (host, 0))
        self._data = b""
        self._thread = None

    def __enter__(self) -> FakeSwitch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            hub.kill(self._thread)
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def receive(self, seconds: float = DEADLINE) -> tuple[int, int, bytes] | None:
        """Return type, xid and the rest of the next message; None when the controller closes.

        Raises socket.timeout.
        """
        end = time.monotonic() + seconds
        while True:
            if len(self._data) >= 8:
                _, kind, length, xid = struct.unpack_from("!BBHI", self._data)
                if len(self._data) >= length:
                    body, self._data = self._data[8:length], self._data[length:]
                    return kind, xid, body
            self.sock.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._data += data

    def expect(self, kind: int, seconds: float = DEADLINE) -> tuple[int, bytes]:
        """Return xid and the rest of the next message of a type; answers echoes meanwhile."""
        end = time.monotonic() + seconds
        while True:
            got = self.receive(end - time.monotonic())
            assert got is not None, f"closed while a message of type {kind} was waited for"
            if got[0] == kind:
                return got[1:]
            self.answer(*got)

    def expect_close(self, seconds: float = DEADLINE) -> None:
        """Read until the controller closes the connection, and answer nothing."""
        end = time.monotonic() + seconds
        while self.receive(end - time.monotonic()) is not None:
            pass

    def connect_as(self, dpid: int, ports: bytes = b"") -> FakeSwitch:
        """Do the handshake."""
        self.send(message(HELLO))
        self.send(features(dpid, self.expect(FEATURES_REQUEST)[0]))
        xid, body = self.expect(MULTIPART_REQUEST)
        assert body.startswith(struct.pack("!H", PORT_DESC))
        self.send(multipart(PORT_DESC, ports, xid))
        return self

    def behave(self) -> FakeSwitch:
        """Answer as an empty switch does from now on, in a green thread."""
        self._thread = hub.spawn(self._behave)
        return self

    def _behave(self) -> None:
        while True:
            got = self.receive(3600)
            if got is None:
                return
            self.answer(*got)

    def answer(self, kind: int, xid: int, body: bytes) -> None:
        """Answer a message as a switch without flows does."""
        if kind == ECHO_REQUEST:
            self.send(message(ECHO_REPLY, body, xid))
        elif kind == BARRIER_REQUEST:
            self.send(message(BARRIER_REPLY, b"", xid))
        elif kind == MULTIPART_REQUEST:
            asked = struct.unpack_from("!H", body)[0]
            self.send(multipart(asked, b"" if asked != 2 else bytes(24), xid))
        elif kind == BUNDLE_CONTROL:
            bundle, what, flags = struct.unpack_from("!IHH", body)
            self.send(message(kind, struct.pack("!IHH", bundle, what + 1, flags), xid))

    def echo(self, seconds: float = DEADLINE) -> float:
        """Ask the controller for an echo; return how many seconds it took."""
        begun = time.monotonic()
        xid = int(begun * 1000) & 0x7FFFFFFF
        self.send(message(ECHO_REQUEST, b"", xid))
        while self.expect(ECHO_REPLY, seconds)[0] != xid:
            pass
        return time.monotonic() - begun
