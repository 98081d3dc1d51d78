"""Short questions to ask of the VMs of a lab."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.frames import Kind, Seen, Token, probe_frame
from ryu_l2iso.lab.station import Stations
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM

TOKEN = Token(0, Kind.SPOOFED, 0, 0)

DEADLINE = 30
"""Seconds that what is waited for may take, on a machine that has much else to do."""

QUIET = 0.2
"""Seconds without a packet after which nothing more is expected."""


@contextlib.contextmanager
def unplugged(lab: Lab, vms: Iterable[VM]) -> Iterator[None]:
    """Have VMs unplugged for a while; wait until all is wired again."""
    out = list(vms)
    for vm in out:
        vm.unplug()
    try:
        yield
    finally:
        for vm in out:
            vm.plug()
        matrix.wait_until_wired(lab.vms)


def _settle(stations: Stations) -> None:
    while stations.read(QUIET):
        pass


def ping_answered(source: VM, destination: VM, deadline: float = 1.0) -> bool:
    """Whether a ping over IPv4 is answered and ``destination`` is the VM that it reached."""
    token = Token(0, Kind.PING4, 0, 1)
    with Stations([source, destination]) as stations:
        stations.all[0].ping(destination.address.ipv4, token)
        stations.read_until(lambda: token in stations.answered, deadline)
        return token in stations.answered and (1, Seen(token, False)) in stations.seen


def send(source: VM, frame_source: str, frame_destination: str, watched: Sequence[VM]) -> list[str]:
    """Send one frame from a VM; return the names of the ``watched`` VMs where it arrived."""
    frame = probe_frame(frame_destination, frame_source, TOKEN)
    return send_frames(source, [frame], watched)


def send_frames(source: VM, frames: Sequence[bytes], watched: Sequence[VM]) -> list[str]:
    """Send frames with TOKEN from a VM; return the names of the VMs where any of them arrived."""
    with Stations([source, *watched]) as stations:
        for frame in frames:
            stations.all[0].send_frame(frame)
        _settle(stations)
        return sorted({watched[place - 1].name for place, _ in stations.seen if place})
