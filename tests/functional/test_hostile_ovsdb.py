"""OVSDB servers that send what they must not: dropped, and nobody else waits."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.framework import hub
from ryu_l2iso.ovsdb import Connection, EnsureTunnelPort, replica
from ryu_l2iso.ovsdb.messages import MAX_MESSAGE
from ryu_l2iso.ovsdb.transactions import Request
from tests.functional.fake_ovsdb import (
    DPID,
    Client,
    FakeOVSDB,
    HubWatch,
    changed,
    encode,
    uuid_of,
)
from tests.functional.ovs import wait_until
from tests.functional.ovsdb_recorder import Recorder

ON_TIME = 1.0


def interface(**values: Any) -> dict[str, Any]:
    return {"Interface": {uuid_of("interface vm1"): {"modify": values}}}


BROKEN: dict[str, Callable[[Client], bytes]] = {
    "no JSON": lambda client: b"GET / HTTP/1.0\r\n\r\n",
    "no object": lambda client: b"[1, 2]",
    "no JSON-RPC": lambda client: b'{"a": 1}',
    "JSON that breaks off": lambda client: b'{"a": ]}',
    "deep nesting": lambda client: b'{"a":' + b"[" * 5000,
    "a number of 100,000 digits": lambda client: b'{"id": ' + b"9" * 100000 + b"}",
    "a number of 21 digits": lambda client: encode(method="x", params=[10**20], id=None),
    "a number with a long exponent": lambda client: b'{"id": 1e' + b"9" * 100000 + b"}",
    "infinity": lambda client: b'{"id": Infinity}',
    "half a surrogate pair": lambda client: b'{"id": null, "method": "\\ud800", "params": []}',
    "a string without end": lambda client: b'{"' + b"x" * (MAX_MESSAGE + 1),
    "strings without end": lambda client: b'{"a":[' + b'"\\"{",' * (MAX_MESSAGE // 5),
    "an object without end": lambda client: b'{"a":[' + b"{}," * (MAX_MESSAGE // 3 + 1),
    "no text": lambda client: b'{"\xff\xfe": 1}',
    "an unknown table": lambda client: client.update({"Nothing": {}}),
    "rows that are no object": lambda client: client.update({"Port": []}),
    "a bad uuid": lambda client: client.update({"Port": {"x": {"delete": None}}}),
    "what is as long as a uuid": lambda client: client.update(
        {"Port": {"x" * 36: {"delete": None}}}
    ),
    "a row that is no object": lambda client: client.update({"Port": {uuid_of("port vm1"): 1}}),
    "parameters that are none": lambda client: client.update(7),
    "an unknown change": lambda client: client.update(changed("x", {"Port": {uuid_of("a"): {}}})),
}


@pytest.fixture
def connections() -> Iterator[list[Connection[int]]]:
    """Return a list: the connections in it are closed in the end."""
    made: list[Connection[int]] = []
    yield made
    for connection in made:
        connection.close()


def send(client: Client, data: bytes) -> None:
    """Send as much as the client takes."""
    with contextlib.suppress(OSError):
        client.sock.sendall(data)


@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_the_protocol_ends_the_connection(
    what: str, connections: list[Connection[int]], caplog: pytest.LogCaptureFixture
) -> None:
    read, dropped = hub.Event(), hub.Event()
    calls: list[float] = []

    def serve(client: Client) -> None:
        calls.append(time.monotonic())
        read.wait()
        hub.spawn(send, client, BROKEN[what](client))
        client.expect_close(20)
        dropped.set()

    with FakeOVSDB(serve, "vm1") as server, HubWatch() as watch:
        seen: Recorder[int] = Recorder()
        connections.append(Connection(DPID, server.address, seen))
        seen.wait_synced()
        read.set()
        assert dropped.wait(20), "the connection stays"
    assert watch.longest < ON_TIME
    assert len(calls) == 1, "called again without a pause"
    assert "vm1" in seen.interfaces, "what is known is kept"
    found = [record.message for record in caplog.records if server.address in record.message]
    assert len(found) == 1 and len(found[0]) < 500, found


ODD: dict[str, Callable[[Client], bytes]] = {
    "references to nothing": lambda client: client.update(
        {"Bridge": {uuid_of("bridge"): {"modify": {"ports": ["uuid", uuid_of("none")]}}}}
    ),
    "a row that is there already": lambda client: client.update(
        changed("insert", {"Interface": {uuid_of("interface vm1"): {"name": "vm1"}}})
    ),
    "a row that was never there": lambda client: client.update(
        {"Interface": {uuid_of("none"): {"delete": None}}}
    ),
    "a huge value": lambda client: client.update(
        interface(external_ids=["map", [["iface-id", "x" * 1_000_000]]])
    ),
    "a value of another type": lambda client: client.update(interface(ofport="five")),
    "a notification of something else": lambda client: encode(method="x", params=[1], id=None),
    "another's update": lambda client: encode(method="update3", params=[[], 1, {}], id=None),
    "a reply to nothing": lambda client: encode(id="nothing", result=[], error=None),
    "an error for nothing": lambda client: encode(id=7, result=None, error="x"),
    "space": lambda client: b" \n" * 100_000,
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_odd_does_no_harm(what: str, connections: list[Connection[int]]) -> None:
    """Whether the connection stays or not: what comes after it is read."""

    def serve(client: Client) -> None:
        if not told:
            told.append(what)
            client.sock.sendall(ODD[what](client))
        row = {"name": "vm1", "ofport": 9}
        everything = changed("modify", {"Interface": {uuid_of("interface vm1"): row}})
        client.sock.sendall(client.update(everything))
        client.expect_close(20)

    told: list[str] = []
    with FakeOVSDB(serve, "vm1", "vm2") as server, HubWatch() as watch:
        seen: Recorder[int] = Recorder()
        connections.append(Connection(DPID, server.address, seen))
        wait_until(lambda: seen.interfaces["vm1"].ofport == 9 if "vm1" in seen.interfaces
                   else what == "references to nothing" and told, "what comes later")  # fmt: skip
    assert watch.longest < ON_TIME


def memory() -> float:
    """Return how many MB this process has."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_updates_without_end_hold_up_nobody(connections: list[Connection[int]]) -> None:
    def flood(client: Client) -> None:
        for number in itertools.count():
            client.sock.sendall(client.update(interface(ofport=number % 60000)) * 100)

    def well(client: Client) -> None:
        for number in range(100, 110):
            client.sock.sendall(client.update(interface(ofport=number)))
            hub.sleep(0.1)
        client.expect_close(20)

    with FakeOVSDB(flood, "vm1") as bad, FakeOVSDB(well, "vm1") as good, HubWatch() as watch:
        seen: Recorder[int] = Recorder()
        connections += [Connection(DPID, bad.address, Recorder()) for _ in range(3)]
        before = memory()
        connections.append(Connection(DPID, good.address, seen))
        seen.wait_interface("vm1", ofport=109)
        assert memory() - before < 20
    assert watch.longest < ON_TIME


