"""MAC isolation: the rules that no other mode has, against real switches and real packets."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.flows import DumpedFlow, dump_flows
from ryu_l2iso.lab.frames import BROADCAST_MAC, UNKNOWN_MAC, probe_frame, recognise
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.station import Stations, first_ping, packet_socket, read_frames
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM
from ryu_l2iso.pipelines.mac import PIPELINE, Reason
from tests.e2e.probing import DEADLINE, QUIET, TOKEN, send, send_frames, unplugged

ISOLATION = "mac"
SECOND_MAC = "fa:16:3e:22:22:22"
FLOOD, FLOOD_RATE = 100_000, 25_000
LEARNING_MAX = 64


def flows_with(lab: Lab, mac: str) -> list[list[DumpedFlow]]:
    """Return the flows of each node that match a MAC."""
    return [[flow for flow in dump_flows(node) if mac in flow.match] for node in lab.nodes]


def packets(node: Node, reason: Reason) -> int:
    """Return how many packets the flows with a reason have counted."""
    cookie = PIPELINE.cookie | reason
    return sum(flow.packets for flow in dump_flows(node) if flow.cookie == cookie)


def names(vms: list[VM], network: str) -> list[str]:
    return sorted(vm.name for vm in vms if vm.network.name == network)


def send_from_outside(lab: Lab, node: Node, source: str, *destinations: str) -> list[str]:
    """Send frames to a node's uplink; return the names of the VMs where any arrived."""
    cable = packet_socket(lab.physical.namespace, lab.flat.port(node))
    with contextlib.closing(cable), Stations(lab.vms) as stations:
        for destination in destinations:
            cable.send(probe_frame(destination, source, TOKEN))
        while stations.read(QUIET):
            pass
        return sorted(lab.vms[place].name for place, _ in stations.seen)


def learn(lab: Lab, vm: VM, mac: str) -> None:
    """Have a VM send from a MAC until it is known on its switch."""
    others = [other for other in lab.vms if other is not vm]
    wait_until(lambda: send(vm, mac, BROADCAST_MAC, others), DEADLINE, f"{mac} to be learned")


@pytest.fixture
def learned(lab: Lab) -> Iterator[VM]:
    """Return red1, which uses a second MAC; forget it afterwards."""
    vm = lab.vm("red1")
    learn(lab, vm, SECOND_MAC)
    yield vm
    with unplugged(lab, [vm]):
        pass


def test_unicast_is_delivered_in_the_network_only(lab: Lab) -> None:
    red1 = lab.vm("red1")
    others = [vm for vm in lab.vms if vm is not red1]
    for name in ("red2", "red3", "blue1", "blue3"):
        expected = [name] if name.startswith("red") else []
        assert send(red1, red1.address.mac, lab.vm(name).address.mac, others) == expected
    assert send(red1, red1.address.mac, UNKNOWN_MAC, others) == []


def test_a_broadcast_reaches_the_network_here_and_there(lab: Lab) -> None:
    red1 = lab.vm("red1")
    others = [vm for vm in lab.vms if vm is not red1]
    assert send(red1, red1.address.mac, BROADCAST_MAC, others) == names(others, "red")


def test_from_outside_comes_in_what_is_known_elsewhere(lab: Lab) -> None:
    node = lab.nodes[0]
    here = [vm for vm in lab.vms if vm.node is node]
    red1, red2, red3, blue1 = (lab.vm(name) for name in ("red1", "red2", "red3", "blue1"))
    assert send_from_outside(lab, node, red3.address.mac, BROADCAST_MAC) == names(here, "red")
    assert send_from_outside(lab, node, red3.address.mac, red2.address.mac) == ["red2"]
    assert send_from_outside(lab, node, red3.address.mac, blue1.address.mac) == []
    before = packets(node, Reason.UNKNOWN_OUTSIDE_SOURCE)
    for source in (UNKNOWN_MAC, red1.address.mac):
        macs = (BROADCAST_MAC, red2.address.mac, blue1.address.mac)
        assert send_from_outside(lab, node, source, *macs) == []
    wait_until(
        lambda: packets(node, Reason.UNKNOWN_OUTSIDE_SOURCE) >= before + 6,
        DEADLINE,
        "the drops to count",
    )


