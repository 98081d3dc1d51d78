"""Subjects: what a switch's desired flows are cut into, so that a change recomputes little.

Whoever changes the state marks ``(dpid, subject)``; a pipeline gives the flows of one subject on
one switch.  The flows of different subjects never share an identity.
"""

from __future__ import annotations

from typing import NamedTuple, Union


class PortSubject(NamedTuple):
    """One port of the switch."""

    port_no: int

    def __str__(self) -> str:
        return f"port {self.port_no}"


class NetworkSubject(NamedTuple):
    """What the switch needs for a network as a whole, as floods.

    No other subject of a network has flows where this one has none.
    """

    network_id: str

    def __str__(self) -> str:
        return f"network {self.network_id}"


class PeerSubject(NamedTuple):
    """What the switch needs to get packets of a network from one other switch."""

    network_id: str
    remote_dpid: int

    def __str__(self) -> str:
        return f"network {self.network_id} from switch {self.remote_dpid:016x}"


class MacSubject(NamedTuple):
    """What the switch needs to reach one MAC in a network."""

    network_id: str
    mac: str

    def __str__(self) -> str:
        return f"MAC {self.mac} of network {self.network_id}"


class SwitchSubject(NamedTuple):
    """What every switch has, whatever is plugged: the misses."""

    def __str__(self) -> str:
        return "what every switch has"


Subject = Union[PortSubject, NetworkSubject, PeerSubject, MacSubject, SwitchSubject]
