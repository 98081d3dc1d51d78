"""What switches may hold: keys and MACs in force, who waits for whom, and what a restart keeps."""

from __future__ import annotations

from typing import Callable

import pytest

from ryu_l2iso.exceptions import Conflict, NotFound
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.pipelines.vlan import KEYS as VLANS
from ryu_l2iso.state.confirmations import Confirmations, Wait
from ryu_l2iso.state.ports import PortId, VMPort
from ryu_l2iso.state.records import (
    DISMISSED,
    HELD,
    LEARNED_MACS,
    MAC_NETWORKS,
    REFUSED_MACS,
    Record,
    Table,
)
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PortSubject, Subject
from tests.unit.cloud import Cloud
from tests.unit.mac_cloud import MacCloud

A, B, C = (f"fa:16:3e:00:00:0{n}" for n in range(1, 4))
KEY = 10
RED, BLUE = NetworkSubject("red"), NetworkSubject("blue")
NONE: set[Subject] = set()


@pytest.fixture
def cloud() -> Cloud:
    """Network "red" with key 10 on switches 1 and 2, which were sent it; "blue" has no key yet."""
    built = Cloud()
    built.network("red", KEY)
    built.state.add_network("blue")
    for dpid in (1, 2):
        built.state.confirmations.connected(dpid)
        built.plug(dpid, 1, "red", A)
        built.plug(dpid, 2, "blue", A)
        send(built.state, dpid, {RED})
    return built


def send(state: State, dpid: int, filled: set[Subject]) -> None:
    """Send a switch something; it is on disk before, and not confirmed."""
    confirmations = state.confirmations
    confirmations.recorded(confirmations.may_hold(dpid, filled))


def hand_over(cloud: Cloud) -> None:
    """Give the key of "red" to "blue"."""
    cloud.state.remove_key("red")
    cloud.state.add_key("blue", KEY)


def key_of(state: State, dpid: int) -> int | None:
    """Return the key of the port of "blue" on a switch."""
    port = state.ports.get(PortId(dpid, 2))
    assert isinstance(port, VMPort)
    return port.key


def records(state: State) -> list[Record]:
    """Return all records of a state, as if it was new."""
    changes = state.changes.take().records
    found = [Record(*record_id, change.new) for record_id, change in changes.items()]
    return [record for record in found if record.value is not None]


def of_table(found: list[Record], table: Table) -> list[tuple[object, ...]]:
    return sorted((*r.key, *(r.value or ())) for r in found if r.table is table)


# Keys


def test_a_key_is_in_force_once_every_switch_is_rid_of_the_old_network(cloud: Cloud) -> None:
    hand_over(cloud)
    state = cloud.state
    assert state.networks.key("blue") == KEY
    assert state.networks.key_in_force("blue") is None
    assert state.networks.waited_for("blue") == state.confirmations.holders("blue") == [1, 2]
    assert (key_of(state, 1), key_of(state, 2)) == (None, None)
    assert GrePipeline(state).desired(1, BLUE) == []
    state.confirmations.holds(1, NONE, {RED, PortSubject(1), MacSubject("red", A)})
    assert state.networks.waited_for("blue") == [2]
    assert state.confirmations.waited_for(1) == []
    assert state.confirmations.waited_for(2) == [Wait("blue", KEY)]
    state.changes.take()
    state.confirmations.holds_only(2, NONE)
    assert state.networks.key_in_force("blue") == KEY
    assert (key_of(state, 1), key_of(state, 2)) == (KEY, KEY)
    changes = state.changes.take()
    assert changes.waits == {"blue"}
    assert {BLUE, PortSubject(2)} <= changes.subjects[1]
    assert state.confirmations.holders("blue") == []
    assert state.confirmations.waited_for(2) == []


def test_a_network_keeps_a_key_that_comes_back_to_it_at_once(cloud: Cloud) -> None:
    hand_over(cloud)
    cloud.state.remove_key("blue")
    cloud.state.add_key("red", KEY)
    assert cloud.state.networks.key_in_force("red") == KEY
    assert cloud.state.confirmations.waited_for(1) == []


