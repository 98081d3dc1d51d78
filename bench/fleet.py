"""The process with the simulated switches, as the measurements use it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.cloud import VM

ROOT = Path(__file__).parents[1]
_FLOW_MOD, _GROUP_MOD, _METER_MOD = "14", "15", "29"


class Messages(NamedTuple):
    """What the controller has sent to all switches: what changes them, and OVSDB transactions."""

    flow_mods: int
    group_mods: int
    meter_mods: int
    transactions: int

    @property
    def changing(self) -> int:
        """Return how many OpenFlow messages change what a switch holds."""
        return self.flow_mods + self.group_mods + self.meter_mods


class Fleet:
    """Simulated switches with dpids from 1; use it as a context manager, which ends them."""

    def __init__(self, count: int) -> None:
        self._directory = tempfile.mkdtemp(prefix="l2iso-bench-")
        self._process = subprocess.Popen(
            (sys.executable, "-m", "bench.simulator", self._directory, str(count)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Fleet:
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._directory)

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def addresses(self) -> dict[int, str]:
        """Return dpid → address of the switch's OVSDB server."""
        return {int(dpid): address for dpid, address in self._order("addresses").items()}

    def plug(self, vms: Iterable[VM]) -> float:
        """Plug VMs, one transaction for each switch; return when that began."""
        by_switch: defaultdict[int, list[tuple[str, str, str]]] = defaultdict(list)
        for vm in vms:
            by_switch[vm.switch].append((vm.name, vm.iface_id, vm.mac))
        return float(self._order("plug", vms=by_switch)["at"])

    def unplug(self, vms: Iterable[VM]) -> float:
        """Unplug VMs; return when that began."""
        by_switch: defaultdict[int, list[str]] = defaultdict(list)
        for vm in vms:
            by_switch[vm.switch].append(vm.name)
        return float(self._order("unplug", vms=by_switch)["at"])

    def wait_for_flows(self, flows: Mapping[str, int], deadline: float) -> float:
        """Wait until switches have so many flows; return when the last one had (monotonic).

        ``flows`` is dpid in decimal → number.  Raises TimeoutError that says what is missing.
        """
        answer = self._order("flows", flows=flows, deadline=deadline)
        if "missing" in answer:
            examples = list(answer["missing"].items())[:5]
            text = ", ".join(f"{dpid} has {n[0]} of {n[1]}" for dpid, n in examples)
            count = len(answer["missing"])
            raise TimeoutError(f"{count} switches lack flows after {deadline:g} s: {text}")
        return float(answer["at"])

    def wait_for_quiet(self, deadline: float) -> float:
        """Wait until every switch is read and nothing changed for a second; return since when."""
        answer = self._order("quiet", deadline=deadline)
        if "at" not in answer:
            raise TimeoutError(f"after {deadline:g} s {answer['why']}")
        return float(answer["at"])

    def connect(self, target: str) -> None:
        """Have the switches call a controller that does not set itself."""
        self._order("connect", target=target)

    def learn(self, macs: int, window: int, deadline: float) -> float:
        """Have a guest of each switch send from new MACs; return the seconds until all have flows.

        ``window`` is how many packets are without an answer, on each switch, at any time.
        """
        answer = self._order("learn", macs=macs, window=window, deadline=deadline)
        if "seconds" not in answer:
            raise TimeoutError(answer["why"])
        return float(answer["seconds"])

    def wait_for_learning(self, deadline: float) -> None:
        """Wait until every switch has a flow that sends what is unknown to the controller."""
        answer = self._order("learning", deadline=deadline)
        if "why" in answer:
            raise TimeoutError(answer["why"])

    def messages(self) -> Messages:
        """Return what came since the last call."""
        counts = self._order("counts")
        openflow = defaultdict(int, counts["openflow"])
        return Messages(
            flow_mods=openflow[_FLOW_MOD],
            group_mods=openflow[_GROUP_MOD],
            meter_mods=openflow[_METER_MOD],
            transactions=counts["ovsdb"].get("transact", 0),
        )

    def contents(self) -> dict[str, Any]:
        """Return what the switches hold: ``flows`` (dpid → number), ``groups``, ``ports``."""
        return self._order("contents")

    def _order(self, name: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
