"""What passes a port of the physical network: TCP streams, and whether they are all TLS."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import defaultdict
from typing import Any, NamedTuple

import eventlet

from ryu_l2iso.lab.netns import Namespace

ETH_P_ALL, ETH_P_IP, IPPROTO_TCP = 3, 0x0800, 6
SYN = 0x02
MAX_RECORD = 2**14 + 2048
RECORDS = range(20, 24)
"""Types of TLS records (RFC 8446 section 5.1): change_cipher_spec to application_data."""


class End(NamedTuple):
    """An end of a TCP connection."""

    address: str
    port: int


class Wire:
    """Keeps the TCP segments that pass a port, while inside; ``streams`` puts them together."""

    def __init__(self, namespace: Namespace, port: str) -> None:
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._socket.bind((port, 0))
        self._starts: dict[tuple[End, End], int] = {}
        self._segments: dict[tuple[End, End], dict[int, bytes]] = defaultdict(dict)
        self._thread: Any = None

    def __enter__(self) -> Wire:
        self._thread = eventlet.spawn(self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.kill()
        self._socket.close()

    def _read(self) -> None:
        while True:
            self._note(self._socket.recv(1 << 17))

    def _note(self, frame: bytes) -> None:
        if frame[12:14] != ETH_P_IP.to_bytes(2, "big") or frame[23] != IPPROTO_TCP:
            return
        begin = 14 + 4 * (frame[14] & 0xF)
        end = 14 + int.from_bytes(frame[16:18], "big")
        source, destination = (str(ipaddress.ip_address(frame[i : i + 4])) for i in (26, 30))
        ports = struct.unpack_from("!HHI", frame, begin)
        key = (End(source, ports[0]), End(destination, ports[1]))
        if frame[begin + 13] & SYN:
            self._starts[key] = ports[2] + 1
        payload = frame[begin + 4 * (frame[begin + 12] >> 4) : end]
        if payload:
            self._segments[key].setdefault(ports[2], payload)

    def streams(self) -> dict[tuple[End, End], bytes]:
        """Return what one end of each connection has sent to the other: (from, to) → bytes."""
        return {key: self._joined(key) for key in self._starts if self._segments[key]}

    def _joined(self, key: tuple[End, End]) -> bytes:
        data, start = b"", self._starts[key]
        parts = {(seq - start) % 2**32: part for seq, part in self._segments[key].items()}
        for offset in sorted(parts):
            assert offset <= len(data), f"the capture of {key} has a hole at {len(data)}"
            data += parts[offset][len(data) - offset :]
        return data


def is_tls(data: bytes) -> bool:
    """Tell whether bytes are records of TLS and nothing else; the last may be incomplete."""
    while data:
        if data[0] not in RECORDS or data[1:2] not in (b"", b"\x03"):
            return False
        length = int.from_bytes(data[3:5], "big")
        if length > MAX_RECORD:
            return False
        data = data[5 + length :] if len(data) >= 5 else b""
    return True