def test_a_network_with_another_key_now_frees_the_old_one_when_that_is_confirmed(
    cloud: Cloud,
) -> None:
    hand_over(cloud)
    state = cloud.state
    state.add_key("red", 11)
    for dpid in (1, 2):
        send(state, dpid, {RED})
    # A confirmation of something else says nothing of it.
    state.confirmations.holds(1, {PortSubject(7)}, {PortSubject(8)})
    assert state.networks.waited_for("blue") == [1, 2]
    state.confirmations.holds(1, {RED}, NONE)
    state.confirmations.holds_only(2, {RED})
    assert state.networks.key_in_force("blue") == KEY
    assert state.networks.held.on(1) == state.networks.held.on(2) == {"red": [11]}


def test_what_was_sent_and_not_confirmed_may_be_held_with_either_key(cloud: Cloud) -> None:
    state = cloud.state
    state.remove_key("red")
    state.add_key("red", 11)
    send(state, 1, {RED})
    state.remove_key("red")
    state.add_key("red", KEY)
    send(state, 1, {RED})
    assert state.networks.held.on(1) == {"red": [11, KEY]}
    assert state.networks.held.dpids() == [1, 2]
    state.confirmations.holds(1, {RED}, NONE)
    assert state.networks.held.on(1) == {"red": [KEY]}


def test_what_is_new_is_to_be_on_disk_and_what_cannot_be_is_not_held(cloud: Cloud) -> None:
    confirmations = cloud.state.confirmations
    assert not confirmations.may_hold(1, {RED})
    unrecorded = confirmations.may_hold(3, {RED, PortSubject(1)})
    assert unrecorded.held == [("red", KEY)]
    assert cloud.state.networks.held.dpids() == [1, 2, 3]
    confirmations.not_recorded(3, unrecorded)
    assert cloud.state.networks.held.dpids() == [1, 2]
    assert confirmations.may_hold(3, {RED})


def test_who_waited_for_what_was_not_recorded_goes_on(cloud: Cloud) -> None:
    """A key may have gone to another network while the disk was waited for."""
    confirmations = cloud.state.confirmations
    unrecorded = confirmations.may_hold(3, {RED})
    hand_over(cloud)
    for dpid in (1, 2):
        confirmations.holds(dpid, NONE, {RED})
    assert key_of(cloud.state, 1) is None
    confirmations.not_recorded(3, unrecorded)
    assert key_of(cloud.state, 1) == KEY


def test_confirmations_of_what_was_never_sent_change_nothing(cloud: Cloud) -> None:
    cloud.state.confirmations.holds(9, {BLUE}, {RED, MacSubject("red", A)})
    cloud.state.confirmations.discard_held(9, "red", KEY)
    assert cloud.state.networks.held.holders("red", KEY) == {1, 2}


# Registrations


def test_a_switch_that_is_gone_for_good_is_waited_for_no_more(cloud: Cloud) -> None:
    state = cloud.state
    hand_over(cloud)
    state.confirmations.holds_only(1, NONE)
    state.confirmations.disconnected(2)
    # It was never registered, but it is waited for.
    state.remove_switch(2)
    assert state.networks.waited_for("blue") == [2], "that is not on disk"
    state.confirmations.dismissal_recorded(2)
    assert state.networks.key_in_force("blue") == KEY
    with pytest.raises(NotFound):
        state.remove_switch(2)


@pytest.mark.parametrize(
    "end",
    [
        lambda state: state.confirmations.disconnected(2),
        lambda state: state.confirmations.failed(2),
        lambda state: state.confirmations.holds(2, NONE, {RED}),
    ],
)
def test_while_it_is_connected_it_may_confirm_or_fail_to(
    cloud: Cloud, end: Callable[[State], None]
) -> None:
    state = cloud.state
    cloud.switch(2)
    hand_over(cloud)
    state.confirmations.holds_only(1, NONE)
    state.remove_switch(2)
    state.confirmations.dismissal_recorded(2)
    assert state.networks.waited_for("blue") == [2]
    end(state)
    assert state.networks.key_in_force("blue") == KEY
    assert not state.confirmations.is_dismissed(2)


