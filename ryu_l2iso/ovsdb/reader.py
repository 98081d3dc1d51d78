"""From the rows of a database to what they say of a bridge, reading again only what changed."""

from __future__ import annotations

from ryu_l2iso import turns
from ryu_l2iso.ovsdb.rows import (
    MARK,
    UUID,
    BridgeRow,
    ControllerRow,
    InterfaceRow,
    Row,
    Tables,
    str_to_dpid,
)
from ryu_l2iso.state.values import MAX_PORT_NO

PORTS_IN_A_TURN = 100

Interfaces = dict[str, InterfaceRow]
"""Interface name → row."""


def _interface_row(port: Row, interface: Row) -> InterfaceRow:
    ofport = interface["ofport"]
    return InterfaceRow(
        name=interface["name"],
        ofport=ofport if ofport is not None and 0 <= ofport <= MAX_PORT_NO else None,
        type=interface["type"],
        options=interface["options"],
        external_ids=interface["external_ids"],
        tag=port["tag"],
        vlan_mode=port["vlan_mode"],
        trunks=tuple(sorted(port["trunks"])),
        port_external_ids=port["external_ids"],
        error=interface["error"] or "",
    )


def _bridge_row(bridge: Row, tables: Tables) -> BridgeRow:
    rows = tables["Controller"]
    controllers = (
        ControllerRow(
            rows[uuid]["target"],
            MARK in rows[uuid]["external_ids"],
            rows[uuid]["connection_mode"],
            rows[uuid]["max_backoff"],
        )
        for uuid in bridge["controller"]
        if uuid in rows
    )
    return BridgeRow(
        name=bridge["name"],
        dpid=_dpid(bridge),
        fail_mode=bridge["fail_mode"],
        protocols=tuple(sorted(bridge["protocols"])),
        in_band_disabled=bridge["other_config"].get("disable-in-band") == "true",
        controllers=tuple(sorted(controllers, key=lambda c: c.target)),
    )


def _dpid(bridge: Row) -> int | None:
    return str_to_dpid(bridge["datapath_id"] or "")


def bridge_dpids(tables: Tables) -> frozenset[int | None]:
    """Return the dpids of all bridges; None is among them while one has not been written."""
    return frozenset(map(_dpid, tables["Bridge"].values()))


class BridgeReader:
    """Reads one bridge, known by its dpid (an integer) or by its name (a string)."""

    def __init__(self, bridge: int | str) -> None:
        self._bridge = bridge
        self._name = bridge if isinstance(bridge, str) else None
        self._ports: dict[UUID, tuple[InterfaceRow, ...]] = {}
        self._port_of: dict[UUID, UUID] = {}

    @property
    def dpid(self) -> int | None:
        """The bridge's dpid, if that is what it is known by."""
        return self._bridge if isinstance(self._bridge, int) else None

    def begin_anew(self) -> None:
        """Note that all rows come anew."""
        self._ports.clear()
        self._port_of.clear()

    def row_changed(self, table: str, uuid: UUID) -> None:
        """Note that a row came, changed or went, so that its port is read again."""
        if table == "Port":
            self._ports.pop(uuid, None)
        elif table == "Interface" and uuid in self._port_of:
            self._ports.pop(self._port_of.pop(uuid), None)

    def find(self, tables: Tables) -> Row | None:
        """Return the bridge's row in the replica; None when it is not there.

        The datapath_id of every bridge is empty after a restart of ovsdb-server, until
        ovs-vswitchd has written it again.  The bridge that had the dpid before counts until then.
        """
        without_dpid = None
        for row in tables["Bridge"].values():
            name, dpid = row["name"], _dpid(row)
            if self._bridge in (name, dpid):
                self._name = name
                return row
            if dpid is None and name == self._name:
                without_dpid = row
        return without_dpid

    def read(self, tables: Tables) -> tuple[BridgeRow | None, Interfaces]:
        """Return the bridge, None when it is not there, and its interfaces."""
        bridge = self.find(tables)
        if bridge is None:
            return None, {}
        ports, unread = {}, 0
        for uuid in bridge["ports"]:
            known = self._ports.get(uuid)
            if known is None:
                unread += 1
                if unread % PORTS_IN_A_TURN == 0:
                    turns.FACTS.take()
                known = self._rows_of(uuid, tables)
            ports[uuid] = known
        self._ports = ports
        return _bridge_row(bridge, tables), {r.name: r for rows in ports.values() for r in rows}

    def _rows_of(self, uuid: UUID, tables: Tables) -> tuple[InterfaceRow, ...]:
        port, interfaces = tables["Port"].get(uuid), tables["Interface"]
        if port is None:
            return ()
        own = [one for one in port["interfaces"] if one in interfaces]
        self._port_of.update(dict.fromkeys(own, uuid))
        return tuple(_interface_row(port, interfaces[one]) for one in own)


def difference(old: Interfaces, new: Interfaces) -> dict[str, InterfaceRow | None]:
    """Return what makes ``new`` of ``old``: name → the new row, None for one that is gone."""
    changed: dict[str, InterfaceRow | None] = {name: None for name in old if name not in new}
    for name, row in new.items():
        before = old.get(name)
        if before is not row and before != row:
            changed[name] = row
    return changed
