"""What REST clients may take: time and connections; nobody is held up by another."""

from __future__ import annotations

import contextlib
import errno
import itertools
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest

from ryu_l2iso.rest import clients, server
from tests.unit.rest_served import SECONDS, Served, put, receive_all


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a server; it is stopped in the end."""
    running = Served()
    yield running
    running.server.stop()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Return a server whose clients have little time."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("ryu_l2iso.rest.body.BODY_SECONDS", 0.3)
    monkeypatch.setattr("ryu_l2iso.rest.body.LINGER_SECONDS", 0.3)
    running = Served()
    yield running
    running.server.stop()


def trickle(connection: socket.socket, data: bytes) -> bytes:
    """Send a byte every 20 ms until the server closes; return what it answers."""
    received = b""
    connection.settimeout(0.02)
    deadline = time.monotonic() + SECONDS
    for byte in itertools.cycle(data):
        assert time.monotonic() < deadline, "the server did not close"
        with contextlib.suppress(ConnectionError):
            connection.send(bytes([byte]))
        try:
            piece = connection.recv(65536)
        except socket.timeout:
            continue
        except ConnectionError:
            break
        if not piece:
            break
        received += piece
    return received


@pytest.mark.parametrize(
    ("first", "then", "answer"),
    [
        (b"", b"x", b""),
        (b"GET /v1.0/networks HTTP/1.1\r\n", b"x: y\r\n", b""),
        (put(b"Content-Length: 10000\r\n"), b"1", b"HTTP/1.1 408 "),
        (put(b"Transfer-Encoding: chunked\r\n"), b"1\r\n1\r\n", b"HTTP/1.1 408 "),
        (put(b"Content-Length: 100000\r\n"), b"1", b"HTTP/1.1 413 "),
    ],
    ids=["line", "headers", "body", "chunks", "refused body"],
)
def test_a_byte_now_and_then_is_not_enough(
    hurried: Served, first: bytes, then: bytes, answer: bytes
) -> None:
    """The whole of a request has a deadline, not each piece of it."""
    started = time.monotonic()
    with hurried.connect() as connection:
        connection.sendall(first)
        assert trickle(connection, then).startswith(answer)
        assert 0.2 < time.monotonic() - started < 2
    hurried.check_answers()


def test_an_idle_connection_is_closed(hurried: Served) -> None:
    """Before its first request, and between two."""
    with hurried.connect() as fresh, hurried.connect() as used:
        used.sendall(b"GET /v1.0/networks HTTP/1.1\r\nHost: x\r\n\r\n")
        assert receive_all(used).startswith(b"HTTP/1.1 200 ")
        assert receive_all(fresh) == b""


def test_a_slow_reader_is_cut(hurried: Served) -> None:
    """The whole of an answer has a deadline too."""
    for number in range(20000):
        hurried.client.state.interfaces.add(f"{number:0200}", "x", "y")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(hurried.address)
        connection.sendall(b"GET /v1.0/quantum/ports HTTP/1.1\r\nHost: x\r\n\r\n")
        with eventlet.Timeout(SECONDS):
            while not connections(hurried):
                eventlet.sleep(0.01)
            while connections(hurried):
                connection.recv(1024)
                eventlet.sleep(0.02)
        hurried.check_answers()


def connections(served: Served) -> int:
    """Return how many connections the server has."""
    return len(served.server._clients._clients)


def test_a_newcomer_takes_the_place_of_who_waits_longest(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And only of the address that most connections are from, so that others keep theirs."""
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 20)
    with contextlib.ExitStack() as stack:
        quiet = stack.enter_context(served.connect())
        other = served.http()
        stack.callback(other.close)
        crowd, kept = [], set()
        for number in range(60):
            source = ("127.0.0.2", 0)
            one = socket.create_connection(served.address, SECONDS, source)
            crowd.append(stack.enter_context(one))
            one.sendall(b"GET /" if number % 2 else b"")
            started = time.monotonic()
            other.request("GET", "/v1.0/networks")
            assert other.getresponse().read().startswith(b"[")
            assert time.monotonic() - started < 1
            kept.add(id(other.sock))
            assert len(kept) == 1
            assert connections(served) <= 20
            served.check_answers()
        assert receive_all(crowd[0]) == b""
        quiet.sendall(b"GET /v1.0/networks HTTP/1.0\r\n\r\n")
        assert receive_all(quiet).startswith(b"HTTP/1.1 200 ")
    warnings = [m for m in caplog.messages if "makes room" in m]
    assert len(warnings) == 1
    assert re.match("20 REST clients are connected, 1[6-9] of them from 127.0.0.2: ", warnings[0])


def test_who_is_being_served_makes_no_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer waits for a place where every other client waits for its answer."""
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 1)
    going = eventlet.Event()
    carry_out = served.client.core.carry_out

    def slowly(order: Any) -> Any:
        going.wait()
        return carry_out(order)

    monkeypatch.setattr(served.client.core, "carry_out", slowly)
    with served.connect() as first, served.connect() as second:
        first.sendall(put(b"Content-Length: 1\r\n", b"1"))
        second.sendall(b"GET /v1.0/networks HTTP/1.0\r\n\r\n")
        second.settimeout(0.2)
        with pytest.raises(socket.timeout):
            second.recv(1)
        going.send()
        second.settimeout(SECONDS)
        assert first.recv(65536).startswith(b"HTTP/1.1 201 ")
        # The first is idle now and makes room.
        assert receive_all(second).startswith(b"HTTP/1.1 200 ")


def test_no_descriptor_for_a_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server lives on, says so once, and accepts as soon as it can."""
    left = [3]
    accept = served.server._socket.accept

    def failing() -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept()

    # The accept under way is the last that is not failing.
    monkeypatch.setattr(served.server._socket, "accept", failing)
    served.check_answers()
    served.check_answers()
    assert left == [0]
    assert sum("cannot accept a connection" in message for message in caplog.messages) == 1
