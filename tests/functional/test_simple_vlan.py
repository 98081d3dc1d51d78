"""The whole controller with VLAN isolation, and a real switch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until

BRIDGE, DPID = "br-int", 0x11
COOKIE = "cookie=0x6c320002000000"
MISS = f"{COOKIE}00, priority=0 actions=drop"
LEFT_BY_GRE = "cookie=0x6c32000100000001,table=1,priority=20,in_port=7,actions=drop"
OF_OTHERS = "cookie=0x99,priority=5,in_port=8,actions=drop"


class Site(NamedTuple):
    """A switch and its controller."""

    ovs: OVS
    controller: Controller

    def rest(self, method: str, path: str, body: object = None) -> int:
        """Send a request below /v1.0; return its status."""
        data = None if body is None else json.dumps(body)
        return self.controller.request(method, f"/v1.0{path}", data)[0]

    def plug(self, name: str, iface_id: str, *settings: str) -> int:
        """Add a VM's port; return its OpenFlow number."""
        mac = 'external_ids:attached-mac="fa:16:3e:00:00:01"'
        ids = (f"external_ids:iface-id={iface_id}", mac)
        self.ovs.vsctl(
            *("add-port", BRIDGE, name, *settings),
            *("--", "set", "interface", name, "type=dummy", *ids),
        )
        return int(self.ovs.vsctl("get", "interface", name, "ofport"))

    def tag(self, name: str) -> str:
        return self.ovs.vsctl("get", "port", name, "tag")


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a registered switch, and network "red" with key 42."""
    with OVS() as ovs, Controller("--isolation=vlan") as controller:
        controller.wait_for_log("REST server listens")
        ovs.add_bridge(BRIDGE, DPID)
        made = Site(ovs, controller)
        assert made.rest("POST", "/networks/red") < 300
        assert made.rest("POST", "/tunnels/networks/red/key/42") < 300
        address = f"/conf/switches/{DPID:016x}/ovsdb_addr"
        assert made.rest("PUT", address, ovs.db_address) < 300
        wait_until(lambda: MISS in ovs.flows(BRIDGE), "the switch to be programmed")
        yield made


def test_flows_that_another_isolation_has_left_go_and_those_of_others_stay(site: Site) -> None:
    for flow in (LEFT_BY_GRE, OF_OTHERS):
        site.ovs.ofctl("add-flow", BRIDGE, flow)
    assert len(site.ovs.flows(BRIDGE)) == 3
    site.ovs.appctl("bridge/reconnect", BRIDGE)
    wait_until(lambda: len(site.ovs.flows(BRIDGE)) == 2, "the flow of GRE to go")
    assert site.ovs.flows(BRIDGE) == [MISS, "cookie=0x99, priority=5,in_port=8 actions=drop"]


def test_a_vm_has_its_tag_and_its_flow_as_long_as_it_is_in_the_network(site: Site) -> None:
    port_no = site.plug("tap1", "if-1", "tag=4095")
    flow = f"{COOKIE}01, priority=20,in_port={port_no} actions=NORMAL"
    assert site.rest("POST", "/quantum/ports/if-1/keys/network_id/red") < 300
    wait_until(lambda: flow in site.ovs.flows(BRIDGE), "the VM to be allowed to send")
    assert site.tag("tap1") == "42"
    assert site.rest("DELETE", "/tunnels/networks/red/key") < 300
    wait_until(lambda: site.tag("tap1") == "4095", "the VM to be cut off")
    assert flow not in site.ovs.flows(BRIDGE)


def test_a_port_that_is_described_later_has_its_flow_then(site: Site) -> None:
    assert site.rest("POST", "/quantum/ports/if-1/keys/network_id/red") < 300
    port_no = site.ovs.add_port(BRIDGE, "tap1")
    flow = f"{COOKIE}01, priority=20,in_port={port_no} actions=NORMAL"
    ids = ("external_ids:iface-id=if-1", 'external_ids:attached-mac="fa:16:3e:00:00:01"')
    for setting, tag in zip(ids, ("4095", "42")):
        assert flow not in site.ovs.flows(BRIDGE)
        site.ovs.vsctl("--no-wait", "set", "interface", "tap1", setting)
        wait_until(lambda tag=tag: site.tag("tap1") == tag, "the tag", 2)  # type: ignore[misc]
    wait_until(lambda: flow in site.ovs.flows(BRIDGE), "the flow", 2)


def test_a_vlan_is_cut_off_when_a_port_cannot_leave_it(site: Site) -> None:
    tap1 = site.plug("tap1", "if-1", "tag=4095")
    uplink = site.ovs.add_port(BRIDGE, "eth1")
    assert site.rest("POST", "/quantum/ports/if-1/keys/network_id/red") < 300
    assert site.rest("POST", f"/networks/__NW_ID_EXTERNAL__/{DPID:016x}_{uplink}") < 300
    flow = f"{COOKIE}01, priority=20,in_port={tap1} actions=NORMAL"
    stranger = f"{COOKIE}04, priority=30,in_port={uplink},dl_vlan=42 actions=drop"
    wait_until(lambda: flow in site.ovs.flows(BRIDGE), "the VM to be allowed to send")
    with site.ovs.stopped_ovsdb():
        assert site.rest("DELETE", "/quantum/ports/if-1") < 300
        wait_until(lambda: stranger in site.ovs.flows(BRIDGE), "its VLAN to be cut off")
        assert flow not in site.ovs.flows(BRIDGE)
    wait_until(lambda: stranger not in site.ovs.flows(BRIDGE), "its VLAN to be let in")
    assert site.tag("tap1") == "4095"


def test_a_tag_that_somebody_changes_is_put_right_at_once(site: Site) -> None:
    flows = []
    for number in (1, 2):
        assert site.rest("POST", f"/quantum/ports/if-{number}/keys/network_id/red") < 300
        port_no = site.plug(f"tap{number}", f"if-{number}", "tag=4095")
        flows.append(f"{COOKIE}01, priority=20,in_port={port_no} actions=NORMAL")
        wait_until(lambda: flows[-1] in site.ovs.flows(BRIDGE), "the VM to be allowed to send", 2)
    for change in ("tag=99", "tag=[]", "vlan_mode=trunk", "trunks=7"):
        site.ovs.vsctl("--no-wait", "set", "port", "tap1", change)
        wait_until(lambda: tagged(site) == "42 True []", f"the tag after {change}", 2)
        wait_until(lambda: set(flows) < set(site.ovs.flows(BRIDGE)), "both flows", 2)


def tagged(site: Site) -> str:
    """Return tag, whether the mode is that of an access port, and trunks."""
    get = ("get", "port", "tap1")
    mode = site.ovs.vsctl(*get, "vlan_mode") in ("[]", "access")
    return f"{site.ovs.vsctl(*get, 'tag')} {mode} {site.ovs.vsctl(*get, 'trunks')}"


def test_a_vm_that_is_not_registered_is_in_the_dead_vlan(site: Site) -> None:
    site.plug("tap1", "if-1")
    wait_until(lambda: site.tag("tap1") == "4095", "the port to be no trunk")


@pytest.mark.parametrize("key", [0, 4095, 70001])
def test_a_key_that_is_no_vlan_id_is_refused_with_the_range(site: Site, key: int) -> None:
    assert site.rest("POST", "/networks/blue") < 300
    path = f"/v1.0/tunnels/networks/blue/key/{key}"
    status, text = site.controller.request("POST", path)
    assert status == 400
    assert "the VLAN ID is 1 to 4094" in text
