"""What may be registered, what is refused, and what follows: each refusal changes nothing."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ryu_l2iso.exceptions import Conflict, InvalidValue, L2IsoError, NotFound
from ryu_l2iso.state.changes import Changes, PortChange
from ryu_l2iso.state.ports import (
    NW_ID_EXTERNAL,
    NW_ID_RESERVED,
    NW_ID_UNKNOWN,
    NW_ID_VPORT_GRE,
    RESERVED_NETWORK_IDS,
    AssignedPort,
    ExternalPort,
    InterfaceFact,
    OFPort,
    PortId,
    TunnelPort,
    VMPort,
    is_complete,
)
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import PortSubject
from ryu_l2iso.state.switches import MAX_VALUES, OVSDB_ADDR, TUNNEL_ADDR
from tests.unit.cloud import GRE_KEYS, Cloud

MAC = "fa:16:3e:00:00:01"
P1, P2 = PortId(1, 1), PortId(1, 2)


@pytest.fixture
def state() -> State:
    """A state with a network "red", key 10, port 1 of switch 1 put into it by REST."""
    built = State(GRE_KEYS)
    built.add_network("red")
    built.add_key("red", 10)
    built.add_port("red", P1)
    built.add_interface_value("i1", "network_id", "red")
    built.set_switch_value(1, TUNNEL_ADDR, "10.0.0.1")
    built.add_tunnel(PortId(1, 7), 9)
    built.changes.take()
    return built


REFUSED: list[tuple[type[L2IsoError], str, Callable[[State], object]]] = [
    (Conflict, "network_id", lambda s: s.add_network("red")),
    (Conflict, "network_id", lambda s: s.add_network(NW_ID_EXTERNAL)),
    (Conflict, "network_id", lambda s: s.ensure_network(NW_ID_UNKNOWN)),
    (NotFound, "network_id", lambda s: s.remove_network("blue")),
    (Conflict, "network_id", lambda s: s.remove_network(NW_ID_RESERVED)),
    (Conflict, "key", lambda s: s.add_key("red", 10)),
    (Conflict, "key", lambda s: s.add_key("red", 11)),
    (Conflict, "key", lambda s: s.ensure_key("red", 11)),
    (Conflict, "key", lambda s: s.ensure_key("blue", 10)),
    (InvalidValue, "key", lambda s: s.add_key("blue", 0)),
    (InvalidValue, "key", lambda s: s.ensure_key("blue", 2**24)),
    (Conflict, "network_id", lambda s: s.add_key(NW_ID_EXTERNAL, 5)),
    (NotFound, "key", lambda s: s.remove_key("blue")),
    (NotFound, "network_id", lambda s: s.network_ports("blue")),
    (NotFound, "network_id", lambda s: s.add_port("blue", P2)),
    (NotFound, "network_id", lambda s: s.ensure_port("blue", P2)),
    (Conflict, "network_id", lambda s: s.add_port(NW_ID_UNKNOWN, P2)),
    (Conflict, "port_no", lambda s: s.add_port("red", P1)),
    (Conflict, "port_no", lambda s: s.add_port(NW_ID_EXTERNAL, P1)),
    (NotFound, "port_no", lambda s: s.remove_port("red", P2)),
    (NotFound, "port_no", lambda s: s.remove_port(NW_ID_EXTERNAL, P1)),
    (NotFound, "port_no", lambda s: s.port_mac("red", P2)),
    (NotFound, "port_no", lambda s: s.add_mac("red", P2, MAC)),
    (NotFound, "network_id", lambda s: s.ensure_mac("blue", P1, MAC)),
    (NotFound, "port_no", lambda s: s.tunnel_remote(P1)),
    (NotFound, "port_no", lambda s: s.remove_tunnel(P1)),
    (Conflict, "port_no", lambda s: s.add_tunnel(PortId(1, 7), 9)),
    (Conflict, "port_no", lambda s: s.ensure_tunnel(PortId(1, 7), 8)),
    (Conflict, "remote_dpid", lambda s: s.ensure_tunnel(PortId(1, 8), 9)),
    (Conflict, TUNNEL_ADDR, lambda s: s.set_switch_value(2, TUNNEL_ADDR, "10.0.0.1")),
    (InvalidValue, TUNNEL_ADDR, lambda s: s.set_switch_value(1, TUNNEL_ADDR, "x")),
    (InvalidValue, OVSDB_ADDR, lambda s: s.set_switch_value(1, OVSDB_ADDR, 5)),
    (NotFound, "dpid", lambda s: s.remove_switch_value(2, TUNNEL_ADDR)),
    (NotFound, OVSDB_ADDR, lambda s: s.remove_switch_value(1, OVSDB_ADDR)),
    (NotFound, "dpid", lambda s: s.remove_switch(2)),
    (NotFound, "dpid", lambda s: s.switches.names(2)),
    (NotFound, "rack", lambda s: s.switches.value(1, "rack")),
    (NotFound, "iface_id", lambda s: s.interface_names("i2")),
    (NotFound, "iface_id", lambda s: s.locations("i2")),
    (NotFound, "name", lambda s: s.interface_value("i1", "name")),
    (NotFound, "iface_id", lambda s: s.remove_interface("i2")),
    (Conflict, "network_id", lambda s: s.add_interface_value("i1", "network_id", "red")),
    (Conflict, "network_id", lambda s: s.ensure_interface_value("i1", "network_id", "blue")),
    (Conflict, "network_id", lambda s: s.add_interface_value("i", "network_id", NW_ID_EXTERNAL)),
    (Conflict, "network_id", lambda s: s.ensure_interface_value("i", "network_id", NW_ID_UNKNOWN)),
    (Conflict, "ports", lambda s: s.add_interface_value("i1", "ports", "x")),
    (Conflict, "ports", lambda s: s.ensure_interface_value("i2", "ports", "x")),
]


def dump(state: State) -> list[Any]:
    """Return all that was registered."""
    return [
        [(n, state.networks.key(n), state.network_ports(n)) for n in state.networks.ids()],
        state.networks.key("blue"),
        [
            (i, {n: state.interfaces.value(i, n) for n in state.interfaces.names(i)})
            for i in state.interfaces.ids()
        ],
        [
            (d, {n: state.switches.value(d, n) for n in state.switches.names(d)})
            for d in state.switches.ids()
        ],
        [(d, state.tunnel_ports(d)) for d in (1, 2)],
        state.port_mac("red", P1),
    ]


@pytest.mark.parametrize(("error", "field", "call"), REFUSED)
def test_refused_and_nothing_changed(
    state: State, error: type[L2IsoError], field: str, call: Callable[[State], object]
) -> None:
    before = dump(state)
    with pytest.raises(error, match=f"^{field}: "):
        call(state)
    assert dump(state) == before
    assert not state.changes


def test_a_key_may_come_before_its_network_and_outlives_it(state: State) -> None:
    state.ensure_key("blue", 20)
    state.ensure_network("blue")
    state.remove_network("blue")
    assert state.networks.key("blue") == 20
    state.remove_key("blue")
    assert state.networks.key("blue") is None
    state.add_key("green", 20)


def test_without_keys_any_key_is_kept() -> None:
    state = State()
    state.add_network("red")
    state.add_key("red", 2**40)
    assert state.networks.key("red") == 2**40
    assert not state.networks.uses_keys


def test_a_deleted_network_loses_its_ports_and_its_macs(state: State) -> None:
    state.add_mac("red", P1, MAC)
    state.remove_network("red")
    state.add_network("red")
    assert state.network_ports("red") == []
    state.add_port("red", P1)
    assert state.port_mac("red", P1) is None


def test_ports_move_between_networks_with_their_mac(state: State) -> None:
    state.ensure_mac("red", P1, MAC)
    state.ensure_mac("red", P1, MAC)
    with pytest.raises(Conflict, match="mac: the port has one"):
        state.add_mac("red", P1, MAC)
    with pytest.raises(Conflict, match=f"mac: the port has {MAC}"):
        state.ensure_mac("red", P1, "fa:16:3e:00:00:02")
    state.add_network("blue")
    state.ensure_port("blue", P1)
    state.ensure_port("blue", P1)
    assert state.network_ports("red") == []
    assert state.network_ports("blue") == [P1]
    assert state.port_mac("blue", P1) == MAC
    state.remove_port("blue", P1)
    assert state.network_ports("blue") == []


def test_a_mac_of_a_port_in_a_network_without_record_is_kept() -> None:
    state = State(GRE_KEYS)
    state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.2")
    state.ports.set_of_port(1, OFPort(4, "p4", up=True))
    state.ports.update_interfaces(1, {"p4": InterfaceFact("p4", 4, tunnel_remote="10.0.0.2")})
    state.add_mac(NW_ID_VPORT_GRE, PortId(1, 4), MAC)
    assert state.port_mac(NW_ID_VPORT_GRE, PortId(1, 4)) == MAC


def test_a_mac_stays_with_its_port_when_it_is_put_there_again(state: State) -> None:
    state.ensure_mac("red", P1, MAC)
    state.ensure_port("red", P1)
    assert state.port_mac("red", P1) == MAC


def test_a_switch_may_have_tunnel_ports_to_several_remotes(state: State) -> None:
    state.ensure_tunnel(PortId(1, 7), 9)
    state.ensure_tunnel(PortId(1, 8), 10)
    assert state.tunnel_ports(1) == [7, 8]
    assert state.tunnel_remote(PortId(1, 8)) == 10


def test_one_of_two_tunnel_ports_to_a_remote_can_go() -> None:
    cloud = Cloud()
    cloud.state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.2")
    ports = cloud.state.ports
    for port_no in (7, 8):
        name = f"gre{port_no}"
        ports.set_of_port(1, OFPort(port_no, name, up=True))
        row = InterfaceFact(name, port_no, tunnel_remote="10.0.0.2")
        ports.update_interfaces(1, {name: row})
    assert cloud.state.topology.tunnels_to(1, 2) == [7, 8]
    ports.remove_of_port(1, 8)
    assert cloud.state.topology.tunnels_to(1, 2) == [7]


def test_what_is_told_again_as_it_is_known_is_not_looked_at() -> None:
    cloud = Cloud()
    cloud.plug(1, 1, "red", MAC)
    facts = cloud.state.ports.facts(1)
    (port,), (row,) = facts.of_ports.values(), facts.interfaces.values()
    assert facts.replace_of_ports([port], 5) == set()
    assert facts.update_interfaces({row.name: row, "tap2": None}) == set()
    assert facts.set_of_port(port._replace(up=False), 5) == {1}
    assert facts.update_interfaces({row.name: row._replace(ofport=2)}) == {1, 2}
    assert facts.put_of_port(facts.of_ports[1], 5, 0) == {1}, "it has another past"
    facts.assign(2, AssignedPort("red", MAC))
    second = OFPort(2, "tap2", up=True)
    assert facts.set_of_port(second, 6) == facts.set_of_port(second, 7) == {2}


def test_nothing_is_marked_of_switches_that_nobody_programs() -> None:
    """Whatever comes to them and to the others: VMs, networks in common, tunnels."""
    cloud = Cloud()
    cloud.state.changes.only_for({2})
    cloud.network("red", 10)
    for dpid in (1, 2):
        cloud.switch(dpid)
        cloud.plug(dpid, 1, "red", f"02:00:00:00:00:0{dpid}")
    cloud.update_tunnels()
    assert cloud.state.changes.subjects.keys() == {2}


def test_a_vm_port_is_the_same_whatever_its_past() -> None:
    port = VMPort(1, 1, "tap1", "i1", "red", 10, MAC, up=True)
    moved = port._replace(since=5, shown=6)
    assert port == moved
    assert {port, moved} == {moved}
    assert port != port._replace(tag=10)
    assert port != (*port,)


def test_a_port_that_rest_alone_describes_is_a_complete_vm_port(state: State) -> None:
    state.ports.set_of_port(1, OFPort(1, "tap1", up=True))
    state.add_mac("red", P1, MAC)
    port = state.ports.get(P1)
    assert port == VMPort(1, 1, "tap1", None, "red", 10, MAC, up=True)
    assert state.topology.members("red") == {1: {1}}


def test_what_rest_says_of_a_port_does_not_apply_to_the_next_with_its_number(state: State) -> None:
    state.add_mac("red", P1, MAC)
    state.ports.set_of_port(1, OFPort(1, "tap1", up=True))
    state.ports.remove_of_port(1, 1)
    assert state.network_ports("red") == [P1]
    state.ports.set_of_port(1, OFPort(1, "other", up=True))
    assert state.ports.get(P1) is None
    assert state.network_ports("red") == []
    state.add_port("red", P1)
    assert state.network_ports("red") == [P1]


def test_a_reused_port_number_is_not_joined_with_the_row_of_the_port_before() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    cloud.plug(1, 1, "red", MAC)
    cloud.state.ports.set_of_port(1, OFPort(1, "tap-new", up=True))
    assert cloud.state.ports.get(P1) is None


def test_kinds_of_ports(state: State) -> None:
    ports = state.ports
    ports.replace_of_ports(1, [OFPort(n, f"p{n}", up=True) for n in (2, 3, 4, 5, 7)])
    state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.2")
    state.add_port(NW_ID_EXTERNAL, PortId(1, 2))
    state.add_port(NW_ID_RESERVED, PortId(1, 3))
    ports.update_interfaces(1, {"p4": InterfaceFact("p4", 4, tunnel_remote="10.0.0.2")})
    assert ports.on(1) == [
        ExternalPort(1, 2, "p2"),
        TunnelPort(1, 4, "p4", 2),
        TunnelPort(1, 7, "p7", 9),
    ]
    assert state.network_ports(NW_ID_EXTERNAL) == [PortId(1, 2)]
    assert state.network_ports(NW_ID_VPORT_GRE) == [PortId(1, 4), PortId(1, 7)]
    assert state.network_ports(NW_ID_UNKNOWN) == [PortId(1, 5)]
    assert state.tunnel_ports(1) == [4, 7]
    assert state.tunnel_remote(PortId(1, 4)) == 2
    with pytest.raises(Conflict, match="port_no: the port is made and removed"):
        state.remove_tunnel(PortId(1, 4))
    state.remove_tunnel(PortId(1, 7))
    assert ports.get(PortId(1, 7)) is None
    ports.replace_of_ports(1, [])
    assert ports.on(1) == []


def test_a_tunnel_port_follows_the_address_of_its_remote(state: State) -> None:
    state.ports.set_of_port(1, OFPort(4, "p4", up=True))
    state.ports.update_interfaces(1, {"p4": InterfaceFact("p4", 4, tunnel_remote="10.0.0.2")})
    assert state.ports.get(PortId(1, 4)) is None
    state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.2")
    assert state.ports.get(PortId(1, 4)) == TunnelPort(1, 4, "p4", 2)
    state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.3")
    assert state.ports.get(PortId(1, 4)) is None
    state.set_switch_value(3, TUNNEL_ADDR, "10.0.0.2")
    assert state.ports.get(PortId(1, 4)) == TunnelPort(1, 4, "p4", 3)


def test_a_plugged_interface_is_known_and_has_locations() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    cloud.plug(1, 1, "red", MAC, "i1")
    state = cloud.state
    assert state.interface_ids() == ["i1"]
    assert state.interface_names("i1") == ["network_id", "ports"]
    assert state.interface_value("i1", "network_id") == "red"
    assert [port.id for port in state.locations("i1")] == [P1]
    assert state.network_ports("red") == [P1]
    assert state.port_mac("red", P1) == MAC
    with pytest.raises(Conflict, match="by what is plugged into it"):
        state.remove_port("red", P1)
    state.remove_interface("i1")
    assert state.interface_names("i1") == ["ports"]
    assert state.network_ports("red") == []
    cloud.unplug(1, 1)
    assert state.interface_ids() == []


def test_rest_gives_a_mac_to_a_port_that_its_interface_put_there() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    cloud.network("blue", 20)
    cloud.plug(1, 1, "red", MAC, "i1")
    cloud.state.ensure_port("blue", P1)
    assert cloud.state.network_ports("blue") == [P1]
    port = cloud.state.ports.get(P1)
    assert isinstance(port, VMPort) and (port.network_id, port.iface_id) == ("blue", "i1")


def test_other_values_are_kept_and_touch_no_port(state: State) -> None:
    state.add_interface_value("i1", "owner", "me")
    state.ensure_interface_value("i1", "owner", "me")
    state.set_switch_value(1, "rack", [1, None, "x"])
    assert state.interface_names("i1") == ["network_id", "owner"]
    assert state.switches.value(1, "rack") == [1, None, "x"]
    changes = state.changes.take()
    assert {i.table.name for i in changes.records} == {"interface_values", "switch_values"}
    assert changes == Changes(records=changes.records)


def test_a_removed_switch_takes_its_vms_with_it() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    for dpid in (1, 2):
        cloud.switch(dpid)
        cloud.plug(dpid, 1, "red", MAC)
    cloud.update_tunnels()
    cloud.state.set_switch_value(2, OVSDB_ADDR, "tcp:10.0.0.2:6640")
    cloud.state.changes.take()
    cloud.state.remove_switch(2)
    assert cloud.state.topology.members("red") == {1: {1}}
    assert cloud.state.changes.switches == {2}
    assert cloud.state.changes.tunnels == {1: {2}, 2: {1}}
    assert cloud.state.switches.ids() == [1]


def test_a_value_may_be_removed_alone(state: State) -> None:
    state.set_switch_value(1, OVSDB_ADDR, "tcp:10.0.0.1:6640")
    assert state.switches.ovsdb_addr(1) == "tcp:10.0.0.1:6640"
    state.remove_switch_value(1, OVSDB_ADDR)
    assert state.switches.ovsdb_addr(1) is None
    state.remove_switch_value(1, TUNNEL_ADDR)
    assert state.switches.by_tunnel_addr("10.0.0.1") is None
    state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.1")
    assert state.switches.names(1) == []


@pytest.mark.parametrize(
    ("network_id", "key", "mac", "up", "complete"),
    [
        ("red", 10, MAC, True, True),
        (None, None, MAC, True, False),
        ("red", None, MAC, True, False),
        ("red", 10, None, True, False),
        ("red", 10, MAC, False, False),
    ],
)
def test_a_vm_port_is_complete_when_all_is_known(
    network_id: str | None, key: int | None, mac: str | None, up: bool, complete: bool
) -> None:
    port = VMPort(1, 1, "tap1", "i1", network_id, key, mac, up)
    assert is_complete(port, key_required=True) is complete


def test_without_keys_a_vm_port_needs_none() -> None:
    assert is_complete(VMPort(1, 1, "tap1", "i1", "red", None, MAC, up=True), key_required=False)


def test_changes_tell_what_became_of_ports() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    cloud.plug(1, 1, "red", MAC, "i1")
    changes = cloud.state.changes.take()
    assert changes and not cloud.state.changes
    assert changes.ports[0].old is None
    assert changes.ports[-1].new == cloud.state.ports.get(P1)
    assert PortSubject(1) in changes.subjects[1]
    last = changes.ports[-1].new
    cloud.unplug(1, 1)
    assert cloud.state.changes.ports == [PortChange(last, None)]


def test_reserved_networks_are_always_there() -> None:
    assert State().networks.ids() == sorted(RESERVED_NETWORK_IDS)


def test_a_switch_has_so_many_values_and_no_more() -> None:
    state = State()
    for number in range(MAX_VALUES):
        state.set_switch_value(1, f"name{number}", number)
    with pytest.raises(Conflict, match=f"has {MAX_VALUES} values already"):
        state.set_switch_value(1, "more", 1)
    state.set_switch_value(1, "name0", "another value")
    state.set_switch_value(2, "more", 1)


def test_of_a_switch_that_is_forgotten_what_rest_says_of_its_ports_stays() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    cloud.plug(1, 1, "red", MAC, "i1")
    cloud.plug(2, 1, "red", "02:00:00:00:00:02", "i2")
    cloud.state.ports.set_of_port(2, OFPort(2, "tap2", up=True))
    cloud.state.add_port("red", PortId(2, 2))
    for dpid in (1, 2):
        cloud.state.ports.forget(dpid)
        assert cloud.state.ports.facts(dpid).interfaces == {}
    assert cloud.state.network_ports("red") == [PortId(2, 2)]


def test_what_ovsdb_said_of_a_port_that_goes_can_be_forgotten() -> None:
    """The next one of that name and number is nobody's until OVSDB tells of it."""
    cloud = Cloud()
    cloud.network("red", 10)
    cloud.plug(1, 1, "red", MAC, "i1")
    ports = cloud.state.ports
    other = InterfaceFact("other", 2, "i2", MAC)
    ports.update_interfaces(1, {"other": other})
    for port_no in (1, 1, 2):
        ports.forget_interface(PortId(1, port_no))
        ports.remove_of_port(1, port_no)
    assert ports.facts(1).interfaces == {"other": other}
    ports.set_of_port(1, OFPort(1, "tap1", up=True))
    assert ports.get(P1) is None
    ports.forget_interface(P1)
