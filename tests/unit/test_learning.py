"""A MAC is in one network of the fleet at a time: attached, learned, refused, freed."""

from __future__ import annotations

import random

import pytest

from ryu_l2iso.state.learning import MAX_REFUSALS
from ryu_l2iso.state.ports import PortId
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PortSubject
from tests.unit.mac_cloud import MacCloud

A, B, C, SECOND = (f"fa:16:3e:00:00:0{n}" for n in range(1, 5))


@pytest.fixture
def cloud() -> MacCloud:
    """Networks "red" with VMs on switches 1 and 2, and "blue" with one on switch 2."""
    built = MacCloud()
    built.networks("red", "blue")
    built.plug(1, 1, "red", A)
    built.plug(2, 1, "red", B)
    built.plug(2, 2, "blue", C)
    built.refusals()
    return built


def places(cloud: MacCloud, network_id: str, mac: str) -> set[PortId]:
    return set(cloud.state.topology.locations(network_id, mac))


def learn(cloud: MacCloud, dpid: int, port_no: int, mac: str) -> None:
    cloud.state.macs.learn(PortId(dpid, port_no), mac)


def test_a_learned_mac_is_known_on_every_switch_of_the_network(cloud: MacCloud) -> None:
    learn(cloud, 1, 1, SECOND)
    assert places(cloud, "red", SECOND) == {PortId(1, 1)}
    touched = {1: {MacSubject("red", SECOND)}, 2: {MacSubject("red", SECOND)}}
    assert cloud.state.changes.take().subjects == touched
    learn(cloud, 1, 1, SECOND)
    assert not cloud.state.changes


def test_a_port_removed_frees_its_learned_macs_everywhere(cloud: MacCloud) -> None:
    learn(cloud, 1, 1, SECOND)
    cloud.state.changes.take()
    cloud.unplug(1, 1)
    assert places(cloud, "red", SECOND) == set()
    assert cloud.learned(1, 1) == []
    assert MacSubject("red", SECOND) in cloud.state.changes.take().subjects[2]
    learn(cloud, 2, 2, SECOND)
    assert places(cloud, "blue", SECOND) == {PortId(2, 2)}


