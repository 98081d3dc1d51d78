"""A process full of simulated switches: ``python -m bench.simulator DIRECTORY COUNT``.

It takes orders as lines of JSON on its standard input and answers each with one on its standard
output (`bench.fleet` gives them); it ends with its input.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable

from bench.simulator.guests import asks, learn
from bench.simulator.schema import INSTALLED, Schema
from bench.simulator.sockets import Sockets
from bench.simulator.switch import VM, Switch

QUIET = 1.0
"""Seconds without a change after which none is expected any more."""


class Orders:
    """What can be asked of the switches, by name; each method answers with a JSON object."""

    def __init__(self, switches: list[Switch], sockets: Sockets) -> None:
        self._switches = {switch.dpid: switch for switch in switches}
        self._sockets = sockets
        # dpid → the number of flows that is waited for
        self._awaited: dict[int, int] = {}
        self._reached = asyncio.Event()
        self._reached_at = 0.0
        for switch in switches:
            switch.on_commit = self._committed

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what a line says."""
        method: Callable[[dict[str, Any]], Any] = getattr(self, order["do"])
        answer = method(order)
        found: dict[str, Any] = await answer if inspect.isawaitable(answer) else answer
        return found

    def addresses(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return dpid → address of its OVSDB server."""
        return {str(d): f"unix:{self._sockets.path(s)}" for d, s in self._switches.items()}

    def plug(self, order: dict[str, Any]) -> dict[str, Any]:
        """Plug ``vms``, dpid → [name, interface id, MAC]s; return when that began."""
        at = time.monotonic()
        for dpid, vms in order["vms"].items():
            self._switches[int(dpid)].plug([VM(*vm) for vm in vms])
        return {"at": at}

    def unplug(self, order: dict[str, Any]) -> dict[str, Any]:
        """Unplug ``vms``, dpid → names; return when that began."""
        at = time.monotonic()
        for dpid, names in order["vms"].items():
            self._switches[int(dpid)].unplug(names)
        return {"at": at}

    def counts(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the messages that came since the last call: OpenFlow's by type, and OVSDB's."""
        openflow: Counter[int] = Counter()
        ovsdb: Counter[str] = Counter()
        for switch in self._switches.values():
            openflow.update(switch.counts)
            switch.counts.clear()
            for session in switch.sessions:
                ovsdb.update(session.counts)
                session.counts.clear()
        return {"openflow": {str(k): n for k, n in openflow.items()}, "ovsdb": dict(ovsdb)}

    def contents(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the number of flows, dpid → number, and of groups and ports in all."""
        return {
            "flows": {str(d): len(s.tables.flows) for d, s in self._switches.items()},
            "groups": sum(len(s.tables.groups) for s in self._switches.values()),
            "ports": sum(s.port_count for s in self._switches.values()),
        }

    def connect(self, order: dict[str, Any]) -> dict[str, Any]:
        """Call a controller that is not set in the databases."""
        for switch in self._switches.values():
            switch.targets_changed({order["target"]})
        return {}

    async def learn(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have guests send from new MACs; return the seconds until the controller knows all."""
        switches = list(self._switches.values())
        try:
            seconds = await learn(switches, order["macs"], order["window"], order["deadline"])
        except (TimeoutError, RuntimeError) as error:
            return {"why": str(error)}
        return {"seconds": seconds}

    async def learning(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return when each switch has a flow that sends to the controller."""
        end = time.monotonic() + order["deadline"]
        while not all(asks(switch) for switch in self._switches.values()):
            if time.monotonic() > end:
                return {"why": "a switch has no flow that sends to the controller"}
            await asyncio.sleep(0.02)
        return {}

    async def flows(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return when each switch has had its number of flows, or what is missing in the end."""
        self._awaited = {int(dpid): number for dpid, number in order["flows"].items()}
        self._reached.clear()
        self._reached_at = time.monotonic()
        for dpid in list(self._awaited):
            self._committed(self._switches[dpid])
        try:
            if self._awaited:
                await asyncio.wait_for(self._reached.wait(), order["deadline"])
        except asyncio.TimeoutError:
            missing, self._awaited = self._awaited, {}
            found = {d: len(self._switches[d].tables.flows) for d in missing}
            return {"missing": {str(d): [found[d], wanted] for d, wanted in missing.items()}}
        return {"at": self._reached_at}

    async def quiet(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return since when every switch is read and nothing is changed any more."""
        end = time.monotonic() + order["deadline"]
        while time.monotonic() < end:
            unread = [d for d, s in self._switches.items() if not s.is_read]
            latest = max(switch.busy_until for switch in self._switches.values())
            if not unread and time.monotonic() - latest > QUIET:
                return {"at": latest}
            await asyncio.sleep(0.1)
        return {
            "why": f"{len(unread)} switches are not read" if unread else "there are changes still"
        }

    def _committed(self, switch: Switch) -> None:
        if self._awaited.get(switch.dpid) == len(switch.tables.flows):
            del self._awaited[switch.dpid]
            if not self._awaited:
                self._reached_at = time.monotonic()
                self._reached.set()


async def _serve(directory: Path, count: int) -> None:
    schema = Schema(INSTALLED.read_text(encoding="utf-8"))
    switches = [Switch(dpid, schema) for dpid in range(1, count + 1)]
    sockets = Sockets(directory)
    for switch in switches:
        await sockets.open(switch)
    orders = Orders(switches, sockets)
    lines = asyncio.StreamReader(limit=1 << 28)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    print(json.dumps({"ready": True}), flush=True)
    async for line in lines:
        print(json.dumps(await orders.do(json.loads(line))), flush=True)


def main() -> None:
    """Serve until standard input ends."""
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
