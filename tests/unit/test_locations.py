"""Which of an interface's locations is active, whatever happens during a migration."""

from __future__ import annotations

from collections import Counter

import pytest

from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PortSubject
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator, Packet

MAC = "fa:16:3e:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
SOURCE, DESTINATION = PortId(1, 1), PortId(2, 9)
# By switch: beside the source, beside the destination, on a third one.
PEERS = {PortId(1, 2): "fa:16:3e:00:00:02", PortId(2, 2): "fa:16:3e:00:00:03"}
PEERS[PortId(3, 1)] = "fa:16:3e:00:00:04"


@pytest.fixture
def cloud() -> Cloud:
    """Return a cloud in which the interface "moving" is plugged at its source."""
    return wired(Cloud())


def wired(built: Cloud) -> Cloud:
    """Return a cloud after "moving" and its peers were plugged."""
    built.network("red", 42)
    for dpid in (1, 2, 3):
        built.switch(dpid)
    built.plug(*SOURCE, "red", MAC, "moving")
    for peer, mac in PEERS.items():
        built.plug(*peer, "red", mac)
    built.update_tunnels()
    return built


def plug_destination(cloud: Cloud) -> None:
    """Do what libvirt does first."""
    cloud.plug(*DESTINATION, "red", MAC, "moving")
    cloud.update_tunnels()


def active(cloud: Cloud) -> list[PortId]:
    """Return the active ones of the complete locations of "moving"."""
    topology, ports = cloud.state.topology, cloud.state.locations("moving")
    complete = [port.id for port in ports if port.id in topology.locations("red", port.mac or "")]
    return [port_id for port_id in complete if topology.is_active(port_id)]


def receivers(cloud: Cloud, eth_dst: str = MAC) -> list[Counter[PortId]]:
    """Return which locations of "moving" get a packet, for each peer that sends one."""
    evaluator = Evaluator(cloud.state)
    found = []
    for peer, mac in PEERS.items():
        arrived = evaluator.send(peer, Packet(mac, eth_dst))
        found.append(Counter({p: n for p, n in arrived.items() if p in (SOURCE, DESTINATION)}))
    return found


def heard(cloud: Cloud, sender: PortId) -> Counter[PortId]:
    """Return where a unicast to every peer and a broadcast from a port arrive."""
    evaluator = Evaluator(cloud.state)
    arrived: Counter[PortId] = Counter()
    for eth_dst in (BROADCAST, *PEERS.values()):
        arrived += evaluator.send(sender, Packet(MAC, eth_dst))
    return arrived


def assert_only(cloud: Cloud, location: PortId, other: PortId) -> None:
    """Check that one location sends and receives everything once, and the other nothing."""
    assert active(cloud) == [location]
    for eth_dst in (MAC, BROADCAST):
        assert receivers(cloud, eth_dst) == [Counter([location])] * len(PEERS)
    assert heard(cloud, location) == Counter(dict.fromkeys(PEERS, 2))
    assert heard(cloud, other) == Counter()


def test_a_move_in_every_step(cloud: Cloud) -> None:
    assert_only(cloud, SOURCE, DESTINATION)
    plug_destination(cloud)
    assert_only(cloud, SOURCE, DESTINATION)
    assert cloud.state.guest_shown(DESTINATION)
    assert_only(cloud, DESTINATION, SOURCE)
    cloud.unplug(*SOURCE)
    cloud.update_tunnels()
    assert_only(cloud, DESTINATION, SOURCE)


def test_every_other_switch_sends_to_both_switches_before_and_after(cloud: Cloud) -> None:
    """So the move costs no more than a change on the switch where the guest shows itself."""
    plug_destination(cloud)

    def sends(dpid: int) -> set[int]:
        flows = GrePipeline(cloud.state).desired(dpid, MacSubject("red", MAC))
        outputs = {a.port_no for f in flows if f.table == 1 for a in f.actions}  # type: ignore
        facts = cloud.state.topology
        return {
            d for d in (1, 2, 3) if d != dpid and outputs.intersection(facts.tunnels_to(dpid, d))
        }

    for _ in range(2):
        assert [sends(dpid) for dpid in (1, 2, 3)] == [{2}, {1}, {1, 2}]
        cloud.state.guest_shown(DESTINATION)


def test_the_old_location_gone_activates_the_new_one_without_a_word(cloud: Cloud) -> None:
    plug_destination(cloud)
    cloud.unplug(*SOURCE)
    cloud.update_tunnels()
    assert_only(cloud, DESTINATION, SOURCE)


