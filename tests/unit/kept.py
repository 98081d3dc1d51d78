"""A state with what would be on disk of it, and the things that may happen to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Callable

from hypothesis import strategies as st

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.pipelines.mac import MacPipeline
from ryu_l2iso.pipelines.tunnels import desired_tunnels
from ryu_l2iso.pipelines.vlan import KEYS as VLAN_KEYS
from ryu_l2iso.pipelines.vlan import VlanPipeline, desired_tags
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, OFPort, PortId
from ryu_l2iso.state.records import (
    Record,
    RecordChanges,
    RecordId,
    Value,
)
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import Subject
from ryu_l2iso.state.switches import OVSDB_ADDR, TUNNEL_ADDR
from tests.unit.cloud import GRE_KEYS

DPIDS = (1, 2, 2**64 - 1)
NETWORK_IDS = ("red", "blue")
IFACE_IDS = ("a", "b", "c")
MACS = ("02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c")
PORT_NOS = (1, 2, 3)
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
ISOLATIONS = ("gre", "vlan", "mac")


def new_state(isolation: str) -> State:
    """Return an empty state."""
    state = State({"gre": GRE_KEYS, "vlan": VLAN_KEYS, "mac": None}[isolation])
    if isolation == "mac":
        state.macs.tell_apart(2)
    if isolation == "vlan":
        state.ports.vlans.tell_apart()
    return state


def pipeline(isolation: str, state: State) -> GrePipeline | VlanPipeline | MacPipeline:
    """Return what says which flows a switch should hold."""
    if isolation == "mac":
        return MacPipeline(state, 10)
    return GrePipeline(state) if isolation == "gre" else VlanPipeline(state)


def desired(isolation: str, state: State) -> dict[int, object]:
    """Return dpid → all that the switch should have: flows, groups, tunnels, tags.

    No port is about to leave its VLAN any more: that is not known after a restart.
    """
    source = pipeline(isolation, state)
    for dpid in DPIDS:
        state.ports.stay_in_vlans(state.ports.vlans.leaving(dpid))
    return {
        dpid: (
            {str(piece) for s in source.subjects(dpid) for piece in source.desired(dpid, s)},
            desired_tunnels(state, dpid, "gre"),
            desired_tags(state, dpid) if isolation == "vlan" else None,
        )
        for dpid in DPIDS
    }


class Kept:
    """A state, and what would be on disk of it."""

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        self.state = new_state(isolation)
        self.disk: dict[RecordId, Value] = {}

    def write(self) -> RecordChanges:
        """Write what changed; return it."""
        changes = self.state.changes.take().records
        for record_id, change in changes.items():
            assert self.disk.get(record_id) == change.old, record_id
            assert change.old != change.new
            if change.new is None:
                del self.disk[record_id]
            else:
                self.disk[record_id] = change.new
        return changes

    def records(self) -> list[Record]:
        """Return what is on disk."""
        return [Record(*record_id, value) for record_id, value in self.disk.items()]

    def loaded(self, records: Iterable[Record]) -> Kept:
        """Return a new state that has taken these records."""
        other = Kept(self.isolation)
        other.state.apply(records)
        other.write()
        return other

    def program(self, confirmed: bool) -> None:
        """Send all switches what they should have, as the workers do."""
        source = pipeline(self.isolation, self.state)
        for dpid in DPIDS:
            filled: set[Subject] = {s for s in source.subjects(dpid) if source.desired(dpid, s)}
            self.state.confirmations.recorded(self.state.confirmations.may_hold(dpid, filled))
            if confirmed:
                self.state.confirmations.holds_only(dpid, filled)


Numbers = tuple[int, int, int]
Act = Callable[[Kept, Numbers], None]


def row(kept: Kept, n: Numbers) -> None:
    dpid, name = DPIDS[n[0]], f"tap{PORT_NOS[n[1]]}"
    tag = (10, 20, None)[n[2]]
    iface_id = IFACE_IDS[(n[1] + n[2]) % 3]
    fact = InterfaceFact(name, PORT_NOS[n[1]], iface_id, MACS[n[2]], tag=tag)
    kept.state.ports.update_interfaces(dpid, {name: fact})


def tunnel_row(kept: Kept, n: Numbers) -> None:
    fact = InterfaceFact("gre", 3, tunnel_remote=ADDRESSES[n[1]])
    kept.state.ports.update_interfaces(DPIDS[n[0]], {"gre": fact if n[2] else None})
    kept.state.ports.set_of_port(DPIDS[n[0]], OFPort(3, "gre", True))


def no_row(kept: Kept, n: Numbers) -> None:
    kept.state.ports.update_interfaces(DPIDS[n[0]], {f"tap{PORT_NOS[n[1]]}": None})


def of_port(kept: Kept, n: Numbers) -> None:
    port_no = PORT_NOS[n[1]]
    kept.state.ports.set_of_port(DPIDS[n[0]], OFPort(port_no, f"tap{port_no}", n[2] > 0))


def plug(kept: Kept, n: Numbers) -> None:
    """Most of what happens: a VM with all that it needs."""
    of_port(kept, (n[0], n[1], 1))
    row(kept, n)
    kept.state.interfaces.put(IFACE_IDS[(n[1] + n[2]) % 3], NETWORK_ID, NETWORK_IDS[n[2] % 2])
    kept.state.ports.interface_changed(IFACE_IDS[(n[1] + n[2]) % 3])


def all_ports(kept: Kept, n: Numbers) -> None:
    ports = [OFPort(no, f"tap{no}", True) for no in PORT_NOS[: n[1]]]
    kept.state.ports.replace_of_ports(DPIDS[n[0]], ports)


def shown(kept: Kept, n: Numbers) -> None:
    kept.state.guest_shown(PortId(DPIDS[n[0]], PORT_NOS[n[1]]))


def learn(kept: Kept, n: Numbers) -> None:
    kept.state.macs.learn(PortId(DPIDS[n[0]], PORT_NOS[n[1]]), MACS[n[2]])


def port(kept: Kept, n: Numbers) -> None:
    network_id = (*NETWORK_IDS, NW_ID_EXTERNAL)[n[2]]
    kept.state.ensure_port(network_id, PortId(DPIDS[n[0]], PORT_NOS[n[1]]))


def no_port(kept: Kept, n: Numbers) -> None:
    network_id = (*NETWORK_IDS, NW_ID_EXTERNAL)[n[2]]
    kept.state.remove_port(network_id, PortId(DPIDS[n[0]], PORT_NOS[n[1]]))


def port_mac(kept: Kept, n: Numbers) -> None:
    port_id = PortId(DPIDS[n[0]], PORT_NOS[n[1]])
    kept.state.ensure_mac(NETWORK_IDS[n[2] % 2], port_id, MACS[n[2]])


def remote(kept: Kept, n: Numbers) -> None:
    kept.state.ensure_tunnel(PortId(DPIDS[n[0]], PORT_NOS[n[1]]), DPIDS[n[2]])


def no_remote(kept: Kept, n: Numbers) -> None:
    kept.state.remove_tunnel(PortId(DPIDS[n[0]], PORT_NOS[n[1]]))


def retag(kept: Kept, n: Numbers) -> None:
    kept.state.ports.retag(DPIDS[n[0]], {f"tap{PORT_NOS[n[1]]}": (10, 20, 4095)[n[2]]})


def tag_set(kept: Kept, n: Numbers) -> None:
    kept.state.ports.tags_are_set(DPIDS[n[0]], [f"tap{PORT_NOS[n[1]]}"])


def registered(kept: Kept, n: Numbers) -> None:
    kept.state.set_switch_value(DPIDS[n[0]], TUNNEL_ADDR, ADDRESSES[n[1]])
    kept.state.set_switch_value(DPIDS[n[0]], OVSDB_ADDR, f"tcp:{ADDRESSES[n[2]]}:6640")
    kept.state.set_switch_value(DPIDS[n[0]], "rack", [n[1], None, "\ud800"])


def deregistered(kept: Kept, n: Numbers) -> None:
    kept.state.remove_switch(DPIDS[n[0]])
    kept.state.ports.forget(DPIDS[n[0]])


def dismissed(kept: Kept, n: Numbers) -> None:
    kept.state.remove_switch(DPIDS[n[0]])


ACTS: tuple[Act, ...] = (
    lambda kept, n: kept.state.ensure_network(NETWORK_IDS[n[0] % 2]),
    lambda kept, n: kept.state.remove_network(NETWORK_IDS[n[0] % 2]),
    lambda kept, n: kept.state.ensure_key(NETWORK_IDS[n[0] % 2], (10, 20, 30)[n[1]]),
    lambda kept, n: kept.state.remove_key(NETWORK_IDS[n[0] % 2]),
    lambda kept, n: kept.state.ensure_interface_value(
        IFACE_IDS[n[0]], (NETWORK_ID, "owner")[n[2] % 2], NETWORK_IDS[n[1] % 2]
    ),
    lambda kept, n: kept.state.remove_interface(IFACE_IDS[n[0]]),
    lambda kept, n: kept.state.remove_switch_value(
        DPIDS[n[0]], (TUNNEL_ADDR, OVSDB_ADDR, "rack")[n[1]]
    ),
    lambda kept, n: kept.state.ports.remove_of_port(DPIDS[n[0]], PORT_NOS[n[1]]),
    lambda kept, n: kept.state.ports.keep_interfaces(DPIDS[n[0]], {f"tap{PORT_NOS[n[1]]}"}),
    lambda kept, n: kept.program(n[0] > 0),
    *(plug, plug, plug, row, tunnel_row, no_row, of_port, all_ports, shown, learn, port, no_port),
    *(port_mac, remote, no_remote, retag, tag_set, registered, deregistered, dismissed),
)

Steps = list[tuple[int, Numbers]]
THREE = st.integers(0, 2)
STEPS = st.lists(
    st.tuples(st.integers(0, len(ACTS) - 1), st.tuples(THREE, THREE, THREE)), max_size=40
)


def started(isolation: str) -> Kept:
    """Return a state with switches, networks and keys."""
    kept = Kept(isolation)
    for number in range(3):
        registered(kept, (number, number, number))
    for number, network_id in enumerate(NETWORK_IDS):
        kept.state.add_network(network_id)
        kept.state.add_key(network_id, 10 * (number + 1))
    kept.write()
    return kept


def act(kept: Kept, step: tuple[int, Numbers]) -> None:
    """Do one thing; what is refused changes nothing.

    What a switch says that is not registered is not recorded: none says anything here.
    """
    does, numbers = ACTS[step[0]], step[1]
    tells = does in (plug, row, tunnel_row, of_port, all_ports)
    if tells and DPIDS[numbers[0]] not in kept.state.switches:
        return
    with contextlib.suppress(L2IsoError):
        does(kept, numbers)


def is_taken(step: tuple[int, Numbers]) -> bool:
    """Tell whether a step is a call of REST."""
    own = (port, no_port, port_mac, remote, no_remote, registered, dismissed)
    return ACTS[step[0]] in (*ACTS[:7], *own)
