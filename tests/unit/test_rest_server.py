"""REST over sockets: limits, stalling clients, connections that are kept, the end."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import eventlet
import greenlet
import pytest

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.framework import CONF
from ryu_l2iso.rest import Rest, clients
from ryu_l2iso.rest.server import Server
from tests.functional.ovs import wait_until
from tests.unit.rest_client import Client
from tests.unit.rest_served import SECONDS, Served, put, receive_all

MEGABYTE = 1 << 20


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a server; it is stopped in the end."""
    running = Served()
    yield running
    running.server.stop()


def test_ten_megabytes_are_refused_and_not_kept(served: Served) -> None:
    """The client that sends all before it reads gets its 413, and memory stays small."""
    piece = b" " * 65536
    tracemalloc.start()
    try:
        with served.connect() as connection:
            connection.sendall(put(b"Content-Length: %d\r\n" % (10 * MEGABYTE)))
            for _ in range(160):
                connection.sendall(piece)
            answer = receive_all(connection)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b'"message": "body: must be at most 65536 bytes"}}')
    assert peak < MEGABYTE
    assert served.client.state.switches.ids() == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"10000\r\n" + b" " * 65536 + b"\r\n", b"413"),
        (b"f" * 65536, b"400"),
        (b"1;" + b"x" * 65000 + b"\r\n1\r\n", b"400"),
        (b"0\r\n" + b"x: y\r\n" * 10000, b"400"),
        (b"-1\r\nx\r\n" * 8192, b"400"),
        (b"zz\r\n" * 16384, b"400"),
    ],
    ids=["data", "one long size", "extensions", "trailers", "negative", "no size"],
)
def test_ten_megabytes_in_chunks(served: Served, frame: bytes, code: bytes) -> None:
    """What stands between chunks is limited as well, whatever it is."""
    received = b""
    tracemalloc.start()
    try:
        with served.connect() as connection:
            try:
                connection.sendall(put(b"Transfer-Encoding: chunked\r\n"))
                for _ in range(10 * MEGABYTE // len(frame) + 1):
                    connection.sendall(frame)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The server closes when it has seen enough.
            try:
                received = receive_all(connection)
            except ConnectionResetError:
                assert code == b"400"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not received or received.startswith(b"HTTP/1.1 " + code)
    assert peak < 2 * MEGABYTE
    assert served.client.state.switches.ids() == []
    served.check_answers()


def test_chunked_bodies(served: Served) -> None:
    """Chunks and extensions are taken, and the connection stays good."""
    request = put(b"Transfer-Encoding: chunked\r\n", b"2;x=y\r\n[1\r\n1\r\n]\r\n0\r\n\r\n")
    assert served.send(request + request).count(b"HTTP/1.1 201 ") == 2
    assert served.client.state.switches.value(0xA1, "x") == [1]


def test_trailers(served: Served) -> None:
    """A body may be followed by trailers."""
    request = put(b"Transfer-Encoding: chunked\r\n", b"1\r\n1\r\n0\r\nx: y\r\n\r\n")
    assert served.send(request).startswith(b"HTTP/1.1 201 ")


def test_one_byte_chunks(served: Served) -> None:
    """The longest body in the shortest chunks is taken."""
    chunks = b"1\r\n1\r\n" + b"1\r\n \r\n" * 65535 + b"0\r\n\r\n"
    answer = served.send(put(b"Transfer-Encoding: chunked\r\n", chunks))
    assert answer.startswith(b"HTTP/1.1 201 ")


def test_a_length_that_announces_too_much(served: Served) -> None:
    """The refusal does not wait for the body."""
    with served.connect() as connection:
        connection.sendall(put(b"Content-Length: 10000000\r\n"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first(served: Served) -> None:
    """Expect: 100-continue with a body that is too long gets the refusal at once."""
    with served.connect() as connection:
        connection.sendall(put(b"Content-Length: 10000000\r\nExpect: 100-continue\r\n"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    with served.connect() as connection:
        connection.sendall(put(b"Content-Length: 1\r\nExpect: 100-continue\r\n"))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"1")
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        put(b"Content-Length: 100\r\n", b"1"),
        put(b"Content-Length: -1\r\n", b"1"),
        put(b"Content-Length: x\r\n", b"1"),
        put(b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", b"1\r\n1\r\n0\r\n\r\n"),
        put(b"Transfer-Encoding: gzip\r\n", b"1"),
        put(b"Transfer-Encoding: chunked\r\n", b"5\r\n1"),
        put(b"X: " + b"x" * 10000 + b"\r\n", b"1"),
        b"GARBAGE\r\n\r\n",
        b"GET /v1.0/networks HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\r\n\r\n",
    ],
    ids=lambda data: repr(data[-30:]),
)
def test_requests_that_are_none(served: Served, request_bytes: bytes) -> None:
    """They are refused, change nothing, and harm nobody."""
    answer = served.send(request_bytes)
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 505")
    assert b"Traceback" not in answer
    assert served.client.state.switches.ids() == []
    served.check_answers()


def test_garbage_after_a_request(served: Served) -> None:
    """The request before it is served, the garbage is refused in JSON, the connection ends."""
    request = put(b"Content-Length: 1\r\n", b"1")
    answer = served.send(request + b"GARBAGE\r\n\r\n" + request)
    assert answer.count(b"HTTP/1.1 201 ") == 1
    assert b'{"error": {"code": 400, "title": "Bad Request", "message": "' in answer
    served.check_answers()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, uncollected: None) -> list[weakref.ref[clients.Client]]:
    """Return all clients that come, while nobody looks for cycles."""
    found: list[weakref.ref[clients.Client]] = []

    def client(*args: Any) -> clients.Client:
        new = clients.Client(*args)
        found.append(weakref.ref(new))
        return new

    monkeypatch.setattr("ryu_l2iso.rest.server.Client", client)
    return found


@pytest.mark.parametrize(
    "data",
    [b"", b"GARBAGE\r\n\r\n", put(b"Content-Length: 1\r\n", b"1"), put(b"Content-Length: 9\r\n")],
    ids=["nothing", "garbage", "request", "part of a request"],
)
def test_who_has_gone_is_freed_at_once(
    served: Served, seen: list[weakref.ref[clients.Client]], data: bytes
) -> None:
    """Not when cycles are looked for: many would have to go before that."""
    for _ in range(3):
        served.send(data)
    # The server's thread remembers who came last.
    wait_until(lambda: not any(ref() for ref in seen[:-1]), "the clients to be freed", SECONDS)
    assert len(seen) == 3


def test_who_made_room_is_freed_at_once(
    served: Served, seen: list[weakref.ref[clients.Client]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same when clients are cut, whatever they were doing."""
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 1)
    with contextlib.ExitStack() as stack:
        for data in (b"", b"GET /", put(b"Content-Length: 9\r\n"), b""):
            stack.enter_context(served.connect()).sendall(data)
            served.check_answers()
        wait_until(lambda: not any(ref() for ref in seen[:-1]), "the clients to be freed", SECONDS)


def test_a_url_that_is_too_long(served: Served) -> None:
    """It is refused before it is read to the end."""
    answer = served.send(b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 414 ")


def test_stalling_clients_hold_up_nobody(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are served meanwhile; who stalls is told so and disconnected."""
    monkeypatch.setattr("ryu_l2iso.rest.body.BODY_SECONDS", 0.2)
    monkeypatch.setattr("ryu_l2iso.rest.body.LINGER_SECONDS", 0.2)
    started = time.monotonic()
    with served.connect() as stalling, served.connect() as silent:
        stalling.sendall(put(b"Content-Length: 100\r\n", b"1"))
        silent.sendall(b"GET /v1.0")
        served.check_answers()
        assert receive_all(stalling).startswith(b"HTTP/1.1 408 ")
        served.check_answers()
    assert time.monotonic() - started < SECONDS
    assert served.client.state.switches.ids() == []


def test_connections_are_kept(served: Served) -> None:
    """Many requests, refused ones among them, go over one connection; HEAD has no body."""
    connection = served.http()
    for method, path, code in (
        ("GET", "/v1.0/networks", 200),
        ("HEAD", "/v1.0/networks", 200),
        ("POST", "/v1.0/networks/n", 200),
        ("POST", "/v1.0/networks/n", 409),
        ("HEAD", "/nothing", 404),
        ("DELETE", "/v1.0/networks", 405),
        ("GET", "/v1.0/networks/n", 200),
    ):
        connection.request(method, path, body=b"ignored" if method == "POST" else None)
        response = connection.getresponse()
        body = response.read()
        assert response.status == code
        assert not (method == "HEAD" and body)
        assert (code == 405) == ("Allow" in response.headers)
        if connection.sock is None:
            pytest.fail(f"the connection was closed after {method} {path}")
    connection.close()


def test_percent_encoded_ids(served: Served) -> None:
    """%2F is not a slash, and other characters come back."""
    connection = served.http()
    results: list[tuple[int, bytes]] = []
    for path in ("a%2Fb", "%C3%A9%20x", "%ff", "a%2"):
        connection.request("POST", f"/v1.0/networks/{path}")
        response = connection.getresponse()
        results.append((response.status, response.read()))
    connection.close()
    assert [code for code, _ in results] == [400, 200, 400, 400]
    assert b"network_id: must not hold a slash" in results[0][1]
    assert "é x" in served.client.state.networks


def test_raw_bytes_in_a_path(served: Served) -> None:
    """Bytes that were not percent-encoded are taken for what they are, in UTF-8."""
    answer = served.send("POST /v1.0/networks/é HTTP/1.0\r\n\r\n".encode())
    assert b" 200 OK" in answer
    assert "é" in served.client.state.networks


def test_stopping_ends_every_connection(served: Served) -> None:
    """Whatever clients are doing, the server ends at once and its port is free."""
    with served.connect() as stalling, served.connect() as idle:
        stalling.sendall(put(b"Content-Length: 100\r\n", b"1"))
        served.check_answers()
        started = time.monotonic()
        served.server.stop()
        with eventlet.Timeout(SECONDS), contextlib.suppress(greenlet.GreenletExit):
            served.thread.wait()
        assert receive_all(idle) == receive_all(stalling) == b""
        assert time.monotonic() - started < 1
    again = Server(served.client.application)
    again.start(*served.address)
    again.stop()
    with pytest.raises(ConnectionRefusedError):
        served.connect()


def test_a_port_in_use(served: Served) -> None:
    """The error says which."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(L2IsoError, match=f"REST server cannot listen on 127.0.0.1:{port}"):
            Server(served.client.application).start("127.0.0.1", port)


@pytest.fixture
def _any_port() -> Iterator[None]:
    CONF.set_override("wsapi_host", "127.0.0.1")
    CONF.set_override("wsapi_port", 0)
    yield
    CONF.clear_override("wsapi_host")
    CONF.clear_override("wsapi_port")


@pytest.mark.usefixtures("_any_port")
def test_the_app_serves_the_shared_state() -> None:
    """Started and stopped as the app manager does it."""
    client = Client()
    app: Any = Rest(l2iso=client.core)
    thread = app.start()
    app.set_main_thread(thread)
    try:
        host, port = app._server.address[:2]
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
        connection.request("POST", "/v1.0/networks/n")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        with eventlet.Timeout(SECONDS):
            app.stop()
    assert "n" in client.state.networks
    assert client.core.commits == 1
