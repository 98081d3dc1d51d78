"""What the measurements make of their values."""

from __future__ import annotations

import json

from bench import harness
from bench.harness import Figure, Options, Result, Row, at_least, at_most
from bench.measuring import quantile

FIGURE = Figure(
    "figure",
    lambda options: {},
    [
        Row("fast", "rate", "1/s", at_least(0.5, "peer_rate"), "peer_rate"),
        Row("slow", "time", "s", at_most(2)),
        Row("alone", "lonely", "s", at_most(0.5, "absent")),
        Row("not measured", "absent", "s"),
    ],
)
RESULT = Result(
    FIGURE,
    [
        {"rate": 60.0, "peer_rate": 100.0, "time": 1.0, "lonely": 1.0},
        {"rate": 40.0, "peer_rate": 100.0, "time": 9.0, "lonely": 1.0},
        {"rate": 50.0, "peer_rate": 100.0, "time": 3.0, "lonely": 1.0},
    ],
)


def test_a_row_has_the_median_its_spread_and_its_goal() -> None:
    fast, slow, alone = RESULT.json()["rows"]
    assert (fast["median"], fast["low"], fast["high"]) == (50, 40, 60)
    assert (fast["limit"], fast["met"], fast["peer"]) == (50, True, 100)
    assert (slow["limit"], slow["met"], slow["peer"]) == (2, False, None)
    assert (alone["limit"], alone["met"]) == (None, None)


def test_a_run_that_ended_early_counts_for_what_it_measured() -> None:
    early = Result(FIGURE, [{"time": 5.0}, *RESULT.samples])
    rows = {row["label"]: row for row in early.json()["rows"]}
    assert (rows["fast"]["median"], rows["slow"]["median"], rows["slow"]["high"]) == (50, 4, 9)


def test_the_table_shows_what_was_measured() -> None:
    lines = harness.table([RESULT]).splitlines()
    assert [line.split()[0] for line in lines] == ["figure", "fast", "slow", "alone"]
    assert lines[2].split() == ["slow", "3", "1", "9", "s", "≤", "2", "NO"]


def test_the_report_can_be_read_by_a_program() -> None:
    content = json.loads(harness.report([RESULT], Options(), 3))
    assert content["results"][0]["samples"][1]["time"] == 9
    assert content["machine"]["cpus"] >= 1


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100)]
    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.99) == 99
    assert quantile([3.0], 0.99) == 3


def test_a_goal_includes_its_limit() -> None:
    assert [at_most(2).is_met(value, {}) for value in (1, 2, 3)] == [True, True, False]
    assert [at_least(2).is_met(value, {}) for value in (1, 2, 3)] == [False, True, True]
