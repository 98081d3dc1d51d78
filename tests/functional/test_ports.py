"""That what listens on a port of its own keeps it over a restart, whatever runs beside it."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.functional.ports import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_is_kept_for_servers(host: str) -> None:
    port = free_port("::1" if ":" in host else "")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(2):
        with socket.create_server((host, port), family=family) as server:
            socket.create_connection(server.getsockname()[:2], 5).close()
    with socket.socket(family) as other, pytest.raises(OSError, match="in use"):
        other.bind((host, port))
    with contextlib.closing(socket.socket(family)) as client, pytest.raises(ConnectionRefusedError):
        client.connect((host, port))


def test_no_port_is_given_twice() -> None:
    assert len({free_port() for _ in range(50)}) == 50