@pytest.fixture
def second_uplink(lab: Lab) -> Iterator[str]:
    """Give node1 another external port; return the other end of its cable."""
    node, port, end = lab.nodes[0], "eth2", "eth2-end"
    node.namespace.ip(f"link add {port} type veth peer name {end}")
    node.namespace.ip(f"link set {port} up", f"link set {end} up")
    node.vsctl("add-port", INTEGRATION_BRIDGE, port)
    number = node.vsctl("get", "Interface", port, "ofport").strip()
    path = f"/networks/__NW_ID_EXTERNAL__/{node.dpid()}_{number}"
    assert lab.quantum.request("PUT", path).status == 200
    wait_until(
        lambda: any(flow.match == f"in_port={port}" for flow in dump_flows(node)),
        DEADLINE,
        "its flow",
    )
    yield end
    assert lab.quantum.request("DELETE", path).status == 200
    node.vsctl("del-port", INTEGRATION_BRIDGE, port)
    node.namespace.ip(f"link del {port}")
    # The physical switch has learned at node1 what came in here and went on to it.
    for vm in lab.vms:
        send(vm, vm.address.mac, BROADCAST_MAC, [])


def test_between_external_ports_frames_go_on_and_never_back(lab: Lab, second_uplink: str) -> None:
    node, red1, red3, red5 = lab.nodes[0], lab.vm("red1"), lab.vm("red3"), lab.vm("red5")
    with contextlib.closing(packet_socket(node.namespace, second_uplink)) as second:

        def arrived() -> int:
            return sum(recognise(frame) is not None for frame in read_frames(second))

        for destination in (BROADCAST_MAC, red5.address.mac):
            send_from_outside(lab, node, red3.address.mac, destination)
            assert arrived() == 1
        send_from_outside(lab, node, red3.address.mac, red1.address.mac)
        send_from_outside(lab, node, UNKNOWN_MAC, BROADCAST_MAC, red5.address.mac)
        assert arrived() == 0
        send(red1, red1.address.mac, BROADCAST_MAC, [])
        send(red1, red1.address.mac, red5.address.mac, [])
        send(red1, red1.address.mac, lab.vm("red2").address.mac, [])
        assert arrived() == 2
        before = packets(node, Reason.FROM_OUTSIDE)
        second.send(probe_frame(BROADCAST_MAC, red3.address.mac, TOKEN))
        wait_until(lambda: packets(node, Reason.FROM_OUTSIDE) > before, DEADLINE, "it to come in")
        assert arrived() == 0


def test_a_second_mac_of_a_vm_is_learned_for_the_whole_fleet(lab: Lab, learned: VM) -> None:
    others = [vm for vm in lab.vms if vm is not learned]
    assert send(learned, SECOND_MAC, BROADCAST_MAC, others) == names(others, "red")
    for name in ("red2", "red3"):
        vm = lab.vm(name)
        assert send(learned, SECOND_MAC, vm.address.mac, others) == [name]
        assert send(vm, vm.address.mac, SECOND_MAC, [v for v in lab.vms if v is not vm]) == ["red1"]
    blue = lab.vm("blue3")
    assert send(blue, blue.address.mac, SECOND_MAC, [v for v in lab.vms if v is not blue]) == []
    assert [len(flows) for flows in flows_with(lab, SECOND_MAC)] == [2, 2, 2]


def test_a_port_removed_frees_its_learned_macs_on_every_switch(lab: Lab, learned: VM) -> None:
    assert all(flows_with(lab, SECOND_MAC))
    with unplugged(lab, [learned]):
        wait_until(
            lambda: not any(flows_with(lab, SECOND_MAC)), DEADLINE, "the MAC to be forgotten"
        )
        blue = lab.vm("blue1")
        learn(lab, blue, SECOND_MAC)
        others = [vm for vm in lab.vms if vm is not blue]
        assert send(blue, SECOND_MAC, BROADCAST_MAC, others) == names(others, "blue")
    with unplugged(lab, [blue]):
        pass


