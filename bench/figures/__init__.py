"""One module for each figure; `FIGURES` is all of them, in the order of the table."""

from bench.figures import (
    big_network,
    bulk,
    data_plane,
    fleet,
    growth,
    packet_in,
    programming,
)

FIGURES = [
    module.FIGURE
    for module in (programming, bulk, fleet, big_network, packet_in, data_plane, growth)
]
