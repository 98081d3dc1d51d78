"""The rules of isolation, numbered, each shown with real packets in every mode.

A rule is a function of a wired lab that leaves it wired; what differs between the modes has its
tests elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

import pytest

from ryu_l2iso.lab import demo, matrix
from ryu_l2iso.lab.frames import BROADCAST_MAC, IPV6_MULTICAST_MAC, UNKNOWN_MAC, probe_frame
from ryu_l2iso.lab.isolations import NAMES
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.station import Stations, packet_socket
from ryu_l2iso.lab.storm import tagged
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM
from tests.e2e.probing import DEADLINE, QUIET, TOKEN, ping_answered, send, send_frames, unplugged


@pytest.fixture(scope="module", params=NAMES)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Yield a wired lab of each mode: two nodes, two networks, a VM of each on both."""
    failed_before = request.session.testsfailed
    with Lab(nodes=2, vms=1, isolation=request.param) as made:
        print(f"logs, if a test fails: {made.directory}")
        made.keep_logs = True
        demo.start(made)
        demo.wire(made)
        yield made
        made.keep_logs = request.session.testsfailed > failed_before


def others(lab: Lab, vm: VM) -> list[VM]:
    """Return the VMs of the other networks."""
    return [other for other in lab.vms if other.network != vm.network]


def frames_to_everybody(lab: Lab, source: str) -> list[bytes]:
    """Return frames with a source MAC to all, to many, and to each VM."""
    macs = [BROADCAST_MAC, IPV6_MULTICAST_MAC, UNKNOWN_MAC]
    macs += [vm.address.mac for vm in lab.vms]
    return [probe_frame(mac, source, TOKEN) for mac in macs]


def until_cut(lab: Lab, vm: VM, peer: VM) -> None:
    """Wait until a VM does not reach a peer any more."""
    wait_until(
        lambda: not ping_answered(vm, peer, 0.2), DEADLINE, f"{vm.name} not to reach {peer.name}"
    )


def inside_a_network_all_reach_all_once_and_between_networks_nobody(lab: Lab) -> None:
    assert matrix.measure(lab.vms).faults() == []


def a_source_mac_of_another_takes_no_frame_into_another_network(lab: Lab) -> None:
    red1 = lab.vm("red1")
    for vm in [*others(lab, red1), lab.vm("red2")]:
        frames = frames_to_everybody(lab, vm.address.mac)
        assert send_frames(red1, frames, others(lab, red1)) == []
    matrix.wait_until_wired(lab.vms)


def an_unknown_source_mac_takes_no_frame_into_another_network(lab: Lab) -> None:
    red1 = lab.vm("red1")
    assert send_frames(red1, frames_to_everybody(lab, UNKNOWN_MAC), others(lab, red1)) == []


def a_frame_that_the_vm_has_tagged_reaches_no_other_network(lab: Lab) -> None:
    red1 = lab.vm("red1")
    plain = frames_to_everybody(lab, red1.address.mac)
    vlans = {1, 4094, 4095, *(network.key % 4096 for network in lab.networks)}
    frames = [tagged(frame, vlan) for frame in plain for vlan in sorted(vlans)]
    frames += [tagged(tagged(f, v), red1.network.key % 4096) for f in plain for v in sorted(vlans)]
    assert send_frames(red1, frames, others(lab, red1)) == []


def a_frame_of_no_network_from_the_physical_network_reaches_nobody(lab: Lab) -> None:
    node = lab.nodes[0]
    port = lab.flat.port(node) if lab.isolation.flat else node.name
    cable = packet_socket(lab.physical.namespace, port)
    with contextlib.closing(cable), Stations(lab.vms) as stations:
        for frame in frames_to_everybody(lab, UNKNOWN_MAC):
            cable.send(frame)
            cable.send(tagged(frame, 4095))
        while stations.read(QUIET):
            pass
        assert stations.seen == {}


def an_unplugged_vm_is_reached_by_nobody_and_no_twin_stands_in(lab: Lab) -> None:
    red1, red2 = lab.vm("red1"), lab.vm("red2")
    with unplugged(lab, [red2]):
        until_cut(lab, red1, red2)
        rest = [vm for vm in lab.vms if vm is not red2]
        assert matrix.measure(rest).faults() == []
        assert send(red1, red1.address.mac, red2.address.mac, rest[1:]) == []


