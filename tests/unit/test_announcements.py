"""What a guest announces itself by is recognised, and nothing else is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_l2iso.state.announcements import is_announcement

MAC = "fa:16:3e:00:00:01"
OWN = bytes.fromhex(MAC.replace(":", ""))
OTHER = bytes.fromhex("fa163e000002")
ADDRESS, NEIGHBOUR, NONE = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), bytes(4)
REQUEST, REPLY, REVERSE_REQUEST = 1, 2, 3


def frame(eth_type: int, payload: bytes, source: bytes = OWN) -> bytes:
    return b"\xff" * 6 + source + struct.pack("!H", eth_type) + payload


def arp(operation: int, sender_ip: bytes, target_ip: bytes, sender: bytes = OWN) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + sender + sender_ip + bytes(6) + target_ip


def icmpv6(kind: int, next_header: int = 58) -> bytes:
    return struct.pack("!IHBB32x", 6 << 28, 24, next_header, 255) + bytes([kind]) + bytes(23)


ANNOUNCEMENTS = {
    "what QEMU sends": frame(0x8035, arp(REVERSE_REQUEST, NONE, NONE)),
    "gratuitous request": frame(0x0806, arp(REQUEST, ADDRESS, ADDRESS)),
    "gratuitous reply": frame(0x0806, arp(REPLY, ADDRESS, ADDRESS)),
    "padded": frame(0x0806, arp(REQUEST, ADDRESS, ADDRESS).ljust(46, b"\0")),
    "neighbour advertisement": frame(0x86DD, icmpv6(136)),
}
OTHERS = {
    "nothing": b"",
    "reverse ARP of another": frame(0x8035, arp(REVERSE_REQUEST, NONE, NONE), OTHER),
    "advertisement of another": frame(0x86DD, icmpv6(136), OTHER),
    "for another's MAC": frame(0x0806, arp(REQUEST, ADDRESS, ADDRESS, OTHER)),
    "question for a neighbour": frame(0x0806, arp(REQUEST, ADDRESS, NEIGHBOUR)),
    "probe for a free address": frame(0x0806, arp(REQUEST, NONE, ADDRESS)),
    "no address at all": frame(0x0806, arp(REQUEST, NONE, NONE)),
    "cut off": frame(0x0806, arp(REQUEST, ADDRESS, ADDRESS)[:-1]),
    "neighbour solicitation": frame(0x86DD, icmpv6(135)),
    "UDP": frame(0x86DD, icmpv6(136, next_header=17)),
    "IPv4": frame(0x0800, bytes(40)),
}


@pytest.mark.parametrize("name", ANNOUNCEMENTS)
def test_an_announcement_is_one(name: str) -> None:
    assert is_announcement(ANNOUNCEMENTS[name], MAC)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none_is_none(name: str) -> None:
    assert not is_announcement(OTHERS[name], MAC)


@given(st.binary(max_size=80), st.sampled_from([0x0806, 0x86DD, 0x0800]), st.booleans())
def test_any_bytes_are_taken(payload: bytes, eth_type: int, own: bool) -> None:
    assert not is_announcement(payload, MAC)
    is_announcement(frame(eth_type, payload, OWN if own else OTHER), MAC)
