"""Which events become of a change of a port."""

from __future__ import annotations

import pytest

from ryu_l2iso.events import (
    ADDED,
    CHANGED,
    REMOVED,
    EventExternalPort,
    EventTunnelPort,
    EventVMPort,
    Outgoing,
    PortEvent,
    port_events,
)
from ryu_l2iso.framework import hub
from ryu_l2iso.state.changes import PortChange
from ryu_l2iso.state.ports import ExternalPort, Port, TunnelPort, VMPort
from tests.functional.ovs import wait_until

VM = VMPort(1, 5, "tap0", "vif", "red", 42, "02:00:00:00:00:01", up=True)
TUNNEL = TunnelPort(1, 6, "gre0", 2)
EXTERNAL = ExternalPort(1, 7, "eth0")
CLASSES = [(VM, EventVMPort), (TUNNEL, EventTunnelPort), (EXTERNAL, EventExternalPort)]


def told(
    old: Port | None, new: Port | None
) -> list[tuple[type[PortEvent], str, Port, Port | None]]:
    """Return class, change, port and old port of the events of a change."""
    events = port_events(PortChange(old, new))
    return [(type(event), event.change, event.port, event.old) for event in events]


@pytest.mark.parametrize(("port", "kind"), CLASSES)
def test_a_port_that_comes_and_goes(port: Port, kind: type[PortEvent]) -> None:
    assert told(None, port) == [(kind, ADDED, port, None)]
    assert told(port, None) == [(kind, REMOVED, port, None)]


@pytest.mark.parametrize(("port", "kind"), CLASSES)
def test_a_port_that_differs(port: Port, kind: type[PortEvent]) -> None:
    renamed = port._replace(name="other")
    assert told(port, renamed) == [(kind, CHANGED, renamed, port)]


@pytest.mark.parametrize(("old", "old_kind"), CLASSES)
@pytest.mark.parametrize(("new", "new_kind"), CLASSES)
def test_a_port_of_another_kind_was_removed_and_added(
    old: Port, old_kind: type[PortEvent], new: Port, new_kind: type[PortEvent]
) -> None:
    if old_kind is not new_kind:
        assert told(old, new) == [(old_kind, REMOVED, old, None), (new_kind, ADDED, new, None)]


def test_nothing_becomes_of_no_port() -> None:
    assert told(None, None) == []


OTHER = VM._replace(port_no=9)


def waiting(*changes: PortChange) -> list[PortChange]:
    """Return what is taken of changes that were added one by one."""
    outgoing = Outgoing()
    for change in changes:
        outgoing.add([change])
    taken = outgoing.changes()
    return [next(taken) for _ in range(len(outgoing))]


def test_what_becomes_of_a_port_while_nobody_takes_it_is_one_change() -> None:
    renamed = VM._replace(name="other")
    changes = (
        *(PortChange(None, VM), PortChange(None, OTHER), PortChange(VM, renamed)),
        *(PortChange(OTHER, None), PortChange(None, TUNNEL), PortChange(renamed, VM)),
    )
    assert waiting(*changes) == [PortChange(None, VM), PortChange(None, TUNNEL)]
    assert waiting(PortChange(VM, None), PortChange(None, renamed)) == [PortChange(VM, renamed)]
    assert waiting(PortChange(None, None)) == []


def test_an_observer_that_takes_nothing_costs_no_more_than_there_are_ports() -> None:
    outgoing = Outgoing()
    for _ in range(1000):
        outgoing.add([PortChange(None, VM), PortChange(None, OTHER)])
        assert len(outgoing) == 2
        outgoing.add([PortChange(VM, None), PortChange(OTHER, None)])
        assert len(outgoing) == 0


def test_who_takes_changes_waits_for_them_until_it_is_closed() -> None:
    outgoing = Outgoing()
    taken: list[PortChange] = []

    def take() -> None:
        for change in outgoing.changes():
            taken.append(change)

    taker = hub.spawn(take)
    changes = [PortChange(None, VM), PortChange(VM, None)]
    for change in changes:
        hub.sleep(0)
        outgoing.add([change])
        wait_until(lambda: not len(outgoing), "the change to be taken")
    outgoing.close()
    taker.wait()
    assert taken == changes