@pytest.mark.parametrize("end", [Confirmations.disconnected, Confirmations.failed])
def test_it_may_not_fail_before_its_dismissal_is_on_disk(
    cloud: Cloud, end: Callable[[Confirmations, int], None]
) -> None:
    state, confirmations = cloud.state, cloud.state.confirmations
    cloud.switch(2)
    hand_over(cloud)
    confirmations.holds_only(1, NONE)
    state.changes.take()
    state.remove_switch(2)
    order = state.changes.take().records
    end(confirmations, 2)
    assert state.networks.waited_for("blue") == [2]
    state.apply(Record(*record_id, change.old) for record_id, change in order.items())
    confirmations.dismissal_recorded(2)
    end(confirmations, 2)
    assert state.networks.waited_for("blue") == [2], "that was taken back"


def test_a_registration_that_is_taken_back_dismisses_nobody(cloud: Cloud) -> None:
    state = cloud.state
    hand_over(cloud)
    state.changes.take()
    cloud.switch(2)
    order = state.changes.take().records
    state.apply(Record(*record_id, change.old) for record_id, change in order.items())
    assert 2 not in state.switches
    state.confirmations.dismissal_recorded(2)
    state.confirmations.disconnected(2)
    assert 2 in state.networks.waited_for("blue")


def test_what_is_gone_for_good_is_so_after_a_restart(cloud: Cloud) -> None:
    for dpid in (1, 2):
        cloud.switch(dpid)
    hand_over(cloud)
    for dpid in (1, 2):
        cloud.state.remove_switch(dpid)
    kept = records(cloud.state)
    assert of_table(kept, DISMISSED) == [(1,), (2,)]
    state = State(cloud.state.networks.key_range)
    state.apply(kept)
    assert state.networks.waited_for("blue") == state.confirmations.missing() == [1, 2]
    state.confirmations.connected(1)
    assert state.confirmations.missing() == [2]
    state.confirmations.failed(2)
    assert state.networks.waited_for("blue") == [1]
    state.confirmations.holds_only(1, NONE)
    assert state.networks.waited_for("blue") == state.confirmations.missing() == []
    assert of_table(records(state), DISMISSED) == []


def test_nobody_is_dismissed_who_holds_nothing(cloud: Cloud) -> None:
    cloud.switch(3)
    cloud.state.remove_switch(3)
    assert not cloud.state.confirmations.is_dismissed(3)


def test_one_that_is_registered_again_is_waited_for(cloud: Cloud) -> None:
    state = cloud.state
    cloud.switch(2)
    state.remove_switch(2)
    cloud.switch(2)
    hand_over(cloud)
    state.confirmations.disconnected(2)
    state.confirmations.failed(1)
    assert state.networks.waited_for("blue") == [1, 2]


def test_nobody_puts_the_value_that_tells_what_is_waited_for(cloud: Cloud) -> None:
    with pytest.raises(Conflict, match="waited_for"):
        cloud.state.set_switch_value(1, "waited_for", [])


# A restart


def test_a_key_waits_after_a_restart_as_before(cloud: Cloud) -> None:
    for dpid in (1, 2):
        cloud.switch(dpid)
    hand_over(cloud)
    cloud.state.confirmations.holds_only(1, NONE)
    kept = records(cloud.state)
    assert of_table(kept, HELD) == [(2, "red", KEY)]
    cloud.state = State(cloud.state.networks.key_range)
    cloud.state.apply(kept)
    assert "blue" in cloud.state.changes.waits
    assert cloud.state.networks.waited_for("blue") == [2]
    assert key_of(cloud.state, 1) is None
    cloud.state.apply([Record(HELD, (2, "red", KEY), None)])
    assert key_of(cloud.state, 1) == KEY


@pytest.fixture
def macs() -> MacCloud:
    """Networks "red" and "blue" on switches 1 and 2; "red" has A on switch 1 and was sent."""
    built = MacCloud(learning_max=2)
    built.networks("red", "blue")
    for dpid in (1, 2):
        built.switch(dpid)
        built.state.confirmations.connected(dpid)
    built.plug(1, 1, "red", A)
    for dpid in (1, 2):
        send(built.state, dpid, {RED, MacSubject("red", A)})
    return built


