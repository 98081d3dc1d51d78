"""MAC isolation: each packet reaches whom it should, once, and no port of another network."""

from __future__ import annotations

from collections import Counter

import pytest

from ryu_l2iso.state.ports import PortId, VMPort
from tests.unit.evaluator import Packet
from tests.unit.mac_cloud import UPLINK, MacCloud

BROADCAST = "ff:ff:ff:ff:ff:ff"
IPV6_ALL_NODES = "33:33:00:00:00:01"
UNKNOWN_MAC = "fa:16:3e:99:99:99"
SECOND = "fa:16:3e:00:00:22"

# (network, dpid, port_no, MAC); switch 3 has only "red", switch 4 nothing.
PLUGGED = [
    ("red", 1, 1, "fa:16:3e:00:00:01"),
    ("red", 1, 2, "fa:16:3e:00:00:02"),
    ("red", 2, 1, "fa:16:3e:00:00:03"),
    ("red", 3, 1, "fa:16:3e:00:00:04"),
    ("blue", 1, 3, "fa:16:3e:00:01:01"),
    ("blue", 1, 4, "fa:16:3e:00:01:02"),
    ("blue", 2, 2, "fa:16:3e:00:01:03"),
]


@pytest.fixture
def cloud() -> MacCloud:
    built = MacCloud()
    built.networks("red", "blue")
    for dpid in (1, 2, 3, 4):
        built.uplink(dpid)
    for network_id, dpid, port_no, mac in PLUGGED:
        built.plug(dpid, port_no, network_id, mac)
    return built


def others(cloud: MacCloud, sender: VMPort) -> list[VMPort]:
    """Return the other VM ports of the sender's network."""
    return [p for p in cloud.vm_ports() if p.network_id == sender.network_id and p != sender]


def test_unicast_reaches_its_mac_in_the_same_network_once_and_in_no_other(cloud: MacCloud) -> None:
    evaluator = cloud.evaluator()
    for sender in cloud.vm_ports():
        for receiver in cloud.vm_ports():
            if receiver != sender:
                arrived = evaluator.send(sender.id, Packet(sender.mac or "", receiver.mac or ""))
                same = receiver.network_id == sender.network_id
                assert arrived == Counter({receiver.id: 1} if same else {}), (sender, receiver)


@pytest.mark.parametrize("eth_dst", [BROADCAST, IPV6_ALL_NODES])
def test_multicast_reaches_all_of_the_network_once_and_no_other(
    cloud: MacCloud, eth_dst: str
) -> None:
    evaluator = cloud.evaluator()
    for sender in cloud.vm_ports():
        arrived = evaluator.send(sender.id, Packet(sender.mac or "", eth_dst))
        assert arrived == Counter(p.id for p in others(cloud, sender)), sender


def test_unknown_unicast_is_dropped_and_counted(cloud: MacCloud) -> None:
    evaluator = cloud.evaluator()
    for sender in cloud.vm_ports():
        assert not evaluator.send(sender.id, Packet(sender.mac or "", UNKNOWN_MAC))
    assert evaluator.drops == Counter(UNKNOWN_DESTINATION=len(PLUGGED))


@pytest.mark.parametrize("eth_src", [UNKNOWN_MAC, "fa:16:3e:00:00:03", "fa:16:3e:00:01:03"])
def test_what_a_vm_sends_from_a_mac_not_known_on_its_port_goes_to_the_controller_only(
    cloud: MacCloud, eth_src: str
) -> None:
    evaluator = cloud.evaluator()
    for eth_dst in (BROADCAST, "fa:16:3e:00:00:02", UNKNOWN_MAC):
        assert not evaluator.send(PortId(1, 1), Packet(eth_src, eth_dst))
    assert evaluator.packet_ins == Counter({PortId(1, 1): 3})


