"""The VLAN pipeline: who may send, which tag a port should have, and when it may have it."""

from __future__ import annotations

import pytest

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.pipelines.vlan import KEYS, DesiredTag, VlanPipeline, desired_tags
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId, VMPort
from ryu_l2iso.state.subjects import (
    MacSubject,
    NetworkSubject,
    PeerSubject,
    PortSubject,
    SwitchSubject,
)
from ryu_l2iso.state.vlans import DEAD_VLAN
from tests.unit.cloud import Cloud

COOKIE = "cookie=0x6c320002000000"
MISS = f"{COOKIE}00, priority=0 actions=drop"
RED, BLUE = 10, 20

OF_NETWORKS = (NetworkSubject("red"), PeerSubject("red", 2), MacSubject("red", "02:00:00:00:00:01"))


@pytest.fixture
def cloud() -> Cloud:
    """Networks "red" and "blue"; on switch 1 a VM of each at ports 1 and 2, in the dead VLAN."""
    built = Cloud(keys=KEYS)
    built.network("red", RED)
    built.network("blue", BLUE)
    built.plug(1, 1, "red", "fa:16:3e:00:00:01")
    built.plug(1, 2, "blue", "fa:16:3e:00:00:01")
    for port_no in (1, 2):
        built.tag(1, port_no, DEAD_VLAN)
    return built


def flows(cloud: Cloud, dpid: int = 1) -> list[str]:
    """Return what a switch should hold, as ovs-ofctl prints it."""
    pipeline = VlanPipeline(cloud.state)
    found = [f for s in pipeline.subjects(dpid) for f in pipeline.desired(dpid, s)]
    return sorted(map(str, found))


def from_vm(port_no: int) -> str:
    return f"{COOKIE}01, priority=20,in_port={port_no} actions=NORMAL"


def tags(cloud: Cloud, dpid: int = 1) -> dict[str, int]:
    return {name: desired.tag for name, desired in desired_tags(cloud.state, dpid).items()}


def vm_port(cloud: Cloud, dpid: int, port_no: int) -> VMPort:
    port = cloud.state.ports.get(PortId(dpid, port_no))
    assert isinstance(port, VMPort)
    return port


def test_a_vm_may_send_when_its_tag_is_confirmed_and_not_before(cloud: Cloud) -> None:
    assert flows(cloud) == [MISS]
    cloud.tag(1, 1, RED)
    assert flows(cloud) == [MISS, from_vm(1)]
    for other in (None, BLUE, DEAD_VLAN):
        cloud.tag(1, 1, other)
        assert flows(cloud) == [MISS]


def test_a_vm_whose_link_is_down_keeps_its_tag_and_may_not_send(cloud: Cloud) -> None:
    cloud.tag(1, 1, RED)
    cloud.state.ports.set_of_port(1, OFPort(1, "tap1", up=False))
    assert flows(cloud) == [MISS]
    assert tags(cloud)["tap1"] == RED


def test_an_external_port_is_a_trunk_but_for_the_dead_vlan(cloud: Cloud) -> None:
    cloud.state.ports.set_of_port(1, OFPort(9, "eth1", up=True))
    cloud.state.ports.update_interfaces(1, {"eth1": InterfaceFact("eth1", 9)})
    cloud.state.ensure_port("__NW_ID_EXTERNAL__", PortId(1, 9))
    assert flows(cloud) == [
        MISS,
        f"{COOKIE}02, priority=20,in_port=9 actions=NORMAL",
        f"{COOKIE}03, priority=30,in_port=9,dl_vlan=4095 actions=drop",
    ]
    assert "eth1" not in tags(cloud)


def test_nothing_comes_in_by_a_vlan_that_a_port_has_not_left(cloud: Cloud) -> None:
    state, eth1 = cloud.state, {"eth1": InterfaceFact("eth1", 9)}
    state.ports.vlans.tell_apart()
    state.ports.set_of_port(1, OFPort(9, "eth1", up=True))
    state.ensure_port("__NW_ID_EXTERNAL__", PortId(1, 9))
    assert flows(cloud) == [MISS], "the database has not told of anything"
    cloud.tag(1, 1, BLUE)
    state.changes.take()
    state.ports.update_interfaces(1, eth1)
    assert PortSubject(9) in state.changes.take().subjects[1]
    stranger = f"{COOKIE}04, priority=30,in_port=9,dl_vlan={BLUE} actions=drop"
    assert stranger in flows(cloud)
    cloud.tag(1, 1, RED)
    assert PortSubject(9) in state.changes.take().subjects[1]
    assert stranger not in flows(cloud)
    state.ports.update_interfaces(1, {"eth1": None})
    assert PortSubject(9) in state.changes.take().subjects[1]
    state.remove_port("__NW_ID_EXTERNAL__", PortId(1, 9))
    state.changes.take()
    cloud.tag(1, 1, BLUE)
    assert PortSubject(9) not in state.changes.take().subjects[1]


