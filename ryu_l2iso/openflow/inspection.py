"""What a switch may say: its messages checked, and made so plain that no parser fails on them.

The framework's parser trusts the lengths inside a message; one of 0 makes it loop for ever.  So it
gets only messages that went through here, with nothing in them that is not read: no elements of
a HELLO, no properties of a port, no field of a packet but where it came in.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from ryu_l2iso.openflow.framing import (
    HEADER_SIZE,
    MAX_LENGTH,
    MULTIPART_REPLY,
    MULTIPART_SIZE,
    PORT_STATUS,
    VERSION,
    WireError,
    check_multipart,
    check_type,
    message,
    spans,
    unpack_header,
)
from ryu_l2iso.openflow.oxm import in_port_of, pack_match
from ryu_l2iso.openflow.ports import PORT_SIZE, STATUS_SIZE, unpack_port
from ryu_l2iso.pipelines.flow import Match
from ryu_l2iso.pipelines.table import COOKIE_MAGIC, COOKIE_MAGIC_MASK
from ryu_l2iso.state.ports import OFPort

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REPLY = 0, 1, 2, 3, 6
PACKET_IN, BARRIER_REPLY, BUNDLE_CONTROL = 10, 21, 33
PORT_DESC = 13
"""Type of the multipart reply that lists a switch's ports."""

UNREAD = frozenset({4, 8, 11, 25, 27, 30, 31, 32})
"""Types that a switch may send and nobody here reads: experimenter, get-config, flow-removed,
role, async, role and table status, request forward (7.1)."""

REPLIES = frozenset({ERROR, MULTIPART_REPLY, BARRIER_REPLY, BUNDLE_CONTROL})
"""Types that answer what we asked, or refuse it."""

KNOWN = REPLIES | UNREAD | {HELLO, ECHO_REQUEST, ECHO_REPLY, FEATURES_REPLY, PACKET_IN, PORT_STATUS}

_LONGEST = {HELLO: 1024, ECHO_REQUEST: 4096, ECHO_REPLY: 4096, FEATURES_REPLY: 32}
_LONGEST.update({PORT_STATUS: 4096, BARRIER_REPLY: 8, BUNDLE_CONTROL: 4096})
"""Bytes of the longest message of a type, where that is not what 16 bits can say."""

_VERSION_BITMAP = 1
_HEADER = Struct("!BBHI")
_TLV = Struct("!HH")
_WORD = Struct("!I")
_FEATURES = Struct("!8xQ16x")
_PACKET_IN_SIZE = 24
_SHORTEST_PACKET_IN = _PACKET_IN_SIZE + 8 + 2
_COOKIE = Struct("!16xQ")


class Header(NamedTuple):
    """The first 8 bytes of every message (7.1.1)."""

    version: int
    kind: int
    length: int
    xid: int


def read_header(buf: bytes | bytearray, pos: int) -> Header:
    """Return a header; raises WireError unless a switch may send such a message."""
    version, kind, length, xid = _HEADER.unpack_from(buf, pos)
    if kind not in KNOWN:
        raise WireError(f"a message of type {kind}, which no switch sends")
    if not HEADER_SIZE <= length <= _LONGEST.get(kind, MAX_LENGTH):
        raise WireError(f"a message of type {kind} that says it has {length} bytes")
    if version != VERSION and kind not in (HELLO, ERROR):
        raise WireError(f"a message of version {version} after version {VERSION} was agreed")
    return Header(version, kind, length, xid)


def speaks(hello: bytes) -> bool:
    """Tell whether a HELLO lets 1.4 be agreed on (6.3.1); raises WireError for a broken one.

    Elements are padded to 8 bytes, the last one too, whatever their length says (7.5.1).
    """
    pos, end, offered = HEADER_SIZE, len(hello), None
    while pos < end:
        if end - pos < _TLV.size:
            raise WireError(f"{end - pos} bytes left where a HELLO element has 4 at least")
        kind, length = _TLV.unpack_from(hello, pos)
        if not _TLV.size <= length <= end - pos:
            raise WireError(f"a HELLO element of {length} bytes where {end - pos} are left")
        if kind == _VERSION_BITMAP and length >= 8:
            offered = _WORD.unpack_from(hello, pos + 4)[0]
        pos += length + -length % 8
    return hello[0] >= VERSION if offered is None else bool(offered >> VERSION & 1)


