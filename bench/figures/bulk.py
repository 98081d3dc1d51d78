"""Real switches: all ports at once, and then one more, against OVN."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from bench import controller, nodes, plugin
from bench.cloud import VM, Cloud
from bench.harness import Figure, Options, Row, Sample, at_most
from bench.measuring import cpu_seconds, peak_megabytes, quantile
from bench.nodes import Nodes, Watchers
from bench.peers import ovn
from bench.watchdog import Watching

DEADLINE = 300.0


class Size(NamedTuple):
    """How large the cloud is; ``span`` as `Cloud` takes it."""

    switches: int
    networks: int
    ports: int
    rounds: int = 50
    span: int | None = None


FULL = Size(50, 50, 1000)
TINY = Size(2, 2, 8, 3)


def run(options: Options) -> Sample:
    """Measure the suite and, where it is asked for and installed, OVN."""
    size = TINY if options.tiny else FULL
    return {**measure(size, options), **_linked(size), **_one_by_one(size)}


def measure(size: Size, options: Options) -> Sample:
    """Return what ``run`` does for a size, but for what it is where tunnels are there already."""
    sample = _suite(size)
    if "ovn" in options.peers and ovn.is_installed():
        sample.update(_ovn(size))
    return sample


class _Suite(NamedTuple):
    """The suite while it runs on nodes that it knows; ``pids`` are its processes."""

    client: plugin.Plugin
    real: Nodes
    pids: list[int]
    openflow_port: int

    def bulk(
        self, name: str, cloud: Cloud, networks: Iterable[int], vms: Sequence[VM]
    ) -> dict[str, float]:
        """Measure from the first call for these until the cloud has its flows, as ``name``."""
        before, start = cpu_seconds(self.pids), time.monotonic()
        calls = [*plugin.networks(networks), *plugin.interfaces(vms)]
        self.client.call_in_parallel(calls)
        told = time.monotonic()
        self.real.plug(vms)
        plugged = time.monotonic()
        end = self.real.wait_for_flows(cloud.all_flows(), DEADLINE)
        return {
            name: end - start,
            f"{name}_rest": told - start,
            f"{name}_plug": plugged - told,
            f"{name}_cpu": cpu_seconds(self.pids) - before,
        }


@contextlib.contextmanager
def _suite_running(size: Size, at_once: int = plugin.AT_ONCE) -> Iterator[_Suite]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        real = stack.enter_context(nodes.running(size.switches))
        running = stack.enter_context(controller.running(directory))
        client = plugin.Plugin(running.rest_port, at_once)
        client.call(plugin.switches(real.addresses()))
        real.wait_for_flows(Cloud(size.switches, 1, 0).all_flows(), DEADLINE)
        yield _Suite(client, real, [running.process.pid], running.openflow_port)


def _suite(size: Size) -> dict[str, float]:
    cloud = Cloud(size.switches, size.networks, size.ports, size.span)
    with _suite_running(size) as suite, Watching(suite.openflow_port) as echo:
        sample = suite.bulk("bulk", cloud, cloud.networks, cloud.vms)

        def register(vm: VM) -> None:
            suite.client.call(plugin.interfaces([vm]))

        binds = _bind(cloud, suite.real, size.rounds, register)
        sample["bulk_rss"] = peak_megabytes(suite.pids)
        # Of VMs that nobody has registered the controller makes no flows.
        bare = _bind(cloud, suite.real, size.rounds, lambda vm: None, bare=True)
    return {**sample, "echo": echo.longest, **_times("bind", binds), **_times("bare", bare)}


def _linked(size: Size) -> dict[str, float]:
    """Return what bulk is on nodes that have a network in common, and so have all tunnels."""
    cloud = Cloud(size.switches, 1, 0)
    links = [cloud.add_vm(0, switch) for switch in cloud.switches]
    with _suite_running(size) as suite:
        suite.bulk("", cloud, cloud.networks, links)
        vms = cloud.grow(size.networks, size.ports)
        return suite.bulk("linked", cloud, cloud.networks[1:], vms)


def _one_by_one(size: Size) -> dict[str, float]:
    """Return what bulk is for a plugin that sends no batches."""
    cloud = Cloud(size.switches, size.networks, size.ports, size.span)
    with _suite_running(size, at_once=1) as suite:
        return suite.bulk("single", cloud, cloud.networks, cloud.vms)


def _ovn(size: Size) -> dict[str, float]:
    cloud = Cloud(size.switches, size.networks, size.ports, size.span)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        real = stack.enter_context(nodes.running(size.switches))
        peer = stack.enter_context(ovn.running(directory, real))
        before, start = peer.cpu_seconds(), time.monotonic()
        peer.create(cloud.networks, cloud.vms)
        real.plug(cloud.vms)
        end = peer.wait_for(len(cloud.vms))
        cpu = peer.cpu_seconds() - before

        def register(vm: VM) -> None:
            peer.create([], [vm])
            peer.wait()

        binds = _bind(cloud, real, size.rounds, register, any_flow=True, settled=peer.wait_until_up)
        sample = {"ovn_bulk": end - start, "ovn_cpu": cpu, "ovn_rss": peer.peak_megabytes()}
        return sample | _times("ovn_bind", binds)


class Bind(NamedTuple):
    """Seconds until the last switch had the flow: from the command, and from the port's row."""

    from_command: float
    from_row: float


