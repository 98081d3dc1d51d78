"""What an isolation app does with what its programmers tell: on disk first, logged once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_l2iso.apps import isolation
from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, Subject
from tests.unit.cloud import GRE_KEYS

RED: set[Subject] = {NetworkSubject("red")}
NONE: set[Subject] = set()


class FakeCore:
    """Commits to the isolation's own subscriber; ``written`` may raise what is in ``errors``."""

    def __init__(self) -> None:
        self.state = State(GRE_KEYS)
        self.errors: list[Exception] = []
        self.log: list[str] = []
        self.subscribers: list[Any] = []

    def subscribe(self, subscriber: Any) -> None:
        self.subscribers.append(subscriber)

    def commit(self) -> None:
        self.log.append("commit")
        changes = self.state.changes.take()
        for subscriber in self.subscribers:
            subscriber.changed(changes)

    def written(self) -> None:
        self.log.append("written")
        if self.errors:
            raise self.errors.pop()


@pytest.fixture
def core() -> FakeCore:
    """Return a core with network "red", which has key 10."""
    made = FakeCore()
    made.state.add_network("red")
    made.state.add_key("red", 10)
    return made


@pytest.fixture
def watcher(core: FakeCore) -> Any:
    """Return the watcher of an isolation app."""
    return isolation._Confirmations(core)  # type: ignore[arg-type]


def test_what_is_new_is_written_before_it_is_sent(core: FakeCore, watcher: Any) -> None:
    assert watcher.may_hold(1, RED)
    assert core.log == ["commit", "written"]
    assert not watcher.may_hold(1, RED)
    assert core.log == ["commit", "written"]


def test_what_cannot_be_written_is_not_sent_the_next_time_either(
    core: FakeCore, watcher: Any
) -> None:
    core.errors = [StoreError("full"), StoreError("full")]
    for _ in range(2):
        with pytest.raises(StoreError):
            watcher.may_hold(1, RED)
        assert core.state.networks.held.dpids() == []
    assert watcher.may_hold(1, RED)


def test_a_new_mac_is_written_before_it_is_sent(core: FakeCore, watcher: Any) -> None:
    core.state.macs.tell_apart(4)
    watcher.connected(1)
    core.state.ports.leftovers.enter("fa:16:3e:00:00:01")
    subject: set[Subject] = {MacSubject("red", "fa:16:3e:00:00:01")}
    core.errors = [StoreError("full")]
    with pytest.raises(StoreError):
        watcher.may_hold(1, subject)
    assert watcher.may_hold(1, subject)
    assert not watcher.may_hold(1, subject)


def test_a_wait_is_logged_once_and_its_end(
    core: FakeCore, watcher: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SimpleNamespace(openflow_timeout=1, drift_interval=0)
    monkeypatch.setattr(isolation, "CONF", SimpleNamespace(l2iso=options))
    isolation.FlowProgramming(core, SimpleNamespace())  # type: ignore[arg-type]
    caplog.set_level(logging.INFO)
    watcher.may_hold(1, RED)
    core.state.add_network("blue")
    core.state.remove_key("red")
    core.state.add_key("blue", 10)
    for _ in range(3):
        watcher.holds(2, NONE, RED)
        core.state.changes.waits.add("blue")
    told = "network blue waits for key 10: not before it is confirmed to be in no other network"
    assert caplog.messages == [f"{told} any more by 0000000000000001"]
    watcher.lost(1)
    watcher.failed(1)
    watcher.holds_only(1, NONE)
    assert caplog.messages[1:] == ["network blue no longer waits for key 10"]


def test_strays_of_a_switch_whose_registration_goes_are_no_longer_held_back(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SimpleNamespace(openflow_timeout=1, drift_interval=0)
    monkeypatch.setattr(isolation, "CONF", SimpleNamespace(l2iso=options))
    programming = isolation.FlowProgramming(core, SimpleNamespace())  # type: ignore[arg-type]
    told: list[int] = []
    monkeypatch.setattr(programming.fleet, "ovsdb_read", told.append)
    monkeypatch.setattr(programming.fleet, "programmer", lambda dpid: None if dpid == 3 else dpid)
    for dpid in (1, 2, 3):
        core.state.set_switch_value(dpid, "ovsdb_addr", f"tcp:192.0.2.{dpid}:6640")
    core.commit()
    core.state.remove_switch(2)
    core.state.remove_switch(3)
    core.commit()
    assert told == [2]
