"""What a switch holds for a VM port that waits for its guest, in any pipeline.

What a guest announces itself by goes to the controller, which then makes the port active
(`ryu_l2iso.state.locations`).  Where the controller says where packets go, nothing else of the port
is forwarded.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from ryu_l2iso.pipelines.flow import (
    ARP,
    ICMPV6,
    IPV6,
    RARP,
    Action,
    Match,
    Meter,
    Piece,
    ToController,
)
from ryu_l2iso.pipelines.table import Pipeline, Table
from ryu_l2iso.state.announcements import NEIGHBOUR_ADVERTISEMENT
from ryu_l2iso.state.ports import VMPort

RATE, BURST = 10, 10
"""Packets a second to the controller, and at once: a guest announces itself some five times."""


class Rank(NamedTuple):
    """With which priority a pipeline has a flow, and why."""

    priority: int
    reason: enum.IntEnum


def waiting_pieces(
    pipeline: Pipeline, table: Table, port: VMPort, announces: Rank, rest: Rank
) -> list[Piece]:
    """Return the flows and the meter of a waiting port, for the table where its packets come in.

    ``announces`` is for what a guest announces itself by, ``rest`` for all else, which is dropped.
    """
    match = Match(in_port=port.port_no)
    return [
        *announcement_pieces(pipeline, table, port, announces),
        pipeline.flow(table, rest.priority, match, rest.reason),
    ]


def announcement_pieces(
    pipeline: Pipeline, table: Table, port: VMPort, rank: Rank, actions: Sequence[Action] = ()
) -> list[Piece]:
    """Return the flows and the meter for what a guest announces itself by at a waiting port.

    It goes to the controller, and ``actions`` are what is done with it besides.
    """
    meter = Meter(port.port_no, RATE, BURST)
    own = Match(in_port=port.port_no, eth_src=port.mac)
    announcements = (
        own._replace(eth_type=RARP),
        own._replace(eth_type=ARP),
        own._replace(eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=NEIGHBOUR_ADVERTISEMENT),
    )
    does = [ToController(), *actions]
    priority, reason = rank
    return [
        meter,
        *(
            pipeline.flow(table, priority, match, reason, does, meter=meter.meter_id)
            for match in announcements
        ),
    ]