def test_a_mac_of_another_network_is_refused_and_told_once(lab: Lab, learned: VM) -> None:
    red2, blue3 = lab.vm("red2"), lab.vm("blue3")
    for mac, owner, thief in (
        (blue3.address.mac, blue3, red2),
        (SECOND_MAC, learned, lab.vm("blue4")),
    ):
        others = [vm for vm in lab.vms if vm is not thief]
        macs = [BROADCAST_MAC, owner.address.mac, lab.vm("red3").address.mac]
        frames = [probe_frame(destination, mac, TOKEN) for destination in macs]
        assert send_frames(thief, frames, others) == []
        log = lab.controller.log.read_text().splitlines()
        told = [line for line in log if f"may not use MAC {mac}" in line]
        assert len(told) == 1
        assert f"({thief.tap}) in network {thief.network.network_id}" in told[0]
        assert f"({owner.tap}) in network {owner.network.network_id}" in told[0]
    assert matrix.measure(lab.vms).faults() == []


def attach(vm: VM, mac: str) -> None:
    """Say in OVSDB that a VM has a MAC."""
    vm.node.vsctl("set", "Interface", vm.tap, f'external_ids:attached-mac="{mac}"')


def test_of_two_networks_that_attach_one_mac_the_first_has_it(lab: Lab) -> None:
    red1, blue3 = lab.vm("red1"), lab.vm("blue3")

    def has_flows() -> bool:
        return any(flow.match == f'in_port="{blue3.tap}"' for flow in dump_flows(blue3.node))

    attach(blue3, red1.address.mac)
    wait_until(lambda: not has_flows(), DEADLINE, "blue3 to be cut")
    assert f"may not use MAC {red1.address.mac}" in lab.controller.log.read_text()
    assert matrix.measure([vm for vm in lab.vms if vm is not blue3]).faults() == []
    with unplugged(lab, [red1]):
        wait_until(has_flows, DEADLINE, "blue3 to have its turn")
        attach(blue3, blue3.address.mac)
    assert matrix.measure(lab.vms).faults() == []


def resident_kib(pid: int) -> int:
    """Return the memory of a process, in KiB (proc(5): VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def flow_counts(lab: Lab) -> list[int]:
    return [len(dump_flows(node)) for node in lab.nodes]


@contextlib.contextmanager
def flood(vm: VM) -> Iterator[subprocess.Popen[bytes]]:
    """Have a VM send from many random MACs."""
    script = str(Path(__file__).with_name("flood.py"))
    command = vm.namespace.command(sys.executable, script, str(FLOOD), str(FLOOD_RATE))
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_pings(lab: Lab, vms: list[VM]) -> list[float]:
    """Plug VMs one after the other; return the seconds until each has its first answer."""
    delays = []
    for vm in vms:
        vm.plug()
        delays.append(first_ping(vm, lab.vm(f"{vm.network.name}2")))
    return delays


def test_a_flood_of_macs_fills_nothing_and_delays_nobody(lab: Lab) -> None:
    red1, newcomers = lab.vm("red1"), [lab.vm(name) for name in ("blue1", "blue3", "red3")]
    for vm in newcomers:
        vm.unplug()
    before, memory = flow_counts(lab), resident_kib(lab.controller.pid)
    seen = packets(red1.node, Reason.UNKNOWN_VM_SOURCE)
    with flood(red1) as process:
        wait_until(
            lambda: flow_counts(lab)[0] > before[0] + 9, DEADLINE, "the flood to be learned from"
        )
        delays = first_pings(lab, newcomers)
        assert process.poll() is None, "the flood ended before all was plugged"
        assert process.wait(60) == 0
    after, grown = flow_counts(lab), resident_kib(lab.controller.pid) - memory
    seen = packets(red1.node, Reason.UNKNOWN_VM_SOURCE) - seen
    print(f"{seen} of {FLOOD} frames met the meter; first pings after {delays} s;")
    print(f"controller {grown} KiB more; flows before {before}, after {after}")
    assert max(delays) < 1
    assert seen > FLOOD / 5
    # Two flows of each learned MAC, and those of the VMs that came meanwhile.
    assert all(b < a <= b + 2 * LEARNING_MAX + 10 for b, a in zip(before, after))
    assert grown < 10 * 1024
    with unplugged(lab, [red1]):
        wait_until(
            lambda: not any(flows_with(lab, "dl_src=02:")), DEADLINE, "the MACs to be forgotten"
        )
    assert matrix.measure(lab.vms).faults() == []
