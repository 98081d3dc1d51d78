"""Listening sockets."""

from __future__ import annotations

import socket

import pytest

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.listener import listen


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("::1", socket.AF_INET6, "::1"),
        ("localhost", None, None),
        ("", None, None),
    ],
)
def test_listens(host: str, family: int | None, address: str | None) -> None:
    with listen(host, 0, "test") as listener:
        assert family in {None, listener.family}
        assert address in {None, listener.getsockname()[0]}


def test_a_port_in_use_is_named() -> None:
    with listen("::1", 0, "test server") as first:
        port = first.getsockname()[1]
        with pytest.raises(L2IsoError, match=rf"test server .* \[::1\]:{port}: .* in use"):
            listen("::1", port, "test server")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(L2IsoError, match=f"port {port}"):
        listen("127.0.0.1", port, "test")


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(L2IsoError, match=r"no-such-host\.invalid:1"):
        listen("no-such-host.invalid", 1, "test")
