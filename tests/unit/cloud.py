"""A cloud as facts: switches, VMs and networks told to a `State`, without any I/O."""

from __future__ import annotations

from ryu_l2iso.pipelines.tunnels import desired_tunnels
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.locations import ACTIVATE
from ryu_l2iso.state.ports import InterfaceFact, OFPort, VMPort
from ryu_l2iso.state.state import State
from ryu_l2iso.state.switches import TUNNEL_ADDR
from ryu_l2iso.state.values import KeyRange

GRE_KEYS = KeyRange("the GRE key", 1, 2**24 - 1)
FIRST_TUNNEL_PORT_NO = 1000


class Cloud:
    """A state, and short words for what happens in a cloud."""

    def __init__(self, migration: str = ACTIVATE, keys: KeyRange = GRE_KEYS) -> None:
        self.state = State(keys, migration)
        self._next_tunnel_port_no: dict[int, int] = {}

    def network(self, network_id: str, key: int) -> None:
        """Register a network and its key."""
        self.state.add_network(network_id)
        self.state.add_key(network_id, key)

    def switch(self, dpid: int) -> None:
        """Register a switch with a tunnel address made from its dpid."""
        self.state.set_switch_value(dpid, TUNNEL_ADDR, f"10.0.0.{dpid}")

    def plug(self, dpid: int, port_no: int, network_id: str, mac: str, iface_id: str = "") -> None:
        """Plug a VM, as OpenFlow, OVSDB and the plugin tell of it."""
        iface_id = iface_id or f"iface-{dpid}-{port_no}"
        name = f"tap{port_no}"
        self.state.ports.set_of_port(dpid, OFPort(port_no, name, up=True))
        row = InterfaceFact(name, port_no, iface_id, mac)
        self.state.ports.update_interfaces(dpid, {name: row})
        self.state.ensure_interface_value(iface_id, NETWORK_ID, network_id)

    def tag(self, dpid: int, port_no: int, tag: int | None) -> None:
        """Have OVSDB say which tag a plugged port has."""
        row = self.state.ports.facts(dpid).interfaces[f"tap{port_no}"]
        self.state.ports.update_interfaces(dpid, {row.name: row._replace(tag=tag)})

    def unplug(self, dpid: int, port_no: int) -> None:
        """Unplug what is plugged at a port."""
        self.state.ports.remove_of_port(dpid, port_no)
        self.state.ports.update_interfaces(dpid, {f"tap{port_no}": None})

    def update_tunnels(self) -> None:
        """Make and remove tunnel ports on all switches until each has just those it should."""
        for dpid in self.state.switches.ids():
            wanted = desired_tunnels(self.state, dpid, "gre")
            facts = self.state.ports.facts(dpid)
            present = {n: row for n, row in facts.interfaces.items() if row.tunnel_remote}
            for name in set(present) - set(wanted):
                port_no = present[name].ofport
                assert port_no is not None
                self.state.ports.remove_of_port(dpid, port_no)
                self.state.ports.update_interfaces(dpid, {name: None})
            for name in set(wanted) - set(present):
                port_no = self._next_tunnel_port_no.setdefault(dpid, FIRST_TUNNEL_PORT_NO)
                self._next_tunnel_port_no[dpid] += 1
                self.state.ports.set_of_port(dpid, OFPort(port_no, name, up=True))
                row = InterfaceFact(name, port_no, tunnel_remote=wanted[name].remote_ip)
                self.state.ports.update_interfaces(dpid, {name: row})

    def vm_ports(self) -> list[VMPort]:
        """Return all VM ports of the fleet."""
        found = (p for dpid in self.state.ports.dpids() for p in self.state.ports.on(dpid))
        return [port for port in found if isinstance(port, VMPort)]