def restarted(cloud: MacCloud, kept: list[Record]) -> MacCloud:
    """Return the same cloud after a restart of the controller."""
    new = MacCloud(learning_max=2)
    new.state.apply(kept)
    return new


def has_mac(cloud: MacCloud, network_id: str, mac: str) -> bool:
    return bool(cloud.state.topology.locations(network_id, mac))


def test_a_mac_is_on_disk_before_it_is_sent_for_the_first_time(macs: MacCloud) -> None:
    macs.plug(1, 2, "red", B)
    filled: set[Subject] = {RED, MacSubject("red", A), MacSubject("red", B)}
    first = macs.state.confirmations.may_hold(1, filled)
    second = macs.state.confirmations.may_hold(2, filled)
    assert first.macs.keys() == second.macs.keys() == {B}
    macs.state.confirmations.recorded(first)
    assert not macs.state.confirmations.may_hold(2, filled)
    macs.plug(1, 3, "red", C)
    macs.unplug(1, 3)
    assert not macs.state.confirmations.may_hold(2, {MacSubject("red", C)})


def test_what_is_on_disk_of_a_mac_says_nothing_of_its_return(macs: MacCloud) -> None:
    confirmations, filled = macs.state.confirmations, {MacSubject("red", B)}
    macs.plug(1, 2, "red", B)
    before = confirmations.may_hold(1, filled)
    assert before.number == macs.state.changes.take().number
    macs.unplug(1, 2)
    macs.plug(1, 3, "red", B)
    confirmations.recorded(before)
    again = confirmations.may_hold(1, filled)
    assert again.number == macs.state.changes.number == before.number + 1
    confirmations.recorded(again)
    assert not confirmations.may_hold(1, filled)


def test_a_network_that_is_new_is_on_disk_with_the_change_that_is_due(cloud: Cloud) -> None:
    cloud.state.changes.take()
    unrecorded = cloud.state.confirmations.may_hold(3, {RED})
    assert unrecorded.number == cloud.state.changes.take().number


def test_the_network_that_had_a_mac_keeps_it_over_a_restart(macs: MacCloud) -> None:
    macs.plug(2, 2, "blue", A)
    assert len(macs.state.changes.refusals) == 1
    kept = records(macs.state)
    assert of_table(kept, MAC_NETWORKS) == [(A, "red")]
    assert of_table(kept, REFUSED_MACS) == [(2, 2, A)]
    for order in (kept, kept[::-1]):
        new = restarted(macs, order)
        assert (has_mac(new, "red", A), has_mac(new, "blue", A)) == (True, False)
        assert new.refusals() == [], "it was told before"


def test_a_mac_that_left_is_waited_for_after_a_restart(macs: MacCloud) -> None:
    macs.unplug(1, 1)
    macs.plug(2, 2, "blue", A)
    kept = records(macs.state)
    assert of_table(kept, MAC_NETWORKS) == [(A, "red")]
    new = restarted(macs, kept)
    waits = [Wait("blue", mac=A)]
    for dpid in (1, 2):
        assert new.state.confirmations.waited_for(dpid) == waits
    new.state.confirmations.connected(1)
    new.state.confirmations.holds_only(1, NONE)
    assert not has_mac(new, "blue", A)
    assert new.state.confirmations.waited_for(1) == []
    new.state.confirmations.holds_only(2, NONE)
    assert has_mac(new, "blue", A)
    changes = new.state.changes.take()
    assert (MAC_NETWORKS, (A,)) not in changes.records


def test_it_may_come_back_to_its_own_network(macs: MacCloud) -> None:
    macs.unplug(1, 1)
    new = restarted(macs, records(macs.state))
    assert new.state.confirmations.waited_for(1) == [], "nobody wants it"
    new.plug(1, 4, "red", A)
    assert has_mac(new, "red", A)
    new.state.apply([Record(MAC_NETWORKS, (A,), ("blue",))])
    assert has_mac(new, "red", A)
    new.state.apply([Record(MAC_NETWORKS, (A,), None)])


