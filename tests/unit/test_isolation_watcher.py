"""What an isolation app does with what its programmers tell: on disk first, logged once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import greenlet
import pytest

from ryu_l2iso.apps import isolation
from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.framework import hub
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, Subject
from tests.unit.cloud import GRE_KEYS

RED: set[Subject] = {NetworkSubject("red")}
NONE: set[Subject] = set()
SOURCE: Any = SimpleNamespace(kinds=(NetworkSubject,))


class FakeCore:
    """Commits to the isolation's own subscriber; ``written`` may raise what is in ``errors``."""

    def __init__(self) -> None:
        self.state = State(GRE_KEYS)
        self.errors: list[BaseException] = []
        self.log: list[str] = []
        self.subscribers: list[Any] = []

    def subscribe(self, subscriber: Any) -> None:
        self.subscribers.append(subscriber)

    def commit(self) -> None:
        self.log.append("commit")
        changes = self.state.changes.take()
        for subscriber in self.subscribers:
            subscriber.changed(changes)

    def written(self, number: int | None = None) -> None:
        self.log.append("written")
        if self.errors:
            raise self.errors.pop()


@pytest.fixture
def core() -> FakeCore:
    """Return a core with network "red", which has key 10."""
    made = FakeCore()
    made.state.add_network("red")
    made.state.add_key("red", 10)
    made.state.changes.take()
    return made


@pytest.fixture
def watcher(core: Any) -> Any:
    """Return the watcher of an isolation app."""
    return isolation._Confirmations(core)


def test_what_is_new_is_written_before_it_is_sent(core: Any, watcher: Any) -> None:
    assert watcher.may_hold(1, RED)
    assert core.log == ["commit", "written"]
    assert not watcher.may_hold(1, RED)
    assert core.log == ["commit", "written"]


def test_facts_that_nobody_was_told_of_are_told_before_anything_is_sent(
    core: FakeCore, watcher: Any
) -> None:
    """A network is gone from a switch only together with its ports and MACs."""
    core.state.set_switch_value(1, "ovsdb_addr", "tcp:192.0.2.1:6640")
    core.log.clear()
    assert watcher.may_hold(1, NONE)
    assert core.log == ["commit"]
    assert not watcher.may_hold(1, NONE)


def test_what_cannot_be_written_is_not_sent_the_next_time_either(core: Any, watcher: Any) -> None:
    core.errors = [StoreError("full"), StoreError("full")]
    for _ in range(2):
        with pytest.raises(StoreError):
            watcher.may_hold(1, RED)
        assert core.state.networks.held.dpids() == []
    assert watcher.may_hold(1, RED)


def test_who_is_ended_while_it_waits_for_the_disk_has_sent_nothing(
    core: FakeCore, watcher: Any
) -> None:
    core.errors = [greenlet.GreenletExit()]
    with pytest.raises(greenlet.GreenletExit):
        watcher.may_hold(1, RED)
    assert core.state.networks.held.dpids() == []
    core.log.clear()
    assert watcher.may_hold(1, RED)
    assert core.log == ["commit", "written"]


def test_a_new_mac_is_written_before_it_is_sent(core: Any, watcher: Any) -> None:
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
    core: Any, watcher: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SimpleNamespace(openflow_timeout=1, drift_interval=0)
    monkeypatch.setattr(isolation, "CONF", SimpleNamespace(l2iso=options))
    isolation.FlowProgramming(core, SOURCE)
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
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SimpleNamespace(openflow_timeout=1, drift_interval=0)
    monkeypatch.setattr(isolation, "CONF", SimpleNamespace(l2iso=options))
    programming = isolation.FlowProgramming(core, SOURCE)
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


def test_only_connected_switches_are_marked_and_only_with_what_has_flows(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that another should hold is computed when it connects."""
    options = SimpleNamespace(openflow_timeout=1, drift_interval=0)
    monkeypatch.setattr(isolation, "CONF", SimpleNamespace(l2iso=options))
    programming = isolation.FlowProgramming(core, SOURCE)
    fleet, marked = programming.fleet, []
    monkeypatch.setattr(fleet, "mark", lambda dpid, subject: marked.append((dpid, subject)))
    for name in ("connected", "disconnected", "forget"):
        monkeypatch.setattr(fleet, name, lambda _: None)
    red = NetworkSubject("red")
    both: list[Subject] = [red, MacSubject("red", "02:00:00:00:00:01")]

    def mark_both() -> list[tuple[int, Subject]]:
        marked.clear()
        for dpid in (1, 2):
            core.state.changes.mark(dpid, both)
        core.commit()
        return marked

    assert mark_both() == []
    programming.switch_connected(SimpleNamespace(id=2))
    assert mark_both() == [(2, red)]
    programming.switch_disconnected(SimpleNamespace(id=2))
    assert mark_both() == []


@pytest.fixture
def programming(core: Any, monkeypatch: pytest.MonkeyPatch) -> isolation.FlowProgramming:
    """Return the programming of an isolation app, whose switches hold "red" and wait for a key."""
    options = SimpleNamespace(openflow_timeout=1, drift_interval=0)
    monkeypatch.setattr(isolation, "CONF", SimpleNamespace(l2iso=options))
    made = isolation.FlowProgramming(core, SOURCE)
    for dpid in (1, 2):
        core.state.set_switch_value(dpid, "ovs_tunnel_addr", f"10.0.0.{dpid}")
        core.state.confirmations.may_hold(dpid, RED)
    core.state.add_network("blue")
    core.state.remove_key("red")
    core.state.add_key("blue", 10)
    core.commit()
    return made


def test_who_is_gone_for_good_is_waited_for_until_that_is_on_disk(
    core: Any, programming: isolation.FlowProgramming
) -> None:
    core.errors = [StoreError("full")]
    core.state.remove_switch(1)
    for waited_for in ([1, 2], [2]):
        core.commit()
        hub.sleep(0)
        assert core.state.networks.waited_for("blue") == waited_for
        core.state.changes.switches.add(1)


def test_it_is_waited_for_no_more_when_the_disk_was_no_more_than_late(
    core: FakeCore, programming: isolation.FlowProgramming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "PAUSE", 0)
    core.errors = [StoreError("the disk does not answer")] * 2
    core.state.remove_switch(1)
    core.commit()
    for _ in range(3):
        assert core.state.networks.waited_for("blue") == [1, 2]
        hub.sleep(0)
    assert core.state.networks.waited_for("blue") == [2]


def test_nothing_is_asked_once_the_deletion_is_taken_back(
    core: FakeCore, programming: isolation.FlowProgramming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "PAUSE", 0)
    core.errors = [StoreError("full")]
    core.state.remove_switch(1)
    core.commit()
    hub.sleep(0)
    core.state.confirmations.discard_dismissed(1)
    core.log.clear()
    hub.sleep(0)
    hub.sleep(0)
    assert core.log == []


def test_who_was_gone_for_good_before_a_restart_has_the_time_of_an_answer(
    core: Any, programming: isolation.FlowProgramming, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(programming.fleet, "connected", lambda datapath: None)
    monkeypatch.setattr(programming.fleet, "ovsdb_read", told.append)
    for dpid in (1, 2):
        core.state.confirmations.put_dismissed(dpid)
    core.state.confirmations.connected(2)
    for dpid in (2, 3):
        programming.switch_connected(SimpleNamespace(id=dpid))
    assert told == [2]
    programming.give_up()
    assert core.state.networks.waited_for("blue") == [2]
    assert core.log[-1] == "commit"
