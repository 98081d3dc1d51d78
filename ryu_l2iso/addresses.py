"""What the host that a server listens on means."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


def resolved(host: str, port: int) -> tuple[int, Any]:
    """Return address family and socket address of ``host`` ("" for all); raises OSError."""
    # By position: eventlet 0.30 has other names for the arguments than the standard library.
    family, _, _, _, address = socket.getaddrinfo(
        host or None, port, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
    )[0]
    return family, address


def is_loopback(host: str) -> bool:
    """Tell whether what listens on ``host`` is reached from this machine alone."""
    try:
        address = resolved(host, 0)[1]
    except OSError:
        return False
    return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
