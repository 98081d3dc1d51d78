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
        self._exclusive = False
        self._strangers: dict[int, set[PortId]] = {}

    def tell_apart(self) -> None:
        """Say that networks are told apart by VLANs; otherwise nobody waits for one."""
        self._exclusive = True

    def stranger(self, vlan: int) -> PortId | None:
        """Return a port of another network that keeps this VLAN from its own, or None."""
        return min(self._strangers.get(vlan, ()), default=None)

    def on(self, dpid: int) -> set[int]:
        """Return the VLANs that ports of a switch keep from their own networks."""
        found = self._strangers.items() if self._exclusive else ()
        return {vlan for vlan, ports in found if any(port.dpid == dpid for port in ports)}

    def holders(self, vlan: int) -> set[int]:
        """Return the switches with ports of other networks in a VLAN."""
        ports = self._strangers.get(vlan, ()) if self._exclusive else ()
        return {port.dpid for port in ports}

    def replace(self, old: Port | None, new: Port | None) -> set[int]:
        """Record that a port is another now; return the VLANs that have become free."""
        free = set()
        for vlan, port_id in strange_vlans(old) - strange_vlans(new):
            self._strangers[vlan].discard(port_id)
            if not self._strangers[vlan]:
                del self._strangers[vlan]
                free.add(vlan)
        for vlan, port_id in strange_vlans(new):
            self._strangers.setdefault(vlan, set()).add(port_id)
        return free


def strange_vlans(port: Port | None) -> set[tuple[int, PortId]]:
    """Return the VLANs that a port may be in although they are not its network's."""
    if not isinstance(port, VMPort):
        return set()
    return {(vlan, port.id) for vlan in port.vlans - {port.key, DEAD_VLAN}}
