"""OpenFlow's port descriptions as facts."""

from __future__ import annotations

import struct
from typing import Any

import netaddr
import pytest

from ryu_l2iso.framework import ofproto_v1_4 as ofp
from ryu_l2iso.framework import ofproto_v1_4_parser as parser
from ryu_l2iso.openflow.ports import of_ports
from ryu_l2iso.state.ports import OFPort
from ryu_l2iso.state.values import MAX_PORT_NO


def description(port_no: int, name: bytes = b"tap0", config: int = 0, state: int = 0) -> Any:
    """Return a description as the framework gives it."""
    return parser.OFPPort(port_no, 0, "02:00:00:00:00:01", name, config, state, [])


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
    assert of_ports([description(5, config=config, state=state)]) == [OFPort(5, "tap0", up)]


@pytest.mark.parametrize("packed", [bytes(6), b"\x02\x0a\xb0\xff\x00\x10", b"\xff" * 6])
def test_the_framework_writes_macs_as_netaddr_does(packed: bytes) -> None:
    told = struct.pack("!IH2x6s2x16sII", 5, 40, packed, b"tap0", 0, 0)
    expected = str(netaddr.EUI(int.from_bytes(packed, "big"), dialect=netaddr.mac_unix_expanded))
    assert parser.OFPPort.parser(told, 0).hw_addr == expected


def test_only_real_ports_are_ports() -> None:
    numbers = [0, 1, MAX_PORT_NO, MAX_PORT_NO + 1, ofp.OFPP_LOCAL, ofp.OFPP_ANY]
    assert [port.port_no for port in of_ports(map(description, numbers))] == [1, MAX_PORT_NO]


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
    assert [port.name for port in of_ports([description(5, name)])] == [text]
