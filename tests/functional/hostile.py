"""A controller that is treated badly, and somebody beside who wants to be served on time."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.functional.controller import ROOT, Controller
from tests.functional.fake_switch import FakeSwitch
from tests.functional.ovs import DEADLINE

ON_TIME = 1.0
"""Seconds within which a switch and a REST client are to be answered, whatever others do."""

PROBER_DPID = 0xFEED
_PAUSE = 0.02


class Served:
    """What a well-behaved switch and a REST client have seen."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.longest = 0.0
        """Seconds of the longest answer, once all is over."""

    def finish(self) -> None:
        """Ask for the result."""
        output, _ = self._process.communicate("\n", timeout=DEADLINE)
        assert self._process.returncode == 0, f"the well-behaved switch: {output}"
        result = json.loads(output)
        assert result["probes"] > 0
        self.longest = result["longest"]


@contextlib.contextmanager
def others_served(controller: Controller) -> Iterator[Served]:
    """While inside, probe without a pause; at the end check that every answer was on time.

    In a process of its own: how busy the test is must not be counted.
    """
    command = (sys.executable, "-m", __name__, str(controller.openflow_port))
    process = subprocess.Popen(
        (*command, str(controller.rest_port), str(controller.process.pid)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "ready\n", f"the well-behaved switch: {line}"
        served = Served(process)
        yield served
        served.finish()
        assert served.longest < ON_TIME, f"the longest answer took {served.longest:.2f} s"
    finally:
        process.kill()
        process.wait(DEADLINE)


def memory(controller: Controller) -> float:
    """Return how many MB the controller's process has in memory."""
    status = Path(f"/proc/{controller.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_seconds(pid: int) -> float:
    """Return how many seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Watch:
    """The longest time that the controller took.

    On a machine that is busy with other things it may get no processor for a second.  So what it
    has used of one counts; one that waits for something else runs into the deadline.
    """

    def __init__(self, pid: int) -> None:
        self.longest = 0.0
        self._pid = pid

    @contextlib.contextmanager
    def measure(self) -> Iterator[None]:
        """Count the time that is spent inside."""
        begun, used = time.monotonic(), cpu_seconds(self._pid)
        yield
        took = min(time.monotonic() - begun, cpu_seconds(self._pid) - used)
        self.longest = max(self.longest, took)


def _probe(openflow_port: int, rest_port: int, pid: int) -> dict[str, float]:
    watch = _Watch(pid)
    with FakeSwitch(openflow_port).connect_as(PROBER_DPID) as switch:
        print("ready", flush=True)
        for count in itertools.count(1):
            with watch.measure():
                switch.echo()
            with watch.measure():
                rest = http.client.HTTPConnection("127.0.0.1", rest_port, timeout=DEADLINE)
                rest.request("GET", "/v1.0/networks")
                assert rest.getresponse().status == 200
                rest.close()
            if select.select([sys.stdin], [], [], _PAUSE)[0]:
                return {"longest": watch.longest, "probes": count}
    raise AssertionError


if __name__ == "__main__":
    print(json.dumps(_probe(*map(int, sys.argv[1:]))))
