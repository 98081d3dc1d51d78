"""A plan as messages in a row, and what of it was refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Callable, NamedTuple

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.flow_entry import LONGEST_BODY, unpack_flow
from ryu_l2iso.openflow.plan import Key, MeterKey, Plan
from ryu_l2iso.pipelines.flow import MOST_PORTS, Meter

CHUNK = 0x10000
"""Bytes handed to the framework at a time; its queue holds 16 of them."""

_SHOWN = 200
"""Characters of a flow or group that an error shows."""


class Refusal(NamedTuple):
    """What of a plan was refused, and why."""

    key: Key
    why: str


class Refused(SwitchError):
    """Pieces of a plan were refused by the switch, or cannot be put into a message."""

    def __init__(self, what: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(f"{what}: {refusals[0].why}")
        self.refusals = tuple(refusals)

    def by_key(self) -> dict[Key, str]:
        """Return what names each flow, group or meter that was refused → why."""
        return dict(self.refusals)


class Part(NamedTuple):
    """What is done to one piece after the other: flows, as key and body, groups or meters.

    ``pack`` returns the message for a piece with an xid, and ``name`` what names the piece.  What
    stands second in a piece, ports or a body, may be ``longest`` long: a message holds no more.
    """

    verb: str
    pieces: Collection[Any]
    pack: Callable[[Any, int], bytes]
    longest: int | None = None
    name: Callable[[Any], Key] = itemgetter(0)

    def refusal(self, text: str, piece: Any) -> Refusal:
        """Return that a piece was refused; ``text`` says how."""
        key = self.name(piece)
        shown = unpack_flow(piece) if isinstance(key, bytes) else piece
        return Refusal(key, f"{text} {self.verb} {str(shown)[:_SHOWN]}")


def meter_parts(plan: Plan) -> list[Part]:
    """Return the meters that come or change."""
    return [
        Part("adding", plan.meters_to_add, wire.pack_meter_add, name=_meter_key),
        Part("changing", plan.meters_to_modify, wire.pack_meter_modify, name=_meter_key),
    ]


def bundle_parts(plan: Plan) -> list[Part]:
    """Return the groups and flows; raises Refused for those that no message can hold."""
    parts = [
        Part("adding", plan.groups_to_add, wire.pack_group_add, MOST_PORTS),
        Part("changing", plan.groups_to_modify, wire.pack_group_modify, MOST_PORTS),
        Part("deleting", plan.flows_to_delete.items(), wire.pack_flow_delete_strict),
        Part("adding", plan.flows_to_add.items(), wire.pack_flow_add, LONGEST_BODY),
        Part("deleting", plan.groups_to_delete, wire.pack_group_delete, name=int),
    ]
    too_long = [
        part.refusal("the message is longer than OpenFlow's 65535 bytes:", piece)
        for part in parts
        if part.longest is not None
        for piece in part.pieces
        if len(piece[1]) > part.longest
    ]
    if too_long:
        raise Refused("packing", too_long)
    return parts


def meter_deletions(plan: Plan) -> list[Part]:
    """Return the meters that go."""
    numbers = [key.meter_id for key in plan.meters_to_delete]
    return [Part("deleting", numbers, wire.pack_meter_delete, name=MeterKey)]


def _meter_key(meter: Meter) -> MeterKey:
    return MeterKey(meter.meter_id)


def count(parts: Iterable[Part]) -> int:
    """Return how many messages these are."""
    return sum(len(part.pieces) for part in parts)


def packed(parts: Iterable[Part], xid: int) -> Iterator[bytes]:
    """Yield the messages, with xids in a row from the one that is given."""
    for part in parts:
        pack = part.pack
        for number, piece in enumerate(part.pieces, xid):
            yield pack(piece, number)
        xid += len(part.pieces)


def find(parts: Iterable[Part], index: int) -> tuple[Part, Any] | None:
    """Return the piece that the message at an index is about; None if there is none."""
    for part in parts:
        if 0 <= index < len(part.pieces):
            return part, next(islice(part.pieces, index, None))
        index -= len(part.pieces)
    return None


def chunks(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Join messages into pieces of about 64 KiB; a message is never cut."""
    chunk = bytearray()
    for message in messages:
        chunk += message
        if len(chunk) >= CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
