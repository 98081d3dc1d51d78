"""Packets that come to the controller: read, bounded, handed on in batches."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from ryu_l2iso.framework import hub, ofproto_v1_4, ofproto_v1_4_parser
from ryu_l2iso.openflow import packet_in
from ryu_l2iso.openflow.inspection import unpack_packet_in
from ryu_l2iso.openflow.packet_in import PER_PORT, PacketIn, PacketIns, read_packet_in
from ryu_l2iso.pipelines.table import COOKIE_MAGIC
from ryu_l2iso.state.ports import PortId
from tests.functional import fake_switch

FRAME = bytes.fromhex("ffffffffffff fa163e000001 0806") + bytes(46)


COOKIE = COOKIE_MAGIC | 5
DPID = 7

IN_PORT = struct.pack("!HBBI", 0x8000, 0, 4, 1)
METADATA = struct.pack("!HBBQ", 0x8000, 2 << 1, 8, 9)
TUNNEL_ID = struct.pack("!HBBQ", 0x8000, 38 << 1, 8, 10)
UNKNOWN = b"\0\x09\x10\x03abc"


class Datapath:
    """What the framework's parser wants to know of a datapath."""

    ofproto, ofproto_parser = ofproto_v1_4, ofproto_v1_4_parser


def message(port_no: int = 1, data: bytes = FRAME, oxm: bytes | None = None) -> bytes:
    """Return a packet-in of a flow of ours."""
    return fake_switch.packet_in(port_no, data, oxm, COOKIE)


class Handler:
    """Records the batches that it gets; ``fails`` makes it raise."""

    def __init__(self) -> None:
        self.batches: list[Sequence[PacketIn]] = []
        self.fails = False

    def __call__(self, packets: Sequence[PacketIn]) -> None:
        self.batches.append(packets)
        if self.fails:
            raise ValueError("broken")


def run() -> None:
    """Let the green threads run until they have nothing to do."""
    for _ in range(5):
        hub.sleep(0)


def test_what_is_read() -> None:
    packet = PacketIn(PortId(DPID, 1), COOKIE, "fa:16:3e:00:00:01", FRAME)
    assert read_packet_in(DPID, message()) == packet


@pytest.mark.parametrize("data", [FRAME, FRAME[:14], bytes(1400)])
@pytest.mark.parametrize(
    "oxm",
    [
        *(IN_PORT, IN_PORT + METADATA, METADATA + IN_PORT, IN_PORT + TUNNEL_ID + METADATA),
        *(UNKNOWN + IN_PORT, IN_PORT + UNKNOWN),
    ],
)
def test_the_frameworks_parser_reads_the_same(oxm: bytes, data: bytes) -> None:
    buf = message(data=data, oxm=oxm)
    theirs = ofproto_v1_4_parser.OFPPacketIn.parser(Datapath, 5, 10, len(buf), 1, buf)
    ours = unpack_packet_in(buf)
    assert ours == (theirs.match["in_port"], theirs.cookie, theirs.data)


@pytest.mark.parametrize(
    "broken", [message(oxm=b""), message(oxm=METADATA), message(data=b""), message(data=bytes(13))]
)
def test_what_has_no_port_or_no_header_is_left(broken: bytes) -> None:
    assert read_packet_in(DPID, broken) is None
    handler = Handler()
    PacketIns(handler).received(DPID, broken)
    run()
    assert handler.batches == []


def test_what_comes_together_is_handled_together() -> None:
    handler = Handler()
    packets = PacketIns(handler)
    for port_no in (1, 2, 1):
        packets.received(DPID, message(port_no))
    run()
    assert [[p.port_id.port_no for p in batch] for batch in handler.batches] == [[1, 1, 2]]
    packets.received(DPID, message(3))
    run()
    assert len(handler.batches) == 2


def test_one_port_does_not_crowd_out_another() -> None:
    handler = Handler()
    packets = PacketIns(handler)
    for _ in range(1000):
        packets.received(DPID, message(1))
    packets.received(DPID, message(2))
    run()
    assert len(handler.batches[0]) == PER_PORT + 1
    assert packets.dropped == 1000 - PER_PORT


def test_all_ports_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_in, "IN_ALL", 10)
    handler = Handler()
    packets = PacketIns(handler)
    for port_no in range(1, 100):
        packets.received(DPID, message(port_no))
    run()
    assert len(handler.batches[0]) == 10
    packets.received(DPID, message(200))
    run()
    assert len(handler.batches) == 2


def test_a_batch_that_fails_does_not_stop_the_next() -> None:
    handler = Handler()
    handler.fails = True
    packets = PacketIns(handler)
    packets.received(DPID, message())
    run()
    packets.received(DPID, message())
    run()
    assert len(handler.batches) == 2
