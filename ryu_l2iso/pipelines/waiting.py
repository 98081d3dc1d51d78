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

QUESTIONS = 1 << 16
"""What is added to a port's number for the meter of its ARP.

No flow tells a gratuitous ARP from a question, and a guest that is cut off asks for many addresses:
its questions must not take the place of what else it announces itself by.
"""


class Rank(NamedTuple):
    """With which priority a pipeline has a flow, and why."""

    priority: int
    reason: enum.IntEnum


def waiting_pieces(
    pipeline: Pipeline, table: Table, port: VMPort, announces: Rank, rest: Rank
) -> list[Piece]:
    """Return the flows and the meters of a waiting port, for the table where its packets come in.

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
    """Return the flows and the meters for what a guest announces itself by at a waiting port.

    It goes to the controller, and ``actions`` are what is done with it besides.
    """
    meter = Meter(port.port_no, RATE, BURST)
    questions = meter._replace(meter_id=QUESTIONS + port.port_no)
    own = Match(in_port=port.port_no, eth_src=port.mac)
    announcements = (
        (own._replace(eth_type=RARP), meter),
        (own._replace(eth_type=ARP), questions),
        (own._replace(eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=NEIGHBOUR_ADVERTISEMENT), meter),
    )
    does = [ToController(), *actions]
    priority, reason = rank
    return [
        meter,
        questions,
        *(
            pipeline.flow(table, priority, match, reason, does, meter=limit.meter_id)
            for match, limit in announcements
        ),
    ]
