"""Listening sockets that say clearly why they cannot be had."""

from __future__ import annotations

import socket

import eventlet

from ryu_l2iso.addresses import resolved
from ryu_l2iso.exceptions import L2IsoError

BACKLOG = 1024
"""Connections that may wait to be accepted; one more than that comes a second late."""


def listen(host: str, port: int, purpose: str) -> socket.socket:
    """Return a socket of eventlet that listens on ``host`` (name, IPv4, IPv6, "" for all).

    ``purpose`` names the server in the error.  Raises L2IsoError when the host is unknown, or the
    port is in use or not ours to open.
    """
    if not 0 <= port <= 65535:
        raise L2IsoError(f"{purpose}: port {port} is not 0 to 65535")
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, address = resolved(host, port)
        listener: socket.socket = eventlet.listen(
            address, family=family, backlog=BACKLOG, reuse_port=False
        )
    except OSError as error:
        raise L2IsoError(f"{purpose} cannot listen on {where}: {error.strerror}") from error
    return listener
