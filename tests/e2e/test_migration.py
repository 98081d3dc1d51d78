"""A VM that moves between nodes, with real packets, in every mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_l2iso.lab import matrix, migration
from ryu_l2iso.lab.flows import DumpedFlow, dump_flows, dump_groups
from ryu_l2iso.lab.isolations import NAMES
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, UPLINK
from ryu_l2iso.lab.shell import wait_until
from tests.e2e.migrating import Moving, moving_lab
from tests.e2e.probing import DEADLINE

pytestmark = pytest.mark.alone

MAX_LOST = 25
"""Pings of one VM to another, 10 ms apart.  A move costs 1 to 3; a busy machine takes its time."""


@pytest.fixture(scope="module", params=NAMES)
def moving(request: pytest.FixtureRequest) -> Iterator[Moving]:
    """Yield a lab of each mode in turn."""
    yield from moving_lab(request, request.param)


def installed(moving: Moving) -> list[tuple[list[DumpedFlow], list[str]]]:
    """Return the flows and groups of all switches, without their counters."""
    return [
        ([flow._replace(packets=0) for flow in dump_flows(node)], dump_groups(node))
        for node in moving.lab.nodes
    ]


def test_a_move_costs_the_pause_and_nothing_comes_twice(moving: Moving) -> None:
    """The first move in this lab: OVS knows no flow of the VM at its new place."""
    source, destination = moving.here, moving.there
    result = migration.move(moving.movable, destination, moving.peers)
    print("\n".join(migration.lines(result, source, destination)))
    assert moving.here is destination
    assert result.twice == 0
    assert [line.lost for line in result.lines if line.lost > MAX_LOST] == []
    assert min(line.sent for line in result.lines) >= 4 * migration.ROUNDS
    assert matrix.measure(moving.lab.vms).faults() == []


def test_a_moved_guest_is_reached_whatever_its_switches_have_learned(moving: Moving) -> None:
    """What Open vSwitch has learned may be half a second old, which is an accident of timing."""
    source, destination, isolation = moving.here, moving.there, moving.lab.isolation
    vm = moving.movable.vm
    vlan = str(vm.network.key if isolation.name == "vlan" else 0)
    moving.prepare(destination)
    moving.movable.switch_over(destination)
    moving.movable.announce()
    moving.movable.wait_announced()
    moving.wait_until_reached()
    wrong = {source: vm.tap, destination: UPLINK if isolation.flat else INTEGRATION_BRIDGE}
    for node, port in wrong.items():
        node.appctl("fdb/add", INTEGRATION_BRIDGE, port, vlan, vm.address.mac)
    assert moving.reached()
    for node in wrong:
        node.appctl("fdb/del", INTEGRATION_BRIDGE, vlan, vm.address.mac)
    moving.movable.leave(source)
    moving.wait_until_reached()
    assert matrix.measure(moving.lab.vms).faults() == []


def test_an_aborted_migration_leaves_nothing_and_a_second_try_works(moving: Moving) -> None:
    before, source, destination = installed(moving), moving.here, moving.there
    moving.prepare(destination)
    moving.movable.leave(destination)
    wait_until(lambda: installed(moving) == before, DEADLINE, "the switches to hold what they did")
    assert moving.reached()
    moving.prepare(destination)
    moving.movable.switch_over(destination)
    moving.movable.announce()
    moving.wait_until_reached()
    moving.movable.leave(source)
    moving.movable.wait_announced()
    assert matrix.measure(moving.lab.vms).faults() == []


def test_a_guest_that_goes_back_before_the_old_place_is_gone(moving: Moving) -> None:
    source, destination = moving.here, moving.there
    moving.prepare(destination)
    for node in (destination, source):
        moving.movable.switch_over(node)
        moving.movable.announce()
        moving.wait_until_reached()
        moving.movable.wait_announced()
    moving.movable.leave(destination)
    assert matrix.measure(moving.lab.vms).faults() == []
