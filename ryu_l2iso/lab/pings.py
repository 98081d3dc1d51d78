"""Pings along chosen lines, all the time, in a thread of their own, and what became of each."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, TypeVar

from ryu_l2iso.lab.frames import Kind, Seen, Token
from ryu_l2iso.lab.shell import LabError, wait_until
from ryu_l2iso.lab.station import Station
from ryu_l2iso.lab.vm import VM

INTERVAL = 0.01
"""Seconds between two pings along a line."""

PATIENCE = 1.0
"""Seconds after which a ping without an answer is lost."""

_Pings = TypeVar("_Pings", bound="Pings")


class Loss(NamedTuple):
    """What became of the pings from one VM to another in a span of time; ``gap`` in seconds."""

    source: VM
    destination: VM
    sent: int
    lost: int
    gap: float

    def __str__(self) -> str:
        return f"{self.source.name} -> {self.destination.name}: {self.lost} of {self.sent} lost"


class _Record:
    """The pings of one line: when each was sent, and when its answer came, 0 for not yet.

    ``came``: how many answers came.
    """

    def __init__(self) -> None:
        self.sent = array("d")
        self.answered = array("d")
        self.came = 0

    def add(self) -> int:
        """Record that a ping is sent; return its number."""
        self.answered.append(0.0)
        self.sent.append(time.monotonic())
        return len(self.sent) - 1

    def answer(self, number: int) -> None:
        """Record that a ping is answered, maybe again."""
        if not self.answered[number]:
            self.answered[number] = time.monotonic()
            self.came += 1

    def span(self, begin: float, end: float) -> range:
        """Return the numbers of the pings that were sent from ``begin`` to before ``end``."""
        return range(bisect_left(self.sent, begin), bisect_left(self.sent, end))


class Pings:
    """A context manager: pings along ``lines`` while inside.

    ``lines`` are pairs of places in ``vms``.  The VMs need not be plugged.
    """

    def __init__(
        self, vms: Sequence[VM], lines: Sequence[tuple[int, int]], interval: float = INTERVAL
    ) -> None:
        self.vms = list(vms)
        self._records = {line: _Record() for line in lines}
        self._interval = interval
        self._stations: list[Station] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Exception | None = None

    def __enter__(self: _Pings) -> _Pings:
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

    def wait_for_pings(self, count: int, deadline: float = 20.0) -> None:
        """Wait until ``count`` more pings were sent along each line, answered or not."""
        ends = [(record, len(record.sent) + count) for record in self._records.values()]
        wait_until(
            lambda: self._error or all(len(record.sent) >= end for record, end in ends),
            deadline,
            f"{count} more pings along every line",
        )
        self.check()

    def wait_for_answers(self, count: int, deadline: float = 20.0) -> None:
        """Wait until ``count`` more pings were answered along each line."""
        ends = [(record, record.came + count) for record in self._records.values()]
        wait_until(
            lambda: self._error or all(record.came >= end for record, end in ends),
            deadline,
            f"{count} more answers along every line",
        )
        self.check()

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._send_until_ending()
        except Exception as error:
            self._error = error

    def _send_until_ending(self) -> None:
        rounds, start = 0, time.monotonic()
        while not self._ending.is_set():
            for source, destination in self._records:
                self._ping(source, destination)
            self._beside()
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

    def _beside(self) -> None:
        """Send what is to be sent beside the pings; called in each round."""

    def _read(self, seconds: float) -> None:
        opened = {station.frames: station for station in self._stations}
        for ready in select.select(list(opened), [], [], seconds)[0]:
            station = opened[ready]
            for seen in station.seen():
                self._take(station, seen)

    def _take(self, station: Station, seen: Seen) -> None:
        """Take what has arrived at a VM."""
        if seen.reply and seen.token.source == station.number:
            self._records[seen.token.source, seen.token.destination].answer(seen.token.round)


def _loss(source: VM, destination: VM, record: _Record, span: range) -> Loss:
    came = [record.answered[n] for n in span if record.answered[n]]
    gap = max((after - before for before, after in zip(came, came[1:])), default=0.0)
    return Loss(source, destination, len(span), len(span) - len(came), gap)
