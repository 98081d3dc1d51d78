"""How fast one Open vSwitch gets 100,000 flows, and how fast they are read back."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from bench.apps.bare import COMMAND
from bench.apps.gre_flows import write_pieces
from bench.harness import Figure, Options, Row, Sample, at_least
from bench.measuring import wait_until
from tests.functional.controller import Controller
from tests.functional.ovs import OVS

FULL, TINY = 100_000, 3_000
BRIDGE = "br-int"
DAMAGED = 100
"""One flow of so many is deleted before the flows are read back."""
DEADLINE = 180.0
NOBODY = "tcp:127.0.0.1:1"
"""A controller that is never there: a bridge that has none at all loses its flows."""


def run(options: Options) -> Sample:
    """Measure the suite, ``ovs-ofctl`` and the framework's classes, each on an empty bridge."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pieces"
        pieces = write_pieces(TINY if options.tiny else FULL, path)
        with mock.patch.dict(os.environ, BENCH_PIECES=str(path)):
            return _measure([str(piece) for piece in pieces])


def _measure(lines: list[str]) -> Sample:
    """Measure with flows and groups as ``ovs-ofctl`` reads them, one a line."""
    flows = [line for line in lines if line.startswith("cookie=")]
    groups = [line for line in lines if line.startswith("group_id=")]
    with _ovs() as ovs, Controller("bench.apps.programming") as controller:
        programmed = _synced(ovs, controller, 1)
        _damage(ovs, flows)
        ovs.vsctl("set-controller", BRIDGE, NOBODY)
        read_back = _synced(ovs, controller, 2)
        if read_back[1] != len(flows[::DAMAGED]):
            raise RuntimeError(f"{read_back[1]} flows were sent, not those that were missing")
    with _ovs() as ovs, Controller("bench.apps.framework_classes", command=COMMAND) as controller:
        classes = _synced(ovs, controller, 1)
    with _ovs() as ovs:
        peer = _ofctl(ovs, flows, groups)
    return {
        "rate": programmed[1] / programmed[0],
        "ofctl_rate": peer,
        "framework_rate": classes[1] / classes[0],
        "read_rate": len(flows) / read_back[0],
    }


@contextlib.contextmanager
def _ovs() -> Iterator[OVS]:
    with OVS() as ovs:
        ovs.add_bridge(BRIDGE, 1)
        yield ovs


def _synced(ovs: OVS, controller: Controller, times: int) -> tuple[float, int]:
    """Connect the bridge; return what the app prints then: seconds, and flow-mods sent."""

    def printed() -> list[str]:
        return [line for line in controller.log().splitlines() if line.startswith("SYNCED ")]

    wait_until(lambda: _listens(controller), "the OpenFlow port", DEADLINE)
    ovs.vsctl("set-controller", BRIDGE, controller.target)
    wait_until(lambda: len(printed()) == times, "the switch to be in line", DEADLINE)
    _, seconds, sent = printed()[-1].split()
    return float(seconds), int(sent)


def _listens(controller: Controller) -> bool:
    if controller.process.poll() is not None:
        raise RuntimeError(f"the controller ended:\n{controller.log()}")
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", controller.openflow_port)).close()
        return True
    return False


def _damage(ovs: OVS, flows: list[str]) -> None:
    """Delete one flow of a hundred; what is said last of the table counts."""
    matches = (f.partition(", ")[2].partition(" actions=")[0] for f in flows[::DAMAGED])
    path = ovs.rundir / "delete"
    path.write_text("".join(f"delete_strict table=0,{match}\n" for match in matches))
    ovs.ofctl("--bundle", "add-flows", BRIDGE, str(path))


def _ofctl(ovs: OVS, flows: list[str], groups: list[str]) -> float:
    """Return the flows a second that ``ovs-ofctl`` adds, in one bundle."""
    (ovs.rundir / "groups").write_text("\n".join(groups) + "\n")
    (ovs.rundir / "flows").write_text("\n".join(flows) + "\n")
    ovs.ofctl("add-groups", BRIDGE, str(ovs.rundir / "groups"))
    start = time.monotonic()
    ovs.ofctl("--bundle", "add-flows", BRIDGE, str(ovs.rundir / "flows"))
    return len(flows) / (time.monotonic() - start)


FIGURE = Figure(
    "programming",
    run,
    [
        Row("programming rate", "rate", "flows/s", at_least(0.8, "ofctl_rate"), "ofctl_rate"),
        Row("the framework's own classes", "framework_rate", "flows/s", None, "ofctl_rate"),
        Row("read-back rate, 1% repaired", "read_rate", "flows/s", at_least(100_000)),
    ],
)
