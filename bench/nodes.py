"""Real switches: a private Open vSwitch for each node, with the dummy datapath."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bench.cloud import VM
from bench.openflow_client import Management
from tests.functional.ovs import OVS

BRIDGE = "br-int"
_AT_ONCE = 4
_POLL = 0.005


class Nodes:
    """dpid, from 1 → Open vSwitch, each with one bridge."""

    def __init__(self, ovs: Mapping[int, OVS]) -> None:
        self.ovs = ovs

    def addresses(self) -> dict[int, str]:
        """Return dpid → address of the node's OVSDB server."""
        return {dpid: ovs.db_address for dpid, ovs in self.ovs.items()}

    def plug(self, vms: Iterable[VM]) -> None:
        """Plug VMs, all of a node by one ``ovs-vsctl``, which does not wait for ovs-vswitchd."""
        by_switch: defaultdict[int, list[str]] = defaultdict(list)
        for vm in vms:
            by_switch[vm.switch] += plugging(vm)
        commands = [self._vsctl(switch, arguments) for switch, arguments in by_switch.items()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_run, commands))

    @contextlib.contextmanager
    def plugging(self, vm: VM) -> Iterator[None]:
        """Have ``ovs-vsctl`` plug a VM while inside; raises RuntimeError when it fails."""
        command = self._vsctl(vm.switch, plugging(vm))
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            yield
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")

    def _vsctl(self, switch: int, arguments: list[str]) -> list[str]:
        return ["ovs-vsctl", f"--db={self.ovs[switch].db_address}", "--no-wait", *arguments]

    def wait_for_flows(self, flows: Mapping[str, int], deadline: float) -> float:
        """Wait until each switch has so many flows; return when that was seen (monotonic).

        One is asked after the other: to ask all of them all the time would take a good part of
        the CPU that they work with.
        """
        end = time.monotonic() + deadline
        for dpid, wanted in flows.items():
            with Management(self.ovs[int(dpid)].rundir, BRIDGE) as switch:
                while (count := switch.count_flows()) != wanted:
                    if time.monotonic() > end:
                        raise TimeoutError(f"switch {dpid} has {count} of {wanted} flows")
                    time.sleep(_POLL)
        return time.monotonic()


def plugging(vm: VM) -> list[str]:
    """Return what tells ``ovs-vsctl`` to plug a VM."""
    ids = [f"external_ids:iface-id={vm.iface_id}", f'external_ids:attached-mac="{vm.mac}"']
    row = ["set", "Interface", vm.name, "type=dummy", *ids]
    return ["--", "add-port", BRIDGE, vm.name, "--", *row]


@contextlib.contextmanager
def running(count: int) -> Iterator[Nodes]:
    """Run so many nodes while inside."""
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            started = {dpid: pool.submit(_start, dpid) for dpid in range(1, count + 1)}
        for future in started.values():
            stack.callback(_close, future)
        yield Nodes({dpid: future.result() for dpid, future in started.items()})


def _start(dpid: int) -> OVS:
    with contextlib.ExitStack() as stack:
        ovs = stack.enter_context(OVS())
        ovs.add_bridge(BRIDGE, dpid)
        stack.pop_all()
        return ovs


def _close(started: Future[OVS]) -> None:
    if started.exception() is None:
        started.result().close()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)


class Rows:
    """A monitor of the Interface rows of a database (RFC 7047, 4.1.5)."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        columns = {"Interface": {"columns": ["name", "ofport"], "select": {"initial": False}}}
        params = ["Open_vSwitch", None, columns]
        request = {"id": 0, "method": "monitor", "params": params}
        self._socket.sendall(json.dumps(request).encode())

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return what ``select`` needs."""
        return self._socket.fileno()

    def updates(self) -> bytes:
        """Return what has come."""
        return self._socket.recv(1 << 20)

    def is_whole(self, name: str) -> bool:
        """Read what has come; tell whether it says that an interface has its number."""
        text = self.updates().decode()
        return f'"{name}"' in text and re.search(r'"ofport":[0-9]', text) is not None


class Watchers:
    """Notes when flows come to switches, and rows to their databases, as they are written.

    With ``bare`` there is nobody else who sends flows: they are sent from here.
    """

    def __init__(self, nodes: Nodes, stack: contextlib.ExitStack, bare: bool = False) -> None:
        self._flows: dict[int, Management] = {}
        # A monitor does not tell what came by its own connection.
        self._senders: dict[int, Management] = {}
        self._rows: dict[int, Rows] = {}
        for dpid, ovs in nodes.ovs.items():
            self._flows[dpid] = stack.enter_context(Management(ovs.rundir, BRIDGE))
            self._flows[dpid].monitor()
            if bare:
                self._senders[dpid] = stack.enter_context(Management(ovs.rundir, BRIDGE))
            self._rows[dpid] = stack.enter_context(Rows(ovs.db_sock))

    def wait_for(
        self,
        vm: VM,
        switches: Sequence[int],
        content: bytes,
        deadline: float,
    ) -> tuple[float, float]:
        """Return when a VM's row was whole, and when the last switch had a flow with ``content``.

        What came before counts not; raises TimeoutError.
        """
        rows = self._rows[vm.switch]
        left: set[Management | Rows] = {rows, *(self._flows[switch] for switch in switches)}
        end, row_at, flow_at = time.monotonic() + deadline, 0.0, 0.0
        while left:
            ready, _, _ = select.select(list(left), [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"{len(left)} switches have no row or flow of {vm.mac}")
            for watched in ready:
                if isinstance(watched, Rows):
                    if watched.is_whole(vm.name):
                        row_at = time.monotonic()
                        left.discard(watched)
                        for switch in switches if self._senders else ():
                            self._senders[switch].add_flow(content)
                elif any(content in update for update in watched.updates()):
                    flow_at = time.monotonic()
                    left.discard(watched)
        return row_at, flow_at

    def drain(self, seconds: float) -> None:
        """Read what comes until nothing did for so long."""
        while True:
            watched: list[Management | Rows] = [*self._flows.values(), *self._rows.values()]
            ready, _, _ = select.select(watched, [], [], seconds)
            if not ready:
                return
            for one in ready:
                one.updates()
