"""A cloud on real switches, beside a state that is told the same facts.

The controller is a process of its own; it hears of the switches by REST, OVSDB and OpenFlow.  The
state is told directly, and from it follows what every switch must hold.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ryu_l2iso.ovsdb import MARK
from ryu_l2iso.pipelines.flow import Flow, Group
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.pipelines.tunnels import TunnelSpec, desired_tunnels, possible_tunnels
from ryu_l2iso.state.ports import InterfaceFact, OFPort
from ryu_l2iso.state.switches import OVSDB_ADDR, TUNNEL_ADDR
from ryu_l2iso.state.values import dpid_to_str
from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until
from tests.unit.cloud import Cloud

SUITE = ("quantum_adapter", "tunnel_port_updater", "gre_tunnel", "rest")
BRIDGE = "br-int"

_DURATION = re.compile(r" duration=([0-9.]+)s, table=([0-9]+), n_packets=[0-9]+, n_bytes=[0-9]+,")


class Interface(NamedTuple):
    """An Interface row, as far as the tests look at it."""

    name: str
    type: str
    ofport: int | None
    options: dict[str, str]
    external_ids: dict[str, str]


class Node:
    """A compute node: a private Open vSwitch with one bridge, which nobody has set up yet.

    ``foreign_flows`` and ``foreign_groups`` are what somebody else has put there.
    """

    def __init__(self, ovs: OVS, dpid: int) -> None:
        self.ovs = ovs
        self.dpid = dpid
        self.foreign_flows: list[str] = []
        self.foreign_groups: list[str] = []
        dpid_setting = f"other_config:datapath-id={dpid_to_str(dpid)}"
        ovs.vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, dpid_setting)

    def interfaces(self) -> list[Interface]:
        """Return the interfaces that are in the database."""
        columns = "--columns=name,type,ofport,options,external_ids"
        found = json.loads(self.ovs.vsctl("--format=json", columns, "list", "Interface"))
        return [Interface(*map(_plain, row)) for row in found["data"]]

    def tunnels(self) -> dict[str, Interface]:
        """Return the tunnel ports that the controller made: name → interface."""
        return {row.name: row for row in self.interfaces() if MARK in row.external_ids}

    def describe(self, name: str, **external_ids: str) -> None:
        """Write ``external_ids`` of an interface; ``_`` stands for ``-`` in their names."""
        self.ovs.vsctl("set", "interface", name, *_settings(external_ids))

    def ages(self) -> dict[str, float]:
        """Return flow → seconds since it was added; flows are as ``OVS.flows`` has them."""
        ages = {}
        for line in self.ovs.ofctl("--no-names", "dump-flows", BRIDGE).splitlines():
            found = _DURATION.search(line)
            if found is not None:
                table = "" if found[2] == "0" else f" table={found[2]},"
                flow = line[: found.start()] + table + line[found.end() :]
                ages[flow.strip()] = float(found[1])
        return ages

    def sent(self) -> Counter[int]:
        """Return port number → packets that left the switch by it."""
        numbers: Counter[int] = Counter()
        text = self.ovs.ofctl("--no-names", "dump-ports", BRIDGE)
        for number, packets in re.findall(r"port +([0-9]+): .*\n +tx pkts=([0-9]+)", text):
            numbers[int(number)] = int(packets)
        return +numbers


def _plain(value: Any) -> Any:
    """Return what a value in OVSDB's JSON stands for (RFC 7047, 5.1)."""
    if isinstance(value, list):
        kind, content = value
        return dict(content) if kind == "map" else next(iter(content), None)
    return value


def _settings(external_ids: dict[str, str]) -> Iterator[str]:
    for name, value in external_ids.items():
        yield f'external_ids:{name.replace("_", "-")}="{value}"'


