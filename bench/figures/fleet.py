"""A fleet of simulated switches: cold start, one more port, restart, echo all the while."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench import controller, plugin
from bench.cloud import Cloud
from bench.fleet import Fleet
from bench.harness import Figure, Options, Row, Sample, at_most
from bench.measuring import cpu_seconds, peak_megabytes, quantile
from bench.watchdog import Watching
from tests.functional.controller import Controller

DEADLINE = 900.0
ROUNDS = 50


class Size(NamedTuple):
    """How large the fleet is; ``span`` as `Cloud` takes it."""

    switches: int
    networks: int
    ports: int
    span: int | None = None
    rounds: int = ROUNDS
    warm_deadline: float = 90.0


FULL = Size(500, 500, 20_000)
TINY = Size(4, 3, 24, rounds=5, warm_deadline=3.0)


def cold_start(cloud: Cloud, fleet: Fleet, running: Controller) -> dict[str, float]:
    """Tell the controller everything of switches that are there; return what it costs it."""
    pid = running.process.pid
    calls = [
        *plugin.switches(fleet.addresses()),
        *plugin.networks(cloud.networks),
        *plugin.interfaces(cloud.vms),
    ]
    fleet.messages()
    before, simulator = cpu_seconds([pid]), cpu_seconds([fleet.pid])
    start = time.monotonic()
    plugin.Plugin(running.rest_port).call_in_parallel(calls)
    told = time.monotonic()
    end = fleet.wait_for_flows(cloud.all_flows(), DEADLINE)
    messages = fleet.messages()
    return {
        "cold": end - start,
        "cold_rest": told - start,
        "cold_cpu": cpu_seconds([pid]) - before,
        "cold_simulator_cpu": cpu_seconds([fleet.pid]) - simulator,
        "cold_rss": peak_megabytes([pid]),
        "cold_changing": messages.changing,
        "cold_flows": sum(cloud.all_flows().values()),
        "cold_transactions": messages.transactions,
    }


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
        others = [switch for switch in cloud.switches if switch not in members]
        choice = (joins and others) or members
        vm = cloud.add_vm(network, choice[number % len(choice)])
        client.call(plugin.interfaces([vm]))
        plugged = fleet.plug([vm])
        concerned = {str(switch): cloud.flows(switch) for switch in {*members, vm.switch}}
        times.append(fleet.wait_for_flows(concerned, DEADLINE) - plugged)
    return times


def run(options: Options) -> Sample:
    """Measure all of it once."""
    size = TINY if options.tiny else FULL
    cloud = Cloud(size.switches, size.networks, size.ports, size.span)
    with tempfile.TemporaryDirectory() as directory, Fleet(size.switches) as fleet:
        fleet.plug(cloud.vms)
        with controller.running(Path(directory)) as running:
            with Watching(running.openflow_port) as cold_echo:
                sample = cold_start(cloud, fleet, running)
            with Watching(running.openflow_port) as bind_echo:
                times = bind(cloud, fleet, running, size.rounds, joins=False)
                joins = bind(cloud, fleet, running, size.rounds, joins=True)
        sample.update(_warm_restart(fleet, Path(directory), size.warm_deadline))
    sample["bind_p50"] = quantile(times, 0.5) * 1000
    sample["bind_p99"] = quantile(times, 0.99) * 1000
    sample["join_p50"] = quantile(joins, 0.5) * 1000
    sample["echo"] = max(cold_echo.longest, bind_echo.longest, sample.get("warm_echo", 0.0))
    return sample


def _warm_restart(fleet: Fleet, directory: Path, deadline: float) -> dict[str, float]:
    """Start the controller again; return how long it is busy, and what it sends.

    Nothing, when it never gets to read every switch again: it does not remember them.
    """
    fleet.messages()
    start = time.monotonic()
    with controller.running(directory) as running:
        with Watching(running.openflow_port) as echo:
            try:
                end = fleet.wait_for_quiet(deadline)
            except TimeoutError:
                return {}
        changing = fleet.messages().changing
    return {"warm": end - start, "warm_changing": changing, "warm_echo": echo.longest}


FIGURE = Figure(
    "fleet",
    run,
    [
        Row("fleet, cold start", "cold", "s", at_most(60)),
        Row("fleet, cold start: REST calls alone", "cold_rest", "s"),
        Row("fleet, cold start: CPU", "cold_cpu", "s"),
        Row("fleet, cold start: CPU of the simulator", "cold_simulator_cpu", "s"),
        Row("fleet, peak RSS", "cold_rss", "MB", at_most(1000)),
        Row("fleet, flows", "cold_flows", ""),
        Row("fleet, changing messages", "cold_changing", ""),
        Row("fleet, OVSDB transactions", "cold_transactions", ""),
        Row("fleet, bind p50", "bind_p50", "ms", at_most(20)),
        Row("fleet, bind p99", "bind_p99", "ms", at_most(200)),
        Row("fleet, bind where the network is new, p50", "join_p50", "ms"),
        Row("fleet, warm restart", "warm", "s", at_most(30)),
        Row("fleet, warm restart: changing messages", "warm_changing", "", at_most(0)),
        Row("fleet, longest echo", "echo", "s", at_most(1)),
    ],
)
