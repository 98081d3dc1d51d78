"""The whole controller and two real switches: they hold what follows from the facts."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from ryu_l2iso.ovsdb.tunnel_ports import SPARE_SECONDS
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import OFPort
from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.ports import free_port
from tests.functional.real_cloud import BRIDGE, SUITE, Node, RealCloud

MAC_A, MAC_B, MAC_C, MAC_D = (f"02:00:00:00:00:0{digit}" for digit in "abcd")
BROADCAST, ALL_NODES = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    """Return two compute nodes."""
    with OVS() as first, OVS() as second:
        yield Node(first, 1), Node(second, 2)


@pytest.fixture
def bare(nodes: tuple[Node, Node]) -> Iterator[RealCloud]:
    """Return a cloud of two nodes that are not registered yet."""
    with Controller(*SUITE) as controller:
        controller.wait_for_log("REST server listens")
        yield RealCloud(controller, nodes)


@pytest.fixture
def real(bare: RealCloud) -> RealCloud:
    """Return a cloud of two registered nodes with the network "red", which has key 42."""
    for node in bare.nodes:
        bare.register(node)
    bare.network("red", 42)
    bare.settle()
    return bare


def test_a_switch_connects_once_its_ovsdb_address_is_registered(bare: RealCloud) -> None:
    node, ovs = bare.nodes[0], bare.nodes[0].ovs
    other = f"tcp:127.0.0.1:{free_port()}"
    ovs.vsctl("set-controller", BRIDGE, other, "--", "set-fail-mode", BRIDGE, "standalone")
    row = ovs.vsctl("get", "bridge", BRIDGE, "controller")
    bare.register(node)
    bare.nodes = [node]
    bare.settle()
    targets = ovs.vsctl("get-controller", BRIDGE).splitlines()
    assert sorted(targets) == sorted([other, bare.controller.target])
    assert row.strip("[]") in ovs.vsctl("get", "bridge", BRIDGE, "controller")
    assert ovs.vsctl("get-fail-mode", BRIDGE) == "secure"
    assert len(node.ovs.flows(BRIDGE)) == 3


def test_ports_appear_and_go(real: RealCloud) -> None:
    first, second = real.nodes
    real.plug(first, 101, "red", MAC_A)
    real.settle()
    real.plug(first, 102, "red", MAC_B)
    real.settle()
    real.plug(second, 101, "red", MAC_C)
    real.settle()
    real.unplug(first, 101)
    real.settle()
    real.unplug(first, 102)
    real.settle()
    real.unplug(second, 101)
    real.settle()
    for node in real.nodes:
        assert len(node.ovs.flows(BRIDGE)) == 3 + len(node.tunnels())


def test_tunnels_are_there_while_a_network_is_on_both_ends_and_some_seconds(
    real: RealCloud,
) -> None:
    first, second = real.nodes
    real.network("blue", 43)

    def tunnels() -> list[int]:
        real.settle()
        return [len(node.tunnels()) for node in real.nodes]

    real.plug(first, 101, "red", MAC_A)
    real.plug(second, 101, "blue", MAC_A)
    assert tunnels() == [0, 0]
    real.plug(second, 102, "red", MAC_B)
    assert tunnels() == [1, 1]
    real.plug(first, 102, "blue", MAC_B)
    assert tunnels() == [1, 1]
    real.unplug(first, 101)
    assert tunnels() == [1, 1]
    before = [node.tunnels() for node in real.nodes]
    real.unplug(first, 102)
    assert tunnels() == [1, 1]
    for node in real.nodes:
        assert not any(_lets_in_from_a_tunnel(flow) for flow in node.ovs.flows(BRIDGE))
    real.plug(first, 102, "blue", MAC_B)
    real.settle()
    assert [node.tunnels() for node in real.nodes] == before, "not made anew"
    real.unplug(first, 102)
    wait_until(lambda: tunnels() == [0, 0], "the tunnels to go", SPARE_SECONDS + 5)


def _lets_in_from_a_tunnel(flow: str) -> bool:
    return "in_port=" in flow and flow.endswith("actions=goto_table:2")


def share_red(real: RealCloud) -> None:
    """Plug a VM of the network red on each node."""
    real.plug(real.nodes[0], 101, "red", MAC_A)
    real.plug(real.nodes[1], 101, "red", MAC_B)
    real.settle()


def test_a_tunnel_port_that_was_removed_or_changed_by_hand_is_put_back(real: RealCloud) -> None:
    share_red(real)
    ovs = real.nodes[0].ovs
    (name,) = real.nodes[0].tunnels()
    ovs.vsctl("del-port", BRIDGE, name)
    real.settle()
    ovs.vsctl("set", "interface", name, "options:remote_ip=192.0.2.99", "options:key=7")
    real.settle()


def test_a_tunnel_port_of_others_is_never_touched(real: RealCloud) -> None:
    ovs = real.nodes[0].ovs
    options = ("options:remote_ip=198.51.100.9", "options:key=5", "ofport_request=77")
    ovs.vsctl("add-port", BRIDGE, "gre-other", "--", "set", "interface", "gre-other", "type=gre")
    ovs.vsctl("set", "interface", "gre-other", *options)
    columns = "--columns=_uuid,name,type,options,external_ids,ofport"
    before = ovs.vsctl(columns, "list", "interface", "gre-other")
    share_red(real)
    real.unplug(real.nodes[0], 101)
    real.settle()
    assert ovs.vsctl(columns, "list", "interface", "gre-other") == before


def test_facts_that_come_one_by_one(real: RealCloud) -> None:
    node = real.nodes[0]
    real.rest("POST", "/networks/late")
    real.state.add_network("late")
    node.ovs.add_port(BRIDGE, "tap101", "ofport_request=101")
    real.state.ports.set_of_port(1, OFPort(101, "tap101", up=True))
    real.tell_interface("vif", "late")
    real.state.add_interface_value("vif", NETWORK_ID, "late")
    node.describe("tap101", iface_id="vif")
    real.told(node, 101, "vif", None)
    real.settle_behind_another_vm(node)
    node.describe("tap101", attached_mac=MAC_A)
    real.told(node, 101, "vif", MAC_A)
    real.settle_behind_another_vm(node)
    assert not any("in_port=101" in flow for flow in node.ovs.flows(BRIDGE))
    real.rest("POST", "/tunnels/networks/late/key/44")
    real.state.add_key("late", 44)
    real.settle()
    assert any("in_port=101,dl_src" in flow for flow in node.ovs.flows(BRIDGE))
    node.describe("tap101", attached_mac=MAC_B.upper())
    real.told(node, 101, "vif", MAC_B)
    real.settle()
    node.ovs.vsctl("remove", "interface", "tap101", "external_ids", "iface-id")
    real.told(node, 101, None, None)
    real.settle()
    assert not any("in_port=101" in flow for flow in node.ovs.flows(BRIDGE))


def test_what_is_told_again_sends_nothing(real: RealCloud) -> None:
    share_red(real)
    node = real.nodes[0]
    before = set(node.ages())
    wait_until(lambda: min(node.ages().values()) > 1, "all flows to be a second old")
    for other in real.nodes:
        real.tell_switch(other)
    real.tell_network("red")
    real.tell_interface("iface-1-101", "red")
    real.tell_interface("iface-2-101", "red")
    node.describe("tap101", iface_id="iface-1-101", attached_mac=MAC_A)
    real.settle_behind_another_vm(node)
    ages = node.ages()
    assert set(ages) > before
    assert {flow for flow in before if ages[flow] < 1} == set()


def test_a_deleted_network_takes_its_flows_and_no_others(real: RealCloud) -> None:
    share_red(real)
    real.network("blue", 43)
    real.plug(real.nodes[0], 102, "blue", MAC_A)
    real.plug(real.nodes[1], 102, "blue", MAC_B)
    real.settle()
    wait_until(
        lambda: min(real.nodes[0].ages().values()) > 0.5, "all flows to be half a second old"
    )
    real.rest("DELETE", "/networks/red")
    real.state.remove_network("red")
    real.settle()
    ages = real.nodes[0].ages()
    assert any("tun_id=0x2b" in flow for flow in ages)
    assert not any("0x2a" in flow for flow in ages)
    assert min(ages.values()) > 0.5
    real.rest("POST", "/networks/red")
    real.state.add_network("red")
    real.settle()
    assert any("tun_id=0x2a" in flow for flow in real.nodes[0].ages())


def test_a_key_taken_away_takes_its_flows_and_another_brings_them_back(real: RealCloud) -> None:
    share_red(real)
    real.rest("DELETE", "/tunnels/networks/red/key")
    real.state.remove_key("red")
    real.settle()
    assert [len(node.ovs.flows(BRIDGE)) for node in real.nodes] == [4, 4], "the tunnel's, too"
    real.rest("POST", "/tunnels/networks/red/key/99")
    real.state.add_key("red", 99)
    real.settle()


@pytest.mark.parametrize("by", ["OpenFlow", "the device"])
def test_the_flows_of_a_port_that_is_down_go_until_it_is_up(real: RealCloud, by: str) -> None:
    share_red(real)
    node = real.nodes[0]
    for state in ("down", "up"):
        if by == "OpenFlow":
            node.ovs.ofctl("mod-port", BRIDGE, "tap101", state)
        else:
            node.ovs.appctl("netdev-dummy/set-admin-state", "tap101", state)
        real.state.ports.set_of_port(1, OFPort(101, "tap101", up=state == "up"))
        real.settle()


def test_a_port_reused_for_another_vm_has_no_flow_of_the_one_before(real: RealCloud) -> None:
    share_red(real)
    real.network("blue", 43)
    node = real.nodes[0]
    # The same name and number for a VM of another network, in one transaction.
    mac, ids = f'external_ids:attached-mac="{MAC_C}"', "external_ids:iface-id=vif-c"
    port = ("--", "set", "interface", "tap101", "type=dummy", "ofport_request=101")
    node.ovs.vsctl("del-port", "tap101", "--", "add-port", BRIDGE, "tap101", *port, mac, ids)
    real.tell_interface("vif-c", "blue")
    real.cloud.plug(1, 101, "blue", MAC_C, "vif-c")
    real.settle()
    # The same number for a port of another name that nobody has described yet.
    port = ("--", "set", "interface", "tap101b", "type=dummy", "ofport_request=101")
    node.ovs.vsctl("del-port", "tap101", "--", "add-port", BRIDGE, "tap101b", *port)
    real.cloud.unplug(1, 101)
    real.state.ports.set_of_port(1, OFPort(101, "tap101b", up=True))
    real.settle_behind_another_vm(node)
    assert node.ovs.vsctl("get", "interface", "tap101b", "ofport") == "101"
    assert not any("in_port=101," in flow or MAC_C in flow for flow in node.ovs.flows(BRIDGE))


def test_a_deleted_registration_takes_the_tunnels_to_the_switch(real: RealCloud) -> None:
    share_red(real)
    first, second = real.nodes
    real.rest("DELETE", "/conf/switches/0000000000000002")
    real.state.remove_switch(2)
    real.settle()
    assert first.tunnels() == {}
    wait_until(lambda: second.tunnels() == {}, "the switch that is let go to lose its tunnels")
    assert len(second.ovs.flows(BRIDGE)) == 3
    real.register(second)
    real.told(second, 101, "iface-2-101", MAC_B)
    real.settle()
    assert len(first.tunnels()) == 1


def test_an_attached_mac_that_is_none_costs_its_own_port_only(real: RealCloud) -> None:
    node = real.nodes[0]
    share_red(real)
    ids = ("external_ids:iface-id=iface-1-102", "external_ids:attached-mac=nonsense")
    node.ovs.add_port(BRIDGE, "tap102", "ofport_request=102", *ids)
    node.describe("tap102", vm_id="v")
    real.state.ports.set_of_port(1, OFPort(102, "tap102", up=True))
    real.told(node, 102, "iface-1-102", None)
    real.tell_interface("iface-1-102", "red")
    real.state.add_interface_value("iface-1-102", NETWORK_ID, "red")
    real.settle_behind_another_vm(node)
    warnings = [line for line in real.controller.log().splitlines() if " WARNING " in line]
    assert len(warnings) == 1, warnings
    assert (
        "switch 0000000000000001: interface tap102: mac: must be xx:xx:xx:xx:xx:xx" in warnings[0]
    )
    node.describe("tap102", attached_mac=MAC_C)
    real.told(node, 102, "iface-1-102", MAC_C)
    real.settle()
    assert any("in_port=102" in flow for flow in node.ovs.flows(BRIDGE))


FOREIGN_FLOW = "cookie=0x55, table=9, priority=5,in_port=3 actions=group:7"
FOREIGN_GROUP = "group_id=7,type=all,bucket=actions=output:4"


def test_the_next_manager_takes_the_switches_over(real: RealCloud) -> None:
    share_red(real)
    real.plug(real.nodes[1], 102, "red", MAC_C)
    node, own = real.nodes[0], f"dl_src={MAC_A}"
    node.ovs.ofctl("add-group", BRIDGE, FOREIGN_GROUP)
    node.ovs.ofctl("add-flow", BRIDGE, FOREIGN_FLOW)
    node.foreign_flows, node.foreign_groups = [FOREIGN_FLOW], [FOREIGN_GROUP]
    real.settle()
    assert real.controller.end(signal.SIGTERM)[0] == 0
    real.settle()
    wait_until(lambda: min(node.ages().values()) > 1, "all flows to be a second old")
    before = set(node.ages())
    real.unplug(real.nodes[1], 102)
    port = ("--ofp-tcp-listen-port", str(real.controller.openflow_port))
    with Controller(*SUITE, options=port) as real.controller:
        held = f"0 flows added, 0 changed, 0 deleted, {len(before) - 4} strays held"
        real.controller.wait_for_log(f"switch 0000000000000001: full sync: {held}")
        assert set(node.ages()) == before
        real.tell_network("red")
        for iface_id in ("iface-1-101", "iface-2-101", "iface-2-102"):
            real.tell_interface(iface_id, "red")
        for other in real.nodes:
            real.tell_switch(other)
        real.settle()
        assert min(age for flow, age in node.ages().items() if own in flow) > 1


def arrived(node: Node, port_no: int, source: str, *destinations: str) -> dict[int, int]:
    """Have a VM send frames; return port number → how many came to that VM of the node."""
    before = node.sent()
    for destination in destinations:
        frame = f"in_port({port_no}),eth(src={source},dst={destination}),eth_type(0x88b5)"
        node.ovs.appctl("netdev-dummy/receive", f"tap{port_no}", frame)
    node.ovs.appctl("revalidator/wait")
    return {number: count for number, count in (node.sent() - before).items() if number > 100}


def from_tunnel(node: Node, key: int, destination: str) -> list[str]:
    """Return the numbers of the ports that a packet with this key goes to from a tunnel."""
    (tunnel,) = node.tunnels().values()
    ends = f"tun_src={tunnel.options['remote_ip']},tun_dst={tunnel.options['local_ip']}"
    packet = f"in_port={tunnel.ofport},tun_id={key},{ends},dl_dst={destination}"
    return re.findall(r"output:([0-9]+)", node.ovs.appctl("ofproto/trace", BRIDGE, packet))


def test_packets_reach_their_network_and_no_other(real: RealCloud) -> None:
    share_red(real)
    real.network("blue", 43)
    node, everybody = real.nodes[0], (BROADCAST, ALL_NODES)
    real.plug(node, 102, "red", MAC_C)
    real.plug(node, 103, "blue", MAC_A)
    real.plug(node, 104, "blue", MAC_C)
    real.settle()
    assert arrived(node, 101, MAC_A, MAC_C, *everybody) == {102: 3}
    assert arrived(node, 103, MAC_A, MAC_C, *everybody) == {104: 3}
    assert arrived(node, 101, MAC_D, MAC_C, *everybody) == {}
    assert arrived(node, 103, MAC_A, MAC_A, MAC_B, MAC_D) == {}
    assert from_tunnel(node, 42, MAC_C) == ["102"]
    assert from_tunnel(node, 42, BROADCAST) == ["101", "102"]
    assert from_tunnel(node, 42, MAC_D) == []
    assert from_tunnel(node, 43, BROADCAST) == []
