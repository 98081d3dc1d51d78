"""Records taken back into the state: those of the file, those of a change that could not be kept.

What a record says is taken as it is; no rule of REST is asked again.  What follows is marked like
after any other fact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import AssignedPort, InterfaceFact, OFPort, PortId
from ryu_l2iso.state.records import (
    ASSIGNED_PORTS,
    DISMISSED,
    HELD,
    INTERFACE_VALUES,
    INTERFACES,
    KEYS,
    LEARNED_MACS,
    LINGERING,
    MAC_NETWORKS,
    NETWORKS,
    OF_PORTS,
    REFUSED_MACS,
    RETAGGED,
    SWITCH_VALUES,
    SWITCHES,
    TABLES,
    Record,
    Table,
)

if TYPE_CHECKING:
    from ryu_l2iso.state.state import State

_UNIQUE = (KEYS, SWITCH_VALUES)
"""Tables with values that only one record may have: what was before goes first."""


def apply(state: State, records: Iterable[Record]) -> None:
    """Take records, one of each id: what is gone goes first, what others hang on comes first.

    Raises InvalidValue for a key that the isolation in force does not take.
    """
    by_table: dict[Table, list[Record]] = {table: [] for table in TABLES}
    for record in records:
        by_table[record.table].append(record)
    for table in reversed(TABLES):
        for record in by_table[table]:
            if record.value is None or table in _UNIQUE:
                _FUNCTIONS[table][1](state, *record.key)
    for table in TABLES:
        for record in by_table[table]:
            if record.value is not None:
                _FUNCTIONS[table][0](state, *record.key, *record.value)


# -- one function that sets a record, and one that removes it -------------------------------------


def _set_network(state: State, network_id: str) -> None:
    state.networks.put(network_id)
    state.ports.network_changed(network_id)


def _remove_network(state: State, network_id: str) -> None:
    state.networks.discard(network_id)
    state.ports.network_changed(network_id)


def _set_key(state: State, network_id: str, key: int) -> None:
    state.networks.put_key(network_id, key)
    state.key_changed(network_id)


def _remove_key(state: State, network_id: str) -> None:
    state.networks.discard_key(network_id)
    state.key_changed(network_id)


def _set_interface_value(state: State, iface_id: str, name: str, value: str) -> None:
    state.interfaces.put(iface_id, name, value)
    if name == NETWORK_ID:
        state.ports.interface_changed(iface_id)


def _remove_interface_value(state: State, iface_id: str, name: str) -> None:
    state.interfaces.discard(iface_id, name)
    if name == NETWORK_ID:
        state.ports.interface_changed(iface_id)


def _set_switch(state: State, dpid: int) -> None:
    state.switches.put(dpid)
    state.ports.registration_changed(dpid)


def _remove_switch(state: State, dpid: int) -> None:
    if dpid in state.switches:
        state.discard_switch(dpid)


def _set_switch_value(state: State, dpid: int, name: str, value: str) -> None:
    state.put_switch_value(dpid, name, json.loads(value))


def _remove_switch_value(state: State, dpid: int, name: str) -> None:
    state.discard_switch_value(dpid, name)


def _set_assigned(state: State, dpid: int, port_no: int, *assigned: Any) -> None:
    state.ports.put_assigned(PortId(dpid, port_no), AssignedPort(*assigned))


def _remove_assigned(state: State, dpid: int, port_no: int) -> None:
    state.ports.put_assigned(PortId(dpid, port_no), None)


def _set_interface(state: State, dpid: int, name: str, *columns: Any) -> None:
    state.ports.update_interfaces(dpid, {name: InterfaceFact(name, *columns)})


def _remove_interface(state: State, dpid: int, name: str) -> None:
    state.ports.update_interfaces(dpid, {name: None})


def _set_retagged(state: State, dpid: int, name: str, vlans: str) -> None:
    state.ports.put_retagged(dpid, name, frozenset(map(int, vlans.split())))


def _remove_retagged(state: State, dpid: int, name: str) -> None:
    state.ports.put_retagged(dpid, name, None)


def _set_of_port(
    state: State, dpid: int, port_no: int, name: str, up: int, since: int, shown: int
) -> None:
    state.ports.put_of_port(dpid, OFPort(port_no, name, bool(up)), since, shown)


def _remove_of_port(state: State, dpid: int, port_no: int) -> None:
    state.ports.remove_of_port(dpid, port_no)


def _set_held(state: State, dpid: int, network_id: str, key: int | None) -> None:
    state.confirmations.put_held(dpid, network_id, key)


def _remove_held(state: State, dpid: int, network_id: str, key: int | None) -> None:
    state.confirmations.discard_held(dpid, network_id, key)


def _set_dismissed(state: State, dpid: int) -> None:
    state.confirmations.put_dismissed(dpid)


def _remove_dismissed(state: State, dpid: int) -> None:
    state.confirmations.discard_dismissed(dpid)


def _set_lingering(state: State, dpid: int, port_no: int, vlan: int, network_id: str) -> None:
    state.ports.vlans.put_lingering(PortId(dpid, port_no), vlan, network_id)


def _remove_lingering(state: State, dpid: int, port_no: int, vlan: int) -> None:
    state.ports.discard_lingering(PortId(dpid, port_no), vlan)


def _set_mac_network(state: State, mac: str, network_id: str) -> None:
    state.macs.put_network(mac, network_id)


def _remove_mac_network(state: State, mac: str) -> None:
    """Do nothing: a MAC that nobody waits for follows from the ports."""


def _set_learned(state: State, dpid: int, port_no: int, mac: str, position: int) -> None:
    state.macs.put_learned(PortId(dpid, port_no), mac, position)


def _remove_learned(state: State, dpid: int, port_no: int, mac: str) -> None:
    state.macs.discard_learned(PortId(dpid, port_no), mac)


def _set_refused(state: State, dpid: int, port_no: int, mac: str) -> None:
    state.macs.put_refused(PortId(dpid, port_no), mac)


def _remove_refused(state: State, dpid: int, port_no: int, mac: str) -> None:
    state.macs.discard_refused(PortId(dpid, port_no), mac)


_FUNCTIONS: dict[Table, tuple[Callable[..., None], Callable[..., None]]] = {
    NETWORKS: (_set_network, _remove_network),
    KEYS: (_set_key, _remove_key),
    INTERFACE_VALUES: (_set_interface_value, _remove_interface_value),
    SWITCHES: (_set_switch, _remove_switch),
    SWITCH_VALUES: (_set_switch_value, _remove_switch_value),
    ASSIGNED_PORTS: (_set_assigned, _remove_assigned),
    HELD: (_set_held, _remove_held),
    DISMISSED: (_set_dismissed, _remove_dismissed),
    LINGERING: (_set_lingering, _remove_lingering),
    MAC_NETWORKS: (_set_mac_network, _remove_mac_network),
    RETAGGED: (_set_retagged, _remove_retagged),
    INTERFACES: (_set_interface, _remove_interface),
    OF_PORTS: (_set_of_port, _remove_of_port),
    LEARNED_MACS: (_set_learned, _remove_learned),
    REFUSED_MACS: (_set_refused, _remove_refused),
}
"""Table → what sets a record, given its key and value, and what removes it, given its key."""
