"""OpenFlow 1.4 bytes from flow values and back, for what this suite sends and reads.

Sections and structure names are those of the OpenFlow Switch Specification 1.4.0.  Whatever is
unpacked came from outside: every length in it is checked, and ``WireError`` is raised on one
that is too small to advance or reaches beyond what holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Callable, NamedTuple, Union

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.pipelines.flow import Action, Flow, Group, Match, Output, SetTunnelId, ToGroup

VERSION = 5
ERROR, FLOW_MOD, GROUP_MOD = 1, 14, 15
MULTIPART_REQUEST, MULTIPART_REPLY = 18, 19
BUNDLE_CONTROL, BUNDLE_ADD = 33, 34

OPEN_REQUEST, OPEN_REPLY, COMMIT_REQUEST, COMMIT_REPLY = 0, 1, 4, 5
"""Types of a bundle control message (7.3.9.1)."""

_FLOW_STATS, _GROUP_DESC = 1, 7
_ATOMIC_ORDERED = 3
_FLOW_ADD, _FLOW_DELETE_STRICT = 0, 4
_GROUP_ADD, _GROUP_MODIFY, _GROUP_DELETE = 0, 1, 2
_GOTO_TABLE, _APPLY_ACTIONS = 1, 4
_OUTPUT, _GROUP, _SET_FIELD = 0, 22, 25
_ANY = 0xFFFFFFFF
_ALL_TABLES = 0xFF
_MAX_LENGTH = 0xFFFF

_HEADER = Struct("!BBHI")
_ERROR = Struct("!8xHH")
_MULTIPART = Struct("!8xHH4x")
_BUNDLE = Struct("!IHH")
_FLOW_MOD = Struct("!QQBBHHHIIIHH")
_FLOW_STATS_REQUEST = Struct("!HH4xB3xII4xQQ")
_FLOW_STATS_ENTRY = Struct("!2xBx8xHHHHH2xQ16x")
_GROUP_MOD = Struct("!HBxI")
_GROUP_ENTRY = Struct("!2xBxI")
_BUCKET = Struct("!HHII4x")
_TLV = Struct("!HH")
_U16 = Struct("!H")
_OXM32 = Struct("!II")
_OXM64 = Struct("!IQ")
_OUTPUT_ACTION = Struct("!HHIH6x")
_GROUP_ACTION = Struct("!HHI")
_SET_FIELD_64 = Struct("!HHIQ")
_GOTO = Struct("!HHB3x")
_ACTIONS = Struct("!HH4x")

_IN_PORT, _METADATA, _ETH_DST, _ETH_SRC, _TUNNEL_ID = (
    0x80000000 | field << 9 | size for field, size in ((0, 4), (2, 8), (3, 6), (4, 6), (38, 8))
)
_SET_TUNNEL_ID = _TUNNEL_ID.to_bytes(4, "big")
_ETH_DST_MASKED = 0x80000000 | 3 << 9 | 0x100 | 12

FlowKey = tuple[int, int, Union[Match, bytes]]
"""``(table, priority, match)``: what a switch tells flows apart by; equal to ``Flow.id``."""


class WireError(SwitchError):
    """Bytes that break the protocol, or a value that one message cannot hold."""


class OpaqueFlow(NamedTuple):
    """A flow under our cookie that somebody gave a shape of his own; it can only be deleted.

    ``match`` is the OXM fields as they came where even these are not ours.
    """

    table: int
    priority: int
    match: Match | bytes
    cookie: int

    @property
    def id(self) -> FlowKey:
        """Return what the switch knows this flow by."""
        return (self.table, self.priority, self.match)


class OpaqueGroup(NamedTuple):
    """A group that is not of a shape of ours."""

    group_id: int


class BundleControl(NamedTuple):
    """A bundle control message: ``kind`` is ``OPEN_REPLY``, ``COMMIT_REPLY``, …"""

    bundle_id: int
    kind: int


class ErrorReply(NamedTuple):
    """An error message; ``data`` starts with the bytes of the message that was refused."""

    type: int
    code: int
    data: bytes


InstalledFlow = Union[Flow, OpaqueFlow]
InstalledGroup = Union[Group, OpaqueGroup]


# Packing


def _message(kind: int, xid: int, body: bytes) -> bytes:
    length = _HEADER.size + len(body)
    if length > _MAX_LENGTH:
        raise WireError(f"a message of {length} bytes is longer than OpenFlow's 65535")
    return _HEADER.pack(VERSION, kind, length, xid) + body


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _eth_dst(text: str) -> bytes:
    value, _, mask = text.partition("/")
    if not mask:
        return _ETH_DST.to_bytes(4, "big") + _mac(value)
    return _ETH_DST_MASKED.to_bytes(4, "big") + _mac(value) + _mac(mask)


def _pack_match(match: Match | bytes) -> bytes:
    """Return ``ofp_match`` (7.2.3.1), padded; the fields in the order of their numbers."""
    if isinstance(match, bytes):
        oxm = match
    else:
        oxm = b""
        if match.in_port is not None:
            oxm += _OXM32.pack(_IN_PORT, match.in_port)
        if match.metadata is not None:
            oxm += _OXM64.pack(_METADATA, match.metadata)
        if match.eth_dst is not None:
            oxm += _eth_dst(match.eth_dst)
        if match.eth_src is not None:
            oxm += _ETH_SRC.to_bytes(4, "big") + _mac(match.eth_src)
        if match.tunnel_id is not None:
            oxm += _OXM64.pack(_TUNNEL_ID, match.tunnel_id)
    length = 4 + len(oxm)
    return _TLV.pack(1, length) + oxm + bytes(-length % 8)


def _pack_action(action: Action) -> bytes:
    if isinstance(action, Output):
        return _OUTPUT_ACTION.pack(_OUTPUT, 16, action.port_no, 0)
    if isinstance(action, ToGroup):
        return _GROUP_ACTION.pack(_GROUP, 8, action.group_id)
    return _SET_FIELD_64.pack(_SET_FIELD, 16, _TUNNEL_ID, action.tunnel_id)


def _pack_instructions(actions: Sequence[Action], goto: int | None) -> bytes:
    packed = b"".join(map(_pack_action, actions))
    length = _ACTIONS.size + len(packed)
    if length > _MAX_LENGTH:
        raise WireError(f"{len(actions)} actions are more than one flow can hold")
    instructions = _ACTIONS.pack(_APPLY_ACTIONS, length) + packed if actions else b""
    return instructions if goto is None else instructions + _GOTO.pack(_GOTO_TABLE, 8, goto)


def _pack_flow_mod(command: int, flow: InstalledFlow, instructions: bytes, xid: int) -> bytes:
    fixed = _FLOW_MOD.pack(
        flow.cookie, 0, flow.table, command, 0, 0, flow.priority, _ANY, _ANY, _ANY, 0, 0
    )
    return _message(FLOW_MOD, xid, fixed + _pack_match(flow.match) + instructions)


def pack_flow_add(flow: Flow, xid: int) -> bytes:
    """Return the flow-mod that installs ``flow`` over any flow of the same identity (7.3.4.1)."""
    return _pack_flow_mod(_FLOW_ADD, flow, _pack_instructions(flow.actions, flow.goto), xid)


def pack_flow_delete_strict(flow: InstalledFlow, xid: int) -> bytes:
    """Return the flow-mod that deletes just ``flow``, whatever its actions are by now."""
    return _pack_flow_mod(_FLOW_DELETE_STRICT, flow, b"", xid)


def _pack_group_mod(command: int, group_id: int, ports: Sequence[int], xid: int) -> bytes:
    buckets = b"".join(
        _BUCKET.pack(32, 0, _ANY, _ANY) + _OUTPUT_ACTION.pack(_OUTPUT, 16, port, 0)
        for port in ports
    )
    return _message(GROUP_MOD, xid, _GROUP_MOD.pack(command, 0, group_id) + buckets)


def pack_group_add(group: Group, xid: int) -> bytes:
    """Return the group-mod that creates ``group`` (7.3.4.2); no such group may exist."""
    return _pack_group_mod(_GROUP_ADD, group.group_id, group.ports, xid)


def pack_group_modify(group: Group, xid: int) -> bytes:
    """Return the group-mod that replaces the buckets of an existing group."""
    return _pack_group_mod(_GROUP_MODIFY, group.group_id, group.ports, xid)


def pack_group_delete(group_id: int, xid: int) -> bytes:
    """Return the group-mod that deletes a group; flows that refer to it go with it."""
    return _pack_group_mod(_GROUP_DELETE, group_id, (), xid)


def pack_bundle_control(bundle_id: int, kind: int, xid: int) -> bytes:
    """Return the control message that opens or commits an atomic and ordered bundle (7.3.9)."""
    return _message(BUNDLE_CONTROL, xid, _BUNDLE.pack(bundle_id, kind, _ATOMIC_ORDERED))


def pack_bundle_add(bundle_id: int, message: bytes) -> bytes:
    """Wrap a packed message for a bundle; the outer xid must be the inner one (7.3.9.6)."""
    xid = _HEADER.unpack_from(message)[3]
    return _message(BUNDLE_ADD, xid, _BUNDLE.pack(bundle_id, 0, _ATOMIC_ORDERED) + message)


def pack_flow_stats_request(cookie: int, cookie_mask: int, xid: int) -> bytes:
    """Return the request for all flows with ``cookie`` in the bits of ``cookie_mask`` (7.3.5.2)."""
    body = _FLOW_STATS_REQUEST.pack(_FLOW_STATS, 0, _ALL_TABLES, _ANY, _ANY, cookie, cookie_mask)
    return _message(MULTIPART_REQUEST, xid, body + _pack_match(Match()))


def pack_group_desc_request(xid: int) -> bytes:
    """Return the request for all groups (7.3.5.8)."""
    return _message(MULTIPART_REQUEST, xid, _TLV.pack(_GROUP_DESC, 0) + bytes(4))


# Unpacking


def unpack_header(buf: bytes) -> tuple[int, int]:
    """Return type and xid of the one message that ``buf`` is."""
    if len(buf) < _HEADER.size:
        raise WireError(f"a message of {len(buf)} bytes has no header")
    version, kind, length, xid = _HEADER.unpack_from(buf)
    if version != VERSION or length != len(buf):
        raise WireError(f"version {version}, length {length} in a message of {len(buf)} bytes")
    return kind, xid


def _body(buf: bytes, kind: int, size: int) -> None:
    if unpack_header(buf)[0] != kind or len(buf) < size:
        raise WireError(f"{len(buf)} bytes are no message of type {kind}")


def unpack_error(buf: bytes) -> ErrorReply:
    """Return the content of an error message (7.5.4)."""
    _body(buf, ERROR, _ERROR.size)
    kind, code = _ERROR.unpack_from(buf)
    return ErrorReply(kind, code, buf[_ERROR.size :])


def unpack_bundle_control(buf: bytes) -> BundleControl:
    """Return the content of a bundle control message (7.3.9.1)."""
    _body(buf, BUNDLE_CONTROL, _HEADER.size + _BUNDLE.size)
    bundle_id, kind, _ = _BUNDLE.unpack_from(buf, _HEADER.size)
    return BundleControl(bundle_id, kind)


def unpack_flow_stats(buf: bytes) -> tuple[list[InstalledFlow], bool]:
    """Return the flows of a flow-stats reply, and whether more replies follow (7.3.5.2)."""
    more = _multipart(buf, _FLOW_STATS)
    smallest = _FLOW_STATS_ENTRY.size + 8
    spans = _spans(buf, _MULTIPART.size, len(buf), 0, smallest)
    return [_unpack_flow(buf, pos, end) for pos, end in spans], more


def unpack_group_desc(buf: bytes) -> tuple[list[InstalledGroup], bool]:
    """Return the groups of a group-desc reply, and whether more replies follow (7.3.5.8)."""
    more = _multipart(buf, _GROUP_DESC)
    spans = _spans(buf, _MULTIPART.size, len(buf), 0, _GROUP_ENTRY.size)
    return [_unpack_group(buf, pos, end) for pos, end in spans], more


def _multipart(buf: bytes, kind: int) -> bool:
    _body(buf, MULTIPART_REPLY, _MULTIPART.size)
    got, flags = _MULTIPART.unpack_from(buf)
    if got != kind:
        raise WireError(f"a multipart reply of type {got} to a request of type {kind}")
    return bool(flags & 1)


def _spans(
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


def _unpack_flow(buf: bytes, pos: int, end: int) -> InstalledFlow:
    table, priority, idle, hard, flags, importance, cookie = _FLOW_STATS_ENTRY.unpack_from(buf, pos)
    pos += _FLOW_STATS_ENTRY.size
    kind, length = _TLV.unpack_from(buf, pos)
    instructions = pos + length + (-length % 8)
    if kind != 1 or length < 4 or instructions > end:
        raise WireError(f"a match of type {kind} and {length} bytes")
    match = _unpack_match(buf[pos + 4 : pos + length])
    does = _unpack_instructions(buf, instructions, end)
    if isinstance(match, bytes) or does is None or idle or hard or flags or importance:
        return OpaqueFlow(table, priority, match, cookie)
    return Flow(table, priority, match, does[0], does[1], cookie)


def _text(mac: bytes) -> str:
    return mac.hex(":")


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")


_FIELDS: dict[int, tuple[str, Callable[[bytes], int | str]]] = {
    _IN_PORT: ("in_port", _number),
    _METADATA: ("metadata", _number),
    _ETH_SRC: ("eth_src", _text),
    _ETH_DST: ("eth_dst", _text),
    _ETH_DST_MASKED: ("eth_dst", lambda value: f"{_text(value[:6])}/{_text(value[6:])}"),
    _TUNNEL_ID: ("tunnel_id", _number),
}


def _unpack_match(oxm: bytes) -> Match | bytes:
    """Return the match; the OXM fields themselves where one of them is none of ours."""
    found: dict[str, int | str] = {}
    pos = 0
    while pos < len(oxm):
        start = pos + 4
        pos = start + oxm[start - 1] if start <= len(oxm) else len(oxm) + 1
        if pos > len(oxm):
            raise WireError("a match field reaches beyond its match")
        name, read = _FIELDS.get(_number(oxm[start - 4 : start]), ("", _number))
        if not name or name in found:
            return oxm
        found[name] = read(oxm[start:pos])
    return Match(**found)  # type: ignore[arg-type]


def _unpack_instructions(
    buf: bytes, pos: int, end: int
) -> tuple[tuple[Action, ...], int | None] | None:
    """Return actions and goto; ``None`` where there is an instruction or action of no shape ours.

    Ours are at most one apply-actions, then at most one goto-table (5.9).
    """
    actions: tuple[Action, ...] | None = None
    goto: int | None = None
    for start, stop in _spans(buf, pos, end, 2, 8):
        kind = _U16.unpack_from(buf, start)[0]
        if goto is not None:
            return None
        if kind == _GOTO_TABLE:
            goto = buf[start + 4]
        elif kind == _APPLY_ACTIONS and actions is None:
            actions = _unpack_actions(buf, start + 8, stop)
            if actions is None:
                return None
        else:
            return None
    return actions or (), goto


def _unpack_actions(buf: bytes, pos: int, end: int) -> tuple[Action, ...] | None:
    actions: list[Action] = []
    for start, stop in _spans(buf, pos, end, 2, 8):
        kind, length = _TLV.unpack_from(buf, start)
        if kind == _OUTPUT and length == 16:
            actions.append(Output(_OUTPUT_ACTION.unpack_from(buf, start)[2]))
        elif kind == _GROUP and length == 8:
            actions.append(ToGroup(_GROUP_ACTION.unpack_from(buf, start)[2]))
        elif kind == _SET_FIELD and length == 16 and buf[start + 4 : start + 8] == _SET_TUNNEL_ID:
            actions.append(SetTunnelId(_number(buf[start + 8 : stop])))
        else:
            return None
    return tuple(actions)


def _unpack_group(buf: bytes, pos: int, end: int) -> InstalledGroup:
    kind, group_id = _GROUP_ENTRY.unpack_from(buf, pos)
    ports: list[int] = []
    for start, stop in _spans(buf, pos + _GROUP_ENTRY.size, end, 0, _BUCKET.size):
        actions = _unpack_actions(buf, start + _BUCKET.size, stop)
        if actions is None or len(actions) != 1 or not isinstance(actions[0], Output):
            return OpaqueGroup(group_id)
        ports.append(actions[0].port_no)
    return Group(group_id, tuple(ports)) if kind == 0 else OpaqueGroup(group_id)