def test_a_link_that_goes_down_is_a_location_gone_until_it_comes_up(cloud: Cloud) -> None:
    plug_destination(cloud)
    cloud.state.ports.set_of_port(1, OFPort(1, "tap1", up=False))
    assert active(cloud) == [DESTINATION]
    cloud.state.ports.set_of_port(1, OFPort(1, "tap1", up=True))
    assert active(cloud) == [SOURCE]
    cloud.state.guest_shown(DESTINATION)
    cloud.state.ports.set_of_port(2, OFPort(9, "tap9", up=False))
    assert active(cloud) == [SOURCE]
    cloud.state.ports.set_of_port(2, OFPort(9, "tap9", up=True))
    assert active(cloud) == [DESTINATION]


@pytest.mark.parametrize("shown", [False, True])
def test_an_aborted_migration_leaves_nothing_and_a_second_try_works(
    cloud: Cloud, shown: bool
) -> None:
    before = [Evaluator(cloud.state).flows(dpid) for dpid in (1, 2, 3)]
    for _ in range(2):
        plug_destination(cloud)
        if shown:
            assert cloud.state.guest_shown(DESTINATION)
        cloud.unplug(*DESTINATION)
        cloud.update_tunnels()
        assert_only(cloud, SOURCE, DESTINATION)
        assert [Evaluator(cloud.state).flows(dpid) for dpid in (1, 2, 3)] == before
    test_a_move_in_every_step(cloud)


def test_a_guest_that_shows_itself_at_the_source_again_is_there_again(cloud: Cloud) -> None:
    plug_destination(cloud)
    for here, there in ((DESTINATION, SOURCE), (SOURCE, DESTINATION)) * 2:
        assert cloud.state.guest_shown(here)
        assert_only(cloud, here, there)


def test_only_a_waiting_port_is_touched_by_a_guest_that_shows_itself(cloud: Cloud) -> None:
    plug_destination(cloud)
    cloud.state.changes.take()
    for port_id in (SOURCE, *PEERS, PortId(7, 7)):
        assert not cloud.state.guest_shown(port_id)
    assert not cloud.state.changes
    assert cloud.state.guest_shown(DESTINATION)
    marked = cloud.state.changes.take().subjects
    both = {NetworkSubject("red"), MacSubject("red", MAC)}
    assert marked == {1: {PortSubject(1), *both}, 2: {PortSubject(9), *both}}


def test_what_was_told_of_network_and_key_in_between_changes_nothing(cloud: Cloud) -> None:
    plug_destination(cloud)
    for expected in (SOURCE, DESTINATION):
        cloud.state.guest_shown(expected)
        cloud.state.remove_network("red")
        cloud.state.add_network("red")
        assert active(cloud) == [expected]
        cloud.state.remove_key("red")
        cloud.state.add_key("red", 43)
        assert active(cloud) == [expected]


def test_a_third_location_waits_too_and_the_next_oldest_follows(cloud: Cloud) -> None:
    plug_destination(cloud)
    third = PortId(3, 9)
    cloud.plug(*third, "red", MAC, "moving")
    assert active(cloud) == [SOURCE]
    cloud.unplug(*SOURCE)
    assert active(cloud) == [DESTINATION]
    cloud.state.guest_shown(third)
    assert active(cloud) == [third]
    cloud.unplug(*third)
    assert active(cloud) == [DESTINATION]


def test_a_number_given_to_another_port_has_nothing_of_the_one_before(cloud: Cloud) -> None:
    plug_destination(cloud)
    cloud.unplug(*DESTINATION)
    assert cloud.state.topology.is_active(DESTINATION)
    plug_destination(cloud)
    cloud.state.guest_shown(DESTINATION)
    cloud.state.ports.set_of_port(2, OFPort(9, "another", up=True))
    cloud.state.ports.update_interfaces(2, {"another": InterfaceFact("another", 9, "moving", MAC)})
    assert active(cloud) == [SOURCE]


def test_two_locations_on_one_switch(cloud: Cloud) -> None:
    other = PortId(1, 9)
    cloud.plug(*other, "red", MAC, "moving")
    evaluator = Evaluator(cloud.state)
    packet = Packet(PEERS[PortId(1, 2)], MAC)
    assert evaluator.send(PortId(1, 2), packet) == Counter([SOURCE])
    cloud.state.guest_shown(other)
    assert Evaluator(cloud.state).send(PortId(1, 2), packet) == Counter([other])
    assert not heard(cloud, SOURCE)


