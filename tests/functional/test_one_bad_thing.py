"""One bad thing costs nobody else anything, is in the log once, and heals when its cause goes."""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from ryu_l2iso.pipelines.tunnels import tunnel_name
from ryu_l2iso.state.switches import TUNNEL_ADDR
from ryu_l2iso.state.values import dpid_to_str
from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.ports import free_port
from tests.functional.real_cloud import BRIDGE, SUITE, Node, RealCloud

USUAL = 2.0
"""Seconds within which a new VM has its flow; mostly it takes a few milliseconds."""

DEAD, STALLED, ABSENT = 0xB1, 0xB2, 0xB3


SEEN = [0]
"""How many lines the log had when the test began."""


@pytest.fixture(scope="module")
def shared() -> Iterator[RealCloud]:
    """Return a cloud of three nodes with the network "red", and a VM of it on the first."""
    with OVS() as first, OVS() as second, OVS() as third, Controller(*SUITE) as controller:
        controller.wait_for_log("REST server listens")
        nodes = [Node(ovs, dpid) for dpid, ovs in enumerate((first, second, third), 1)]
        cloud = RealCloud(controller, nodes)
        for node in nodes:
            cloud.register(node)
        cloud.network("red", 42)
        cloud.plug(nodes[0], 101, "red", mac(1, 101))
        cloud.settle()
        yield cloud


@pytest.fixture
def real(shared: RealCloud) -> RealCloud:
    """Return the cloud of all tests here, whose log counts from now on."""
    shared.settle()
    SEEN[0] = len(shared.controller.log().splitlines())
    return shared


def mac(dpid: int, port_no: int) -> str:
    return f"02:00:00:00:{dpid:02x}:{port_no:02x}"


def plug_in_time(real: RealCloud, node: Node, port_no: int) -> None:
    """Plug a VM of the network red, which must have its flow as soon as usual."""
    real.plug(node, port_no, "red", mac(node.dpid, port_no))
    flow = f"in_port={port_no},dl_src={mac(node.dpid, port_no)}"
    wait_until(lambda: any(flow in line for line in node.ovs.flows(BRIDGE)), flow, USUAL)


def told(real: RealCloud) -> Counter[str]:
    """Return warnings and errors of the log, without their times."""
    lines = real.controller.log().splitlines()[SEEN[0] :]
    return Counter(re.sub(r"^\S+ \S+ ", "", x) for x in lines if re.search(" (WARNING|ERROR) ", x))


def wait_told(real: RealCloud, *texts: str) -> None:
    """Wait until each of these has been told, and see that nothing has been told twice."""

    def all_told() -> bool:
        return all(any(text in line for line in told(real)) for text in texts)

    wait_until(all_told, f"{texts} in the log")
    assert set(told(real).values()) == {1}, told(real)
    assert len(told(real)) == len(texts), told(real)


def address(real: RealCloud, dpid: int, value: str) -> None:
    real.rest("PUT", f"/conf/switches/{dpid_to_str(dpid)}/ovsdb_addr", value)


TAKEN = tunnel_name("gre", 1, "10.0.0.3")


def take_the_name(ovs: OVS) -> tuple[str, ...]:
    ovs.add_port(BRIDGE, TAKEN)
    return ("del-port", TAKEN)


def take_the_name_in_a_bond(ovs: OVS) -> tuple[str, ...]:
    dummies = [("--", "set", "interface", name, "type=dummy") for name in (TAKEN, "other")]
    ovs.vsctl("add-bond", BRIDGE, "bond0", TAKEN, "other", *dummies[0], *dummies[1])
    return ("del-port", "bond0")


def take_the_addresses(ovs: OVS) -> tuple[str, ...]:
    options = ("type=gre", "options:local_ip=10.0.0.1", "options:remote_ip=10.0.0.3")
    port = ("add-port", BRIDGE, "theirs", "--", "set", "interface", "theirs")
    ovs.vsctl(*port, *options, "options:key=flow")
    return ("del-port", "theirs")


TAKES = [
    (take_the_name, f"port {TAKEN} exists and is not ours"),
    (take_the_name_in_a_bond, f"interface {TAKEN} exists and is not ours"),
    (take_the_addresses, f"Open vSwitch cannot use {TAKEN}: "),
]


