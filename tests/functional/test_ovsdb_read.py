"""Reading real OVSDB servers: first read, differences, one bridge among others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ryu_l2iso.ovsdb import Connection
from ryu_l2iso.ovsdb.columns import Column, MapOf, Optional, SetOf
from ryu_l2iso.ovsdb.schema import TABLES
from tests.functional.ovs import OVS, SCHEMA, wait_until
from tests.functional.ovsdb_recorder import Recorder

DPID = 0x11


@pytest.fixture
def seen() -> Recorder[int]:
    return Recorder()


@pytest.fixture
def connection(ovs: OVS, seen: Recorder[int]) -> Iterator[Connection[int]]:
    ovs.add_bridge("br0", DPID)
    ovs.add_port("br0", "vm1", "external_ids:iface-id=if-1", "external_ids:attached-mac=aa:00")
    connection = Connection(DPID, ovs.db_address, seen)
    yield connection
    connection.close()


def test_first_read_tells_the_bridge_then_its_interfaces_then_that_this_is_all(
    connection: Connection[int], seen: Recorder[int]
) -> None:
    seen.wait_synced()
    assert [kind for kind, _ in seen.calls] == ["bridge", "interfaces", "synced"]
    assert set(seen.interfaces) == {"br0", "vm1"}
    row = seen.interfaces["vm1"]
    assert (row.ofport, row.type, row.tag, row.error) == (1, "dummy", None, "")
    assert row.external_ids == {"iface-id": "if-1", "attached-mac": "aa:00"}
    bridge = connection.bridge
    assert bridge is not None
    assert (bridge.name, bridge.dpid, bridge.fail_mode) == ("br0", DPID, "secure")
    assert connection.interfaces == seen.interfaces


def test_only_what_changed_is_told(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    seen.wait_synced()
    seen.clear()
    ovs.vsctl("set", "interface", "vm1", "external_ids:iface-id=if-2")
    seen.wait_interface("vm1", external_ids={"iface-id": "if-2", "attached-mac": "aa:00"})
    ovs.vsctl("set", "port", "vm1", "tag=7", "external_ids:a=b")
    seen.wait_interface("vm1", tag=7, port_external_ids={"a": "b"})
    ovs.vsctl("del-port", "vm1")
    seen.wait_gone("vm1")
    assert [list(change) for change in seen.changes()] == [["vm1"]] * 3


def test_an_interface_that_cannot_be_made_has_no_port_number_and_says_why(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    without_remote = ["--", "set", "interface", "tun", "type=gre"]
    ovs.vsctl("--no-wait", "add-port", "br0", "tun", *without_remote)
    wait_until(lambda: "tun" in seen.interfaces and seen.interfaces["tun"].error, "the error text")
    assert ovs.vsctl("get", "interface", "tun", "ofport") == "-1"
    assert seen.interfaces["tun"].ofport is None


def test_other_bridges_of_the_server_are_not_read(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.add_bridge("br1", 0x22)
    ovs.add_port("br1", "other")
    ovs.add_port("br0", "vm2")
    seen.wait_interface("vm2", ofport=2)
    assert set(seen.interfaces) == {"br0", "vm1", "vm2"}


def test_both_interfaces_of_a_bond_are_read(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    types = ["--", "set", "interface", "e1", "type=dummy", "--", "set", "interface", "e2"]
    ovs.vsctl("add-bond", "br0", "bond0", "e1", "e2", *types, "type=dummy")
    seen.wait_interface("e1")
    seen.wait_interface("e2", type="dummy")
    ovs.vsctl("set", "interface", "e2", "external_ids:a=b")
    seen.wait_interface("e2", external_ids={"a": "b"})


def test_a_bridge_known_by_its_name_is_read(ovs: OVS) -> None:
    ovs.add_bridge("br0", DPID)
    seen: Recorder[str] = Recorder()
    connection = Connection("br0", ovs.db_address, seen)
    try:
        seen.wait_synced()
        assert connection.bridge is not None and connection.bridge.dpid == DPID
        ovs.vsctl("set", "bridge", "br0", "other_config:datapath-id=00000000000000aa")
        wait_until(lambda: connection.bridge and connection.bridge.dpid == 0xAA, "the new dpid")
    finally:
        connection.close()


def test_a_bridge_that_gets_another_datapath_id_is_no_longer_this_one(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    seen.wait_synced()
    ovs.vsctl("set", "bridge", "br0", "other_config:datapath-id=00000000000000aa")
    wait_until(lambda: seen.bridges[-1] is None, "the bridge to be reported as gone")
    wait_until(lambda: not seen.interfaces, "its interfaces to be reported as gone")
    ovs.vsctl("set", "bridge", "br0", f"other_config:datapath-id={DPID:016x}")
    seen.wait_synced(2)
    assert set(seen.interfaces) == {"br0", "vm1"}


def _column(declared: Any) -> tuple[type[Column], str]:
    """Return how a column of this type is read: the class, and the type of a value or a key."""
    declared = {"key": declared} if isinstance(declared, str) else declared
    key = declared["key"]
    kind = key if isinstance(key, str) else key["type"]
    if "value" in declared:
        return MapOf, kind
    if declared.get("max", 1) == 1:
        return (Column if declared.get("min", 1) else Optional), kind
    return SetOf, kind


def test_our_part_of_the_schema_is_that_of_open_vswitch() -> None:
    real = json.loads(Path(SCHEMA).read_text(encoding="utf-8"))["tables"]
    wrong = [
        f"{table}.{name}"
        for table, columns in TABLES.items()
        for name, column in columns.items()
        if (type(column), column.kind) != _column(real[table]["columns"][name]["type"])
    ]
    assert not wrong
