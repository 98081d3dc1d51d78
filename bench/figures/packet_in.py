"""MAC isolation: how fast new source MACs are learned, against a plain learning switch.

Each switch has a network of its own, so that a MAC is news for one switch, as it is for the plain
one.  The guests send again what nothing came of, so nothing is counted that was dropped.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench import controller, plugin
from bench.apps.bare import COMMAND
from bench.cloud import Cloud
from bench.fleet import Fleet
from bench.harness import Figure, Options, Row, Sample, at_least, at_most
from bench.watchdog import Watching
from tests.functional.controller import Controller

DEADLINE = 120.0
OPTIONS = "mac_learning_max = 4096\npacket_in_rate = 1000\n"


class Size(NamedTuple):
    """How many switches, MACs on each, and packets without an answer on each."""

    switches: int
    macs: int
    window: int


FULL = Size(16, 1000, 16)
TINY = Size(2, 10, 4)


def run(options: Options) -> Sample:
    """Measure the suite, then the plain switch."""
    size = TINY if options.tiny else FULL
    rate, echo = _suite(size)
    return {"rate": rate, "plain_rate": _plain(size), "echo": echo}


def _suite(size: Size) -> tuple[float, float]:
    """Return the MACs a second, and the longest echo."""
    cloud = Cloud(size.switches, size.switches, 0)
    vms = [cloud.add_vm(switch - 1, switch) for switch in cloud.switches]
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = stack.enter_context(Fleet(size.switches))
        running = stack.enter_context(controller.running(directory, "mac", OPTIONS))
        client = plugin.Plugin(running.rest_port)
        client.call(plugin.switches(fleet.addresses()))
        client.call(plugin.networks(cloud.networks, keys=False))
        client.call(plugin.interfaces(vms))
        fleet.plug(vms)
        fleet.wait_for_learning(DEADLINE)
        with Watching(running.openflow_port) as echo:
            seconds = fleet.learn(size.macs, size.window, DEADLINE)
    return size.macs * size.switches / seconds, echo.longest


def _plain(size: Size) -> float:
    """Return the MACs a second that the framework's kind of learning switch does."""
    app = Controller("bench.apps.learning_switch", command=COMMAND)
    with Fleet(size.switches) as fleet, app as running:
        running.wait_until_listening()
        fleet.connect(running.target)
        fleet.wait_for_learning(DEADLINE)
        seconds = fleet.learn(size.macs, size.window, DEADLINE)
    return size.macs * size.switches / seconds


FIGURE = Figure(
    "packet_in",
    run,
    [
        Row("packet-in: MACs learned", "rate", "1/s", at_least(3, "plain_rate"), "plain_rate"),
        Row("packet-in: longest echo", "echo", "s", at_most(1)),
    ],
)
