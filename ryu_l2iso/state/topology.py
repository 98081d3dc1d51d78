"""Who has what: the indexes over complete VM ports and tunnel ports, and what a change touches.

Work per change is proportional to the switches that have the network, never to its ports; but a
switch that joins a network looks at all of the network's MACs once, and with VLANs a VM that moves
marks the network's ports on the two switches where it is.  What hangs on a tunnel is looked at as
far as the tunnel is there, and when it comes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.locations import Locations
from ryu_l2iso.state.networks import Networks
from ryu_l2iso.state.ports import PortId, TunnelPort, VMPort
from ryu_l2iso.state.subjects import (
    MacSubject,
    NetworkSubject,
    PeerSubject,
    PortSubject,
    Subject,
)
from ryu_l2iso.state.vlans import Vlans


class _Network:
    """What there is of a network, and the subjects of it.

    Each subject is one object, for every switch with the network keeps it.
    """

    def __init__(self, network_id: str) -> None:
        self.subject = NetworkSubject(network_id)
        # dpid → port numbers
        self.members: dict[int, set[int]] = {}
        # dpid → what the others need to hear it
        self.peers: dict[int, PeerSubject] = {}
        # MAC → locations, sorted; there is one, but while a VM moves
        self.macs: dict[str, tuple[PortId, ...]] = {}
        # MAC → what it takes to reach it
        self.mac_subjects: dict[str, MacSubject] = {}
        # With VLANs: MACs that are on several switches, as while a VM moves
        self.spread: set[str] = set()

    def add(self, port_id: PortId) -> bool:
        """Add a port; tell whether its switch joins the network by that."""
        joins = port_id.dpid not in self.members
        if joins:
            self.members[port_id.dpid] = set()
            self.peers[port_id.dpid] = PeerSubject(self.subject.network_id, port_id.dpid)
        self.members[port_id.dpid].add(port_id.port_no)
        return joins

    def add_location(self, mac: str, port_id: PortId) -> MacSubject:
        """Add a place where a MAC is."""
        self.macs[mac] = tuple(sorted({*self.macs.get(mac, ()), port_id}))
        return self.mac_subjects.setdefault(mac, MacSubject(self.subject.network_id, mac))

    def discard_location(self, mac: str, port_id: PortId) -> None:
        """Remove a place where a MAC was."""
        self.macs[mac] = tuple(other for other in self.macs[mac] if other != port_id)
        if not self.macs[mac]:
            del self.macs[mac], self.mac_subjects[mac]

    def dpids(self, mac: str) -> set[int]:
        """Return the switches where a MAC is."""
        return {at for at, _ in self.macs.get(mac, ())}


_NONE = _Network("")
"""What there is of a network that nobody has."""


class Topology:
    """Indexes; every change marks in ``changes`` the subjects that it touches."""

    def __init__(
        self, changes: Changes, migration: str, vlans: Vlans, registered: Networks
    ) -> None:
        self._changes = changes
        self._registered = registered
        self._vlans = vlans
        self._migrations = Locations(migration)
        # network_id → what there is of it, while it has any port
        self._networks: dict[str, _Network] = {}
        # dpid → network ids
        self._networks_on: dict[int, set[str]] = {}
        # dpid → remote dpid → how many networks both have; none where they have none
        self._shared: dict[int, dict[int, int]] = {}
        # dpid → remote dpid → port numbers, sorted
        self._tunnels: dict[int, dict[int, list[int]]] = {}
        # complete VM port → what else than its MAC it uses
        self._learned: dict[PortId, set[str]] = {}
        # complete VM port → its network and MAC
        self._vm_ports: dict[PortId, MacSubject] = {}

    def members(self, network_id: str) -> Mapping[int, AbstractSet[int]]:
        """Return dpid → numbers of the complete VM ports that a network has there."""
        return self._networks.get(network_id, _NONE).members

    def locations(self, network_id: str, mac: str) -> Sequence[PortId]:
        """Return where a MAC of a network is, sorted."""
        return self._networks.get(network_id, _NONE).macs.get(mac, ())

    def spread(self, network_id: str, dpid: int) -> list[str]:
        """Return the MACs of a network that are on this switch and on another, sorted.

        None where networks are not told apart by VLANs.
        """
        network = self._networks.get(network_id, _NONE)
        return sorted(mac for mac in network.spread if dpid in network.dpids(mac))

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
        return self._networks_on.get(dpid, frozenset())

    def neighbours(self, dpid: int) -> AbstractSet[int]:
        """Return the switches that share a network with this one."""
        return self._shared.get(dpid, {}).keys()

    def tunnels_to(self, dpid: int, remote_dpid: int) -> list[int]:
        """Return the numbers of the tunnel ports of a switch to another, sorted."""
        return list(self._tunnels.get(dpid, {}).get(remote_dpid, ()))

    def tunnels(self, dpid: int, remotes: Iterable[int]) -> list[int]:
        """Return the ports by which a switch sends to others, as far as they exist."""
        ports = self._tunnels.get(dpid, {})
        return [ports[remote][0] for remote in sorted(remotes) if remote in ports]

    def ways(self, dpid: int, network_id: str, mac: str) -> tuple[list[int], list[int]]:
        """Return by which tunnels a switch sends to a MAC, and its active ports that have it.

        There are none on a switch without the network.
        """
        network = self._networks.get(network_id, _NONE)
        locations = network.macs.get(mac, ()) if dpid in network.members else ()
        ports = self._tunnels.get(dpid, {})
        tunnels: list[int] = []
        local: list[int] = []
        for port_id in locations:
            at, port_no = port_id
            if at == dpid:
                if self.is_active(port_id):
                    local.append(port_no)
            elif at in ports and ports[at][0] not in tunnels:
                tunnels.append(ports[at][0])
        return tunnels, local

    def subjects_of(self, dpid: int, network_id: str) -> list[Subject]:
        """Return all subjects that a switch may have anything for, of a network."""
        network = self._networks.get(network_id, _NONE)
        tunnels = self._tunnels.get(dpid, {})
        return [
            network.subject,
            *[peer for remote, peer in network.peers.items() if remote in tunnels],
            *self._macs_for(dpid, network),
        ]

    def _macs_for(self, dpid: int, network: _Network) -> Iterable[Subject]:
        """Return those MACs of a network that a switch can reach: mostly all."""
        if all(self._reaches(dpid, {member}) for member in network.members):
            return network.mac_subjects.values()
        return [
            subject
            for mac, subject in network.mac_subjects.items()
            if self._reaches(dpid, network.dpids(mac))
        ]

    def add_vm_port(self, port: VMPort) -> None:
        """Add a complete VM port."""
        assert port.network_id is not None and port.mac is not None
        network = self._networks.get(port.network_id) or _Network(port.network_id)
        self._networks[port.network_id] = network
        joins = network.add(port.id)
        self._vm_ports[port.id] = network.add_location(port.mac, port.id)
        self._networks_on.setdefault(port.dpid, set()).add(port.network_id)
        self._changes.mark(port.dpid, [network.subject])
        self._look_at_spread(network, port.mac)
        self._mark_mac(network, port.mac, port.dpid)
        self._mark_spread(network, port.mac)
        if joins:
            self._share(port.dpid, network.members.keys() - {port.dpid}, 1)
            self._mark_membership(port.dpid, network)
        self._mark_activity(self._migrations.add(port))

    def remove_vm_port(self, port: VMPort) -> None:
        """Remove a VM port that was added as it is here."""
        assert port.network_id is not None and port.mac is not None
        network = self._networks[port.network_id]
        self._changes.mark(port.dpid, [network.subject])
        self._mark_mac(network, port.mac, port.dpid)
        self._mark_spread(network, port.mac)
        self._mark_activity(self._migrations.remove(port))
        network.members[port.dpid].discard(port.port_no)
        if not network.members[port.dpid]:
            self._mark_membership(port.dpid, network)
            del network.members[port.dpid], network.peers[port.dpid]
            self._share(port.dpid, network.members, -1)
            self._networks_on[port.dpid].discard(port.network_id)
        network.discard_location(port.mac, port.id)
        self._look_at_spread(network, port.mac)
        del self._vm_ports[port.id]
        if not network.members:
            del self._networks[port.network_id]

    def tag_changed(self, port: VMPort) -> None:
        """Mark what reaches a VM port that is on other switches too: it is in another VLAN."""
        network = self._networks.get(port.network_id or "", _NONE)
        if port.mac in network.spread:
            self._mark_members(port.dpid, network)

    def mark_spread_on(self, dpid: int) -> None:
        """Mark what reaches MACs of this switch that are on others too: its uplinks changed."""
        for network_id in self.networks_on(dpid):
            if self.spread(network_id, dpid):
                self._mark_members(dpid, self._networks[network_id])

    def guest_shown(self, port: VMPort) -> None:
        """Record that a guest showed itself at a complete VM port, later than at any other."""
        self._mark_activity(self._migrations.add(port))

    def learn(self, port_id: PortId, mac: str) -> None:
        """Add a MAC that a complete VM port, and no other, uses besides its own."""
        network = self._networks[self._vm_ports[port_id].network_id]
        self._learned.setdefault(port_id, set()).add(mac)
        network.add_location(mac, port_id)
        self._mark_mac(network, mac, port_id.dpid)

    def forget(self, port_id: PortId, mac: str) -> None:
        """Remove a MAC that was learned; all of them, before the port is removed."""
        network = self._networks[self._vm_ports[port_id].network_id]
        self._mark_mac(network, mac, port_id.dpid)
        self._learned[port_id].discard(mac)
        if not self._learned[port_id]:
            del self._learned[port_id]
        network.discard_location(mac, port_id)

    def add_tunnel_port(self, port: TunnelPort) -> None:
        """Add a tunnel port; one that leads back to its own switch is of no use."""
        if port.remote_dpid == port.dpid:
            return
        remotes = self._tunnels.setdefault(port.dpid, {})
        insort(remotes.setdefault(port.remote_dpid, []), port.port_no)
        self._mark_tunnel(port)

    def remove_tunnel_port(self, port: TunnelPort) -> None:
        """Remove a tunnel port that was added as it is here."""
        if port.remote_dpid == port.dpid:
            return
        remotes = self._tunnels[port.dpid]
        remotes[port.remote_dpid].remove(port.port_no)
        if not remotes[port.remote_dpid]:
            del remotes[port.remote_dpid]
        self._mark_tunnel(port)

    def _share(self, dpid: int, others: Iterable[int], more: int) -> None:
        """Count that a switch has one network ``more`` in common with others, or less."""
        for other in others:
            for end, remote in ((dpid, other), (other, dpid)):
                remotes = self._shared.setdefault(end, {})
                before = remotes.get(remote, 0)
                remotes[remote] = before + more
                if not remotes[remote]:
                    del remotes[remote]
                if not before or remote not in remotes:
                    self._changes.mark_tunnel(end, remote)

    def _mark_spread(self, network: _Network, mac: str) -> None:
        """Mark all that reaches a MAC on its switches, if it is on several."""
        if mac in network.spread:
            for dpid in network.dpids(mac):
                self._mark_members(dpid, network)

    def _look_at_spread(self, network: _Network, mac: str) -> None:
        if self._vlans.exclusive and len(network.dpids(mac)) > 1:
            network.spread.add(mac)
        else:
            network.spread.discard(mac)

    def _mark_members(self, dpid: int, network: _Network) -> None:
        numbers = network.members.get(dpid, ())
        self._changes.mark(dpid, [PortSubject(port_no) for port_no in numbers])

    def _mark_mac(self, network: _Network, mac: str, at: int) -> None:
        """Mark a MAC that comes to a switch or leaves it, on all that can reach it there."""
        subjects = [network.mac_subjects[mac]]
        for dpid in self._changes.marked_of(network.members.keys()):
            if self._reaches(dpid, {at}):
                self._changes.mark(dpid, subjects)

    def _reaches(self, dpid: int, others: AbstractSet[int]) -> bool:
        """Tell whether a switch can send to one of others, or is one.

        Where networks have keys it does by tunnels, or knows no MACs of others at all.
        """
        tunnels = self._tunnels.get(dpid, {}).keys()
        return dpid in others or not self._registered.uses_keys or not tunnels.isdisjoint(others)

    def _mark_activity(self, port_ids: Iterable[PortId]) -> None:
        """Mark what is touched on its own switch by a port that is active or waiting now."""
        for port_id in port_ids:
            mac = self._vm_ports[port_id]
            network = self._networks[mac.network_id]
            self._changes.mark(port_id.dpid, [PortSubject(port_id.port_no), network.subject, mac])
            learned = self._learned.get(port_id, ())
            self._changes.mark(port_id.dpid, [network.mac_subjects[other] for other in learned])
            self._mark_spread(network, mac.mac)

    def _mark_membership(self, dpid: int, network: _Network) -> None:
        """Mark what a switch touches that joins or leaves a network.

        The others can only see that as far as they have a tunnel to it.
        """
        if self._changes.marked_of({dpid}):
            self._changes.mark(dpid, self.subjects_of(dpid, network.subject.network_id))
        touched: list[Subject] = [network.subject, network.peers[dpid]]
        for member in self._changes.marked_of(network.members.keys()):
            if dpid in self._tunnels.get(member, ()):
                self._changes.mark(member, touched)

    def _mark_tunnel(self, port: TunnelPort) -> None:
        dpid, remote = port.dpid, port.remote_dpid
        if not self._changes.marked_of({dpid}):
            return
        for network_id in self.networks_on(dpid) & self.networks_on(remote):
            network = self._networks[network_id]
            self._changes.mark(dpid, [network.subject, network.peers[remote]])
            macs = (self._vm_ports[PortId(remote, n)] for n in network.members[remote])
            self._changes.mark(dpid, macs)