@pytest.mark.parametrize("size", [1, 10_000])
def test_rows_without_end_are_too_many_or_too_large(
    size: int, connections: list[Connection[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_ROWS", 1000 if size == 1 else 100_000)
    monkeypatch.setattr(replica, "MAX_SIZE", 5_000_000)
    dropped = hub.Event()

    def serve(client: Client) -> None:
        def flood() -> None:
            for number in range(2000):
                rows = {uuid_of(f"row {number}"): {"target": "x" * size}}
                send(client, client.update(changed("insert", {"Controller": rows})))

        hub.spawn(flood)
        client.expect_close(20)
        dropped.set()

    with FakeOVSDB(serve, "vm1") as server, HubWatch() as watch:
        connections.append(Connection(DPID, server.address, Recorder()))
        assert dropped.wait(20)
    assert watch.longest < ON_TIME


def test_a_whole_database_at_once_holds_up_nobody(connections: list[Connection[int]]) -> None:
    names = [f"tap{number:05}" for number in range(3000)]
    with FakeOVSDB(lambda client: client.expect_close(60), *names) as server:
        seen: Recorder[int] = Recorder()
        with HubWatch() as watch:
            connections.append(Connection(DPID, server.address, seen))
            wait_until(lambda: len(seen.interfaces) == len(names), "the ports")
    assert watch.longest < ON_TIME


def test_who_asks_for_echoes_and_reads_none_is_dropped(connections: list[Connection[int]]) -> None:
    def serve(client: Client) -> None:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        echo = json.dumps({"method": "echo", "params": ["x" * 100_000], "id": 1}).encode()
        try:
            while True:
                client.sock.sendall(echo)
        except OSError:
            dropped.set()

    dropped = hub.Event()
    with FakeOVSDB(serve, "vm1") as server, HubWatch() as watch:
        connections.append(Connection(DPID, server.address, Recorder()))
        before = memory()
        assert dropped.wait(20)
        assert memory() - before < 60
    assert watch.longest < ON_TIME


def test_a_transaction_whose_answer_is_lost_with_the_connection_is_sent_again(
    connections: list[Connection[int]],
) -> None:
    asked: list[Any] = []

    def serve(client: Client) -> None:
        for message in iter(client.request, None):
            if message.get("method") != "transact":
                continue
            asked.append(message["params"])
            if len(asked) == 1:
                return
            results: list[Any] = [{} for _ in message["params"][1:]]
            client.sock.sendall(encode(id=message["id"], result=results, error=None))

    with FakeOVSDB(serve, "vm1") as server:
        connections.append(Connection(DPID, server.address, Recorder(), max_backoff=1.0))
        tunnel = EnsureTunnelPort("gre1", "gre", "192.0.2.1", "192.0.2.2", 2)
        connections[0].transact([tunnel], timeout=20)
    assert len(asked) == 2 and asked[0] == asked[1]


def test_who_answers_no_transaction_has_none_kept(connections: list[Connection[int]]) -> None:
    with FakeOVSDB(lambda client: client.expect_close(60), "vm1") as server:
        seen: Recorder[int] = Recorder()
        connections.append(Connection(DPID, server.address, seen))
        seen.wait_interface("vm1")
        for number in range(10):
            with pytest.raises(OVSDBError, match="did not answer in time"):
                tunnel = EnsureTunnelPort(f"gre{number}", "gre", "192.0.2.1", "192.0.2.2", 2)
                connections[0].transact([tunnel], timeout=0.05)
    gc.collect()
    kept = [found for found in gc.get_objects() if isinstance(found, Request)]
    assert len(kept) <= 1
