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
    arp_request,
    echo_request4,
    echo_request6,
    find_token,
    neighbour_advertisement,
    parse_gre,
    probe_frame,
    recognise,
    reverse_arp,
)
from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.state.announcements import is_announcement

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


def test_what_a_guest_announces_itself_by() -> None:
    mac = "fa:16:3e:00:00:01"
    rarp = reverse_arp(mac)
    assert rarp[:14].hex() == "fffffffffffffa163e0000018035"
    assert rarp[14:42].hex() == "0001080006040003" + "fa163e00000100000000" * 2
    garp = arp_request(mac, "10.0.0.1", "10.0.0.1")
    assert garp[14:42].hex() == (
        "0001080006040001" + "fa163e0000010a000001" + "0000000000000a000001"
    )
    advertisement = neighbour_advertisement(mac, "fd00::1")
    assert advertisement[:14].hex() == "333300000001fa163e00000186dd"
    for frame in (rarp, garp, advertisement):
        assert is_announcement(frame, mac)
    assert not is_announcement(arp_request(mac, "10.0.0.1", "10.0.0.2"), mac)


def test_the_checksum_of_a_neighbour_advertisement_adds_up() -> None:
    packet = neighbour_advertisement("fa:16:3e:00:00:01", "fd00::1")[14:]
    pseudo = packet[8:40] + struct.pack("!II", len(packet) - 40, 58)
    words = struct.unpack(f"!{(len(packet) - 8 + 8) // 2}H", pseudo + packet[40:])
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