def test_what_ports_have_learned_is_there_after_a_restart(macs: MacCloud) -> None:
    for mac in (B, C):
        macs.state.macs.learn(PortId(1, 1), mac)
    kept = records(macs.state)
    assert of_table(kept, LEARNED_MACS) == [(1, 1, B, 1), (1, 1, C, 2)]
    for order in (kept, kept[::-1]):
        new = restarted(macs, order)
        assert new.learned(1, 1) == [B, C]
        assert has_mac(new, "red", B)
    new.state.apply([Record(LEARNED_MACS, (1, 1, B), None), Record(LEARNED_MACS, (1, 1, A), None)])
    assert new.learned(1, 1) == [C]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ((1, 9, B), "there is no such port"),
        ((1, 1, A), "it is attached there"),
        ((1, 1, C), "another network had it"),
    ],
)
def test_what_does_not_hold_any_more_is_not_learned(
    macs: MacCloud, key: tuple[int, int, str], why: str
) -> None:
    macs.plug(2, 2, "blue", C)
    send(macs.state, 2, {BLUE})
    macs.unplug(2, 2)
    new = restarted(macs, [*records(macs.state), Record(LEARNED_MACS, key, (1,))])
    assert new.learned(*key[:2]) == [], why


def test_not_more_is_learned_than_a_port_may_by_now(macs: MacCloud) -> None:
    extra = [Record(LEARNED_MACS, (1, 1, f"fa:16:3e:00:01:0{n}"), (n,)) for n in range(4)]
    new = restarted(macs, [*records(macs.state), *extra])
    assert len(new.learned(1, 1)) == 2


def test_what_was_told_is_told_again_when_that_is_taken_back(macs: MacCloud) -> None:
    macs.plug(2, 2, "blue", A)
    new = restarted(macs, records(macs.state))
    for _ in range(2):
        new.state.apply([Record(REFUSED_MACS, (2, 2, A), None)])
    new.unplug(2, 2)
    new.plug(2, 2, "blue", A)
    assert len(new.refusals()) == 1
    new.unplug(2, 2)
    assert of_table(records(new.state), REFUSED_MACS) == []


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_mac_waits_for_a_switch_that_is_let_go(macs: MacCloud, is_connected: bool) -> None:
    state = macs.state
    if not is_connected:
        state.confirmations.disconnected(1)
    state.confirmations.holds_only(2, NONE)
    state.remove_switch(1)
    macs.plug(2, 2, "blue", A)
    assert state.confirmations.waited_for(1) == [Wait("blue", mac=A)]
    assert not has_mac(macs, "blue", A)
    state.confirmations.dismissal_recorded(1)
    assert has_mac(macs, "blue", A) is not is_connected
    state.confirmations.holds(1, NONE, {RED, MacSubject("red", A)})
    assert has_mac(macs, "blue", A)


# VLANs


def test_a_port_in_another_networks_vlan_is_waited_for() -> None:
    cloud = Cloud(keys=VLANS)
    cloud.network("red", KEY)
    cloud.state.add_network("blue")
    cloud.plug(1, 1, "red", A)
    cloud.plug(2, 2, "blue", B)
    cloud.tag(1, 1, KEY)
    hand_over(cloud)
    confirmations = cloud.state.confirmations
    assert confirmations.waited_for(1) == []
    assert confirmations.holders("blue") == []
    cloud.state.ports.vlans.tell_apart()
    assert confirmations.waited_for(1) == [Wait("blue", KEY)]
    assert confirmations.holders("blue") == [1]
    assert confirmations.holders("red") == []
    assert confirmations.waited_for(2) == []
    cloud.tag(1, 1, 4095)
    assert confirmations.waited_for(1) == []
    assert confirmations.holders("blue") == []
    cloud.tag(2, 2, 77)
    assert confirmations.waited_for(2) == [], "nobody has that key"


def test_who_connects_and_may_hold_nothing_leaves_nothing(cloud: Cloud) -> None:
    """A peer may say that it is any switch, and each time another."""
    confirmations, leftovers = cloud.state.confirmations, cloud.state.ports.leftovers
    before = dict(leftovers._until)
    for dpid in range(1000, 1100):
        confirmations.connected(dpid)
        confirmations.disconnected(dpid)
    assert leftovers._until == before