def test_a_port_that_leaves_keeps_nobody_else_from_its_vlan_unless_it_stays(cloud: Cloud) -> None:
    state, vlans = cloud.state, cloud.state.ports.vlans
    vlans.tell_apart()
    cloud.plug(1, 3, "red", "fa:16:3e:00:00:03")
    for port_no in (1, 3):
        cloud.tag(1, port_no, RED)
    state.ports.update_interfaces(1, {"eth1": InterfaceFact("eth1", 9)})
    state.ports.set_of_port(1, OFPort(9, "eth1", up=True))
    state.ensure_port("__NW_ID_EXTERNAL__", PortId(1, 9))
    stranger = f"{COOKIE}04, priority=30,in_port=9,dl_vlan={RED} actions=drop"

    state.remove_interface("iface-1-1")
    assert (stranger in flows(cloud), vlans.holders(RED)) == (False, {1})
    leaving = vlans.leaving(1)
    assert leaving == {(RED, PortId(1, 1))}
    assert vlans.leaving(2) == set()
    cloud.tag(1, 1, DEAD_VLAN)
    assert vlans.leaving(1) == set()

    state.remove_interface("iface-1-3")
    state.changes.take()
    state.ports.stay_in_vlans(leaving)
    assert (stranger in flows(cloud), state.changes.take().subjects) == (False, {})
    state.ports.stay_in_vlans(vlans.leaving(1))
    assert stranger in flows(cloud)
    assert state.changes.take().subjects == {1: {PortSubject(9)}}
    cloud.tag(1, 3, DEAD_VLAN)
    assert stranger not in flows(cloud)


def test_a_port_whose_network_loses_its_vlan_is_not_about_to_leave(cloud: Cloud) -> None:
    cloud.tag(1, 1, RED)
    cloud.state.remove_key("red")
    assert cloud.state.ports.vlans.leaving(1) == set()


def test_a_tunnel_port_and_what_is_not_there_have_no_flows(cloud: Cloud) -> None:
    cloud.state.add_tunnel(PortId(1, 1), 2)
    pipeline = VlanPipeline(cloud.state)
    for subject in (PortSubject(1), PortSubject(77), *OF_NETWORKS):
        assert pipeline.desired(1, subject) == []
    assert {type(subject) for subject in pipeline.subjects(1)} == {SwitchSubject, PortSubject}
    assert 1 in pipeline.ports(1)
    assert 77 not in pipeline.ports(1)
    assert "tap1" not in tags(cloud)


def test_a_port_gets_its_networks_tag_when_network_key_and_mac_are_known(cloud: Cloud) -> None:
    assert tags(cloud) == {"tap1": RED, "tap2": BLUE}
    cloud.state.remove_key("red")
    assert tags(cloud) == {"tap1": DEAD_VLAN, "tap2": BLUE}
    cloud.state.remove_network("blue")
    assert tags(cloud) == {"tap1": DEAD_VLAN, "tap2": DEAD_VLAN}
    cloud.state.ports.set_of_port(1, OFPort(3, "tap3", up=True))
    cloud.state.ports.update_interfaces(1, {"tap3": InterfaceFact("tap3", 3, "no-mac", tag=RED)})
    assert tags(cloud)["tap3"] == DEAD_VLAN


def test_a_port_that_openflow_has_not_told_of_is_in_no_vlan_if_it_has_no_tag(cloud: Cloud) -> None:
    rows = {
        "new": InterfaceFact("new", iface_id="a"),
        "known": InterfaceFact("known", 7, iface_id="b", tag=RED),
        "others": InterfaceFact("others", 8),
    }
    cloud.state.ports.update_interfaces(1, rows)
    found = desired_tags(cloud.state, 1)
    assert found["new"] == DesiredTag(DEAD_VLAN, "a", None)
    assert found.keys().isdisjoint({"known", "others"})


def test_a_port_that_rest_put_into_a_network_has_its_tag(cloud: Cloud) -> None:
    cloud.state.ports.set_of_port(1, OFPort(5, "eth5", up=True))
    cloud.state.ports.update_interfaces(1, {"eth5": InterfaceFact("eth5", 5)})
    cloud.state.add_port("red", PortId(1, 5))
    assert desired_tags(cloud.state, 1)["eth5"] == DesiredTag(DEAD_VLAN, None, None)
    cloud.state.add_mac("red", PortId(1, 5), "fa:16:3e:00:00:05")
    assert tags(cloud)["eth5"] == RED


