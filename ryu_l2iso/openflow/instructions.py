"""What a flow does, to bytes and back: instructions and actions (OpenFlow 1.4, 7.2.4, 7.2.5)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from ryu_l2iso.openflow.framing import MAX_LENGTH, spans
from ryu_l2iso.openflow.oxm import (
    TUNNEL_ID,
    VLAN_VID,
    pack_tunnel_id,
    pack_vlan_vid,
    unpack_vlan_vid,
)
from ryu_l2iso.pipelines.flow import (
    CONTROLLER,
    UNTAGGED,
    Action,
    Output,
    PopVlan,
    PushVlan,
    SetTunnelId,
    SetVlan,
    ToController,
    ToGroup,
)

_GOTO_TABLE, _WRITE_METADATA, _APPLY_ACTIONS, _METER = 1, 2, 4, 6
_OUTPUT, _PUSH_VLAN, _POP_VLAN, _GROUP, _SET_FIELD = 0, 17, 18, 22, 25
_TAG_TYPE = 0x8100
"""The type of a tag that is pushed (IEEE 802.1Q)."""

_ALL_BITS = 0xFFFFFFFFFFFFFFFF

_TLV = Struct("!HH")
_OUTPUT_ACTION = Struct("!HHIH6x")
_GROUP_ACTION = Struct("!HHI")
_VLAN_ACTION = Struct("!HHH2x")
_GOTO = Struct("!HHB3x")
_METADATA = Struct("!HH4xQQ")
_METER_ID = Struct("!HHI")
_ACTIONS = Struct("!HH4x")


class Does(NamedTuple):
    """What a flow does; the fields are those of `Flow`."""

    actions: tuple[Action, ...] = ()
    goto: int | None = None
    meter: int | None = None
    metadata: int | None = None


def _pack_action(action: Action) -> bytes:
    if isinstance(action, Output):
        return _OUTPUT_ACTION.pack(_OUTPUT, 16, action.port_no, 0)
    if isinstance(action, ToGroup):
        return _GROUP_ACTION.pack(_GROUP, 8, action.group_id)
    if isinstance(action, ToController):
        return _OUTPUT_ACTION.pack(_OUTPUT, 16, CONTROLLER, action.length)
    if isinstance(action, PushVlan):
        return _VLAN_ACTION.pack(_PUSH_VLAN, 8, _TAG_TYPE)
    if isinstance(action, PopVlan):
        return _VLAN_ACTION.pack(_POP_VLAN, 8, 0)
    if isinstance(action, SetVlan):
        return (_TLV.pack(_SET_FIELD, 16) + pack_vlan_vid(action.vlan)).ljust(16, b"\0")
    return _TLV.pack(_SET_FIELD, 16) + pack_tunnel_id(action.tunnel_id)


def pack_instructions(does: Does) -> bytes:
    """Return instructions in the order in which a switch carries them out (5.9).

    So many actions that their length has more than 16 bits are no flow that a message can hold:
    there is no harm in what is packed as their length.
    """
    found = b"" if does.meter is None else _METER_ID.pack(_METER, 8, does.meter)
    if does.actions:
        packed = b"".join(map(_pack_action, does.actions))
        length = _ACTIONS.size + len(packed) & MAX_LENGTH
        found += _ACTIONS.pack(_APPLY_ACTIONS, length) + packed
    if does.metadata is not None:
        found += _METADATA.pack(_WRITE_METADATA, 24, does.metadata, _ALL_BITS)
    return found if does.goto is None else found + _GOTO.pack(_GOTO_TABLE, 8, does.goto)


def unpack_instructions(buf: bytes, pos: int, end: int) -> Does | None:
    """Return what a flow does; None where there is an instruction or action of no shape ours.

    Ours come at most once each, in the order in which `pack_instructions` writes them, which is
    that of falling numbers.
    """
    does = Does()
    last = _METER + 1
    for start, stop in spans(buf, pos, end, 2, 8):
        kind, length = _TLV.unpack_from(buf, start)
        if kind >= last:
            return None
        last = kind
        if kind == _GOTO_TABLE:
            does = does._replace(goto=buf[start + 4])
        elif kind == _METER:
            does = does._replace(meter=_METER_ID.unpack_from(buf, start)[2])
        elif kind == _APPLY_ACTIONS:
            actions = unpack_actions(buf, start + 8, stop)
            if actions is None:
                return None
            does = does._replace(actions=actions)
        elif kind == _WRITE_METADATA and length == 24:
            value, mask = _METADATA.unpack_from(buf, start)[2:]
            if mask != _ALL_BITS:
                return None
            does = does._replace(metadata=value)
        else:
            return None
    return does


def unpack_actions(buf: bytes, pos: int, end: int) -> tuple[Action, ...] | None:
    """Return the actions in a row; None where one is of no shape ours."""
    actions: list[Action] = []
    for start, stop in spans(buf, pos, end, 2, 8):
        action = _unpack_action(buf[start:stop])
        if action is None:
            return None
        actions.append(action)
    return tuple(actions)


def _unpack_action(buf: bytes) -> Action | None:
    kind, length = _TLV.unpack_from(buf)
    if kind == _OUTPUT and length == 16:
        port_no, max_length = _OUTPUT_ACTION.unpack(buf)[2:]
        return ToController(max_length) if port_no == CONTROLLER else Output(port_no)
    if kind == _GROUP and length == 8:
        return ToGroup(_GROUP_ACTION.unpack(buf)[2])
    if kind == _PUSH_VLAN and length == 8:
        return PushVlan() if _VLAN_ACTION.unpack(buf)[2] == _TAG_TYPE else None
    if kind == _POP_VLAN and length == 8:
        return PopVlan()
    if kind == _SET_FIELD and length == 16:
        return _unpack_set_field(buf[4:8], buf[8:])
    return None


def _unpack_set_field(header: bytes, value: bytes) -> Action | None:
    if header == TUNNEL_ID:
        return SetTunnelId(int.from_bytes(value, "big"))
    vlan = unpack_vlan_vid(value[:2]) if header == VLAN_VID else None
    return None if vlan in (None, UNTAGGED) else SetVlan(vlan)
