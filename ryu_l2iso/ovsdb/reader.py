"""From the replica of a database to values, reading again only what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import eventlet

from ryu_l2iso.ovsdb.rows import MARK, BridgeRow, ControllerRow, InterfaceRow, str_to_dpid
from ryu_l2iso.state.values import MAX_PORT_NO

PORTS_IN_A_TURN = 100

Interfaces = dict[str, InterfaceRow]
"""Interface name → row."""


def _first(values: Any) -> Any:
    return values[0] if values else None


def _frozen(values: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(values))


def _interface_row(port: Any, interface: Any) -> InterfaceRow:
    ofport = _first(interface.ofport)
    return InterfaceRow(
        name=interface.name,
        ofport=ofport if ofport is not None and 0 <= ofport <= MAX_PORT_NO else None,
        type=interface.type,
        options=_frozen(interface.options),
        external_ids=_frozen(interface.external_ids),
        tag=_first(port.tag),
        vlan_mode=_first(port.vlan_mode),
        trunks=tuple(sorted(port.trunks)),
        port_external_ids=_frozen(port.external_ids),
        error=_first(interface.error) or "",
    )


def _bridge_row(bridge: Any) -> BridgeRow:
    controllers = (
        ControllerRow(
            c.target,
            MARK in c.external_ids,
            _first(c.connection_mode),
            _first(c.max_backoff),
        )
        for c in bridge.controller
    )
    return BridgeRow(
        name=bridge.name,
        dpid=str_to_dpid(_first(bridge.datapath_id) or ""),
        fail_mode=_first(bridge.fail_mode),
        protocols=tuple(sorted(bridge.protocols)),
        in_band_disabled=bridge.other_config.get("disable-in-band") == "true",
        controllers=tuple(sorted(controllers, key=lambda c: c.target)),
    )


def _in_turns(ports: Iterable[Any]) -> Iterator[Any]:
    """Yield ports, and let others run now and then: a node may have thousands."""
    for count, port in enumerate(ports, 1):
        if count % PORTS_IN_A_TURN == 0:
            eventlet.sleep(0)
        yield port


def bridge_dpids(tables: Mapping[str, Any]) -> frozenset[int | None]:
    """Return the dpids of all bridges; None is among them while one has not been written."""
    rows = tables["Bridge"].rows.values()
    return frozenset(str_to_dpid(_first(row.datapath_id) or "") for row in rows)


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

    def row_changed(self, table: str, uuid: UUID) -> None:
        """Note that a row came, changed or went, so that its port is read again."""
        if table == "Port":
            self._ports.pop(uuid, None)
        elif table == "Interface" and uuid in self._port_of:
            self._ports.pop(self._port_of.pop(uuid), None)

    def find(self, tables: Mapping[str, Any]) -> Any | None:
        """Return the bridge's row in the replica; None when it is not there.

        The datapath_id of every bridge is empty after a restart of ovsdb-server, until
        ovs-vswitchd has written it again.  The bridge that had the dpid before counts until then.
        """
        without_dpid = None
        for row in tables["Bridge"].rows.values():
            dpid = str_to_dpid(_first(row.datapath_id) or "")
            if self._bridge in (row.name, dpid):
                self._name = row.name
                return row
            if dpid is None and row.name == self._name:
                without_dpid = row
        return without_dpid

    def read(self, tables: Mapping[str, Any]) -> tuple[BridgeRow | None, Interfaces]:
        """Return the bridge, None when it is not there, and its interfaces."""
        bridge = self.find(tables)
        if bridge is None:
            return None, {}
        self._ports = {port.uuid: self._rows_of(port) for port in _in_turns(bridge.ports)}
        return _bridge_row(bridge), {r.name: r for rows in self._ports.values() for r in rows}

    def _rows_of(self, port: Any) -> tuple[InterfaceRow, ...]:
        known = self._ports.get(port.uuid)
        if known is not None:
            return known
        interfaces = port.interfaces
        for interface in interfaces:
            self._port_of[interface.uuid] = port.uuid
        return tuple(_interface_row(port, interface) for interface in interfaces)


def difference(old: Interfaces, new: Interfaces) -> dict[str, InterfaceRow | None]:
    """Return what makes ``new`` of ``old``: name → the new row, None for one that is gone."""
    changed: dict[str, InterfaceRow | None] = {name: None for name in old if name not in new}
    for name, row in new.items():
        before = old.get(name)
        if before is not row and before != row:
            changed[name] = row
    return changed
