"""Bringing the tunnel ports of a switch in line with what it should have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import (
    MARK,
    Command,
    Each,
    EnsureTunnelPort,
    InterfaceRow,
    RemovePort,
    tunnel_ports,
)
from ryu_l2iso.ovsdb.tunnel_ports import SPARE_SECONDS, TunnelPorts, take_away
from ryu_l2iso.pipelines.tunnels import tunnel_name
from ryu_l2iso.state.ports import PortId
from ryu_l2iso.state.switches import TUNNEL_ADDR
from ryu_l2iso.state.values import dpid_to_str
from tests.unit.clock import Clock
from tests.unit.cloud import Cloud

NAME = tunnel_name("gre", 1, "10.0.0.2")
ENSURE = EnsureTunnelPort(NAME, "gre", "10.0.0.1", "10.0.0.2", 2)
LABEL = f"switch 0000000000000001: tunnel {NAME}"
OPTIONS = {"local_ip": "10.0.0.1", "remote_ip": "10.0.0.2", "key": "flow"}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tunnel_ports, "time", made)
    return made


class Switch:
    """A connection to an OVSDB with these interfaces; remembers transactions, or refuses them.

    ``taken`` are names that somebody else has; ``broken`` is name → why Open vSwitch cannot use
    what is made under it.
    """

    def __init__(self, *names: str, refuses: bool = False) -> None:
        foreign = InterfaceRow("gre-other", 9, "gre", {"remote_ip": "10.0.0.2"})
        self.interfaces = {"gre-other": foreign}
        self.taken: set[str] = set()
        self.broken: dict[str, str] = {}
        for name in names:
            self._make(name)
        self.sent: list[tuple[Sequence[Command], float]] = []
        self._refuses = refuses
        self.closed = False
        self.bridge: object | None = "there"

    def close(self) -> None:
        self.closed = True

    def break_down(self, name: str, why: str) -> None:
        self.broken[name] = why
        self._make(name)

    def _make(self, name: str, remote_dpid: int = 2) -> None:
        mark, why = {MARK: dpid_to_str(remote_dpid)}, self.broken.get(name, "")
        number = None if why else 5
        row = InterfaceRow(name, number, "gre", OPTIONS, mark, port_external_ids=mark, error=why)
        self.interfaces[name] = row

    def transact(
        self, commands: Sequence[Command], timeout: float, wait_for_vswitchd: bool = False
    ) -> None:
        if self._refuses:
            raise OVSDBError("no")
        (each,) = commands if isinstance(commands[0], Each) else [Each(commands)]
        assert isinstance(each, Each)
        self.sent.append((each.commands, timeout))
        for command in each.commands:
            if isinstance(command, RemovePort):
                del self.interfaces[command.name]
            elif isinstance(command, EnsureTunnelPort) and command.name in self.taken:
                each.refused[command] = f"port {command.name} exists and is not ours"
            elif isinstance(command, EnsureTunnelPort) and command.name not in self.interfaces:
                self._make(command.name, command.remote_dpid)


@pytest.fixture
def cloud() -> Cloud:
    """Return a cloud of two switches; the first is in the network, the second is not."""
    made = Cloud()
    made.network("red", 42)
    made.switch(1)
    made.switch(2)
    made.plug(1, 1, "red", "02:00:00:00:00:01")
    return made


def share_red(cloud: Cloud) -> None:
    cloud.plug(2, 1, "red", "02:00:00:00:00:02")


def tunnels(cloud: Cloud) -> TunnelPorts:
    return TunnelPorts(cloud.state, "gre", 3.5)


def look(made: TunnelPorts, switch: Any) -> float | None:
    """Look at all tunnels of switch 1."""
    made.mark_all(1, switch)
    return made.sync(1, switch)


def sync(cloud: Cloud, switch: Any) -> None:
    assert look(tunnels(cloud), switch) is None


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_without_any_nothing_is_sent_and_those_of_others_stay(cloud: Cloud) -> None:
    switch = Switch()
    sync(cloud, switch)
    assert switch.sent == []


def test_a_missing_one_is_made_and_told_of(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    share_red(cloud)
    switch = Switch()
    with caplog.at_level(logging.INFO):
        sync(cloud, switch)
    assert switch.sent == [((ENSURE,), 3.5)]
    line = f"switch 0000000000000001: tunnel {NAME} to 10.0.0.2"
    assert told(caplog) == [line]


def test_for_one_that_is_as_it_should_be_nothing_is_sent(cloud: Cloud) -> None:
    share_red(cloud)
    switch = Switch(NAME)
    sync(cloud, switch)
    assert switch.sent == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "vxlan"},
        {"options": {**OPTIONS, "remote_ip": "192.0.2.99"}},
        {"options": {**OPTIONS, "key": "7"}},
        {"options": {**OPTIONS, "csum": "true"}},
        {"external_ids": {}},
        {"port_external_ids": {MARK: "0000000000000003"}},
    ],
)
def test_one_that_is_there_is_corrected_and_not_told_of(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    share_red(cloud)
    switch = Switch(NAME)
    switch.interfaces[NAME] = replace(switch.interfaces[NAME], **wrong)
    with caplog.at_level(logging.INFO):
        sync(cloud, switch)
    assert switch.sent == [((ENSURE,), 3.5)]
    assert caplog.records == []


def test_one_that_somebody_removes_is_made_again(cloud: Cloud) -> None:
    share_red(cloud)
    switch, made = Switch(NAME), tunnels(cloud)
    look(made, switch)
    del switch.interfaces[NAME]
    look(made, switch)
    assert switch.sent == [((ENSURE,), 3.5)]


def test_ours_that_are_not_wanted_go_first_in_the_same_transaction(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    share_red(cloud)
    switch = Switch("gre-old2", "gre-old1", NAME)
    with caplog.at_level(logging.INFO):
        sync(cloud, switch)
    assert switch.sent == [((RemovePort("gre-old1"), RemovePort("gre-old2")), 3.5)]
    line = "switch 0000000000000001: tunnel {} removed"
    assert told(caplog) == [line.format("gre-old1"), line.format("gre-old2")]


def test_one_that_nothing_needs_any_more_goes_after_a_while(
    cloud: Cloud, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    switch, made = Switch(NAME), tunnels(cloud)
    assert look(made, switch) == SPARE_SECONDS
    clock.now += SPARE_SECONDS - 1
    assert look(made, switch) == 1
    assert switch.sent == []
    clock.now += 1
    made.sync(1, switch)  # type: ignore[arg-type]
    assert switch.sent == [((RemovePort(NAME),), 3.5)]
    assert told(caplog) == [f"{LABEL} removed"]
    assert look(made, switch) == SPARE_SECONDS
    clock.now += SPARE_SECONDS
    assert made.sync(1, switch) is None  # type: ignore[arg-type]


def test_one_that_is_needed_again_meanwhile_is_left_as_it_is(cloud: Cloud, clock: Clock) -> None:
    switch, made = Switch(NAME), tunnels(cloud)
    for _ in range(3):
        assert look(made, switch) == SPARE_SECONDS
        clock.now += SPARE_SECONDS - 1
        share_red(cloud)
        assert look(made, switch) is None
        cloud.unplug(2, 1)
    assert switch.sent == []


@pytest.mark.parametrize("why", ["no address", "another address", "another tunnel", "no own"])
def test_one_that_cannot_serve_any_more_goes_at_once(cloud: Cloud, why: str) -> None:
    switch, made = Switch(NAME), tunnels(cloud)
    assert look(made, switch) == SPARE_SECONDS
    if why == "no address":
        cloud.state.remove_switch(2)
    elif why == "another address":
        cloud.state.set_switch_value(2, TUNNEL_ADDR, "10.0.0.22")
    elif why == "another tunnel":
        cloud.state.add_tunnel(PortId(1, 50), 2)
    else:
        cloud.state.remove_switch_value(1, TUNNEL_ADDR)
    look(made, switch)
    assert switch.sent == [((RemovePort(NAME),), 3.5)]


def test_what_cannot_be_removed_is_tried_again(cloud: Cloud, clock: Clock) -> None:
    switch: Any = Switch(NAME, refuses=True)
    made = tunnels(cloud)
    look(made, switch)
    clock.now += SPARE_SECONDS
    with pytest.raises(OVSDBError):
        made.sync(1, switch)
    assert made.sync(1, switch) == SPARE_SECONDS
    clock.now += SPARE_SECONDS
    with pytest.raises(OVSDBError):
        made.sync(1, switch)


def test_only_what_was_marked_is_looked_at_until_it_is_done(cloud: Cloud) -> None:
    share_red(cloud)
    cloud.switch(3)
    cloud.plug(3, 1, "red", "02:00:00:00:00:03")
    switch: Any = Switch()
    made = tunnels(cloud)
    made.mark(1, {2, 3})
    with pytest.raises(OVSDBError):
        made.sync(1, Switch(refuses=True))  # type: ignore[arg-type]
    again: Any = Switch()
    made.sync(1, again)
    assert len(again.interfaces) == 3, "what was not confirmed is done again"
    switch.bridge = None
    made.mark(1, {2})
    assert made.sync(1, switch) is None
    switch.bridge = "there"
    made.sync(1, switch)
    assert switch.sent == [], "all is looked at when the bridge is there"
    made.mark(1, {3, 4})
    made.sync(1, switch)
    made.sync(1, switch)
    assert [command.remote_dpid for commands, _ in switch.sent for command in commands] == [3]


def test_what_was_not_confirmed_is_not_told_of(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    share_red(cloud)
    with caplog.at_level(logging.INFO), pytest.raises(OVSDBError):
        sync(cloud, Switch("gre-old", refuses=True))
    assert caplog.records == []


def test_one_that_open_vswitch_cannot_use_is_made_anew_with_pauses_that_grow(
    cloud: Cloud, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    share_red(cloud)
    switch, made = Switch(), tunnels(cloud)
    switch.break_down(NAME, "File exists")
    pauses = []
    for _ in range(7):
        pause = look(made, switch)
        assert pause is not None
        assert look(made, switch) == pause
        pauses.append(pause)
        clock.now += pause
    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]
    sent = [commands for commands, _ in switch.sent]
    assert sent.count((RemovePort(NAME),)) == 6, "only when it is time"
    assert told(caplog) == [f"{LABEL}: Open vSwitch cannot use {NAME}: File exists"]
    switch.broken.clear()
    assert look(made, switch) is None
    assert told(caplog)[1:] == [f"{LABEL} works now"]


def test_one_whose_name_is_taken_costs_no_other_and_is_made_when_it_is_free(
    cloud: Cloud, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    share_red(cloud)
    cloud.switch(3)
    cloud.plug(3, 1, "red", "02:00:00:00:00:03")
    other = tunnel_name("gre", 1, "10.0.0.3")
    switch, made = Switch(), tunnels(cloud)
    switch.taken.add(NAME)
    for pause in (0.5, 1.0, 2.0):
        assert look(made, switch) == pause
        clock.now += pause
    assert other in switch.interfaces
    assert told(caplog) == [
        f"switch 0000000000000001: tunnel {other} to 10.0.0.3",
        f"{LABEL}: port {NAME} exists and is not ours",
    ]
    switch.taken.clear()
    look(made, switch)
    assert NAME in switch.interfaces
    assert look(made, switch) is None
    assert told(caplog)[2:] == [f"{LABEL} to 10.0.0.2", f"{LABEL} works now"]


def test_what_was_wrong_with_one_that_is_not_wanted_any_more_is_forgotten(
    cloud: Cloud, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    share_red(cloud)
    switch, made = Switch(), tunnels(cloud)
    switch.break_down(NAME, "File exists")
    assert look(made, switch) == 0.5
    cloud.unplug(2, 1)
    assert look(made, switch) == SPARE_SECONDS
    clock.now += SPARE_SECONDS
    look(made, switch)
    share_red(cloud)
    look(made, switch)
    assert look(made, switch) == 0.5
    assert len(caplog.records) == 2
    made.forget(1)
    assert look(made, switch) == 0.5
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    ("names", "refuses", "line"),
    [
        ((NAME, "gre-old"), False, "tunnel ports removed: 2"),
        ((NAME,), True, "its tunnel ports stay: no"),
        ((), True, None),
    ],
)
def test_a_switch_that_is_let_go_loses_what_is_ours_if_it_can_be_reached(
    names: Sequence[str], refuses: bool, line: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    switch: Any = Switch(*names, refuses=refuses)
    take_away(1, switch, 3.5)
    assert set(switch.interfaces) == {"gre-other", *(names if refuses else ())}
    assert switch.closed
    assert told(caplog) == ([f"switch 0000000000000001: let go, {line}"] if line else [])
