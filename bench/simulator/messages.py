"""OpenFlow 1.4 messages as a switch reads and writes them, in bytes.

Sections are those of the OpenFlow Switch Specification 1.4.0.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY = 0, 1, 2, 3
FEATURES_REQUEST, FEATURES_REPLY, GET_CONFIG_REQUEST, GET_CONFIG_REPLY = 5, 6, 7, 8
SET_CONFIG, PACKET_IN, PORT_STATUS, PACKET_OUT = 9, 10, 12, 13
FLOW_MOD, GROUP_MOD, MULTIPART_REQUEST, MULTIPART_REPLY = 14, 15, 18, 19
BARRIER_REQUEST, BARRIER_REPLY, METER_MOD = 20, 21, 29
BUNDLE_CONTROL, BUNDLE_ADD = 33, 34

FLOW_STATS, AGGREGATE, GROUP_DESC, METER_CONFIG, PORT_DESC = 1, 2, 7, 10, 13
"""Types of multipart messages (7.3.5)."""

OPEN_REQUEST, COMMIT_REQUEST, DISCARD_REQUEST = 0, 4, 6
"""Types of bundle control messages (7.3.9.1); the type of the reply is one more."""

PORT_ADDED, PORT_DELETED = 0, 1
"""Reasons of a port status (7.4.3)."""

LOCAL = 0xFFFFFFFE

_HEADER = Struct("!BBHI")
_FEATURES = Struct("!QIBB2xII")
_PORT = Struct("!IH2x6s2x16sIIHH4x6I")
_PORT_STATUS = Struct("!B7x")
_MULTIPART = Struct("!HH4x")
_PACKET_IN = Struct("!IHBBQHH4sI4x2x")
_ERROR = Struct("!HH")
_SPEED = 10_000_000
_MORE = 1

_PART = 60_000
"""Bytes of a multipart reply, about; one more entry has room."""


class Port(NamedTuple):
    """An OpenFlow port."""

    port_no: int
    name: str


def message(kind: int, xid: int, body: bytes = b"") -> bytes:
    """Return a message (7.1)."""
    return _HEADER.pack(5, kind, 8 + len(body), xid) + body


def error(kind: int, code: int, request: bytes) -> bytes:
    """Return the error that refuses a request (7.5.4)."""
    xid = int.from_bytes(request[4:8], "big")
    return message(ERROR, xid, _ERROR.pack(kind, code) + request[:64])


def features(dpid: int, xid: int) -> bytes:
    """Return the answer to the features request (7.3.1)."""
    return message(FEATURES_REPLY, xid, _FEATURES.pack(dpid, 0, 254, 0, 0x4F, 0))


def _port(port: Port) -> bytes:
    mac = b"\xaa" + port.port_no.to_bytes(5, "big")
    speeds = (0, 0, 0, 0, _SPEED, _SPEED)
    return _PORT.pack(port.port_no, 72, mac, port.name.encode(), 0, 4, 0, 32, *speeds)


def port_status(reason: int, port: Port) -> bytes:
    """Return the message that tells of a port (7.4.3)."""
    return message(PORT_STATUS, 0, _PORT_STATUS.pack(reason) + _port(port))


def port_descriptions(xid: int, ports: list[Port]) -> bytes:
    """Return the replies with all ports (7.3.5.7)."""
    return multipart(PORT_DESC, xid, [_port(port) for port in ports])


def multipart(kind: int, xid: int, entries: list[bytes]) -> bytes:
    """Return the replies that hold these entries, as many as it takes (7.3.5)."""
    parts: list[bytes] = [b""]
    sizes: list[bytes] = []
    size = 0
    for entry in entries:
        if size + len(entry) > _PART and sizes:
            parts[-1:] = [b"".join(sizes), b""]
            sizes, size = [], 0
        sizes.append(entry)
        size += len(entry)
    parts[-1] = b"".join(sizes)
    flags = [_MORE] * (len(parts) - 1) + [0]
    return b"".join(
        message(MULTIPART_REPLY, xid, _MULTIPART.pack(kind, flag) + part)
        for flag, part in zip(flags, parts)
    )


def packet_in(port_no: int, table: int, cookie: int, frame: bytes) -> bytes:
    """Return a whole packet that a flow sent to the controller (7.4.1)."""
    in_port = (12, b"\x80\x00\x00\x04", port_no)
    body = _PACKET_IN.pack(0xFFFFFFFF, len(frame), 1, table, cookie, 1, *in_port)
    return message(PACKET_IN, 0, body + frame)
