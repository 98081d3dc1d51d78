"""Bringing the tunnel ports of a switch in line with what it should have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import MARK, Command, EnsureTunnelPort, InterfaceRow, RemovePort
from ryu_l2iso.ovsdb.tunnel_ports import sync_tunnel_ports
from ryu_l2iso.pipelines.tunnels import tunnel_name
from tests.unit.cloud import Cloud

NAME = tunnel_name("gre", 1, "10.0.0.2")
ENSURE = EnsureTunnelPort(NAME, "gre", "10.0.0.1", "10.0.0.2", 2)


class Switch:
    """A connection to an OVSDB with these interfaces; remembers transactions, or refuses them."""

    def __init__(self, *names: str, refuses: bool = False) -> None:
        mark = {MARK: "0000000000000002"}
        rows = [InterfaceRow(name, port_external_ids=mark) for name in names]
        foreign = InterfaceRow("gre-other", 9, "gre", {"remote_ip": "10.0.0.2"})
        self.interfaces = {row.name: row for row in (*rows, foreign)}
        self.sent: list[tuple[Sequence[Command], float]] = []
        self._refuses = refuses
        self.stays_broken = False

    def transact(
        self, commands: Sequence[Command], timeout: float, wait_for_vswitchd: bool = False
    ) -> None:
        """Take a transaction; what is made anew works, unless ``stays_broken``."""
        if self._refuses:
            raise OVSDBError("no")
        self.sent.append((commands, timeout))
        if wait_for_vswitchd and not self.stays_broken:
            self.interfaces = {n: replace(r, error="") for n, r in self.interfaces.items()}


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


def sync(cloud: Cloud, switch: Any) -> None:
    sync_tunnel_ports(cloud.state, 1, switch, "gre", 3.5)


def test_without_any_nothing_is_sent_and_those_of_others_stay(cloud: Cloud) -> None:
    switch = Switch()
    sync(cloud, switch)
    assert switch.sent == []


def test_a_missing_one_is_made_and_told_of(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    share_red(cloud)
    switch = Switch()
    with caplog.at_level(logging.INFO):
        sync(cloud, switch)
    assert switch.sent == [([ENSURE], 3.5)]
    line = f"switch 0000000000000001: tunnel {NAME} to 10.0.0.2"
    assert [record.getMessage() for record in caplog.records] == [line]


def test_one_that_is_there_is_corrected_and_not_told_of(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    share_red(cloud)
    switch = Switch(NAME)
    with caplog.at_level(logging.INFO):
        sync(cloud, switch)
    assert switch.sent == [([ENSURE], 3.5)]
    assert caplog.records == []


def test_ours_that_are_not_wanted_go_first_in_the_same_transaction(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    share_red(cloud)
    switch = Switch("gre-old2", "gre-old1", NAME)
    with caplog.at_level(logging.INFO):
        sync(cloud, switch)
    assert switch.sent == [([RemovePort("gre-old1"), RemovePort("gre-old2"), ENSURE], 3.5)]
    line = "switch 0000000000000001: tunnel {} removed"
    told = [record.getMessage() for record in caplog.records]
    assert told == [line.format("gre-old1"), line.format("gre-old2")]


def test_the_last_one_goes(cloud: Cloud) -> None:
    switch = Switch(NAME)
    sync(cloud, switch)
    assert switch.sent == [([RemovePort(NAME)], 3.5)]


def test_what_was_not_confirmed_is_not_told_of(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    share_red(cloud)
    with caplog.at_level(logging.INFO), pytest.raises(OVSDBError):
        sync(cloud, Switch("gre-old", refuses=True))
    assert caplog.records == []


def test_one_that_open_vswitch_cannot_use_is_made_anew(cloud: Cloud) -> None:
    share_red(cloud)
    switch = Switch(NAME)
    switch.interfaces[NAME] = replace(switch.interfaces[NAME], error="File exists")
    sync(cloud, switch)
    assert [commands for commands, _ in switch.sent] == [[RemovePort(NAME)], [ENSURE]]


def test_one_that_stays_unusable_is_an_error_that_says_why(cloud: Cloud) -> None:
    share_red(cloud)
    switch = Switch(NAME)
    switch.stays_broken = True
    switch.interfaces[NAME] = replace(switch.interfaces[NAME], error="File exists")
    with pytest.raises(OVSDBError, match=f"Open vSwitch cannot use {NAME}: File exists"):
        sync(cloud, switch)
