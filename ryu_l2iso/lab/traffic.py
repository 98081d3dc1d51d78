"""Pings along chosen lines, all the time, and whatever reaches a VM out of another network.

Beside the pings every VM sends, now and then, frames to everybody and to the MACs of the other
networks' VMs: without isolation they arrive there.  Every packet carries a token that names its
sender and its receiver, so that a leak is seen whatever addresses it has.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from types import TracebackType
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
from ryu_l2iso.lab.shell import LabError, wait_until
from ryu_l2iso.lab.station import Station
from ryu_l2iso.lab.vm import VM

INTERVAL = 0.01
"""Seconds between two pings along a line."""

CHATTER = 0.05
"""Seconds between two VMs' frames to everybody; they take turns."""

PATIENCE = 1.0
"""Seconds after which a ping without an answer is lost."""

KEPT_LEAKS = 20


class Loss(NamedTuple):
    """What became of the pings from one VM to another in a span of time; ``gap`` in seconds."""

    source: VM
    destination: VM
    sent: int
    lost: int
    gap: float

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.destination.name}: {self.lost} of {self.sent} lost"


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


class _Record:
    """The pings of one line: when each was sent, and when its answer came, 0 for not yet."""

    def __init__(self) -> None:
        self.sent = array("d")
        self.answered = array("d")

    def add(self) -> int:
        """Record that a ping is sent; return its number."""
        self.answered.append(0.0)
        self.sent.append(time.monotonic())
        return len(self.sent) - 1

    def span(self, begin: float, end: float) -> range:
        """Return the numbers of the pings that were sent from ``begin`` to before ``end``."""
        return range(bisect_left(self.sent, begin), bisect_left(self.sent, end))


class Traffic:
    """A context manager: pings along ``lines`` and chatter of all ``vms`` while inside.

    ``lines`` are pairs of places in ``vms``.  The VMs need not be plugged.
    """

    def __init__(
        self, vms: Sequence[VM], lines: Sequence[tuple[int, int]], interval: float = INTERVAL
    ) -> None:
        self.vms = list(vms)
        self.leaks: list[Leak] = []
        """The first of the leaks; `leaked` counts them all."""
        self.leaked = 0
        self._records = {line: _Record() for line in lines}
        self._interval = interval
        self._stations: list[Station] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Exception | None = None

    def __enter__(self) -> Traffic:
        self._stations = [Station(number, vm) for number, vm in enumerate(self.vms)]
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()
        for station in self._stations:
            station.close()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise LabError when the pings have broken off."""
        if self._error is not None:
            raise LabError("the pings broke off") from self._error

    def lines(self) -> list[tuple[VM, VM]]:
        """Return the lines, as VMs."""
        return [(self.vms[source], self.vms[destination]) for source, destination in self._records]

    def losses(self, begin: float, end: float) -> list[Loss]:
        """Return what became of the pings of every line that were sent in a span of time.

        ``begin`` and ``end`` are of ``time.monotonic()``; waits for answers as long as they may
        take.
        """
        spans = [(record, record.span(begin, end)) for record in self._records.values()]
        waiting = [(record, n) for record, span in spans for n in span]
        patience = end + PATIENCE - time.monotonic()
        with contextlib.suppress(LabError):
            wait_until(
                lambda: self._error or all(r.answered[n] for r, n in waiting),
                max(patience, 0.0),
                "all answers",
            )
        self.check()
        return [
            _loss(self.vms[s], self.vms[d], self._records[s, d], span)
            for (s, d), (_, span) in zip(self._records, spans)
        ]

    def answered_since(self, begin: float) -> set[tuple[VM, VM]]:
        """Return the lines along which a ping sent after ``begin`` was answered."""
        self.check()
        return {
            line
            for line, record in zip(self.lines(), self._records.values())
            if any(record.answered[bisect_left(record.sent, begin) :])
        }

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._send_until_ending()
        except Exception as error:
            self._error = error

    def _send_until_ending(self) -> None:
        start = time.monotonic()
        rounds, turn, chatter_due = 0, 0, start
        while not self._ending.is_set():
            for source, destination in self._records:
                self._ping(source, destination)
            if time.monotonic() >= chatter_due:
                self._chatter(turn % len(self._stations))
                turn, chatter_due = turn + 1, time.monotonic() + CHATTER
            # After a pause of this whole process no burst makes up for it.
            rounds = max(rounds + 1, int((time.monotonic() - start) / self._interval))
            left = start + rounds * self._interval - time.monotonic()
            self._read(max(left, 0.0))
            while (left := start + rounds * self._interval - time.monotonic()) > 0:
                self._read(left)

    def _ping(self, source: int, destination: int) -> None:
        number = self._records[source, destination].add()
        token = Token(number, Kind.PING4, source, destination)
        self._stations[source].ping(self.vms[destination].address.ipv4, token)

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

    def _read(self, seconds: float) -> None:
        opened = {station.frames: station for station in self._stations}
        for ready in select.select(list(opened), [], [], seconds)[0]:
            station = opened[ready]
            for seen in station.seen():
                self._take(station, seen)

    def _take(self, station: Station, seen: Seen) -> None:
        token = seen.token
        if self.vms[token.source].network != station.vm.network:
            self.leaked += 1
            if len(self.leaks) < KEPT_LEAKS:
                leak = Leak(time.monotonic(), self.vms[token.source], station.vm, seen)
                self.leaks.append(leak)
        elif seen.reply and token.source == station.number:
            record = self._records[token.source, token.destination]
            if not record.answered[token.round]:
                record.answered[token.round] = time.monotonic()


def _loss(source: VM, destination: VM, record: _Record, span: range) -> Loss:
    came = [record.answered[n] for n in span if record.answered[n]]
    gap = max((after - before for before, after in zip(came, came[1:])), default=0.0)
    return Loss(source, destination, len(span), len(span) - len(came), gap)
