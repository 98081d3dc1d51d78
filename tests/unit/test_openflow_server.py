"""The OpenFlow server, in the test's own process: what a connection leaves behind."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from ryu_l2iso.framework import CONF, hub
from ryu_l2iso.openflow import server as server_module
from ryu_l2iso.openflow.peer import Peer
from ryu_l2iso.openflow.server import Server
from tests.functional.fake_switch import HELLO, PORT_DESC, features, message, multipart, port
from tests.functional.ovs import DEADLINE, wait_until
from tests.functional.ports import free_port

HANDSHAKE = message(HELLO) + features(7) + multipart(PORT_DESC, port(1))
BREAKS = bytes(8)
SILENT = 0.2
"""Seconds: ``openflow_handshake_timeout`` here."""


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[weakref.WeakSet[Peer]]:
    """Run a server; return what there is of its connections."""
    made: weakref.WeakSet[Peer] = weakref.WeakSet()

    def peer(*args: Any) -> Peer:
        new = Peer(*args)
        made.add(new)
        return new

    monkeypatch.setattr(server_module, "Peer", peer)
    CONF.set_override("ofp_listen_host", "127.0.0.1")
    CONF.set_override("ofp_tcp_listen_port", free_port())
    CONF.set_override("openflow_handshake_timeout", SILENT, "l2iso")
    thread = hub.spawn(Server())
    try:
        yield made
    finally:
        hub.kill(thread)
        CONF.clear_override("ofp_listen_host")
        CONF.clear_override("ofp_tcp_listen_port")
        CONF.clear_override("openflow_handshake_timeout", "l2iso")


def say(data: bytes, stay: bool) -> None:
    """Connect, say something, and be gone when the server is; or at once, unless ``stay``."""
    with socket.create_connection(("127.0.0.1", CONF.ofp_tcp_listen_port), DEADLINE) as sock:
        sock.sendall(data)
        if not stay:
            sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass


@pytest.mark.parametrize(
    ("data", "stay"),
    [
        pytest.param(b"", False, id="goes"),
        pytest.param(b"", True, id="silent"),
        pytest.param(BREAKS, True, id="breaks"),
        pytest.param(message(HELLO), False, id="greets-goes"),
        pytest.param(message(HELLO), True, id="greets-silent"),
        pytest.param(message(HELLO) + BREAKS, True, id="greets-breaks"),
        pytest.param(HANDSHAKE, False, id="connects-goes"),
        pytest.param(HANDSHAKE + BREAKS, True, id="connects-breaks"),
    ],
)
def test_what_has_ended_is_freed_at_once(
    connections: weakref.WeakSet[Peer], uncollected: None, data: bytes, stay: bool
) -> None:
    for _ in range(3):
        say(data, stay)
    wait_until(lambda: not connections, "the connections to be freed", 5)
