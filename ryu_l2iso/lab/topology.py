"""The lab as a whole: nodes, networks and VMs, the controller, an agent on every node."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from ryu_l2iso.lab.certificates import Certificates
from ryu_l2iso.lab.credentials import Tokens
from ryu_l2iso.lab.flat import FlatNetwork
from ryu_l2iso.lab.isolations import Isolation, isolation_called
from ryu_l2iso.lab.netns import Namespace, PhysicalNetwork
from ryu_l2iso.lab.node import UPLINK, Node
from ryu_l2iso.lab.processes import (
    Process,
    agent_process,
    controller_options,
    controller_process,
)
from ryu_l2iso.lab.quantum import Quantum
from ryu_l2iso.lab.shell import LabError, wait_until
from ryu_l2iso.lab.vm import VM, Address, TenantNetwork
from ryu_l2iso.state.locations import ACTIVATE

COLOURS = ("red", "blue", "green", "amber", "pink", "grey", "cyan", "brown")
CONTROLLER_ADDRESS = "192.0.2.254"
REST_PORT = 8080
OPENFLOW_PORT = 6653
MAX_NODES = 100
MAX_VMS = 250
"""What the addresses have room for: nodes, and VMs of one network."""


def _tenant_network(number: int, first_key: int) -> TenantNetwork:
    return TenantNetwork(COLOURS[number], str(uuid.uuid4()), first_key + number)


def _address(number: int, network: int) -> Address:
    """Return the addresses of VM ``number`` of a network.

    The IP addresses are the same in all networks; the MACs are where ``network`` is the same.
    """
    mac = f"fa:16:3e:00:{network:02x}:{number:02x}"
    return Address(mac, f"10.0.0.{number}", f"fd00::{number:x}")


def _check_size(nodes: int, networks: int, vms: int) -> None:
    if not 1 <= nodes <= MAX_NODES:
        raise LabError(f"nodes: 1 to {MAX_NODES}")
    if not 1 <= networks <= len(COLOURS):
        raise LabError(f"networks: 1 to {len(COLOURS)}")
    if not 1 <= nodes * vms <= MAX_VMS:
        raise LabError(f"VMs of a network: 1 to {MAX_VMS}")


class Lab:
    """Compute nodes on one machine; a context manager that removes everything at its end.

    ``networks`` networks with the same addresses, but for the MACs where ``isolation`` needs
    them different, have ``vms`` VMs each on every node; ``migration`` is the controller's option,
    and ``options`` are more of its section ``l2iso``, by name.  With ``tls`` OpenFlow, OVSDB and
    REST go by TLS alone.
    Entering makes nodes and VMs; nothing is plugged, and the controller is started by its own
    method.  Every name carries ``tag``, so that labs can run side by side.  Logs are in
    ``directory``, which is removed as well unless ``keep_logs`` is set by then.
    """

    def __init__(
        self,
        nodes: int = 3,
        networks: int = 2,
        vms: int = 2,
        isolation: str = "gre",
        migration: str = ACTIVATE,
        options: Mapping[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        self.isolation: Isolation = isolation_called(isolation)
        _check_size(nodes, networks, vms)
        self._vms_per_node = vms
        self.tag = f"lab{secrets.token_hex(3)}"
        self.directory = Path(tempfile.gettempdir(), f"l2iso-{self.tag}")
        self.keep_logs = False
        self.migration = migration
        self.tokens = Tokens(self.directory)
        token_file = str(self.tokens.file)
        self._options = {"migration": migration, "token_file": token_file, **(options or {})}
        self.certificates = Certificates(self.directory / "pki") if tls else None
        self.physical = PhysicalNetwork(Namespace(f"{self.tag}-phys"))
        self.flat = FlatNetwork(self.physical.namespace, self.directory / "flat")
        self.control = Namespace(f"{self.tag}-ctl")
        self.networks = [
            _tenant_network(number, self.isolation.first_key) for number in range(networks)
        ]
        self.nodes = [self._node(number) for number in range(1, nodes + 1)]
        self.vms = [
            self._vm(node, network, number)
            for network in self.networks
            for place, node in enumerate(self.nodes)
            for number in range(place * vms + 1, (place + 1) * vms + 1)
        ]
        rest = (self.control, CONTROLLER_ADDRESS, REST_PORT)
        self.quantum = Quantum(*rest, self.tokens, self.certificates)
        where = (self.isolation.name, CONTROLLER_ADDRESS, REST_PORT, OPENFLOW_PORT)
        self.controller = controller_process(self.control, self.directory, *where)
        self.agents = [self._agent(node) for node in self.nodes]
        self._undo = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """Where the controller's REST API is."""
        method = "http" if self.certificates is None else "https"
        return f"{method}://{CONTROLLER_ADDRESS}:{REST_PORT}"

    def _node(self, number: int) -> Node:
        name = f"node{number}"
        namespace = Namespace(f"{self.tag}-{name}")
        return Node(name, namespace, self.directory / name, f"192.0.2.{number}")

    def _vm(self, node: Node, network: TenantNetwork, number: int) -> VM:
        name = f"{network.name}{number}"
        namespace = Namespace(f"{self.tag}-{name}")
        place = self.networks.index(network) if self.isolation.own_macs else 0
        address = _address(number, place)
        return VM(name, number, namespace, node, network, address, self.isolation)

    def _agent(self, node: Node) -> Process:
        name = f"{node.name}-agent"
        options = ["--token-file", str(self.tokens.of_agent(node.name))]
        if self.isolation.flat:
            options += ["--external-port", UPLINK]
        if self.certificates is not None:
            options += self.certificates.agent_options(node.name)
        where = (self.url, node.database, node.address)
        return agent_process(name, node.namespace, self.directory, *where, options)

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        """Undo everything, last step first; an error or a signal ends it early in no case."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            self._undo.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _build(self) -> None:
        # Each step is undone even if it was half done, so its undoing is noted first.
        self._undo.callback(self._end_logs)
        self.directory.mkdir(mode=0o700)
        self._write_options()
        self._undo.callback(self.physical.namespace.remove)
        self.physical.add()
        self._undo.callback(self.control.remove)
        self.control.add(ipv6=False)
        self.physical.connect(self.control, "ctl")
        self.control.ip(f"addr add {CONTROLLER_ADDRESS}/24 dev eth0")
        for node in self.nodes:
            self._undo.callback(node.remove)
            node.add(self.physical)
        for vm in self.vms:
            self._undo.callback(vm.remove)
            vm.add()
        for node in self.nodes:
            node.add_bridges()
        dpids = {node.name: node.dpid() for node in self.nodes}
        self.tokens.make(dpids)
        if self.certificates is not None:
            self.certificates.make(CONTROLLER_ADDRESS, dpids)
        if self.isolation.flat:
            self._build_flat()

    def _write_options(self) -> None:
        lines = ["[DEFAULT]"]
        if self.certificates is not None:
            lines += self.certificates.controller_options()
        lines += ["[l2iso]", f"connection = {self.directory / 'state.db'}"]
        lines += [*(f"{name} = {value}" for name, value in self._options.items()), ""]
        controller_options(self.directory).write_text("\n".join(lines))

    def _build_flat(self) -> None:
        self._undo.callback(self.flat.remove)
        self.flat.add()
        for node in self.nodes:
            self.flat.connect(node)
            node.add_uplink()

    def _end_logs(self) -> None:
        if not self.keep_logs:
            self.remove_logs()

    def remove_logs(self) -> None:
        """Remove the directory with the logs; nothing happens when it does not exist."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def start_controller(self) -> None:
        """Start the controller, and wait until its REST API answers."""
        self._undo.callback(self.controller.stop)
        self.controller.start()
        wait_until(
            lambda: self.controller.check() and self.quantum.answers(),
            20,
            "the controller's REST API to answer",
        )

    def start_agents(self) -> None:
        """Start every node's agent, and wait until all switches are programmed."""
        for agent in self.agents:
            self._undo.callback(agent.stop)
        # Undone before they are waited for: they end together and not one after the other.
        for agent in self.agents:
            self._undo.callback(agent.terminate)
        for agent in self.agents:
            agent.start()
        self.wait_for_switches()

    def wait_for_switches(self) -> None:
        """Wait until every agent has registered its switch and each holds flows of ours."""
        for node, agent in zip(self.nodes, self.agents):
            self._wait_for_switch(node, agent)

    def _wait_for_switch(self, node: Node, agent: Process) -> None:
        dpid = node.dpid()
        wait_until(
            lambda: agent.check() and self.quantum.knows_switch(dpid),
            20,
            f"{agent.name} to register {node.name}",
        )
        wait_until(
            lambda: self.controller.check() and node.programmed(),
            20,
            f"{node.name}'s br-int to have flows of the controller",
        )

    def register(self) -> None:
        """Tell the controller by REST, as Quantum does, all networks, keys and interfaces."""
        self.quantum.start()
        for network in self.networks:
            self.quantum.create_network(network.network_id, network.key)
        for vm in self.vms:
            self.quantum.create_interface(vm.iface_id, vm.network.network_id)

    def plug_order(self) -> list[VM]:
        """Return the VMs so that it goes round the nodes, one of each network at a time."""
        places = {vm.name: (vm.number - 1) % self._vms_per_node for vm in self.vms}
        return sorted(self.vms, key=lambda vm: (places[vm.name], vm.number))

    def vm(self, name: str) -> VM:
        """Return the VM of a name such as ``red1``; raises LabError."""
        for vm in self.vms:
            if vm.name == name:
                return vm
        raise LabError(f"no VM is called {name}")
