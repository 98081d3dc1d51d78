"""What every OpenFlow 1.4 message consists of: a header, and structures in a row.

Whatever is read came from outside: every length is checked, and ``WireError`` is raised on one
that is too small to advance or reaches beyond what holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from ryu_l2iso.exceptions import SwitchError

VERSION = 5
MAX_LENGTH = 0xFFFF
"""Bytes of the longest message: its length has 16 bits."""

MULTIPART_REPLY = 19

_HEADER = Struct("!BBHI")
_MULTIPART = Struct("!8xHH4x")
_U16 = Struct("!H")

HEADER_SIZE = _HEADER.size
MULTIPART_SIZE = _MULTIPART.size

PORT_STATUS = 12
"""Type of the message that tells what becomes of a port."""


class WireError(SwitchError):
    """Bytes that break the protocol, or a value that one message cannot hold."""


def check_length(length: int) -> int:
    """Return the length of a message; raises WireError when it is too long."""
    if length > MAX_LENGTH:
        raise WireError(f"a message of {length} bytes is longer than OpenFlow's 65535")
    return length


def message(kind: int, xid: int, body: bytes) -> bytes:
    """Return a message of a type (7.1); raises WireError when it is too long."""
    return _HEADER.pack(VERSION, kind, check_length(_HEADER.size + len(body)), xid) + body


def unpack_header(buf: bytes) -> tuple[int, int]:
    """Return type and xid of the one message that ``buf`` is."""
    if len(buf) < _HEADER.size:
        raise WireError(f"a message of {len(buf)} bytes has no header")
    version, kind, length, xid = _HEADER.unpack_from(buf)
    if version != VERSION or length != len(buf):
        raise WireError(f"version {version}, length {length} in a message of {len(buf)} bytes")
    return kind, xid


def check_type(buf: bytes, kind: int, size: int) -> None:
    """Raise WireError unless ``buf`` is a message of this type and of ``size`` bytes at least."""
    if unpack_header(buf)[0] != kind or len(buf) < size:
        raise WireError(f"{len(buf)} bytes are no message of type {kind}")


def check_multipart(buf: bytes, kind: int) -> bool:
    """Return whether more replies follow; raise WireError for a reply to another request."""
    check_type(buf, MULTIPART_REPLY, _MULTIPART.size)
    got, flags = _MULTIPART.unpack_from(buf)
    if got != kind:
        raise WireError(f"a multipart reply of type {got} to a request of type {kind}")
    return bool(flags & 1)


def spans(
    buf: bytes, start: int, end: int, length_at: int, smallest: int
) -> Iterator[tuple[int, int]]:
    """Yield start and end of structures in a row, each with its 16-bit length at ``length_at``."""
    while start < end:
        if end - start < smallest:
            raise WireError(f"{end - start} bytes left where a structure has {smallest} at least")
        (length,) = _U16.unpack_from(buf, start + length_at)
        if not smallest <= length <= end - start:
            raise WireError(f"a structure of {length} bytes where {end - start} are left")
        yield start, start + length
        start += length
