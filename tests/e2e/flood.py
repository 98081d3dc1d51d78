"""Run inside a VM: send frames to all, each from another random MAC, and end.

``python flood.py COUNT RATE``; RATE is in frames a second.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TAIL = bytes.fromhex("88b5") + bytes(46)
BURST = 50


def main(count: int, rate: int) -> None:
    """Send ``count`` frames out of eth0."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as opened:
        opened.bind(("eth0", 0))
        start = time.monotonic()
        for number in range(count):
            opened.send(b"\xff" * 6 + b"\x02" + os.urandom(5) + TAIL)
            if number % BURST == 0:
                time.sleep(max(0.0, start + number / rate - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
