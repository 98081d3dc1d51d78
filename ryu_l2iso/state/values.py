"""The forms that values have in REST, OVSDB and OpenFlow; each parser refuses all others."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import netaddr

from ryu_l2iso.exceptions import InvalidValue

MAX_PORT_NO = 0xFFFFFF00
"""OFPP_MAX, the highest number that a real port has (OpenFlow 1.4, 7.2.1.1)."""

_LONGEST_ADDRESS = 45
"""Characters of an IPv6 address that ends as an IPv4 one (RFC 4291, 2.2); no other is longer."""

_DPID = re.compile(r"[0-9a-fA-F]{16}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_OVSDB_ADDR = re.compile(r"(?P<scheme>tcp|ssl):(?P<host>\[[^\]]*\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")


class KeyRange(NamedTuple):
    """The keys that an isolation takes, both ends included."""

    name: str
    first: int
    last: int

    def check(self, key: int) -> None:
        """Raise InvalidValue when ``key`` is outside the range."""
        if not self.first <= key <= self.last:
            raise InvalidValue("key", f"{self.name} is {self.first} to {self.last}, not {key}")


def parse_dpid(text: str) -> int:
    """Return the dpid that 16 hex digits stand for; raises InvalidValue."""
    if not _DPID.fullmatch(text):
        raise InvalidValue("dpid", "must be 16 hex digits")
    return int(text, 16)


def dpid_to_str(dpid: int) -> str:
    """Return the 16 lower-case hex digits that a dpid is written as."""
    return f"{dpid:016x}"


def _parse_decimal(field: str, text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        rule = "must be decimal, of at most 20 digits, without sign or leading zero"
        raise InvalidValue(field, rule)
    return int(text)


def parse_port_no(text: str) -> int:
    """Return an OpenFlow port number, 1 to 0xffffff00; raises InvalidValue."""
    port_no = _parse_decimal("port_no", text)
    if not 1 <= port_no <= MAX_PORT_NO:
        raise InvalidValue("port_no", f"must be 1 to {MAX_PORT_NO} (0xffffff00)")
    return port_no


def parse_key(text: str) -> int:
    """Return a key, of any size; its range is the isolation's matter; raises InvalidValue."""
    return _parse_decimal("key", text)


def parse_mac(text: str) -> str:
    """Return the MAC of one station in lower case; raises InvalidValue for any other."""
    if not _MAC.fullmatch(text):
        raise InvalidValue("mac", "must be xx:xx:xx:xx:xx:xx")
    mac = text.lower()
    if int(mac[:2], 16) & 1:
        raise InvalidValue("mac", "must not be multicast or broadcast")
    if mac == "00:00:00:00:00:00":
        raise InvalidValue("mac", "must not be zero")
    return mac


def parse_id(field: str, text: str) -> str:
    """Return an opaque id of at most 255 bytes without a slash; raises InvalidValue."""
    if not text or len(text.encode("utf-8", "surrogatepass")) > 255:
        raise InvalidValue(field, "must be 1 to 255 bytes")
    if "/" in text:
        raise InvalidValue(field, "must not hold a slash")
    return text


def _parse_ip(text: str) -> netaddr.IPAddress | None:
    try:
        return netaddr.IPAddress(text, flags=netaddr.INET_PTON)
    except (netaddr.AddrFormatError, ValueError):
        return None


def parse_tunnel_addr(value: object) -> str:
    """Return the canonical text of a unicast IPv4 or IPv6 address; raises InvalidValue."""
    if not isinstance(value, str) or len(value) > _LONGEST_ADDRESS:
        raise InvalidValue("ovs_tunnel_addr", "must be a string, an IPv4 or IPv6 address")
    return _parse_host(value)


@lru_cache(maxsize=4096)
def _parse_host(text: str) -> str:
    address = _parse_ip(text)
    if address is None:
        raise InvalidValue("ovs_tunnel_addr", "must be a string, an IPv4 or IPv6 address")
    if address.is_multicast() or int(address) == 0 or str(address) == "255.255.255.255":
        raise InvalidValue("ovs_tunnel_addr", "must be the address of one host")
    return str(address)


def parse_ovsdb_addr(value: object) -> str:
    """Return an OVSDB address ``tcp:IP:PORT``, ``ssl:IP:PORT`` or ``unix:PATH``.

    IPv6 stands in brackets (ovsdb(7), "Connection Methods").  Raises InvalidValue.
    """
    rule = "must be a string: tcp:IP:PORT, ssl:IP:PORT (IPv6 in brackets) or unix:PATH"
    if not isinstance(value, str):
        raise InvalidValue("ovsdb_addr", rule)
    if value.startswith("unix:/") and value.isprintable():
        return value
    found = _OVSDB_ADDR.fullmatch(value)
    if not found or not 1 <= int(found["port"]) <= 65535:
        raise InvalidValue("ovsdb_addr", rule)
    host = found["host"]
    address = _parse_ip(host[1:-1] if host.startswith("[") else host)
    if address is None or (address.version == 6) != host.startswith("["):
        raise InvalidValue("ovsdb_addr", rule)
    return value
