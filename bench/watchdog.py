"""A switch that asks whether the controller is there: ``python -m bench.watchdog PORT``.

It sends an echo request every 10 ms and prints, when its standard input ends, the longest time in
seconds that one was unanswered.  A process of its own, so that nothing else delays it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter, deque
from types import TracebackType
from typing import Any

from bench.fleet import ROOT
from bench.simulator import messages
from bench.simulator.openflow import Connection
from bench.simulator.tables import Tables

DPID = 0xFFFF000000000001
INTERVAL = 0.01


class Watchdog(asyncio.Protocol):
    """The switch's end of the connection; ``longest`` is in seconds."""

    def __init__(self) -> None:
        local = messages.Port(messages.LOCAL, "watchdog")
        ports = {local.port_no: local}
        self._connection = Connection(DPID, ports, Tables(), Counter(), lambda: None)
        self._received: Counter[int] = self._connection.counts
        self._sent: deque[float] = deque()
        self._transport: Any = None
        self._greeted = False
        self._longest = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = transport
        self._transport.write(self._connection.hello())

    def data_received(self, data: bytes) -> None:
        """Note which requests are answered; the switch answers everything in order."""
        self._greeted = True
        before = self._received[messages.ECHO_REPLY]
        reply = self._connection.receive(data)
        if reply:
            self._transport.write(reply)
        for _ in range(self._received[messages.ECHO_REPLY] - before):
            self._longest = max(self._longest, time.monotonic() - self._sent.popleft())

    def connection_lost(self, exc: Exception | None) -> None:
        """Make it seen that the controller has hung up."""
        self._longest = float("inf")

    def ask(self) -> None:
        """Send an echo request, unless the controller has hung up."""
        if self._transport.is_closing():
            return
        self._sent.append(time.monotonic())
        self._transport.write(messages.message(messages.ECHO_REQUEST, len(self._sent)))

    def longest(self) -> float:
        """Return the longest time that a request was, or now is, unanswered."""
        waiting = time.monotonic() - self._sent[0] if self._sent else 0.0
        return max(self._longest, waiting)


async def _watch(port: int) -> None:
    loop = asyncio.get_running_loop()
    _, watchdog = await loop.create_connection(Watchdog, "127.0.0.1", port)
    end = loop.run_in_executor(None, sys.stdin.read)
    while not end.done():
        watchdog.ask()
        await asyncio.sleep(INTERVAL)
    print(watchdog.longest(), flush=True)


class Watching:
    """The watchdog beside a measurement; ``longest`` is known after the ``with`` block."""

    def __init__(self, port: int) -> None:
        """Take the controller's OpenFlow port."""
        self.longest = 0.0
        self._process = subprocess.Popen(
            (sys.executable, "-m", "bench.watchdog", str(port)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Watching:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        text, _ = self._process.communicate(timeout=60)
        if error is None:
            self.longest = float(text)


if __name__ == "__main__":
    asyncio.run(_watch(int(sys.argv[1])))