def a_vm_of_no_network_neither_sends_nor_receives(lab: Lab) -> None:
    red1, red2 = lab.vm("red1"), lab.vm("red2")
    rest = [vm for vm in lab.vms if vm is not red2]
    lab.quantum.delete_interface(red2.iface_id)
    try:
        until_cut(lab, red1, red2)
        assert send_frames(red2, frames_to_everybody(lab, red2.address.mac), rest) == []
        assert send_frames(red1, frames_to_everybody(lab, red1.address.mac), [red2]) == []
        assert matrix.measure(rest).faults() == []
    finally:
        lab.quantum.create_interface(red2.iface_id, red2.network.network_id)
        matrix.wait_until_wired(lab.vms)


def a_vm_that_is_given_to_another_network_is_in_that_one_alone(lab: Lab) -> None:
    red1, red2, blue = lab.vm("red1"), lab.vm("red2"), lab.networks[1]
    # Unplugged, as blue2 may have its MAC.
    with unplugged(lab, [lab.vm("blue2")]):
        lab.quantum.delete_interface(red2.iface_id)
        lab.quantum.create_interface(red2.iface_id, blue.network_id)
        try:
            until_cut(lab, red1, red2)
            until_reached = lambda: ping_answered(lab.vm("blue1"), red2, 0.2)  # noqa: E731
            wait_until(until_reached, DEADLINE, "red2 to be in blue")
            assert send_frames(red2, frames_to_everybody(lab, red2.address.mac), [red1]) == []
        finally:
            lab.quantum.delete_interface(red2.iface_id)
            lab.quantum.create_interface(red2.iface_id, red2.network.network_id)
            wait_until(lambda: ping_answered(red1, red2, 0.2), DEADLINE, "red2 to be in red again")
            # Where blue2 has another MAC than red2, blue1 remembers that of red2.
            lab.vm("blue1").namespace.ip("neigh flush dev eth0")


def a_network_that_is_deleted_is_cut_and_no_other(lab: Lab) -> None:
    red = lab.networks[0]
    lab.quantum.delete_network(red.network_id)
    try:
        until_cut(lab, lab.vm("red1"), lab.vm("red2"))
        assert matrix.measure(others(lab, lab.vm("red1"))).faults() == []
        everybody = frames_to_everybody(lab, lab.vm("red1").address.mac)
        assert send_frames(lab.vm("red1"), everybody, lab.vms[1:]) == []
    finally:
        lab.quantum.create_network(red.network_id, red.key)
        for vm in lab.vms:
            lab.quantum.update_interface(vm.iface_id, vm.network.network_id)
        matrix.wait_until_wired(lab.vms)


def all_of_it_holds_without_the_controller(lab: Lab) -> None:
    lab.controller.stop()
    try:
        assert matrix.measure(lab.vms).faults() == []
        a_frame_that_the_vm_has_tagged_reaches_no_other_network(lab)
        a_source_mac_of_another_takes_no_frame_into_another_network(lab)
    finally:
        lab.start_controller()
        lab.wait_for_switches()
        matrix.wait_until_wired(lab.vms)


RULES: tuple[Callable[[Lab], None], ...] = (
    inside_a_network_all_reach_all_once_and_between_networks_nobody,
    a_source_mac_of_another_takes_no_frame_into_another_network,
    an_unknown_source_mac_takes_no_frame_into_another_network,
    a_frame_that_the_vm_has_tagged_reaches_no_other_network,
    a_frame_of_no_network_from_the_physical_network_reaches_nobody,
    an_unplugged_vm_is_reached_by_nobody_and_no_twin_stands_in,
    a_vm_of_no_network_neither_sends_nor_receives,
    a_vm_that_is_given_to_another_network_is_in_that_one_alone,
    a_network_that_is_deleted_is_cut_and_no_other,
    all_of_it_holds_without_the_controller,
)


@pytest.mark.parametrize(
    "rule", RULES, ids=[f"{n}-{rule.__name__}" for n, rule in enumerate(RULES, 1)]
)
def test_rule(lab: Lab, rule: Callable[[Lab], None]) -> None:
    rule(lab)
