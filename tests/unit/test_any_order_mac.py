"""MAC isolation: facts in any order, switches that confirm one after the other, MACs learned.

The order counts between networks that want the same MAC, and in no other case; whatever it is, a
MAC is never in two networks, not even on two switches of which one is late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.pipelines.flow import Flow, Group, Piece
from ryu_l2iso.pipelines.mac import MacPipeline
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, OFPort, PortId
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import MacSubject, Subject, SwitchSubject

DPIDS = (1, 2, 3)
NETWORKS = ("red", "blue")
UPLINK = 9
A, B, C, D = (f"fa:16:3e:00:00:0{number}" for number in range(1, 5))
LEARNING_MAX = 2

# (dpid, port_no) → (interface, network, MAC)
Plugged = dict[tuple[int, int], tuple[str, str, str]]
NO_CONFLICTS: Plugged = {
    (1, 1): ("a", "red", A),
    (2, 1): ("moving", "red", B),
    (3, 1): ("moving", "red", B),
    (3, 2): ("c", "blue", C),
    (1, 2): ("d", "blue", D),
}
CONFLICTS: Plugged = {
    (1, 1): ("a", "red", A),
    (2, 1): ("b", "blue", A),
    (3, 1): ("c", "red", A),
    (3, 2): ("d", "blue", B),
    (2, 2): ("e", "red", C),
}


@dataclass
class World:
    """A state, and switches that hold what they were sent last; each is sent to on its own."""

    state: State = field(default_factory=lambda: State(migration=DUPLICATE))
    holds: dict[int, dict[Subject, Sequence[Piece]]] = field(default_factory=dict)
    dirty: dict[int, set[Subject]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state.macs.tell_apart(LEARNING_MAX)
        self.pipeline = MacPipeline(self.state, 10)
        for dpid in DPIDS:
            self.holds[dpid] = {}
            self.dirty[dpid] = {SwitchSubject()}

    def mark(self) -> None:
        """Note what the facts touched."""
        for dpid, subjects in self.state.changes.take().subjects.items():
            self.dirty[dpid] |= subjects

    def send(self, dpid: int) -> None:
        """Do what the switch's worker does."""
        self.mark()
        pieces = {s: self.pipeline.desired(dpid, s) for s in self.dirty[dpid]}
        self.dirty[dpid] = set()
        filled = {s for s in pieces if pieces[s]}
        self.state.confirmations.may_hold(dpid, filled)
        self.holds[dpid].update(pieces)
        self.state.confirmations.holds(dpid, filled, pieces.keys() - filled)
        self.mark()
        self.check()

    def settle(self) -> None:
        """Send to all switches until there is nothing left."""
        self.mark()
        while any(self.dirty.values()):
            for dpid in DPIDS:
                self.send(dpid)

    def check(self) -> None:
        """Check that no MAC is taken for two networks' by what any switches hold."""
        networks: dict[str, set[str]] = {}
        for parts in self.holds.values():
            for subject, pieces in parts.items():
                if isinstance(subject, MacSubject) and pieces:
                    networks.setdefault(subject.mac, set()).add(subject.network_id)
        assert all(len(found) == 1 for found in networks.values()), networks

    def kept(self) -> dict[int, set[str]]:
        """Return dpid → what each switch holds."""
        return {d: {str(p) for of_one in h.values() for p in of_one} for d, h in self.holds.items()}

    def full(self) -> dict[int, set[str]]:
        """Return dpid → what each switch should hold, by the whole state."""
        pipeline = self.pipeline
        return {
            dpid: {str(p) for s in pipeline.subjects(dpid) for p in pipeline.desired(dpid, s)}
            for dpid in DPIDS
        }


@dataclass(frozen=True)
class Fact:
    """Something that comes true, and can stop being true."""

    add: Callable[[World], None]
    remove: Callable[[World], None]


def network_fact(network_id: str) -> Fact:
    def remove(world: World) -> None:
        if network_id in world.state.networks:
            world.state.remove_network(network_id)

    return Fact(lambda w: w.state.ensure_network(network_id), remove)


def interface_fact(iface_id: str, network_id: str) -> Fact:
    def remove(world: World) -> None:
        if iface_id in world.state.interfaces:
            world.state.remove_interface(iface_id)

    return Fact(lambda w: w.state.ensure_interface_value(iface_id, NETWORK_ID, network_id), remove)


