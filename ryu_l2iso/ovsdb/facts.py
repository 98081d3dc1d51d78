"""OVSDB rows as facts of the state."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.ovsdb.rows import InterfaceRow
from ryu_l2iso.state.ports import InterfaceFact
from ryu_l2iso.state.values import dpid_to_str, parse_id, parse_mac, parse_tunnel_addr

LOG = logging.getLogger(__name__)

VLAN_IDS = range(4096)

IFACE_ID = "iface-id"
ATTACHED_MAC = "attached-mac"
"""Keys in ``external_ids`` of an Interface (ovs-vswitchd.conf.db(5), "Virtual Machine IDs")."""


def interface_fact(row: InterfaceRow) -> tuple[InterfaceFact, str]:
    """Return what a row says of a port, and why a value was left out that cannot be used, or ""."""
    tag = row.access_tag
    # What is no integer would be compared with each of a range.
    tag = tag if tag is not None and tag in VLAN_IDS else None
    iface_id = mac = tunnel_remote = None
    fault = ""
    try:
        if row.remote_dpid is not None:
            tunnel_remote = parse_tunnel_addr(row.options.get("remote_ip"))
        elif IFACE_ID in row.external_ids:
            iface_id = parse_id(IFACE_ID, row.external_ids[IFACE_ID])
            attached = row.external_ids.get(ATTACHED_MAC)
            mac = None if attached is None else parse_mac(attached)
    except InvalidValue as error:
        fault = str(error)
    fact = InterfaceFact(
        row.name, row.ofport, iface_id=iface_id, mac=mac, tunnel_remote=tunnel_remote, tag=tag
    )
    return fact, fault


class InterfaceFacts:
    """Reads rows as facts; what is wrong with a row is logged once, until that changes."""

    def __init__(self) -> None:
        # dpid → name of the interface → what was logged of it
        self._logged: dict[int, dict[str, str]] = {}

    def read(
        self, dpid: int, rows: Mapping[str, InterfaceRow | None]
    ) -> dict[str, InterfaceFact | None]:
        """Return name → fact for rows of a switch by name; None for a row that is gone."""
        return {name: self._read_row(dpid, name, row) for name, row in rows.items()}

    def forget(self, dpid: int) -> None:
        """Forget what was logged of a switch."""
        self._logged.pop(dpid, None)

    def _read_row(self, dpid: int, name: str, row: InterfaceRow | None) -> InterfaceFact | None:
        fact, fault = (None, "") if row is None else interface_fact(row)
        logged = self._logged.setdefault(dpid, {})
        if fault and fault != logged.get(name):
            LOG.warning("switch %s: interface %s: %s", dpid_to_str(dpid), name, fault)
        if fault:
            logged[name] = fault
        else:
            logged.pop(name, None)
        return fact
