"""A key works for one network at a time, on the whole fleet, whatever happens in whatever order.

Keys go from network to network while switches connect, are lost, confirm late or not at all, and
the controller is killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.pipelines.flow import Group, Output, SetTunnelId, ToGroup
from ryu_l2iso.pipelines.gre import LOCAL_OUT, GrePipeline
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import InterfaceFact, VMPort
from ryu_l2iso.state.state import State
from tests.unit.cloud import GRE_KEYS
from tests.unit.handover import DPIDS, VM, Real, World
from tests.unit.handover_acts import Act, acts, live_through, lives
from tests.unit.openflow_fakes import flows

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
    return None if vm is None else vm.network_id


def _uses(real: Real) -> Iterator[tuple[int, int]]:
    """Yield each key with each port of a switch that sends or gets packets with it."""
    for flow in flows(real.holds):
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
        world.order(partial(world.state.add_network, network_id))
    for vm in PLACES.values():
        world.interface(vm)
    return world


networks = st.sampled_from(NETWORKS)
lives_of_keys = lives(
    acts(["add_key"], networks, st.sampled_from(KEYS)),
    acts(["remove_key", "add_network", "remove_network"], networks),
    st.builds(Act, st.just("plug"), st.sampled_from([(*at, vm) for at, vm in PLACES.items()])),
    st.builds(Act, st.just("unplug"), st.sampled_from(sorted(PLACES))),
)


def filled() -> World:
    """Return a world in which all is plugged and two networks have keys."""
    world = made()
    for network_id, key in zip(NETWORKS, KEYS):
        world.order(partial(world.state.add_key, network_id, key))
    for place, vm in PLACES.items():
        world.plug(*place, vm)
    return world


@settings(max_examples=150)
@given(steps=lives_of_keys)
def test_a_key_is_never_used_by_two_networks(steps: list[Act]) -> None:
    world = filled()
    live_through(world, steps)
    for dpid in DPIDS:
        for port in world.state.ports.on(dpid):
            if isinstance(port, VMPort) and port.network_id is not None:
                assert port.key == world.state.networks.key(port.network_id)
    assert not any(world.state.networks.waited_for(network_id) for network_id in NETWORKS)


def test_the_check_sees_a_key_of_two_networks() -> None:
    world = made()
    world.plug(1, 1, PLACES[1, 1])
    world.order(lambda: world.state.add_key("red", 10))
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
    world = filled()
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
    world.order(lambda: world.state.add_key("red", 10))
    for place in ((1, 1), (2, 1)):
        world.plug(*place, PLACES[place])
    world.settle()
    world.order(lambda: world.state.remove_key("red"))
    world.order(lambda: world.state.add_key("blue", 10))
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
