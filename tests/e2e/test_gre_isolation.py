"""The controller, its agents and Quantum's calls against real switches and real packets."""

from __future__ import annotations

import contextlib

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.flows import dump_flows
from ryu_l2iso.lab.frames import BROADCAST_MAC, UNKNOWN_MAC, find_token
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.station import Capture
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM
from ryu_l2iso.ovsdb.tunnel_ports import SPARE_SECONDS
from ryu_l2iso.pipelines.gre import PIPELINE, Reason
from tests.e2e.probing import DEADLINE, ping_answered, send, unplugged


def remotes(node: Node) -> set[str]:
    """Return the addresses to which a node has tunnels."""
    return {tunnel.remote for tunnel in node.tunnels()}


def dropped_as_spoofed(vm: VM) -> int:
    """Return how many packets the drop of a VM's spoofed sources has counted."""
    flows = [
        flow
        for flow in dump_flows(vm.node)
        if flow.cookie == PIPELINE.cookie | Reason.SPOOFED_SOURCE
        and flow.match == f'in_port="{vm.tap}"'
    ]
    assert len(flows) == 1, flows
    assert flows[0].actions == "drop"
    return flows[0].packets


def test_every_pair_is_reached_or_isolated_as_it_must_be(lab: Lab) -> None:
    result = matrix.measure(lab.vms)
    assert result.faults() == []
    assert sum(cell.reached for cell in result.cells.values()) == 60
    assert len(result.cells) == 132


def test_a_gre_packet_carries_the_key_of_its_network(lab: Lab) -> None:
    keys = {}
    for network in lab.networks:
        source, destination = lab.vm(f"{network.name}1"), lab.vm(f"{network.name}3")
        with contextlib.closing(Capture(lab.physical, source.node.name)) as capture:
            assert ping_answered(source, destination)
            packets = [p for p in capture.gre_packets() if find_token(p.inner) is not None]
        keys[network.key] = {packet.key for packet in packets}
        addresses = {(packet.source, packet.destination) for packet in packets}
        assert addresses == {(source.node.address, destination.node.address)}
    assert keys == {network.key: {network.key} for network in lab.networks}


def test_a_spoofed_source_mac_is_dropped_and_counted(lab: Lab) -> None:
    sender, victim = lab.vm("red1"), lab.vm("red3")
    others = [vm for vm in lab.vms if vm is not sender]
    before = dropped_as_spoofed(sender)
    for source in (UNKNOWN_MAC, victim.address.mac):
        for destination in (BROADCAST_MAC, lab.vm("red2").address.mac, victim.address.mac):
            assert send(sender, source, destination, others) == []
    wait_until(
        lambda: dropped_as_spoofed(sender) - before >= 6, DEADLINE, "the drop's counter to tell"
    )
    assert dropped_as_spoofed(sender) - before == 6
    assert send(sender, sender.address.mac, victim.address.mac, others) == ["red3"]


def test_a_twin_in_another_network_does_not_stand_in(lab: Lab) -> None:
    gone, twin = lab.vm("red3"), lab.vm("blue3")
    assert gone.address == twin.address
    with unplugged(lab, [gone]):
        wait_until(
            lambda: (
                not ping_answered(lab.vm("red1"), twin, 0.2)
                and send(lab.vm("red1"), lab.vm("red1").address.mac, gone.address.mac, [twin]) == []
            ),
            5,
            "red3 to be gone",
        )
        rest = [vm for vm in lab.vms if vm is not gone]
        assert matrix.measure(rest).faults() == []


def test_unplugging_the_last_vm_of_a_node_removes_its_tunnels(lab: Lab) -> None:
    first, second, third = lab.nodes
    with unplugged(lab, [vm for vm in lab.vms if vm.node is third]):
        wait_until(
            lambda: (
                [remotes(node) for node in lab.nodes] == [{second.address}, {first.address}, set()]
            ),
            SPARE_SECONDS + 5,
            "the tunnels to and from node3 to go",
        )
        rest = [vm for vm in lab.vms if vm.node is not third]
        assert matrix.measure(rest).faults() == []
    assert remotes(third) == {first.address, second.address}
    assert matrix.measure(lab.vms).faults() == []


