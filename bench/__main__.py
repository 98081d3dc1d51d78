"""``python -m bench``: measures, prints a table, writes JSON and a plot."""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from pathlib import Path

from bench import harness
from bench.figures import FIGURES
from bench.harness import Result


def main() -> int:
    """Return 0 when everything could be measured, whether or not the goals are met."""
    # What runs is ended as it is by Ctrl-C.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    arguments = _parse()
    peers = frozenset(filter(None, arguments.peers.split(",")))
    options = harness.Options(arguments.tiny, peers)
    results: list[Result] = []
    failed = False
    for figure in FIGURES:
        if figure.name not in arguments.figures and (arguments.figures or figure.asked):
            continue
        print(f"measuring {figure.name} ...", file=sys.stderr, flush=True)
        try:
            results.append(harness.measure(figure, arguments.runs, options))
        except Exception:
            # What the others take hours to measure is not given up for one that cannot be.
            traceback.print_exc()
            failed = True
        if arguments.json:
            arguments.json.write_text(harness.report(results, options, arguments.runs))
    print(harness.table(results))
    if arguments.png:
        from bench import plot

        plot.draw(results, arguments.png)
    return int(failed)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = [figure.name for figure in FIGURES]
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(names)}")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured")
    parser.add_argument("--tiny", action="store_true", help="in a small size, to see that it runs")
    parser.add_argument("--peers", default="", help="peers to measure beside, as in: ovn")
    parser.add_argument("--json", type=Path, help="file to write all values to")
    parser.add_argument("--png", type=Path, help="file to plot the values to, and the growth")
    arguments = parser.parse_args()
    unknown = set(arguments.figures) - set(names)
    if unknown:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
