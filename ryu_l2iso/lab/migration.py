"""A VM moves from one node to another while it and its peers ping each other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ryu_l2iso.lab import demo, matrix, report
from ryu_l2iso.lab.moving import MovableVM
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.pinger import Line, Pinger
from ryu_l2iso.lab.pings import INTERVAL
from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM
from ryu_l2iso.state.locations import DUPLICATE

ROUNDS = 30
"""Pings of each VM to each other that are answered before the next step is taken."""


class Move(NamedTuple):
    """What a move of the VM ``moved`` has cost.

    ``paused``: how long the guest was, at most, in seconds; ``both``: packets that came to the
    source and to the destination.
    """

    moved: VM
    lines: list[Line]
    paused: float
    both: int

    @property
    def lost(self) -> int:
        """How many pings were not answered."""
        return sum(line.lost for line in self.lines)

    @property
    def twice(self) -> int:
        """How many pings and answers a VM got more than once."""
        return sum(line.twice for line in self.lines)

    @property
    def gap(self) -> float:
        """The longest time, in seconds, that a VM waited for its next answer."""
        return max(line.gap for line in self.lines)


def move(movable: MovableVM, destination: Node, peers: Sequence[VM]) -> Move:
    """Move a VM to another node as libvirt does, while it and its peers ping each other."""
    source = movable.vm.node
    with Pinger(movable.vm, peers) as pinger:
        pinger.watch(movable.cable(source))
        pinger.wait_for_answers(ROUNDS)
        movable.prepare(destination)
        pinger.watch(movable.cable(destination))
        pinger.wait_for_answers(ROUNDS)
        paused = movable.switch_over(destination)
        movable.announce()
        pinger.wait_for_answers(ROUNDS)
        movable.leave(source)
        pinger.wait_for_answers(ROUNDS)
        movable.wait_announced()
        rows = pinger.results()
    return Move(movable.vm, rows, paused, pinger.delivered_twice())


def peers_of(lab: Lab, vm: VM) -> list[VM]:
    """Return another VM of a VM's network for each of the first three nodes; raises LabError."""
    others = [other for other in lab.vms if other.network == vm.network and other is not vm]
    found = {other.node.name: other for other in reversed(others)}
    nodes = lab.nodes[:3]
    if len(nodes) < 2 or any(node.name not in found for node in nodes):
        raise LabError("a move needs two nodes, and on each a VM besides the one that moves")
    return [found[node.name] for node in nodes]


def run(lab: Lab) -> bool:
    """Wire a lab that was just entered, move its first VM, and print what that has cost.

    Returns whether isolation still holds, all pings are answered again and, unless both places
    are to get everything, nothing came twice.
    """
    vm = lab.vms[0]
    peers = peers_of(lab, vm)
    movable = MovableVM(vm)
    movable.add()
    demo.start(lab)
    demo.wire(lab)
    source, destination = lab.nodes[:2]
    print(report.title(f"{vm.name} moves from {source.name} to {destination.name}"))
    print(f"isolation {lab.isolation.name}, migration = {lab.migration}")
    start = time.monotonic()
    result = move(movable, destination, peers)
    print(f"plugged twice, paused and resumed, unplugged in {time.monotonic() - start:.2f} s")
    for text in lines(result, source, destination):
        print(text, flush=True)
    faults = matrix.measure(lab.vms).faults()
    for fault in faults:
        print(f"  ! {fault}")
    print(f"isolation matrix after it: {'as it must be' if not faults else 'NOT as it must be'}")
    return not faults and (not result.twice or lab.migration == DUPLICATE)


def lines(result: Move, source: Node, destination: Node) -> Iterator[str]:
    """Yield what a move has cost, for each two VMs and in all."""
    roles = {source.name: "source", destination.name: "destination"}
    head = f"pings every {_ms(INTERVAL)}"
    yield f"{head:<20} {'at':<12} {'sent':>5} {'lost':>5} {'twice':>6} {'gap':>7}"
    for line in result.lines:
        peer = line.destination if line.source is result.moved else line.source
        at = roles.get(peer.node.name, "third node")
        pair = f"{line.source.name} -> {line.destination.name}"
        yield (
            f"{pair:<20} {at:<12} {line.sent:>5} {line.lost:>5} {line.twice:>6} {_ms(line.gap):>7}"
        )
    sent = sum(line.sent for line in result.lines)
    yield f"lost {result.lost} of {sent}, twice {result.twice}, longest gap {_ms(result.gap)}"
    yield f"the guest was paused {_ms(result.paused)} at most"
    yield f"packets that came to both places: {result.both}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
