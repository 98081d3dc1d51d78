"""The main job from nothing to the isolation matrix, with its report."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Callable

from ryu_l2iso.lab import matrix, report
from ryu_l2iso.lab.shell import LabError, median
from ryu_l2iso.lab.station import first_ping
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _timed(what: str, step: Callable[[], object]) -> None:
    start = time.monotonic()
    step()
    print(f"{time.monotonic() - start:6.2f} s  {what}", flush=True)


def plug_all(lab: Lab) -> list[float]:
    """Plug the VMs one by one, each pinging one plugged before it until that answers.

    Returns the seconds from plugging to the first answer, for every VM that had another of its
    network to ping.  Raises LabError when one has no answer.
    """
    times: list[float] = []
    plugged: dict[str, list[VM]] = {network.name: [] for network in lab.networks}
    for vm in lab.plug_order():
        peers = plugged[vm.network.name]
        vm.plug()
        if peers:
            elsewhere = [peer for peer in peers if peer.node is not vm.node]
            times.append(first_ping(vm, (elsewhere or peers)[0]))
        peers.append(vm)
    return times


def start(lab: Lab) -> None:
    """Start controller and agents in a lab that was just entered, and register everything."""
    _timed("controller started, its REST API answers", lab.start_controller)
    _timed(f"{len(lab.agents)} agents started, their switches programmed", lab.start_agents)
    _timed("networks, keys and interfaces registered by REST", lab.register)


def wire(lab: Lab) -> list[float]:
    """Plug all VMs and wait until each pair of a network answers; returns what plug_all does."""
    times: list[float] = []
    _timed(f"{len(lab.vms)} VMs plugged, each pinging", lambda: times.extend(plug_all(lab)))
    _timed(
        "every pair of a network answers over IPv4 and IPv6",
        lambda: matrix.wait_until_wired(lab.vms),
    )
    return times


def run(lab: Lab) -> bool:
    """Start and wire a lab that was just entered, and print everything about it.

    Returns whether the whole isolation matrix is as it must be.
    """
    start(lab)
    times: list[float] = []
    try:
        times = wire(lab)
    except LabError as error:
        # The matrix then says who is not reached.
        print(f"not wired: {error}")
        for vm in lab.vms:
            if not vm.plugged:
                vm.plug()
    print(report.title("Topology"))
    _print(report.topology_lines(lab))
    print(report.title("Isolation matrix"))
    result = matrix.measure(lab.vms)
    _print(report.matrix_lines(result))
    if not lab.isolation.flat:
        print(report.title("Tunnels"))
        _print(report.tunnel_lines(lab.nodes))
    print(report.title(f"Flows of {lab.nodes[0].name}'s br-int"))
    _print(report.flow_lines(lab.nodes[0], lab.isolation.pipeline))
    print(report.title("Figures"))
    if times:
        print(
            f"plugging a VM to its first successful ping: median {median(times) * 1000:.0f} ms,"
            f" longest {max(times) * 1000:.0f} ms\n(ovs-vsctl included;"
            f" the {len(times)} VMs that had another of their network to ping)"
        )
    return result.ok
