"""``Fleet``: a programmer and a worker for each switch."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_l2iso.framework import hub
from ryu_l2iso.openflow import fleet as fleet_module
from ryu_l2iso.openflow.fleet import Fleet
from ryu_l2iso.openflow.plan import Contents
from ryu_l2iso.state.subjects import PortSubject
from tests.unit.openflow_fakes import (
    FLOOD,
    Source,
    Switch,
    filled_source,
    flow,
    pieces,
)


@pytest.fixture
def source() -> Source:
    """Return a source with a port and a flood."""
    return filled_source()


class FleetSwitches:
    """Makes connections for a fleet: the switch of a datapath, by its dpid."""

    def __init__(self) -> None:
        self.made: dict[int, Switch] = {}

    def __call__(self, datapath: Any) -> Switch:
        switch = Switch(Contents())
        switch.datapath = datapath
        self.made[datapath.id] = switch
        return switch


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> FleetSwitches:
    """Return the switches that a fleet's connections lead to."""
    made = FleetSwitches()
    monkeypatch.setattr(fleet_module, "Connection", made)
    return made


@pytest.fixture
def fleet(source: Source) -> Iterator[Fleet]:
    """Return a fleet."""
    made = Fleet(source)
    yield made
    made.stop()


def datapath(dpid: int) -> Any:
    return SimpleNamespace(id=dpid, socket=SimpleNamespace())


def synced(fleet: Fleet, dpid: int) -> bool:
    programmer = fleet.programmer(dpid)
    return programmer is not None and programmer.wait_synced(5)


def test_slow_switch_holds_up_no_other(
    fleet: Fleet, switches: FleetSwitches, source: Source
) -> None:
    release = hub.Event()
    fleet.connected(datapath(1))
    switches.made[1].before_commit = lambda: release.wait(10)
    fleet.connected(datapath(2))
    assert synced(fleet, 2)
    source.table[PortSubject(5)] = [flow(5)]
    fleet.mark(1, PortSubject(5))
    fleet.mark(2, PortSubject(5))
    assert synced(fleet, 2)
    assert switches.made[2].holds == pieces(source)
    assert switches.made[1].holds == Contents()
    release.set()
    assert synced(fleet, 1)
    assert switches.made[1].holds == pieces(source)


def test_replies_go_to_the_connection_that_they_came_by(
    fleet: Fleet, switches: FleetSwitches
) -> None:
    first = datapath(1)
    fleet.connected(first)
    assert first.socket.replies == switches.made[1].received


def test_fleet_ignores_switches_that_it_does_not_know(fleet: Fleet) -> None:
    fleet.mark(9, FLOOD)
    fleet.disconnected(datapath(9))
    fleet.forget(9)
    assert fleet.programmer(9) is None


def test_fleet_disconnects_and_forgets(
    fleet: Fleet, switches: FleetSwitches, source: Source
) -> None:
    fleet.ovsdb_read(1)
    first = datapath(1)
    fleet.connected(first)
    assert synced(fleet, 1)
    fleet.disconnected(first)
    programmer = fleet.programmer(1)
    assert programmer is not None
    assert not programmer.synced
    fleet.connected(datapath(1))
    assert synced(fleet, 1)
    fleet.forget(1)
    assert fleet.programmer(1) is None
    source.table.clear()
    fleet.mark(1, FLOOD)
    hub.sleep(0)
    assert switches.made[1].holds.flows


def test_a_datapath_that_is_not_in_use_may_go(fleet: Fleet, switches: FleetSwitches) -> None:
    fleet.connected(datapath(1))
    assert synced(fleet, 1)
    fleet.disconnected(datapath(1))
    assert synced(fleet, 1)