def _bind(
    cloud: Cloud,
    real: Nodes,
    rounds: int,
    register: Callable[[VM], None],
    any_flow: bool = False,
    bare: bool = False,
    settled: Callable[[VM], None] = lambda vm: None,
) -> list[Bind]:
    """Plug one more VM, where its network is already, again and again.

    Its flow is known by its MAC; with ``any_flow`` every flow counts that comes first: OVN knows
    the MAC before, what comes is the way to the VM's node.  ``bare`` as `Watchers` has it.
    """
    binds = []
    with contextlib.ExitStack() as stack:
        watchers = Watchers(real, stack, bare)
        for number in range(rounds):
            network = number % len(cloud.networks)
            members = cloud.switches_with(network)
            vm = cloud.add_vm(network, members[number % len(members)])
            register(vm)
            watchers.drain(0.1)
            remotes = [switch for switch in members if switch != vm.switch] or members
            content = b"" if any_flow else bytes.fromhex(vm.mac.replace(":", ""))
            start = time.monotonic()
            with real.plugging(vm):
                row, last = watchers.wait_for(vm, remotes, content, DEADLINE)
            binds.append(Bind(last - start, last - row))
            settled(vm)
    return binds


def _times(name: str, binds: list[Bind]) -> dict[str, float]:
    commands = [bind.from_command * 1000 for bind in binds]
    rows = [bind.from_row * 1000 for bind in binds]
    return {
        name: quantile(commands, 0.5),
        f"{name}_row_p50": quantile(rows, 0.5),
        f"{name}_row_p99": quantile(rows, 0.99),
    }


FIGURE = Figure(
    "bulk",
    run,
    [
        Row("bulk", "bulk", "s", at_most(0.5, "ovn_bulk"), "ovn_bulk"),
        Row("bulk: REST calls alone", "bulk_rest", "s"),
        Row("bulk: plugging alone", "bulk_plug", "s"),
        Row("bulk: CPU", "bulk_cpu", "s", at_most(1 / 3, "ovn_cpu"), "ovn_cpu"),
        Row("bulk, tunnels there", "linked", "s", at_most(0.5, "ovn_bulk"), "ovn_bulk"),
        Row("bulk, tunnels there: CPU", "linked_cpu", "s", at_most(1 / 3, "ovn_cpu"), "ovn_cpu"),
        Row("bulk, each REST call by itself", "single", "s", None, "ovn_bulk"),
        Row("bulk, each REST call by itself: CPU", "single_cpu", "s", None, "ovn_cpu"),
        Row("bulk: memory", "bulk_rss", "MB", at_most(1 / 5, "ovn_rss"), "ovn_rss"),
        Row("bind, from ovs-vsctl", "bind", "ms", at_most(1 / 4, "ovn_bind"), "ovn_bind"),
        Row("bind, from the OVSDB row, p50", "bind_row_p50", "ms", at_most(10)),
        Row("bind, from the OVSDB row, p99", "bind_row_p99", "ms", at_most(50)),
        Row("bind, bare Open vSwitch, from ovs-vsctl", "bare", "ms"),
        Row("bind, bare Open vSwitch, from the OVSDB row, p50", "bare_row_p50", "ms"),
        Row("bulk and bind: longest echo", "echo", "s", at_most(1)),
    ],
)
