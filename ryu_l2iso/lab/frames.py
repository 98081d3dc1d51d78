"""Ethernet frames as bytes: what the lab sends to prove isolation, and what it recognises."""

from __future__ import annotations

import enum
import ipaddress
import struct
from typing import NamedTuple

from ryu_l2iso.lab.shell import LabError

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
ETH_RARP = 0x8035
ETH_IPV6 = 0x86DD
ETH_VLAN = 0x8100
ETH_PROBE = 0x88B5
"""Local Experimental Ethertype 1 (IEEE Std 802)."""

IP_GRE = 47
IP_ICMPV6 = 58
GRE_KEY_PRESENT = 0x2000
GRE_CHECKSUM_PRESENT = 0x8000
"""Flags of a GRE header (RFC 2784, RFC 2890)."""

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
IPV4_MULTICAST_MAC = "01:00:5e:00:00:01"
IPV6_MULTICAST_MAC = "33:33:00:00:00:01"
UNKNOWN_MAC = "02:00:00:ff:ff:ff"
"""A MAC that no VM has."""

_MAGIC = b"l2iso"
_TOKEN = struct.Struct("!5sBIHH")


class Kind(enum.IntEnum):
    """How a frame was addressed."""

    PING4 = 1
    PING6 = 2
    UNICAST = 3
    BROADCAST = 4
    IPV4_MULTICAST = 5
    IPV6_MULTICAST = 6
    UNKNOWN_UNICAST = 7
    SPOOFED = 8


class Token(NamedTuple):
    """What a frame carries to be told from all others, whatever addresses it has.

    ``source`` and ``destination`` are places in the list of VMs; ``destination`` is ANYBODY
    for a frame to all.  ``round`` tells one run from the next: 32 bits.
    """

    round: int
    kind: Kind
    source: int
    destination: int

    def pack(self) -> bytes:
        """Return the token's 14 bytes."""
        return _TOKEN.pack(_MAGIC, self.kind, self.round, self.source, self.destination)


ANYBODY = 0xFFFF


class Seen(NamedTuple):
    """A token that was recognised in a frame; ``reply`` if that is an answer to a ping."""

    token: Token
    reply: bool


class GREPacket(NamedTuple):
    """A GRE packet: outer addresses, its key or ``None`` without one, the inner frame."""

    source: str
    destination: str
    key: int | None
    inner: bytes


def mac_bytes(mac: str) -> bytes:
    """Return the six bytes of ``xx:xx:xx:xx:xx:xx``."""
    return bytes.fromhex(mac.replace(":", ""))


def probe_frame(destination: str, source: str, token: Token) -> bytes:
    """Return an Ethernet frame with a token in it; both addresses are MACs."""
    addresses = mac_bytes(destination) + mac_bytes(source)
    return (addresses + struct.pack("!H", ETH_PROBE) + token.pack()).ljust(60, b"\0")


def reverse_arp(mac: str) -> bytes:
    """Return the reverse ARP request (RFC 903) by which QEMU announces a guest that resumes."""
    own = mac_bytes(mac)
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, 3) + (own + bytes(4)) * 2
    return (b"\xff" * 6 + own + struct.pack("!H", ETH_RARP) + body).ljust(60, b"\0")


def arp_request(mac: str, ipv4: str, target: str) -> bytes:
    """Return an ARP request (RFC 826); a guest that asks for its own address announces itself."""
    own = mac_bytes(mac)
    address, asked = (ipaddress.IPv4Address(text).packed for text in (ipv4, target))
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, 1) + own + address + bytes(6) + asked
    return (b"\xff" * 6 + own + struct.pack("!H", ETH_ARP) + body).ljust(60, b"\0")


def neighbour_advertisement(mac: str, ipv6: str) -> bytes:
    """Return the unsolicited advertisement (RFC 4861, 7.2.6) of a guest's own IPv6 address."""
    own, address = mac_bytes(mac), ipaddress.IPv6Address(ipv6).packed
    all_nodes = ipaddress.IPv6Address("ff02::1").packed
    body = struct.pack("!I", 0x20000000) + address + b"\x02\x01" + own
    length = 4 + len(body)
    pseudo = address + all_nodes + struct.pack("!II", length, IP_ICMPV6)
    checksum = _internet_checksum(pseudo + struct.pack("!BBH", 136, 0, 0) + body)
    packet = struct.pack("!IHBB", 6 << 28, length, IP_ICMPV6, 255) + address + all_nodes
    packet += struct.pack("!BBH", 136, 0, checksum) + body
    return mac_bytes(IPV6_MULTICAST_MAC) + own + struct.pack("!H", ETH_IPV6) + packet


def _internet_checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request4(token: Token) -> bytes:
    """Return an ICMP echo request (RFC 792) that carries the token."""
    head = struct.pack("!BBHHH", 8, 0, 0, token.source, token.destination)
    checksum = _internet_checksum(head + token.pack())
    return head[:2] + struct.pack("!H", checksum) + head[4:] + token.pack()


def echo_request6(token: Token) -> bytes:
    """Return an ICMPv6 echo request (RFC 4443); the kernel fills in its checksum."""
    return struct.pack("!BBHHH", 128, 0, 0, token.source, token.destination) + token.pack()


def find_token(data: bytes) -> Token | None:
    """Return the token in a frame or packet, wherever it stands, or ``None``."""
    start = data.find(_MAGIC)
    if start < 0 or len(data) < start + _TOKEN.size:
        return None
    _, kind, number, source, destination = _TOKEN.unpack_from(data, start)
    return Token(number, Kind(kind), source, destination)


def recognise(frame: bytes) -> Seen | None:
    """Return the token in an Ethernet frame and whether the frame is an answer, or ``None``."""
    token = find_token(frame)
    if token is None:
        return None
    (eth_type,) = struct.unpack_from("!H", frame, 12)
    answered = eth_type == ETH_IPV4 and frame[14 + 20] == 0
    answered = answered or (eth_type == ETH_IPV6 and frame[14 + 40] == 129)
    return Seen(token, answered)


def parse_gre(frame: bytes) -> GREPacket | None:
    """Return the GRE packet in an Ethernet frame over IPv4, or ``None`` when it is none.

    Raises LabError for a GRE header with anything in it but a key.
    """
    if len(frame) < 14 + 20 + 4 or frame[12:14] != struct.pack("!H", ETH_IPV4):
        return None
    if frame[14 + 9] != IP_GRE:
        return None
    start = 14 + (frame[14] & 0x0F) * 4
    (flags,) = struct.unpack_from("!H", frame, start)
    if flags & ~GRE_KEY_PRESENT:
        raise LabError(f"GRE header with flags {flags:#06x}")
    source, destination = (str(ipaddress.IPv4Address(frame[i : i + 4])) for i in (26, 30))
    if not flags & GRE_KEY_PRESENT:
        return GREPacket(source, destination, None, frame[start + 4 :])
    (key,) = struct.unpack_from("!I", frame, start + 4)
    return GREPacket(source, destination, key, frame[start + 8 :])
