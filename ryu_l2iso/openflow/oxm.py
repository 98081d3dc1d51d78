"""Matches to bytes and back: ``ofp_match`` and its OXM fields (OpenFlow 1.4, 7.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Callable, NamedTuple, Union

from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.pipelines.flow import Match

_TLV = Struct("!HH")
_VLAN_PRESENT = 0x1000
"""OFPVID_PRESENT: the packet has a tag (7.2.3.7)."""

Value = Union[int, str]


def _header(field: int, size: int) -> bytes:
    """Return the header of a field (7.2.3.2); ``size`` is in bytes."""
    return (0x80000000 | field << 9 | size).to_bytes(4, "big")


_ETH_DST = _header(3, 6)
_ETH_DST_MASKED = _header(3, 0x100 | 12)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(mac: bytes) -> str:
    return mac.hex(":")


def _pack_eth_dst(text: str) -> bytes:
    value, _, mask = text.partition("/")
    return _ETH_DST_MASKED + _mac(value) + _mac(mask) if mask else _ETH_DST + _mac(value)


def _unpack_vlan_vid(value: bytes) -> int | None:
    number = int.from_bytes(value, "big")
    return number - _VLAN_PRESENT if number & _VLAN_PRESENT else None


class _Field(NamedTuple):
    """How a field of `Match` is written; ``unpack`` returns None for a value none of ours."""

    header: bytes
    pack: Callable[..., bytes]
    unpack: Callable[[bytes], Value | None]


def _number(field: int, size: int) -> _Field:
    header = _header(field, size)
    return _Field(
        header,
        lambda value: header + value.to_bytes(size, "big"),
        lambda value: int.from_bytes(value, "big"),
    )


TUNNEL_ID = _number(38, 8)

_IN_PORT, _ETH_SRC, _VLAN_VID = _header(0, 4), _header(4, 6), _header(6, 2)
_FIELDS = {
    "in_port": _number(0, 4),
    "metadata": _number(2, 8),
    "eth_dst": _Field(_ETH_DST, _pack_eth_dst, _text),
    "eth_src": _Field(_ETH_SRC, lambda text: _ETH_SRC + _mac(text), _text),
    "eth_type": _number(5, 2),
    "vlan_vid": _Field(
        _VLAN_VID,
        lambda vid: _VLAN_VID + (vid | _VLAN_PRESENT).to_bytes(2, "big"),
        _unpack_vlan_vid,
    ),
    "ip_proto": _number(10, 1),
    "icmpv6_type": _number(29, 1),
    "tunnel_id": TUNNEL_ID,
}
"""Name in `Match` → field, in the order of the fields' numbers (7.2.3.7)."""

_PACK = [(Match._fields.index(name), field.pack) for name, field in _FIELDS.items()]
_UNPACK: dict[bytes, tuple[str, Callable[[bytes], Value | None]]] = {
    field.header: (name, field.unpack) for name, field in _FIELDS.items()
}
_UNPACK[_ETH_DST_MASKED] = ("eth_dst", lambda value: f"{_text(value[:6])}/{_text(value[6:])}")


def pack_match(match: Match | bytes) -> bytes:
    """Return ``ofp_match`` (7.2.3.1), padded; bytes are its fields as they came."""
    if isinstance(match, bytes):
        oxm = match
    else:
        oxm = b""
        for index, pack in _PACK:
            if match[index] is not None:
                oxm += pack(match[index])
    length = 4 + len(oxm)
    return _TLV.pack(1, length) + oxm + bytes(-length % 8)


def unpack_match(buf: bytes, pos: int, end: int) -> tuple[Match | bytes, int]:
    """Return the match at ``pos`` and where it ends with its padding.

    Where one of its fields is none of ours, the match is the fields as they came.
    """
    oxm, after = _fields_at(buf, pos, end)
    return _unpack_fields(oxm), after


def in_port_of(buf: bytes, pos: int, end: int) -> tuple[int | None, int]:
    """Return the port in the match at ``pos``, None without one, and where the match ends.

    Its other fields may be any, also none of ours.
    """
    oxm, after = _fields_at(buf, pos, end)
    found = [int.from_bytes(value, "big") for header, value in _fields(oxm) if header == _IN_PORT]
    return found[0] if found else None, after


def _fields(oxm: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the header and the value of each field."""
    pos = 0
    while pos < len(oxm):
        start = pos + 4
        header, pos = oxm[pos:start], start + oxm[start - 1] if start <= len(oxm) else len(oxm) + 1
        if pos > len(oxm):
            raise WireError("a match field reaches beyond its match")
        yield header, oxm[start:pos]


def _fields_at(buf: bytes, pos: int, end: int) -> tuple[bytes, int]:
    """Return the fields of the match at ``pos``, and where it ends with its padding."""
    kind, length = _TLV.unpack_from(buf, pos)
    after = pos + length + (-length % 8)
    if kind != 1 or length < 4 or after > end:
        raise WireError(f"a match of type {kind} and {length} bytes")
    return buf[pos + 4 : pos + length], after


def _unpack_fields(oxm: bytes) -> Match | bytes:
    found: dict[str, Value] = {}
    for header, field in _fields(oxm):
        name, unpack = _UNPACK.get(header, ("", _text))
        value = unpack(field)
        if not name or value is None or name in found:
            return oxm
        found[name] = value
    return Match(**found)  # type: ignore[arg-type]
