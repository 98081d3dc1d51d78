"""OpenFlow's port descriptions as facts of the state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ryu_l2iso.framework import ofproto_v1_4 as ofp
from ryu_l2iso.state.ports import OFPort
from ryu_l2iso.state.values import MAX_PORT_NO


def of_ports(descriptions: Iterable[Any]) -> list[OFPort]:
    """Return the real ports among the framework's ``OFPPort``s; LOCAL and its like are none."""
    return [
        OFPort(
            port_no=description.port_no,
            name=description.name.rstrip(b"\0").decode("utf-8", "replace"),
            up=not (
                description.state & ofp.OFPPS_LINK_DOWN or description.config & ofp.OFPPC_PORT_DOWN
            ),
        )
        for description in descriptions
        if 1 <= description.port_no <= MAX_PORT_NO
    ]
