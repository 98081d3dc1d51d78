"""Ports of a switch that is let go keep their VLANs from others until it is rid of their flows."""

from __future__ import annotations

from typing import Callable

import pytest

from ryu_l2iso.pipelines.vlan import KEYS as VLANS
from ryu_l2iso.pipelines.vlan import desired_tags
from ryu_l2iso.state.confirmations import Confirmations, Wait
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId
from ryu_l2iso.state.records import LINGERING, Record
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import PortSubject
from tests.unit.cloud import Cloud
from tests.unit.test_confirmations import KEY, NONE, RED, A, hand_over, of_table, records


@pytest.fixture
def tagged() -> Cloud:
    """Networks "red" and "blue"; "red" has VLAN 10 at port 1 of switches 1 and 2.

    "blue" has port 2 of both, in the dead VLAN.  The switches are registered and connected.
    """
    built = Cloud(keys=VLANS)
    built.state.ports.vlans.tell_apart()
    built.network("red", KEY)
    built.state.add_network("blue")
    for dpid in (1, 2):
        built.switch(dpid)
        built.state.confirmations.connected(dpid)
        for port_no, network_id in ((1, "red"), (2, "blue")):
            built.plug(dpid, port_no, network_id, A)
        built.tag(dpid, 1, KEY)
        built.tag(dpid, 2, 4095)
    return built


def tag_of(state: State, dpid: int, port_no: int) -> int:
    """Return the tag that a port should have."""
    return desired_tags(state, dpid)[f"tap{port_no}"].tag


def test_ports_of_a_switch_that_is_let_go_linger_in_their_vlan(tagged: Cloud) -> None:
    state, confirmations = tagged.state, tagged.state.confirmations
    tagged.state.add_tunnel(PortId(1, 9), 2)
    tagged.state.ports.set_of_port(1, OFPort(9, "others", up=True))
    state.remove_switch(1)
    confirmations.dismissal_recorded(1)
    assert tag_of(state, 2, 1) == KEY
    assert confirmations.holders("red") == [], "it is its own VLAN"
    tagged.tag(2, 1, 4095)
    hand_over(tagged)
    assert tag_of(state, 2, 2) == 4095
    assert confirmations.holders("blue") == [1]
    assert confirmations.waited_for(1) == [Wait("blue", KEY)]
    # A bundle that was on its way already tells nothing of that port.
    confirmations.holds(1, {PortSubject(1)}, {PortSubject(2), RED})
    confirmations.holds_only(1, {PortSubject(1)})
    assert tag_of(state, 2, 2) == 4095
    state.changes.take()
    confirmations.holds(1, NONE, {PortSubject(1)})
    assert state.changes.take().tags == {2}
    assert tag_of(state, 2, 2) == KEY
    assert confirmations.holders("blue") == []
    assert confirmations.waited_for(1) == []
    assert not confirmations.is_dismissed(1)


def test_in_a_vlan_of_nobody_they_are_in_nobodys_way(tagged: Cloud) -> None:
    tagged.tag(1, 2, 77)
    tagged.state.remove_network("blue")
    tagged.state.remove_switch(1)
    assert tagged.state.confirmations.waited_for(1) == [], "nobody has that VLAN"
    tagged.state.confirmations.holds_only(1, NONE)
    assert not tagged.state.confirmations.is_dismissed(1)


@pytest.mark.parametrize("end", [Confirmations.disconnected, Confirmations.failed])
def test_they_linger_no_longer_when_it_does_not_confirm(
    tagged: Cloud, end: Callable[[Confirmations, int], None]
) -> None:
    state = tagged.state
    tagged.tag(2, 1, 4095)
    # It was in another network's already.
    hand_over(tagged)
    assert tag_of(state, 2, 2) == 4095
    state.remove_switch(1)
    assert tag_of(state, 2, 2) == 4095
    state.confirmations.dismissal_recorded(1)
    end(state.confirmations, 1)
    assert tag_of(state, 2, 2) == KEY


