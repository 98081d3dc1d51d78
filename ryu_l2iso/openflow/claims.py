"""Who is which switch: one connection for each dpid, and the first stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

from ryu_l2iso.openflow.peer import Peer, Refused
from ryu_l2iso.state.values import dpid_to_str

Authorize = Callable[[int, Optional[Mapping[str, Any]]], str]
"""Why the peer with a certificate (None: TCP) may not be a switch, or ""; must not block."""


def anybody(_dpid: int, _certificate: Mapping[str, Any] | None) -> str:
    """Let every peer be every switch."""
    return ""


class Claims:
    """dpid → its connection.

    A second one is refused while the first answers.  A first that does not is what a node that
    lost its power leaves behind: it is closed, and the second takes its place.
    """

    def __init__(self, authorize: Authorize, seconds: float) -> None:
        """Give a connection so many seconds to show that it is alive, or to end."""
        self._authorize = authorize
        self._seconds = seconds
        self._holders: dict[int, Peer] = {}

    def claim(self, peer: Peer, dpid: int) -> None:
        """Let ``peer`` be a switch from now on, or raise Refused; may wait for another peer."""
        name = dpid_to_str(dpid)
        reason = self._authorize(dpid, peer.certificate)
        if reason:
            raise Refused(f"switch {name}: {reason}")
        while dpid in self._holders:
            holder = self._holders[dpid]
            if holder.answers(self._seconds):
                raise Refused(f"switch {name} is connected from {holder.address[0]} already")
            holder.close_for("it does not answer, and its switch has connected again")
            if not holder.gone.wait(self._seconds):
                raise Refused(f"switch {name}: its last connection is being closed")
        peer.dpid = dpid
        self._holders[dpid] = peer

    def release(self, peer: Peer) -> None:
        """Let another be the switch that ``peer`` was, if it was one."""
        if peer.dpid is not None and self._holders.get(peer.dpid) is peer:
            del self._holders[peer.dpid]
        peer.gone.set()
