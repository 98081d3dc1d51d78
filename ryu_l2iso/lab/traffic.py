"""Pings along chosen lines, all the time, and whatever reaches a VM out of another network.

Beside the pings every VM sends, now and then, frames to everybody and to the MACs of the other
networks' VMs: without isolation they arrive there.  Every packet carries a token that names its
sender and its receiver, so that a leak is seen whatever addresses it has.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from ryu_l2iso.lab.frames import (
    ANYBODY,
    BROADCAST_MAC,
    IPV6_MULTICAST_MAC,
    UNKNOWN_MAC,
    Kind,
    Seen,
    Token,
    probe_frame,
)
from ryu_l2iso.lab.pings import INTERVAL, Pings
from ryu_l2iso.lab.station import Station
from ryu_l2iso.lab.vm import VM

CHATTER = 0.05
"""Seconds between two VMs' frames to everybody; they take turns."""

KEPT_LEAKS = 20


class Leak(NamedTuple):
    """A packet that arrived at a VM of another network than its sender's."""

    at: float
    source: VM
    seen_by: VM
    seen: Seen

    def __str__(self) -> str:
        what = self.seen.token.kind.name + (" answer" if self.seen.reply else "")
        return f"{what} of {self.source.name} arrived at {self.seen_by.name}"


def lines_of(vms: Sequence[VM]) -> list[tuple[int, int]]:
    """Return lines that join the VMs of each network, as places in ``vms``.

    On each node from each VM to the next, and from a VM of each node to one of the next node.
    """
    lines: list[tuple[int, int]] = []
    for network in dict.fromkeys(vm.network for vm in vms):
        on_nodes: dict[str, list[int]] = {}
        for place, vm in enumerate(vms):
            if vm.network == network:
                on_nodes.setdefault(vm.node.name, []).append(place)
        for places in on_nodes.values():
            lines += list(zip(places, places[1:]))
        first = [places[0] for places in on_nodes.values()]
        lines += list(zip(first, first[1:]))
        if len(first) > 2:
            lines.append((first[-1], first[0]))
    return lines


class Traffic(Pings):
    """Pings along ``lines``, and chatter of all ``vms`` besides."""

    def __init__(
        self, vms: Sequence[VM], lines: Sequence[tuple[int, int]], interval: float = INTERVAL
    ) -> None:
        super().__init__(vms, lines, interval)
        self.leaks: list[Leak] = []
        """The first of the leaks; `leaked` counts them all."""
        self.leaked = 0
        self._turn = 0
        self._chatter_due = 0.0

    def _beside(self) -> None:
        if time.monotonic() >= self._chatter_due:
            self._chatter(self._turn % len(self._stations))
            self._turn += 1
            self._chatter_due = time.monotonic() + CHATTER

    def _chatter(self, place: int) -> None:
        vm = self.vms[place]
        macs = {other.address.mac for other in self.vms if other.network != vm.network}
        frames = {
            BROADCAST_MAC: Kind.BROADCAST,
            IPV6_MULTICAST_MAC: Kind.IPV6_MULTICAST,
            UNKNOWN_MAC: Kind.UNKNOWN_UNICAST,
            **dict.fromkeys(macs, Kind.UNICAST),
        }
        # The port of a VM that is being moved is down for a moment.
        with contextlib.suppress(OSError):
            for mac, kind in frames.items():
                frame = probe_frame(mac, vm.address.mac, Token(0, kind, place, ANYBODY))
                self._stations[place].send_frame(frame)

    def _take(self, station: Station, seen: Seen) -> None:
        source = self.vms[seen.token.source]
        if source.network == station.vm.network:
            super()._take(station, seen)
            return
        self.leaked += 1
        if len(self.leaks) < KEPT_LEAKS:
            self.leaks.append(Leak(time.monotonic(), source, station.vm, seen))
