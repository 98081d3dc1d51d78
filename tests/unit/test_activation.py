"""Any history of a migration, against a model; and flows kept up to date from the marks alone."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ryu_l2iso.state.locations import ACTIVATE
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId
from ryu_l2iso.state.state import State
from tests.unit.cloud import GRE_KEYS
from tests.unit.test_any_order import FACTS, INTERFACES, PLUGGED, World

MAC = "fa:16:3e:00:00:02"
PLACES = [PortId(1, 5), PortId(2, 5), PortId(3, 5), PortId(3, 6)]
STEPS = st.lists(
    st.tuples(st.sampled_from(["plug", "unplug", "down", "up", "shown"]), st.sampled_from(PLACES)),
    max_size=30,
)


class Model:
    """Which of the places is active, in the plainest words: the last shown, else the oldest."""

    def __init__(self) -> None:
        self.plugged: list[PortId] = []
        self.down: set[PortId] = set()
        self.shown: list[PortId] = []

    @property
    def active(self) -> PortId | None:
        candidates = [place for place in self.plugged if place not in self.down]
        shown = [place for place in self.shown if place in candidates]
        return next(iter(shown[-1:] or candidates[:1]), None)

    def step(self, what: str, place: PortId) -> None:
        if what == "plug" and place not in self.plugged:
            self.plugged.append(place)
        elif what in ("down", "up") and place in self.plugged:
            (self.down.add if what == "down" else self.down.discard)(place)
        elif what == "unplug":
            self.plugged = [other for other in self.plugged if other != place]
            self.shown = [other for other in self.shown if other != place]
            self.down.discard(place)
        elif what == "shown" and place in set(self.plugged) - self.down - {self.active}:
            self.shown.append(place)


def tell(world: World, model: Model, what: str, place: PortId) -> None:
    """Tell the state of a step, as OpenFlow and OVSDB do, unless it cannot happen."""
    ports, name = world.state.ports, f"moved{place.port_no}"
    if what == "unplug":
        ports.remove_of_port(place.dpid, place.port_no)
        ports.update_interfaces(place.dpid, {name: None})
    elif what == "shown":
        world.state.guest_shown(place)
    elif what == "plug" or place in model.plugged:
        if what == "plug" and place in model.plugged:
            return
        port = OFPort(place.port_no, name, up=what != "down")
        ports.set_of_port(place.dpid, port)
        row = InterfaceFact(name, place.port_no, "moving", MAC)
        ports.update_interfaces(place.dpid, {name: row})


def world_without_the_moving_one() -> World:
    """Return a settled world with all networks, switches and tunnels, and the VMs that stay."""
    world = World(State(GRE_KEYS, ACTIVATE))
    moving = {f"{dpid}/tap{no}" for (dpid, no), (iface, _) in PLUGGED.items() if iface == "moving"}
    for fact in FACTS:
        words = fact.name.split()
        if len(words) < 2 or words[1] not in moving:
            fact.add(world)
    world.settle()
    return world


def test_the_facts_left_out_are_those_of_the_moving_interface() -> None:
    assert "moving" in INTERFACES
    assert world_without_the_moving_one().state.locations("moving") == []


@settings(max_examples=150)
@given(steps=STEPS, settle_often=st.booleans())
@example(
    steps=[
        *(("plug", place) for place in PLACES[:2]),
        *((what, PLACES[0]) for what in ("down", "up")),
    ],
    settle_often=True,
)
def test_any_history_of_a_migration(steps: list[tuple[str, PortId]], settle_often: bool) -> None:
    world, model = world_without_the_moving_one(), Model()
    for what, place in steps:
        tell(world, model, what, place)
        model.step(what, place)
        topology = world.state.topology
        complete = topology.locations("red", MAC)
        assert complete == tuple(sorted(set(model.plugged) - model.down))
        active = {place for place in complete if topology.is_active(place)}
        assert active == ({model.active} if complete else set())
        if settle_often:
            world.settle()
            assert world.kept() == world.full()
    world.settle()
    assert world.kept() == world.full()