def test_a_tunnel_stays_while_one_network_needs_it(lab: Lab) -> None:
    first, second, third = lab.nodes
    with unplugged(lab, [lab.vm("blue5"), lab.vm("blue6")]):
        rest = [vm for vm in lab.vms if vm.plugged]
        assert matrix.measure(rest).faults() == []
        assert remotes(third) == {first.address, second.address}


def test_an_unplugged_vm_can_be_plugged_again(lab: Lab) -> None:
    for _ in range(2):
        with unplugged(lab, [lab.vm("red1"), lab.vm("blue4")]):
            wait_until(
                lambda: not ping_answered(lab.vm("red2"), lab.vm("red1"), 0.2),
                DEADLINE,
                "red1 to be gone",
            )
    assert matrix.measure(lab.vms).faults() == []


def test_deleting_a_network_cuts_its_traffic_and_no_other(lab: Lab) -> None:
    red, blue = lab.networks
    lab.quantum.delete_network(red.network_id)
    try:
        wait_until(
            lambda: (
                not any(
                    ping_answered(lab.vm("red1"), lab.vm(name), 0.2) for name in ("red2", "red3")
                )
            ),
            5,
            "red to be cut, on the node and between nodes",
        )
        assert matrix.measure([vm for vm in lab.vms if vm.network == blue]).faults() == []
        assert send(lab.vm("red1"), lab.vm("red1").address.mac, BROADCAST_MAC, lab.vms[1:]) == []
    finally:
        lab.quantum.create_network(red.network_id, red.key)
        for vm in lab.vms:
            lab.quantum.update_interface(vm.iface_id, vm.network.network_id)
        matrix.wait_until_wired(lab.vms)
    assert matrix.measure(lab.vms).faults() == []


def test_a_key_can_be_taken_away_and_another_given(lab: Lab) -> None:
    red = lab.networks[0]
    path = f"/tunnels/networks/{red.network_id}/key"
    try:
        assert lab.quantum.request("DELETE", path).status == 200
        wait_until(
            lambda: not ping_answered(lab.vm("red1"), lab.vm("red3"), 0.2),
            DEADLINE,
            "red to be cut",
        )
        assert lab.quantum.request("POST", f"{path}/9").status == 200
        matrix.wait_until_wired(lab.vms)
        with contextlib.closing(Capture(lab.physical, "node1")) as capture:
            assert ping_answered(lab.vm("red1"), lab.vm("red3"))
            tokens = [p for p in capture.gre_packets() if find_token(p.inner) is not None]
        assert {packet.key for packet in tokens} == {9}
    finally:
        lab.quantum.request("DELETE", path)
        lab.quantum.request("POST", f"{path}/{red.key}")
        matrix.wait_until_wired(lab.vms)
    assert matrix.measure(lab.vms).faults() == []


def test_what_quantum_repeats_changes_nothing_on_the_switches(lab: Lab) -> None:
    before = [[flow._replace(packets=0) for flow in dump_flows(node)] for node in lab.nodes]
    lab.quantum.start()
    for network in lab.networks:
        path = f"/networks/{network.network_id}"
        assert lab.quantum.request("PUT", path).status == 200
        assert lab.quantum.request("PUT", f"/tunnels{path}/key/{network.key}").status == 200
    for vm in lab.vms:
        lab.quantum.update_interface(vm.iface_id, vm.network.network_id)
    assert matrix.measure(lab.vms).faults() == []
    after = [[flow._replace(packets=0) for flow in dump_flows(node)] for node in lab.nodes]
    assert after == before


def test_traffic_goes_on_without_a_controller_and_the_next_one_takes_over(lab: Lab) -> None:
    lab.controller.stop()
    try:
        assert matrix.measure(lab.vms).faults() == []
    finally:
        lab.start_controller()
        lab.wait_for_switches()
        matrix.wait_until_wired(lab.vms)
    with unplugged(lab, [lab.vm("red1")]):
        wait_until(
            lambda: not ping_answered(lab.vm("red2"), lab.vm("red1"), 0.2), 15, "red1 to be gone"
        )
    assert matrix.measure(lab.vms).faults() == []
