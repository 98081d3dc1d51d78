"""Guests that send from one new MAC after the other, and how fast the controller learns them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from bench.simulator.switch import Switch

PATIENCE = 0.5
"""Seconds after which a packet is sent again that nothing came of."""
POLL = 0.01
PORT_NO = 1

_ETH_SRC = b"\x80\x00\x08\x06"
_TO_CONTROLLER = b"\x00\x00\x00\x10\xff\xff\xff\xfd"
_ARP_REQUEST = bytes.fromhex("0806 0001 0800 06 04 0001")
_ASKED = bytes.fromhex("0a000001 000000000000 0a000002") + bytes(22)
_IN_PORT = b"\x80\x00\x00\x04" + PORT_NO.to_bytes(4, "big")


class Guest:
    """The guest behind port 1 of a switch; ``window`` packets are unanswered at any time."""

    def __init__(self, switch: Switch, macs: int, window: int) -> None:
        own = b"\x02\x00" + (switch.dpid << 16).to_bytes(4, "big")
        self._switch = switch
        self._target = own
        self._left = deque((int.from_bytes(own, "big") + n).to_bytes(6, "big") for n in range(macs))
        self._window = window
        # MAC → when a packet was sent from it
        self._sent: dict[bytes, float] = {}
        asking = asks(switch)[0]
        self._cookie, self._table = int.from_bytes(asking[8:16], "big"), asking[24]
        switch.tables.on_flow = self._flow_added

    @property
    def is_done(self) -> bool:
        """Return whether every MAC is known."""
        return not self._left and not self._sent

    def start(self) -> None:
        """Send from the guest's first MAC, then from as many as the window holds."""
        self._send(self._target)
        for _ in range(self._window):
            self._next()

    def again(self) -> None:
        """Send again what got no answer."""
        late = time.monotonic() - PATIENCE
        for mac in [mac for mac, at in self._sent.items() if at < late]:
            self._send(mac)

    def _next(self) -> None:
        if self._left:
            self._send(self._left.popleft())

    def _send(self, mac: bytes) -> None:
        self._sent[mac] = time.monotonic()
        frame = self._target + mac + _ARP_REQUEST + mac + _ASKED
        self._switch.packet_in(PORT_NO, self._table, self._cookie, frame)

    def _flow_added(self, mod: bytes) -> None:
        start = mod.find(_ETH_SRC, 48) + 4
        if start >= 48 and self._sent.pop(mod[start : start + 6], None) is not None:
            self._next()


def asks(switch: Switch) -> list[bytes]:
    """Return the flows of a switch that send what is unknown to the controller.

    Those for port 1, if there are any.
    """
    found = [mod for mod in switch.tables.flows.values() if _TO_CONTROLLER in mod]
    return [mod for mod in found if _IN_PORT in mod] or found


async def learn(switches: Sequence[Switch], macs: int, window: int, deadline: float) -> float:
    """Have guests send from ``macs`` MACs each; return the seconds until all had their flow."""
    guests = [Guest(switch, macs, window) for switch in switches]
    start = time.monotonic()
    for guest in guests:
        guest.start()
    while not all(guest.is_done for guest in guests):
        if time.monotonic() > start + deadline:
            raise TimeoutError(f"{sum(not g.is_done for g in guests)} guests wait for flows")
        await asyncio.sleep(POLL)
        for guest in guests:
            guest.again()
    return time.monotonic() - start
