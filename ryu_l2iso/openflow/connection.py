"""One OpenFlow connection of a switch: requests that return an answer or raise.

The framework carries the bytes and answers echo requests.  What is sent is packed by ``wire``,
and replies are unpacked by it from the message's bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable, TypeVar

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.framework import hub, ofproto_v1_4
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.framing import WireError, unpack_header
from ryu_l2iso.openflow.plan import Plan
from ryu_l2iso.openflow.wire import InstalledFlow, InstalledGroup, InstalledMeter

_CHUNK = 0x10000
"""Bytes handed to the framework at a time; its queue holds 16 of them."""

_XIDS = 1 << 32

_T = TypeVar("_T")
_Step = tuple[str, Callable[[Any, int], bytes], Any]
"""What a message does, the function that packs it, and what it is about, a flow or an id."""


class _Request:
    """A request under way: messages with xids in a row, the steps of a plan after the first.

    ``take`` gets each reply and returns whether it was the last.
    """

    def __init__(
        self, first_xid: int, take: Callable[[bytes], bool], steps: Sequence[_Step] = ()
    ) -> None:
        self._xids = range(first_xid, first_xid + len(steps) + 2)
        self._steps = steps
        self._take = take
        self.error: str | None = None
        self.done = hub.Event()

    def received(self, buf: bytes) -> None:
        """Take a message of the switch; one that does not answer this request is left."""
        kind, xid = unpack_header(buf)
        if xid not in self._xids or self.done.is_set():
            return
        if kind == wire.ERROR:
            self.finish(self._refusal(buf, xid))
        elif self._take(buf):
            self.finish()

    def _refusal(self, buf: bytes, xid: int) -> str:
        error = wire.unpack_error(buf)
        code = ofproto_v1_4.ofp_error_code_to_str(error.type, error.code)
        text = f"the switch refused with {ofproto_v1_4.ofp_error_type_to_str(error.type)} {code}"
        index = xid - self._xids.start - 1
        if not 0 <= index < len(self._steps):
            return text
        verb, _, piece = self._steps[index]
        return f"{text} {verb} {piece}"

    def finish(self, error: str | None = None) -> None:
        """Wake whoever waits; the first cause is the one that tells most."""
        if not self.done.is_set():
            self.error = error
            self.done.set()


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
        Raises SwitchError; a part of which something is refused ends the plan.
        """
        self._apply_meters(_meter_steps(plan), deadline)
        self._apply_bundle(_bundle_steps(plan), deadline)
        self._apply_meters(_meter_deletions(plan), deadline)

    def _apply_bundle(self, steps: Sequence[_Step], deadline: float) -> None:
        """Send steps in one bundle.

        The commit is not held back for the answers to what goes before it, which saves a round
        trip.  A message that the switch cannot even decode is then left out, and SwitchError is
        raised; one that it cannot carry out undoes the whole bundle, and SwitchError is raised.
        """
        if not steps:
            return
        self._bundle_id += 1
        first = self._take_xids(len(steps) + 2)
        messages = [wire.pack_bundle_control(self._bundle_id, wire.OPEN_REQUEST, first)]
        for xid, (_, pack, piece) in enumerate(steps, first + 1):
            messages.append(wire.pack_bundle_add(self._bundle_id, pack(piece, xid)))
        last = first + len(steps) + 1
        messages.append(wire.pack_bundle_control(self._bundle_id, wire.COMMIT_REQUEST, last))
        self._ask(_Request(first, _is_committed, steps), messages, "a bundle", deadline)

    def _apply_meters(self, steps: Sequence[_Step], deadline: float) -> None:
        """Send steps, and a barrier whose reply tells that they are done."""
        if not steps:
            return
        first = self._take_xids(len(steps) + 2)
        last = first + len(steps) + 1
        messages = [pack(piece, xid) for xid, (_, pack, piece) in enumerate(steps, first + 1)]
        messages.append(wire.pack_barrier_request(last))
        self._ask(_Request(first, _is_barrier, steps), messages, "its meters", deadline)

    def received(self, msg: Any) -> None:
        """Take a message that the framework has got from this switch; what is not ours is left."""
        request = self._request
        if request is None:
            return
        try:
            request.received(msg.buf)
        except WireError as error:
            request.finish(f"the switch sent {error}")

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
            if not request.done.wait(max(end - time.monotonic(), 0.001)):
                raise SwitchError(f"{what}: no answer in {deadline:g} s")
        finally:
            self._request = None
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
