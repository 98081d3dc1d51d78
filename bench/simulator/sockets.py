"""The sockets of the simulated switches: each listens for OVSDB and connects by OpenFlow."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from bench.simulator.openflow import Connection
from bench.simulator.rpc import Session
from bench.simulator.switch import Switch

PAUSE = 1.0
"""Seconds until a lost controller is called again, as `max_backoff` of its row says."""

_DECODER = json.JSONDecoder()


class OVSDBClient(asyncio.Protocol):
    """A client of a switch's database."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._session: Session | None = None
        self._text = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start a session."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._session = self._switch.session(transport.write)

    def data_received(self, data: bytes) -> None:
        """Handle every message that is whole."""
        assert self._session is not None
        self._text += data.decode()
        while self._text:
            try:
                message, end = _DECODER.raw_decode(self._text)
            except ValueError:
                return
            self._text = self._text[end:].lstrip()
            self._session.handle(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session."""
        if self._session in self._switch.sessions:
            self._switch.sessions.remove(self._session)


class OpenFlowClient(asyncio.Protocol):
    """A switch's connection to its controller."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._connection: Connection = switch.connection()
        self.transport: Any = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self.transport = transport
        self.transport.write(self._connection.hello())
        self._switch.send = self.transport.write

    def data_received(self, data: bytes) -> None:
        """Answer."""
        reply = self._connection.receive(data)
        if reply:
            self.transport.write(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the controller is gone."""
        if self._switch.send == self.transport.write:
            self._switch.send = None
        self.lost.set()


class Sockets:
    """Connects the switches with the outside."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._callers: dict[tuple[int, str], asyncio.Task[None]] = {}

    def path(self, switch: Switch) -> Path:
        """Return the socket that a switch's OVSDB server listens on."""
        return self._directory / f"{switch.dpid:x}.sock"

    async def open(self, switch: Switch) -> None:
        """Listen for OVSDB clients; call the controllers that they set."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_server(
            lambda: OVSDBClient(switch), str(self.path(switch)), backlog=8
        )
        switch.targets_changed = lambda targets: self._call(switch, targets)

    def _call(self, switch: Switch, targets: set[str]) -> None:
        """Call just these controllers, each ``tcp:IP:PORT``."""
        for dpid, target in list(self._callers):
            if dpid == switch.dpid and target not in targets:
                self._callers.pop((dpid, target)).cancel()
        for target in targets:
            key = (switch.dpid, target)
            if key not in self._callers:
                self._callers[key] = asyncio.ensure_future(_keep_connected(switch, target))


async def _keep_connected(switch: Switch, target: str) -> None:
    host, _, port = target.partition(":")[2].rpartition(":")
    loop = asyncio.get_running_loop()
    while True:
        client = OpenFlowClient(switch)
        with contextlib.suppress(OSError):
            await loop.create_connection(lambda: client, host.strip("[]"), int(port))  # noqa: B023
            try:
                await client.lost.wait()
            finally:
                client.transport.abort()
        await asyncio.sleep(PAUSE)
