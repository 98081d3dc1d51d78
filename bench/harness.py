"""Runs measurements again and again, and says what came out: table, JSON, goals."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple

Sample = Mapping[str, float]
"""What one run measured, by name."""


class Options(NamedTuple):
    """What a measurement is asked for: its size, and the peers to measure beside it."""

    tiny: bool = False
    peers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Goal:
    """``value`` must be at most, or at least, ``factor`` times another value, or ``factor``."""

    most: bool
    factor: float
    of: str = ""

    @property
    def sense(self) -> str:
        """Return the sign that stands before the limit."""
        return "≤" if self.most else "≥"

    def limit(self, values: Mapping[str, float]) -> float | None:
        """Return the limit; None where what it refers to was not measured."""
        if not self.of:
            return self.factor
        return self.factor * values[self.of] if self.of in values else None

    def is_met(self, value: float, values: Mapping[str, float]) -> bool | None:
        """Tell whether a value reaches the goal; None where there is no telling."""
        limit = self.limit(values)
        if limit is None:
            return None
        return value <= limit if self.most else value >= limit


def at_most(factor: float, of: str = "") -> Goal:
    """Return the goal to be no more than that."""
    return Goal(True, factor, of)


def at_least(factor: float, of: str = "") -> Goal:
    """Return the goal to be no less than that."""
    return Goal(False, factor, of)


@dataclass(frozen=True)
class Row:
    """A line of the table: ``key`` in the samples is ours, ``peer`` that of whom we compare to."""

    label: str
    key: str
    unit: str
    goal: Goal | None = None
    peer: str = ""


@dataclass(frozen=True)
class Figure:
    """A measurement: ``run`` makes it once; ``asked`` is one that is made if asked for by name."""

    name: str
    run: Callable[[Options], Sample]
    rows: Sequence[Row]
    asked: bool = False


@dataclass(frozen=True)
class Result:
    """What the runs of a figure measured, in their order."""

    figure: Figure
    samples: Sequence[Sample]

    @property
    def medians(self) -> dict[str, float]:
        """Return the median of each value, over the runs that came to it."""
        keys = {key: None for sample in self.samples for key in sample}
        return {key: statistics.median(self._values(key)) for key in keys}

    def _values(self, key: str) -> list[float]:
        return [sample[key] for sample in self.samples if key in sample]

    def spread(self, key: str) -> tuple[float, float]:
        """Return the lowest and the highest of a value."""
        values = self._values(key)
        return min(values), max(values)

    def json(self) -> dict[str, Any]:
        """Return all of it, for a program to read."""
        measured = self.medians
        rows = [self._row(row) for row in self.figure.rows if row.key in measured]
        samples = [dict(sample) for sample in self.samples]
        return {"figure": self.figure.name, "rows": rows, "samples": samples}

    def _row(self, row: Row) -> dict[str, Any]:
        medians = self.medians
        low, high = self.spread(row.key)
        goal = row.goal
        return {
            "label": row.label,
            "unit": row.unit,
            "median": medians[row.key],
            "low": low,
            "high": high,
            "limit": goal.limit(medians) if goal else None,
            "sense": goal.sense if goal else "",
            "met": goal.is_met(medians[row.key], medians) if goal else None,
            "peer": medians.get(row.peer),
        }


def tell(text: str) -> None:
    """Print how far a measurement is."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure(figure: Figure, runs: int, options: Options) -> Result:
    """Return what ``runs`` runs of a figure measure."""
    return Result(figure, [figure.run(options) for _ in range(runs)])


def machine() -> dict[str, Any]:
    """Return on what this runs."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count(),
        "cpu": model,
        "memory_gb": round(pages * size / 1e9, 1),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


_TITLE = ("figure", "median", "lowest", "highest", "unit", "goal", "met", "peer")


def table(results: Sequence[Result]) -> str:
    """Return the results as text, a line for each value."""
    lines: list[Sequence[str]] = [_TITLE]
    for result in results:
        for row in result.json()["rows"]:
            goal = "" if row["limit"] is None else f"{row['sense']} {number_text(row['limit'])}"
            met = {True: "yes", False: "NO", None: ""}[row["met"]]
            values = (number_text(row[name]) for name in ("median", "low", "high"))
            peer = "" if row["peer"] is None else number_text(row["peer"])
            lines.append((row["label"], *values, row["unit"], goal, met, peer))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines
    )


def number_text(value: float) -> str:
    """Return a value as the table shows it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(results: Sequence[Result], options: Options, runs: int) -> str:
    """Return everything as JSON."""
    content = {
        "machine": machine(),
        "runs": runs,
        "tiny": options.tiny,
        "results": [result.json() for result in results],
    }
    return json.dumps(content, indent=1)
