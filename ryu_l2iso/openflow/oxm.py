"""Matches to bytes and back: ``ofp_match`` and its OXM fields (OpenFlow 1.4, 7.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from struct import Struct
from typing import Callable, NamedTuple, Union

from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.pipelines.flow import UNTAGGED, VLAN_PRESENT, Match

_TLV = Struct("!HH")
Value = Union[int, str]


def _header(field: int, size: int) -> bytes:
    """Return the header of a field (7.2.3.2); ``size`` is in bytes."""
    return (0x80000000 | field << 9 | size).to_bytes(4, "big")


_ETH_DST = _header(3, 6)
_ETH_DST_MASKED = _header(3, 0x100 | 12)
_VLAN_VID = _header(6, 2)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(mac: bytes) -> str:
    return mac.hex(":")


def _pack_eth_dst(text: str) -> bytes:
    if "/" not in text:
        return _ETH_DST + _mac(text)
    value, _, mask = text.partition("/")
    return _ETH_DST_MASKED + _mac(value) + _mac(mask)


def _pack_vlan_vid(vlan: int) -> bytes:
    return _VLAN_VID + (0 if vlan == UNTAGGED else vlan | VLAN_PRESENT).to_bytes(2, "big")


def _unpack_vlan_vid(value: bytes) -> int | None:
    number = int.from_bytes(value, "big")
    if number & VLAN_PRESENT:
        return number - VLAN_PRESENT
    return None if number else UNTAGGED


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

VLAN_VID = _Field(_VLAN_VID, _pack_vlan_vid, _unpack_vlan_vid)

_IN_PORT, _ETH_SRC = _header(0, 4), _header(4, 6)
_FIELDS = {
    "in_port": _number(0, 4),
    "eth_src": _Field(_ETH_SRC, lambda text: _ETH_SRC + _mac(text), _text),
    "eth_dst": _Field(_ETH_DST, _pack_eth_dst, _text),
    "eth_type": _number(5, 2),
    "vlan_vid": VLAN_VID,
    "ip_proto": _number(10, 1),
    "icmpv6_type": _number(29, 1),
    "tunnel_id": TUNNEL_ID,
    "metadata": _number(2, 8),
}
"""Name in `Match` → field, in the order in which Open vSwitch tells of them: what is read back is
then what was sent, byte for byte.  A field comes after those that it requires (7.2.3.6)."""

_PICK = itemgetter(*map(Match._fields.index, _FIELDS))
_PACK = [field.pack for field in _FIELDS.values()]
_FRAMES = [(_TLV.pack(1, length), bytes(-length % 8)) for length in range(256)]
"""What stands before and after the fields of a match, by its length without padding."""

_UNPACK: dict[bytes, tuple[str, Callable[[bytes], Value | None]]] = {
    field.header: (name, field.unpack) for name, field in _FIELDS.items()
}
_UNPACK[_ETH_DST_MASKED] = ("eth_dst", lambda value: f"{_text(value[:6])}/{_text(value[6:])}")


def pack_match(match: Match) -> bytes:
    """Return ``ofp_match`` (7.2.3.1), padded."""
    oxm = b"".join([pack(value) for pack, value in zip(_PACK, _PICK(match)) if value is not None])
    head, padding = _FRAMES[4 + len(oxm)]
    return head + oxm + padding


def unpack_match(buf: bytes, pos: int, end: int) -> tuple[Match | bytes, int]:
    """Return the match at ``pos`` and where it ends with its padding.

    Where one of its fields is none of ours, the match is the fields as they came.
    """
    oxm, after = _fields_at(buf, pos, end)
    return _unpack_fields(oxm), after


def in_port_of(buf: bytes, pos: int, end: int) -> tuple[int | None, int]:
    """Return the port in the match at ``pos``, None without one, and where the match ends.

    Its other fields may be any, also none of ours; what comes after the port is not looked at.
    """
    oxm, after = _fields_at(buf, pos, end)
    if oxm[:4] == _IN_PORT and len(oxm) >= 8:
        # It is the first that Open vSwitch tells of.
        return int.from_bytes(oxm[4:8], "big"), after
    for header, value in _fields(oxm):
        if header == _IN_PORT:
            return int.from_bytes(value, "big"), after
    return None, after


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
