"""A wired lab in which things happen: what is so by now, and what a thing that happens is."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Callable, NamedTuple

from ryu_l2iso.lab.expected import Registered, differences
from ryu_l2iso.lab.moving import MovableVM
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.shell import LabError, wait_until
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM

DEADLINE = 40.0
"""Seconds that the fleet has to be as it should be after a fault."""


class Line(NamedTuple):
    """Two VMs between whom pings go."""

    source: VM
    destination: VM


class Effect(NamedTuple):
    """What a fault was, whose pings it may cost, and what is to be checked when it is over.

    ``ports_changed``: ports came or went besides; ``check`` returns in words what is not as it
    must be.
    """

    text: str
    excused: Callable[[Line], bool]
    ports_changed: bool = False
    check: Callable[[], list[str]] = list


@dataclass
class Scene:
    """A wired lab, and what its VMs and registrations are by now.

    ``away`` is the longest time in seconds that something is left broken; ``outages`` says it
    exactly for a fault of a name.
    """

    lab: Lab
    random: random.Random
    movables: dict[str, MovableVM]
    away: float
    outages: Mapping[str, float] = field(default_factory=dict)
    registered: Registered = field(init=False)

    def __post_init__(self) -> None:
        self.registered = Registered.of(self.lab)

    def node(self) -> Node:
        """Return a node."""
        return self.random.choice(self.lab.nodes)

    def plugged(self) -> list[VM]:
        """Return the VMs that are plugged."""
        return [vm for vm in self.lab.vms if vm.plugged]

    def agent_of(self, node: Node) -> int:
        """Return the place of a node, and of its agent, in the lab."""
        return self.lab.nodes.index(node)

    def pause(self, name: str) -> float:
        """Leave things as the fault of this name has made them; return for how many seconds."""
        seconds = self.outages.get(name, self.random.uniform(0.1, 1.0) * self.away)
        time.sleep(seconds)
        return seconds

    def come_or_go(self, besides: Collection[VM] = ()) -> VM:
        """Plug a VM that is not, as soon as a quarter are not; else unplug one of the others."""
        vms = [vm for vm in self.lab.vms if vm not in besides]
        out = [vm for vm in vms if not vm.plugged]
        if out and (len(out) >= len(vms) / 4 or self.random.random() < 0.5):
            vm = self.random.choice(out)
            vm.plug()
        else:
            vm = self.random.choice([vm for vm in vms if vm.plugged])
            vm.unplug()
        return vm

    def differences(self) -> list[str]:
        """Return how the switches differ from what they should hold; see `expected`."""
        try:
            return differences(self.lab, self.registered)
        except LabError as error:
            return [str(error)]

    def wait_as_expected(self) -> float:
        """Wait until all switches hold what they should; return the seconds that it took."""
        start = time.monotonic()
        faults: list[str] = []

        def as_expected() -> bool:
            faults[:] = self.differences()
            return not faults

        try:
            wait_until(as_expected, DEADLINE, "all switches to hold what they should", 0.05)
        except LabError as error:
            raise LabError("\n  ".join([str(error), *faults[:8]])) from None
        return time.monotonic() - start


def nobody(line: Line) -> bool:
    """Excuse no lost ping."""
    return False


def of_nodes(*nodes: Node) -> Callable[[Line], bool]:
    """Excuse what is lost from or to a VM of these nodes."""
    names = {node.name for node in nodes}
    return lambda line: bool(names & {line.source.node.name, line.destination.node.name})


def between_nodes(nodes: Collection[Node]) -> Callable[[Line], bool]:
    """Excuse what is lost on its way from or to one of these nodes."""
    touched = of_nodes(*nodes)
    return lambda line: line.source.node is not line.destination.node and touched(line)


def of_vms(*vms: VM) -> Callable[[Line], bool]:
    """Excuse what is lost from or to these VMs."""
    names = {vm.name for vm in vms}
    return lambda line: bool(names & {line.source.name, line.destination.name})


def of_network(scene: Scene, *network_ids: str) -> Callable[[Line], bool]:
    """Excuse what is lost inside these networks."""
    return of_vms(*(vm for vm in scene.lab.vms if vm.network.network_id in network_ids))


Fault = Callable[[Scene], Effect]
"""Its ``__doc__`` says what happens; its name, what the tables call it."""
