"""The whole state: facts come in, in any order, and what follows from them is kept up to date.

Every method is atomic: it changes all that it names, or raises and changes nothing.  What a
change touches is recorded in ``changes`` until somebody takes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_l2iso.exceptions import Conflict, NotFound
from ryu_l2iso.state import restoring
from ryu_l2iso.state.announcements import is_announcement
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.confirmations import Confirmations
from ryu_l2iso.state.interfaces import NETWORK_ID, PORTS, Interfaces
from ryu_l2iso.state.locations import ACTIVATE
from ryu_l2iso.state.networks import Networks
from ryu_l2iso.state.port_table import PortTable
from ryu_l2iso.state.ports import (
    NW_ID_UNKNOWN,
    NW_ID_VPORT_GRE,
    RESERVED_NETWORK_IDS,
    AssignedPort,
    PortId,
    TunnelPort,
    VMPort,
)
from ryu_l2iso.state.records import Record
from ryu_l2iso.state.switches import OVSDB_ADDR, TUNNEL_ADDR, Switches
from ryu_l2iso.state.values import KeyRange


class State:
    """Facts and what follows from them, for the whole fleet.

    The parts may be read at will; what has consequences elsewhere is changed through the methods
    here and through `ports` and `macs`.
    """

    def __init__(self, key_range: KeyRange | None = None, migration: str = ACTIVATE) -> None:
        """Take ``key_range`` from the isolation in force; None where it uses no key.

        ``migration`` is `ACTIVATE` or `DUPLICATE` (`ryu_l2iso.state.locations`).
        """
        self.changes = Changes()
        self.networks = Networks(key_range, self.changes)
        self.interfaces = Interfaces(self.changes)
        self.switches = Switches(self.changes)
        self.ports = PortTable(
            self.networks, self.interfaces, self.switches, self.changes, migration
        )
        self.topology = self.ports.topology
        self.macs = self.ports.macs
        self.confirmations = Confirmations(self.networks, self.ports, self.changes)

    def apply(self, records: Iterable[Record]) -> None:
        """Take records, one of each id: as they were kept, or as somebody else has them now.

        Raises InvalidValue for a key that the isolation in force does not take.
        """
        restoring.apply(self, records)

    # -- networks and keys -------------------------------------------------------------------

    def add_network(self, network_id: str) -> None:
        """Add a network; raises Conflict when it exists."""
        self.networks.add(network_id)
        self.ports.network_changed(network_id)

    def ensure_network(self, network_id: str) -> None:
        """Add a network if it is missing; raises Conflict for the unknown network."""
        if self.networks.ensure(network_id):
            self.ports.network_changed(network_id)

    def remove_network(self, network_id: str) -> None:
        """Remove a network; its ports leave it, its key stays; NotFound, Conflict if reserved."""
        self.networks.remove(network_id)
        for port_id in self.ports.referring_to(network_id):
            if self._assigned(port_id).network_id == network_id:
                self._unassign(port_id)
        self.ports.network_changed(network_id)

    def add_key(self, network_id: str, key: int) -> None:
        """Give a network its key; Conflict when either is taken, InvalidValue out of range."""
        self.networks.add_key(network_id, key)
        self.key_changed(network_id)

    def ensure_key(self, network_id: str, key: int) -> None:
        """Give a network its key if it has none; refusals as `add_key` for another key."""
        if self.networks.ensure_key(network_id, key):
            self.key_changed(network_id)

    def remove_key(self, network_id: str) -> None:
        """Take a network's key away; raises NotFound."""
        self.networks.remove_key(network_id)
        self.key_changed(network_id)

    def key_changed(self, network_id: str) -> None:
        """Look again at all that hangs on a network's key."""
        self.changes.waits.add(network_id)
        self.ports.network_changed(network_id)

    # -- ports by their number ---------------------------------------------------------------

    def network_ports(self, network_id: str) -> list[PortId]:
        """Return the ports of a network, sorted; raises NotFound."""
        self.networks.check(network_id)
        found = self.ports.referring_to(network_id)
        if network_id in (NW_ID_UNKNOWN, NW_ID_VPORT_GRE):
            found |= self.ports.ids()
        return sorted(p for p in found if (self._network_of(p) or NW_ID_UNKNOWN) == network_id)

    def add_port(self, network_id: str, port_id: PortId) -> None:
        """Put a port into a network; NotFound, Conflict when it is in one."""
        self._check_takes_ports(network_id)
        current = self._network_of(port_id)
        if current is not None:
            raise Conflict(f"port_no: the port is in network {current}")
        self.ports.assign(port_id, self._assigned(port_id)._replace(network_id=network_id))

    def ensure_port(self, network_id: str, port_id: PortId) -> None:
        """Put a port into a network, out of the one that it is in; raises NotFound."""
        self._check_takes_ports(network_id)
        if self._network_of(port_id) != network_id:
            self.ports.assign(port_id, self._assigned(port_id)._replace(network_id=network_id))

    def remove_port(self, network_id: str, port_id: PortId) -> None:
        """Take a port out of a network.

        Raises NotFound when it is not in it, Conflict when it is there by its interface.
        """
        self._check_in_network(network_id, port_id)
        if self._assigned(port_id).network_id is None:
            raise Conflict("port_no: the port is in the network by what is plugged into it")
        self._unassign(port_id)

    def port_mac(self, network_id: str, port_id: PortId) -> str | None:
        """Return the MAC of a port of a network, or None; raises NotFound."""
        self._check_in_network(network_id, port_id)
        port = self.ports.get(port_id)
        plugged = port.mac if isinstance(port, VMPort) else None
        return self._assigned(port_id).mac or plugged

    def add_mac(self, network_id: str, port_id: PortId, mac: str) -> None:
        """Give a port of a network its MAC; NotFound, Conflict when it has one."""
        if self.port_mac(network_id, port_id) is not None:
            raise Conflict("mac: the port has one")
        self._assign_mac(port_id, mac)

    def ensure_mac(self, network_id: str, port_id: PortId, mac: str) -> None:
        """Give a port of a network its MAC; NotFound, Conflict when it has another."""
        current = self.port_mac(network_id, port_id)
        if current not in (None, mac):
            raise Conflict(f"mac: the port has {current}")
        if current is None:
            self._assign_mac(port_id, mac)

    # -- tunnel ports ------------------------------------------------------------------------

    def tunnel_ports(self, dpid: int) -> list[int]:
        """Return the numbers of the tunnel ports of a switch, sorted."""
        facts = self.ports.facts(dpid)
        numbers = {n for n in facts.assigned_numbers() if facts.assigned(n).remote_dpid is not None}
        numbers.update(p.port_no for p in self.ports.on(dpid) if isinstance(p, TunnelPort))
        return sorted(numbers)

    def tunnel_remote(self, port_id: PortId) -> int:
        """Return the dpid that a tunnel port leads to; raises NotFound."""
        remote = self._tunnel_remote(port_id)
        if remote is None:
            raise NotFound("port_no: there is no such tunnel port")
        return remote

    def add_tunnel(self, port_id: PortId, remote_dpid: int) -> None:
        """Say where a tunnel port leads; Conflict when it, or the switch, leads there already."""
        if self._tunnel_remote(port_id) is not None:
            raise Conflict("port_no: the port has a remote")
        for port_no in self.tunnel_ports(port_id.dpid):
            if self._tunnel_remote(PortId(port_id.dpid, port_no)) == remote_dpid:
                raise Conflict(f"remote_dpid: port {port_no} of the switch leads there")
        self.ports.assign(port_id, self._assigned(port_id)._replace(remote_dpid=remote_dpid))

    def ensure_tunnel(self, port_id: PortId, remote_dpid: int) -> None:
        """Say where a tunnel port leads; Conflict as `add_tunnel`, unless it is the same."""
        if self._tunnel_remote(port_id) != remote_dpid:
            self.add_tunnel(port_id, remote_dpid)

    def remove_tunnel(self, port_id: PortId) -> None:
        """Take back where a port leads; NotFound, Conflict for a port that we made ourselves."""
        self.tunnel_remote(port_id)
        if self._assigned(port_id).remote_dpid is None:
            raise Conflict("port_no: the port is made and removed as networks need it")
        self.ports.assign(port_id, self._assigned(port_id)._replace(remote_dpid=None))

    # -- switches ----------------------------------------------------------------------------

    def set_switch_value(self, dpid: int, name: str, value: object) -> None:
        """Register a value of a switch; InvalidValue, Conflict as `Switches.set`."""
        old, registered = self.switches.tunnel_addr(dpid), dpid in self.switches
        if self.switches.set(dpid, name, value):
            self._switch_changed(dpid, name, old)
        if not registered:
            self.ports.registration_changed(dpid)
            self.confirmations.discard_dismissed(dpid)

    def remove_switch_value(self, dpid: int, name: str) -> None:
        """Remove a value of a switch; raises NotFound."""
        self.switches.value(dpid, name)
        self.discard_switch_value(dpid, name)

    def put_switch_value(self, dpid: int, name: str, value: object) -> None:
        """Set a value of a registered switch, in its form and unlike any other's."""
        old = self.switches.tunnel_addr(dpid)
        self.switches.put_value(dpid, name, value)
        self._switch_changed(dpid, name, old)

    def discard_switch_value(self, dpid: int, name: str) -> None:
        """Remove a value of a switch, if there is one."""
        old = self.switches.tunnel_addr(dpid)
        self.switches.discard_value(dpid, name)
        self._switch_changed(dpid, name, old)

    def remove_switch(self, dpid: int) -> None:
        """Remove a switch's registration and what its OVSDB told; raises NotFound.

        Nobody waits for it any more, also if it was not registered, once that is on disk
        (`Confirmations.dismissal_recorded`); as long as it is connected it may confirm by itself
        what it is rid of.
        """
        if dpid not in self.switches and not self.confirmations.holds_anything(dpid):
            self.switches.names(dpid)
        self.ports.vlans.linger(self.ports.on(dpid))
        self.confirmations.dismiss(dpid)
        self.discard_switch(dpid)

    def discard_switch(self, dpid: int) -> None:
        """Remove a switch's registration, if there is one, and what its OVSDB told."""
        if dpid in self.switches:
            for name in self.switches.names(dpid):
                self.remove_switch_value(dpid, name)
            self.switches.remove(dpid)
        self.ports.registration_changed(dpid)
        self.ports.forget_interfaces(dpid)
        self.changes.switches.add(dpid)

    # -- interfaces --------------------------------------------------------------------------

    def interface_ids(self) -> list[str]:
        """Return the ids of all interfaces, registered or plugged, sorted."""
        return sorted({*self.interfaces.ids(), *self.ports.interface_ids()})

    def interface_names(self, iface_id: str) -> list[str]:
        """Return the names of the values of an interface; raises NotFound."""
        plugged = bool(self.ports.of_interface(iface_id))
        if not plugged and iface_id not in self.interfaces:
            raise NotFound(f"iface_id: there is no interface {iface_id}")
        return self.interfaces.names(iface_id) + ([PORTS] if plugged else [])

    def interface_value(self, iface_id: str, name: str) -> str:
        """Return a registered value of an interface; raises NotFound."""
        value = self.interfaces.value(iface_id, name)
        if value is None:
            raise NotFound(f"{name}: interface {iface_id} has none")
        return value

    def locations(self, iface_id: str) -> list[VMPort]:
        """Return the VM ports of an interface; raises NotFound when the interface is unknown."""
        self.interface_names(iface_id)
        return self.ports.of_interface(iface_id)

    def guest_shown(self, port_id: PortId) -> bool:
        """Record that a guest showed itself at a port; tell whether the port waited for it.

        It is active from then on; see `ryu_l2iso.state.locations`.
        """
        return self.ports.guest_shown(port_id)

    def guest_announced(self, port_id: PortId, frame: bytes) -> bool:
        """Take a frame of a port; tell whether it is from a guest that the port waited for.

        The port is active from then on.  Any bytes are taken.
        """
        port = self.ports.get(port_id)
        mac = port.mac if isinstance(port, VMPort) else None
        return mac is not None and is_announcement(frame, mac) and self.guest_shown(port_id)

    def add_interface_value(self, iface_id: str, name: str, value: str) -> None:
        """Register a value of an interface; raises Conflict when there is one."""
        _check_interface_value(name, value)
        self.interfaces.add(iface_id, name, value)
        self._interface_changed(iface_id, name)

    def ensure_interface_value(self, iface_id: str, name: str, value: str) -> None:
        """Register a value of an interface; raises Conflict when there is another."""
        _check_interface_value(name, value)
        if self.interfaces.ensure(iface_id, name, value):
            self._interface_changed(iface_id, name)

    def remove_interface(self, iface_id: str) -> None:
        """Forget what is registered of an interface; raises NotFound."""
        self.interfaces.remove(iface_id)
        self.ports.interface_changed(iface_id)

    # -- helpers -----------------------------------------------------------------------------

    def _assigned(self, port_id: PortId) -> AssignedPort:
        return self.ports.facts(port_id.dpid).assigned(port_id.port_no)

    def _unassign(self, port_id: PortId) -> None:
        self.ports.assign(port_id, self._assigned(port_id)._replace(network_id=None, mac=None))

    def _network_of(self, port_id: PortId) -> str | None:
        """Return the network that a port is in, by REST or by what is plugged into it."""
        assigned = self._assigned(port_id).network_id
        port = self.ports.get(port_id)
        if assigned is not None or port is None:
            return assigned
        return port.network_id if isinstance(port, VMPort) else NW_ID_VPORT_GRE

    def _check_takes_ports(self, network_id: str) -> None:
        self.networks.check(network_id)
        if network_id == NW_ID_UNKNOWN:
            raise Conflict(f"network_id: {network_id} has the ports that are in no network")

    def _check_in_network(self, network_id: str, port_id: PortId) -> None:
        self.networks.check(network_id)
        if self._network_of(port_id) != network_id:
            raise NotFound(f"port_no: the port is not in network {network_id}")

    def _assign_mac(self, port_id: PortId, mac: str) -> None:
        self.ports.assign(port_id, self._assigned(port_id)._replace(mac=mac))

    def _tunnel_remote(self, port_id: PortId) -> int | None:
        assigned = self._assigned(port_id).remote_dpid
        port = self.ports.get(port_id)
        return port.remote_dpid if assigned is None and isinstance(port, TunnelPort) else assigned

    def _switch_changed(self, dpid: int, name: str, old_tunnel_addr: str | None) -> None:
        if name == OVSDB_ADDR:
            self.changes.switches.add(dpid)
        if name != TUNNEL_ADDR:
            return
        for address in (old_tunnel_addr, self.switches.tunnel_addr(dpid)):
            if address is not None:
                self.ports.tunnel_addr_changed(address)
        for remote in self.topology.neighbours(dpid):
            self.changes.mark_tunnel(dpid, remote)
            self.changes.mark_tunnel(remote, dpid)

    def _interface_changed(self, iface_id: str, name: str) -> None:
        if name == NETWORK_ID:
            self.ports.interface_changed(iface_id)


def _check_interface_value(name: str, value: str) -> None:
    if name == NETWORK_ID and value in RESERVED_NETWORK_IDS:
        raise Conflict(f"network_id: {value} is reserved and takes no interface")
