"""Pings between a VM that moves and its peers, all the time, and what of them was lost."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from ryu_l2iso.lab.frames import Kind, Seen, Token, recognise
from ryu_l2iso.lab.shell import LabError, wait_until
from ryu_l2iso.lab.station import Station, packet_socket, read_frames
from ryu_l2iso.lab.vm import VM

INTERVAL = 0.01
"""Seconds between two pings of one VM to another."""

SETTLE = 1.0
"""Seconds that the answers to the last pings may take."""


class Line(NamedTuple):
    """The pings from one VM to another, and their answers.

    ``lost``: pings without an answer; ``twice``: pings and answers that a VM got more than once;
    ``gap``: the longest time between two answers, in seconds.
    """

    source: VM
    destination: VM
    sent: int
    lost: int
    twice: int
    gap: float


class Pinger:
    """Pings both ways between a VM and each of its peers, in a thread of its own.

    A context manager: the pings start with it, and `lines` has them after it has ended.
    """

    def __init__(self, moving: VM, peers: Sequence[VM]) -> None:
        self._vms = [moving, *peers]
        self._stations: list[Station] = []
        self._locations: dict[str, socket.socket] = {}
        self._sent: dict[Token, float] = {}
        self._answered: dict[Token, float] = {}
        self._seen: Counter[tuple[int, Seen]] = Counter()
        self._seen_at: dict[str, set[Seen]] = {}
        self._error: Exception | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def watch(self, port: str) -> None:
        """Record what comes by a port of the moving VM's namespace, one of its locations."""
        self._seen_at[port] = set()
        self._locations[port] = packet_socket(self._vms[0].namespace, port)

    def __enter__(self) -> Pinger:
        self._stations = [Station(number, vm) for number, vm in enumerate(self._vms)]
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
        for location in self._locations.values():
            location.close()
        if self._error is not None and error is None:
            raise LabError("the pings broke off") from self._error

    def wait_for_rounds(self, count: int, deadline: float = 20.0) -> None:
        """Wait until every VM has had ``count`` more answers from each that it pings."""
        ends = {pair: count + self._answers(pair) for pair in self._pairs()}
        wait_until(
            lambda: self._error or all(self._answers(p) >= n for p, n in ends.items()),
            deadline,
            f"{count} more answers to the pings of every VM",
        )

    def lines(self) -> list[Line]:
        """Return what became of the pings, for each VM to each other that it pings."""
        return [self._line(source, destination) for source, destination in self._pairs()]

    def delivered_twice(self) -> int:
        """Return how many packets came to more than one location of the moving VM."""
        counts = Counter(seen for found in self._seen_at.values() for seen in found)
        return sum(count > 1 for count in counts.values())

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._ping_until_ending()
            end = time.monotonic() + SETTLE
            while self._answered.keys() < self._sent.keys() and time.monotonic() < end:
                self._read(0.01)
        except Exception as error:
            self._error = error

    def _ping_until_ending(self) -> None:
        number, start = 0, time.monotonic()
        while not self._ending.is_set():
            for source, destination in self._pairs():
                token = Token(number, Kind.PING4, source, destination)
                self._sent[token] = time.monotonic()
                self._stations[source].ping(self._vms[destination].address.ipv4, token)
            number += 1
            left = start + number * INTERVAL - time.monotonic()
            while left > 0:
                self._read(left)
                left = start + number * INTERVAL - time.monotonic()

    def _read(self, seconds: float) -> None:
        opened = [s for station in self._stations for s in (station.frames, station.icmp4)]
        opened += self._locations.values()
        if not select.select(opened, [], [], seconds)[0]:
            return
        now = time.monotonic()
        for station in self._stations:
            for seen in station.seen():
                self._seen[station.number, seen] += 1
            for token in station.answers():
                self._answered.setdefault(token, now)
        for port, location in list(self._locations.items()):
            try:
                self._seen_at[port].update(filter(None, map(recognise, read_frames(location))))
            except OSError:
                # The port was taken away, as its location is when the move is done.
                self._locations.pop(port).close()

    # -- what it comes to --------------------------------------------------------------------

    def _pairs(self) -> list[tuple[int, int]]:
        peers = range(1, len(self._vms))
        return [pair for peer in peers for pair in ((peer, 0), (0, peer))]

    def _answers(self, pair: tuple[int, int]) -> int:
        return sum((t.source, t.destination) == pair for t in list(self._answered))

    def _line(self, source: int, destination: int) -> Line:
        sent = [t for t in self._sent if (t.source, t.destination) == (source, destination)]
        came = sorted(self._answered[token] for token in sent if token in self._answered)
        twice = sum(
            self._seen[number, Seen(token, reply)] > 1
            for token in sent
            for number, reply in ((destination, False), (source, True))
        )
        gap = max((after - before for before, after in zip(came, came[1:])), default=0.0)
        lost = len(sent) - len(came)
        return Line(self._vms[source], self._vms[destination], len(sent), lost, twice, gap)
