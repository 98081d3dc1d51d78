"""One big network: what one more port costs when there are many already."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench import controller, plugin
from bench.cloud import Cloud
from bench.fleet import Fleet
from bench.harness import Figure, Options, Row, Sample, at_most
from bench.measuring import cpu_seconds
from bench.watchdog import Watching

DEADLINE = 900.0


class Size(NamedTuple):
    """How large the network gets, in how many waves of ports."""

    switches: int
    ports: int
    waves: int = 10


FULL = Size(200, 2000)
TINY = Size(4, 40, 4)


def run(options: Options) -> Sample:
    """Plug the ports in waves; compare the last wave, where most are there, with the second.

    The first one makes the tunnels.
    """
    size = TINY if options.tiny else FULL
    cloud = Cloud(size.switches, 1, 0)
    costs: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        fleet = stack.enter_context(Fleet(size.switches))
        running = stack.enter_context(controller.running(Path(directory)))
        client = plugin.Plugin(running.rest_port)
        client.call(plugin.networks(cloud.networks))
        client.call(plugin.switches(fleet.addresses()))
        with Watching(running.openflow_port) as echo:
            for _ in range(size.waves):
                cpu = cpu_seconds([running.process.pid])
                cost = _wave(cloud, fleet, client, size.ports // size.waves)
                cost["cpu"] = cpu_seconds([running.process.pid]) - cpu
                costs.append(cost)
    second, last = costs[1], costs[-1]
    return {
        "messages": last["messages"],
        "per_switch": last["messages"] / size.switches,
        "growth": last["messages"] / second["messages"],
        "seconds": sum(cost["seconds"] for cost in costs),
        "cpu": sum(cost["cpu"] for cost in costs),
        "cpu_growth": last["cpu"] / max(second["cpu"], 0.01),
        "echo": echo.longest,
    }


def _wave(cloud: Cloud, fleet: Fleet, client: plugin.Plugin, ports: int) -> dict[str, float]:
    """Plug ports, one on each switch in turn; return the cost of it, messages for each port."""
    first = len(cloud.vms)
    vms = [cloud.add_vm(0, (first + n) % len(cloud.switches) + 1) for n in range(ports)]
    client.call(plugin.interfaces(vms))
    fleet.messages()
    start = time.monotonic()
    fleet.plug(vms)
    end = fleet.wait_for_flows(cloud.all_flows(), DEADLINE)
    return {"seconds": end - start, "messages": fleet.messages().changing / ports}


FIGURE = Figure(
    "big_network",
    run,
    [
        Row("one big network: messages for each port", "messages", ""),
        Row("one big network: the same for each switch", "per_switch", "", at_most(2)),
        Row("one big network: growth of that from 2nd to last wave", "growth", "", at_most(1.1)),
        Row("one big network: growth of CPU", "cpu_growth", ""),
        Row("one big network: all ports", "seconds", "s"),
        Row("one big network: CPU", "cpu", "s"),
        Row("one big network: longest echo", "echo", "s", at_most(1)),
    ],
)
