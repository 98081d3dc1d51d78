"""What a port is: the facts that are known of it, and the kind that follows from them."""

from __future__ import annotations

from typing import NamedTuple, Union

NW_ID_EXTERNAL = "__NW_ID_EXTERNAL__"
NW_ID_RESERVED = "__NW_ID_RESERVED__"
NW_ID_VPORT_GRE = "__NW_ID_VPORT_GRE__"
NW_ID_UNKNOWN = "__NW_ID_UNKNOWN__"
RESERVED_NETWORK_IDS = (NW_ID_EXTERNAL, NW_ID_RESERVED, NW_ID_VPORT_GRE, NW_ID_UNKNOWN)


class PortId(NamedTuple):
    """An OpenFlow port of the fleet."""

    dpid: int
    port_no: int


class OFPort(NamedTuple):
    """What OpenFlow says of a port."""

    port_no: int
    name: str
    up: bool


class InterfaceFact(NamedTuple):
    """What the OVSDB Interface row says of a port.

    ``tunnel_remote`` is the remote address of a tunnel interface that we made, else None.
    ``mac`` is ``attached-mac`` when that is the MAC of one station, else None.
    ``tag`` is the VLAN that the port is in when it is an access port of one, else None.
    """

    name: str
    ofport: int | None = None
    iface_id: str | None = None
    mac: str | None = None
    tunnel_remote: str | None = None
    tag: int | None = None


class AssignedPort(NamedTuple):
    """What REST says of a port, by its number.

    OVS gives a number to another port when the first is gone; ``name`` is the name that the port
    had when it was first seen, and nothing here applies to a port of another name.
    """

    network_id: str | None = None
    mac: str | None = None
    remote_dpid: int | None = None
    name: str | None = None


class VMPort(NamedTuple):
    """A port with a VM behind it; what is not known yet is None.

    ``tag`` is the VLAN that the switch has confirmed to have put the port in; ``vlans`` are all
    that it may be in, while a change is not confirmed.

    ``since`` says which of two ports came first: it is higher for the later one, and 0 for ports
    that were there when their switches connected.  ``shown`` says at which of two ports a guest
    showed itself last: it is higher there, and 0 where no guest was looked for.  Neither makes a
    port another one: they are not compared.
    """

    dpid: int
    port_no: int
    name: str
    iface_id: str | None
    network_id: str | None
    key: int | None
    mac: str | None
    up: bool
    tag: int | None = None
    vlans: frozenset[int] = frozenset()
    since: int = 0
    shown: int = 0

    @property
    def id(self) -> PortId:
        """Return where the port is."""
        return PortId(self.dpid, self.port_no)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VMPort) and self[:_COMPARED] == other[:_COMPARED]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:_COMPARED])


_COMPARED = VMPort._fields.index("since")


class TunnelPort(NamedTuple):
    """A port through which one remote switch is reached."""

    dpid: int
    port_no: int
    name: str
    remote_dpid: int


class ExternalPort(NamedTuple):
    """An uplink of the switch to the physical network."""

    dpid: int
    port_no: int
    name: str

    @property
    def id(self) -> PortId:
        """Return where the port is."""
        return PortId(self.dpid, self.port_no)


Port = Union[VMPort, TunnelPort, ExternalPort]


def is_complete(port: VMPort, key_required: bool) -> bool:
    """Tell whether a VM port gets flows: network, key, MAC known and the port up."""
    return (
        port.network_id is not None
        and port.mac is not None
        and port.up
        and (port.key is not None or not key_required)
    )
