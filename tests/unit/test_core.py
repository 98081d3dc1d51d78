"""``Core``: who is told of what."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.framework import hub
from ryu_l2iso.ovsdb import BridgeRow, InterfaceRow
from ryu_l2iso.ovsdb import fleet as fleet_module
from ryu_l2iso.ovsdb.listener import Listener
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.switches import OVSDB_ADDR
from tests.unit.cloud import GRE_KEYS

BRIDGE = BridgeRow("br0", 1, "secure", (), True, ())


class Recorder(Subscriber):
    """Remembers what it was told, in ``told``; with ``error`` it fails afterwards."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[Any] = []
        self._error = error

    def _record(self, *what: Any) -> None:
        self.told.append(what)
        if self._error is not None:
            raise self._error

    def changed(self, changes: Changes) -> None:
        self._record("changed", sorted(changes.switches))

    def bridge_changed(self, dpid: int, bridge: BridgeRow | None) -> None:
        self._record("bridge", dpid, bridge)

    def interfaces_changed(self, dpid: int, rows: Mapping[str, InterfaceRow | None]) -> None:
        self._record("interfaces", dpid, rows)

    def ovsdb_read(self, dpid: int) -> None:
        self._record("read", dpid)


class FakeConnection:
    """Stands for the connection to a switch's OVSDB; gives its listener away."""

    listeners: list[Listener[int]] = []

    def __init__(self, dpid: int, address: str, listener: Listener[int]) -> None:
        self.listeners.append(listener)

    def silence(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def core() -> Iterator[Core]:
    """Return a core."""
    made = Core()
    yield made
    made.ovsdb.close()


def register(core: Core, dpid: int) -> None:
    core.state.set_switch_value(dpid, OVSDB_ADDR, "tcp:192.0.2.1:6640")


def test_subscribers_are_told_what_the_facts_touch_and_only_once(core: Core) -> None:
    first, second = Recorder(), Recorder()
    core.subscribe(first)
    core.subscribe(second)
    core.commit()
    register(core, 1)
    register(core, 2)
    core.commit()
    core.commit()
    assert first.told == second.told == [("changed", [1, 2])]


def test_what_comes_together_is_told_once(core: Core) -> None:
    recorder = Recorder()
    core.subscribe(recorder)
    for dpid in (1, 2):
        register(core, dpid)
        core.commit_soon()
    assert recorder.told == []
    hub.sleep(0)
    register(core, 3)
    core.commit_soon()
    hub.sleep(0)
    assert recorder.told == [("changed", [1, 2]), ("changed", [3])]


def test_subscribers_are_told_in_the_order_of_subscription(core: Core) -> None:
    subscribers = [Recorder() for _ in range(3)]
    for subscriber in subscribers:
        core.subscribe(subscriber)
    told: list[Subscriber] = []
    core.tell(told.append)
    assert told == subscribers


def test_a_subscriber_that_fails_is_logged_and_the_others_are_told(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    failing, other = Recorder(RuntimeError("broken")), Recorder()
    core.subscribe(failing)
    core.subscribe(other)
    register(core, 1)
    with caplog.at_level(logging.ERROR):
        core.commit()
    assert other.told == [("changed", [1])]
    assert [record.getMessage() for record in caplog.records] == ["Recorder failed"]
    assert "RuntimeError: broken" in caplog.text
    register(core, 2)
    core.commit()
    assert failing.told == other.told == [("changed", [1]), ("changed", [2])]


def test_what_ovsdb_says_is_passed_on(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "Connection", FakeConnection)
    monkeypatch.setattr(FakeConnection, "listeners", [])
    recorder = Recorder()
    core.subscribe(recorder)
    core.ovsdb.set_address(7, "tcp:192.0.2.1:6640")
    (listener,) = FakeConnection.listeners
    rows = {"tap1": InterfaceRow("tap1"), "tap2": None}
    listener.bridge_changed(7, BRIDGE)
    listener.interfaces_changed(7, rows)
    listener.synced(7)
    listener.bridge_changed(7, None)
    assert recorder.told == [
        ("bridge", 7, BRIDGE),
        ("interfaces", 7, rows),
        ("read", 7),
        ("bridge", 7, None),
    ]


def test_a_subscriber_need_not_care(core: Core) -> None:
    quiet = Subscriber()
    quiet.changed(Changes())
    quiet.switch_connected(None)
    quiet.switch_disconnected(None)
    quiet.bridge_changed(1, None)
    quiet.interfaces_changed(1, {})
    quiet.ovsdb_read(1)


def test_the_isolation_sets_the_range_of_keys(core: Core) -> None:
    core.use_isolation("gre_tunnel", GRE_KEYS)
    assert core.state.networks.key_range == GRE_KEYS


def test_a_second_isolation_is_refused_and_changes_nothing(core: Core) -> None:
    core.use_isolation("gre_tunnel", GRE_KEYS)
    with pytest.raises(L2IsoError, match="mac_isolation cannot run beside gre_tunnel: load one"):
        core.use_isolation("mac_isolation", None)
    assert core.state.networks.key_range == GRE_KEYS
    assert core.state.networks.uses_keys
