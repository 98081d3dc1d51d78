"""JSON-RPC from an OVSDB server, within limits.

``ovs.jsonrpc`` reads for as long as there is something to read, and keeps what it reads for as
long as a message does not end: a server that never stops would stop everything else.  Its parser
takes each character by itself; this one finds the end of a message and leaves the rest to the
standard library.
"""

from __future__ import annotations

import errno
import json
import re
import time
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import ovs.jsonrpc
import ovs.poller

from ryu_l2iso.exceptions import OVSDBError

MAX_MESSAGE = 0x400000
"""Bytes of a message: the database of a node with 5,000 ports, as much as we read of it."""

MAX_BACKLOG = 0x400000
"""Bytes that may wait for a server that does not read."""

MAX_DEPTH = 32
MAX_DIGITS = 20
"""Of a number: 64 bits have 20 (RFC 7047, 3.1)."""

MESSAGE_SECONDS = 30.0
"""How long one message may take from its first byte to its last."""

_CHUNK = 0x10000
_TURN = 0x20000
"""Bytes read at a time, and before other threads have their turn."""

# What is escaped ends no string; as many bytes take its place.
_ESCAPED = re.compile(rb"\\.", re.DOTALL)

_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
# Where one object may end and another begin, if it is not in a string.
_BETWEEN = re.compile(rb"(?<=\})(?=[ \t\r\n]*\{)")
_BRACKET = re.compile(rb"[{}\[\]]")
_SPACE = b" \t\r\n"


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _constant(text: str) -> Any:
    raise ValueError(f"{text}, which JSON does not have")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_constant)


def parse(text: bytes) -> Any:
    """Return the value that JSON text stands for; raises ValueError."""
    value = _DECODER.decode(text.decode("utf-8"))
    if b"\\u" in text:
        # Half a surrogate pair is no character, and could be written nowhere.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


class Messages:
    """Bytes as they come, cut into messages."""

    def __init__(self) -> None:
        self._data = bytearray()
        # Up to where it was looked through, and how deep that ends
        self._seen = 0
        self._depth = 0
        self._in_string = False
        # Where messages end before that, and how much was taken away, both from the first byte on
        self._ends: deque[int] = deque()
        self._taken = 0
        self._since = 0.0

    def add(self, data: bytes, now: float) -> None:
        """Take bytes; ``now`` is in seconds.  Raises ValueError when a message takes too long."""
        if not self._data:
            self._since = now
        elif now - self._since > MESSAGE_SECONDS:
            raise ValueError(f"a message that does not end in {MESSAGE_SECONDS:g} s")
        self._data += data

    def next(self, now: float) -> Any | None:
        """Return the next message, None when it has not come in full; raises ValueError."""
        if not self._ends and self._seen < len(self._data):
            self._look_through()
        end = self._ends.popleft() - self._taken if self._ends else 0
        if end > MAX_MESSAGE or not end and len(self._data) > MAX_MESSAGE:
            raise ValueError(f"a message of more than {MAX_MESSAGE} bytes")
        if not end:
            return None
        text = bytes(self._data[:end])
        del self._data[:end]
        self._taken += end
        self._seen, self._since = self._seen - end, now
        if not text.lstrip(_SPACE).startswith(b"{"):
            raise ValueError("text that is no JSON object")
        return parse(text)

    def _look_through(self) -> None:
        """Find where messages end in what is new; raises ValueError where none can."""
        if not self._depth:
            self._check_begin()
        new = bytes(self._data[self._seen :])
        if b"\\" in new:
            new = _ESCAPED.sub(b"__", new)
            # What the last one escapes has not come.
            new = new[:-1] if new.endswith(b"\\") else new
        for part in _BETWEEN.split(new):
            pieces = part.split(b'"')
            brackets = b"".join(pieces[self._in_string :: 2]).translate(None, _NO_BRACKETS)
            depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=self._depth))
            if max(depths) > MAX_DEPTH:
                raise ValueError(f"a message that is nested deeper than {MAX_DEPTH}")
            in_string = self._in_string ^ (len(pieces) % 2 == 0)
            if 0 in depths[1:]:
                if 0 in depths[1:-1] or in_string or not part.endswith(b"}"):
                    self._find_ends(pieces, depths)
                    return
                self._ends.append(self._taken + self._seen + len(part))
            self._depth, self._in_string = depths[-1], in_string
            self._seen += len(part)

    def _find_ends(self, pieces: Sequence[bytes], depths: Sequence[int]) -> None:
        """Note each place where the depth is 0; what follows, no object, is looked at next time."""
        position, number = self._taken + self._seen, 0
        for index, piece in enumerate(pieces):
            for bracket in _BRACKET.finditer(piece) if index % 2 == self._in_string else ():
                number += 1
                if depths[number] == 0:
                    self._ends.append(position + bracket.end())
            position += len(piece) + 1
        self._seen, self._depth, self._in_string = self._ends[-1] - self._taken, 0, False

    def _check_begin(self) -> None:
        """Take away space before a message; raises ValueError where none begins."""
        space = len(self._data) - len(self._data.lstrip(_SPACE))
        del self._data[:space]
        self._taken += space
        self._seen = 0
        if self._data and self._data[0] != ord("{"):
            raise ValueError("text that is no JSON object")


class BoundedConnection(ovs.jsonrpc.Connection):  # type: ignore[misc]
    """The JSON-RPC connection of a session; raises OVSDBError for what breaks the limits."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._messages = Messages()
        self._left = _TURN
        self._dry = False

    def run(self) -> None:
        """Send what waits; a session calls this once, and then ``recv``."""
        self._left = _TURN
        super().run()

    def send(self, msg: Any) -> int:
        """Send a message; raises OVSDBError for a server that reads nothing."""
        if self.get_backlog() > MAX_BACKLOG:
            raise OVSDBError(f"OVSDB server {self.name} does not read what it is sent")
        error: int = super().send(msg)
        return error

    def recv(self) -> tuple[int, Any]:
        """Return 0 and a message, or an error number and None."""
        try:
            return self._recv()
        except (ValueError, RecursionError) as error:
            raise OVSDBError(f"OVSDB server {self.name} has sent {error}") from error

    def _recv(self) -> tuple[int, Any]:
        while not self.status:
            self._dry = False
            now = time.monotonic()
            found = self._messages.next(now)
            if found is not None:
                message = ovs.jsonrpc.Message.from_json(found)
                if isinstance(message, ovs.jsonrpc.Message):
                    return 0, message
                raise ValueError("a message that is no JSON-RPC")
            if self._left <= 0:
                return errno.EAGAIN, None
            error, data = self.stream.recv(_CHUNK)
            if error == errno.EAGAIN:
                self._dry = True
                return error, None
            if error or not data:
                self.error(error or ovs.jsonrpc.EOF)
            else:
                self._left -= len(data)
                self.received_bytes += len(data)
                self._messages.add(data, now)
        return self.status, None

    @property
    def has_more(self) -> bool:
        """Tell whether there is something to receive at once."""
        return bool(self.status) or not self._dry

    def recv_wait(self, poller: Any) -> None:
        """Have ``poller`` wait until there is something to receive."""
        if not self.has_more:
            self.stream.recv_wait(poller)
        else:
            poller.immediate_wake()
