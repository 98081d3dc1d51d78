"""A flow as the bytes by which a switch tells of it, so that whole tables are compared as bytes.

A flow is two pieces of bytes here.  Its *key* is what a switch tells flows apart by: table,
priority and match (OpenFlow 1.4, 6.4).  Its *body* is all else that is said of it when it is
added: time-outs, flags and importance, which are 0 in ours, then the cookie, then the
instructions.  Both are cut out of a flow-stats entry (7.3.5.2) as they stand there, and put into a
flow-mod (7.3.4.1) in the same way.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple, Union

from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.openflow.instructions import Does, pack_instructions, unpack_instructions
from ryu_l2iso.openflow.oxm import pack_match, unpack_match
from ryu_l2iso.pipelines.flow import Action, Flow, Match

Entry = tuple[bytes, bytes]
"""Key and body of a flow."""

STATS_SIZE = 48
"""Bytes of a flow-stats entry before its match."""

KEY_HEAD, BODY_HEAD = 3, 18
"""Bytes before the match of a key, and before the instructions of a body."""

COOKIE = slice(10, 18)
"""Where the cookie is in a body."""

LONGEST_BODY = 0xFF00
"""Bytes of the longest body that a message in a bundle can hold, whatever it matches."""

_SMALLEST = STATS_SIZE + 8

_KEY = Struct("!BH")
_BODY = Struct("!Q2xQ")
_STATS = Struct("!H1s9x2s18s18xH")
"""Of a flow-stats entry: its length, table and priority, the head of its body, and the length of
its match."""

REMEMBERED = 1 << 17
"""Keys and bodies that are remembered: switches hold much the same, each of them the same MACs."""


class OpaqueFlow(NamedTuple):
    """A flow under our cookie that somebody gave a shape of his own; it can only be deleted.

    ``match`` is the OXM fields as they came where even these are not ours.
    """

    table: int
    priority: int
    match: Match | bytes
    cookie: int


InstalledFlow = Union[Flow, OpaqueFlow]


def pack_key(table: int, priority: int, match: Match) -> bytes:
    """Return the key of the flow with this table, priority and match."""
    return _KEY.pack(table, priority) + pack_match(match)


def _pack_body(
    cookie: int,
    actions: tuple[Action, ...],
    goto: int | None,
    meter: int | None,
    metadata: int | None,
) -> bytes:
    return _BODY.pack(0, cookie) + pack_instructions(Does(actions, goto, meter, metadata))


# What was packed before, as much as is `REMEMBERED`.  A cache of the standard library would keep
# the order of use as well: memory that is only looked at is cheaper by far.
_keys: dict[tuple[int, int, Match], bytes] = {}
_bodies: dict[tuple[int, tuple[Action, ...], int | None, int | None, int | None], bytes] = {}


def pack_flow(flow: Flow) -> Entry:
    """Return a flow of ours as bytes; a body may be longer than a message can hold."""
    table, priority, match, actions, goto, cookie, meter, metadata = flow
    named, does = (table, priority, match), (cookie, actions, goto, meter, metadata)
    key, body = _keys.get(named), _bodies.get(does)
    if key is None:
        if len(_keys) >= REMEMBERED:
            _keys.clear()
        key = _keys[named] = pack_key(table, priority, match)
    if body is None:
        if len(_bodies) >= REMEMBERED:
            _bodies.clear()
        body = _bodies[does] = _pack_body(cookie, actions, goto, meter, metadata)
    return key, body


def unpack_flow(entry: Entry) -> InstalledFlow:
    """Return a flow from its bytes; raises WireError when they break the protocol."""
    key, body = entry
    table, priority = _KEY.unpack_from(key)
    match = unpack_match(key, KEY_HEAD, len(key))[0]
    limits, cookie = _BODY.unpack_from(body)
    does = unpack_does(body)
    if isinstance(match, bytes) or does is None or limits:
        return OpaqueFlow(table, priority, match, cookie)
    return Flow(table, priority, match, does.actions, does.goto, cookie, does.meter, does.metadata)


def unpack_does(body: bytes) -> Does | None:
    """Return what the flow with this body does; None where that is of no shape of ours."""
    return unpack_instructions(body, BODY_HEAD, len(body))


def cut(buf: bytes, start: int) -> list[Entry]:
    """Return the flows of the flow-stats entries from ``start`` to the end.

    Their lengths and those of their matches are checked; what else they consist of is not: only
    `unpack_flow` tells whether it keeps to the protocol.
    """
    found, size = [], len(buf)
    while start < size:
        if size - start < _SMALLEST:
            raise WireError(f"{size - start} bytes left where a structure has {_SMALLEST} at least")
        length, table, priority, head, match_length = _STATS.unpack_from(buf, start)
        if not _SMALLEST <= length <= size - start:
            raise WireError(f"a structure of {length} bytes where {size - start} are left")
        match, end = start + STATS_SIZE, start + length
        after = match + match_length + -match_length % 8
        if match_length < 4 or after > end:
            raise WireError(f"a match of {match_length} bytes where {end - match} are left")
        found.append((table + priority + buf[match:after], head + buf[after:end]))
        start = end
    return found


def as_packed(entry: Entry) -> Entry:
    """Return a flow that a switch has told of as `pack_flow` writes it; raises WireError.

    A switch may tell of the fields of a match in another order, and say more of an action than it
    was told.  What is of no shape of ours stays as it is: it equals nothing that we pack.
    """
    # Nothing of it is remembered: a peer could fill the memory.
    flow = unpack_flow(entry)
    key, body = entry
    if isinstance(flow.match, Match):
        key = pack_key(flow.table, flow.priority, flow.match)
    if isinstance(flow, Flow):
        body = _pack_body(flow.cookie, flow.actions, flow.goto, flow.meter, flow.metadata)
    return key, body
