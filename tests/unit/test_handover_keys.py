"""A key works for one network at a time, on the whole fleet, whatever happens in whatever order.

Keys go from network to network while switches connect, are lost, confirm late or not at all, and
the controller is killed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.pipelines.flow import Flow, Group, Output, SetTunnelId, ToGroup
from ryu_l2iso.pipelines.gre import LOCAL_OUT, GrePipeline
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import InterfaceFact, VMPort
from ryu_l2iso.state.state import State
from tests.unit.cloud import GRE_KEYS
from tests.unit.handover import DPIDS, VM, Real, World

KEYS = (10, 20)
NETWORKS = ("red", "blue", "green")
A, B = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"

# (dpid, port_no) → what may be plugged there; always of one network, so that a flow tells it.
PLACES = {
    (1, 1): VM("red1", "red", A),
    (1, 2): VM("blue1", "blue", A),
    (2, 1): VM("red2", "red", B),
    (2, 2): VM("green2", "green", B),
    (3, 1): VM("blue3", "blue", B),
    (3, 2): VM("green3", "green", A),
    (3, 3): VM("red3", "red", A),
}


def _network(dpid: int, port_no: int) -> str | None:
    vm = PLACES.get((dpid, port_no))
    return vm and vm.network_id


def _uses(real: Real) -> Iterator[tuple[int, int]]:
    """Yield each key with each port of a switch that sends or gets packets with it."""
    for flow in real.holds.flows.values():
        assert isinstance(flow, Flow)
        for action in flow.actions:
            if isinstance(action, SetTunnelId) and flow.match.in_port is not None:
                yield action.tunnel_id, flow.match.in_port
            if flow.table != LOCAL_OUT.number or flow.match.tunnel_id is None:
                continue
            if isinstance(action, Output):
                yield flow.match.tunnel_id, action.port_no
            if isinstance(action, ToGroup):
                group = real.holds.groups[action.group_id]
                assert isinstance(group, Group)
                yield from ((flow.match.tunnel_id, port_no) for port_no in group.ports)


def claims(world: World) -> dict[object, set[str]]:
    """Return key → the networks that have it, by what switches hold."""
    found: dict[object, set[str]] = {}
    for dpid, real in world.reals.items():
        for key, port_no in _uses(real):
            network_id = _network(dpid, port_no)
            assert network_id is not None
            found.setdefault(key, set()).add(network_id)
            assert dpid in world.state.networks.held.holders(network_id, key)
    return found


def made() -> World:
    """Return a world whose switches have tunnels to each other."""
    world = World(lambda: State(GRE_KEYS, DUPLICATE), GrePipeline, claims)
    for dpid, real in world.reals.items():
        world.register(dpid)
        for remote in set(DPIDS) - {dpid}:
            row = InterfaceFact(f"gre{remote}", 10 + remote, tunnel_remote=f"10.0.0.{remote}")
            real.uplinks[10 + remote] = row
    for network_id in NETWORKS:
        world.order(lambda network_id=network_id: world.state.add_network(network_id))
    for vm in PLACES.values():
        world.interface(vm)
    return world


dpids = st.sampled_from(DPIDS)
networks = st.sampled_from(NETWORKS)


@dataclass(frozen=True)
class Act:
    """Something that happens; ``meanwhile`` while it is under way.  Printed when a test fails."""

    name: str
    arguments: tuple[Any, ...] = ()
    meanwhile: tuple[Act, ...] = ()

    def __call__(self, world: World) -> None:
        state, arguments = world.state, self.arguments
        if self.name in ("add_network", "remove_network", "add_key", "remove_key"):
            world.order(lambda: getattr(state, self.name)(*arguments))
        elif self.name == "plug":
            world.plug(*arguments[0], PLACES[arguments[0]])
        elif self.name == "unplug":
            world.unplug(*arguments[0])
        else:
            happens = [lambda act=act: act(world) for act in self.meanwhile]
            getattr(world, self.name)(*arguments, *happens)


def _acts(names: list[str], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    return st.builds(Act, st.sampled_from(names), st.tuples(*arguments))


happenings = st.one_of(
    _acts(["add_key"], networks, st.sampled_from(KEYS)),
    _acts(["remove_key", "add_network", "remove_network"], networks),
    _acts(["plug", "unplug"], st.sampled_from(sorted(PLACES))),
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
def test_a_key_is_never_used_by_two_networks(steps: list[Act]) -> None:
    world = made()
    for network_id, key in zip(NETWORKS, KEYS):
        Act("add_key", (network_id, key))(world)
    for place in PLACES:
        Act("plug", (place,))(world)
    world.settle()
    for step in steps:
        step(world)
        world.check()
    world.settle()
    for dpid, real in world.reals.items():
        assert real.holds == world.desired(dpid)
        for port in world.state.ports.on(dpid):
            if isinstance(port, VMPort) and port.network_id is not None:
                assert port.key == world.state.networks.key(port.network_id)
    assert not any(world.state.networks.waited_for(network_id) for network_id in NETWORKS)
    assert not any(world.state.confirmations.waited_for(dpid) for dpid in DPIDS)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_the_check_sees_a_key_of_two_networks() -> None:
    world = made()
    Act("plug", ((1, 1),))(world)
    Act("add_key", ("red", 10))(world)
    world.settle()
    world.check()
    # There is a port of "blue" by that number on switch 3.
    world.reals[3].holds = deepcopy(world.reals[1].holds)
    world.state.networks.held.add(3, "blue", 10)
    with pytest.raises(AssertionError, match="blue"):
        world.check()


@pytest.mark.parametrize("happens", ["disconnect", "kill"])
def test_a_number_that_went_to_another_vm_gets_nothing_of_the_old_one(happens: str) -> None:
    """OVSDB has not told of it; OpenFlow tells that the port has another name."""
    world = made()
    for network_id, key in zip(NETWORKS, KEYS):
        Act("add_key", (network_id, key))(world)
    for place in PLACES:
        Act("plug", (place,))(world)
    world.settle()
    world.cut_ovsdb(1)
    Act(happens, (1,) if happens == "disconnect" else ())(world)
    world.reals[1].plugged[1] = VM("stranger", "green", A)
    assert 1 in {port_no for _, port_no in _uses(world.reals[1])}
    world.connect(1)
    world.work(1)
    assert 1 not in {port_no for _, port_no in _uses(world.reals[1])}
    # Of the others, nothing is missed.
    assert 2 in {port_no for _, port_no in _uses(world.reals[1])}
    world.settle()
    assert (10, 1) not in _uses(world.reals[1])


def test_a_switch_that_is_connected_and_deleted_is_waited_for_until_its_strays_are_gone() -> None:
    """Its OVSDB was not read since the controller was started, and will not be."""
    world = made()
    Act("add_key", ("red", 10))(world)
    for place in ((1, 1), (2, 1)):
        Act("plug", (place,))(world)
    world.settle()
    Act("remove_key", ("red",))(world)
    Act("add_key", ("blue", 10))(world)
    world.kill()
    for dpid in (1, 2):
        world.connect(dpid)
        world.work(dpid)
    world.read_ovsdb(2)
    world.work(2)
    assert world.state.networks.waited_for("blue") == [1]
    world.deregister(1)
    world.work(1)
    assert world.state.networks.waited_for("blue") == []
