"""Which VLANs VM ports are in that are not their network's: those VLANs are not free for others.

When a key goes from one network to another, ports of both have it for a while.  The new network's
ports get its tag only when no port of another network may be in that VLAN any more, on any switch:
otherwise the two networks were one for that while.
"""

from __future__ import annotations

from ryu_l2iso.state.ports import Port, PortId, VMPort

DEAD_VLAN = 4095
"""Tag of a port that must not be in any VLAN: 4095 is nobody's VLAN ID (IEEE 802.1Q, 9.6)."""


class Vlans:
    """VLAN → the VM ports that may be in it although it is not their network's."""

    def __init__(self) -> None:
        self._strangers: dict[int, set[PortId]] = {}

    def stranger(self, vlan: int) -> PortId | None:
        """Return a port of another network that keeps this VLAN from its own, or None."""
        return min(self._strangers.get(vlan, ()), default=None)

    def replace(self, old: Port | None, new: Port | None) -> set[int]:
        """Record that a port is another now; return the VLANs that have become free."""
        free = set()
        for vlan, port_id in _strange(old) - _strange(new):
            self._strangers[vlan].discard(port_id)
            if not self._strangers[vlan]:
                del self._strangers[vlan]
                free.add(vlan)
        for vlan, port_id in _strange(new):
            self._strangers.setdefault(vlan, set()).add(port_id)
        return free


def _strange(port: Port | None) -> set[tuple[int, PortId]]:
    if not isinstance(port, VMPort):
        return set()
    return {(vlan, port.id) for vlan in port.vlans - {port.key, DEAD_VLAN}}
