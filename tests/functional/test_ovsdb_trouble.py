"""Servers that die, stall, talk rubbish or have no such bridge: each costs its own switch only."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Callable

import eventlet
import pytest

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import Connection, EnsureTunnelPort, Fleet, InterfaceRow, health
from tests.functional.ovs import DEADLINE, OVS, wait_until
from tests.functional.ovsdb_recorder import Recorder
from tests.functional.ports import free_port

DPID = 0x11
TUNNEL = EnsureTunnelPort("l2t0a000002", "gre", "10.0.0.1", "10.0.0.2", 0x22)


class _Connections:
    """Opens connections and closes them at the end."""

    def __init__(self) -> None:
        self.open: list[Connection[int]] = []

    def __call__(self, address: str, listener: Recorder[int] | None = None) -> Connection[int]:
        connection = Connection(DPID, address, listener or Recorder(), max_backoff=1.0)
        self.open.append(connection)
        return connection


@pytest.fixture
def connect() -> Iterator[_Connections]:
    connections = _Connections()
    yield connections
    for connection in connections.open:
        connection.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a server that is silent named soon."""
    monkeypatch.setattr(health, "SILENT_AFTER", 0.2)
    monkeypatch.setattr("ryu_l2iso.ovsdb.connection.CHECK_INTERVAL_MS", 100)


@pytest.fixture
def seen() -> Recorder[int]:
    return Recorder()


def _delete_port_while_down(ovs: OVS, name: str) -> None:
    """Change the database file itself, as another program would while we are away."""
    deletion = {
        "op": "mutate",
        "table": "Bridge",
        "where": [],
        "mutations": [["ports", "delete", ["set", [["uuid", _uuid_of(ovs, name)]]]]],
    }
    transaction = json.dumps(["Open_vSwitch", deletion])
    command = ["ovsdb-tool", "transact", str(ovs.rundir / "conf.db"), transaction]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=20, check=True)
    assert b"error" not in done.stdout


def _uuid_of(ovs: OVS, port: str) -> str:
    query = {
        "op": "select",
        "table": "Port",
        "where": [["name", "==", port]],
        "columns": ["_uuid"],
    }
    command = ["ovsdb-tool", "query", str(ovs.rundir / "conf.db")]
    command.append(json.dumps(["Open_vSwitch", query]))
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=20, check=True)
    uuid: str = json.loads(done.stdout)[0]["rows"][0]["_uuid"][1]
    return uuid


def test_after_a_restart_of_the_server_the_difference_is_told(
    ovs: OVS, connect: _Connections, seen: Recorder[int]
) -> None:
    ovs.add_bridge("br0", DPID)
    ovs.add_port("br0", "vm1")
    ovs.add_port("br0", "vm2")
    connection = connect(ovs.db_address, seen)
    seen.wait_synced()
    seen.clear()
    ovs.kill_ovsdb()
    _delete_port_while_down(ovs, "vm1")
    with pytest.raises(OVSDBError, match="did not answer in time"):
        connection.transact([TUNNEL], timeout=0.2)
    assert set(seen.interfaces) == {"br0", "vm1", "vm2"}, "knowledge is kept meanwhile"
    ovs.start_ovsdb()
    seen.wait_synced(2)
    assert seen.changes() == [{"vm1": None}]
    connection.transact([TUNNEL])
    seen.wait_interface(TUNNEL.name)


def test_a_transaction_asked_for_while_the_server_is_away_is_done_when_it_is_back(
    ovs: OVS, connect: _Connections, seen: Recorder[int]
) -> None:
    ovs.add_bridge("br0", DPID)
    connection = connect(ovs.db_address, seen)
    seen.wait_synced()
    ovs.kill_ovsdb()
    waiting = eventlet.spawn(connection.transact, [TUNNEL], timeout=20.0, wait_for_vswitchd=True)
    ovs.start_ovsdb()
    waiting.wait()
    assert ovs.vsctl("list-ports", "br0") == TUNNEL.name


def test_a_bridge_whose_datapath_id_is_not_written_yet_is_not_gone(
    ovs: OVS, connect: _Connections, seen: Recorder[int]
) -> None:
    ovs.add_bridge("br0", DPID)
    ovs.add_port("br0", "vm1")
    connect(ovs.db_address, seen)
    seen.wait_synced()
    ovs.kill_vswitchd()
    ovs.restart_ovsdb()
    seen.wait_synced(2)
    assert seen.bridges[-1] is not None and seen.bridges[-1].dpid is None
    assert set(seen.interfaces) == {"br0", "vm1"}
    ovs.start_vswitchd()
    wait_until(lambda: seen.bridges[-1] and seen.bridges[-1].dpid == DPID, "the datapath_id")
    assert None not in seen.bridges


