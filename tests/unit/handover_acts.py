"""What may happen in a `World`, for hypothesis to choose from, and rules that hold through it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.unit.handover import DPIDS, World


@dataclass(frozen=True)
class Act:
    """Something that happens; ``meanwhile`` while it is under way.  Printed when a test fails."""

    name: str
    arguments: tuple[Any, ...] = ()
    meanwhile: tuple[Act, ...] = ()

    def __call__(self, world: World) -> None:
        """Have the world do it, or the state as REST orders it to."""
        if hasattr(world, self.name):
            happens = [lambda act=act: act(world) for act in self.meanwhile]
            getattr(world, self.name)(*self.arguments, *happens)
        else:
            world.order(lambda: getattr(world.state, self.name)(*self.arguments))


def acts(names: Sequence[str], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    """Return acts of any of these names, with arguments of these kinds."""
    return st.builds(Act, st.sampled_from(names), st.tuples(*arguments))


def lives(*own: st.SearchStrategy[Act]) -> st.SearchStrategy[list[Act]]:
    """Return what happens one after the other: acts of a test's own, and what happens to any."""
    dpids = st.sampled_from(DPIDS)
    links = ["connect", "disconnect", "cut_ovsdb", "read_ovsdb", "register", "deregister"]
    happenings = st.one_of(*own, acts(links, dpids), acts(["give_up"]))
    fates = st.sampled_from(["ok", "ok", "ok", "lost", "unconfirmed"])
    meanwhile = st.lists(happenings, max_size=3).map(tuple)
    works = st.builds(Act, st.just("work"), st.tuples(dpids, fates), meanwhile)
    kills = acts(["kill"], st.integers(0, 3) | st.none())
    return st.lists(st.one_of(works, works, happenings, kills), max_size=50)


def live_through(world: World, steps: Sequence[Act]) -> None:
    """Check the claims at each step; in the end all is as desired, and nobody waits."""
    logging.disable(logging.CRITICAL)
    try:
        world.settle()
        for step in steps:
            step(world)
            world.check()
        world.settle()
    finally:
        logging.disable(logging.NOTSET)
    for dpid, real in world.reals.items():
        assert real.holds == world.desired(dpid)
        assert not world.state.confirmations.waited_for(dpid)
