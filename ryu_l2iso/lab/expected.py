"""What every switch of a lab should hold, and how what it does hold differs from it.

A fresh `State` is told what the switches' own databases say and what the lab has registered; from
it follows what a controller that knows nothing of the past would want.  Nothing is asked of the
controller that runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ryu_l2iso.config import CONTROLLER_OPTS
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, UPLINK, Node
from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.lab.topology import CONTROLLER_ADDRESS, OPENFLOW_PORT, Lab
from ryu_l2iso.pipelines.flow import Flow, Group, Meter
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.pipelines.mac import MacPipeline
from ryu_l2iso.pipelines.subjects import SubjectPipeline
from ryu_l2iso.pipelines.tunnels import desired_tunnels, possible_tunnels
from ryu_l2iso.pipelines.vlan import KEYS, VlanPipeline, desired_tags
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, OFPort, PortId
from ryu_l2iso.state.state import State
from ryu_l2iso.state.switches import TUNNEL_ADDR
from ryu_l2iso.state.values import KeyRange

MARK = "ryu_l2iso"
"""Key in ``external_ids`` of what the controller has made."""

TUNNEL_TYPE = "gre"


@dataclass
class Registered:
    """What the controller has been told by REST, as the lab remembers it.

    ``keys``: network_id → key, ``interfaces``: iface_id → network_id.
    """

    keys: dict[str, int]
    interfaces: dict[str, str]
    nodes: list[Node]

    @classmethod
    def of(cls, lab: Lab) -> Registered:
        """Return what `Lab.register` and the agents of all nodes register."""
        return cls(
            {network.network_id: network.key for network in lab.networks},
            {vm.iface_id: vm.network.network_id for vm in lab.vms},
            list(lab.nodes),
        )


@dataclass(frozen=True)
class _Row:
    """An interface of br-int; ``tag`` is its Port's, and ``port_ids`` the Port's external ids."""

    name: str
    ofport: int
    up: bool
    options: dict[str, str]
    external_ids: dict[str, str]
    tag: int | None
    port_ids: dict[str, str]


@dataclass(frozen=True)
class _Found:
    """What a node's database says of br-int."""

    dpid: int
    fail_mode: str
    controllers: list[str]
    rows: dict[str, _Row]


def differences(lab: Lab, registered: Registered) -> list[str]:
    """Return in words how the switches differ from what they should hold; empty if in nothing.

    Raises LabError when a daemon does not answer.
    """
    found = {node.name: _read(node) for node in registered.nodes}
    state = _state(lab, registered, found)
    return [
        f"{node.name} {text}"
        for node in registered.nodes
        for text in _faults(lab, state, node, found[node.name])
    ]


# -- what is there -------------------------------------------------------------------------------


def _read(node: Node) -> _Found:
    ports = "--columns=name,tag,external_ids"
    interfaces = "--columns=name,ofport,admin_state,link_state,options,external_ids"
    bridges = "--columns=datapath_id,fail_mode,ports,controller"
    lists = [ports, "list", "Port", "--", interfaces, "list", "Interface", "--"]
    lists += [bridges, "list", "Bridge", INTEGRATION_BRIDGE, "--", "list-ports", INTEGRATION_BRIDGE]
    lists += ["--", "get-controller", INTEGRATION_BRIDGE]
    printed = node.vsctl("--format=json", *lists).splitlines()
    tables = [json.loads(line)["data"] for line in printed[:3]]
    own = {line for line in printed[3:] if ":" not in line}
    of_ports = {name: (_plain(tag), _plain(ids)) for name, tag, ids in tables[0]}
    rows = {}
    for name, ofport, admin, link, options, ids in tables[1]:
        number = _plain(ofport)
        if name in own and isinstance(number, int) and number > 0:
            up = (_plain(admin), _plain(link)) == ("up", "up")
            row = _Row(name, number, up, _plain(options), _plain(ids), *of_ports[name])
            rows[name] = row
    dpid, fail_mode, *_ = tables[2][0]
    if not _plain(dpid):
        raise LabError(f"{node.name}: {INTEGRATION_BRIDGE} has no datapath id yet")
    controllers = [line for line in printed[3:] if ":" in line]
    return _Found(int(dpid, 16), str(_plain(fail_mode)), controllers, rows)


def _plain(value: Any) -> Any:
    """Return what a value in OVSDB's JSON stands for (RFC 7047, 5.1)."""
    if isinstance(value, list):
        kind, content = value
        return dict(content) if kind == "map" else next(iter(content), None)
    return value


# -- what should be ------------------------------------------------------------------------------


