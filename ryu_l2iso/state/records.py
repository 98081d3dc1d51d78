"""What of the state outlives the controller: every fact, as rows of a few tables.

A *record* is one row.  The state notes every record that it changes (`Changes.record`), and takes
records back (`State.apply`): when it is loaded, when a change could not be kept, and when somebody
else changed what is kept.  `ryu_l2iso.store` keeps them.

How to add a table: declare it below, put it into ``TABLES``, note its records where the state
changes, take them back in `ryu_l2iso.state.restoring`, and count up the version of the file and
say that it is the first with that table (`ryu_l2iso.store.sqlite`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Union


class Kind(Enum):
    """What stands in a column."""

    TEXT = "text"
    INTEGER = "integer"
    """Of at most 63 bits."""
    DPID = "dpid"
    NUMBER = "number"
    """A key, of any size, or None also where the column is not optional."""


class Column(NamedTuple):
    """A column; one that is ``optional`` may be None."""

    name: str
    kind: Kind = Kind.TEXT
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """A table: one record for each different ``key``."""

    name: str
    key: tuple[Column, ...]
    value: tuple[Column, ...] = ()


_DPID = Column("dpid", Kind.DPID)
_PORT_NO = Column("port_no", Kind.INTEGER)
_NETWORK_ID = Column("network_id")
_MAC = Column("mac")
_KEY = Column("key", Kind.NUMBER)

NETWORKS = Table("networks", (_NETWORK_ID,))
"""Networks that the plugin registered; the reserved ones are no records."""

KEYS = Table("keys", (_NETWORK_ID,), (_KEY,))

INTERFACE_VALUES = Table(
    "interface_values", (Column("iface_id"), Column("name")), (Column("value"),)
)

SWITCHES = Table("switches", (_DPID,))
"""Registered switches.  Of others only those ports are kept that REST says something of."""

SWITCH_VALUES = Table("switch_values", (_DPID, Column("name")), (Column("json"),))

ASSIGNED_PORTS = Table(
    "assigned_ports",
    (_DPID, _PORT_NO),
    (
        Column("network_id", optional=True),
        Column("mac", optional=True),
        Column("remote_dpid", Kind.DPID, optional=True),
        Column("name", optional=True),
    ),
)
"""What REST says of a port (`AssignedPort`)."""

INTERFACES = Table(
    "interfaces",
    (_DPID, Column("name")),
    (
        Column("ofport", Kind.INTEGER, optional=True),
        Column("iface_id", optional=True),
        Column("mac", optional=True),
        Column("tunnel_remote", optional=True),
        Column("tag", Kind.INTEGER, optional=True),
    ),
)
"""What OVSDB said last of a port (`InterfaceFact`)."""

RETAGGED = Table("retagged", (_DPID, Column("name")), (Column("vlans"),))
"""Ports whose tag is being set: the VLANs that they may be in, separated by spaces."""

OF_PORTS = Table(
    "of_ports",
    (_DPID, _PORT_NO),
    (
        Column("name"),
        Column("up", Kind.INTEGER),
        Column("since", Kind.INTEGER),
        Column("shown", Kind.INTEGER),
    ),
)
"""What OpenFlow said last of a port (`OFPort`), since when, and when its guest showed itself."""

HELD = Table("held", (_DPID, _NETWORK_ID, _KEY))
"""Switches, registered or not, that may hold flows of a network with a key, or with none."""

DISMISSED = Table("dismissed", (_DPID,))
"""Switches whose registration was deleted and that may hold something, as long as they may."""

LINGERING = Table(
    "lingering", (_DPID, _PORT_NO, Column("vlan", Kind.INTEGER)), (Column("network_id"),)
)
"""VLANs that ports of such a switch, or of no VM any more, were in: their network, "" for none."""

MAC_NETWORKS = Table("mac_networks", (_MAC,), (_NETWORK_ID,))
"""The network that a MAC is in while others want it, or left and may still be held in."""

LEARNED_MACS = Table("learned_macs", (_DPID, _PORT_NO, _MAC), (Column("position", Kind.INTEGER),))
"""MACs that a port has learned; the oldest has the lowest position."""

REFUSED_MACS = Table("refused_macs", (_DPID, _PORT_NO, _MAC))
"""MACs that a port may not use: it was told so once."""

TABLES = (
    NETWORKS,
    KEYS,
    INTERFACE_VALUES,
    SWITCHES,
    SWITCH_VALUES,
    ASSIGNED_PORTS,
    HELD,
    DISMISSED,
    LINGERING,
    MAC_NETWORKS,
    REFUSED_MACS,
    RETAGGED,
    INTERFACES,
    OF_PORTS,
    LEARNED_MACS,
)
"""All tables, in the order in which records are applied: what others hang on comes first."""

Scalar = Union[str, int, None]
Key = tuple[Scalar, ...]
Value = tuple[Scalar, ...]


class RecordId(NamedTuple):
    """What names a record."""

    table: Table
    key: Key


class Record(NamedTuple):
    """One row: the values of the table's columns; ``value`` is None for one that is gone."""

    table: Table
    key: Key
    value: Value | None

    @property
    def id(self) -> RecordId:
        """Return what names the record."""
        return RecordId(self.table, self.key)


class RecordChange(NamedTuple):
    """What a record was and is; None where there was or is none."""

    old: Value | None
    new: Value | None


RecordChanges = dict[RecordId, RecordChange]


def merge(changes: RecordChanges, later: RecordChanges) -> None:
    """Add changes that came later; what is again as it was at first drops out."""
    for record_id, change in later.items():
        if record_id in changes:
            change = RecordChange(changes[record_id].old, change.new)
        if change.old == change.new:
            changes.pop(record_id, None)
        else:
            changes[record_id] = change


def applied(changes: RecordChanges) -> list[Record]:
    """Return the records as the changes leave them."""
    return [Record(*record_id, change.new) for record_id, change in changes.items()]