def test_where_nothing_is_learned_it_is_dropped() -> None:
    cloud = MacCloud(learning_max=0)
    cloud.networks("red")
    cloud.plug(1, 1, "red", "fa:16:3e:00:00:01")
    evaluator = cloud.evaluator()
    assert not evaluator.send(PortId(1, 1), Packet(UNKNOWN_MAC, BROADCAST))
    assert not evaluator.packet_ins
    assert evaluator.drops == Counter(UNKNOWN_VM_SOURCE=1)


def test_from_outside_only_what_is_known_elsewhere_comes_in(cloud: MacCloud) -> None:
    evaluator, uplink = cloud.evaluator(flat=False), PortId(1, UPLINK)
    red = Counter([PortId(1, 1), PortId(1, 2)])
    assert evaluator.send(uplink, Packet("fa:16:3e:00:00:03", BROADCAST)) == red
    to_one = Packet("fa:16:3e:00:00:04", "fa:16:3e:00:00:01")
    assert evaluator.send(uplink, to_one) == Counter([PortId(1, 1)])
    to_other = Packet("fa:16:3e:00:00:04", "fa:16:3e:00:01:01")
    assert not evaluator.send(uplink, to_other)
    assert evaluator.drops == Counter(UNKNOWN_DESTINATION=1)
    for eth_src in (UNKNOWN_MAC, "fa:16:3e:00:00:01", BROADCAST):
        for eth_dst in (BROADCAST, "fa:16:3e:00:00:02", "fa:16:3e:00:01:01"):
            assert not evaluator.send(uplink, Packet(eth_src, eth_dst))
    assert evaluator.drops == Counter(UNKNOWN_DESTINATION=1, UNKNOWN_OUTSIDE_SOURCE=9)


def test_between_external_ports_packets_go_on_but_never_back(cloud: MacCloud) -> None:
    uplink, second = PortId(1, UPLINK), cloud.uplink(1, 501)
    evaluator = cloud.evaluator(flat=False)
    red = [PortId(1, 1), PortId(1, 2)]
    flooded = evaluator.send(uplink, Packet("fa:16:3e:00:00:03", BROADCAST))
    assert flooded == Counter([*red, second])
    passing = Packet("fa:16:3e:00:00:03", "fa:16:3e:00:00:04")
    assert evaluator.send(uplink, passing) == Counter([second])
    assert evaluator.send(second, passing) == Counter([uplink])
    assert evaluator.send(uplink, passing._replace(eth_dst=UNKNOWN_MAC)) == Counter()
    out = evaluator.send(PortId(1, 1), Packet("fa:16:3e:00:00:01", "fa:16:3e:00:00:03"))
    assert out == Counter([uplink, second])
    local = evaluator.send(PortId(1, 1), Packet("fa:16:3e:00:00:01", "fa:16:3e:00:00:02"))
    assert local == Counter([PortId(1, 2)])


def test_an_external_port_that_is_none_any_more_gets_nothing(cloud: MacCloud) -> None:
    cloud.state.remove_port("__NW_ID_EXTERNAL__", PortId(1, UPLINK))
    evaluator = cloud.evaluator(flat=False)
    out = evaluator.send(PortId(1, 1), Packet("fa:16:3e:00:00:01", BROADCAST))
    assert out == Counter([PortId(1, 2)])
    assert not evaluator.send(PortId(1, UPLINK), Packet("fa:16:3e:00:00:03", BROADCAST))
    assert evaluator.drops == Counter(MISS=1)


def test_a_learned_mac_is_as_good_as_an_attached_one(cloud: MacCloud) -> None:
    cloud.state.macs.learn(PortId(2, 1), SECOND)
    evaluator = cloud.evaluator()
    arrived = evaluator.send(PortId(2, 1), Packet(SECOND, "fa:16:3e:00:00:01"))
    assert arrived == Counter([PortId(1, 1)])
    for sender in (PortId(1, 1), PortId(3, 1)):
        mac = cloud.state.ports.get(sender).mac  # type: ignore[union-attr]
        assert evaluator.send(sender, Packet(mac or "", SECOND)) == Counter([PortId(2, 1)])
    assert not evaluator.send(PortId(1, 3), Packet("fa:16:3e:00:01:01", SECOND))


