"""Bulk and bind on real switches as the cloud grows: 1, 2 and 4 times the switches and ports.

A network is on so few switches that each has tunnels to as many others in every size, or it would
not be the size alone that grows: with VMs anywhere, each switch has a tunnel to every other.
"""

from __future__ import annotations

from bench.figures import bulk
from bench.figures.bulk import Size
from bench.harness import Figure, Options, Row, Sample, at_most

FACTORS = (1, 2, 4)
FULL = Size(12, 12, 240, 30, span=6)
TINY = Size(1, 1, 4, 3, span=1)


def run(options: Options) -> Sample:
    """Measure each size; names end in its factor."""
    one = TINY if options.tiny else FULL
    sample: dict[str, float] = {}
    for factor in FACTORS:
        size = one._replace(
            switches=one.switches * factor,
            networks=one.networks * factor,
            ports=one.ports * factor,
        )
        for name, value in bulk.measure(size, options).items():
            sample[f"{name}_{factor}"] = value
    return sample


FIGURE = Figure(
    "growth",
    run,
    [
        *(Row(f"bulk, size {n}", f"bulk_{n}", "s", None, f"ovn_bulk_{n}") for n in FACTORS[:-1]),
        Row("bulk, size 4", "bulk_4", "s", at_most(4.4, "bulk_1"), "ovn_bulk_4"),
        *(Row(f"bind, size {n}", f"bind_{n}", "ms", None, f"ovn_bind_{n}") for n in FACTORS[:-1]),
        Row("bind, size 4", "bind_4", "ms", at_most(1.2, "bind_1"), "ovn_bind_4"),
    ],
)