def _state(lab: Lab, registered: Registered, found: dict[str, _Found]) -> State:
    ranges = {"gre": KeyRange("the GRE key", 1, 2**24 - 1), "vlan": KEYS}
    state = State(ranges.get(lab.isolation.name), lab.migration)
    if lab.isolation.own_macs:
        state.macs.tell_apart(_default("mac_learning_max"))
    for network_id, key in registered.keys.items():
        state.ensure_network(network_id)
        if lab.isolation.name in ranges:
            state.ensure_key(network_id, key)
    for iface_id, network_id in registered.interfaces.items():
        state.ensure_interface_value(iface_id, NETWORK_ID, network_id)
    state.ensure_network(NW_ID_EXTERNAL)
    for node in registered.nodes:
        _tell(state, node, found[node.name])
    return state


def _tell(state: State, node: Node, found: _Found) -> None:
    state.set_switch_value(found.dpid, TUNNEL_ADDR, node.address)
    for row in found.rows.values():
        state.ports.set_of_port(found.dpid, OFPort(row.ofport, row.name, row.up))
        if row.name == UPLINK:
            state.ensure_port(NW_ID_EXTERNAL, PortId(found.dpid, row.ofport))
    state.ports.update_interfaces(found.dpid, {r.name: _fact(r) for r in found.rows.values()})


def _fact(row: _Row) -> InterfaceFact:
    return InterfaceFact(
        row.name,
        row.ofport,
        row.external_ids.get("iface-id"),
        row.external_ids.get("attached-mac"),
        row.options.get("remote_ip") if MARK in row.port_ids else None,
        row.tag,
    )


def _default(name: str) -> int:
    found: int = next(option.default for option in CONTROLLER_OPTS if option.name == name)
    return found


def _pipeline(name: str, state: State) -> SubjectPipeline:
    if name == "mac":
        return MacPipeline(state, _default("packet_in_rate"))
    return VlanPipeline(state) if name == "vlan" else GrePipeline(state)


# -- the two compared ----------------------------------------------------------------------------


def _faults(lab: Lab, state: State, node: Node, found: _Found) -> Iterator[str]:
    pipeline = _pipeline(lab.isolation.name, state)
    subjects = pipeline.subjects(found.dpid)
    pieces = [piece for subject in subjects for piece in pipeline.desired(found.dpid, subject)]
    for kind, dumped in ((Flow, flows(node)), (Group, groups(node)), (Meter, meters(node))):
        yield from _unequal((str(p) for p in pieces if isinstance(p, kind)), dumped)
    if lab.isolation.name == "gre":
        yield from _unequal(_wanted_tunnels(state, found), _found_tunnels(state, found))
    if lab.isolation.name == "vlan":
        tags = desired_tags(state, found.dpid)
        rows = found.rows
        yield from _unequal(
            (f"{name} tag={tag.tag}" for name, tag in tags.items()),
            (f"{name} tag={rows[name].tag}" for name in tags),
        )
    scheme = "tcp" if lab.certificates is None else "ssl"
    controller = f"{scheme}:{CONTROLLER_ADDRESS}:{OPENFLOW_PORT}"
    yield from _unequal([controller, "secure"], [*found.controllers, found.fail_mode])


def _wanted_tunnels(state: State, found: _Found) -> Iterator[str]:
    for spec in desired_tunnels(state, found.dpid, TUNNEL_TYPE).values():
        yield f"{spec.name} {spec.local_ip} -> {spec.remote_ip}"


def _found_tunnels(state: State, found: _Found) -> Iterator[str]:
    """Yield the tunnels that a switch has, without those that stay for a while unneeded."""
    possible = possible_tunnels(state, found.dpid, TUNNEL_TYPE, state.switches.ids())
    spare = possible.keys() - desired_tunnels(state, found.dpid, TUNNEL_TYPE).keys()
    for row in found.rows.values():
        if "remote_ip" in row.options and row.name not in spare:
            options = row.options
            yield f"{row.name} {options.get('local_ip')} -> {options['remote_ip']}"


def _unequal(wanted: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    wanted, found = Counter(wanted), Counter(found)
    yield from (f"lacks {line}" for line in (wanted - found).elements())
    yield from (f"has too much: {line}" for line in (found - wanted).elements())


def flows(node: Node) -> list[str]:
    """Return the flows of a node's br-int as ``str(Flow)`` prints them."""
    return _dump(node, "--no-stats", "--no-names", "dump-flows")


def groups(node: Node) -> list[str]:
    """Return the groups of a node's br-int as ``str(Group)`` prints them."""
    return _dump(node, "--no-names", "dump-groups")


def meters(node: Node) -> list[str]:
    """Return the meters of a node's br-int as ``str(Meter)`` prints them."""
    dump = " ".join(_dump(node, "dump-meters")).replace("bands= ", "bands=")
    return [f"meter={text.strip()}" for text in dump.split("meter=")[1:]]


def _dump(node: Node, *arguments: str) -> list[str]:
    lines = node.ofctl(*arguments, INTEGRATION_BRIDGE).splitlines()
    return [line.strip() for line in lines if "_REPLY" not in line and " reply " not in line]
