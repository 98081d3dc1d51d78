"""What a simulated switch holds: each flow, group and meter as the bytes that brought it.

A flow-mod is kept whole under table, priority and match; its bytes from the match on are those of
the flow's entry in a dump.  That a flow's group exists is not checked, nor its match or actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Callable, NamedTuple

from bench.simulator import messages

_ADD, _MODIFY, _DELETE = 0, 1, 2
"""Commands of a group-mod (7.3.4.2) and of a meter-mod (7.3.4.4)."""
_FLOW_ADD, _FLOW_DELETE, _FLOW_DELETE_STRICT = 0, 3, 4
"""Commands of a flow-mod (7.3.4.1)."""

_FLOW_MOD_FAILED, _GROUP_MOD_FAILED, _METER_MOD_FAILED = 5, 6, 12
_BAD_COMMAND, _GROUP_EXISTS, _UNKNOWN_GROUP, _METER_EXISTS, _UNKNOWN_METER = 6, 0, 8, 1, 2
"""Types and codes of errors (7.5.4)."""

_ENTRY = Struct("!HB9xHHHHH2x8s16x")
_GROUP_ENTRY = Struct("!HB1xI")
_METER_ENTRY = Struct("!H6s")
_AGGREGATE = Struct("!16xI4x")
_FLOW_STATS_REQUEST = Struct("!32xQQ")
_U32 = Struct("!I")
_U64 = Struct("!Q")

_MATCH, _MOD_BODY = 48, 16
"""Where the match of a flow-mod begins, and the buckets or bands of a group-mod or meter-mod."""


class Error(NamedTuple):
    """Why a message is refused."""

    type: int
    code: int


class Tables:
    """``flows`` is table, priority and match, in bytes → flow-mod; ``groups``, ``meters`` by id.

    ``on_flow`` is called with each flow-mod that adds a flow.
    """

    def __init__(self) -> None:
        self.flows: dict[bytes, bytes] = {}
        self.groups: dict[int, bytes] = {}
        self.meters: dict[int, bytes] = {}
        self.on_flow: Callable[[bytes], None] | None = None

    def apply(self, mod: bytes) -> Error | None:
        """Do what one message says; return why not."""
        kind = mod[1]
        if kind == messages.FLOW_MOD:
            return self._flow_mod(mod)
        if kind == messages.GROUP_MOD:
            return self._mod(self.groups, mod, Error(_GROUP_MOD_FAILED, _GROUP_EXISTS))
        return self._mod(self.meters, mod, Error(_METER_MOD_FAILED, _METER_EXISTS))

    def commit(self, mods: Sequence[bytes]) -> tuple[bytes, Error] | None:
        """Do what all messages say, or nothing; return which one is refused, and why."""
        before = self.groups.copy() if _has_groups(mods) else self.groups
        # Groups first and flows after them: only a group can be refused, a flow cannot.
        for mod in mods:
            if mod[1] != messages.FLOW_MOD:
                refused = self._mod(self.groups, mod, Error(_GROUP_MOD_FAILED, _GROUP_EXISTS))
                if refused is not None:
                    self.groups = before
                    return mod, refused
        for mod in mods:
            if mod[1] == messages.FLOW_MOD:
                self._flow_mod(mod)
        return None

    def _flow_mod(self, mod: bytes) -> Error | None:
        end = _MATCH + (mod[50] << 8 | mod[51])
        command = mod[25]
        key = mod[24:25] + mod[30:32] + mod[_MATCH:end]
        if command == _FLOW_ADD:
            self.flows[key] = mod
            if self.on_flow is not None:
                self.on_flow(mod)
        elif command == _FLOW_DELETE_STRICT:
            self.flows.pop(key, None)
        elif command == _FLOW_DELETE and end == _MATCH + 4:
            cookie, mask = _U64.unpack_from(mod, 8)[0], _U64.unpack_from(mod, 16)[0]
            for known in [k for k, m in self.flows.items() if _carries(m, cookie, mask)]:
                del self.flows[known]
        else:
            return Error(_FLOW_MOD_FAILED, _BAD_COMMAND)
        return None

    def _mod(self, known: dict[int, bytes], mod: bytes, exists: Error) -> Error | None:
        """Add, replace or delete a group or a meter."""
        command, number = mod[9], _U32.unpack_from(mod, 12)[0]
        if command == _ADD and number in known:
            return exists
        if command == _DELETE:
            if known.pop(number, None) is not None and known is self.groups:
                self._delete_flows_to(number)
        elif command == _MODIFY and number not in known:
            code = _UNKNOWN_GROUP if known is self.groups else _UNKNOWN_METER
            return Error(exists.type, code)
        else:
            known[number] = mod
        return None

    def _delete_flows_to(self, group_id: int) -> None:
        action = b"\x00\x16\x00\x08" + _U32.pack(group_id)
        for key in [key for key, mod in self.flows.items() if action in mod[_MATCH:]]:
            del self.flows[key]

    def dump_flows(self, request: bytes, xid: int) -> bytes:
        """Return the replies to a request for flows (7.3.5.2); of it only the cookie counts."""
        return messages.multipart(messages.FLOW_STATS, xid, [*map(_entry, self._chosen(request))])

    def aggregate(self, request: bytes, xid: int) -> bytes:
        """Return the reply with the number of flows (7.3.5.3); as ``dump_flows``."""
        count = len(self._chosen(request))
        return messages.multipart(messages.AGGREGATE, xid, [_AGGREGATE.pack(count)])

    def dump_groups(self, xid: int) -> bytes:
        """Return the replies with all groups (7.3.5.8)."""
        entries = [
            _GROUP_ENTRY.pack(len(mod) - 8, mod[10], number) + mod[_MOD_BODY:]
            for number, mod in self.groups.items()
        ]
        return messages.multipart(messages.GROUP_DESC, xid, entries)

    def dump_meters(self, xid: int) -> bytes:
        """Return the replies with all meters (7.3.5.13)."""
        entries = [_METER_ENTRY.pack(len(m) - 8, m[10:16]) + m[16:] for m in self.meters.values()]
        return messages.multipart(messages.METER_CONFIG, xid, entries)

    def _chosen(self, request: bytes) -> list[bytes]:
        cookie, mask = _FLOW_STATS_REQUEST.unpack_from(request)
        return [mod for mod in self.flows.values() if _carries(mod, cookie, mask)]


def _carries(mod: bytes, cookie: int, mask: int) -> bool:
    return bool((_U64.unpack_from(mod, 8)[0] ^ cookie) & mask == 0)


def _has_groups(mods: Sequence[bytes]) -> bool:
    return any(mod[1] != messages.FLOW_MOD for mod in mods)


def _entry(mod: bytes) -> bytes:
    """Return a flow as a dump tells it (7.3.5.2)."""
    timeouts = int.from_bytes(mod[26:28], "big"), int.from_bytes(mod[28:30], "big")
    flags = int.from_bytes(mod[44:46], "big"), int.from_bytes(mod[46:48], "big")
    priority = int.from_bytes(mod[30:32], "big")
    return _ENTRY.pack(len(mod), mod[24], priority, *timeouts, *flags, mod[8:16]) + mod[_MATCH:]
