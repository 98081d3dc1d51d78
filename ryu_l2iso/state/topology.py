"""Who has what: the indexes over complete VM ports and tunnel ports, and what a change touches.

Work per change is proportional to the switches that have the network, never to its ports; a
switch that joins a network looks at all of the network's MACs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.locations import Locations
from ryu_l2iso.state.ports import PortId, TunnelPort, VMPort
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PortSubject, Subject


class Topology:
    """Indexes; every change marks in ``changes`` the subjects that it touches."""

    def __init__(self, changes: Changes, migration: str) -> None:
        self._changes = changes
        self._migrations = Locations(migration)
        # network_id → dpid → port numbers
        self._members: dict[str, dict[int, set[int]]] = {}
        # network_id → MAC → locations
        self._macs: dict[str, dict[str, set[PortId]]] = {}
        # dpid → network ids
        self._networks: dict[int, set[str]] = {}
        # dpid → remote dpid → port numbers
        self._tunnels: dict[int, dict[int, set[int]]] = {}
        # complete VM port → what else than its MAC it uses
        self._learned: dict[PortId, set[str]] = {}
        # complete VM port → its network and MAC
        self._vm_ports: dict[PortId, MacSubject] = {}

    def members(self, network_id: str) -> Mapping[int, AbstractSet[int]]:
        """Return dpid → numbers of the complete VM ports that a network has there."""
        return self._members.get(network_id, {})

    def locations(self, network_id: str, mac: str) -> AbstractSet[PortId]:
        """Return where a MAC of a network is."""
        return self._macs.get(network_id, {}).get(mac, frozenset())

    def has_vm_port(self, port_id: PortId) -> bool:
        """Tell whether a port is a complete VM port that takes part in its network."""
        return port_id in self._vm_ports

    def is_active(self, port_id: PortId) -> bool:
        """Tell whether a complete VM port may send and receive; not so while it waits for a guest.

        See `ryu_l2iso.state.locations`.
        """
        return self._migrations.is_active(port_id)

    def active_members(self, network_id: str, dpid: int) -> list[int]:
        """Return the numbers of the active VM ports that a network has on a switch, sorted."""
        numbers = sorted(self.members(network_id).get(dpid, ()))
        return [port_no for port_no in numbers if self.is_active(PortId(dpid, port_no))]

    def networks_on(self, dpid: int) -> AbstractSet[str]:
        """Return the networks with complete VM ports on a switch."""
        return self._networks.get(dpid, frozenset())

    def neighbours(self, dpid: int) -> set[int]:
        """Return the switches that share a network with this one."""
        found: set[int] = set()
        for network_id in self.networks_on(dpid):
            found.update(self._members[network_id])
        found.discard(dpid)
        return found

    def tunnels_to(self, dpid: int, remote_dpid: int) -> list[int]:
        """Return the numbers of the tunnel ports of a switch to another, sorted."""
        return sorted(self._tunnels.get(dpid, {}).get(remote_dpid, ()))

    def tunnel_to(self, dpid: int, remote_dpid: int) -> int | None:
        """Return the port by which a switch sends to another, or None."""
        return next(iter(self.tunnels_to(dpid, remote_dpid)), None)

    def network_subjects(self, network_id: str) -> list[Subject]:
        """Return the subjects of a network and of all its MACs."""
        macs = self._macs.get(network_id, {})
        return [NetworkSubject(network_id), *(MacSubject(network_id, mac) for mac in macs)]

    def add_vm_port(self, port: VMPort) -> None:
        """Add a complete VM port."""
        assert port.network_id is not None and port.mac is not None
        members = self._members.setdefault(port.network_id, {})
        joins = port.dpid not in members
        members.setdefault(port.dpid, set()).add(port.port_no)
        self._macs.setdefault(port.network_id, {}).setdefault(port.mac, set()).add(port.id)
        self._vm_ports[port.id] = MacSubject(port.network_id, port.mac)
        self._networks.setdefault(port.dpid, set()).add(port.network_id)
        self._mark_vm_port(port, port.network_id, port.mac)
        if joins:
            self._mark_membership(port.dpid, port.network_id)
        self._mark_activity(self._migrations.add(port))

    def remove_vm_port(self, port: VMPort) -> None:
        """Remove a VM port that was added as it is here."""
        assert port.network_id is not None and port.mac is not None
        self._mark_vm_port(port, port.network_id, port.mac)
        self._mark_activity(self._migrations.remove(port))
        members = self._members[port.network_id]
        members[port.dpid].discard(port.port_no)
        if not members[port.dpid]:
            self._mark_membership(port.dpid, port.network_id)
            del members[port.dpid]
            self._networks[port.dpid].discard(port.network_id)
        macs = self._macs[port.network_id]
        macs[port.mac].discard(port.id)
        del self._vm_ports[port.id]
        if not macs[port.mac]:
            del macs[port.mac]
        if not members:
            del self._members[port.network_id], self._macs[port.network_id]

    def guest_shown(self, port: VMPort) -> None:
        """Record that a guest showed itself at a complete VM port, later than at any other."""
        self._mark_activity(self._migrations.add(port))

    def learn(self, port_id: PortId, mac: str) -> None:
        """Add a MAC that a complete VM port, and no other, uses besides its own."""
        network_id = self._vm_ports[port_id].network_id
        self._learned.setdefault(port_id, set()).add(mac)
        self._macs[network_id][mac] = {port_id}
        self._mark_mac(network_id, mac)

    def forget(self, port_id: PortId, mac: str) -> None:
        """Remove a MAC that was learned; all of them, before the port is removed."""
        network_id = self._vm_ports[port_id].network_id
        self._mark_mac(network_id, mac)
        self._learned[port_id].discard(mac)
        if not self._learned[port_id]:
            del self._learned[port_id]
        del self._macs[network_id][mac]

    def add_tunnel_port(self, port: TunnelPort) -> None:
        """Add a tunnel port."""
        remotes = self._tunnels.setdefault(port.dpid, {})
        remotes.setdefault(port.remote_dpid, set()).add(port.port_no)
        self._mark_tunnel(port)

    def remove_tunnel_port(self, port: TunnelPort) -> None:
        """Remove a tunnel port that was added as it is here."""
        self._tunnels[port.dpid][port.remote_dpid].discard(port.port_no)
        self._mark_tunnel(port)

    def _mark_vm_port(self, port: VMPort, network_id: str, mac: str) -> None:
        self._changes.mark(port.dpid, [NetworkSubject(network_id)])
        self._mark_mac(network_id, mac)

    def _mark_mac(self, network_id: str, mac: str) -> None:
        for dpid in self._members[network_id]:
            self._changes.mark(dpid, [MacSubject(network_id, mac)])

    def _mark_activity(self, port_ids: Iterable[PortId]) -> None:
        """Mark what is touched on its own switch by a port that is active or waiting now."""
        for port_id in port_ids:
            mac = self._vm_ports[port_id]
            network = NetworkSubject(mac.network_id)
            self._changes.mark(port_id.dpid, [PortSubject(port_id.port_no), network, mac])
            for learned in self._learned.get(port_id, ()):
                self._changes.mark(port_id.dpid, [mac._replace(mac=learned)])

    def _mark_membership(self, dpid: int, network_id: str) -> None:
        """Mark what a switch touches that joins or leaves a network."""
        members = self._members[network_id]
        for member in members:
            self._changes.mark(member, [NetworkSubject(network_id)])
        self._changes.mark(dpid, self.network_subjects(network_id))
        self._changes.tunnels.update(members)

    def _mark_tunnel(self, port: TunnelPort) -> None:
        shared = self.networks_on(port.dpid) & self.networks_on(port.remote_dpid)
        for network_id in shared:
            self._changes.mark(port.dpid, [NetworkSubject(network_id)])
            self._changes.mark(
                port.dpid,
                [
                    self._vm_ports[PortId(port.remote_dpid, port_no)]
                    for port_no in self._members[network_id][port.remote_dpid]
                ],
            )