def test_while_a_tag_is_being_set_no_tag_is_confirmed(cloud: Cloud) -> None:
    cloud.tag(1, 1, RED)
    cloud.state.ports.retag(1, {"tap1": BLUE, "gone": BLUE})
    assert flows(cloud) == [MISS]
    assert vm_port(cloud, 1, 1).vlans == {RED, BLUE}
    cloud.tag(1, 1, BLUE)
    assert vm_port(cloud, 1, 1).tag is None
    cloud.state.ports.tags_are_set(1, ["tap1", "gone", "tap2"])
    assert vm_port(cloud, 1, 1).tag == BLUE
    assert vm_port(cloud, 1, 1).vlans == {BLUE}


def test_a_row_that_goes_ends_the_change_of_its_tag(cloud: Cloud) -> None:
    cloud.state.ports.retag(1, {"tap1": RED})
    cloud.unplug(1, 1)
    cloud.plug(1, 1, "red", "fa:16:3e:00:00:01")
    assert not cloud.state.ports.facts(1).is_retagged("tap1")
    cloud.state.ports.update_interfaces(1, {"new": InterfaceFact("new", iface_id="a")})
    cloud.state.ports.retag(1, {"new": RED})
    cloud.state.ports.tags_are_set(1, ["new"])
    assert not cloud.state.ports.facts(1).is_retagged("new")


def test_a_key_that_moves_is_used_when_the_old_networks_ports_have_left_its_vlan(
    cloud: Cloud,
) -> None:
    cloud.plug(2, 1, "blue", "fa:16:3e:00:00:02")
    cloud.tag(2, 1, BLUE)
    cloud.tag(1, 1, RED)
    cloud.state.remove_key("red")
    cloud.state.remove_key("blue")
    cloud.state.add_key("blue", RED)
    cloud.state.changes.take()
    stranger = PortId(1, 1)
    assert desired_tags(cloud.state, 2)["tap1"].stranger == stranger
    assert tags(cloud, 2) == {"tap1": DEAD_VLAN}
    cloud.state.ports.retag(1, {"tap1": DEAD_VLAN})
    cloud.tag(1, 1, DEAD_VLAN)
    assert tags(cloud, 2) == {"tap1": DEAD_VLAN}, "ovs-vswitchd has not confirmed"
    cloud.state.changes.take()
    cloud.state.ports.tags_are_set(1, ["tap1"])
    assert cloud.state.changes.take().tags == {1, 2}
    assert tags(cloud, 2) == {"tap1": RED}


def test_a_port_that_is_in_its_vlan_stays_whoever_comes_by_mistake(cloud: Cloud) -> None:
    cloud.tag(1, 1, RED)
    cloud.tag(1, 2, RED)
    assert desired_tags(cloud.state, 1)["tap1"] == DesiredTag(RED, "iface-1-1", RED)
    assert flows(cloud) == [MISS, from_vm(1)]


def test_an_unplugged_port_keeps_nobody_waiting(cloud: Cloud) -> None:
    cloud.tag(1, 1, BLUE)
    assert desired_tags(cloud.state, 1)["tap2"].stranger == PortId(1, 1)
    cloud.unplug(1, 1)
    assert desired_tags(cloud.state, 1)["tap2"] == DesiredTag(BLUE, "iface-1-2", DEAD_VLAN)


def test_a_vlan_is_free_when_the_last_stranger_has_left(cloud: Cloud) -> None:
    cloud.plug(1, 3, "blue", "fa:16:3e:00:00:03")
    for port_no in (2, 3):
        cloud.tag(1, port_no, RED)
    cloud.tag(1, 2, DEAD_VLAN)
    assert desired_tags(cloud.state, 1)["tap1"].stranger == PortId(1, 3)
    cloud.tag(1, 3, DEAD_VLAN)
    assert desired_tags(cloud.state, 1)["tap1"].stranger is None


def test_a_vlan_of_nobody_that_becomes_free_concerns_nobody(cloud: Cloud) -> None:
    cloud.tag(1, 1, 99)
    cloud.state.changes.take()
    cloud.tag(1, 1, 98)
    assert cloud.state.changes.take().tags == {1}


def test_a_change_of_the_tag_alone_concerns_no_other_switch(cloud: Cloud) -> None:
    cloud.plug(2, 1, "red", "fa:16:3e:00:00:02")
    cloud.state.changes.take()
    cloud.tag(1, 1, RED)
    changes = cloud.state.changes.take()
    assert changes.subjects == {1: {PortSubject(1)}}
    assert changes.tags == {1}


@pytest.mark.parametrize("key", [0, 4095, 2**24])
def test_a_key_is_a_vlan_id(cloud: Cloud, key: int) -> None:
    cloud.state.add_network("green")
    with pytest.raises(InvalidValue, match="the VLAN ID is 1 to 4094"):
        cloud.state.add_key("green", key)