@pytest.mark.parametrize("mac", [A, "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
def test_the_own_mac_and_what_is_no_stations_are_not_learned(cloud: MacCloud, mac: str) -> None:
    learn(cloud, 1, 1, mac)
    assert cloud.learned(1, 1) == []
    assert not cloud.state.changes


def test_a_port_that_gets_no_flows_learns_nothing(cloud: MacCloud) -> None:
    cloud.plug(1, 9, "no-such-network", "fa:16:3e:00:00:09")
    cloud.uplink(1)
    for port_no in (9, 77, 500):
        learn(cloud, 1, port_no, SECOND)
        assert cloud.learned(1, port_no) == []


def test_a_waiting_port_learns_nothing(cloud: MacCloud) -> None:
    cloud.plug(2, 9, "red", A, "iface-1-1")
    learn(cloud, 2, 9, SECOND)
    assert cloud.learned(2, 9) == []
    assert cloud.state.guest_shown(PortId(2, 9))
    learn(cloud, 2, 9, SECOND)
    assert cloud.learned(2, 9) == [SECOND]


def test_a_port_that_waits_or_runs_again_has_its_learned_macs_looked_at(cloud: MacCloud) -> None:
    learn(cloud, 1, 1, SECOND)
    cloud.plug(2, 9, "red", A, "iface-1-1")
    cloud.state.changes.take()
    cloud.state.guest_shown(PortId(2, 9))
    assert MacSubject("red", SECOND) in cloud.state.changes.take().subjects[1]


def test_a_mac_of_another_network_is_refused_and_told_once_with_both_places(
    cloud: MacCloud,
) -> None:
    learn(cloud, 1, 1, C)
    learn(cloud, 1, 1, C)
    assert cloud.learned(1, 1) == []
    assert cloud.refusals() == [
        "switch 0000000000000001 port 1 (tap1) in network red may not use MAC fa:16:3e:00:00:03: "
        "switch 0000000000000002 port 2 (tap2) in network blue does"
    ]
    learn(cloud, 1, 1, SECOND)
    learn(cloud, 2, 2, SECOND)
    assert cloud.learned(2, 2) == []
    assert len(cloud.refusals()) == 1


def test_a_mac_attached_to_another_port_of_the_network_is_refused(cloud: MacCloud) -> None:
    learn(cloud, 1, 1, B)
    assert places(cloud, "red", B) == {PortId(2, 1)}
    assert len(cloud.refusals()) == 1


def test_within_a_network_a_learned_mac_follows_who_sends_from_it(cloud: MacCloud) -> None:
    learn(cloud, 1, 1, SECOND)
    learn(cloud, 2, 1, SECOND)
    assert places(cloud, "red", SECOND) == {PortId(2, 1)}
    assert cloud.learned(1, 1) == []


def test_attached_beats_learned(cloud: MacCloud) -> None:
    learn(cloud, 1, 1, SECOND)
    cloud.plug(2, 3, "blue", SECOND)
    assert (places(cloud, "red", SECOND), cloud.learned(1, 1)) == (set(), [])
    assert places(cloud, "blue", SECOND) == {PortId(2, 3)}


def test_of_two_attached_the_first_stays_and_the_later_gets_its_turn(cloud: MacCloud) -> None:
    cloud.plug(2, 3, "blue", A)
    cloud.plug(2, 4, "blue", A)
    cloud.plug(3, 1, "red", A)
    assert len(cloud.refusals()) == 2
    assert places(cloud, "red", A) == {PortId(1, 1), PortId(3, 1)}
    assert places(cloud, "blue", A) == set()
    learn(cloud, 2, 3, SECOND)
    assert cloud.learned(2, 3) == []
    cloud.unplug(1, 1)
    assert places(cloud, "blue", A) == set()
    cloud.unplug(3, 1)
    assert places(cloud, "blue", A) == {PortId(2, 3), PortId(2, 4)}
    touched = cloud.state.changes.take().subjects[2]
    assert {PortSubject(3), PortSubject(4), NetworkSubject("blue")} <= touched
    cloud.unplug(2, 4)
    cloud.unplug(2, 3)
    cloud.plug(2, 5, "red", A)
    assert places(cloud, "red", A) == {PortId(2, 5)}


def test_one_that_waits_may_go_before_its_turn(cloud: MacCloud) -> None:
    cloud.plug(2, 3, "blue", A)
    cloud.unplug(2, 3)
    cloud.unplug(1, 1)
    assert places(cloud, "blue", A) == set()


def test_a_port_that_changes_but_for_network_and_mac_keeps_its_turn_and_what_it_learned(
    cloud: MacCloud,
) -> None:
    cloud.plug(2, 3, "blue", A)
    learn(cloud, 1, 1, SECOND)
    for network_id, key in (("red", 5), ("blue", 6)):
        cloud.state.add_key(network_id, key)
    assert places(cloud, "red", A) == places(cloud, "red", SECOND) == {PortId(1, 1)}
    assert places(cloud, "blue", A) == set()


def test_the_oldest_learned_mac_makes_room() -> None:
    cloud = MacCloud(learning_max=2)
    cloud.networks("red")
    cloud.plug(1, 1, "red", A)
    for mac in (B, C, SECOND):
        learn(cloud, 1, 1, mac)
    assert cloud.learned(1, 1) == [C, SECOND]
    assert places(cloud, "red", B) == set()


def test_nothing_is_learned_where_that_is_off() -> None:
    cloud = MacCloud(learning_max=0)
    cloud.networks("red")
    cloud.plug(1, 1, "red", A)
    learn(cloud, 1, 1, SECOND)
    assert cloud.learned(1, 1) == []


def test_a_flood_of_macs_takes_no_more_room_than_those_that_are_kept(cloud: MacCloud) -> None:
    numbers = random.Random(1)
    for _ in range(20_000):
        learn(cloud, 1, 1, f"02:{numbers.randrange(2**40).to_bytes(5, 'big').hex(':')}")
        cloud.state.changes.take()
    assert len(cloud.learned(1, 1)) == 64
    assert len(cloud.state.topology.subjects_of(1, "red")) == 1 + 2 + 64


def test_a_flood_of_refused_macs_is_told_up_to_a_limit(cloud: MacCloud) -> None:
    attached = [f"fa:16:3e:00:01:{n:02x}" for n in range(MAX_REFUSALS + 10)]
    for number, mac in enumerate(attached):
        cloud.plug(3, number + 1, "blue", mac)
    for mac in attached * 2:
        learn(cloud, 1, 1, mac)
    assert len(cloud.refusals()) == MAX_REFUSALS
    cloud.unplug(1, 1)
    cloud.plug(1, 1, "red", A)
    learn(cloud, 1, 1, attached[0])
    assert len(cloud.refusals()) == 1


def test_where_macs_do_not_tell_networks_apart_two_networks_have_one() -> None:
    cloud = MacCloud()
    cloud.state = type(cloud.state)()
    cloud.networks("red", "blue")
    for port_no, network_id in ((1, "red"), (2, "blue")):
        cloud.plug(1, port_no, network_id, A)
        assert places(cloud, network_id, A) == {PortId(1, port_no)}
    cloud.unplug(1, 1)
    assert places(cloud, "red", A) == set()


# A MAC that goes from one network to another: not before all switches are rid of it


RED, RED_A, BLUE_A = NetworkSubject("red"), MacSubject("red", A), MacSubject("blue", A)


@pytest.fixture
def held(cloud: MacCloud) -> MacCloud:
    """The MAC of "red" was sent to both switches; a port of "blue" wants it now."""
    for dpid in (1, 2):
        cloud.state.confirmations.connected(dpid)
        cloud.state.confirmations.may_hold(dpid, {RED, RED_A})
    cloud.unplug(1, 1)
    cloud.refusals()
    cloud.plug(2, 3, "blue", A)
    return cloud


def test_a_mac_is_free_for_another_network_once_every_switch_has_confirmed(held: MacCloud) -> None:
    assert held.refusals() == [
        "switch 0000000000000002 port 3 (tap3) in network blue may not use MAC fa:16:3e:00:00:01: "
        "not before it is confirmed to be in no other network any more by 0000000000000001, "
        "0000000000000002"
    ]
    held.state.confirmations.holds(1, set(), {RED, RED_A, BLUE_A})
    assert places(held, "blue", A) == set()
    held.state.confirmations.holds_only(2, {BLUE_A, RED})
    assert places(held, "blue", A) == {PortId(2, 3)}
    assert PortSubject(3) in held.state.changes.take().subjects[2]


def test_a_confirmation_of_the_mac_alone_is_enough(held: MacCloud) -> None:
    held.state.confirmations.holds(1, set(), {BLUE_A})
    for dpid in (1, 2):
        assert places(held, "blue", A) == set()
        held.state.confirmations.holds(dpid, {RED}, {RED_A})
    assert places(held, "blue", A) == {PortId(2, 3)}


def test_what_a_switch_still_has_is_not_confirmed_to_be_gone(held: MacCloud) -> None:
    for dpid in (1, 2):
        held.state.confirmations.holds_only(dpid, {RED, RED_A})
    assert places(held, "blue", A) == set()


def test_it_is_free_for_its_own_network_at_once(held: MacCloud) -> None:
    held.plug(1, 4, "red", SECOND)
    learn(held, 1, 4, A)
    assert held.learned(1, 4) == []
    held.unplug(2, 3)
    learn(held, 1, 4, A)
    assert held.learned(1, 4) == [A]


def test_a_mac_that_may_still_be_held_is_not_learned_elsewhere(held: MacCloud) -> None:
    held.unplug(2, 3)
    learn(held, 2, 2, A)
    assert held.learned(2, 2) == []
    for dpid in (1, 2):
        held.state.confirmations.holds_only(dpid, set())
    learn(held, 2, 2, A)
    assert held.learned(2, 2) == [A]


def test_an_interface_that_goes_to_another_network_waits_for_it(cloud: MacCloud) -> None:
    cloud.state.confirmations.may_hold(2, {RED, RED_A})
    cloud.state.remove_interface("iface-1-1")
    cloud.state.ensure_interface_value("iface-1-1", "network_id", "blue")
    assert places(cloud, "blue", A) == set()
    cloud.state.confirmations.holds(2, set(), {RED_A})
    assert places(cloud, "blue", A) == {PortId(1, 1)}


def test_it_is_held_where_it_was_sent_before_it_went_and_came_back(held: MacCloud) -> None:
    held.state.confirmations.disconnected(1)
    held.plug(2, 5, "red", A)
    assert places(held, "red", A) == {PortId(2, 5)}
    held.unplug(2, 5)
    held.state.confirmations.holds_only(2, set())
    assert places(held, "blue", A) == set()
    held.state.confirmations.holds_only(1, set())
    assert places(held, "blue", A) == {PortId(2, 3)}


def test_a_mac_that_came_after_a_switch_was_lost_is_not_held_there(held: MacCloud) -> None:
    """Otherwise what is waited for would grow as long as a switch is away."""
    held.state.confirmations.disconnected(1)
    learn(held, 2, 1, SECOND)
    held.unplug(2, 1)
    held.plug(2, 5, "blue", SECOND)
    held.state.confirmations.holds_only(2, set())
    assert places(held, "blue", SECOND) == {PortId(2, 5)}
    assert places(held, "blue", A) == set()


def test_a_refusal_that_is_known_is_not_recorded_again() -> None:
    cloud = MacCloud()
    for news in (1, 0):
        cloud.state.macs.put_refused(PortId(1, 1), A)
        assert len(cloud.state.changes.take().records) == news
