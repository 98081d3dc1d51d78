"""The forms of values: what is taken, and that the error names the field and the rule."""

from __future__ import annotations

from typing import Callable

import pytest

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.state import values

TAKEN: list[tuple[Callable[[str], object], str, object]] = [
    (values.parse_dpid, "00000000000000aB", 0xAB),
    (values.parse_dpid, "ffffffffffffffff", 2**64 - 1),
    (values.parse_port_no, "1", 1),
    (values.parse_port_no, "4294967040", 0xFFFFFF00),
    (values.parse_key, "0", 0),
    (values.parse_key, "4294967296", 2**32),
    (values.parse_mac, "FA:16:3E:00:00:0a", "fa:16:3e:00:00:0a"),
    (values.parse_tunnel_addr, "10.0.0.1", "10.0.0.1"),
    (values.parse_tunnel_addr, "FD00:0::1", "fd00::1"),
    (
        values.parse_tunnel_addr,
        f"{'fd00:' * 6}255.255.255.255",
        "fd00:fd00:fd00:fd00:fd00:fd00:ffff:ffff",
    ),
    (values.parse_ovsdb_addr, "tcp:10.0.0.1:6640", "tcp:10.0.0.1:6640"),
    (values.parse_ovsdb_addr, "ssl:[fd00::1]:6640", "ssl:[fd00::1]:6640"),
    (values.parse_ovsdb_addr, "unix:/run/db.sock", "unix:/run/db.sock"),
]

REFUSED: list[tuple[Callable[[str], object], str]] = [
    *((values.parse_dpid, text) for text in ("", "1", "0x0000000000000a", "g" * 16, "0" * 17)),
    *((values.parse_port_no, text) for text in ("0", "01", "-1", "+1", "1.0", "", "４")),
    (values.parse_port_no, "4294967041"),
    *((values.parse_key, text) for text in ("", "007", "-1", "0x10", "1" * 21)),
    *((values.parse_mac, text) for text in ("", "fa163e000001", "fa:16:3e:00:00", "no")),
    *((values.parse_mac, text) for text in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01")),
    (values.parse_mac, "00:00:00:00:00:00"),
    *((values.parse_tunnel_addr, text) for text in ("", "10.0.0", "10.0.0.1/24", "host", "1")),
    *((values.parse_tunnel_addr, text) for text in ("0.0.0.0", "::", "224.0.0.1", "ff02::1")),
    (values.parse_tunnel_addr, "255.255.255.255"),
    (values.parse_tunnel_addr, "::" + "0" * 44),
    *((values.parse_ovsdb_addr, text) for text in ("", "tcp:10.0.0.1", "tcp:host:6640", "unix:x")),
    *((values.parse_ovsdb_addr, text) for text in ("tcp:fd00::1:6640", "tcp:[10.0.0.1]:6640")),
    *((values.parse_ovsdb_addr, text) for text in ("tcp:10.0.0.1:0", "ssl:10.0.0.1:65536")),
    (values.parse_ovsdb_addr, "ptcp:6640:10.0.0.1"),
]


@pytest.mark.parametrize(("parse", "text", "value"), TAKEN)
def test_taken(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(("parse", "text"), REFUSED)
def test_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse(text)
    assert refused.value.field in parse.__name__ or refused.value.field.startswith("ov")
    assert refused.value.rule in str(refused.value)


@pytest.mark.parametrize("parse", [values.parse_ovsdb_addr, values.parse_tunnel_addr])
@pytest.mark.parametrize("value", [None, 5, True, ["10.0.0.1"], {}])
def test_addresses_are_strings(parse: Callable[[object], str], value: object) -> None:
    with pytest.raises(InvalidValue):
        parse(value)


def test_ids_are_opaque_but_not_endless() -> None:
    assert values.parse_id("network_id", "ü" * 127) == "ü" * 127
    for text, rule in (("", "1 to 255"), ("ü" * 128, "1 to 255"), ("a/b", "slash")):
        with pytest.raises(InvalidValue, match=f"network_id: .*{rule}"):
            values.parse_id("network_id", text)


def test_key_range_names_itself() -> None:
    keys = values.KeyRange("the VLAN ID", 1, 4094)
    keys.check(1)
    keys.check(4094)
    for key in (0, 4095):
        with pytest.raises(InvalidValue, match=f"key: the VLAN ID is 1 to 4094, not {key}"):
            keys.check(key)


def test_dpid_is_written_as_16_hex_digits() -> None:
    assert values.dpid_to_str(0xAB) == "00000000000000ab"
