"""What a switch holds for a VM port that waits for its guest, in any pipeline.

Nothing of the port is forwarded.  What a guest announces itself by goes to the controller, which
then makes the port active (`ryu_l2iso.state.locations`).
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from ryu_l2iso.pipelines.flow import ARP, ICMPV6, IPV6, RARP, Match, Meter, Piece, ToController
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
    meter = Meter(port.port_no, RATE, BURST)
    own = Match(in_port=port.port_no, eth_src=port.mac)
    announcements = (
        own._replace(eth_type=RARP),
        own._replace(eth_type=ARP),
        own._replace(eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=NEIGHBOUR_ADVERTISEMENT),
    )
    to_controller = [ToController()]
    priority, reason = announces
    return [
        meter,
        *(
            pipeline.flow(table, priority, match, reason, to_controller, meter=meter.meter_id)
            for match in announcements
        ),
        pipeline.flow(table, rest.priority, Match(in_port=port.port_no), rest.reason),
    ]
