"""One OpenFlow connection of a switch: requests that return an answer or raise.

The framework carries the bytes to the switch; replies come past it (see ``peer``).  What is sent
is packed by ``wire``, and replies are unpacked by it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Callable, TypeVar

from ryu_l2iso import turns
from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.framework import hub, ofproto_v1_4
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.flow_entry import Entry, as_packed
from ryu_l2iso.openflow.framing import WireError, unpack_header
from ryu_l2iso.openflow.parts import (
    CHUNK,
    Part,
    Refusal,
    Refused,
    bundle_parts,
    chunks,
    count,
    find,
    meter_deletions,
    meter_parts,
    packed,
)
from ryu_l2iso.openflow.plan import Plan
from ryu_l2iso.openflow.wire import InstalledGroup, InstalledMeter

MAX_READ = 120_000
"""Flows, groups or meters of one switch: a reply may say for ever that more follow."""

_XIDS = 1 << 32

_T = TypeVar("_T")


class _Request:
    """A request under way: messages with xids in a row, the parts of a plan after the first.

    ``take`` gets each reply and returns whether it was the last.  A piece that is refused is noted
    in ``refusals``; what the switch answers to the rest still comes.
    """

    def __init__(
        self, first_xid: int, take: Callable[[bytes], bool], parts: Sequence[Part] = ()
    ) -> None:
        self._xids = range(first_xid, first_xid + count(parts) + 2)
        self._parts = parts
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
        found = find(self._parts, index)
        if found is None:
            self.finish(text)
        else:
            part, piece = found
            self.refusals.append(part.refusal(text, piece))

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

    def read_flows(
        self, cookie: int, mask: int, expected: Mapping[bytes, bytes], deadline: float
    ) -> dict[bytes, bytes]:
        """Return the flows that carry ``cookie`` in the bits of ``mask``, of all tables.

        They are key → body as in `flow_entry`, and so is ``expected``, what the switch should
        hold: only what is something else is looked into.  ``deadline`` is in seconds.  Raises
        SwitchError when the switch refuses or does not answer.
        """
        missing, others = dict(expected), {}

        def take(flows: Iterable[Entry]) -> None:
            for flow in flows:
                key, body = flow
                if missing.get(key) != body:
                    key, body = as_packed(flow)
                    if missing.get(key) != body:
                        others[key] = body
                        continue
                del missing[key]

        request = wire.pack_flow_stats_request(cookie, mask, self._take_xids(1))
        self._read(request, wire.unpack_flow_stats, take, "the read of its flows", deadline)
        found = dict(expected)
        for key in missing:
            del found[key]
        found.update(others)
        return found

    def count_flows(self, cookie: int, mask: int, deadline: float) -> int:
        """Return how many flows ``read_flows`` would; the switch counts, and sends one number."""
        request = wire.pack_aggregate_request(cookie, mask, self._take_xids(1))
        found: list[int] = []
        what = "the count of its flows"
        self._read(request, wire.unpack_aggregate, found.extend, what, deadline)
        return sum(found)

    def read_groups(self, deadline: float) -> list[InstalledGroup]:
        """Return all groups; as ``read_flows`` otherwise."""
        request = wire.pack_group_desc_request(self._take_xids(1))
        found: list[InstalledGroup] = []
        what = "the read of its groups"
        self._read(request, wire.unpack_group_desc, found.extend, what, deadline)
        return found

    def read_meters(self, deadline: float) -> list[InstalledMeter]:
        """Return all meters; as ``read_flows`` otherwise."""
        request = wire.pack_meter_config_request(self._take_xids(1))
        found: list[InstalledMeter] = []
        what = "the read of its meters"
        self._read(request, wire.unpack_meter_config, found.extend, what, deadline)
        return found

    def apply(self, plan: Plan, deadline: float) -> None:
        """Send ``plan`` and return when the switch has done all of it.

        Flows and groups go in one bundle.  Open vSwitch takes no meter-mod in a bundle: meters
        are made before it and deleted after it.  ``deadline`` is for each of the three parts.
        Raises SwitchError; a part of which something is refused ends the plan, with Refused.
        """
        bundle = bundle_parts(plan)
        self._apply_meters(meter_parts(plan), deadline)
        self._apply_bundle(bundle, deadline)
        self._apply_meters(meter_deletions(plan), deadline)

    def _apply_bundle(self, parts: Sequence[Part], deadline: float) -> None:
        """Send parts in one bundle; the switch has the first while the last is still to be packed.

        The commit is not held back for the answers to what goes before it, which saves a round
        trip.  A message that the switch cannot even decode is then left out, and Refused is
        raised; one that it cannot carry out undoes the whole bundle, and Refused is raised.
        """
        if not count(parts):
            return
        self._bundle_id += 1
        bundle_id, first = self._bundle_id, self._take_xids(count(parts) + 2)
        last = first + count(parts) + 1
        messages = chain(
            [wire.pack_bundle_control(bundle_id, wire.OPEN_REQUEST, first)],
            (wire.pack_bundle_add(bundle_id, message) for message in packed(parts, first + 1)),
            [wire.pack_bundle_control(bundle_id, wire.COMMIT_REQUEST, last)],
        )
        self._ask(_Request(first, _is_committed, parts), messages, "a bundle", deadline)

    def _apply_meters(self, parts: Sequence[Part], deadline: float) -> None:
        """Send parts, and a barrier whose reply tells that they are done."""
        if not count(parts):
            return
        first = self._take_xids(count(parts) + 2)
        last = first + count(parts) + 1
        messages = chain(packed(parts, first + 1), [wire.pack_barrier_request(last)])
        self._ask(_Request(first, _is_barrier, parts), messages, "its meters", deadline)

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
        take: Callable[[list[_T]], None],
        what: str,
        deadline: float,
    ) -> None:
        """Ask, and give what is unpacked from each reply to ``take``."""
        so_far = 0

        def take_reply(buf: bytes) -> bool:
            nonlocal so_far
            found, more = unpack(buf)
            so_far += len(found)
            if so_far > MAX_READ:
                raise WireError(f"more than {MAX_READ} flows, groups or meters")
            take(found)
            return not more

        xid = unpack_header(request)[1]
        self._ask(_Request(xid, take_reply), [request], what, deadline)

    def _ask(
        self, request: _Request, messages: Iterable[bytes], what: str, deadline: float
    ) -> None:
        end = time.monotonic() + deadline
        self._request = request
        try:
            for chunk in chunks(messages):
                self._send(chunk, max(end - time.monotonic(), 0.001), what)
                if len(chunk) >= CHUNK:
                    turns.WORK.take()
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
        sent = None
        with hub.Timeout(seconds, False):
            sent = not self._closed and self.datapath.send(chunk)
        if sent is None:
            raise SwitchError(f"{what}: the switch takes no more data")
        if not sent:
            raise SwitchError(f"{what}: the connection is closed")


def _is_barrier(buf: bytes) -> bool:
    return unpack_header(buf)[0] == wire.BARRIER_REPLY


def _is_committed(buf: bytes) -> bool:
    return wire.unpack_bundle_control(buf).kind == wire.COMMIT_REPLY
