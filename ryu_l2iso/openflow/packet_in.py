"""Packets that switches send to the controller: from the connections to those who handle them.

A VM decides how many there are, up to what its meter lets through.  So nothing here blocks, and
nothing grows with their number: what is too much is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from ryu_l2iso.framework import hub
from ryu_l2iso.openflow.inspection import unpack_packet_in
from ryu_l2iso.state.ports import PortId

PER_PORT = 16
IN_ALL = 4096
"""Packets that may wait: of one port, so that it does not crowd out others, and of all."""

_ETHERNET_HEADER = 14


class PacketIn(NamedTuple):
    """A packet that a flow sent to the controller.

    ``port_id`` is where it came in; ``cookie`` is that of the flow; ``data`` is as much of the
    packet as the flow sends, its whole Ethernet header at least.
    """

    port_id: PortId
    cookie: int
    eth_src: str
    data: bytes


def read_packet_in(dpid: int, message: bytes) -> PacketIn | None:
    """Return what a packet-in of a switch tells; None for one without port or Ethernet header."""
    port_no, cookie, data = unpack_packet_in(message)
    if port_no is None or len(data) < _ETHERNET_HEADER:
        return None
    return PacketIn(PortId(dpid, port_no), cookie, data[6:12].hex(":"), data)


class PacketIns:
    """Hands packets to ``handle`` in batches, in a green thread of its own."""

    def __init__(self, handle: Callable[[Sequence[PacketIn]], None]) -> None:
        self.dropped = 0
        self._handle = handle
        self._waiting: dict[PortId, list[PacketIn]] = {}
        self._count = 0
        self._running = False

    def received(self, dpid: int, message: bytes) -> None:
        """Take a packet-in of a switch; raises WireError for one that breaks the protocol."""
        packet = read_packet_in(dpid, message)
        if packet is None:
            return
        if self._count >= IN_ALL:
            self.dropped += 1
            return
        of_port = self._waiting.setdefault(packet.port_id, [])
        if len(of_port) >= PER_PORT:
            self.dropped += 1
            return
        of_port.append(packet)
        self._count += 1
        if not self._running:
            self._running = True
            hub.spawn(self._run)

    def _run(self) -> None:
        try:
            while self._waiting:
                batch = [packet for of_port in self._waiting.values() for packet in of_port]
                self._waiting, self._count = {}, 0
                self._handle(batch)
                hub.sleep(0)
        finally:
            self._running = False