def test_a_tunnel_port_that_cannot_be_had_costs_no_other(real: RealCloud) -> None:
    first, second, third = real.nodes
    other = tunnel_name("gre", 1, "10.0.0.2")
    texts = []
    for take, why in TAKES:
        give_back = take(first.ovs)
        plug_in_time(real, third, 101)
        texts.append(f"tunnel {TAKEN}: {why}")
        wait_told(real, *texts)
        after = time.monotonic() + 1.2
        plug_in_time(real, second, 101)
        wait_until(lambda: used(first, other), "the tunnel to the second in use", USUAL)
        wait_until(lambda after=after: time.monotonic() > after, "two more attempts")  # type: ignore[misc]
        wait_told(real, *texts)
        first.ovs.vsctl(*give_back)
        real.settle()
        wait_until(lambda: works(real) == len(texts), "a line that it works now")
        wait_told(real, *texts)
        for node in (second, third):
            real.unplug(node, 101)
        real.settle()
        # It would stay for a while, and have the name that somebody else is to take.
        first.ovs.vsctl("--if-exists", "del-port", BRIDGE, TAKEN)


def used(node: Node, tunnel: str) -> bool:
    """Tell whether a tunnel exists and is flooded to."""
    row = node.tunnels().get(tunnel)
    flood = f"bucket=actions=output:{row and row.ofport}"
    return any(flood in group for group in node.ovs.groups(BRIDGE))


def works(real: RealCloud) -> int:
    return real.controller.log().count(f"tunnel {TAKEN} works now")


def test_ovsdb_servers_that_are_dead_or_stall_or_have_no_such_bridge(real: RealCloud) -> None:
    first, _, third = real.nodes
    stalled = socket.create_server(("127.0.0.1", 0))
    dead_port, stalled_port = free_port(), stalled.getsockname()[1]
    address(real, DEAD, f"tcp:127.0.0.1:{dead_port}")
    address(real, STALLED, f"tcp:127.0.0.1:{stalled_port}")
    address(real, ABSENT, third.ovs.db_address)
    plug_in_time(real, first, 102)
    wait_told(
        real,
        f"bridge {DEAD:016x}: OVSDB server tcp:127.0.0.1:{dead_port} does not answer",
        f"bridge {STALLED:016x}: OVSDB server tcp:127.0.0.1:{stalled_port} does not give its",
        f"bridge {ABSENT:016x}: there is no such bridge at {third.ovs.db_address}",
    )
    plug_in_time(real, third, 102)
    for number, dpid in enumerate((DEAD, STALLED, ABSENT)):
        setting = f"other_config:datapath-id={dpid_to_str(dpid)}"
        third.ovs.vsctl("add-br", f"bad{number}", "--", "set", "bridge", f"bad{number}", setting)
        address(real, dpid, third.ovs.db_address)
    for number, dpid in enumerate((DEAD, STALLED, ABSENT)):
        bridge, text = f"bad{number}", f"bridge {dpid:016x}: its OVSDB is read again"
        wait_until(lambda bridge=bridge: third.ovs.flows(bridge), f"the flows of {bridge}")  # type: ignore[misc]
        assert real.controller.log().count(text) == 1
    assert sum(told(real).values()) == 3, told(real)
    stalled.close()


def test_tunnel_addresses_that_change_or_that_another_switch_has(real: RealCloud) -> None:
    first, second, third = real.nodes
    for node in (second, third):
        plug_in_time(real, node, 101)
    real.settle()
    kept = tunnel_name("gre", 1, "10.0.0.3")
    before = first.tunnels()[kept]
    real.state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.22")
    real.rest("PUT", f"/conf/switches/{dpid_to_str(2)}/{TUNNEL_ADDR}", "10.0.0.22")
    real.settle()
    remotes = {row.options["remote_ip"] for row in first.tunnels().values()}
    assert remotes == {"10.0.0.22", "10.0.0.3"}
    assert {row.options["local_ip"] for row in second.tunnels().values()} == {"10.0.0.22"}
    assert first.tunnels()[kept] == before, "the tunnel to the third is left as it is"
    path = f"/v1.0/conf/switches/{dpid_to_str(DEAD)}/{TUNNEL_ADDR}"
    status, text = real.controller.request("PUT", path, '"10.0.0.22"')
    assert status == 409 and "switch 0000000000000002 has 10.0.0.22" in text
    real.settle()
    real.rest("DELETE", f"/conf/switches/{dpid_to_str(2)}")
    real.state.remove_switch(2)
    assert real.controller.request("PUT", path, '"10.0.0.22"')[0] == 201
    real.settle()
    assert set(first.tunnels()) == {kept}
    wait_until(lambda: not second.tunnels(), "the switch that is let go to lose its tunnels")
    assert not told(real)