def test_they_linger_over_a_restart_and_not_when_that_is_taken_back(tagged: Cloud) -> None:
    state = tagged.state
    tagged.tag(2, 1, 4095)
    kept = records(state)
    state.remove_switch(1)
    order = state.changes.take().records
    state.key_changed("red")
    hand_over(tagged)
    # What the file has by then, one record of each id.
    now = {record.id: record for record in kept}
    for changes in (order, state.changes.take().records):
        now.update({i: Record(*i, change.new) for i, change in changes.items()})
    there = [record for record in now.values() if record.value is not None]
    assert of_table(there, LINGERING) == [(1, 1, KEY, "red")]
    new = State(VLANS)
    new.ports.vlans.tell_apart()
    new.apply(there)
    assert tag_of(new, 2, 2) == 4095
    assert new.confirmations.missing() == [1]
    new.confirmations.failed(1)
    assert tag_of(new, 2, 2) == KEY
    assert of_table(records(new), LINGERING) == []
    state.apply(Record(*record_id, change.old) for record_id, change in order.items())
    assert tag_of(state, 2, 2) == 4095, "the port is known again, and is a stranger"
    assert not state.confirmations.is_dismissed(1)
    tagged.tag(1, 1, 4095)
    assert tag_of(state, 2, 2) == KEY


def test_those_of_a_switch_that_is_registered_again_do_not_linger(tagged: Cloud) -> None:
    state, confirmations = tagged.state, tagged.state.confirmations
    state.remove_switch(1)
    tagged.switch(1)
    assert not confirmations.is_dismissed(1)
    tagged.tag(2, 1, 4095)
    hand_over(tagged)
    assert confirmations.holders("blue") == [1]
    tagged.plug(1, 1, "red", A)
    tagged.tag(1, 1, 4095)
    confirmations.holds(1, NONE, {RED})
    assert confirmations.holders("blue") == []


no_vms_row = pytest.mark.parametrize(
    "gone", [InterfaceFact("tap1", 1, mac=A), InterfaceFact("tap1", 1, "x")]
)


@no_vms_row
def test_a_port_that_is_no_vms_any_more_lingers_until_it_has_no_flow(
    tagged: Cloud, gone: InterfaceFact
) -> None:
    state, confirmations = tagged.state, tagged.state.confirmations
    tagged.tag(2, 1, 4095)
    state.ports.update_interfaces(1, {"tap1": gone._replace(tag=KEY)})
    assert tag_of(state, 2, 1) == KEY, "it is its own VLAN"
    hand_over(tagged)
    # A bundle that was on its way already says nothing of that.
    confirmations.holds(1, {PortSubject(1)}, NONE)
    confirmations.holds_only(1, {PortSubject(1)})
    confirmations.disconnected(1)
    assert tag_of(state, 2, 2) == 4095
    assert confirmations.waited_for(1) == [Wait("blue", KEY)]
    tagged.tag(1, 1, 4095)
    assert tag_of(state, 2, 2) == 4095
    confirmations.holds(1, NONE, {PortSubject(1)})
    assert tag_of(state, 2, 2) == KEY
    assert confirmations.waited_for(1) == []


@no_vms_row
def test_a_port_that_is_no_vms_any_more_lingers_until_it_has_left_the_vlan(
    tagged: Cloud, gone: InterfaceFact
) -> None:
    """It hears what is sent there, although it may send nothing."""
    state, confirmations = tagged.state, tagged.state.confirmations
    tagged.tag(2, 1, 4095)
    state.ports.update_interfaces(1, {"tap1": gone._replace(tag=KEY)})
    hand_over(tagged)
    confirmations.holds(1, NONE, {PortSubject(1)})
    state.ports.retag(1, {"tap1": 4095})
    tagged.tag(1, 1, 4095)
    confirmations.holds_only(1, NONE)
    assert tag_of(state, 2, 2) == 4095
    assert confirmations.waited_for(1) == [Wait("blue", KEY)]
    state.changes.take()
    state.ports.tags_are_set(1, ["tap1"])
    # So its switch confirms once more.
    assert PortSubject(1) in state.changes.take().subjects[1]
    confirmations.holds(1, NONE, {PortSubject(1)})
    assert tag_of(state, 2, 2) == KEY


def test_a_port_that_is_no_vms_any_more_and_goes_lingers_no_longer(tagged: Cloud) -> None:
    state, confirmations = tagged.state, tagged.state.confirmations
    tagged.tag(2, 1, 4095)
    state.ports.update_interfaces(1, {"tap1": InterfaceFact("tap1", 1, tag=KEY)})
    hand_over(tagged)
    confirmations.holds(1, NONE, {PortSubject(1)})
    state.changes.take()
    tagged.unplug(1, 1)
    assert PortSubject(1) in state.changes.take().subjects[1]
    confirmations.holds(1, NONE, {PortSubject(1)})
    assert tag_of(state, 2, 2) == KEY


def test_a_port_that_goes_does_not_linger(tagged: Cloud) -> None:
    state = tagged.state
    tagged.tag(2, 1, 4095)
    hand_over(tagged)
    tagged.unplug(1, 1)
    assert tag_of(state, 2, 2) == KEY
