"""Records: a state that is made of them wants what the first one wanted, and has the same."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId, VMPort
from ryu_l2iso.state.records import (
    DISMISSED,
    HELD,
    INTERFACE_VALUES,
    INTERFACES,
    KEYS,
    NETWORKS,
    OF_PORTS,
    REFUSED_MACS,
    RETAGGED,
    SWITCH_VALUES,
    SWITCHES,
    TABLES,
    Record,
    RecordChange,
    RecordChanges,
    RecordId,
    merge,
)
from ryu_l2iso.state.state import State
from ryu_l2iso.state.switches import TUNNEL_ADDR
from tests.unit.cloud import GRE_KEYS, Cloud
from tests.unit.kept import (
    ADDRESSES,
    DPIDS,
    ISOLATIONS,
    MACS,
    STEPS,
    Kept,
    Steps,
    act,
    desired,
    is_taken,
    plug,
    started,
)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@settings(max_examples=80)
@given(steps=STEPS)
def test_what_is_loaded_wants_the_same_and_is_the_same(isolation: str, steps: Steps) -> None:
    kept = started(isolation)
    for step in steps:
        act(kept, step)
        kept.write()
    # As long as nothing was sent, a MAC that two networks want may as well be the other one's.
    kept.program(confirmed=False)
    kept.write()
    other = kept.loaded(kept.records())
    assert other.disk == kept.disk
    other.state.apply(kept.records())
    assert not other.write(), "what is known already changes nothing"
    assert desired(isolation, other.state) == desired(isolation, kept.state)
    again = other.loaded(reversed(other.records()))
    assert again.disk == kept.disk
    assert desired(isolation, again.state) == desired(isolation, kept.state)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@settings(max_examples=80)
@given(before=STEPS, orders=STEPS)
def test_what_is_taken_back_never_was(isolation: str, before: Steps, orders: Steps) -> None:
    kept = started(isolation)
    for step in before:
        act(kept, step)
    kept.write()
    wanted, disk = desired(isolation, kept.state), dict(kept.disk)
    taken: RecordChanges = {}
    for step in filter(is_taken, orders):
        act(kept, step)
        merge(taken, kept.write())
    kept.state.apply(
        Record(*record_id, change.old)
        for record_id, change in taken.items()
        if record_id.table is not OF_PORTS
    )
    kept.write()
    # Which of two networks that want one MAC was first is not taken back: it may have been sent.
    assume(not any(i.table is REFUSED_MACS for i in (*disk, *taken, *kept.disk)))
    assert desired(isolation, kept.state) == wanted
    assert kept.disk == disk


# -- the rules one by one --------------------------------------------------------------------------


def test_of_a_switch_that_nobody_registered_nothing_is_recorded() -> None:
    kept = Kept("gre")
    kept.state.ports.replace_of_ports(7, [OFPort(1, "tap1", True)])
    kept.state.ports.update_interfaces(7, {"tap1": InterfaceFact("tap1", 1, "a", MACS[0])})
    kept.state.ports.retag(7, {"tap1": 10})
    assert not kept.write()
    kept.state.set_switch_value(7, TUNNEL_ADDR, "10.0.0.7")
    kept.write()
    told = {OF_PORTS, INTERFACES, RETAGGED}
    assert {r.table for r in kept.records()} == {SWITCHES, SWITCH_VALUES, *told}
    kept.state.remove_switch(7)
    kept.write()
    assert kept.records() == []


def test_of_a_switch_that_nobody_registered_ports_that_rest_tells_of_are_recorded() -> None:
    kept = Kept("gre")
    kept.state.ports.replace_of_ports(7, [OFPort(1, "tap1", True), OFPort(2, "tap2", True)])
    kept.state.add_network("red")
    kept.state.add_port("red", PortId(7, 1))
    kept.write()
    assert [r.key for r in kept.records() if r.table is OF_PORTS] == [(7, 1)]
    kept.state.remove_port("red", PortId(7, 1))
    kept.write()
    assert [r.table for r in kept.records()] == [NETWORKS]


def test_later_events_come_after_those_that_were_loaded() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    for dpid in (1, 2, 3):
        cloud.switch(dpid)
    cloud.plug(1, 1, "red", MACS[0], "moving")
    cloud.plug(2, 1, "red", MACS[0], "moving")
    changes = cloud.state.changes.take().records
    state = State(GRE_KEYS)
    state.apply(Record(*record_id, change.new) for record_id, change in changes.items())
    assert [state.topology.is_active(PortId(d, 1)) for d in (1, 2)] == [True, False]
    state.ports.replace_of_ports(1, [OFPort(1, "tap1", True)])
    assert state.topology.is_active(PortId(1, 1)), "a switch that connects tells nothing new"
    assert state.guest_shown(PortId(2, 1))
    assert [state.topology.is_active(PortId(d, 1)) for d in (1, 2)] == [False, True]


def test_a_move_that_begins_while_the_controller_is_away_does_not_cut_the_guest() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    for dpid in (1, 2, 3):
        cloud.switch(dpid)
    cloud.plug(1, 1, "red", MACS[0], "moving")
    changes = cloud.state.changes.take().records
    state = State(GRE_KEYS)
    state.apply(Record(*record_id, change.new) for record_id, change in changes.items())
    state.ensure_interface_value("new", "network_id", "red")
    new = InterfaceFact("tap2", 2, "new", MACS[1])
    moving = InterfaceFact("tap1", 1, "moving", MACS[0])
    for dpid in (2, 1, 3):
        state.ports.replace_of_ports(dpid, [OFPort(1, "tap1", True), OFPort(2, "tap2", True)])
    state.ports.update_interfaces(2, {"tap1": moving, "tap2": new})
    state.ports.update_interfaces(3, {"tap2": new})
    assert [state.topology.is_active(PortId(d, 1)) for d in (1, 2)] == [True, False]
    # Nobody knows which of these is older.
    assert [state.topology.is_active(PortId(d, 2)) for d in (2, 3)] == [True, True]
    # What comes now is later, and so is what comes while switches are lost.
    state.ports.update_interfaces(1, {"tap3": InterfaceFact("tap3", 3, "third", MACS[2])})
    state.ensure_interface_value("third", "network_id", "red")
    state.ports.set_of_port(1, OFPort(3, "tap3", True))
    for dpid in (2, 3):
        state.ports.lost(dpid)
    for dpid in (2, 3):
        state.ports.replace_of_ports(dpid, [OFPort(3, "tap3", True)])
        third = InterfaceFact("tap3", 3, "third", MACS[2])
        state.ports.update_interfaces(dpid, {"tap3": third})
    places = [PortId(dpid, 3) for dpid in (1, 2, 3)]
    assert [state.topology.is_active(place) for place in places] == [True, False, False]
    state.ports.remove_of_port(1, 3)
    assert [state.topology.is_active(place) for place in places[1:]] == [True, True]


def test_others_can_tell_that_a_guest_showed_itself() -> None:
    cloud = Cloud()
    cloud.network("red", 10)
    for dpid in (1, 2):
        cloud.switch(dpid)
        cloud.plug(dpid, 1, "red", MACS[0], "moving")
    cloud.state.apply([Record(OF_PORTS, (2, 1), ("tap1", 1, 2, 50))])
    assert [cloud.state.topology.is_active(PortId(d, 1)) for d in (1, 2)] == [False, True]
    port = cloud.state.ports.get(PortId(2, 1))
    assert port == cloud.state.ports.of_interface("moving")[1]


def test_others_can_tell_of_a_port_that_is_not_complete() -> None:
    kept = started("gre")
    plug(kept, (0, 0, 0))
    kept.state.remove_key("red")
    kept.state.apply([Record(OF_PORTS, (1, 1), ("tap1", 1, 7, 0))])
    port = kept.state.ports.get(PortId(1, 1))
    assert isinstance(port, VMPort)
    assert port.since == 7


def test_nothing_is_marked_for_switches_that_are_not_programmed_yet() -> None:
    kept = started("gre")
    plug(kept, (0, 0, 0))
    kept.write()
    state = State(GRE_KEYS)
    programmed: set[int] = set()
    state.changes.only_for(programmed)
    state.apply(kept.records())
    changes = state.changes.take()
    assert (changes.subjects, changes.switches) == ({}, set(DPIDS))
    programmed.add(1)
    state.ports.remove_of_port(1, 1)
    state.ports.remove_of_port(2, 1)
    assert list(state.changes.subjects) == [1]


def test_two_networks_can_swap_keys_and_two_switches_addresses() -> None:
    kept = started("gre")
    kept.state.apply(
        [
            Record(KEYS, ("red",), (20,)),
            Record(KEYS, ("blue",), (10,)),
            Record(SWITCH_VALUES, (1, TUNNEL_ADDR), (f'"{ADDRESSES[1]}"',)),
            Record(SWITCH_VALUES, (2, TUNNEL_ADDR), (f'"{ADDRESSES[0]}"',)),
        ]
    )
    assert (kept.state.networks.owner(10), kept.state.networks.owner(20)) == ("blue", "red")
    assert [kept.state.switches.by_tunnel_addr(a) for a in ADDRESSES[:2]] == [2, 1]


def test_a_key_that_the_isolation_does_not_take_is_refused() -> None:
    with pytest.raises(InvalidValue, match="GRE key"):
        State(GRE_KEYS).apply([Record(KEYS, ("red",), (2**24,))])


def test_what_is_gone_already_can_go() -> None:
    state = State(GRE_KEYS)
    state.apply(Record(table, tuple([1] * len(table.key)), None) for table in TABLES)
    assert not state.changes.records


def test_what_others_tell_twice_is_as_told_once() -> None:
    kept = Kept("gre")
    told = [
        Record(NETWORKS, ("red",), ()),
        Record(KEYS, ("red",), (10,)),
        Record(HELD, (1, "red", 10), ()),
        Record(SWITCHES, (1,), ()),
        Record(DISMISSED, (2,), ()),
    ]
    for _ in range(2):
        kept.state.apply(told)
        kept.write()
    assert sorted(map(str, kept.records())) == sorted(map(str, told))
    for _ in range(2):
        kept.state.apply(Record(record.table, record.key, None) for record in told)
        kept.write()
    assert kept.records() == []


def test_one_value_of_several_can_go() -> None:
    kept = started("gre")
    kept.state.add_interface_value("a", NETWORK_ID, "red")
    kept.state.apply([Record(INTERFACE_VALUES, ("a", "owner"), ("me",))])
    assert kept.state.interface_names("a") == [NETWORK_ID, "owner"]
    kept.state.apply([Record(INTERFACE_VALUES, ("a", "owner"), None)])
    assert kept.state.interface_names("a") == [NETWORK_ID]


def test_others_can_tell_that_an_interface_is_in_no_network() -> None:
    kept = started("gre")
    plug(kept, (0, 0, 0))
    assert kept.state.network_ports("red") == [PortId(1, 1)]
    kept.state.apply([Record(INTERFACE_VALUES, ("a", NETWORK_ID), None)])
    assert kept.state.network_ports("red") == []


def test_others_can_tell_that_a_tag_is_being_set_and_that_it_is() -> None:
    kept = started("vlan")
    plug(kept, (0, 0, 0))
    facts = kept.state.ports.facts(1)
    kept.state.apply([Record(RETAGGED, (1, "tap1"), ("10 20",))])
    assert facts.vlans(facts.interfaces["tap1"]) == {10, 20}
    kept.state.apply([Record(RETAGGED, (1, "tap1"), None)])
    assert facts.vlans(facts.interfaces["tap1"]) == {10}


def test_a_change_that_is_undone_is_none() -> None:
    changes: RecordChanges = {}
    red = RecordId(NETWORKS, ("red",))
    merge(changes, {red: RecordChange(None, ())})
    merge(changes, {red: RecordChange((), None)})
    assert changes == {}
