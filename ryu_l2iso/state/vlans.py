"""Which VLANs VM ports are in that are not their network's: those VLANs are not free for others.

When a key goes from one network to another, ports of both have it for a while.  The new network's
ports get its tag only when no port of another network may be in that VLAN any more, on any switch:
otherwise the two networks were one for that while.

A port that is taken out of its network is *leaving* its VLAN while its tag is set for the first
time: nobody else of that network is kept from it for so short a time.  If that fails it is as much
a stranger as any other.

When a switch is let go nobody hears of the tags of its ports any more: they *linger* in the VLANs
that they were in, until it has confirmed that they have no flow.  So does a port that is no VM's
any more by what its row says, as when its MAC is none, and until it is there no more: without a
flow it hears what others send.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.networks import Networks
from ryu_l2iso.state.ports import Port, PortId, VMPort
from ryu_l2iso.state.records import LINGERING
from ryu_l2iso.state.subjects import PortSubject

DEAD_VLAN = 4095
"""Tag of a port that must not be in any VLAN: 4095 is nobody's VLAN ID (IEEE 802.1Q, 9.6)."""


class Vlans:
    """VLAN → the VM ports that may be in it although it is not their network's."""

    def __init__(self, networks: Networks, changes: Changes) -> None:
        self._networks = networks
        self._changes = changes
        self.exclusive = False
        self._strangers: dict[int, set[PortId]] = {}
        # Those of them that are about to leave, with the VLAN
        self._leaving: set[tuple[int, PortId]] = set()
        # VLAN → port that lingers there → its network, "" for none
        self._lingering: dict[int, dict[PortId, str]] = {}

    def tell_apart(self) -> None:
        """Say that networks are told apart by VLANs; otherwise nobody waits for one."""
        self.exclusive = True

    def stranger(self, vlan: int) -> PortId | None:
        """Return a port of another network that keeps this VLAN from its own, or None."""
        return min(self._ports(vlan), default=None)

    def cut_off(self, dpid: int) -> set[int]:
        """Return the VLANs that a switch must not be sent: strangers there would hear them."""
        return {
            vlan
            for vlan in self.on(dpid)
            if any(p.dpid == dpid and (vlan, p) not in self._leaving for p in self._strangers[vlan])
        }

    def leaving(self, dpid: int) -> set[tuple[int, PortId]]:
        """Return the VLANs that ports of a switch are about to leave, with the port."""
        return {left for left in self._leaving if left[1].dpid == dpid}

    def stay(self, leaving: set[tuple[int, PortId]]) -> set[int]:
        """Record that ports have not left their VLAN; return the switches of those in it still."""
        still = self._leaving & leaving
        self._leaving -= still
        return {port_id.dpid for _, port_id in still}

    def on(self, dpid: int) -> set[int]:
        """Return the VLANs that ports of a switch that is registered keep from their networks."""
        found = self._strangers.items() if self.exclusive else ()
        return {vlan for vlan, ports in found if any(port.dpid == dpid for port in ports)}

    def left(self, dpid: int) -> set[int]:
        """Return the VLANs that ports of a switch linger in."""
        found = self._lingering.items()
        return {vlan for vlan, ports in found if any(port.dpid == dpid for port in ports)}

    def holders(self, vlan: int) -> set[int]:
        """Return the switches with ports of other networks in a VLAN."""
        return {port.dpid for port in self._ports(vlan)} if self.exclusive else set()

    def replace(self, old: Port | None, new: Port | None) -> set[int]:
        """Record that a port is another now; return the VLANs that have become free."""
        free = set()
        for vlan, port_id in strange_vlans(old) - strange_vlans(new):
            self._strangers[vlan].discard(port_id)
            self._leaving.discard((vlan, port_id))
            if not self._strangers[vlan]:
                del self._strangers[vlan]
                free.add(vlan)
        for vlan, port_id in strange_vlans(new):
            self._strangers.setdefault(vlan, set()).add(port_id)
            if isinstance(old, VMPort) and old.key == vlan and self._is_of(old.network_id, vlan):
                self._leaving.add((vlan, port_id))
        return free

    def _is_of(self, network_id: str | None, vlan: int) -> bool:
        return network_id is not None and self._networks.owner(vlan) == network_id

    def linger(self, ports: Iterable[Port]) -> None:
        """Record that ports that nobody hears of any more stay in the VLANs that they are in."""
        for port in ports if self.exclusive else ():
            if isinstance(port, VMPort):
                for vlan in port.vlans - {DEAD_VLAN}:
                    self.put_lingering(port.id, vlan, port.network_id or "")

    def look_at(self, port_id: PortId) -> None:
        """Have a switch confirm once more what a port holds that may linger no more."""
        if any(port_id in ports for ports in self._lingering.values()):
            self._changes.mark(port_id.dpid, [PortSubject(port_id.port_no)])

    def end(self, dpid: int, is_over: Callable[[int, int], bool]) -> list[int]:
        """Record that ports of a switch linger no more, by number and VLAN; return the VLANs."""
        over = [
            (port_id, vlan)
            for vlan, ports in self._lingering.items()
            for port_id in ports
            if port_id.dpid == dpid and is_over(port_id.port_no, vlan)
        ]
        for port_id, vlan in over:
            self.discard_lingering(port_id, vlan)
        return sorted({vlan for _, vlan in over})

    def put_lingering(self, port_id: PortId, vlan: int, network_id: str) -> None:
        """Record that a port of a network lingers in a VLAN."""
        ports = self._lingering.setdefault(vlan, {})
        old = ports.get(port_id)
        ports[port_id] = network_id
        self._record(port_id, vlan, network_id, old)

    def discard_lingering(self, port_id: PortId, vlan: int) -> None:
        """Record that a port does not linger in a VLAN."""
        ports = self._lingering.get(vlan, {})
        old = ports.pop(port_id, None)
        if old is not None and not ports:
            del self._lingering[vlan]
        self._record(port_id, vlan, None, old)

    def _record(self, port_id: PortId, vlan: int, new: str | None, old: str | None) -> None:
        values = [None if network_id is None else (network_id,) for network_id in (new, old)]
        self._changes.record(LINGERING, (*port_id, vlan), *values)

    def _ports(self, vlan: int) -> set[PortId]:
        """Return the ports that keep a VLAN from the network that has it."""
        ports, owner = self._lingering.get(vlan, {}), self._networks.owner(vlan)
        lingering = {port_id for port_id, network_id in ports.items() if network_id != owner}
        return lingering.union(self._strangers.get(vlan, ()))


def strange_vlans(port: Port | None) -> set[tuple[int, PortId]]:
    """Return the VLANs that a port may be in although they are not its network's."""
    if not isinstance(port, VMPort):
        return set()
    return {(vlan, port.id) for vlan in port.vlans - {port.key, DEAD_VLAN}}


def differ_by_vlans(old: Port | None, new: Port | None) -> bool:
    """Tell whether two VM ports are the same but for the VLANs that they are in."""
    if not isinstance(old, VMPort) or not isinstance(new, VMPort):
        return False
    return old._replace(tag=new.tag, vlans=new.vlans) == new
