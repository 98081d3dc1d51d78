"""``l2iso-lab soak`` as a user runs it, for a moment."""

from __future__ import annotations

import re

import pytest

from ryu_l2iso.lab.soak import Outcome, lines
from tests.e2e.test_lab_command import start

# The seed begins with what tests/e2e/test_survival.py does not try.


@pytest.mark.alone
@pytest.mark.parametrize(("isolation", "seed", "seconds"), [("mac", 450, 10)])
def test_a_short_soak_ends_0(isolation: str, seed: int, seconds: int) -> None:
    options = ["--isolation", isolation, "--seconds", str(seconds), "--seed", str(seed)]
    process = start(["soak", *options, "--away", "1.5"])
    printed, _ = process.communicate(timeout=150)
    print(printed)
    assert process.returncode == 0, printed
    assert f"isolation {isolation}, seed {seed}" in printed
    assert "isolation matrix at the end: as it must be" in printed
    assert len(re.findall(r"^ *[0-9.]+ s  .* s, [0-9]+ pings lost", printed, re.MULTILINE)) >= 2


def test_what_must_not_be_is_printed_and_counted() -> None:
    well = Outcome("agent_restarts", "agent of node1 killed", 0.5, 0)
    wrong = Outcome("agent_restarts", "agent of node2 killed", None, 3, ["7 packets leaked"])
    assert str(wrong).splitlines() == [
        "agent of node2 killed: never again as it should be, 3 pings lost that it may cost",
        "  ! 7 packets leaked",
    ]
    table = list(lines([well, wrong], ["red1 -> blue1: PING4 leaked"]))
    assert "agent restarts                         2   0.50 s   0.50 s      3      1" in table
    assert table[-1] == "  ! red1 -> blue1: PING4 leaked"
