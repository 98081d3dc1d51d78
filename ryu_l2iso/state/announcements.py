"""What a guest sends to say where it is now.

QEMU sends a reverse ARP for every network card as it resumes a guest (qemu, ``net/announce.c``);
the guest itself may send a gratuitous ARP and an unsolicited neighbour advertisement
(virtio-v1.2, 5.1.6.5.4).  No other ARP counts: a probe for a free address, for one, comes from a
guest that is starting, and a migrated one is not.
"""

from __future__ import annotations

_ARP, _RARP, _IPV6 = 0x0806, 0x8035, 0x86DD
_ICMPV6 = 58
NEIGHBOUR_ADVERTISEMENT = 136
"""ICMPv6 type (RFC 4861, 4.4).  A waiting port hears no solicitation, so none is solicited."""


def is_announcement(frame: bytes, mac: str) -> bool:
    """Tell whether the guest with a MAC says by this Ethernet frame where it is.

    Any bytes are taken; those of no valid frame announce nothing.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    if frame[6:12] != own:
        return False
    eth_type, payload = int.from_bytes(frame[12:14], "big"), frame[14:]
    if eth_type == _RARP:
        return True
    if eth_type == _ARP:
        return _is_gratuitous(payload, own)
    return eth_type == _IPV6 and _is_advertisement(payload)


def _is_gratuitous(arp: bytes, own: bytes) -> bool:
    """Tell whether an ARP packet (RFC 826) gives the sender's own IPv4 address to all.

    Its sender and target address are one (RFC 5944, 4.6; an announcement of RFC 5227 is alike).
    """
    sender_mac, sender_ip, target_ip = arp[8:14], arp[14:18], arp[24:28]
    return len(target_ip) == 4 and sender_mac == own and sender_ip == target_ip != bytes(4)


def _is_advertisement(packet: bytes) -> bool:
    """Tell whether an IPv6 packet without extension headers is a neighbour advertisement."""
    return packet[6:7] == bytes([_ICMPV6]) and packet[40:41] == bytes([NEIGHBOUR_ADVERTISEMENT])
