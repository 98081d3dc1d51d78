"""Results as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from bench.figures import growth as growth_figure
from bench.harness import Result

matplotlib.use("Agg")

WIDTH, HEIGHT = 9.0, 0.35
"""Inches of the picture, and of one line of it."""
GROWTH_HEIGHT = 3.5


def draw(results: Sequence[Result], path: Path) -> None:
    """Write a picture: how far each value is from its goal, and below how bulk and bind grow."""
    from matplotlib import pyplot

    rows = [row for result in results for row in result.json()["rows"] if row["limit"]]
    growth = [result for result in results if result.figure.name == growth_figure.FIGURE.name]
    heights = [1 + HEIGHT * len(rows), *[GROWTH_HEIGHT] * len(growth)]
    figure, axes = pyplot.subplots(
        len(heights),
        figsize=(WIDTH, sum(heights)),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    _draw_goals(axes[0][0], rows)
    for result in growth:
        _draw_growth(axes[1][0], result.medians)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _draw_growth(axes: Any, values: Mapping[str, float]) -> None:
    """Draw bulk (seconds) and bind (ms), of OVN too where it was measured, as the cloud grows."""
    factors = growth_figure.FACTORS
    for name, style in (("bulk", "o-"), ("bind", "s-"), ("ovn_bulk", "o--"), ("ovn_bind", "s--")):
        found = [values.get(f"{name}_{factor}") for factor in factors]
        if None not in found:
            axes.plot(factors, found, style, label=name.replace("_", ", "))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("size: times the switches, networks and ports")
    axes.set_ylabel("bulk: s, bind: ms")
    axes.legend()


def _draw_goals(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw each median and its spread as parts of what the goal allows."""
    for number, row in enumerate(reversed(rows)):
        low, middle, high = (_share(row, name) for name in ("low", "median", "high"))
        colour = "tab:green" if row["met"] else "tab:red"
        axes.plot([low, high], [number, number], color=colour)
        axes.plot(middle, number, "o", color=colour)
    axes.set_yticks(range(len(rows)), [row["label"] for row in reversed(rows)])
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("of what the goal allows; green: met")


def _share(row: Mapping[str, Any], name: str) -> float:
    """Return what part of its goal a value takes up: more than 1 misses it."""
    share = row[name] / row["limit"]
    return float(max(share if row["sense"] == "≤" else 1 / max(share, 1e-9), 1e-3))
