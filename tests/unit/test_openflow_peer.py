"""A connection as the framework's datapath sees it, without one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ryu_l2iso.framework import hub
from ryu_l2iso.openflow.peer import Peer
from ryu_l2iso.openflow.ports import PortStatus
from ryu_l2iso.pipelines.table import COOKIE_MAGIC
from ryu_l2iso.state.ports import OFPort
from tests.functional.fake_switch import (
    BARRIER_REPLY,
    ERROR,
    HELLO,
    PORT_DESC,
    features,
    message,
    multipart,
    packet_in,
    port,
    port_status,
)

HANDSHAKE = message(HELLO) + features(7) + multipart(PORT_DESC, port(1))


class Sock:
    """A socket that always has something to receive, and takes all that is sent."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)
        self.sent = b""

    def recv(self, _size: int) -> bytes:
        return next(self._chunks, b"")

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, _seconds: float) -> None:
        """Take it."""

    def close(self) -> None:
        """Take it."""


def connected(*chunks: bytes) -> Peer:
    return Peer(Sock(*chunks), ("192.0.2.1", 1), lambda peer, dpid: None)


def received(peer: Peer) -> list[bytes]:
    return list(iter(lambda: peer.recv(8), b""))


def test_who_sends_without_end_lets_others_run() -> None:
    turns = [0]

    def other() -> None:
        while True:
            turns[0] += 1
            hub.sleep(0)

    thread = hub.spawn(other)
    received(connected(HANDSHAKE, *[message(4, bytes(8)) * 1000] * 20))
    hub.kill(thread)
    assert turns[0] > 100


@pytest.mark.parametrize("size", [1, 7, 8, 1000])
def test_the_framework_gets_whole_messages_and_none_that_we_read(size: int) -> None:
    ours = packet_in(1, cookie=COOKIE_MAGIC)
    data = HANDSHAKE + message(BARRIER_REPLY) + packet_in(1) + ours + message(ERROR, bytes(12))
    peer = connected(*(data[at : at + size] for at in range(0, len(data), size)))
    replies: list[bytes] = []
    packet_ins: list[bytes] = []
    peer.replies, peer.packet_ins = replies.append, packet_ins.append
    found = received(peer)
    assert b"".join(found) == HANDSHAKE + packet_in(1)
    assert len(found) == 4
    assert replies == [message(BARRIER_REPLY), message(ERROR, bytes(12))]
    assert packet_ins == [ours]
    assert peer.identified
    assert not peer.fault


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """Return two sockets that are connected to each other."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_connection_that_is_closed_stops_receiving_at_once(pair: tuple[Any, Any]) -> None:
    peer = Peer(pair[0], ("192.0.2.1", 1), lambda peer, dpid: None)
    got: list[bytes] = []
    ended = hub.Event()

    def receive() -> None:
        got.extend(received(peer))
        ended.set()

    hub.spawn(receive)
    hub.sleep(0)
    peer.close_for("enough")
    assert ended.wait(1)
    assert got == []
    assert peer.fault == "enough"


def taken(peer: Peer, pass_on: bool) -> tuple[list[OFPort], list[PortStatus], list[bytes]]:
    """Do the handshake, take the ports, and receive the rest; return what was told."""
    changes: list[PortStatus] = []
    while not peer.identified:
        peer.recv(8)
    early = [peer.recv(8)]
    ports = peer.take_ports(changes.append, pass_on)
    return ports, changes, early + received(peer)


@pytest.mark.parametrize("pass_on", [False, True])
def test_what_becomes_of_ports_is_told_from_when_they_are_taken(pass_on: bool) -> None:
    early, local, late = (
        port_status(port(2)),
        port_status(port(0xFFFFFFFE)),
        port_status(port(1), 1),
    )
    peer = connected(HANDSHAKE + early + local + late + message(4))
    ports, changes, for_framework = taken(peer, pass_on)
    assert [p.port_no for p in ports] == [1, 2], "as they are when they are taken"
    assert [(s.port.port_no, s.gone) for s in changes] == [(1, True)], "LOCAL is no port"
    assert for_framework == [early, *([local, late] if pass_on else [])]


def test_a_port_that_has_gone_before_they_are_taken_is_not_among_them() -> None:
    peer = connected(HANDSHAKE + port_status(port(1), 1) + message(4))
    assert taken(peer, False)[0] == []
