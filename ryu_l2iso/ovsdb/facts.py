"""OVSDB rows as facts of the state."""

from __future__ import annotations

import logging

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.ovsdb.rows import InterfaceRow
from ryu_l2iso.state.ports import InterfaceFact
from ryu_l2iso.state.values import parse_id, parse_mac, parse_tunnel_addr

LOG = logging.getLogger(__name__)

IFACE_ID = "iface-id"
ATTACHED_MAC = "attached-mac"
"""Keys in ``external_ids`` of an Interface (ovs-vswitchd.conf.db(5), "Virtual Machine IDs")."""


def interface_fact(row: InterfaceRow) -> InterfaceFact:
    """Return what a row says of a port; a value that cannot be used is logged and left out."""
    fact = InterfaceFact(row.name, row.ofport)
    try:
        if row.remote_dpid is not None:
            remote = parse_tunnel_addr(row.options.get("remote_ip"))
            return InterfaceFact(row.name, row.ofport, tunnel_remote=remote)
        iface_id, mac = row.external_ids.get(IFACE_ID), row.external_ids.get(ATTACHED_MAC)
        if iface_id is None:
            return fact
        fact = InterfaceFact(row.name, row.ofport, parse_id(IFACE_ID, iface_id))
        if mac is None:
            return fact
        return InterfaceFact(row.name, row.ofport, fact.iface_id, parse_mac(mac))
    except InvalidValue as error:
        LOG.warning("interface %s cannot be used: %s", row.name, error)
        return fact
