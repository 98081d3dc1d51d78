"""OVSDB rows as facts of the state."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

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
    fact = InterfaceFact(row.name, row.ofport, tag=tag)
    try:
        if row.remote_dpid is not None:
            return replace(fact, tunnel_remote=parse_tunnel_addr(row.options.get("remote_ip"))), ""
        iface_id, mac = row.external_ids.get(IFACE_ID), row.external_ids.get(ATTACHED_MAC)
        if iface_id is not None:
            fact = replace(fact, iface_id=parse_id(IFACE_ID, iface_id))
            fact = replace(fact, mac=None if mac is None else parse_mac(mac))
    except InvalidValue as error:
        return fact, str(error)
    return fact, ""


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
