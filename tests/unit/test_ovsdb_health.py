"""What is wrong with a server is said once."""

from __future__ import annotations

import logging

import pytest

from ryu_l2iso.ovsdb.health import MOST_TROUBLES, SILENT_AFTER, STALLED_AFTER, Health

ADDRESS = "tcp:10.0.0.1:6640"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_short_silence_is_not_worth_a_word(log: pytest.LogCaptureFixture) -> None:
    health = Health("bridge x")
    health.not_in_sync(100.0, False, ADDRESS)
    health.not_in_sync(100.0 + SILENT_AFTER - 0.1, False, ADDRESS)
    health.well()
    assert not log.messages


def test_a_long_silence_is_said_once_and_so_is_its_end(log: pytest.LogCaptureFixture) -> None:
    health = Health("bridge x")
    for second in range(100):
        health.not_in_sync(second, False, ADDRESS)
    health.well()
    health.well()
    assert log.messages == [
        f"bridge x: OVSDB server {ADDRESS} does not answer; trying on",
        "bridge x: its OVSDB is read again",
    ]


def test_a_server_that_comes_and_goes_is_said_once_for_each_cause(
    log: pytest.LogCaptureFixture,
) -> None:
    health = Health("bridge x")
    for second in range(100):
        health.not_in_sync(second, second % 10 < 5, ADDRESS)
    assert len(log.messages) == 2


def test_a_server_that_stalls_is_called_again(log: pytest.LogCaptureFixture) -> None:
    health = Health("bridge x")
    assert not health.not_in_sync(0.0, False, ADDRESS)
    assert not health.not_in_sync(10.0, True, ADDRESS)
    assert not health.not_in_sync(9.9 + STALLED_AFTER, True, ADDRESS)
    assert health.not_in_sync(10.0 + STALLED_AFTER, True, ADDRESS)
    assert not health.not_in_sync(10.1 + STALLED_AFTER, True, ADDRESS)


def test_the_same_trouble_is_said_again_after_all_was_well(log: pytest.LogCaptureFixture) -> None:
    health = Health("bridge x")
    for _ in range(2):
        health.log_once("no such bridge")
        health.log_once("no such bridge")
        health.well()
    assert log.messages.count("bridge x: no such bridge; trying on") == 2


def test_a_server_cannot_fill_the_log(log: pytest.LogCaptureFixture) -> None:
    health = Health("bridge br-int")
    for number in range(1000):
        health.log_once(f"its server has sent {number}")
    assert len(log.records) == MOST_TROUBLES
    health.well()
    health.log_once("its server has sent nothing")
    assert log.messages[-1].startswith("bridge br-int: its server has sent nothing")
