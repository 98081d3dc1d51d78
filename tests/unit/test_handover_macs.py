"""A MAC is in one network at a time, on the whole fleet, whatever happens in whatever order.

As `test_handover_keys`, where networks are told apart by MACs: those of VMs and learned ones.
"""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.pipelines.flow import Match
from ryu_l2iso.pipelines.mac import OUTSIDE, MacPipeline, network_metadata
from ryu_l2iso.state.locations import DUPLICATE
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, PortId
from ryu_l2iso.state.state import State
from tests.unit.handover import DPIDS, VM, World
from tests.unit.handover_acts import Act, acts, live_through, lives
from tests.unit.openflow_fakes import flows, packed

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
        for flow in flows(real.holds):
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
        world.order(partial(world.state.ensure_port, NW_ID_EXTERNAL, port_id))
    for network_id in NETWORKS:
        world.order(partial(world.state.add_network, network_id))
    for vm in VMS:
        world.interface(vm)
    return world


networks, dpids = st.sampled_from(NETWORKS), st.sampled_from(DPIDS)
numbers = st.sampled_from([1, 2])
lives_of_macs = lives(
    acts(["add_network", "remove_network"], networks),
    acts(["plug"], dpids, numbers, st.sampled_from(VMS)),
    acts(["unplug"], dpids, numbers),
    acts(["learn"], dpids, numbers, st.sampled_from(MACS)),
)


@settings(max_examples=150)
@given(steps=lives_of_macs)
def test_a_mac_is_never_used_by_two_networks(steps: list[Act]) -> None:
    world = made()
    for dpid, vm in zip(DPIDS, VMS):
        world.plug(dpid, 1, vm)
    live_through(world, steps)
    assert not any(world.state.ports.leftovers.on(dpid) for dpid in DPIDS)


def test_the_check_sees_a_mac_of_two_networks() -> None:
    world = made()
    world.plug(1, 1, VMS[0])
    world.settle()
    world.check()
    for flow in flows(world.reals[1].holds):
        if flow.match.eth_src == A:
            metadata = network_metadata("blue")
            other = flow._replace(match=flow.match._replace(metadata=metadata))
            world.reals[2].holds.flows.update(packed(other))
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
