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
    programming.FIGURE,
    bulk.FIGURE,
    fleet.FIGURE,
    fleet.FIGURE_ANYWHERE,
    big_network.FIGURE,
    packet_in.FIGURE,
    data_plane.FIGURE,
    growth.FIGURE,
]