def test_a_port_that_waits_for_its_mac_neither_sends_nor_receives(cloud: MacCloud) -> None:
    cloud.plug(2, 9, "blue", "fa:16:3e:00:00:01")
    evaluator = cloud.evaluator()
    assert not evaluator.send(PortId(2, 9), Packet("fa:16:3e:00:00:01", BROADCAST))
    arrived = evaluator.send(PortId(2, 2), Packet("fa:16:3e:00:01:03", BROADCAST))
    assert arrived == Counter([PortId(1, 3), PortId(1, 4)])
    cloud.unplug(1, 1)
    arrived = cloud.evaluator().send(PortId(2, 9), Packet("fa:16:3e:00:00:01", BROADCAST))
    assert arrived == Counter([PortId(1, 3), PortId(1, 4), PortId(2, 2)])


MOVING = "fa:16:3e:00:00:04"
PEERS = [PortId(1, 1), PortId(2, 1), PortId(3, 2)]


@pytest.fixture
def moving(cloud: MacCloud) -> MacCloud:
    """The VM of switch 3 has its new place on switch 2; a peer on each of three switches."""
    cloud.plug(3, 2, "red", "fa:16:3e:00:00:05")
    cloud.plug(2, 9, "red", MOVING, "iface-3-1")
    return cloud


def received(cloud: MacCloud, eth_dst: str) -> list[Counter[PortId]]:
    """Return where packets of the peers arrive, of the two places of the VM that moves."""
    evaluator, found = cloud.evaluator(), []
    for peer in PEERS:
        mac = cloud.state.ports.get(peer).mac  # type: ignore[union-attr]
        arrived = evaluator.send(peer, Packet(mac or "", eth_dst))
        found.append(Counter({i: n for i, n in arrived.items() if i in OLD_AND_NEW}))
    return found


OLD_AND_NEW = (PortId(3, 1), PortId(2, 9))


@pytest.mark.parametrize("eth_dst", [MOVING, BROADCAST])
def test_a_vm_that_moves_is_at_one_place_at_a_time(moving: MacCloud, eth_dst: str) -> None:
    old, new = OLD_AND_NEW
    assert received(moving, eth_dst) == [Counter([old])] * 3
    assert not moving.evaluator().send(new, Packet(MOVING, "fa:16:3e:00:00:01"))
    assert moving.state.guest_shown(new)
    assert received(moving, eth_dst) == [Counter([new])] * 3
    assert not moving.evaluator().send(old, Packet(MOVING, "fa:16:3e:00:00:01"))
    moving.unplug(*old)
    assert received(moving, eth_dst) == [Counter([new])] * 3


def test_a_vm_that_moves_is_heard_by_all(moving: MacCloud) -> None:
    for place in OLD_AND_NEW:
        moving.state.guest_shown(place)
        evaluator = moving.evaluator()
        for peer in PEERS:
            mac = moving.state.ports.get(peer).mac  # type: ignore[union-attr]
            assert evaluator.send(place, Packet(MOVING, mac or "")) == Counter([peer])


def test_a_move_that_is_given_up_leaves_nothing_behind(moving: MacCloud) -> None:
    moving.unplug(2, 9)
    assert received(moving, MOVING) == [Counter([PortId(3, 1)])] * 3
    moving.plug(2, 9, "red", MOVING, "iface-3-1")
    moving.state.guest_shown(PortId(2, 9))
    assert received(moving, MOVING) == [Counter([PortId(2, 9)])] * 3


def test_a_guest_announces_itself_at_a_waiting_port(moving: MacCloud) -> None:
    evaluator = moving.evaluator()
    assert not evaluator.send(PortId(2, 9), Packet(MOVING, BROADCAST, eth_type=0x8035))
    assert evaluator.packet_ins == Counter([PortId(2, 9)])
    assert not evaluator.send(PortId(2, 9), Packet(MOVING, BROADCAST))
    assert evaluator.drops == Counter(WAITING=1)
