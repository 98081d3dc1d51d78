"""The same facts give the same flows, in whatever order they come, with repeats and removals.

With ``migration = activate`` the order of two locations is a fact of its own: see test_locations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.pipelines.flow import Flow, Group
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.pipelines.tunnels import desired_tunnels
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import AssignedPort, InterfaceFact, OFPort, PortId
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import Subject
from ryu_l2iso.state.switches import OVSDB_ADDR, TUNNEL_ADDR
from tests.unit.cloud import GRE_KEYS

DPIDS = (1, 2, 3)
NETWORKS = {"red": 10, "blue": 20}
# (dpid, port_no) → (interface, MAC); "moving" has two locations, "a" and "b" share a MAC.
PLUGGED = {
    (1, 1): ("a", "fa:16:3e:00:00:01"),
    (1, 2): ("b", "fa:16:3e:00:00:01"),
    (2, 1): ("moving", "fa:16:3e:00:00:02"),
    (3, 1): ("moving", "fa:16:3e:00:00:02"),
    (3, 2): ("c", "fa:16:3e:00:00:03"),
}
INTERFACES = {"a": "red", "b": "blue", "moving": "red", "c": "red"}

Installed = dict[int, dict[Subject, frozenset[str]]]


@dataclass
class World:
    """A state, the rows as written so far, and flows kept up to date from the marks alone."""

    state: State = field(default_factory=lambda: State(GRE_KEYS, DUPLICATE))
    rows: dict[tuple[int, str], InterfaceFact] = field(default_factory=dict)
    installed: Installed = field(default_factory=dict)
    tunnels: dict[int, dict[int, set[str]]] = field(default_factory=dict)

    def write(self, dpid: int, name: str, **columns: object) -> None:
        """Write columns of a row that exists; facts about a row that is not there wait."""
        row = self.rows.get((dpid, name), InterfaceFact(name))
        self.rows[dpid, name] = row._replace(**columns)  # type: ignore[arg-type]
        self.state.ports.update_interfaces(dpid, {name: self.rows[dpid, name]})

    def settle(self) -> None:
        """Recompute just what was marked, as the workers do."""
        pipeline = GrePipeline(self.state)
        changes = self.state.changes.take()
        for dpid, subjects in changes.subjects.items():
            for subject in subjects:
                parts = frozenset(map(str, pipeline.desired(dpid, subject)))
                self.installed.setdefault(dpid, {})[subject] = parts
        for dpid, remotes in changes.tunnels.items():
            known = self.tunnels.setdefault(dpid, {})
            for remote in remotes:
                known[remote] = set(desired_tunnels(self.state, dpid, "gre", {remote}))

    def kept(self) -> dict[int, set[str]]:
        """Return dpid → flows and groups, as kept up to date."""
        found = {d: set().union(*parts.values()) for d, parts in self.installed.items()}
        return {dpid: parts for dpid, parts in found.items() if parts}

    def full(self) -> dict[int, set[str]]:
        """Return the same, computed from the whole state; misses left out."""
        pipeline = GrePipeline(self.state)
        found = {}
        for dpid in DPIDS:
            subjects = list(pipeline.subjects(dpid))[1:]
            parts = {str(part) for s in subjects for part in pipeline.desired(dpid, s)}
            if parts:
                found[dpid] = parts
        return found


def tunnel_name(remote: int) -> str:
    return f"gre{remote}"


@dataclass(frozen=True)
class Fact:
    """Something that comes true, and can stop being true."""

    name: str
    add: Callable[[World], None]
    remove: Callable[[World], None]


def port_fact(dpid: int, port_no: int, name: str) -> Fact:
    return Fact(
        f"port {dpid}/{port_no}",
        lambda w: w.state.ports.set_of_port(dpid, OFPort(port_no, name, up=True)),
        lambda w: w.state.ports.remove_of_port(dpid, port_no),
    )


def column_fact(dpid: int, name: str, **columns: object) -> Fact:
    none = dict.fromkeys(columns)
    return Fact(
        f"row {dpid}/{name} {columns}",
        lambda w: w.write(dpid, name, **columns),
        lambda w: w.write(dpid, name, **none),
    )


def network_fact(network_id: str) -> Fact:
    def remove(world: World) -> None:
        if network_id in world.state.networks:
            world.state.remove_network(network_id)

    return Fact(f"network {network_id}", lambda w: w.state.ensure_network(network_id), remove)


def key_fact(network_id: str, key: int) -> Fact:
    def remove(world: World) -> None:
        if world.state.networks.key(network_id) is not None:
            world.state.remove_key(network_id)

    return Fact(f"key {network_id}", lambda w: w.state.ensure_key(network_id, key), remove)


def interface_fact(iface_id: str, network_id: str) -> Fact:
    def remove(world: World) -> None:
        if iface_id in world.state.interfaces:
            world.state.remove_interface(iface_id)

    return Fact(
        f"interface {iface_id}",
        lambda w: w.state.ensure_interface_value(iface_id, NETWORK_ID, network_id),
        remove,
    )


def switch_fact(dpid: int) -> Fact:
    def remove(world: World) -> None:
        if world.state.switches.tunnel_addr(dpid) is not None:
            world.state.remove_switch_value(dpid, TUNNEL_ADDR)

    return Fact(
        f"tunnel address {dpid}",
        lambda w: w.state.set_switch_value(dpid, TUNNEL_ADDR, f"10.0.0.{dpid}"),
        remove,
    )


def remote_fact(dpid: int, port_no: int, remote: int) -> Fact:
    """REST says where a port leads, whatever has its number."""
    port_id = PortId(dpid, port_no)
    return Fact(
        f"remote {port_id}",
        lambda w: w.state.ports.put_assigned(port_id, AssignedPort(remote_dpid=remote)),
        lambda w: w.state.ports.put_assigned(port_id, None),
    )


def all_facts() -> list[Fact]:
    facts = [network_fact(n) for n in NETWORKS]
    facts += [key_fact(n, key) for n, key in NETWORKS.items()]
    facts += [interface_fact(i, n) for i, n in INTERFACES.items()]
    facts += [switch_fact(dpid) for dpid in DPIDS]
    for (dpid, port_no), (iface_id, mac) in PLUGGED.items():
        name = f"tap{port_no}"
        facts += [
            port_fact(dpid, port_no, name),
            column_fact(dpid, name, ofport=port_no),
            column_fact(dpid, name, iface_id=iface_id),
            column_fact(dpid, name, mac=mac),
        ]
    for dpid in DPIDS:
        for remote in set(DPIDS) - {dpid}:
            name, port_no = tunnel_name(remote), 10 + remote
            row = {"ofport": port_no, "tunnel_remote": f"10.0.0.{remote}"}
            facts += [port_fact(dpid, port_no, name), column_fact(dpid, name, **row)]

    facts += [remote_fact(1, 50, 2), port_fact(1, 50, "extra")]
    return facts


FACTS = all_facts()
STEPS = st.lists(st.tuples(st.sampled_from(range(len(FACTS))), st.booleans()), max_size=60)


def reference(present: set[int]) -> World:
    """Return a world to which just these facts were told, in the order in which they stand."""
    world = World()
    for number in sorted(present):
        FACTS[number].add(world)
    world.settle()
    return world


@settings(max_examples=150)
@given(order=st.permutations(range(len(FACTS))), repeats=STEPS, final=st.booleans())
def test_any_order_with_repeats_and_removals(
    order: list[int], repeats: list[tuple[int, bool]], final: bool
) -> None:
    """Tell all facts in any order, take some back, tell some again; settle now and then."""
    world = World()
    present = set()
    for number in order:
        FACTS[number].add(world)
        present.add(number)
        if final:
            world.settle()
    for number, add in repeats:
        (FACTS[number].add if add else FACTS[number].remove)(world)
        (present.add if add else present.discard)(number)
        world.settle()
    world.settle()
    expected = reference(present)
    assert world.full() == expected.full()
    assert world.kept() == world.full()
    assert expected.kept() == expected.full()
    for dpid in DPIDS:
        wanted = set(desired_tunnels(world.state, dpid, "gre"))
        assert set().union(*world.tunnels.get(dpid, {}).values()) == wanted
        assert set(desired_tunnels(expected.state, dpid, "gre")) == wanted


@settings(max_examples=100)
@given(steps=STEPS)
def test_flows_of_different_subjects_never_share_an_identity(
    steps: list[tuple[int, bool]],
) -> None:
    world = reference(set(range(len(FACTS))))
    for number, add in steps:
        (FACTS[number].add if add else FACTS[number].remove)(world)
    pipeline = GrePipeline(world.state)
    for dpid in DPIDS:
        parts = [p for s in pipeline.subjects(dpid) for p in pipeline.desired(dpid, s)]
        flows = [part[:3] for part in parts if isinstance(part, Flow)]
        groups = [part.group_id for part in parts if isinstance(part, Group)]
        assert len(flows) == len(set(flows))
        assert len(groups) == len(set(groups))


def test_registering_the_same_again_marks_nothing() -> None:
    world = reference(set(range(len(FACTS))))
    world.state.set_switch_value(1, OVSDB_ADDR, "tcp:10.0.0.1:6640")
    world.state.changes.take()
    for fact in FACTS:
        if fact.name.split()[0] in ("network", "key", "interface", "tunnel"):
            fact.add(world)
    world.state.set_switch_value(1, OVSDB_ADDR, "tcp:10.0.0.1:6640")
    assert not world.state.changes
