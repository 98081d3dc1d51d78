"""OpenFlow's port descriptions as facts."""

from __future__ import annotations

import struct
from typing import Any

import netaddr
import pytest

from ryu_l2iso.framework import ofproto_v1_4 as ofp
from ryu_l2iso.framework import ofproto_v1_4_parser as parser
from ryu_l2iso.openflow.framing import WireError
from ryu_l2iso.openflow.ports import is_real, unpack_port, unpack_port_status
from ryu_l2iso.state.ports import OFPort
from ryu_l2iso.state.values import MAX_PORT_NO
from tests.functional.fake_switch import port as description
from tests.functional.fake_switch import port_status

NUMBERS = (0, 1, MAX_PORT_NO, MAX_PORT_NO + 1, ofp.OFPP_LOCAL, ofp.OFPP_ANY)


def described(port_no: int, name: bytes = b"tap0", config: int = 0, state: int = 0) -> bytes:
    """Return a description as it is sent."""
    return struct.pack("!IH2x6s2x16sII", port_no, 40, b"\2\0\0\0\0\1", name, config, state)


@pytest.mark.parametrize(
    ("config", "state", "up"),
    [
        (0, 0, True),
        (0, ofp.OFPPS_LIVE, True),
        (0, ofp.OFPPS_LINK_DOWN, False),
        (ofp.OFPPC_PORT_DOWN, 0, False),
        (ofp.OFPPC_PORT_DOWN, ofp.OFPPS_LINK_DOWN, False),
        (ofp.OFPPC_NO_FWD | ofp.OFPPC_NO_RECV, ofp.OFPPS_BLOCKED | ofp.OFPPS_LIVE, True),
    ],
)
def test_a_port_is_up_when_its_link_and_its_operator_say_so(
    config: int, state: int, up: bool
) -> None:
    told = b"before" + described(5, config=config, state=state)
    assert unpack_port(told, 6) == OFPort(5, "tap0", up)


@pytest.mark.parametrize("packed", [bytes(6), b"\x02\x0a\xb0\xff\x00\x10", b"\xff" * 6])
def test_the_framework_writes_macs_as_netaddr_does(packed: bytes) -> None:
    told = struct.pack("!IH2x6s2x16sII", 5, 40, packed, b"tap0", 0, 0)
    expected = str(netaddr.EUI(int.from_bytes(packed, "big"), dialect=netaddr.mac_unix_expanded))
    assert parser.OFPPort.parser(told, 0).hw_addr == expected


def test_only_real_ports_are_ports() -> None:
    found = [unpack_port(described(number), 0) for number in NUMBERS]
    assert [port.port_no for port in found if is_real(port)] == [1, MAX_PORT_NO]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"tap0", "tap0"),
        (b"tap0" + bytes(12), "tap0"),
        (b"fifteen-letters\0", "fifteen-letters"),
        ("tapé".encode(), "tapé"),
        (b"tap\xff", "tap\ufffd"),
    ],
)
def test_names_are_text_without_padding(name: bytes, text: str) -> None:
    assert unpack_port(described(5, name), 0).name == text


@pytest.mark.parametrize("reason", [ofp.OFPPR_ADD, ofp.OFPPR_DELETE, ofp.OFPPR_MODIFY])
def test_a_port_status_is_what_the_framework_makes_of_it(reason: int) -> None:
    told = port_status(described(5, b"tap5", 0, ofp.OFPPS_LINK_DOWN), reason)
    parsed: Any = parser.OFPPortStatus.parser(None, 5, 12, len(told), 0, told)
    status = unpack_port_status(told)
    assert (status.port.port_no, status.port.name, status.port.up) == (
        parsed.desc.port_no,
        parsed.desc.name.rstrip(b"\0").decode(),
        False,
    )
    assert status.gone == (parsed.reason == ofp.OFPPR_DELETE)


@pytest.mark.parametrize(
    "told",
    [
        port_status(b""),
        port_status(description(1)[:-1]),
        port_status(description(1) + description(2)),
        port_status(description(1, length=0)),
        port_status(description(1, length=48)),
        b"\x05\x14" + port_status(description(1))[2:],
    ],
)
def test_a_port_status_that_breaks_the_protocol_is_refused(told: bytes) -> None:
    with pytest.raises(WireError):
        unpack_port_status(told)
