"""A fleet of simulated switches: cold start, one more port, idle, restart, echo all the while.

What is not reached in time ends a run; what was measured until then, and how far it got, counts.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import controller, plugin
from bench.cloud import Cloud
from bench.fleet import Fleet
from bench.harness import Figure, Options, Row, Sample, at_least, at_most, tell
from bench.measuring import cpu_seconds, peak_megabytes, quantile
from bench.watchdog import Watching
from tests.functional.controller import Controller

_BIND_DEADLINE = 60.0


class Size(NamedTuple):
    """How large the fleet is; ``span`` as `Cloud` takes it.

    ``deadline`` is in seconds, for the cold start and for the restart.
    """

    switches: int
    networks: int
    ports: int
    span: int | None = None
    deadline: float = 900.0
    rounds: int = 50
    idle: float = 30.0


RACKS = Size(500, 500, 20_000, span=40)
ANYWHERE = Size(500, 500, 20_000, deadline=3600.0)
TINY = Size(4, 3, 24, deadline=60.0, rounds=5, idle=1.0)


def cold_start(
    cloud: Cloud, fleet: Fleet, running: Controller, deadline: float
) -> tuple[dict[str, float], bool]:
    """Tell the controller everything of switches that are there; return what it costs it.

    And whether every switch had what it must have before the deadline.
    """
    pid = running.process.pid
    calls = [
        *plugin.switches(fleet.addresses()),
        *plugin.networks(cloud.networks),
        *plugin.interfaces(cloud.vms),
    ]
    wanted = cloud.all_flows()
    fleet.messages()
    before, simulator = cpu_seconds([pid]), cpu_seconds([fleet.pid])
    start = time.monotonic()
    plugin.Plugin(running.rest_port).call_in_parallel(calls)
    told = time.monotonic()
    tell(f"REST has been told all in {told - start:.1f} s")
    end = _wait_for_flows(fleet, wanted, pid, start + deadline)
    messages, found = fleet.messages(), fleet.contents()["flows"]
    sample = {
        "cold_rest": told - start,
        "cold_cpu": cpu_seconds([pid]) - before,
        "cold_simulator_cpu": cpu_seconds([fleet.pid]) - simulator,
        "cold_rss": peak_megabytes([pid]),
        "cold_changing": messages.changing,
        "cold_flows": sum(wanted.values()),
        "cold_reached": 100.0 * sum(found.values()) / sum(wanted.values()),
        "cold_transactions": messages.transactions,
    }
    if end is not None:
        sample["cold"] = end - start
    return sample, end is not None


def _wait_for_flows(fleet: Fleet, wanted: dict[str, int], pid: int, until: float) -> float | None:
    """Wait for flows, and tell now and then how far it is; return since when they are there."""
    while time.monotonic() < until:
        try:
            return fleet.wait_for_flows(wanted, min(10.0, max(until - time.monotonic(), 0.1)))
        except TimeoutError:
            found = sum(fleet.contents()["flows"].values())
            cpu, memory = cpu_seconds([pid]), peak_megabytes([pid])
            tell(f"{found:,} of {sum(wanted.values()):,} flows, {cpu:.0f} s CPU, {memory:.0f} MB")
    tell("that takes too long: given up")
    return None


def bind(cloud: Cloud, fleet: Fleet, running: Controller, rounds: int, joins: bool) -> list[float]:
    """Plug one more VM, again and again; return the seconds until the last switch had its flow.

    It is on a switch that has its network already; with ``joins`` on one that has not, if there
    is one: that switch gets flows for all of the network's VMs, and tunnels that it lacks.
    """
    times = []
    client = plugin.Plugin(running.rest_port)
    for number in range(rounds):
        network = number % len(cloud.networks)
        members = cloud.switches_with(network)
        others = [switch for switch in cloud.reach(network) if switch not in members]
        choice = (joins and others) or members
        vm = cloud.add_vm(network, choice[number % len(choice)])
        client.call(plugin.interfaces([vm]))
        plugged = fleet.plug([vm])
        concerned = {str(switch): cloud.flows(switch) for switch in {*members, vm.switch}}
        times.append(fleet.wait_for_flows(concerned, _BIND_DEADLINE) - plugged)
    return times


def run(options: Options, full: Size) -> Sample:
    """Measure all of it once."""
    size = TINY if options.tiny else full
    cloud = Cloud(size.switches, size.networks, size.ports, size.span)
    with tempfile.TemporaryDirectory() as directory, Fleet(size.switches) as fleet:
        fleet.plug(cloud.vms)
        with controller.running(Path(directory)) as running:
            with Watching(running.openflow_port) as echo:
                sample, done = cold_start(cloud, fleet, running, size.deadline)
            sample["cold_echo"] = echo.longest
            if not done:
                return sample
            try:
                sample.update(_loaded(cloud, fleet, running, size))
            except TimeoutError as error:
                tell(str(error))
        sample.update(_warm_restart(fleet, Path(directory), size.deadline))
    return sample


def _loaded(cloud: Cloud, fleet: Fleet, running: Controller, size: Size) -> dict[str, float]:
    """Measure the fleet that has all its ports."""
    pid = running.process.pid
    # All flows are there; the last groups, and what turns out to change nothing, may be due still.
    start = time.monotonic()
    settled = max(fleet.wait_for_quiet(size.deadline) - start, 0.0)
    with Watching(running.openflow_port) as echo:
        times = bind(cloud, fleet, running, size.rounds, joins=False)
        joins = bind(cloud, fleet, running, size.rounds, joins=True)
    before = cpu_seconds([pid])
    time.sleep(size.idle)
    return {
        "settled": settled,
        "bind_p50": quantile(times, 0.5) * 1000,
        "bind_p99": quantile(times, 0.99) * 1000,
        "join_p50": quantile(joins, 0.5) * 1000,
        "bind_echo": echo.longest,
        "idle": 100 * (cpu_seconds([pid]) - before) / size.idle,
    }


def _warm_restart(fleet: Fleet, directory: Path, deadline: float) -> dict[str, float]:
    """Start the controller again; return how long it is busy, and what it sends."""
    fleet.messages()
    start = time.monotonic()
    with controller.running(directory) as running:
        pid = running.process.pid
        with Watching(running.openflow_port) as echo:
            try:
                end = fleet.wait_for_quiet(deadline)
            except TimeoutError as error:
                tell(str(error))
                return {}
        return {
            "warm": end - start,
            "warm_changing": fleet.messages().changing,
            "warm_cpu": cpu_seconds([pid]),
            "warm_rss": peak_megabytes([pid]),
            "warm_echo": echo.longest,
        }


_ROWS = [
    Row("cold start", "cold", "s", at_most(60)),
    Row("cold start: from the last flow to the last change", "settled", "s"),
    Row("cold start: REST calls alone", "cold_rest", "s"),
    Row("cold start: CPU", "cold_cpu", "s"),
    Row("cold start: CPU of the simulator", "cold_simulator_cpu", "s"),
    Row("peak RSS", "cold_rss", "MB", at_most(1000)),
    Row("flows", "cold_flows", ""),
    Row("flows that were reached", "cold_reached", "%", at_least(100)),
    Row("changing messages", "cold_changing", ""),
    Row("OVSDB transactions", "cold_transactions", ""),
    Row("cold start: longest echo", "cold_echo", "s", at_most(1)),
    Row("bind p50", "bind_p50", "ms", at_most(20)),
    Row("bind p99", "bind_p99", "ms", at_most(200)),
    Row("bind where the network is new, p50", "join_p50", "ms"),
    Row("bind: longest echo", "bind_echo", "s", at_most(1)),
    Row("idle: CPU, of one core", "idle", "%"),
    Row("warm restart", "warm", "s", at_most(30)),
    Row("warm restart: changing messages", "warm_changing", "", at_most(0)),
    Row("warm restart: CPU", "warm_cpu", "s"),
    Row("warm restart: peak RSS", "warm_rss", "MB", at_most(1000)),
    Row("warm restart: longest echo", "warm_echo", "s", at_most(1)),
]


def _rows(name: str, goals: bool) -> list[Row]:
    return [Row(f"{name}, {r.label}", r.key, r.unit, r.goal if goals else None) for r in _ROWS]


FIGURE = Figure("fleet", partial(run, full=RACKS), _rows("fleet", goals=True))
"""Each network on 40 switches in a row, as a scheduler has it that keeps a tenant's VMs close."""

FIGURE_ANYWHERE = Figure(
    "fleet_anywhere",
    partial(run, full=ANYWHERE),
    _rows("fleet, VMs anywhere", goals=False),
    asked=True,
)
"""Each VM on any switch: nearly every switch shares a network with nearly every other."""
