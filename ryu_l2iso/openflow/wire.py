"""OpenFlow 1.4 messages from values and back, for what this suite sends and reads.

Sections and structure names are those of the OpenFlow Switch Specification 1.4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple, Union

from ryu_l2iso.openflow.flow_entry import (
    BODY_HEAD,
    COOKIE,
    KEY_HEAD,
    Entry,
    cut,
)
from ryu_l2iso.openflow.framing import (
    HEADER_SIZE,
    MULTIPART_SIZE,
    VERSION,
    WireError,
    check_length,
    check_multipart,
    check_type,
    message,
    spans,
)
from ryu_l2iso.openflow.instructions import unpack_actions
from ryu_l2iso.openflow.oxm import pack_match
from ryu_l2iso.pipelines.flow import CONTROLLER, Group, Match, Meter

ERROR, FLOW_MOD, GROUP_MOD = 1, 14, 15
MULTIPART_REQUEST, BARRIER_REQUEST, BARRIER_REPLY = 18, 20, 21
METER_MOD, BUNDLE_CONTROL, BUNDLE_ADD = 29, 33, 34

OPEN_REQUEST, OPEN_REPLY, COMMIT_REQUEST, COMMIT_REPLY = 0, 1, 4, 5
"""Types of a bundle control message (7.3.9.1)."""

_FLOW_STATS, _AGGREGATE, _GROUP_DESC, _METER_CONFIG = 1, 2, 7, 10
_ATOMIC_ORDERED = 3
_FLOW_ADD, _FLOW_DELETE_STRICT = 0, 4
_ADD, _MODIFY, _DELETE = 0, 1, 2
"""Commands of a group-mod and of a meter-mod."""

_PACKETS, _DROP = 0b0110, 1
"""Flags of a meter, packets per second and burst (7.3.4.4), and the type of its band."""

_ANY = 0xFFFFFFFF
_ALL_TABLES = 0xFF

_ERROR = Struct("!8xHH")
_BUNDLE = Struct("!IHH")
_BUNDLED = Struct("!BBH4sIHH")
_FLOW_MOD = Struct("!BBHI8s8xsB4x2sIII4x")
_FLOW_STATS_REQUEST = Struct("!HH4xB3xII4xQQ")
_AGGREGATE_REPLY = Struct("!16xI4x")
_GROUP_MOD = Struct("!HBxI")
_GROUP_ENTRY = Struct("!2xBxI")
_BUCKET_HEAD = 16
_OUTPUT_BUCKET = Struct("!HHII4xHHIH6x")
_TOLD_BUCKET = Struct("!H14xHHI8x")
_OUTPUTS = 32, 0, 16
"""The length of a bucket that does nothing but an output, and type and length of that action."""
_METER_MOD = Struct("!HHI")
_METER_CONFIG_REQUEST = Struct("!HH4xI4x")
_METER_ENTRY = Struct("!2xHI")
_DROP_BAND = Struct("!HHII4x")
_DESC_REQUEST = Struct("!HH4x")


class OpaqueGroup(NamedTuple):
    """A group that is not of a shape of ours."""

    group_id: int


class OpaqueMeter(NamedTuple):
    """A meter that is not of a shape of ours."""

    meter_id: int


class BundleControl(NamedTuple):
    """A bundle control message: ``kind`` is ``OPEN_REPLY``, ``COMMIT_REPLY``, …"""

    bundle_id: int
    kind: int


class ErrorReply(NamedTuple):
    """An error message; ``data`` starts with the bytes of the message that was refused."""

    type: int
    code: int
    data: bytes


InstalledGroup = Union[Group, OpaqueGroup]
InstalledMeter = Union[Meter, OpaqueMeter]


# Packing


def _pack_flow_mod(command: int, key: bytes, body: bytes, xid: int) -> bytes:
    rest = key[KEY_HEAD:] + body[BODY_HEAD:]
    length = check_length(_FLOW_MOD.size + len(rest))
    cookie, table, priority = body[COOKIE], key[:1], key[1:KEY_HEAD]
    # Not by a tuple of its start: nearly all that is sent is this.
    head = _FLOW_MOD.pack(
        VERSION, FLOW_MOD, length, xid, cookie, table, command, priority, _ANY, _ANY, _ANY
    )
    return head + rest


def pack_flow_add(flow: Entry, xid: int) -> bytes:
    """Return the flow-mod that installs ``flow`` over any flow of the same key (7.3.4.1)."""
    key, body = flow
    return _pack_flow_mod(_FLOW_ADD, key, body, xid)


def pack_flow_delete_strict(flow: Entry, xid: int) -> bytes:
    """Return the flow-mod that deletes just ``flow``, whatever it does by now."""
    key, body = flow
    return _pack_flow_mod(_FLOW_DELETE_STRICT, key, body[:BODY_HEAD], xid)


def _pack_group_mod(command: int, group_id: int, ports: Sequence[int], xid: int) -> bytes:
    pack = _OUTPUT_BUCKET.pack
    length, *action = _OUTPUTS
    buckets = b"".join([pack(length, 0, _ANY, _ANY, *action, port, 0) for port in ports])
    return message(GROUP_MOD, xid, _GROUP_MOD.pack(command, 0, group_id) + buckets)


def pack_group_add(group: Group, xid: int) -> bytes:
    """Return the group-mod that creates ``group`` (7.3.4.2); no such group may exist."""
    return _pack_group_mod(_ADD, group.group_id, group.ports, xid)


def pack_group_modify(group: Group, xid: int) -> bytes:
    """Return the group-mod that replaces the buckets of an existing group."""
    return _pack_group_mod(_MODIFY, group.group_id, group.ports, xid)


def pack_group_delete(group_id: int, xid: int) -> bytes:
    """Return the group-mod that deletes a group; flows that refer to it go with it."""
    return _pack_group_mod(_DELETE, group_id, (), xid)


def pack_bundle_control(bundle_id: int, kind: int, xid: int) -> bytes:
    """Return the control message that opens or commits an atomic and ordered bundle (7.3.9)."""
    return message(BUNDLE_CONTROL, xid, _BUNDLE.pack(bundle_id, kind, _ATOMIC_ORDERED))


def pack_bundle_add(bundle_id: int, inner: bytes) -> bytes:
    """Wrap a packed message for a bundle; the outer xid must be the inner one (7.3.9.6)."""
    length, xid = check_length(_BUNDLED.size + len(inner)), inner[4:8]
    head = _BUNDLED.pack(VERSION, BUNDLE_ADD, length, xid, bundle_id, 0, _ATOMIC_ORDERED)
    return head + inner


def pack_flow_stats_request(cookie: int, cookie_mask: int, xid: int) -> bytes:
    """Return the request for all flows with ``cookie`` in the bits of ``cookie_mask`` (7.3.5.2)."""
    return _pack_flows_request(_FLOW_STATS, cookie, cookie_mask, xid)


def pack_aggregate_request(cookie: int, cookie_mask: int, xid: int) -> bytes:
    """Return the request for the number of these flows (7.3.5.3)."""
    return _pack_flows_request(_AGGREGATE, cookie, cookie_mask, xid)


def _pack_flows_request(kind: int, cookie: int, cookie_mask: int, xid: int) -> bytes:
    body = _FLOW_STATS_REQUEST.pack(kind, 0, _ALL_TABLES, _ANY, _ANY, cookie, cookie_mask)
    return message(MULTIPART_REQUEST, xid, body + pack_match(Match()))


def pack_group_desc_request(xid: int) -> bytes:
    """Return the request for all groups (7.3.5.8)."""
    return message(MULTIPART_REQUEST, xid, _DESC_REQUEST.pack(_GROUP_DESC, 0))


def _pack_meter_mod(command: int, meter_id: int, band: bytes, xid: int) -> bytes:
    return message(METER_MOD, xid, _METER_MOD.pack(command, _PACKETS, meter_id) + band)


def _pack_band(meter: Meter) -> bytes:
    return _DROP_BAND.pack(_DROP, 16, meter.rate, meter.burst)


def pack_meter_add(meter: Meter, xid: int) -> bytes:
    """Return the meter-mod that creates ``meter`` (7.3.4.4); no such meter may exist."""
    return _pack_meter_mod(_ADD, meter.meter_id, _pack_band(meter), xid)


def pack_meter_modify(meter: Meter, xid: int) -> bytes:
    """Return the meter-mod that changes an existing meter."""
    return _pack_meter_mod(_MODIFY, meter.meter_id, _pack_band(meter), xid)


def pack_meter_delete(meter_id: int, xid: int) -> bytes:
    """Return the meter-mod that deletes a meter; flows that refer to it go with it."""
    return _pack_meter_mod(_DELETE, meter_id, b"", xid)


def pack_meter_config_request(xid: int) -> bytes:
    """Return the request for all meters (7.3.5.13)."""
    return message(MULTIPART_REQUEST, xid, _METER_CONFIG_REQUEST.pack(_METER_CONFIG, 0, _ANY))


def pack_barrier_request(xid: int) -> bytes:
    """Return the request for an answer when all that was sent before is done (7.3.7)."""
    return message(BARRIER_REQUEST, xid, b"")


# Unpacking


def unpack_error(buf: bytes) -> ErrorReply:
    """Return the content of an error message (7.5.4)."""
    check_type(buf, ERROR, _ERROR.size)
    kind, code = _ERROR.unpack_from(buf)
    return ErrorReply(kind, code, buf[_ERROR.size :])


def unpack_bundle_control(buf: bytes) -> BundleControl:
    """Return the content of a bundle control message (7.3.9.1)."""
    check_type(buf, BUNDLE_CONTROL, HEADER_SIZE + _BUNDLE.size)
    bundle_id, kind, _ = _BUNDLE.unpack_from(buf, HEADER_SIZE)
    return BundleControl(bundle_id, kind)


def unpack_flow_stats(buf: bytes) -> tuple[list[Entry], bool]:
    """Return the flows of a flow-stats reply, and whether more replies follow (7.3.5.2)."""
    more = check_multipart(buf, _FLOW_STATS)
    return cut(buf, MULTIPART_SIZE), more


def unpack_aggregate(buf: bytes) -> tuple[list[int], bool]:
    """Return the number of flows of an aggregate reply, in a list, and False (7.3.5.3)."""
    more = check_multipart(buf, _AGGREGATE)
    if more or len(buf) != MULTIPART_SIZE + _AGGREGATE_REPLY.size:
        raise WireError(f"an aggregate reply of {len(buf)} bytes")
    return [_AGGREGATE_REPLY.unpack_from(buf, MULTIPART_SIZE)[0]], False


def unpack_group_desc(buf: bytes) -> tuple[list[InstalledGroup], bool]:
    """Return the groups of a group-desc reply, and whether more replies follow (7.3.5.8)."""
    more = check_multipart(buf, _GROUP_DESC)
    entries = spans(buf, MULTIPART_SIZE, len(buf), 0, _GROUP_ENTRY.size)
    return [_unpack_group(buf, pos, end) for pos, end in entries], more


def unpack_meter_config(buf: bytes) -> tuple[list[InstalledMeter], bool]:
    """Return the meters of a meter-config reply, and whether more replies follow (7.3.5.13)."""
    more = check_multipart(buf, _METER_CONFIG)
    entries = spans(buf, MULTIPART_SIZE, len(buf), 0, _METER_ENTRY.size)
    return [_unpack_meter(buf, pos, end) for pos, end in entries], more


def _unpack_group(buf: bytes, pos: int, end: int) -> InstalledGroup:
    kind, group_id = _GROUP_ENTRY.unpack_from(buf, pos)
    ports = _unpack_outputs(buf[pos + _GROUP_ENTRY.size : end])
    return OpaqueGroup(group_id) if kind or ports is None else Group(group_id, ports)


def _unpack_outputs(buckets: bytes) -> tuple[int, ...] | None:
    """Return where buckets send packets to; None where one does anything else."""
    if len(buckets) % _TOLD_BUCKET.size == 0:
        # Nearly all are ours, and have many buckets.
        told = list(_TOLD_BUCKET.iter_unpack(buckets))
        ports = tuple([port_no for _, _, _, port_no in told])
        if {bucket[:3] for bucket in told} <= {_OUTPUTS} and CONTROLLER not in ports:
            return ports
    for start, stop in spans(buckets, 0, len(buckets), 0, _BUCKET_HEAD):
        unpack_actions(buckets, start + _BUCKET_HEAD, stop)
    return None


def _unpack_meter(buf: bytes, pos: int, end: int) -> InstalledMeter:
    flags, meter_id = _METER_ENTRY.unpack_from(buf, pos)
    bands = list(spans(buf, pos + _METER_ENTRY.size, end, 2, 12))
    if flags != _PACKETS or len(bands) != 1 or bands[0][1] - bands[0][0] != _DROP_BAND.size:
        return OpaqueMeter(meter_id)
    kind, _, rate, burst = _DROP_BAND.unpack_from(buf, bands[0][0])
    return Meter(meter_id, rate, burst) if kind == _DROP else OpaqueMeter(meter_id)
