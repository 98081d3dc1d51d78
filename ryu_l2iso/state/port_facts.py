"""The facts known of the ports of one switch, from OpenFlow, OVSDB and REST, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ryu_l2iso.state.ports import AssignedPort, InterfaceFact, OFPort


class PortFacts:
    """What each source says of the ports of one switch, and which facts are of one port.

    OVSDB and OpenFlow tell of the same port at different times.  A row and a port are joined only
    when name *and* number agree, so that a number reused under another name never joins the VM
    that had it before.
    """

    def __init__(self) -> None:
        self.of_ports: dict[int, OFPort] = {}
        self.interfaces: dict[str, InterfaceFact] = {}
        self._assigned: dict[int, AssignedPort] = {}
        self._since: dict[int, int] = {}
        self._shown: dict[int, int] = {}
        # name of a port whose tag is being changed → the VLANs that it may be in meanwhile
        self._retagged: dict[str, frozenset[int]] = {}

    def set_of_port(self, port: OFPort, since: int = 0) -> set[int]:
        """Record what OpenFlow says of a port; return the numbers of the ports to look at.

        ``since`` is kept if the port is a new one: higher for a later port, 0 for one that was
        there when the switch connected.
        """
        known = self.of_ports.get(port.port_no)
        if known is None or known.name != port.name:
            self._since[port.port_no] = since
            self._shown.pop(port.port_no, None)
        self.of_ports[port.port_no] = port
        assigned = self._assigned.get(port.port_no)
        if assigned is not None and assigned.name is None:
            self._assigned[port.port_no] = replace(assigned, name=port.name)
        return {port.port_no}

    def remove_of_port(self, port_no: int) -> set[int]:
        """Record that a port is gone; return the numbers of the ports to look at."""
        self._since.pop(port_no, None)
        self._shown.pop(port_no, None)
        return {port_no} if self.of_ports.pop(port_no, None) else set()

    def replace_of_ports(self, ports: Iterable[OFPort]) -> set[int]:
        """Record all ports of the switch; return the numbers of the ports to look at."""
        touched: set[int] = set()
        new = {port.port_no: port for port in ports}
        for port_no in set(self.of_ports) - set(new):
            touched |= self.remove_of_port(port_no)
        for port in new.values():
            touched |= self.set_of_port(port)
        return touched

    def update_interfaces(self, rows: Mapping[str, InterfaceFact | None]) -> set[int]:
        """Record rows by name (None: gone); return the numbers of the ports to look at."""
        touched: set[int] = set()
        for name, row in rows.items():
            for known in (self.interfaces.pop(name, None), row):
                if known is not None and known.ofport is not None:
                    touched.add(known.ofport)
            if row is not None:
                self.interfaces[name] = row
            else:
                self._retagged.pop(name, None)
        return touched

    def retag(self, name: str, tag: int) -> set[int]:
        """Record that a port may get this tag from now on; return the ports to look at."""
        row = self.interfaces.get(name)
        if row is None:
            return set()
        self._retagged[name] = self.vlans(row) | {tag}
        return set() if row.ofport is None else {row.ofport}

    def tag_is_set(self, name: str) -> set[int]:
        """Record that the row of a port tells its tag again; return the ports to look at."""
        row = self.interfaces.get(name)
        changing = self._retagged.pop(name, None) is not None
        return {row.ofport} if changing and row and row.ofport is not None else set()

    def is_retagged(self, name: str) -> bool:
        """Tell whether a port's tag is being changed: what its row says may not be so."""
        return name in self._retagged

    def vlans(self, row: InterfaceFact) -> frozenset[int]:
        """Return the VLANs that a port may be in."""
        own = frozenset() if row.tag is None else frozenset((row.tag,))
        return own | self._retagged.get(row.name, frozenset())

    def since(self, port_no: int) -> int:
        """Return when a port came, as `set_of_port` was told."""
        return self._since[port_no]

    def guest_shown(self, port_no: int, when: int) -> None:
        """Record that a guest showed itself at a port that is there; higher ``when`` is later."""
        self._shown[port_no] = when

    def shown(self, port_no: int) -> int:
        """Return when a guest showed itself at a port, 0 if never."""
        return self._shown.get(port_no, 0)

    def interface(self, port: OFPort) -> InterfaceFact | None:
        """Return the row of a port, or None as long as the two do not agree."""
        row = self.interfaces.get(port.name)
        return row if row is not None and row.ofport == port.port_no else None

    def assigned(self, port_no: int) -> AssignedPort:
        """Return what REST says of the port that has this number now."""
        assigned = self._assigned.get(port_no, AssignedPort())
        port = self.of_ports.get(port_no)
        if port is not None and assigned.name not in (None, port.name):
            return AssignedPort()
        return assigned

    def assigned_numbers(self) -> Iterable[int]:
        """Return the numbers of the ports of which REST says something."""
        return list(self._assigned)

    def assign(self, port_no: int, assigned: AssignedPort) -> None:
        """Record what REST says of a port; with nothing left to say the record goes."""
        port = self.of_ports.get(port_no)
        if assigned == AssignedPort(name=assigned.name):
            self._assigned.pop(port_no, None)
            return
        self._assigned[port_no] = replace(assigned, name=port.name if port else None)
