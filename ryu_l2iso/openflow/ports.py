"""What OpenFlow says of ports (7.2.1, 7.4.3), as facts of the state."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from ryu_l2iso.framework import ofproto_v1_4 as ofp
from ryu_l2iso.openflow.framing import PORT_STATUS, WireError, check_type, spans
from ryu_l2iso.state.ports import OFPort
from ryu_l2iso.state.values import MAX_PORT_NO

PORT_SIZE = 40
"""Bytes of a port description before its properties."""

STATUS_SIZE = 16
"""Bytes of a port-status before its port."""

_PORT = Struct("!I12x16sII")
_REASON = Struct("!8xB")


class PortStatus(NamedTuple):
    """What becomes of a port: it is there as it is told, or ``gone``."""

    port: OFPort
    gone: bool


def is_real(port: OFPort) -> bool:
    """Tell whether a port is a real one; LOCAL and its like are none."""
    return 1 <= port.port_no <= MAX_PORT_NO


def unpack_port(buf: bytes, start: int) -> OFPort:
    """Return the port of a description that begins at ``start``, and is all there."""
    port_no, name, config, state = _PORT.unpack_from(buf, start)
    up = not (state & ofp.OFPPS_LINK_DOWN or config & ofp.OFPPC_PORT_DOWN)
    return OFPort(port_no, name.rstrip(b"\0").decode("utf-8", "replace"), up)


def unpack_port_status(status: bytes) -> PortStatus:
    """Return what a port-status tells; raises WireError for one that breaks the protocol."""
    check_type(status, PORT_STATUS, STATUS_SIZE + PORT_SIZE)
    found = list(spans(status, STATUS_SIZE, len(status), 4, PORT_SIZE))
    if len(found) != 1:
        raise WireError(f"a port status of {len(found)} ports")
    gone = _REASON.unpack_from(status)[0] == ofp.OFPPR_DELETE
    return PortStatus(unpack_port(status, STATUS_SIZE), gone)
