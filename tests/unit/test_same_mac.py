"""One MAC plugged on three hosts: what each isolation makes of it, for the rest and for itself."""

from __future__ import annotations

from collections import Counter

from ryu_l2iso.pipelines.vlan import KEYS, VlanPipeline, desired_tags
from ryu_l2iso.state.ports import PortId
from ryu_l2iso.state.subjects import PortSubject
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator, Packet
from tests.unit.mac_cloud import MacCloud

TWIN, OTHER, BROADCAST = "02:00:00:00:00:aa", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"
SENDER = PortId(1, 1)
PLACES = [PortId(dpid, 2) for dpid in (2, 3, 4)]


def plug(cloud: Cloud, *network_ids: str) -> None:
    """Plug another VM of the network red on switch 1, and the twins on switches 2, 3 and 4."""
    cloud.plug(1, 1, "red", OTHER)
    for port_id, network_id in zip(PLACES, network_ids):
        cloud.plug(port_id.dpid, port_id.port_no, network_id, TWIN)


def gre(*network_ids: str) -> Cloud:
    cloud = Cloud()
    for key, network_id in enumerate(("red", "blue"), 1):
        cloud.network(network_id, key)
    for dpid in (1, 2, 3, 4):
        cloud.switch(dpid)
    plug(cloud, *network_ids)
    cloud.update_tunnels()
    return cloud


def mac(*network_ids: str) -> MacCloud:
    cloud = MacCloud()
    cloud.networks("red", "blue")
    for dpid in (1, 2, 3, 4):
        cloud.uplink(dpid)
    plug(cloud, *network_ids)
    return cloud


def reached(evaluator: Evaluator, sender: PortId = SENDER, source: str = OTHER) -> Counter[PortId]:
    """Return what one packet to the MAC reaches, which a broadcast must reach too."""
    arrived = evaluator.send(sender, Packet(source, TWIN))
    flooded = evaluator.send(sender, Packet(source, BROADCAST))
    assert not arrived - flooded
    return arrived


def test_gre_in_one_network_all_three_get_what_is_sent_to_it_once() -> None:
    cloud = gre("red", "red", "red")
    assert reached(Evaluator(cloud.state)) == Counter(PLACES)
    for port_id in PLACES[:2]:
        cloud.unplug(*port_id)
    cloud.update_tunnels()
    assert reached(Evaluator(cloud.state)) == Counter(PLACES[2:])


def test_gre_in_different_networks_it_is_a_different_vm_in_each() -> None:
    cloud = gre("red", "blue", "blue")
    assert reached(Evaluator(cloud.state)) == Counter(PLACES[:1])
    for port_id in PLACES[1:]:
        arrived = Evaluator(cloud.state).send(port_id, Packet(TWIN, BROADCAST))
        assert arrived == Counter(set(PLACES[1:]) - {port_id})


def test_mac_in_one_network_all_three_get_what_is_sent_to_it_once() -> None:
    cloud = mac("red", "red", "red")
    assert cloud.refusals() == []
    assert reached(cloud.evaluator()) == Counter(PLACES)
    for port_id in PLACES[:2]:
        cloud.unplug(*port_id)
    assert reached(cloud.evaluator()) == Counter(PLACES[2:])


def test_mac_in_different_networks_the_first_has_it_and_the_next_when_that_goes() -> None:
    cloud = mac("red", "blue", "blue")
    refusals = cloud.refusals()
    assert len(refusals) == 2 and all("may not use MAC" in text for text in refusals)
    assert reached(cloud.evaluator()) == Counter(PLACES[:1])
    for port_id in PLACES[1:]:
        assert not cloud.evaluator().send(port_id, Packet(TWIN, BROADCAST))
    cloud.unplug(*PLACES[0])
    assert cloud.refusals() == []
    assert not reached(cloud.evaluator())
    assert reached(cloud.evaluator(), PLACES[1], TWIN) == Counter(PLACES[2:])


def test_vlan_each_is_in_the_vlan_of_its_network_whatever_mac_it_has() -> None:
    cloud = Cloud(keys=KEYS)
    for key, network_id in enumerate(("red", "blue"), 10):
        cloud.network(network_id, key)
    plug(cloud, "red", "blue", "blue")
    for port_id, key in zip(PLACES, (10, 11, 11)):
        assert desired_tags(cloud.state, port_id.dpid)["tap2"].tag == key
        cloud.tag(*port_id, key)
        subject = PortSubject(port_id.port_no)
        assert len(VlanPipeline(cloud.state).desired(port_id.dpid, subject)) == 1
