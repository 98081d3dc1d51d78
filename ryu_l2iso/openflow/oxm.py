"""Matches to bytes and back: ``ofp_match`` and its OXM fields (OpenFlow 1.4, 7.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Callable, Union

from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.pipelines.flow import UNTAGGED, VLAN_PRESENT, Match

_TLV = Struct("!HH")
Value = Union[int, str]


def _header(field: int, size: int) -> bytes:
    """Return the header of a field (7.2.3.2); ``size`` is in bytes."""
    return (0x80000000 | field << 9 | size).to_bytes(4, "big")


TUNNEL_ID, VLAN_VID = _header(38, 8), _header(6, 2)
_IN_PORT, _METADATA = _header(0, 4), _header(2, 8)
_ETH_DST, _ETH_SRC, _ETH_TYPE = _header(3, 6), _header(4, 6), _header(5, 2)
_ETH_DST_MASKED = _header(3, 0x100 | 12)
_IP_PROTO, _ICMPV6_TYPE = _header(10, 1), _header(29, 1)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(mac: bytes) -> str:
    return mac.hex(":")


def _pack_masked(text: str) -> bytes:
    value, _, mask = text.partition("/")
    return _ETH_DST_MASKED + _mac(value) + _mac(mask)


def pack_tunnel_id(tunnel_id: int) -> bytes:
    """Return the field that holds a tunnel key."""
    return TUNNEL_ID + tunnel_id.to_bytes(8, "big")


def pack_vlan_vid(vlan: int) -> bytes:
    """Return the field that holds a VLAN ID, or `UNTAGGED`."""
    return VLAN_VID + (0 if vlan == UNTAGGED else vlan | VLAN_PRESENT).to_bytes(2, "big")


def unpack_vlan_vid(value: bytes) -> int | None:
    """Return the VLAN ID in a field; None for a value none of ours."""
    number = int.from_bytes(value, "big")
    if number & VLAN_PRESENT:
        return number - VLAN_PRESENT
    return None if number else UNTAGGED


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")


_UNPACK: dict[bytes, tuple[str, Callable[[bytes], Value | None]]] = {
    _IN_PORT: ("in_port", _number),
    _ETH_SRC: ("eth_src", _text),
    _ETH_DST: ("eth_dst", _text),
    _ETH_DST_MASKED: ("eth_dst", lambda value: f"{_text(value[:6])}/{_text(value[6:])}"),
    _ETH_TYPE: ("eth_type", _number),
    VLAN_VID: ("vlan_vid", unpack_vlan_vid),
    _IP_PROTO: ("ip_proto", _number),
    _ICMPV6_TYPE: ("icmpv6_type", _number),
    TUNNEL_ID: ("tunnel_id", _number),
    _METADATA: ("metadata", _number),
}
"""Header → name in `Match`, and what gives the value; None for a value none of ours."""

_FRAMES = [(_TLV.pack(1, length), bytes(-length % 8)) for length in range(256)]
"""What stands before and after the fields of a match, by its length without padding."""


def pack_match(match: Match) -> bytes:
    """Return ``ofp_match`` (7.2.3.1), padded.

    The fields stand in the order in which Open vSwitch tells of them: what is read back is then
    what was sent, byte for byte.  A field comes after those that it requires (7.2.3.6).
    """
    # Written out: nearly all that is computed for a flow is this.
    tunnel_id, metadata, in_port, vlan, eth_src, eth_dst, eth_type, ip_proto, icmpv6_type = match
    oxm = b"" if in_port is None else _IN_PORT + in_port.to_bytes(4, "big")
    if eth_src is not None:
        oxm += _ETH_SRC + _mac(eth_src)
    if eth_dst is not None:
        oxm += _pack_masked(eth_dst) if "/" in eth_dst else _ETH_DST + _mac(eth_dst)
    if eth_type is not None:
        oxm += _ETH_TYPE + eth_type.to_bytes(2, "big")
    if vlan is not None:
        oxm += pack_vlan_vid(vlan)
    if ip_proto is not None:
        oxm += _IP_PROTO + ip_proto.to_bytes(1, "big")
    if icmpv6_type is not None:
        oxm += _ICMPV6_TYPE + icmpv6_type.to_bytes(1, "big")
    if tunnel_id is not None:
        oxm += pack_tunnel_id(tunnel_id)
    if metadata is not None:
        oxm += _METADATA + metadata.to_bytes(8, "big")
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
