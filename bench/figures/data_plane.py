"""What the pipeline costs packets: between two nodes, against one NORMAL flow, the same tunnel."""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.harness import Figure, Options, Row, Sample, at_least, at_most
from ryu_l2iso.lab import demo
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM

PORT = 5001
_BUFFER = bytes(1 << 18)
NORMAL = "actions=NORMAL"


class Size(NamedTuple):
    """Pings, seconds of TCP, and how often each way is measured in turn."""

    pings: int
    seconds: float
    turns: int


FULL = Size(300, 2.0, 5)
TINY = Size(10, 0.2, 1)


def run(options: Options) -> Sample:
    """Measure both ways in turn, in one lab; the controller does not run meanwhile."""
    size = TINY if options.tiny else FULL
    found: dict[str, list[float]] = {
        name: [] for name in ("rtt", "normal_rtt", "tcp", "normal_tcp")
    }
    with _lab() as lab:
        source, target = lab.vms[0], lab.vms[-1]
        pipelines = {node.name: _dump(lab, node.name) for node in lab.nodes}
        for _ in range(size.turns):
            for prefix, flows in (("", pipelines), ("normal_", dict.fromkeys(pipelines, NORMAL))):
                _replace(lab, flows)
                _rtt(source, target, 10)
                found[f"{prefix}rtt"].append(_rtt(source, target, size.pings))
                found[f"{prefix}tcp"].append(_throughput(source, target, size.seconds))
    return {name: statistics.median(values) for name, values in found.items()}


@contextlib.contextmanager
def _lab() -> Iterator[Lab]:
    """Run two nodes with a VM each, connected by the controller, which is then ended."""
    with Lab(nodes=2, networks=1, vms=1) as lab:
        with contextlib.redirect_stdout(sys.stderr):
            demo.start(lab)
            demo.wire(lab)
        for agent in lab.agents:
            agent.stop()
        lab.controller.stop()
        yield lab


def _dump(lab: Lab, name: str) -> str:
    [node] = [node for node in lab.nodes if node.name == name]
    dump = node.ofctl("--no-stats", "--no-names", "dump-flows", INTEGRATION_BRIDGE)
    return "\n".join(line for line in dump.splitlines() if "actions=" in line)


def _replace(lab: Lab, flows: dict[str, str]) -> None:
    """Give each node these flows and no others; groups stay."""
    for node in lab.nodes:
        path = Path(lab.directory, f"{node.name}.flows")
        path.write_text(flows[node.name] + "\n")
        node.ofctl("replace-flows", INTEGRATION_BRIDGE, str(path))


def _rtt(source: VM, target: VM, pings: int) -> float:
    """Return the median round trip in ms."""
    options = ("-n", "-i", "0.005", "-c", str(pings))
    text = source.namespace.run("ping", *options, target.address.ipv4)
    return statistics.median(float(t) for t in re.findall(r"time=([0-9.]+) ms", text))


def _throughput(source: VM, target: VM, seconds: float) -> float:
    """Return what one TCP connection carries, in Mbit/s."""
    with target.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((target.address.ipv4, PORT))
        listener.listen(1)
        listener.settimeout(10)
        with source.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
            sender.settimeout(10)
            sender.connect((target.address.ipv4, PORT))
            receiver, _ = listener.accept()
            with receiver:
                receiver.settimeout(10)
                return _pump(sender, receiver, seconds)


def _pump(sender: socket.socket, receiver: socket.socket, seconds: float) -> float:
    end = time.monotonic() + seconds

    def send() -> None:
        while time.monotonic() < end:
            sender.sendall(_BUFFER)
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    start, count, buffer = time.monotonic(), 0, bytearray(1 << 18)
    thread.start()
    while True:
        size = receiver.recv_into(buffer)
        if not size:
            break
        count += size
    thread.join()
    return count * 8 / 1e6 / (time.monotonic() - start)


FIGURE = Figure(
    "data_plane",
    run,
    [
        Row("data plane: ping rtt", "rtt", "ms", at_most(1.05, "normal_rtt"), "normal_rtt"),
        Row("data plane: TCP", "tcp", "Mbit/s", at_least(0.95, "normal_tcp"), "normal_tcp"),
    ],
)
