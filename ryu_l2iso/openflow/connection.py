"""One OpenFlow connection of a switch: requests that return an answer or raise.

The framework carries the bytes to the switch; replies come past it (see ``peer``).  What is sent
is packed by ``wire``, and replies are unpacked by it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Callable, NamedTuple, TypeVar

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.framework import hub, ofproto_v1_4
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.framing import WireError, unpack_header
from ryu_l2iso.openflow.plan import Key, Plan, key_of
from ryu_l2iso.openflow.wire import InstalledFlow, InstalledGroup, InstalledMeter
from ryu_l2iso.pipelines.flow import Flow, Group, Meter

_CHUNK = 0x10000
"""Bytes handed to the framework at a time; its queue holds 16 of them."""

MAX_READ = 120_000
"""Flows, groups or meters of one switch: a reply may say for ever that more follow, and these are
compared within a second, in which nothing else runs."""

_XIDS = 1 << 32

_SHOWN = 200
"""Characters of a flow or group that an error shows."""

_T = TypeVar("_T")
_Step = tuple[str, Callable[[Any, int], bytes], Any]
"""What a message does, the function that packs it, and what it is about, a flow or an id."""


class Refusal(NamedTuple):
    """What of a plan was refused, a flow, a group, a meter or the id of one, and why."""

    piece: Any
    why: str


class Refused(SwitchError):
    """Pieces of a plan were refused by the switch, or cannot be put into a message."""

    def __init__(self, what: str, refusals: Sequence[Refusal]) -> None:
        super().__init__(f"{what}: {refusals[0].why}")
        self.refusals = tuple(refusals)

    def by_key(self) -> dict[Key, str]:
        """Return what names each flow, group or meter → why; those deleted by an id are left."""
        pieces = (r for r in self.refusals if isinstance(r.piece, (Flow, Group, Meter)))
        return {key_of(refusal.piece): refusal.why for refusal in pieces}


class _Request:
    """A request under way: messages with xids in a row, the steps of a plan after the first.

    ``take`` gets each reply and returns whether it was the last.  A step that is refused is noted
    in ``refusals``; what the switch answers to the rest still comes.
    """

    def __init__(
        self, first_xid: int, take: Callable[[bytes], bool], steps: Sequence[_Step] = ()
    ) -> None:
        self._xids = range(first_xid, first_xid + len(steps) + 2)
        self._steps = steps
        self._take = take
        self.refusals: list[Refusal] = []
        self.error: str | None = None
        self.done = hub.Event()

    def received(self, buf: bytes) -> None:
        """Take a message of the switch; one that does not answer this request is left."""
        kind, xid = unpack_header(buf)
        if xid not in self._xids or self.done.is_set():
            return
        if kind == wire.ERROR:
            self._refused(buf, xid)
        elif self._take(buf):
            self.finish()

    def _refused(self, buf: bytes, xid: int) -> None:
        error = wire.unpack_error(buf)
        code = ofproto_v1_4.ofp_error_code_to_str(error.type, error.code)
        text = f"the switch refused with {ofproto_v1_4.ofp_error_type_to_str(error.type)} {code}"
        index = xid - self._xids.start - 1
        if 0 <= index < len(self._steps):
            self.refusals.append(_refusal(text, self._steps[index]))
        else:
            self.finish(text)

    def finish(self, error: str | None = None) -> None:
        """Wake whoever waits; the first cause is the one that tells most."""
        if not self.done.is_set():
            self.error = error
            self.done.set()


def _refusal(text: str, step: _Step) -> Refusal:
    verb, _, piece = step
    return Refusal(piece, f"{text} {verb} {str(piece)[:_SHOWN]}")


class Connection:
    """Requests on one connection, one at a time; its programmer is the only one who makes them."""

    def __init__(self, datapath: Any) -> None:
        self.datapath = datapath
        self._next_xid = 1
        self._bundle_id = 0
        self._request: _Request | None = None
        self._closed = False

    def read_flows(self, cookie: int, mask: int, deadline: float) -> list[InstalledFlow]:
        """Return the flows that carry ``cookie`` in the bits of ``mask``, of all tables.

        ``deadline`` is in seconds.  Raises SwitchError when the switch refuses or does not answer.
        """
        request = wire.pack_flow_stats_request(cookie, mask, self._take_xids(1))
        return self._read(request, wire.unpack_flow_stats, "the read of its flows", deadline)

    def count_flows(self, cookie: int, mask: int, deadline: float) -> int:
        """Return how many flows ``read_flows`` would; the switch counts, and sends one number."""
        request = wire.pack_aggregate_request(cookie, mask, self._take_xids(1))
        (count,) = self._read(request, wire.unpack_aggregate, "the count of its flows", deadline)
        return count

    def read_groups(self, deadline: float) -> list[InstalledGroup]:
        """Return all groups; as ``read_flows`` otherwise."""
        request = wire.pack_group_desc_request(self._take_xids(1))
        return self._read(request, wire.unpack_group_desc, "the read of its groups", deadline)

    def read_meters(self, deadline: float) -> list[InstalledMeter]:
        """Return all meters; as ``read_flows`` otherwise."""
        request = wire.pack_meter_config_request(self._take_xids(1))
        return self._read(request, wire.unpack_meter_config, "the read of its meters", deadline)

    def apply(self, plan: Plan, deadline: float) -> None:
        """Send ``plan`` and return when the switch has done all of it.

        Flows and groups go in one bundle.  Open vSwitch takes no meter-mod in a bundle: meters
        are made before it and deleted after it.  ``deadline`` is for each of the three parts.
        Raises SwitchError; a part of which something is refused ends the plan, with Refused.
        """
        self._apply_meters(_meter_steps(plan), deadline)
        self._apply_bundle(_bundle_steps(plan), deadline)
        self._apply_meters(_meter_deletions(plan), deadline)

    def _apply_bundle(self, steps: Sequence[_Step], deadline: float) -> None:
        """Send steps in one bundle.

        The commit is not held back for the answers to what goes before it, which saves a round
        trip.  A message that the switch cannot even decode is then left out, and Refused is
        raised; one that it cannot carry out undoes the whole bundle, and Refused is raised.
        """
        if not steps:
            return
        self._bundle_id += 1
        first = self._take_xids(len(steps) + 2)
        wrap = partial(wire.pack_bundle_add, self._bundle_id)
        messages = [wire.pack_bundle_control(self._bundle_id, wire.OPEN_REQUEST, first)]
        messages += _packed(steps, first + 1, wrap)
        last = first + len(steps) + 1
        messages.append(wire.pack_bundle_control(self._bundle_id, wire.COMMIT_REQUEST, last))
        self._ask(_Request(first, _is_committed, steps), messages, "a bundle", deadline)

    def _apply_meters(self, steps: Sequence[_Step], deadline: float) -> None:
        """Send steps, and a barrier whose reply tells that they are done."""
        if not steps:
            return
        first = self._take_xids(len(steps) + 2)
        last = first + len(steps) + 1
        messages = _packed(steps, first + 1, bytes)
        messages.append(wire.pack_barrier_request(last))
        self._ask(_Request(first, _is_barrier, steps), messages, "its meters", deadline)

    def received(self, reply: bytes) -> None:
        """Take a reply of this switch; what does not answer us is left.

        Raises WireError for one that breaks the protocol.
        """
        request = self._request
        if request is None:
            return
        try:
            request.received(reply)
        except WireError as error:
            request.finish(f"the switch sent {error}")
            raise

    def close(self) -> None:
        """Fail the request under way: no answer will come."""
        self._closed = True
        if self._request is not None:
            self._request.finish("the connection is closed")

    def _take_xids(self, count: int) -> int:
        if self._next_xid + count > _XIDS:
            self._next_xid = 1
        first = self._next_xid
        self._next_xid += count
        return first

    def _read(
        self,
        request: bytes,
        unpack: Callable[[bytes], tuple[list[_T], bool]],
        what: str,
        deadline: float,
    ) -> list[_T]:
        found: list[_T] = []

        def take(buf: bytes) -> bool:
            part, more = unpack(buf)
            found.extend(part)
            if len(found) > MAX_READ:
                raise WireError(f"more than {MAX_READ} flows, groups or meters")
            return not more

        xid = unpack_header(request)[1]
        self._ask(_Request(xid, take), [request], what, deadline)
        return found

    def _ask(
        self, request: _Request, messages: Sequence[bytes], what: str, deadline: float
    ) -> None:
        end = time.monotonic() + deadline
        self._request = request
        try:
            for chunk in _chunks(messages):
                self._send(chunk, max(end - time.monotonic(), 0.001), what)
            answered = request.done.wait(max(end - time.monotonic(), 0.001))
        finally:
            self._request = None
        if request.refusals:
            raise Refused(what, request.refusals)
        if not answered:
            raise SwitchError(f"{what}: no answer in {deadline:g} s")
        if request.error is not None:
            raise SwitchError(f"{what}: {request.error}")

    def _send(self, chunk: bytes, seconds: float, what: str) -> None:
        """Send; the framework's send blocks without a limit while a slow switch's queue is full."""
        timeout = hub.Timeout(seconds)
        try:
            sent = not self._closed and self.datapath.send(chunk)
        except hub.Timeout as expired:
            if expired is not timeout:
                raise
            raise SwitchError(f"{what}: the switch takes no more data") from None
        finally:
            timeout.cancel()
        if not sent:
            raise SwitchError(f"{what}: the connection is closed")


def _meter_steps(plan: Plan) -> list[_Step]:
    return [
        *(("adding", wire.pack_meter_add, meter) for meter in plan.meters_to_add),
        *(("changing", wire.pack_meter_modify, meter) for meter in plan.meters_to_modify),
    ]


def _bundle_steps(plan: Plan) -> list[_Step]:
    return [
        *(("adding", wire.pack_group_add, group) for group in plan.groups_to_add),
        *(("changing", wire.pack_group_modify, group) for group in plan.groups_to_modify),
        *(("deleting", wire.pack_flow_delete_strict, flow) for flow in plan.flows_to_delete),
        *(("adding", wire.pack_flow_add, flow) for flow in plan.flows_to_add),
        *(("deleting", wire.pack_group_delete, group_id) for group_id in plan.groups_to_delete),
    ]


def _meter_deletions(plan: Plan) -> list[_Step]:
    return [("deleting", wire.pack_meter_delete, key.meter_id) for key in plan.meters_to_delete]


def _packed(steps: Sequence[_Step], xid: int, wrap: Callable[[bytes], bytes]) -> list[bytes]:
    """Return the messages of steps, with xids in a row; raises Refused."""
    messages, refusals = [], []
    for step in steps:
        _, pack, piece = step
        try:
            messages.append(wrap(pack(piece, xid)))
        except (WireError, struct.error) as error:
            refusals.append(_refusal(str(error), step))
        xid += 1
    if refusals:
        raise Refused("packing", refusals)
    return messages


def _is_barrier(buf: bytes) -> bool:
    return unpack_header(buf)[0] == wire.BARRIER_REPLY


def _is_committed(buf: bytes) -> bool:
    return wire.unpack_bundle_control(buf).kind == wire.COMMIT_REPLY


def _chunks(messages: Sequence[bytes]) -> Iterator[bytes]:
    """Join messages into pieces of about 64 KiB; a message is never cut."""
    chunk = bytearray()
    for message in messages:
        chunk += message
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
