"""Where switches are told to find this controller."""

from __future__ import annotations

import re
import socket
from typing import Any

import netaddr

from ryu_l2iso import tls
from ryu_l2iso.exceptions import OVSDBError

_ADDRESS = re.compile(r"(?:tcp|ssl):\[?(?P<host>[^\]]+?)\]?:(?P<port>[0-9]+)")


def local_address_towards(ovsdb_addr: str) -> str:
    """Return our own address from which an OVSDB server is reached, IPv6 in brackets.

    Nothing is sent: connecting a UDP socket only looks the route up.  Raises OVSDBError when
    there is no route.
    """
    found = _ADDRESS.fullmatch(ovsdb_addr)
    if found is None:
        return "127.0.0.1"
    family = socket.AF_INET6 if ":" in found["host"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((found["host"], int(found["port"])))
        except OSError as error:
            raise OVSDBError(f"no route to {ovsdb_addr}: {error.strerror}") from error
        address: str = probe.getsockname()[0]
    return f"[{address}]" if family == socket.AF_INET6 else address


def controller_targets(conf: Any, ovsdb_addr: str) -> tuple[str, ...]:
    """Return the OpenFlow targets for a switch: as configured, else derived from its address."""
    if conf.l2iso.controller_address:
        return tuple(conf.l2iso.controller_address)
    method, port = _served(conf, ovsdb_addr)
    return (f"{method}:{_listen_address(conf.ofp_listen_host, ovsdb_addr)}:{port}",)


def _served(conf: Any, ovsdb_addr: str) -> tuple[str, int]:
    """Return how OpenFlow is served to a switch, ``ssl`` or ``tcp``, and where.

    While plain OpenFlow is served beside that by TLS, a switch whose OVSDB is not reached by TLS
    has no certificate yet.
    """
    plain = "openflow" in conf.l2iso.plaintext and not ovsdb_addr.startswith("ssl:")
    if plain or tls.controller_files(conf) is None:
        return "tcp", tls.listen_port(conf.ofp_tcp_listen_port)
    return "ssl", tls.listen_port(conf.ofp_ssl_listen_port)


def _listen_address(host: str, ovsdb_addr: str) -> str:
    """Return the address that OpenFlow listens on, or the one towards the switch if on all."""
    if not netaddr.valid_ipv4(host, netaddr.INET_PTON) and not netaddr.valid_ipv6(host):
        return local_address_towards(ovsdb_addr)
    address = netaddr.IPAddress(host)
    if int(address) == 0:
        return local_address_towards(ovsdb_addr)
    return f"[{address}]" if address.version == 6 else str(address)
