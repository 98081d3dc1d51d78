"""Changing real OVSDB servers: tunnel ports, set-up of a bridge, managers, repair."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import (
    Connection,
    Each,
    EnsureControllers,
    EnsureManager,
    EnsureTunnelPort,
    RemovePort,
    SetAccessTag,
    set_up_bridge,
)
from tests.functional.ovs import OVS, wait_until
from tests.functional.ovsdb_recorder import Recorder

DPID = 0x11
TUNNEL = EnsureTunnelPort("l2t0a000002", "gre", "10.0.0.1", "10.0.0.2", 0x22)
OURS = "tcp:127.0.0.1:16653"
OTHERS = "tcp:127.0.0.1:16654"


@pytest.fixture
def seen() -> Recorder[int]:
    return Recorder()


@pytest.fixture
def connection(ovs: OVS, seen: Recorder[int]) -> Iterator[Connection[int]]:
    ovs.vsctl(
        *("add-br", "br0", "--", "set", "bridge", "br0"), f"other_config:datapath-id={DPID:016x}"
    )
    connection = Connection(DPID, ovs.db_address, seen)
    yield connection
    connection.close()


def _next_cfg(ovs: OVS) -> int:
    return int(ovs.vsctl("--no-wait", "get", "Open_vSwitch", ".", "next_cfg"))


def _controllers(ovs: OVS) -> list[str]:
    return sorted(ovs.vsctl("get-controller", "br0").split())


def test_a_tunnel_port_is_made_marked_and_gets_a_number(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    connection.transact([TUNNEL], wait_for_vswitchd=True)
    row = seen.wait_interface(TUNNEL.name, ofport=1)
    assert row.type == "gre"
    assert row.options == {"local_ip": "10.0.0.1", "remote_ip": "10.0.0.2", "key": "flow"}
    assert row.remote_dpid == 0x22
    assert row.external_ids == {"ryu_l2iso": "0000000000000022"}


def test_an_ensured_port_that_is_right_is_not_written_again(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    connection.transact([TUNNEL], wait_for_vswitchd=True)
    before = _next_cfg(ovs)
    connection.transact([TUNNEL], wait_for_vswitchd=True)
    assert _next_cfg(ovs) == before


def test_a_port_changed_by_hand_is_heard_of_and_corrected(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    connection.transact([TUNNEL], wait_for_vswitchd=True)
    ovs.vsctl(
        *("set", "interface", TUNNEL.name, "options:remote_ip=10.0.0.9", "options:in_key=5"),
        *("--", "clear", "interface", TUNNEL.name, "external_ids"),
    )
    wait_until(
        lambda: seen.interfaces[TUNNEL.name].options.get("in_key") == "5", "the change by hand"
    )
    connection.transact([TUNNEL])
    row = seen.wait_interface(TUNNEL.name, external_ids={"ryu_l2iso": "0000000000000022"})
    assert row.options == {"local_ip": "10.0.0.1", "remote_ip": "10.0.0.2", "key": "flow"}


def test_a_port_removed_by_hand_is_heard_of_and_made_again(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    connection.transact([TUNNEL])
    seen.wait_interface(TUNNEL.name)
    ovs.vsctl("del-port", TUNNEL.name)
    seen.wait_gone(TUNNEL.name)
    connection.transact([TUNNEL])
    seen.wait_interface(TUNNEL.name, remote_dpid=0x22)


def test_our_port_is_removed_and_an_absent_one_is_fine(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    connection.transact([TUNNEL])
    connection.transact([RemovePort(TUNNEL.name)])
    connection.transact([RemovePort(TUNNEL.name)])
    assert ovs.vsctl("list-ports", "br0") == ""


def test_ports_of_others_are_neither_changed_nor_removed(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.add_port("br0", TUNNEL.name)
    for command in (TUNNEL, RemovePort(TUNNEL.name)):
        with pytest.raises(OVSDBError, match="is not ours"):
            connection.transact([command])
    assert ovs.vsctl("get", "interface", TUNNEL.name, "type") == "dummy"


def test_our_mark_on_another_bridge_is_left_alone(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.add_bridge("br1", 0x22)
    ovs.add_port("br1", TUNNEL.name)
    ovs.vsctl("set", "port", TUNNEL.name, "external_ids:ryu_l2iso=0000000000000022")
    with pytest.raises(OVSDBError, match="on another bridge"):
        connection.transact([TUNNEL])


def test_one_refused_command_undoes_the_whole_transaction(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    with pytest.raises(OVSDBError, match="br0 exists and is not ours"):
        connection.transact([TUNNEL, RemovePort("br0")])
    assert ovs.vsctl("list-ports", "br0") == ""


def test_what_the_server_refuses_is_raised_with_its_text(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.add_port("br0", "tap1")
    with pytest.raises(OVSDBError, match="constraint violation"):
        connection.transact([SetAccessTag("tap1", None, 5000)])
    connection.transact([TUNNEL])


def test_an_interface_of_a_bond_keeps_its_name(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    types = ["--", "set", "interface", "e1", "type=dummy", "--", "set", "interface", "e2"]
    ovs.vsctl("add-bond", "br0", "bond0", "e1", "e2", *types, "type=dummy")
    taken = EnsureTunnelPort("e1", "gre", "10.0.0.1", "10.0.0.2", 0x22)
    with pytest.raises(OVSDBError, match="interface e1 exists and is not ours"):
        connection.transact([taken])


def test_each_command_that_can_be_had_is_done(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    refused = RemovePort("br0")
    each = Each([refused, TUNNEL])
    for _ in range(2):
        connection.transact([each])
        assert each.refused == {refused: "port br0 exists and is not ours"}
    assert ovs.vsctl("list-ports", "br0") == TUNNEL.name


def test_many_ports_in_one_transaction(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ports = [
        EnsureTunnelPort(f"tun{i}", "gre", "10.0.0.1", f"10.0.1.{i}", 0x100 + i)
        for i in range(1, 101)
    ]
    connection.transact(ports, wait_for_vswitchd=True)
    assert len(ovs.vsctl("list-ports", "br0").split()) == 100
    connection.transact([RemovePort(port.name) for port in ports])
    assert ovs.vsctl("list-ports", "br0") == ""


def test_a_bridge_is_secured_before_it_gets_a_controller(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    seen.wait_synced()
    seen.clear()
    set_up_bridge(connection, [OURS])
    wait_until(lambda: connection.bridge and connection.bridge.is_set_up([OURS]), "the set-up")
    found = [b and (b.fail_mode, b.in_band_disabled, len(b.controllers)) for b in seen.bridges]
    assert found == [("secure", True, 0), ("secure", True, 1)]
    assert ovs.vsctl("get", "controller", "br0", "connection_mode") == "out-of-band"
    assert ovs.vsctl("get", "controller", "br0", "max_backoff") == "1000"


def test_no_controller_is_set_while_vswitchd_has_not_secured_the_bridge(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    seen.wait_synced()
    ovs.kill_vswitchd()
    with pytest.raises(OVSDBError, match="ovs-vswitchd did not apply"):
        set_up_bridge(connection, [OURS], timeout=0.3)
    with pytest.raises(OVSDBError, match="ovs-vswitchd did not apply"):
        set_up_bridge(connection, [OURS], timeout=0.3)
    assert _controllers_no_wait(ovs) == ""
    ovs.start_vswitchd()
    set_up_bridge(connection, [OURS])
    assert _controllers(ovs) == [OURS]


def _controllers_no_wait(ovs: OVS) -> str:
    return ovs.vsctl("--no-wait", "get-controller", "br0")


def test_controllers_of_others_stay_and_ours_follow(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.vsctl("set-controller", "br0", OTHERS)
    set_up_bridge(connection, [OURS, "tcp:[::1]:16653"])
    assert _controllers(ovs) == sorted([OTHERS, OURS, "tcp:[::1]:16653"])
    set_up_bridge(connection, [OURS])
    assert _controllers(ovs) == sorted([OTHERS, OURS])
    connection.transact([EnsureControllers(())])
    assert _controllers(ovs) == [OTHERS]


def test_a_controller_that_is_there_already_is_adopted_and_corrected(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.vsctl("set-controller", "br0", OURS)
    set_up_bridge(connection, [OURS])
    assert _controllers(ovs) == [OURS]
    assert ovs.vsctl("get", "controller", "br0", "connection_mode") == "out-of-band"
    wait_until(lambda: connection.bridge and connection.bridge.is_set_up([OURS]), "the adoption")


@pytest.mark.parametrize(
    "by_hand",
    [
        ["del-controller", "br0"],
        ["set-fail-mode", "br0", "standalone"],
        ["remove", "bridge", "br0", "other_config", "disable-in-band"],
        ["set", "bridge", "br0", "protocols=OpenFlow10"],
        ["set", "controller", "br0", "connection_mode=in-band"],
    ],
)
def test_what_is_undone_by_hand_is_heard_of_and_repaired(
    ovs: OVS, connection: Connection[int], seen: Recorder[int], by_hand: list[str]
) -> None:
    set_up_bridge(connection, [OURS])
    wait_until(lambda: connection.bridge and connection.bridge.is_set_up([OURS]), "the set-up")
    seen.clear()
    ovs.vsctl(*by_hand)
    wait_until(lambda: seen.bridges, "the change by hand")
    row = seen.bridges[-1]
    assert row is not None and not row.is_set_up([OURS])
    set_up_bridge(connection, [OURS])
    wait_until(lambda: connection.bridge and connection.bridge.is_set_up([OURS]), "the repair")


def test_a_bridge_limited_to_other_protocols_speaks_ours_too(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    ovs.vsctl("set", "bridge", "br0", "protocols=OpenFlow10")
    set_up_bridge(connection, [OURS])
    wait_until(
        lambda: connection.bridge and connection.bridge.protocols == ("OpenFlow10", "OpenFlow14"),
        "both protocols",
    )


def test_a_manager_is_added_once_and_others_stay(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    others = "punix:" + str(ovs.rundir / "others.sock")
    ours = "punix:" + str(ovs.rundir / "ours.sock")
    ovs.vsctl("set-manager", others)
    connection.transact([EnsureManager(ours)])
    connection.transact([EnsureManager(ours)])
    assert sorted(ovs.vsctl("get-manager").split()) == sorted([others, ours])
    connection.transact([EnsureManager(others)])
    assert ovs.vsctl("get-manager") == others


def test_a_manager_follows_its_target_and_those_of_other_bridges_stay(
    ovs: OVS, connection: Connection[int], seen: Recorder[int]
) -> None:
    first, second, third = (f"punix:{ovs.rundir / name}.sock" for name in ("a", "b", "c"))
    ovs.add_bridge("br1", 0x22)
    neighbour = Connection(0x22, ovs.db_address, Recorder[int]())
    try:
        neighbour.transact([EnsureManager(first)])
        connection.transact([EnsureManager(second)])
        connection.transact([EnsureManager(third)])
    finally:
        neighbour.close()
    assert sorted(ovs.vsctl("get-manager").split()) == sorted([first, third])
