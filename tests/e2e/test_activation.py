"""``migration = activate``: a half-started copy neither speaks nor hears, with real packets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_l2iso.lab.frames import (
    BROADCAST_MAC,
    IPV6_MULTICAST_MAC,
    arp_request,
    neighbour_advertisement,
    probe_frame,
    reverse_arp,
)
from ryu_l2iso.lab.node import Node
from tests.e2e.migrating import Moving, moving_lab
from tests.e2e.probing import TOKEN


@pytest.fixture(scope="module", params=("gre", "mac"))
def moving(request: pytest.FixtureRequest) -> Iterator[Moving]:
    """Yield a lab of each mode that has activation."""
    yield from moving_lab(request, request.param)


def frames_of(moving: Moving) -> list[bytes]:
    """Return frames of the VM to all and to each of the network."""
    macs = [BROADCAST_MAC, IPV6_MULTICAST_MAC, *(peer.address.mac for peer in moving.peers)]
    return [probe_frame(mac, moving.movable.vm.address.mac, TOKEN) for mac in macs]


def assert_dead(moving: Moving, node: Node) -> None:
    """Check that the VM's port on a node neither sends nor receives anything."""
    assert moving.hears(node, frames_of(moving)) == []
    assert moving.gets(node) == 0


def test_a_copy_is_dead_until_its_guest_shows_itself_and_then_the_old_place_is(
    moving: Moving,
) -> None:
    source, destination = moving.here, moving.there
    address, asked = moving.movable.vm.address, moving.peers[0].address.ipv4
    moving.prepare(destination)
    assert_dead(moving, destination)
    # A question is no announcement, and not passed on.
    moving.movable.send_from(destination, arp_request(address.mac, address.ipv4, asked))
    moving.movable.send_from(destination, arp_request(address.mac, "0.0.0.0", address.ipv4))
    assert_dead(moving, destination)
    assert moving.gets(source) == 2 * len(moving.peers)
    assert moving.reached()
    moving.movable.switch_over(destination)
    assert not moving.reached()
    moving.movable.announce()
    moving.wait_until_reached()
    moving.movable.wait_announced()
    assert_dead(moving, source)
    assert moving.gets(destination) == 2 * len(moving.peers)
    moving.movable.leave(source)
    assert moving.reached()


def test_an_announcement_is_heard_among_any_questions(moving: Moving) -> None:
    """A guest that is cut off asks for all whom it talked to, and announces itself once.

    The questions are more than its meter lets through, and fewer than a tap takes at once.
    """
    source, destination = moving.here, moving.there
    address, asked = moving.movable.vm.address, moving.peers[0].address.ipv4
    moving.prepare(destination)
    moving.movable.switch_over(destination)
    question = arp_request(address.mac, address.ipv4, asked)
    moving.movable.send_from(destination, *[question] * 50, reverse_arp(address.mac))
    moving.wait_until_reached()
    moving.movable.leave(source)
    assert moving.reached()


@pytest.mark.parametrize("kind", ["rarp", "garp", "na", "the old place gone"])
def test_what_activates_a_location(moving: Moving, kind: str) -> None:
    source, destination = moving.here, moving.there
    address = moving.movable.vm.address
    announcements = {
        "rarp": reverse_arp(address.mac),
        "garp": arp_request(address.mac, address.ipv4, address.ipv4),
        "na": neighbour_advertisement(address.mac, address.ipv6),
    }
    moving.prepare(destination)
    moving.movable.switch_over(destination)
    assert moving.hears(destination, frames_of(moving)) == []
    if kind in announcements:
        moving.movable.send_from(destination, announcements[kind])
    else:
        moving.movable.leave(source)
    moving.wait_until_reached()
    if kind in announcements:
        moving.movable.leave(source)
        assert moving.reached()
