"""A MAC is in one network at a time, on the whole fleet, whatever happens in whatever order.

As `test_handover_keys`, where networks are told apart by MACs: those of VMs and learned ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.pipelines.flow import Flow, Match
from ryu_l2iso.pipelines.mac import OUTSIDE, MacPipeline, network_metadata
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, PortId
from ryu_l2iso.state.state import State
from tests.unit.handover import DPIDS, VM, World

NETWORKS = ("red", "blue")
NAMES = {network_metadata(network_id): network_id for network_id in NETWORKS}
MACS = A, B, C = tuple(f"fa:16:3e:00:00:0{number}" for number in range(1, 4))
UPLINK = 9

# What may be plugged at ports 1 and 2 of each switch: MACs of both networks are the same.
VMS = [VM(f"{n}{i}", n, mac) for n in NETWORKS for i, mac in enumerate((A, B), 1)]


def claims(world: World) -> dict[object, set[str]]:
    """Return MAC → the networks that have it, by what switches hold."""
    found: dict[object, set[str]] = {}
    for real in world.reals.values():
        for flow in real.holds.flows.values():
            assert isinstance(flow, Flow)
            match: Match = flow.match
            mac = match.eth_src or match.eth_dst
            metadata = flow.metadata if match.metadata == OUTSIDE else match.metadata
            if mac in MACS and metadata is not None:
                found.setdefault(mac, set()).add(NAMES[metadata])
    return found


def _state() -> State:
    state = State(migration=DUPLICATE)
    state.macs.tell_apart(learning_max=2)
    return state


def made() -> World:
    """Return a world whose switches have an uplink each."""
    world = World(_state, lambda state: MacPipeline(state, 10), claims)
    for dpid, real in world.reals.items():
        world.register(dpid)
        real.uplinks[UPLINK] = InterfaceFact("eth1", UPLINK)
        port_id = PortId(dpid, UPLINK)
        world.order(lambda port_id=port_id: world.state.ensure_port(NW_ID_EXTERNAL, port_id))
    for network_id in NETWORKS:
        world.order(lambda network_id=network_id: world.state.add_network(network_id))
    for vm in VMS:
        world.interface(vm)
    return world


@dataclass(frozen=True)
class Act:
    """Something that happens; ``meanwhile`` while it is under way.  Printed when a test fails."""

    name: str
    arguments: tuple[Any, ...] = ()
    meanwhile: tuple[Act, ...] = ()

    def __call__(self, world: World) -> None:
        if self.name in ("add_network", "remove_network"):
            world.order(lambda: getattr(world.state, self.name)(*self.arguments))
        elif self.name == "learn":
            dpid, port_no, mac = self.arguments
            world.state.macs.learn(PortId(dpid, port_no), mac)
            world.commit()
        else:
            happens = [lambda act=act: act(world) for act in self.meanwhile]
            getattr(world, self.name)(*self.arguments, *happens)


def _acts(names: list[str], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    return st.builds(Act, st.sampled_from(names), st.tuples(*arguments))


dpids, numbers = st.sampled_from(DPIDS), st.sampled_from([1, 2])
happenings = st.one_of(
    _acts(["add_network", "remove_network"], st.sampled_from(NETWORKS)),
    _acts(["plug"], dpids, numbers, st.sampled_from(VMS)),
    _acts(["unplug"], dpids, numbers),
    _acts(["learn"], dpids, numbers, st.sampled_from(MACS)),
    _acts(["connect", "disconnect", "cut_ovsdb", "read_ovsdb", "register", "deregister"], dpids),
)
fates = st.sampled_from(["ok", "ok", "ok", "lost", "unconfirmed"])
works = st.builds(
    Act,
    st.just("work"),
    st.tuples(dpids, fates),
    st.lists(happenings, max_size=3).map(tuple),
)
acts = st.one_of(works, works, happenings, _acts(["kill"], st.integers(0, 3) | st.none()))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(acts, max_size=50))
def test_a_mac_is_never_used_by_two_networks(steps: list[Act]) -> None:
    world = made()
    for dpid, vm in zip(DPIDS, VMS):
        world.plug(dpid, 1, vm)
    world.settle()
    for step in steps:
        step(world)
        world.check()
    world.settle()
    for dpid, real in world.reals.items():
        assert real.holds == world.desired(dpid)
        assert not world.state.confirmations.waited_for(dpid)
    assert not any(world.state.ports.leftovers.on(dpid) for dpid in DPIDS)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_the_check_sees_a_mac_of_two_networks() -> None:
    world = made()
    world.plug(1, 1, VMS[0])
    world.settle()
    world.check()
    for flow in world.reals[1].holds.flows.values():
        assert isinstance(flow, Flow)
        if flow.match.eth_src == A:
            metadata = network_metadata("blue")
            other = flow._replace(match=flow.match._replace(metadata=metadata))
            world.reals[2].holds.flows[other.id] = other
    with pytest.raises(AssertionError, match=A):
        world.check()


def test_a_port_that_rest_has_made_is_known_after_a_restart_before_its_switch_is() -> None:
    """Nobody has registered its switch, which may hold flows with its MAC all the same."""
    world = made()
    world.deregister(3)
    world.reals[3].ovsdb_up = False
    for dpid in (1, 3):
        world.connect(dpid)
    world.read_ovsdb(1)
    port_id = PortId(3, 1)
    world.order(lambda: world.state.ensure_port("red", port_id))
    world.order(lambda: world.state.ensure_mac("red", port_id, A))
    world.plug(3, 1, VM("by-hand", "red", A))
    for dpid in (1, 3):
        world.work(dpid)
    assert A in claims(world)
    world.kill()
    world.connect(1)
    world.read_ovsdb(1)
    world.plug(1, 1, VM("blue1", "blue", A))
    world.work(1)
    assert claims(world)[A] == {"red"}
