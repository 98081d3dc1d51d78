"""The lab's frames: what is sent is recognised, and a GRE header is read as its RFCs say."""

from __future__ import annotations

import struct

import pytest

from ryu_l2iso.lab.frames import (
    BROADCAST_MAC,
    GREPacket,
    Kind,
    Seen,
    Token,
    echo_request4,
    echo_request6,
    find_token,
    parse_gre,
    probe_frame,
    recognise,
)
from ryu_l2iso.lab.shell import LabError

TOKEN = Token(7, Kind.UNICAST, 3, 65535)
ETHERNET = bytes(12)


def ipv4(protocol: int, payload: bytes) -> bytes:
    """Return an Ethernet frame with an IPv4 packet from 192.0.2.1 to 192.0.2.2."""
    addresses = bytes((192, 0, 2, 1, 192, 0, 2, 2))
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return ETHERNET + b"\x08\x00" + header + addresses + payload


def ipv6(payload: bytes) -> bytes:
    """Return an Ethernet frame with an ICMPv6 packet."""
    header = struct.pack("!IHBB", 6 << 28, len(payload), 58, 64) + bytes(32)
    return ETHERNET + b"\x86\xdd" + header + payload


def test_a_probe_frame_is_recognised() -> None:
    frame = probe_frame(BROADCAST_MAC, "fa:16:3e:00:00:01", TOKEN)
    assert frame[:14].hex() == "fffffffffffffa163e00000188b5"
    assert len(frame) == 60
    assert recognise(frame) == Seen(TOKEN, False)


def test_the_checksum_of_an_echo_request_adds_up() -> None:
    request = echo_request4(TOKEN)
    total = sum(struct.unpack(f"!{len(request) // 2}H", request))
    assert total % 0xFFFF == 0
    assert request[:2] == b"\x08\x00"


def test_a_request_and_its_reply_are_told_apart() -> None:
    request4, request6 = echo_request4(TOKEN), echo_request6(TOKEN)
    assert recognise(ipv4(1, request4)) == Seen(TOKEN, False)
    assert recognise(ipv4(1, b"\0" + request4[1:])) == Seen(TOKEN, True)
    assert recognise(ipv6(request6)) == Seen(TOKEN, False)
    assert recognise(ipv6(bytes([129]) + request6[1:])) == Seen(TOKEN, True)


def test_other_frames_and_cut_tokens_are_not_recognised() -> None:
    assert recognise(ipv4(17, b"other data")) is None
    assert find_token(TOKEN.pack()[:-1]) is None


def test_a_gre_packet_with_a_key_is_read() -> None:
    inner = probe_frame(BROADCAST_MAC, "fa:16:3e:00:00:01", TOKEN)
    frame = ipv4(47, bytes.fromhex("2000 6558 00011171") + inner)
    assert parse_gre(frame) == GREPacket("192.0.2.1", "192.0.2.2", 70001, inner)


def test_a_gre_packet_without_a_key_has_none() -> None:
    assert parse_gre(ipv4(47, bytes.fromhex("0000 6558") + b"inner")) == GREPacket(
        "192.0.2.1", "192.0.2.2", None, b"inner"
    )


def test_another_gre_header_is_refused() -> None:
    with pytest.raises(LabError, match="0xa000"):
        parse_gre(ipv4(47, bytes.fromhex("a000 6558 00000000 00011171")))


@pytest.mark.parametrize("frame", [b"short", ipv4(17, bytes(8)), ipv6(bytes(8))])
def test_what_is_no_gre_packet_is_none(frame: bytes) -> None:
    assert parse_gre(frame) is None
