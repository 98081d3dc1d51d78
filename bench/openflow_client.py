"""A management connection to a real bridge: how many flows it has, and when some are added."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from bench.simulator import messages

_MULTIPART = Struct("!HH4x")
_AGGREGATE = Struct("!B3xII4xQQHH4x")
_MONITOR = Struct("!IIIHBBHH4x")
_FLOW_MOD = Struct("!QQBBHHHIIIHH")
_MATCH = Struct("!HHHBB6s")
_BUNDLE = Struct("!IHH")
_COOKIE, _TABLE = 0xBE, 200
"""Of flows that are no controller's, where no packet comes."""
_COUNT = Struct("!16xI")
_FLOW_MONITOR = 16
_ANY = 0xFFFFFFFF
_ADDED, _ALL_TABLES = 2, 0xFF
_HELLO = messages.message(messages.HELLO, 0)


class Management:
    """One connection, by the Unix socket that ovs-vswitchd has for each bridge."""

    def __init__(self, rundir: Path, bridge: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(20)
        self._socket.connect(str(rundir / f"{bridge}.mgmt"))
        self._data = b""
        self._socket.sendall(_HELLO)

    def __enter__(self) -> Management:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return what ``select`` needs."""
        return self._socket.fileno()

    def count_flows(self, cookie: int = 0, mask: int = 0) -> int:
        """Return how many flows carry ``cookie`` in the bits of ``mask`` (7.3.5.3)."""
        request = _AGGREGATE.pack(_ALL_TABLES, _ANY, _ANY, cookie, mask, 1, 4)
        self._request(messages.AGGREGATE, request)
        for reply in self._messages():
            if reply[1] == messages.MULTIPART_REPLY:
                return int(_COUNT.unpack_from(reply, 16)[0])
        raise RuntimeError("the switch has hung up")

    def monitor(self) -> None:
        """Have the switch tell of every flow that is added, from when this returns (7.3.5.15)."""
        request = _MONITOR.pack(1, _ANY, _ANY, _ADDED, _ALL_TABLES, 0, 1, 4)
        self._request(_FLOW_MONITOR, request)
        for reply in self._messages():
            if reply[1] == messages.MULTIPART_REPLY:
                return
            if reply[1] == messages.ERROR:
                raise RuntimeError(f"the switch does not monitor flows: {reply.hex()}")

    def add_flow(self, mac: bytes) -> None:
        """Add a flow that drops what is for a MAC, by a bundle as the controller sends one."""
        match = _MATCH.pack(1, _MATCH.size, 0x8000, 3 << 1, 6, mac) + bytes(2)
        flow = _FLOW_MOD.pack(_COOKIE, 0, _TABLE, 0, 0, 0, 0, *[_ANY] * 3, 0, 0) + match
        parts = [
            (messages.BUNDLE_CONTROL, _BUNDLE.pack(1, messages.OPEN_REQUEST, 3)),
            (
                messages.BUNDLE_ADD,
                _BUNDLE.pack(1, 0, 3) + messages.message(messages.FLOW_MOD, 1, flow),
            ),
            (messages.BUNDLE_CONTROL, _BUNDLE.pack(1, messages.COMMIT_REQUEST, 3)),
        ]
        self._socket.sendall(b"".join(messages.message(kind, 1, body) for kind, body in parts))

    def updates(self) -> list[bytes]:
        """Return the messages that have come in full; none where there was but an echo request."""
        self._receive()
        return list(self._whole())

    def _request(self, kind: int, body: bytes) -> None:
        packed = _MULTIPART.pack(kind, 0) + body
        self._socket.sendall(messages.message(messages.MULTIPART_REQUEST, 1, packed))

    def _messages(self) -> Iterator[bytes]:
        """Yield what comes."""
        while True:
            yield from self._whole()
            self._receive()

    def _receive(self) -> None:
        part = self._socket.recv(65536)
        if not part:
            raise RuntimeError("the switch has hung up")
        self._data += part

    def _whole(self) -> Iterator[bytes]:
        """Yield what has come in full; echo requests are answered."""
        while len(self._data) >= 8 and len(self._data) >= int.from_bytes(self._data[2:4], "big"):
            end = int.from_bytes(self._data[2:4], "big")
            found, self._data = self._data[:end], self._data[end:]
            if found[1] == messages.ECHO_REQUEST:
                reply = messages.message(messages.ECHO_REPLY, int.from_bytes(found[4:8], "big"))
                self._socket.sendall(reply)
            else:
                yield found
