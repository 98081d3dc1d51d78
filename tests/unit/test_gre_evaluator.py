"""No packet of one network reaches a port of another; each reaches whom it should, once."""

from __future__ import annotations

from collections import Counter

import pytest

from ryu_l2iso.state.locations import ACTIVATE, DUPLICATE
from ryu_l2iso.state.ports import PortId, VMPort
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator, Packet

BROADCAST = "ff:ff:ff:ff:ff:ff"
IPV6_ALL_NODES = "33:33:00:00:00:01"
UNKNOWN_MAC = "fa:16:3e:99:99:99"

# (network, dpid, port_no, MAC): both networks have the same MACs; switch 3 has only "red".
PLUGGED = [
    ("red", 1, 1, "fa:16:3e:00:00:01"),
    ("red", 1, 2, "fa:16:3e:00:00:02"),
    ("red", 2, 1, "fa:16:3e:00:00:03"),
    ("red", 3, 1, "fa:16:3e:00:00:04"),
    ("blue", 1, 3, "fa:16:3e:00:00:01"),
    ("blue", 1, 4, "fa:16:3e:00:00:02"),
    ("blue", 2, 2, "fa:16:3e:00:00:03"),
]


@pytest.fixture
def cloud() -> Cloud:
    return wired()


def wired(migration: str = ACTIVATE) -> Cloud:
    """Return a cloud with both networks on three switches."""
    built = Cloud(migration)
    built.network("red", 10)
    built.network("blue", 20)
    for dpid in (1, 2, 3):
        built.switch(dpid)
    for network_id, dpid, port_no, mac in PLUGGED:
        built.plug(dpid, port_no, network_id, mac)
    built.update_tunnels()
    return built


def others(cloud: Cloud, sender: VMPort) -> list[VMPort]:
    """Return the other VM ports of the sender's network."""
    return [p for p in cloud.vm_ports() if p.network_id == sender.network_id and p != sender]


def test_unicast_reaches_its_mac_in_the_same_network_once(cloud: Cloud) -> None:
    evaluator = Evaluator(cloud.state)
    for sender in cloud.vm_ports():
        for receiver in others(cloud, sender):
            arrived = evaluator.send(sender.id, Packet(sender.mac or "", receiver.mac or ""))
            assert arrived == Counter({receiver.id: 1}), (sender, receiver)


@pytest.mark.parametrize("eth_dst", [BROADCAST, IPV6_ALL_NODES])
def test_multicast_reaches_all_of_the_network_once_and_no_other(cloud: Cloud, eth_dst: str) -> None:
    evaluator = Evaluator(cloud.state)
    for sender in cloud.vm_ports():
        arrived = evaluator.send(sender.id, Packet(sender.mac or "", eth_dst))
        assert arrived == Counter(p.id for p in others(cloud, sender)), sender


def test_unknown_unicast_is_dropped_and_counted(cloud: Cloud) -> None:
    evaluator = Evaluator(cloud.state)
    for sender in cloud.vm_ports():
        assert not evaluator.send(sender.id, Packet(sender.mac or "", UNKNOWN_MAC))
    assert evaluator.drops == Counter(UNKNOWN_DESTINATION=len(PLUGGED))


@pytest.mark.parametrize("eth_dst", [BROADCAST, "fa:16:3e:00:00:02", UNKNOWN_MAC])
def test_spoofed_source_is_dropped_and_counted(cloud: Cloud, eth_dst: str) -> None:
    evaluator = Evaluator(cloud.state)
    for sender in cloud.vm_ports():
        assert not evaluator.send(sender.id, Packet(UNKNOWN_MAC, eth_dst))
    assert evaluator.drops == Counter(SPOOFED_SOURCE=len(PLUGGED))


def test_a_packet_from_a_tunnel_never_goes_out_by_one(cloud: Cloud) -> None:
    evaluator = Evaluator(cloud.state)
    tunnel = PortId(1, cloud.state.topology.tunnels_to(1, 2)[0])
    arrived = evaluator.send_by_tunnel(tunnel, 10, Packet("fa:16:3e:00:00:03", BROADCAST))
    assert arrived == Counter([PortId(1, 1), PortId(1, 2)])
    to_remote = Packet("fa:16:3e:00:00:03", "fa:16:3e:00:00:04")
    assert not evaluator.send_by_tunnel(tunnel, 10, to_remote)


def test_a_tunnel_carries_only_keys_of_networks_on_both_ends(cloud: Cloud) -> None:
    evaluator = Evaluator(cloud.state)
    from_3 = PortId(1, cloud.state.topology.tunnels_to(1, 3)[0])
    packet = Packet("fa:16:3e:00:00:04", BROADCAST)
    assert evaluator.send_by_tunnel(from_3, 10, packet)
    for key in (0, 20, 30):
        assert not evaluator.send_by_tunnel(from_3, key, packet)
    assert evaluator.drops == Counter(UNKNOWN_KEY=3)


def test_an_incomplete_or_unknown_port_neither_sends_nor_receives(cloud: Cloud) -> None:
    cloud.plug(1, 9, "no-such-network", "fa:16:3e:00:00:09")
    evaluator = Evaluator(cloud.state)
    for port_no in (9, 77):
        assert not evaluator.send(PortId(1, port_no), Packet("fa:16:3e:00:00:09", BROADCAST))
    assert evaluator.drops == Counter(MISS=2)
    arrived = evaluator.send(PortId(1, 1), Packet("fa:16:3e:00:00:01", BROADCAST))
    assert PortId(1, 9) not in arrived


def test_with_duplicate_both_locations_get_its_packets() -> None:
    cloud = wired(DUPLICATE)
    moving = "fa:16:3e:00:00:04"
    cloud.plug(2, 9, "red", moving, "iface-3-1")
    cloud.update_tunnels()
    evaluator = Evaluator(cloud.state)
    both = Counter([PortId(3, 1), PortId(2, 9)])
    for sender in others(cloud, cloud.state.locations("iface-3-1")[0]):
        if sender.mac != moving:
            assert evaluator.send(sender.id, Packet(sender.mac or "", moving)) == both, sender
    cloud.unplug(3, 1)
    cloud.update_tunnels()
    evaluator = Evaluator(cloud.state)
    arrived = evaluator.send(PortId(1, 1), Packet("fa:16:3e:00:00:01", moving))
    assert arrived == Counter([PortId(2, 9)])


def test_with_duplicate_two_locations_on_one_switch_both_get_its_packets() -> None:
    cloud = wired(DUPLICATE)
    cloud.plug(1, 9, "red", "fa:16:3e:00:00:02", "iface-1-2")
    evaluator = Evaluator(cloud.state)
    arrived = evaluator.send(PortId(2, 1), Packet("fa:16:3e:00:00:03", "fa:16:3e:00:00:02"))
    assert arrived == Counter([PortId(1, 2), PortId(1, 9)])
