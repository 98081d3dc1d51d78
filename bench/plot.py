"""Results as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from bench.figures import growth as growth_figure
from bench.harness import Result, number_text

matplotlib.use("Agg")

WIDTH, HEIGHT = 9.0, 0.35
"""Inches of the picture, and of one line of it."""
GROWTH_HEIGHT = 3.5

_LEAST = 0.01
"""Part of a goal that is drawn at the edge of the picture, as is what is less."""

_GROWING = (
    ("bulk", "bulk, s", "C0o-"),
    ("ovn_bulk", "OVN: bulk, s", "C0o--"),
    ("bind", "bind, ms", "C1s-"),
    ("ovn_bind", "OVN: bind, ms", "C1s--"),
)
"""Value, how it is named, and how it is drawn."""


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
    factors, one = growth_figure.FACTORS, growth_figure.FULL
    for name, label, style in _GROWING:
        found = [values.get(f"{name}_{factor}") for factor in factors]
        if None not in found:
            axes.plot(factors, found, style, label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = [f"{n * one.switches} switches\n{n * one.ports} ports" for n in factors]
    axes.set_xticks(factors, sizes)
    axes.grid(axis="y", which="both", alpha=0.3)
    axes.legend()


def _draw_goals(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw each median and its spread as parts of what the goal allows."""
    for number, row in enumerate(reversed(rows)):
        low, middle, high = (_share(row, name) for name in ("low", "median", "high"))
        colour = "tab:green" if row["met"] else "tab:red"
        axes.plot([low, high], [number, number], color=colour)
        axes.plot(middle, number, "o", color=colour)
        value = f" {number_text(row['median'])} {row['unit']}"
        axes.text(1, number, value, va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(rows)), [row["label"] for row in reversed(rows)])
    axes.set_xscale("log")
    axes.set_xlim(_LEAST / 2, 2 / _LEAST)
    axes.grid(axis="x", alpha=0.3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("of what the goal allows; green: met")


def _share(row: Mapping[str, Any], name: str) -> float:
    """Return what part of its goal a value takes up, within the picture: more than 1 misses it."""
    share = row[name] / row["limit"]
    taken = share if row["sense"] == "≤" else 1 / max(share, 1e-9)
    return float(min(max(taken, _LEAST), 1 / _LEAST))