def test_a_server_that_starts_later_is_read_then_and_its_absence_is_logged_once(
    ovs: OVS,
    connect: _Connections,
    seen: Recorder[int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    soon: None,
) -> None:
    troubles: list[str] = []
    log_once = health.Health.log_once

    def counted(self: health.Health, trouble: str, traceback: bool = False) -> None:
        troubles.append(trouble)
        log_once(self, trouble, traceback)

    monkeypatch.setattr(health.Health, "log_once", counted)
    caplog.set_level(logging.INFO)
    ovs.add_bridge("br0", DPID)
    ovs.kill_ovsdb()
    connect(ovs.db_address, seen)
    wait_until(lambda: len(troubles) > 3, "four looks at a server that is not there")
    assert caplog.text.count("does not answer") == 1
    ovs.start_ovsdb()
    seen.wait_synced()
    assert "is read again" in caplog.text


def test_no_such_bridge_is_logged_once_and_heals(
    ovs: OVS, connect: _Connections, seen: Recorder[int], caplog: pytest.LogCaptureFixture
) -> None:
    ovs.add_bridge("other", 0x22)
    connection = connect(ovs.db_address, seen)
    with pytest.raises(OVSDBError, match="no such bridge"):
        connection.transact([TUNNEL])
    ovs.add_bridge("other2", 0x33)
    assert caplog.text.count("no such bridge") == 1
    assert seen.calls == []
    ovs.add_bridge("br0", DPID)
    seen.wait_synced()


@pytest.fixture
def fake_server() -> Iterator[Callable[[bytes], list[float]]]:
    """Return a function that starts a server on ``tcp:127.0.0.1``.

    It answers every connection with the same bytes and then stalls; the list returned has the
    port first and then the time of each connection.
    """
    servers: list[socket.socket] = []
    kept: list[socket.socket] = []

    def serve(listener: socket.socket, answer: bytes, calls: list[float]) -> None:
        while True:
            peer, _ = listener.accept()
            calls.append(time.monotonic())
            kept.append(peer)
            peer.sendall(answer)

    threads = []

    def start(answer: bytes) -> list[float]:
        listener = socket.create_server(("127.0.0.1", 0))
        servers.append(listener)
        calls: list[float] = [listener.getsockname()[1]]
        threads.append(eventlet.spawn(serve, listener, answer, calls))
        return calls

    yield start
    for thread in threads:
        thread.kill()
    for opened in [*servers, *kept]:
        opened.close()


def test_a_server_that_stalls_costs_its_own_switch_only(
    ovs: OVS,
    connect: _Connections,
    fake_server: Callable[[bytes], list[float]],
    caplog: pytest.LogCaptureFixture,
    soon: None,
) -> None:
    ovs.add_bridge("br0", DPID)
    calls = fake_server(b"")
    stalled = connect(f"tcp:127.0.0.1:{calls[0]}")
    wait_until(lambda: len(calls) > 1, "the connection")
    other = eventlet.spawn(stalled.transact, [TUNNEL], timeout=2.0)
    began = time.monotonic()
    connect(ovs.db_address).transact([TUNNEL])
    assert not other.dead, "the other switch has waited for the one that stalls"
    with pytest.raises(OVSDBError, match="did not answer in time"), eventlet.Timeout(DEADLINE):
        other.wait()
    assert time.monotonic() - began >= 2.0
    wait_until(lambda: "does not give its database" in caplog.text, "a line in the log")


RUBBISH = [
    b"GET / HTTP/1.0\r\n\r\n",
    b"\xff\xfe\x00",
    b'{"id":null,"method":"update3","params":[null,null,{"Port":{"x":1}}]}',
    b'{"id":null,"method":"update2","params":[null,7]}',
    b"[" * 10000,
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_a_server_that_talks_rubbish_is_called_again_with_back_off(
    ovs: OVS,
    connect: _Connections,
    seen: Recorder[int],
    fake_server: Callable[[bytes], list[float]],
    rubbish: bytes,
) -> None:
    calls = fake_server(rubbish)
    connection = connect(f"tcp:127.0.0.1:{calls[0]}", seen)
    busy = time.process_time()
    wait_until(lambda: len(calls) > 2, "the second connection")
    assert calls[2] - calls[1] > 0.9
    assert time.process_time() - busy < 0.5, "it must not spin"
    ovs.add_bridge("br0", DPID)
    connection.move(ovs.db_address)
    seen.wait_synced()


def test_answers_to_what_was_not_asked_are_not_taken(
    ovs: OVS,
    connect: _Connections,
    seen: Recorder[int],
    fake_server: Callable[[bytes], list[float]],
    caplog: pytest.LogCaptureFixture,
    soon: None,
) -> None:
    calls = fake_server(b'{"id":1,"result":[],"error":null}' * 100)
    connected = connect(f"tcp:127.0.0.1:{calls[0]}", seen)
    wait_until(lambda: "does not give its database" in caplog.text, "a line in the log")
    ovs.add_bridge("br0", DPID)
    connected.move(ovs.db_address)
    seen.wait_synced()


def test_a_listener_that_raises_is_logged_and_the_connection_lives_on(
    ovs: OVS, connect: _Connections, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Recorder[int]):
        def interfaces_changed(self, key: int, changed: Mapping[str, InterfaceRow | None]) -> None:
            super().interfaces_changed(key, changed)
            raise KeyError("a bug of the owner")

    ovs.add_bridge("br0", DPID)
    seen = Bad()
    connect(ovs.db_address, seen)
    seen.wait_synced()
    assert "the listener of its OVSDB failed" in caplog.text
    assert "a bug of the owner" in caplog.text
    ovs.add_port("br0", "vm1")
    seen.wait_interface("vm1")


def test_transact_in_a_listener_is_refused_as_it_would_wait_for_itself(
    ovs: OVS, connect: _Connections, caplog: pytest.LogCaptureFixture
) -> None:
    class Eager(Recorder[int]):
        def synced(self, key: int) -> None:
            super().synced(key)
            connection.transact([TUNNEL])

    ovs.add_bridge("br0", DPID)
    seen = Eager()
    connection = connect(ovs.db_address, seen)
    seen.wait_synced()
    wait_until(lambda: "would wait for itself" in caplog.text, "the refusal")


def test_a_closed_connection_tells_nothing_and_gives_its_sockets_back(
    ovs: OVS, connect: _Connections, seen: Recorder[int]
) -> None:
    ovs.add_bridge("br0", DPID)
    before = len(os.listdir("/proc/self/fd"))
    connection = connect(ovs.db_address, seen)
    seen.wait_synced()
    ovs.kill_ovsdb()
    waiting = eventlet.spawn(connection.transact, [TUNNEL], timeout=20.0)
    eventlet.sleep(0)
    connection.close()
    with pytest.raises(OVSDBError, match="closed"):
        waiting.wait()
    with pytest.raises(OVSDBError, match="closed"):
        connection.transact([TUNNEL])
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, "the sockets to be closed")


def test_a_fleet_moves_a_switch_and_keeps_what_is_known(seen: Recorder[int]) -> None:
    fleet = Fleet(seen)
    with OVS() as one, OVS() as two:
        for ovs, port in ((one, "vm1"), (two, "vm2")):
            ovs.add_bridge("br0", DPID)
            ovs.add_port("br0", port)
        fleet.set_address(DPID, one.db_address)
        seen.wait_synced()
        seen.clear()
        fleet.set_address(DPID, one.db_address)
        fleet.set_address(DPID, two.db_address)
        seen.wait_synced(2)
        assert set(seen.changes()[0]) == {"vm1", "vm2"}
        assert set(seen.interfaces) == {"br0", "vm2"}
        fleet.get(DPID).transact([TUNNEL])
        fleet.remove(DPID)
        fleet.remove(DPID)
        with pytest.raises(OVSDBError, match="no OVSDB address"):
            fleet.get(DPID)
    fleet.close()


def test_ipv6_over_tcp(ovs: OVS, connect: _Connections, seen: Recorder[int]) -> None:
    ovs.add_bridge("br0", DPID)
    port = free_port("::1")
    ovs.vsctl("set-manager", f"ptcp:{port}:[::1]")
    connection = connect(f"tcp:[::1]:{port}", seen)
    seen.wait_synced()
    connection.transact([TUNNEL])


def test_two_hundred_connections_are_cheap(ovs: OVS) -> None:
    ovs.add_bridge("br0", DPID)
    for i in range(5):
        ovs.add_port("br0", f"vm{i}")
    seen: list[Recorder[str]] = [Recorder() for _ in range(200)]
    began, busy = time.monotonic(), time.process_time()
    connections = [Connection("br0", ovs.db_address, recorder) for recorder in seen]
    try:
        wait_until(lambda: all(recorder.syncs for recorder in seen), "all to be in sync")
        synced, busy = time.monotonic() - began, time.process_time() - busy
        print(f"200 connections in sync in {synced:.1f} s, {busy:.1f} s of them busy")
        idle = time.process_time()
        time.sleep(1.0)
        assert time.process_time() - idle < 0.2, "idle connections must not take time"
    finally:
        for connection in connections:
            connection.close()