def test_announcements_of_a_waiting_port_go_to_the_controller_and_nothing_else(
    cloud: Cloud,
) -> None:
    plug_destination(cloud)
    evaluator = Evaluator(cloud.state)
    announcements = [(0x8035, None, None), (0x0806, None, None), (0x86DD, 58, 136)]
    for fields in announcements:
        assert not evaluator.send(DESTINATION, Packet(MAC, BROADCAST, *fields))
    assert evaluator.packet_ins == Counter({DESTINATION: 3})
    others = [(0x86DD, 58, 135), (0x86DD, 17, None), (0x0800, 1, None), (0x88B5, None, None)]
    for fields in others:
        assert not evaluator.send(DESTINATION, Packet(MAC, BROADCAST, *fields))
    spoofed = Packet("fa:16:3e:00:00:99", BROADCAST, 0x8035)
    assert not evaluator.send(DESTINATION, spoofed)
    assert evaluator.drops == Counter(WAITING=len(others) + 1)
    assert evaluator.packet_ins == Counter({DESTINATION: 3})


def test_a_frame_of_the_waiting_guest_is_taken_as_its_word(cloud: Cloud) -> None:
    plug_destination(cloud)
    own = bytes.fromhex(MAC.replace(":", ""))
    announcement = b"\xff" * 6 + own + b"\x80\x35" + bytes(28)
    another = b"\xff" * 6 + bytes(6) + b"\x80\x35" + bytes(28)
    tunnel = PortId(2, cloud.state.topology.tunnels_to(2, 1)[0])
    for port_id in (SOURCE, PortId(2, 2), tunnel, PortId(7, 7)):
        assert not cloud.state.guest_announced(port_id, announcement)
    assert not cloud.state.guest_announced(DESTINATION, another)
    assert active(cloud) == [SOURCE]
    assert cloud.state.guest_announced(DESTINATION, announcement)
    assert active(cloud) == [DESTINATION]


def test_of_ports_that_were_there_before_the_controller_all_are_active(cloud: Cloud) -> None:
    """Nobody knows which came first then, and a guest that runs is not cut."""
    for order in ((SOURCE, DESTINATION), (DESTINATION, SOURCE)):
        restarted = Cloud()
        restarted.network("red", 42)
        for dpid, port_no in order:
            restarted.switch(dpid)
            name = f"tap{port_no}"
            restarted.state.ports.replace_of_ports(dpid, [OFPort(port_no, name, up=True)])
            row = InterfaceFact(name, port_no, "moving", MAC)
            restarted.state.ports.update_interfaces(dpid, {name: row})
        restarted.state.ensure_interface_value("moving", NETWORK_ID, "red")
        assert active(restarted) == [SOURCE, DESTINATION]
        restarted.plug(3, 9, "red", MAC, "moving")
        assert active(restarted) == [SOURCE, DESTINATION]
        restarted.unplug(*SOURCE)
        assert active(restarted) == [DESTINATION]


def test_a_switch_that_connects_again_keeps_the_order(cloud: Cloud) -> None:
    plug_destination(cloud)
    for dpid in (2, 1):
        ports = list(cloud.state.ports.facts(dpid).of_ports.values())
        cloud.state.ports.replace_of_ports(dpid, ports)
    assert_only(cloud, SOURCE, DESTINATION)


def test_ports_without_an_interface_or_of_two_macs_are_no_migration(cloud: Cloud) -> None:
    cloud.plug(2, 9, "red", "fa:16:3e:00:00:99", "moving")
    assert active(cloud) == [SOURCE, DESTINATION]
    for dpid in (1, 2):
        cloud.state.ports.set_of_port(dpid, OFPort(20, "veth", up=True))
        cloud.state.ensure_port("red", PortId(dpid, 20))
        cloud.state.ensure_mac("red", PortId(dpid, 20), "fa:16:3e:00:00:98")
        assert cloud.state.topology.is_active(PortId(dpid, 20))
    cloud.state.remove_port("red", PortId(1, 20))


def test_with_duplicate_nobody_waits() -> None:
    cloud = wired(Cloud(DUPLICATE))
    plug_destination(cloud)
    assert active(cloud) == [SOURCE, DESTINATION]
    assert not cloud.state.guest_shown(DESTINATION)
    assert active(cloud) == [SOURCE, DESTINATION]
