"""Pings between a VM that moves and its peers, and what of them was lost or came twice."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from ryu_l2iso.lab.frames import Seen, recognise
from ryu_l2iso.lab.pings import Pings
from ryu_l2iso.lab.station import Station, packet_socket, read_frames
from ryu_l2iso.lab.vm import VM


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


class Pinger(Pings):
    """Pings both ways between a VM and each of its peers."""

    def __init__(self, moving: VM, peers: Sequence[VM]) -> None:
        places = range(1, 1 + len(peers))
        super().__init__([moving, *peers], [pair for n in places for pair in ((n, 0), (0, n))])
        self._locations: dict[str, socket.socket] = {}
        self._seen: Counter[tuple[int, Seen]] = Counter()
        self._seen_at: dict[str, set[Seen]] = {}

    def watch(self, port: str) -> None:
        """Record what comes by a port of the moving VM's namespace, one of its locations."""
        self._seen_at[port] = set()
        self._locations[port] = packet_socket(self.vms[0].namespace, port)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        for location in self._locations.values():
            location.close()

    def results(self) -> list[Line]:
        """Return what became of the pings up to now; waits for the last answers."""
        losses = self.losses(0.0, time.monotonic())
        twice: Counter[tuple[int, int]] = Counter()
        for (number, seen), count in list(self._seen.items()):
            pair = (seen.token.source, seen.token.destination)
            twice[pair] += count > 1 and number == pair[not seen.reply]
        return [
            Line(loss.source, loss.destination, loss.sent, loss.lost, twice[pair], loss.gap)
            for pair, loss in zip(self._records, losses)
        ]

    def delivered_twice(self) -> int:
        """Return how many packets came to more than one location of the moving VM."""
        counts = Counter(seen for found in self._seen_at.values() for seen in found)
        return sum(count > 1 for count in counts.values())

    def _take(self, station: Station, seen: Seen) -> None:
        self._seen[station.number, seen] += 1
        super()._take(station, seen)

    def _read(self, seconds: float) -> None:
        super()._read(seconds)
        for port, location in list(self._locations.items()):
            try:
                self._seen_at[port].update(filter(None, map(recognise, read_frames(location))))
            except OSError:
                # The port was taken away, as its location is when the move is done.
                self._locations.pop(port).close()
