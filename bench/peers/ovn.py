"""OVN, as Debian packages it: one northbound and one southbound database, a controller a node.

The same nodes as the suite's, the same networks and ports; see ovn-architecture(7) for who does
what, ovn-controller(8) for what a node's database must say, ovn-nbctl(8) for ``--wait=hv``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.cloud import VM, network_id, tunnel_ip
from bench.measuring import cpu_seconds, peak_megabytes, wait_until
from bench.nodes import BRIDGE, Nodes
from tests.functional.ovs import OVS

_SCHEMAS = Path("/usr/share/ovn")
_COMMANDS = ("ovn-northd", "ovn-controller", "ovn-nbctl")
_START = 60.0


def is_installed() -> bool:
    """Tell whether the commands of ovn-central and ovn-host are there."""
    return all(shutil.which(command) for command in _COMMANDS)


class OVN:
    """Its processes while they run; ``directory`` holds databases, sockets and logs."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        # Where each of them puts its control socket.
        rundirs = {"OVN_RUNDIR": str(directory), "OVS_RUNDIR": str(directory)}
        self._environment = {**os.environ, **rundirs, "OVN_NB_DB": self._nb}
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def _nb(self) -> str:
        return f"unix:{self._directory}/nb.sock"

    @property
    def _sb(self) -> str:
        return f"unix:{self._directory}/sb.sock"

    def start(self, nodes: Nodes) -> None:
        """Start all of it, and wait until every node is a chassis."""
        for name in ("nb", "sb"):
            database = self._directory / f"{name}.db"
            schema = _SCHEMAS / f"ovn-{name}.ovsschema"
            subprocess.run(("ovsdb-tool", "create", database, schema), check=True)
            remote = f"--remote=punix:{self._directory}/{name}.sock"
            self._spawn(f"ovsdb-{name}", "ovsdb-server", remote, str(database))
            wait_until((self._directory / f"{name}.sock").exists, f"{name}'s socket", _START)
        self._spawn("northd", "ovn-northd", f"--ovnnb-db={self._nb}", f"--ovnsb-db={self._sb}")
        for dpid, ovs in nodes.ovs.items():
            self._start_node(dpid, ovs)
        wait_until(lambda: self._chassis() == len(nodes.ovs), "every chassis", _START)
        self.wait()

    def create(self, networks: Iterable[int], vms: Iterable[VM]) -> None:
        """Create logical switches and ports, in one transaction."""
        arguments: list[str] = []
        for network in networks:
            arguments += ["--", "ls-add", network_id(network)]
        for vm in vms:
            arguments += ["--", "lsp-add", network_id(vm.network), vm.iface_id]
            arguments += ["--", "lsp-set-addresses", vm.iface_id, vm.mac]
        self._nbctl(*arguments[1:])

    def wait(self) -> None:
        """Wait until every node has done what the northbound database says."""
        self._nbctl("--wait=hv", "sync")

    def wait_for(self, ports: int) -> float:
        """Wait until so many ports are up, and every node knows; return when (monotonic).

        A sync alone says nothing of a port that its node has not claimed yet.
        """
        while True:
            self.wait()
            end = time.monotonic()
            if self._ports_up() == ports:
                return end

    def _ports_up(self) -> int:
        query = ("--columns=name", "find", "Logical_Switch_Port", "up=true")
        command = ("ovn-nbctl", "--bare", *query)
        done = subprocess.run(command, env=self._environment, capture_output=True, check=True)
        return len(done.stdout.split())

    def wait_until_up(self, vm: VM) -> None:
        """Wait until a plugged VM's port is up."""
        self._nbctl("wait-until", "Logical_Switch_Port", vm.iface_id, "up=true")

    def cpu_seconds(self) -> float:
        """Return what all its processes have used of the CPUs so far."""
        return cpu_seconds(process.pid for process in self._processes)

    def peak_megabytes(self) -> float:
        """Return the most memory of all its processes, added up."""
        return peak_megabytes(process.pid for process in self._processes)

    def _start_node(self, dpid: int, ovs: OVS) -> None:
        settings = {
            "system-id": f"node{dpid}",
            "ovn-remote": self._sb,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": tunnel_ip(dpid),
            "ovn-bridge": BRIDGE,
        }
        ids = [f'external_ids:{name}="{value}"' for name, value in settings.items()]
        ovs.vsctl("set", "Open_vSwitch", ".", *ids)
        name = f"controller{dpid}"
        self._spawn(name, "ovn-controller", ovs.db_address, env={**ovs.env, **self._rundir(name)})

    def _rundir(self, name: str) -> dict[str, str]:
        directory = self._directory / name
        directory.mkdir()
        return {"OVN_RUNDIR": str(directory)}

    def _chassis(self) -> int:
        command = ("ovn-sbctl", f"--db={self._sb}", "--bare", "--columns=name", "list", "Chassis")
        return len(subprocess.run(command, capture_output=True, check=True).stdout.split())

    def _nbctl(self, *arguments: str) -> None:
        command = ("ovn-nbctl", "--timeout=300", *arguments)
        subprocess.run(command, env=self._environment, check=True, stdin=subprocess.DEVNULL)

    def _spawn(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        with (self._directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                (command[0], "-vconsole:warn", *command[1:]),
                env=env or self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        self._stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextlib.contextmanager
def running(directory: Path, nodes: Nodes) -> Iterator[OVN]:
    """Run OVN on the nodes while inside."""
    with contextlib.ExitStack() as stack:
        ovn = OVN(directory, stack)
        ovn.start(nodes)
        yield ovn
