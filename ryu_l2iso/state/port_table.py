"""The ports of the fleet: what each is, by all the facts, kept up to date with every fact."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Callable

from ryu_l2iso.state.changes import Changes, PortChange
from ryu_l2iso.state.hanging import Hanging
from ryu_l2iso.state.holders import Leftovers
from ryu_l2iso.state.interfaces import Interfaces
from ryu_l2iso.state.learning import Macs
from ryu_l2iso.state.networks import Networks
from ryu_l2iso.state.port_facts import PortFacts
from ryu_l2iso.state.ports import (
    NW_ID_EXTERNAL,
    RESERVED_NETWORK_IDS,
    AssignedPort,
    ExternalPort,
    InterfaceFact,
    OFPort,
    Port,
    PortId,
    TunnelPort,
    VMPort,
    is_complete,
)
from ryu_l2iso.state.subjects import PortSubject, SwitchSubject
from ryu_l2iso.state.switches import Switches
from ryu_l2iso.state.topology import Topology
from ryu_l2iso.state.vlans import Vlans, differ_by_vlans, strange_vlans


class PortTable:
    """dpid and number → port; a port's kind follows from the facts and from nothing else."""

    def __init__(
        self,
        networks: Networks,
        interfaces: Interfaces,
        switches: Switches,
        changes: Changes,
        migration: str,
    ) -> None:
        self.vlans = Vlans(networks, changes)
        self.topology = Topology(changes, migration, self.vlans, networks)
        self.leftovers = Leftovers(networks.held, changes)
        self.macs = Macs(self.topology, changes, self.leftovers)
        self._networks = networks
        self._interfaces = interfaces
        self._switches = switches
        self._changes = changes
        self._facts: dict[int, PortFacts] = {}
        self._ports: dict[PortId, Port] = {}
        # dpid → number → external port
        self._external: dict[int, dict[int, ExternalPort]] = {}
        self._last_event = 0
        # When this process began, after all that was loaded; 0 as long as nothing has happened
        self._began = 0
        # dpid of a switch that is not heard any more → since when; one time for those lost together
        self._lost: dict[int, int] = {}
        self._last_loss = 0
        self._hanging = Hanging()

    def facts(self, dpid: int) -> PortFacts:
        """Return the facts of a switch's ports, for reading; none for an unknown switch."""
        return self._facts.get(dpid) or PortFacts(dpid, self._changes, self._switches)

    def dpids(self) -> list[int]:
        """Return the switches of whose ports anything was said."""
        return list(self._facts)

    def ids(self) -> set[PortId]:
        """Return all ports that OpenFlow told of."""
        return {PortId(dpid, n) for dpid, facts in self._facts.items() for n in facts.of_ports}

    def get(self, port_id: PortId) -> Port | None:
        """Return a port; None when there is none or its kind is unknown."""
        return self._ports.get(port_id)

    def on(self, dpid: int) -> list[Port]:
        """Return the ports of known kind of a switch, by number."""
        found = (self._ports.get(PortId(dpid, n)) for n in sorted(self.facts(dpid).of_ports))
        return [port for port in found if port is not None]

    def external(self, dpid: int) -> list[int]:
        """Return the numbers of the external ports of a switch, sorted."""
        return sorted(self._external.get(dpid, ()))

    def referring_to(self, network_id: str) -> set[PortId]:
        """Return the ports that REST or their interface puts into a network, plugged or not."""
        return set(self._hanging.by_network.get(network_id, ()))

    def of_interface(self, iface_id: str) -> list[VMPort]:
        """Return the VM ports of an interface, its locations."""
        found = (self._ports.get(i) for i in sorted(self._hanging.by_interface.get(iface_id, ())))
        return [port for port in found if isinstance(port, VMPort)]

    def interface_ids(self) -> set[str]:
        """Return the ids of the interfaces that are plugged."""
        return {iface_id for iface_id in self._hanging.by_interface if self.of_interface(iface_id)}

    # -- facts -------------------------------------------------------------------------------

    def set_of_port(self, dpid: int, port: OFPort) -> None:
        """Record what OpenFlow says of a port."""
        self._look_at(dpid, self._of(dpid).set_of_port(port, self._next_event()))

    def remove_of_port(self, dpid: int, port_no: int) -> None:
        """Record that OpenFlow says that a port is gone."""
        self._changes.mark(dpid, [PortSubject(port_no)])
        self._look_at(dpid, self._of(dpid).remove_of_port(port_no))

    def replace_of_ports(self, dpid: int, ports: Iterable[OFPort]) -> None:
        """Record all ports that OpenFlow knows on a switch, which has connected.

        New ones came while nobody heard of them: after what was known before, and together.
        """
        since = self._lost.pop(dpid, self._beginning())
        self._look_at(dpid, self._of(dpid).replace_of_ports(ports, since))

    def lost(self, dpid: int) -> None:
        """Record that OpenFlow tells no more of a switch, until it connects again."""
        if self._last_event != self._last_loss:
            self._last_loss = self._next_event()
        self._lost[dpid] = self._last_loss

    def update_interfaces(self, dpid: int, rows: Mapping[str, InterfaceFact | None]) -> None:
        """Record the OVSDB rows that changed, by name; None for one that is gone."""
        known = self._of(dpid).interfaces
        for row in (*rows.values(), *(known.get(name) for name in rows)):
            if row is not None and row.tunnel_remote is not None:
                self._changes.mark_tunnel(dpid, self._switches.by_tunnel_addr(row.tunnel_remote))
            if row is not None and row.iface_id is not None:
                self._changes.tags.add(dpid)
        self._look_at(dpid, self._of(dpid).update_interfaces(rows))
        self._mark_external(dpid, rows)

    def guest_shown(self, port_id: PortId) -> bool:
        """Record that a guest showed itself at a port; False where none is waited for."""
        port = self._ports.get(port_id)
        if not isinstance(port, VMPort) or self.topology.is_active(port_id):
            return False
        when = self._next_event()
        self._of(port_id.dpid).guest_shown(port_id.port_no, when)
        self._set_past(port._replace(shown=when))
        return True

    def put_of_port(self, dpid: int, port: OFPort, since: int, shown: int) -> None:
        """Record a port and what is known of its past; later events come after all of that."""
        self._last_event = max(self._last_event, since, shown)
        self._look_at(dpid, self._of(dpid).put_of_port(port, since, shown))
        known = self._ports.get(PortId(dpid, port.port_no))
        if isinstance(known, VMPort) and (known.since, known.shown) != (since, shown):
            self._set_past(known._replace(since=since, shown=shown))

    def _set_past(self, port: VMPort) -> None:
        """Have a VM port that differs by nothing but its past in the place of what it was."""
        self._ports[port.id] = port
        if self.topology.has_vm_port(port.id):
            self.topology.guest_shown(port)

    def _next_event(self) -> int:
        self._last_event = max(self._beginning(), self._last_event) + 1
        return self._last_event

    def _beginning(self) -> int:
        if not self._began:
            self._last_event += 1
            self._began = self._last_event
        return self._began

    def keep_interfaces(self, dpid: int, names: Container[str]) -> None:
        """Record that OVSDB has told of all that there is: what has no such name is gone."""
        known = self.facts(dpid).interfaces
        self.update_interfaces(dpid, {name: None for name in known if name not in names})

    def assign(self, port_id: PortId, assigned: AssignedPort) -> None:
        """Record what REST says of a port."""
        self._of(port_id.dpid).assign(port_id.port_no, assigned)
        self._look_at(port_id.dpid, {port_id.port_no})

    def put_assigned(self, port_id: PortId, assigned: AssignedPort | None) -> None:
        """Record just this of a port; None when REST says nothing of it."""
        self._of(port_id.dpid).put_assigned(port_id.port_no, assigned)
        self._look_at(port_id.dpid, {port_id.port_no})

    def retag(self, dpid: int, tags: Mapping[str, int]) -> None:
        """Record that the tags of ports are about to be set, by name: none is confirmed now."""
        for name, tag in tags.items():
            self._look_at(dpid, self._of(dpid).retag(name, tag))

    def tags_are_set(self, dpid: int, names: Iterable[str]) -> None:
        """Record that the switch has done so: what OVSDB says of these ports' tags is so."""
        for name in names:
            self._look_at(dpid, self._of(dpid).tag_is_set(name))

    def stay_in_vlans(self, leaving: set[tuple[int, PortId]]) -> None:
        """Record that of ports that were `Vlans.leaving` some have not left their VLAN."""
        for dpid in self.vlans.stay(leaving):
            self._mark_external(dpid)

    def put_retagged(self, dpid: int, name: str, vlans: frozenset[int] | None) -> None:
        """Record in which VLANs a port may be while its tag is set; None while it is not."""
        self._look_at(dpid, self._of(dpid).put_retagged(name, vlans))

    def registration_changed(self, dpid: int) -> None:
        """Have what a switch says recorded: it has been registered, or is not any more."""
        self.facts(dpid).note_all()

    def forget(self, dpid: int) -> None:
        """Forget what a switch said of its ports; what REST says of them stays."""
        self.forget_interfaces(dpid)
        self.replace_of_ports(dpid, ())
        if not self._of(dpid).assigned_numbers():
            del self._facts[dpid]

    def forget_interfaces(self, dpid: int) -> None:
        """Forget what OVSDB said of a switch's ports."""
        self.update_interfaces(dpid, dict.fromkeys(self.facts(dpid).interfaces))

    def end_linger(self, dpid: int, is_rid: Callable[[PortSubject], bool]) -> None:
        """Record which ports of a switch have no flow any more; others are heard of again."""
        heard, is_in = self._ports if dpid in self._switches else {}, self.facts(dpid).is_in
        over = self.vlans.end(
            dpid, lambda n, v: (dpid, n) in heard or (is_rid(PortSubject(n)) and not is_in(n, v))
        )
        self._vlans_left(over)

    def discard_lingering(self, port_id: PortId, vlan: int) -> None:
        """Record that one of them is in a VLAN no more."""
        self.vlans.discard_lingering(port_id, vlan)
        self._vlans_left([vlan])

    def forget_interface(self, port_id: PortId) -> None:
        """Forget what OVSDB said of a port that goes, because OVSDB does not tell that now."""
        row = self.facts(port_id.dpid).row(port_id.port_no)
        if row is not None:
            self.update_interfaces(port_id.dpid, {row.name: None})

    def network_changed(self, network_id: str) -> None:
        """Look again at the ports of a network: it came, went, or its key did."""
        self._look_at_all(self._hanging.by_network.get(network_id, ()))

    def kept_out_by(self, dpid: int) -> list[VMPort]:
        """Return the VM ports that wait for their VLAN because a port of this switch is in it."""
        vlans = self.vlans.on(dpid) | self.vlans.left(dpid)
        owners = [self._networks.owner(vlan) for vlan in vlans if dpid in self.vlans.holders(vlan)]
        ids = [i for owner in owners if owner is not None for i in self.referring_to(owner)]
        return [p for p in map(self._ports.get, ids) if isinstance(p, VMPort) and p.tag != p.key]

    def interface_changed(self, iface_id: str) -> None:
        """Look again at the ports of an interface: its network changed."""
        self._look_at_all(self._hanging.by_interface.get(iface_id, ()))

    def tunnel_addr_changed(self, address: str) -> None:
        """Look again at the tunnel ports towards an address: its switch changed."""
        self._look_at_all(self._hanging.by_remote.get(address, ()))

    # -- what follows ------------------------------------------------------------------------

    def _of(self, dpid: int) -> PortFacts:
        if dpid not in self._facts:
            self._facts[dpid] = PortFacts(dpid, self._changes, self._switches)
        return self._facts[dpid]

    def _look_at_all(self, port_ids: Iterable[PortId]) -> None:
        for port_id in sorted(port_ids):
            self._look_at(port_id.dpid, {port_id.port_no})

    def _look_at(self, dpid: int, numbers: Iterable[int]) -> None:
        for port_no in sorted(numbers):
            port_id = PortId(dpid, port_no)
            self.vlans.look_at(port_id)
            known = port_id in self._ports or port_id in self._hanging
            if not known and not self._of(dpid).has(port_no):
                continue
            old, new = self._ports.get(port_id), self._classify(port_id)
            self._register(port_id)
            if old != new:
                self._replace(port_id, old, new)

    def _register(self, port_id: PortId) -> None:
        """Remember which network, interface and address a port hangs on."""
        facts = self._of(port_id.dpid)
        row = facts.row(port_id.port_no) or InterfaceFact("")
        assigned = facts.assigned(port_id.port_no)
        network_id = assigned.network_id or self._interfaces.network_id(row.iface_id)
        self._hanging.put(port_id, network_id, row.iface_id, row.tunnel_remote)

    def _classify(self, port_id: PortId) -> Port | None:
        """Return what a port is, from all that is known of it; None when that is not enough."""
        dpid, port_no = port_id
        facts = self._of(dpid)
        port = facts.of_ports.get(port_no)
        if port is None:
            return None
        assigned = facts.assigned(port_no)
        row = facts.interface(port) or InterfaceFact(port.name)
        remote = assigned.remote_dpid
        if remote is None and row.tunnel_remote is not None:
            remote = self._switches.by_tunnel_addr(row.tunnel_remote)
        if remote is not None:
            return TunnelPort(dpid, port_no, port.name, remote)
        if assigned.network_id == NW_ID_EXTERNAL:
            return ExternalPort(dpid, port_no, port.name)
        if assigned.network_id in RESERVED_NETWORK_IDS:
            return None
        return self._vm_port(dpid, port, row, assigned)

    def _vm_port(
        self, dpid: int, port: OFPort, row: InterfaceFact, assigned: AssignedPort
    ) -> VMPort | None:
        if assigned.network_id is None and (row.iface_id is None or row.mac is None):
            return None
        network_id = assigned.network_id or self._interfaces.network_id(row.iface_id)
        if network_id is not None and network_id not in self._networks:
            network_id = None
        return VMPort(
            dpid=dpid,
            port_no=port.port_no,
            name=port.name,
            iface_id=row.iface_id,
            network_id=network_id,
            key=None if network_id is None else self._networks.key_in_force(network_id),
            mac=assigned.mac or row.mac,
            up=port.up,
            tag=None if self._of(dpid).is_retagged(port.name) else row.tag,
            vlans=self._of(dpid).vlans(row),
            since=self._of(dpid).since(port.port_no),
            shown=self._of(dpid).shown(port.port_no),
        )

    def _replace(self, port_id: PortId, old: Port | None, new: Port | None) -> None:
        if new is None:
            del self._ports[port_id]
        else:
            self._ports[port_id] = new
        if isinstance(new, VMPort) and differ_by_vlans(old, new):
            self.topology.tag_changed(new)
        else:
            self._index(port_id.dpid, old, new)
        self._changes.mark(port_id.dpid, [PortSubject(port_id.port_no)])
        self._changes.ports.append(PortChange(old, new))
        if isinstance(old, VMPort) or isinstance(new, VMPort):
            self._changes.tags.add(port_id.dpid)
        if old is not None and new is None and self.facts(port_id.dpid).row(port_id.port_no):
            self.vlans.linger([old])
        if strange_vlans(old) != strange_vlans(new):
            self._mark_external(port_id.dpid)
        self._vlans_left(self.vlans.replace(old, new))

    def _vlans_left(self, vlans: Iterable[int]) -> None:
        """Look again at the tags of those who may have waited for these VLANs."""
        for vlan in vlans:
            owner = self._networks.owner(vlan)
            waiting = () if owner is None else self._hanging.by_network.get(owner, ())
            self._changes.tags.update(port.dpid for port in waiting)

    def _mark_external(self, dpid: int, names: Container[str] | None = None) -> None:
        """Mark the external ports of a switch, all or those of some names."""
        for port in self._external.get(dpid, {}).values():
            if names is None or port.name in names:
                self._changes.mark(dpid, [PortSubject(port.port_no)])

    def _index(self, dpid: int, old: Port | None, new: Port | None) -> None:
        if isinstance(old, TunnelPort):
            self.topology.remove_tunnel_port(old)
            self._changes.mark_tunnel(dpid, old.remote_dpid)
        if isinstance(new, TunnelPort):
            self.topology.add_tunnel_port(new)
        for port in (old, new):
            if isinstance(port, ExternalPort):
                self._changes.mark(dpid, [SwitchSubject()])
                self._external.setdefault(dpid, {}).pop(port.port_no, None)
                self.topology.mark_spread_on(dpid)
        if isinstance(new, ExternalPort):
            self._external[dpid][new.port_no] = new
        self.macs.replace(self._complete(old), self._complete(new))

    def _complete(self, port: Port | None) -> VMPort | None:
        """Return the port if it is a complete VM port."""
        if isinstance(port, VMPort) and is_complete(port, self._networks.uses_keys):
            return port
        return None
