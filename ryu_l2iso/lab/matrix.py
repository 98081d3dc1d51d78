"""The isolation matrix: who reaches whom, over every ordered pair of VMs.

The networks have the same addresses, so an answer to a ping does not say whose it is.  Every
packet sent therefore carries a token that names sender and intended receiver, and the eth0 of
every VM is watched: a VM is *reached* when a token of the sender has arrived at its eth0.

1. VMs of one network: pings over IPv4 and IPv6 are answered, and they as well as a unicast
   frame, a broadcast, an IPv4 and an IPv6 multicast arrive exactly once.
2. VMs of two networks: nothing at all arrives, neither what was sent to the VM's addresses,
   nor a broadcast, a multicast, a frame to an unknown MAC, nor an answer to somebody's ping.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from ryu_l2iso.lab.frames import (
    ANYBODY,
    BROADCAST_MAC,
    IPV4_MULTICAST_MAC,
    IPV6_MULTICAST_MAC,
    UNKNOWN_MAC,
    Kind,
    Seen,
    Token,
    probe_frame,
)
from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.lab.station import Station, Stations
from ryu_l2iso.lab.vm import VM

PINGS = (Kind.PING4, Kind.PING6)
TO_ONE = (Kind.PING4, Kind.PING6, Kind.UNICAST)
TO_ALL: dict[Kind, str] = {
    Kind.BROADCAST: BROADCAST_MAC,
    Kind.IPV4_MULTICAST: IPV4_MULTICAST_MAC,
    Kind.IPV6_MULTICAST: IPV6_MULTICAST_MAC,
}
"""kind of a frame to every VM of the network → its destination MAC."""

REPLY_DEADLINE = 2.0
QUIET = 0.2
"""Seconds: how long to wait for what must arrive, and without a packet for what must not."""


class Cell(NamedTuple):
    """One ordered pair of VMs.

    ``arrived``: kind → how often a token of the source arrived at the destination's eth0.
    ``answered``: the kinds of ping that were answered to the source.
    """

    expected: bool
    arrived: dict[Kind, int]
    answered: tuple[Kind, ...]

    @property
    def reached(self) -> bool:
        """Whether anything of the source arrived at the destination."""
        return bool(self.arrived)

    def faults(self) -> list[str]:
        """Return in words what is not as it must be; empty when all is."""
        if not self.expected:
            return [f"{kind.name} leaked" for kind in sorted(self.arrived)]
        counts = {kind: self.arrived.get(kind, 0) for kind in (*TO_ONE, *TO_ALL)}
        wrong = [f"{kind.name} arrived {n} times" for kind, n in counts.items() if n != 1]
        return wrong + [f"{kind.name} not answered" for kind in PINGS if kind not in self.answered]


class Matrix(NamedTuple):
    """``cells``: (source, destination), places in ``vms`` → Cell, for every ordered pair."""

    vms: Sequence[VM]
    cells: dict[tuple[int, int], Cell]

    @property
    def ok(self) -> bool:
        """Whether every pair is as it must be."""
        return not self.faults()

    def faults(self) -> list[str]:
        """Return in words everything that is not as it must be."""
        return [
            f"{self.vms[source].name} -> {self.vms[destination].name}: {fault}"
            for (source, destination), cell in self.cells.items()
            for fault in cell.faults()
        ]


def _pairs(vms: Sequence[VM]) -> list[tuple[int, int]]:
    numbers = range(len(vms))
    return [(s, d) for s in numbers for d in numbers if s != d]


def _ping(station: Station, number: int, peer: VM, kind: Kind, destination: int) -> None:
    address = peer.address.ipv4 if kind is Kind.PING4 else peer.address.ipv6
    station.ping(address, Token(number, kind, station.number, destination))


def wait_until_wired(vms: Sequence[VM], deadline: float = 20.0) -> float:
    """Ping all pairs of one network again and again until each was answered over IPv4 and IPv6.

    Returns the seconds that it took.  Raises LabError naming a pair that was not answered.
    """
    start = time.monotonic()
    pairs = [pair for pair in _pairs(vms) if vms[pair[0]].network == vms[pair[1]].network]
    waiting = {(source, destination, kind) for source, destination in pairs for kind in PINGS}
    with Stations(vms) as stations:
        number = 0
        while waiting:
            if time.monotonic() - start > deadline:
                s, d, kind = min(waiting)
                raise LabError(
                    f"{len(waiting)} of the pings are not answered after {deadline:g} s,"
                    f" {kind.name} from {vms[s].name} to {vms[d].name} is one"
                )
            _ping_round(stations, vms, waiting, number)
            waiting -= _answered(stations)
            number += 1
    return time.monotonic() - start


def _ping_round(
    stations: Stations, vms: Sequence[VM], waiting: set[tuple[int, int, Kind]], number: int
) -> None:
    for source, destination, kind in sorted(waiting):
        _ping(stations.all[source], number, vms[destination], kind, destination)
        stations.read(0)
    stations.read_until(lambda: _answered(stations) >= waiting, 0.1)


def _answered(stations: Stations) -> set[tuple[int, int, Kind]]:
    return {(t.source, t.destination, t.kind) for t in stations.answered}


def _send_all(stations: Stations, station: Station, vms: Sequence[VM]) -> None:
    """Send from one VM all that the matrix is made of."""
    own = station.vm.address.mac
    for number, peer in enumerate(vms):
        if number == station.number:
            continue
        for kind in PINGS:
            _ping(station, 0, peer, kind, number)
        token = Token(0, Kind.UNICAST, station.number, number)
        station.send_frame(probe_frame(peer.address.mac, own, token))
        stations.read(0)
    for kind, mac in (*TO_ALL.items(), (Kind.UNKNOWN_UNICAST, UNKNOWN_MAC)):
        station.send_frame(probe_frame(mac, own, Token(0, kind, station.number, ANYBODY)))
        stations.read(0)


def measure(vms: Sequence[VM]) -> Matrix:
    """Send everything from every VM to every other once; return what arrived."""
    with Stations(vms) as stations:
        for station in stations.all:
            _send_all(stations, station, vms)
        stations.read_until(
            lambda: (
                not any(
                    cell.expected and cell.faults()
                    for cell in evaluate(vms, stations.seen, stations.answered).cells.values()
                )
            ),
            REPLY_DEADLINE,
        )
        end = time.monotonic() + REPLY_DEADLINE
        while time.monotonic() < end and stations.read(QUIET):
            pass
        return evaluate(vms, stations.seen, stations.answered)


def evaluate(
    vms: Sequence[VM], seen: dict[tuple[int, Seen], int], answered: dict[Token, int]
) -> Matrix:
    """Return the matrix of what was seen and answered, in the shapes of Stations."""
    cells = {
        (s, d): Cell(vms[s].network == vms[d].network, {}, _answers(answered, s, d))
        for s, d in _pairs(vms)
    }
    for (place, (token, reply)), times in seen.items():
        if place == token.source:
            continue
        cell = cells[token.source, place]
        # Inside a network, what a frame to somebody else does is the switch's own affair.
        own = token.destination in (place, ANYBODY) and not reply
        if own or not cell.expected:
            cell.arrived[token.kind] = cell.arrived.get(token.kind, 0) + times
    return Matrix(vms, cells)


def _answers(answered: dict[Token, int], source: int, destination: int) -> tuple[Kind, ...]:
    return tuple(t.kind for t in answered if (t.source, t.destination) == (source, destination))