def plain_hello(hello: bytes) -> bytes:
    """Return a HELLO of 1.4 without elements, with the xid of one that ``speaks``."""
    return message(HELLO, _HEADER.unpack_from(hello)[3], b"")


def refuse_hello(hello: bytes) -> bytes:
    """Return the error that ends a connection for which no version is to be had (7.5.4.1)."""
    version, _, _, xid = _HEADER.unpack_from(hello)
    text = b"OpenFlow 1.4 is spoken here"
    length = HEADER_SIZE + 4 + len(text)
    return _HEADER.pack(min(version, VERSION), ERROR, length, xid) + bytes(4) + text


def dpid_of(features: bytes) -> int:
    """Return whom a features reply says that it comes from (7.3.1)."""
    check_type(features, FEATURES_REPLY, _FEATURES.size)
    dpid: int = _FEATURES.unpack_from(features)[0]
    return dpid


class Ports(NamedTuple):
    """A port-desc reply made plain, its ports, and whether more follow (7.3.5.7)."""

    buf: bytes
    ports: tuple[OFPort, ...]
    more: bool


def plain_ports(reply: bytes) -> Ports:
    """Return a port-desc reply made plain; raises WireError for one that breaks the protocol."""
    more = check_multipart(reply, PORT_DESC)
    starts = [start for start, _ in spans(reply, MULTIPART_SIZE, len(reply), 4, PORT_SIZE)]
    xid = unpack_header(reply)[1]
    plain = b"".join(_plain_port(reply, start) for start in starts)
    buf = message(MULTIPART_REPLY, xid, reply[HEADER_SIZE:MULTIPART_SIZE] + plain)
    return Ports(buf, tuple(unpack_port(reply, start) for start in starts), more)


def plain_port_status(status: bytes) -> bytes:
    """Return a port-status that has been unpacked, made plain."""
    xid = unpack_header(status)[1]
    head = status[HEADER_SIZE:STATUS_SIZE]
    return message(PORT_STATUS, xid, head + _plain_port(status, STATUS_SIZE))


def _plain_port(buf: bytes, start: int) -> bytes:
    """Return a port description (7.2.1) that ends before its properties."""
    return buf[start : start + 4] + _TLV.pack(PORT_SIZE, 0) + buf[start + 8 : start + PORT_SIZE]


def is_ours(packet_in: bytes) -> bool:
    """Tell whether a packet-in (7.4.1) is of one of our flows, and not of another app's."""
    if len(packet_in) < _SHORTEST_PACKET_IN:
        raise WireError(f"a packet-in of {len(packet_in)} bytes")
    return bool(_COOKIE.unpack_from(packet_in)[0] & COOKIE_MAGIC_MASK == COOKIE_MAGIC)


def unpack_packet_in(packet_in: bytes) -> tuple[int | None, int, bytes]:
    """Return the port of a packet-in that `is_ours`, the flow's cookie, and the packet.

    There may be no port, and of the packet there is as much as the flow sends.
    """
    port_no, after = in_port_of(packet_in, _PACKET_IN_SIZE, len(packet_in) - 2)
    return port_no, _COOKIE.unpack_from(packet_in)[0], packet_in[after + 2 :]


def plain_packet_in(packet_in: bytes) -> bytes | None:
    """Return another packet-in whose match is its port alone; None for one that has no port."""
    port_no, after = in_port_of(packet_in, _PACKET_IN_SIZE, len(packet_in) - 2)
    if port_no is None:
        return None
    xid = unpack_header(packet_in)[1]
    head = packet_in[HEADER_SIZE:_PACKET_IN_SIZE] + pack_match(Match(in_port=port_no))
    return message(PACKET_IN, xid, head + packet_in[after:])