def port_fact(dpid: int, port_no: int, name: str) -> Fact:
    return Fact(
        lambda w: w.state.ports.set_of_port(dpid, OFPort(port_no, name, up=True)),
        lambda w: w.state.ports.remove_of_port(dpid, port_no),
    )


def row_fact(dpid: int, port_no: int, iface_id: str, mac: str) -> Fact:
    name = f"tap{port_no}"
    row = InterfaceFact(name, port_no, iface_id, mac)
    return Fact(
        lambda w: w.state.ports.update_interfaces(dpid, {name: row}),
        lambda w: w.state.ports.update_interfaces(dpid, {name: None}),
    )


def uplink_fact(dpid: int) -> Fact:
    port_id = PortId(dpid, UPLINK)

    def remove(world: World) -> None:
        if port_id in world.state.network_ports(NW_ID_EXTERNAL):
            world.state.remove_port(NW_ID_EXTERNAL, port_id)

    return Fact(lambda w: w.state.ensure_port(NW_ID_EXTERNAL, port_id), remove)


def all_facts(plugged: Plugged) -> list[Fact]:
    facts = [network_fact(n) for n in NETWORKS]
    facts += [uplink_fact(dpid) for dpid in DPIDS]
    facts += [port_fact(dpid, UPLINK, "eth1") for dpid in DPIDS]
    for (dpid, port_no), (iface_id, _, mac) in plugged.items():
        facts.append(port_fact(dpid, port_no, f"tap{port_no}"))
        facts.append(row_fact(dpid, port_no, iface_id, mac))
    networks = {iface_id: network_id for iface_id, network_id, _ in plugged.values()}
    facts += [interface_fact(iface_id, network_id) for iface_id, network_id in networks.items()]
    return facts


CALM = all_facts(NO_CONFLICTS)
WILD = all_facts(CONFLICTS)


def steps(facts: list[Fact]) -> st.SearchStrategy[list[tuple[int, bool]]]:
    return st.lists(st.tuples(st.sampled_from(range(len(facts))), st.booleans()), max_size=40)


@settings(max_examples=100)
@given(order=st.permutations(range(len(CALM))), repeats=steps(CALM), often=st.booleans())
def test_without_conflicts_any_order_gives_the_same_flows(
    order: list[int], repeats: list[tuple[int, bool]], often: bool
) -> None:
    world, present = World(), set(order)
    for number in order:
        CALM[number].add(world)
        if often:
            world.settle()
    for number, add in repeats:
        (CALM[number].add if add else CALM[number].remove)(world)
        (present.add if add else present.discard)(number)
    world.settle()
    reference = World()
    for number in sorted(present):
        CALM[number].add(reference)
    reference.settle()
    assert world.kept() == world.full() == reference.full()


learnings = st.tuples(st.sampled_from(list(CONFLICTS)), st.sampled_from([A, B, C, D]))
doings = st.one_of(
    st.tuples(st.sampled_from(range(len(WILD))), st.booleans()),
    st.sampled_from(DPIDS),
    learnings.map(lambda found: (PortId(*found[0]), found[1])),
)


@settings(max_examples=200)
@given(order=st.permutations(range(len(WILD))), then=st.lists(doings, max_size=60))
def test_with_conflicts_a_mac_is_never_in_two_networks(
    order: list[int], then: list[object]
) -> None:
    world = World()
    for number in order:
        WILD[number].add(world)
    for doing in then:
        if isinstance(doing, int):
            world.send(doing)
            continue
        assert isinstance(doing, tuple)
        first, second = doing
        if isinstance(first, PortId):
            world.state.macs.learn(first, second)
            assert len(world.state.macs.learned(first)) <= LEARNING_MAX
        else:
            (WILD[first].add if second else WILD[first].remove)(world)
    world.settle()
    assert world.kept() == world.full()
    for dpid in DPIDS:
        flows = [
            piece[:3]
            for subject in world.pipeline.subjects(dpid)
            for piece in world.pipeline.desired(dpid, subject)
            if isinstance(piece, Flow)
        ]
        assert len(flows) == len(set(flows))


def test_the_check_sees_a_mac_in_two_networks() -> None:
    world = World()
    for dpid, network_id in ((1, "red"), (2, "blue")):
        world.holds[dpid] = {MacSubject(network_id, A): [Group(1, ())]}
    with pytest.raises(AssertionError, match=A):
        world.check()
