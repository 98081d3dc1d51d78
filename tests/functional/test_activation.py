"""A live migration on real switches: the controller hears the guest and makes its port active."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_l2iso.lab.frames import arp_request, neighbour_advertisement, reverse_arp
from ryu_l2iso.state.ports import PortId
from tests.functional.controller import Controller
from tests.functional.ovs import OVS
from tests.functional.real_cloud import SUITE, Node, RealCloud

MAC, PEER_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ANNOUNCEMENTS = {
    "reverse ARP": reverse_arp(MAC),
    "gratuitous ARP": arp_request(MAC, "10.0.0.1", "10.0.0.1"),
    "neighbour advertisement": neighbour_advertisement(MAC, "fd00::1"),
}
OTHERS = {
    "question for another": arp_request(MAC, "10.0.0.1", "10.0.0.2"),
    "another's announcement": reverse_arp(PEER_MAC),
}


@pytest.fixture
def real() -> Iterator[RealCloud]:
    """Return a cloud where a VM is at port 101 of node 1 and moves to port 102 of node 2."""
    with OVS() as first, OVS() as second, Controller(*SUITE) as controller:
        controller.wait_for_log("REST server listens")
        built = RealCloud(controller, (Node(first, 1), Node(second, 2)))
        for node in built.nodes:
            built.register(node)
        built.network("red", 42)
        built.plug(built.nodes[1], 101, "red", PEER_MAC)
        built.plug(built.nodes[0], 101, "red", MAC, "moving")
        built.settle()
        built.plug(built.nodes[1], 102, "red", MAC, "moving")
        built.settle()
        yield built


def receive(node: Node, port: str, frame: bytes) -> None:
    """Have a frame come in by a port."""
    node.ovs.appctl("netdev-dummy/receive", port, frame.hex())


@pytest.mark.parametrize("kind", ANNOUNCEMENTS)
def test_a_guest_that_announces_itself_is_moved_and_moved_back(real: RealCloud, kind: str) -> None:
    places = [(real.nodes[1], 102), (real.nodes[0], 101)]
    for node, port_no in places:
        receive(node, f"tap{port_no}", ANNOUNCEMENTS[kind])
        assert real.state.guest_shown(PortId(node.dpid, port_no))
        real.settle()
    assert not real.state.topology.is_active(PortId(2, 102))


def test_other_packets_move_nothing(real: RealCloud) -> None:
    for frame in OTHERS.values():
        receive(real.nodes[1], "tap102", frame)
    real.settle_behind_another_vm(real.nodes[1])
    real.settle()
    assert "is here now" not in real.controller.log()


def test_the_old_place_gone_or_the_move_aborted(real: RealCloud) -> None:
    real.unplug(real.nodes[1], 102)
    real.settle()
    real.plug(real.nodes[1], 102, "red", MAC, "moving")
    real.settle()
    real.unplug(real.nodes[0], 101)
    real.settle()
    assert real.state.topology.is_active(PortId(2, 102))
