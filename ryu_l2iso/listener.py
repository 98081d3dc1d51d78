"""Listening sockets that say clearly why they cannot be had."""

from __future__ import annotations

import socket

import eventlet

from ryu_l2iso.exceptions import L2IsoError


def listen(host: str, port: int, purpose: str) -> socket.socket:
    """Return a socket of eventlet that listens on ``host`` (name, IPv4, IPv6, "" for all).

    ``purpose`` names the server in the error.  Raises L2IsoError when the host is unknown, or the
    port is in use or not ours to open.
    """
    if not 0 <= port <= 65535:
        raise L2IsoError(f"{purpose}: port {port} is not 0 to 65535")
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        # By position: eventlet 0.30 has other names for the arguments than the standard library.
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
        )[0]
        listener: socket.socket = eventlet.listen(address, family=family, reuse_port=False)
    except OSError as error:
        raise L2IsoError(f"{purpose} cannot listen on {where}: {error.strerror}") from error
    return listener
