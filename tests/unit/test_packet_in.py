"""Packets that come to the controller: read, bounded, handed on in batches."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_l2iso.framework import hub
from ryu_l2iso.openflow import packet_in
from ryu_l2iso.openflow.packet_in import PER_PORT, PacketIn, PacketIns, read_packet_in
from ryu_l2iso.state.ports import PortId

FRAME = bytes.fromhex("ffffffffffff fa163e000001 0806") + bytes(46)


def message(port_no: int | None = 1, data: bytes | None = FRAME, dpid: int = 7) -> Any:
    """Return a packet-in as the framework gives it."""
    match = {} if port_no is None else {"in_port": port_no}
    return SimpleNamespace(datapath=SimpleNamespace(id=dpid), match=match, cookie=5, data=data)


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
    packet = PacketIn(PortId(7, 1), 5, "fa:16:3e:00:00:01", FRAME)
    assert read_packet_in(message()) == packet


@pytest.mark.parametrize(
    "broken",
    [message(port_no=None), message(data=None), message(data=b""), message(data=bytes(13))],
)
def test_what_has_no_port_or_no_header_is_left(broken: Any) -> None:
    assert read_packet_in(broken) is None
    handler = Handler()
    PacketIns(handler).received(broken)
    run()
    assert handler.batches == []


def test_what_comes_together_is_handled_together() -> None:
    handler = Handler()
    packets = PacketIns(handler)
    for port_no in (1, 2, 1):
        packets.received(message(port_no))
    run()
    assert [[p.port_id.port_no for p in batch] for batch in handler.batches] == [[1, 1, 2]]
    packets.received(message(3))
    run()
    assert len(handler.batches) == 2


def test_one_port_does_not_crowd_out_another() -> None:
    handler = Handler()
    packets = PacketIns(handler)
    for _ in range(1000):
        packets.received(message(1))
    packets.received(message(2))
    run()
    assert len(handler.batches[0]) == PER_PORT + 1
    assert packets.dropped == 1000 - PER_PORT


def test_all_ports_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_in, "IN_ALL", 10)
    handler = Handler()
    packets = PacketIns(handler)
    for port_no in range(1, 100):
        packets.received(message(port_no))
    run()
    assert len(handler.batches[0]) == 10
    packets.received(message(200))
    run()
    assert len(handler.batches) == 2


def test_a_batch_that_fails_does_not_stop_the_next() -> None:
    handler = Handler()
    handler.fails = True
    packets = PacketIns(handler)
    packets.received(message())
    run()
    packets.received(message())
    run()
    assert len(handler.batches) == 2
