"""A broadcast storm: ``python -m ryu_l2iso.lab.storm PORT RATE VLAN...`` until it is killed.

Sends RATE broadcast frames a second out of PORT of this namespace, on each of the VLANs in turn:
a number, FIRST-LAST for several, each tagged so; or ``=NUMBER`` for frames without a tag.  Every
frame carries a token whose ``source`` is that number, which tells where it leaked from.
"""

from __future__ import annotations

import itertools
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ryu_l2iso.lab.frames import ANYBODY, BROADCAST_MAC, ETH_VLAN, Kind, Token, probe_frame
from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.processes import Process, python_process

CHATTY_MAC = "02:00:00:00:00:%02x"
"""The source MACs are of nobody, and one for each storm."""

BURST = 0.01
"""Seconds of storm that are sent at a time."""


def tagged(frame: bytes, vlan: int) -> bytes:
    """Return a frame with a VLAN tag (IEEE 802.1Q) put into it."""
    return frame[:12] + struct.pack("!HH", ETH_VLAN, vlan) + frame[12:]


def storm_frames(mac: str, vlans: Sequence[str]) -> list[bytes]:
    """Return the frames of one round of a storm."""
    frames = []
    for text in vlans:
        first, _, last = text.lstrip("=").partition("-")
        for vlan in range(int(first), int(last or first) + 1):
            token = Token(0, Kind.BROADCAST, vlan, ANYBODY)
            frame = probe_frame(BROADCAST_MAC, mac, token)
            frames.append(frame if text.startswith("=") else tagged(frame, vlan))
    return frames


def storm_process(
    name: str, namespace: Namespace, directory: Path, port: str, rate: int, *vlans: str
) -> Process:
    """Return a storm, to be started, out of a namespace's port."""
    arguments = ["ryu_l2iso.lab.storm", port, str(rate), *vlans]
    return python_process(name, namespace, directory, arguments)


def main(argv: Sequence[str]) -> None:
    """Send until killed."""
    port, rate, *vlans = argv
    mac = CHATTY_MAC % (sum(port.encode()) % 256)
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    opened.bind((port, 0))
    frames = itertools.cycle(storm_frames(mac, vlans))
    count = max(1, int(int(rate) * BURST))
    due = time.monotonic()
    while True:
        for frame in itertools.islice(frames, count):
            opened.send(frame)
        due = max(due + count / int(rate), time.monotonic() - BURST)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1:])