class RealCloud:
    """Says what happens in a cloud to the switches and the controller, and to the state."""

    def __init__(self, controller: Controller, nodes: Sequence[Node]) -> None:
        self.controller = controller
        self.nodes = nodes
        self.cloud = Cloud()
        self.state = self.cloud.state

    def rest(self, method: str, path: str, value: object = None) -> str:
        """Send a REST request, ``path`` below /v1.0; return the body of the answer."""
        body = None if value is None else json.dumps(value)
        status, text = self.controller.request(method, f"/v1.0{path}", body)
        assert status in (200, 201, 202), f"{method} {path}: {status} {text}"
        return text

    def register(self, node: Node) -> None:
        """Register a switch, as its agent does."""
        self.cloud.switch(node.dpid)
        self.state.set_switch_value(node.dpid, OVSDB_ADDR, node.ovs.db_address)
        self.tell_switch(node)

    def tell_switch(self, node: Node) -> None:
        """Tell the controller alone what is registered of a switch."""
        for name in (TUNNEL_ADDR, OVSDB_ADDR):
            value = self.state.switches.value(node.dpid, name)
            self.rest("PUT", f"/conf/switches/{dpid_to_str(node.dpid)}/{name}", value)

    def network(self, network_id: str, key: int) -> None:
        """Register a network and its key."""
        self.cloud.network(network_id, key)
        self.tell_network(network_id)

    def tell_network(self, network_id: str) -> None:
        """Tell the controller alone of a network and its key."""
        key = self.state.networks.key(network_id)
        self.rest("PUT", f"/networks/{network_id}")
        self.rest("PUT", f"/tunnels/networks/{network_id}/key/{key}")

    def tell_interface(self, iface_id: str, network_id: str) -> None:
        """Tell the controller alone to which network an interface belongs."""
        self.rest("PUT", f"/quantum/ports/{iface_id}/keys/network_id/{network_id}")

    def plug(self, node: Node, port_no: int, network_id: str, mac: str, iface_id: str = "") -> None:
        """Plug a VM and register its interface.

        Open vSwitch gives low numbers to tunnel ports: take 100 and more for those of VMs.
        """
        iface_id = iface_id or f"iface-{node.dpid}-{port_no}"
        self.cloud.plug(node.dpid, port_no, network_id, mac, iface_id)
        ids = _settings({"iface-id": iface_id, "attached-mac": mac})
        given = node.ovs.add_port(BRIDGE, f"tap{port_no}", f"ofport_request={port_no}", *ids)
        assert given == port_no
        self.tell_interface(iface_id, network_id)

    def unplug(self, node: Node, port_no: int) -> None:
        """Unplug a VM; its interface stays registered."""
        self.cloud.unplug(node.dpid, port_no)
        node.ovs.vsctl("del-port", BRIDGE, f"tap{port_no}")

    def told(self, node: Node, port_no: int, iface_id: str | None, mac: str | None) -> None:
        """Tell the state alone what OVSDB says of a VM's port."""
        fact = InterfaceFact(f"tap{port_no}", port_no, iface_id, mac)
        self.state.ports.update_interfaces(node.dpid, {fact.name: fact})

    def settle(self) -> None:
        """Wait until every switch holds what follows from the facts, and nothing else."""
        faults: list[str] = []

        def settled() -> bool:
            faults[:] = [fault for node in self.nodes for fault in self._faults(node)]
            return not faults

        try:
            wait_until(settled, "all switches to hold what they should")
        except TimeoutError as error:
            raise AssertionError("\n".join([str(error), *faults])) from None

    def settle_behind_another_vm(self, node: Node) -> None:
        """Plug one more VM, of a network of its own, and settle.

        A switch is programmed in the order of events: when the new VM has its flows, what was
        told before has been dealt with, also when it must not change anything.
        """
        number = 900 + len(self.state.ports.on(node.dpid))
        self.network(f"behind-{number}", number)
        self.plug(node, number, f"behind-{number}", f"02:ff:00:00:{node.dpid:02x}:01")
        self.settle()

    def _faults(self, node: Node) -> Iterable[str]:
        label = f"switch {node.dpid}"
        if self.state.switches.ovsdb_addr(node.dpid) is not None:
            tunnels = node.tunnels()
            wanted = desired_tunnels(self.state, node.dpid, "gre")
            possible = possible_tunnels(self.state, node.dpid, "gre", self.state.switches.ids())
            # One that nothing needs any more stays for a while.
            found = [
                row for row in tunnels.values() if row.name in wanted or row.name not in possible
            ]
            yield from _differences(
                label, map(_wanted_tunnel, wanted.values()), map(_found_tunnel, found)
            )
            self._learn_tunnels(node, tunnels)
        pipeline = GrePipeline(self.state)
        subjects = pipeline.subjects(node.dpid)
        pieces = [p for subject in subjects for p in pipeline.desired(node.dpid, subject)]
        flows = [str(piece) for piece in pieces if isinstance(piece, Flow)]
        groups = [str(piece) for piece in pieces if isinstance(piece, Group)]
        yield from _differences(label, [*flows, *node.foreign_flows], node.ovs.flows(BRIDGE))
        yield from _differences(label, [*groups, *node.foreign_groups], node.ovs.groups(BRIDGE))

    def _learn_tunnels(self, node: Node, tunnels: dict[str, Interface]) -> None:
        """Tell the state the numbers that the switch has given its tunnel ports."""
        ports = self.state.ports
        known = ports.facts(node.dpid).interfaces.values()
        for row in [row for row in known if row.tunnel_remote is not None]:
            assert row.ofport is not None
            ports.remove_of_port(node.dpid, row.ofport)
            ports.update_interfaces(node.dpid, {row.name: None})
        for name, tunnel in tunnels.items():
            if tunnel.ofport is not None and tunnel.ofport > 0:
                ports.set_of_port(node.dpid, OFPort(tunnel.ofport, name, up=True))
                remote = tunnel.options["remote_ip"]
                fact = InterfaceFact(name, tunnel.ofport, tunnel_remote=remote)
                ports.update_interfaces(node.dpid, {name: fact})


def _wanted_tunnel(spec: TunnelSpec) -> str:
    options = {"key": "flow", "local_ip": spec.local_ip, "remote_ip": spec.remote_ip}
    return f"{spec.name} {spec.type} {options} {dpid_to_str(spec.remote_dpid)}"


def _found_tunnel(row: Interface) -> str:
    return f"{row.name} {row.type} {dict(sorted(row.options.items()))} {row.external_ids[MARK]}"


def _differences(label: str, wanted: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    wanted, found = Counter(wanted), Counter(found)
    yield from (f"{label} lacks {line}" for line in (wanted - found).elements())
    yield from (f"{label} has too much: {line}" for line in (found - wanted).elements())
