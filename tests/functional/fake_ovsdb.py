"""An OVSDB server made by hand, which says what a test likes."""

from __future__ import annotations

import json
import socket
import time
import uuid
from typing import Any, Callable

import eventlet

from ryu_l2iso.framework import hub

DPID = 0xB1
NOWHERE = str(uuid.uuid4())


def uuid_of(name: str) -> str:
    """Return always the same uuid for a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def ports(*names: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return rows of a bridge and its ports: table → uuid → row."""
    references = ["set", [["uuid", uuid_of(f"port {name}")] for name in names]]
    bridge = {"name": "br0", "datapath_id": f"{DPID:016x}", "ports": references}
    tables: dict[str, dict[str, dict[str, Any]]] = {
        "Open_vSwitch": {uuid_of("root"): {"bridges": ["uuid", uuid_of("bridge")]}},
        "Bridge": {uuid_of("bridge"): bridge},
        "Port": {},
        "Interface": {},
    }
    for number, name in enumerate(names, 1):
        interface = ["uuid", uuid_of(f"interface {name}")]
        tables["Port"][uuid_of(f"port {name}")] = {"name": name, "interfaces": interface}
        tables["Interface"][uuid_of(f"interface {name}")] = {"name": name, "ofport": number}
    return tables


def changed(how: str, tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return rows as an update has them; ``how`` is ``initial``, ``insert``, ``modify``, …"""
    return {t: {u: {how: row} for u, row in rows.items()} for t, rows in tables.items()}


def encode(**message: Any) -> bytes:
    """Return a JSON-RPC message."""
    return json.dumps(message).encode()


class Client:
    """One connection of a client; it has been given the whole database."""

    def __init__(self, sock: socket.socket, tables: dict[str, dict[str, Any]]) -> None:
        self.sock = sock
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._tables = tables
        self.monitor: Any = None

    def request(self) -> dict[str, Any] | None:
        """Return the next message of the client; None when it has closed."""
        while True:
            try:
                message, end = self._decoder.raw_decode(self._text)
            except ValueError:
                try:
                    data = self.sock.recv(65536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._text += data.decode()
                continue
            self._text = self._text[end:]
            assert isinstance(message, dict)
            return message

    def serve_database(self) -> None:
        """Answer until the client has the database."""
        while True:
            asked = self.request()
            assert asked is not None
            result: Any = {}
            if asked["method"] == "monitor_cond_since":
                self.monitor = asked["params"][1]
                result = [False, NOWHERE, changed("initial", self._tables)]
            self.sock.sendall(encode(id=asked["id"], result=result, error=None))
            if asked["method"] == "monitor_cond_since":
                return

    def update(self, changes: Any) -> bytes:
        """Return an update for this client."""
        return encode(method="update3", params=[self.monitor, NOWHERE, changes], id=None)

    def expect_close(self, seconds: float) -> None:
        """Answer probes until the client closes the connection; raises eventlet.Timeout."""
        with eventlet.Timeout(seconds):
            for asked in iter(self.request, None):
                if asked.get("method") == "echo":
                    self.sock.sendall(encode(id=asked["id"], result=[], error=None))


class FakeOVSDB:
    """A server on 127.0.0.1; use it as a context manager.  ``serve`` gets each client in turn."""

    def __init__(self, serve: Callable[[Client], None], *names: str) -> None:
        self._serve = serve
        self._tables = ports(*names)
        self._listener = eventlet.listen(("127.0.0.1", 0))
        self.address = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [hub.spawn(self._run)]

    def _run(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            self._threads.append(hub.spawn(self._serve_one, sock))

    def _serve_one(self, sock: socket.socket) -> None:
        client = Client(sock, self._tables)
        try:
            client.serve_database()
            self._serve(client)
        finally:
            sock.close()

    def __enter__(self) -> FakeOVSDB:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            hub.kill(thread)
        self._listener.close()


class HubWatch:
    """How long the hub left others waiting; use it as a context manager.

    What counts is how much CPU we used meanwhile: a busy machine may stop us for a second.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    def _watch(self) -> None:
        while True:
            begun, used = time.monotonic(), time.process_time()
            hub.sleep(0.01)
            took = min(time.monotonic() - begun, time.process_time() - used)
            self.longest = max(self.longest, took)

    def restart(self) -> None:
        """Count from now on."""
        hub.sleep(0.02)
        self.longest = 0.0

    def __enter__(self) -> HubWatch:
        self._thread = hub.spawn(self._watch)
        hub.sleep(0)
        return self

    def __exit__(self, *_: object) -> None:
        hub.sleep(0.02)
        hub.kill(self._thread)
