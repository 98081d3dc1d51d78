"""The facts known of the ports of one switch, from OpenFlow, OVSDB and REST, side by side."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from collections.abc import Set as AbstractSet

from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.ports import AssignedPort, InterfaceFact, OFPort
from ryu_l2iso.state.records import (
    ASSIGNED_PORTS,
    INTERFACES,
    OF_PORTS,
    RETAGGED,
    RecordId,
    Value,
)


class PortFacts:
    """What each source says of the ports of one switch, and which facts are of one port.

    OVSDB and OpenFlow tell of the same port at different times.  A row and a port are joined only
    when name *and* number agree, so that a number reused under another name never joins the VM
    that had it before.

    What REST says is always recorded; what switches say is while the switch is registered, or of
    ports that REST says something of: whoever connects by OpenFlow does not make the records grow.
    """

    def __init__(self, dpid: int, changes: Changes, switches: Container[int]) -> None:
        """Take the ``switches`` that are registered; `note_all` is called when this one is."""
        self._dpid = dpid
        self._changes = changes
        self._switches = switches
        # The records as they were noted last
        self._noted: dict[RecordId, Value] = {}
        self.of_ports: dict[int, OFPort] = {}
        self.interfaces: dict[str, InterfaceFact] = {}
        self._assigned: dict[int, AssignedPort] = {}
        self._since: dict[int, int] = {}
        self._shown: dict[int, int] = {}
        # name of a port whose tag is being changed → the VLANs that it may be in meanwhile
        self._retagged: dict[str, frozenset[int]] = {}
        # Numbers that ports came by after others were known; and whether any were
        self._came: set[int] = set()
        self._is_known = False

    def old_numbers(self) -> AbstractSet[int]:
        """Return the numbers of the ports that have had them since the switch is known.

        OVS gives the number of a port that is gone to the next one: what flows from before say of
        any other number may be about a stranger.
        """
        return self.of_ports.keys() - self._came

    def set_of_port(self, port: OFPort, since: int) -> set[int]:
        """Record what OpenFlow says of a port; return the numbers of the ports to look at.

        One that is told of as it is known, as most are after a restart, is not looked at.
        ``since`` is kept if the port is a new one: higher for a later port.
        """
        known = self.of_ports.get(port.port_no)
        is_new = known is None or known.name != port.name
        if is_new and self._is_known:
            self._came.add(port.port_no)
        shown = 0 if is_new else self.shown(port.port_no)
        return self.put_of_port(port, since if is_new else self.since(port.port_no), shown)

    def put_of_port(self, port: OFPort, since: int, shown: int) -> set[int]:
        """Record a port and what is known of its past; return the numbers to look at."""
        before, now = self._past(port.port_no), (port, since, shown)
        self._since[port.port_no] = since
        self._shown[port.port_no] = shown
        self.of_ports[port.port_no] = port
        self._mark_assigned(port.port_no)
        self._is_known = True
        assigned = self._assigned.get(port.port_no)
        if assigned is not None and assigned.name is None:
            self.put_assigned(port.port_no, assigned._replace(name=port.name))
        self._note_of_port(port.port_no)
        # What REST says goes by the name that the port has by now.
        return set() if before == now and assigned is None else {port.port_no}

    def _past(self, port_no: int) -> tuple[OFPort | None, int | None, int | None]:
        """Return a port as it is known, when it came, and when a guest showed itself there."""
        return self.of_ports.get(port_no), self._since.get(port_no), self._shown.get(port_no)

    def remove_of_port(self, port_no: int) -> set[int]:
        """Record that a port is gone; return the numbers of the ports to look at."""
        self._since.pop(port_no, None)
        self._shown.pop(port_no, None)
        known = self.of_ports.pop(port_no, None)
        self._mark_assigned(port_no)
        self._note_of_port(port_no)
        return {port_no} if known else set()

    def replace_of_ports(self, ports: Iterable[OFPort], since: int) -> set[int]:
        """Record all ports of the switch, ``since`` for new ones; return the ports to look at."""
        touched: set[int] = set()
        new = {port.port_no: port for port in ports}
        is_first = not self._is_known
        for port_no in set(self.of_ports) - set(new):
            touched |= self.remove_of_port(port_no)
        for port in new.values():
            touched |= self.set_of_port(port, since)
        if is_first:
            self._came.clear()
        return touched

    def update_interfaces(self, rows: Mapping[str, InterfaceFact | None]) -> set[int]:
        """Record rows by name (None: gone); return the numbers of the ports to look at."""
        touched: set[int] = set()
        for name, row in rows.items():
            before = self.interfaces.pop(name, None)
            for known in (before, row) if before != row else ():
                if known is not None and known.ofport is not None:
                    touched.add(known.ofport)
            if row is not None:
                self.interfaces[name] = row
            else:
                self.put_retagged(name, None)
            self._note_interface(name)
        return touched

    def retag(self, name: str, tag: int) -> set[int]:
        """Record that a port may get this tag from now on; return the ports to look at."""
        row = self.interfaces.get(name)
        if row is None:
            return set()
        return self.put_retagged(name, self.vlans(row) | {tag})

    def tag_is_set(self, name: str) -> set[int]:
        """Record that the row of a port tells its tag again; return the ports to look at."""
        return self.put_retagged(name, None) if name in self._retagged else set()

    def put_retagged(self, name: str, vlans: frozenset[int] | None) -> set[int]:
        """Record in which VLANs a port may be while its tag is set; None while it is not."""
        if vlans is None:
            self._retagged.pop(name, None)
        else:
            self._retagged[name] = vlans
        self._note_retagged(name)
        row = self.interfaces.get(name)
        return {row.ofport} if row is not None and row.ofport is not None else set()

    def is_retagged(self, name: str) -> bool:
        """Tell whether a port's tag is being changed: what its row says may not be so."""
        return name in self._retagged

    def vlans(self, row: InterfaceFact) -> frozenset[int]:
        """Return the VLANs that a port may be in."""
        own = frozenset() if row.tag is None else frozenset((row.tag,))
        return own | self._retagged.get(row.name, frozenset())

    def is_in(self, port_no: int, vlan: int) -> bool:
        """Tell whether the port that has this number now may be in a VLAN."""
        row = self.row(port_no)
        return row is not None and vlan in self.vlans(row)

    def since(self, port_no: int) -> int:
        """Return when a port came, as `set_of_port` was told."""
        return self._since[port_no]

    def guest_shown(self, port_no: int, when: int) -> None:
        """Record that a guest showed itself at a port that is there; higher ``when`` is later."""
        self._shown[port_no] = when
        self._note_of_port(port_no)

    def shown(self, port_no: int) -> int:
        """Return when a guest showed itself at a port, 0 if never."""
        return self._shown.get(port_no, 0)

    def interface(self, port: OFPort) -> InterfaceFact | None:
        """Return the row of a port, or None as long as the two do not agree."""
        row = self.interfaces.get(port.name)
        return row if row is not None and row.ofport == port.port_no else None

    def row(self, port_no: int) -> InterfaceFact | None:
        """Return the row of the port that has this number now, or None as `interface`."""
        port = self.of_ports.get(port_no)
        return None if port is None else self.interface(port)

    def assigned(self, port_no: int) -> AssignedPort:
        """Return what REST says of the port that has this number now."""
        assigned = self._assigned.get(port_no, AssignedPort())
        port = self.of_ports.get(port_no)
        if port is not None and assigned.name not in (None, port.name):
            return AssignedPort()
        return assigned

    def has(self, port_no: int) -> bool:
        """Tell whether OpenFlow or REST says anything of a port."""
        return port_no in self.of_ports or port_no in self._assigned

    def assigned_numbers(self) -> Iterable[int]:
        """Return the numbers of the ports of which REST says something."""
        return list(self._assigned)

    def assign(self, port_no: int, assigned: AssignedPort) -> None:
        """Record what REST says of a port; with nothing left to say the record goes."""
        port = self.of_ports.get(port_no)
        if assigned == AssignedPort(name=assigned.name):
            self.put_assigned(port_no, None)
        else:
            self.put_assigned(port_no, assigned._replace(name=port.name if port else None))

    def put_assigned(self, port_no: int, assigned: AssignedPort | None) -> None:
        """Record just this of a port; None when REST says nothing of it."""
        self._mark_assigned(port_no)
        if assigned is None:
            self._assigned.pop(port_no, None)
        else:
            self._assigned[port_no] = assigned
        self._mark_assigned(port_no)
        value = None if assigned is None else tuple(assigned)
        self._note(RecordId(ASSIGNED_PORTS, (self._dpid, port_no)), value)
        self._note_of_port(port_no)

    def _mark_assigned(self, port_no: int) -> None:
        """Mark the tunnel that REST says a port is: none is made beside that port."""
        if port_no in self._assigned:
            self._changes.mark_tunnel(self._dpid, self._assigned[port_no].remote_dpid)

    # -- records -----------------------------------------------------------------------------

    def note_all(self) -> None:
        """Note all that the switch says: it has been registered, or is not any more."""
        for port_no in self.of_ports:
            self._note_of_port(port_no)
        for name in self.interfaces:
            self._note_interface(name)
        for name in self._retagged:
            self._note_retagged(name)

    def _note_of_port(self, port_no: int) -> None:
        port, value = self.of_ports.get(port_no), None
        if port is not None and (self._dpid in self._switches or port_no in self._assigned):
            value = (port.name, int(port.up), self.since(port_no), self.shown(port_no))
        self._note(RecordId(OF_PORTS, (self._dpid, port_no)), value)

    def _note_interface(self, name: str) -> None:
        row, value = self.interfaces.get(name), None
        if row is not None and self._dpid in self._switches:
            value = (row.ofport, row.iface_id, row.mac, row.tunnel_remote, row.tag)
        self._note(RecordId(INTERFACES, (self._dpid, name)), value)

    def _note_retagged(self, name: str) -> None:
        vlans, value = self._retagged.get(name), None
        if vlans is not None and self._dpid in self._switches:
            value = (" ".join(map(str, sorted(vlans))),)
        self._note(RecordId(RETAGGED, (self._dpid, name)), value)

    def _note(self, record_id: RecordId, value: Value | None) -> None:
        """Note what a record is now; None where there is none, or none is kept."""
        old = self._noted.pop(record_id, None)
        if value is not None:
            self._noted[record_id] = value
        self._changes.record(*record_id, value, old)
