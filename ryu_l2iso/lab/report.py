"""What the lab prints: topology, matrix, tunnels, a switch's flows.  Fits 100 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ryu_l2iso.lab.flows import DumpedFlow, dump_flows, dump_groups
from ryu_l2iso.lab.frames import Kind
from ryu_l2iso.lab.matrix import Cell, Matrix
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.topology import CONTROLLER_ADDRESS, OPENFLOW_PORT, REST_PORT, Lab
from ryu_l2iso.lab.vm import DEAD_VLAN, VM
from ryu_l2iso.pipelines.flow import MULTICAST
from ryu_l2iso.pipelines.table import Pipeline

MAX_FAULTS = 10


def topology_lines(lab: Lab) -> Iterator[str]:
    """Yield who is where and what the addresses are."""
    yield (
        f"controller  {CONTROLLER_ADDRESS}  REST on port {REST_PORT},"
        f" OpenFlow on port {OPENFLOW_PORT}"
    )
    for node in lab.nodes:
        here = [vm.name for vm in lab.vms if vm.node is node]
        yield f"{node.name:<10}  {node.address:<11}  dpid {node.dpid()}  VMs {' '.join(here)}"
    for network in lab.networks:
        key = f"key {network.key}" if lab.isolation.name != "mac" else "no key needed"
        yield f"network {network.name:<6}  {key}  id {network.network_id}"
    first = lab.vms[0].address
    mac = "a MAC of its own" if lab.isolation.own_macs else f"MAC {first.mac}"
    yield f"VM 1 of every network has {mac}, {first.ipv4} and {first.ipv6}; the others count on."


def _cell_text(cell: Cell) -> str:
    four = "4" if Kind.PING4 in cell.arrived else "-"
    six = "6" if Kind.PING6 in cell.arrived else "-"
    return ("!" if cell.faults() else " ") + four + six


def matrix_lines(matrix: Matrix) -> Iterator[str]:
    """Yield a row for every source with a column for every destination, then the totals."""
    names = [vm.name for vm in matrix.vms]
    width = max(map(len, names)) + 1
    yield " " * (width + 1) + "".join(name.rjust(width) for name in names)
    for source, name in enumerate(names):
        cells = [
            "." if source == destination else _cell_text(matrix.cells[source, destination])
            for destination in range(len(names))
        ]
        yield name.ljust(width + 1) + "".join(cell.rjust(width) for cell in cells)
    yield "from row to column: 46 reached over IPv4 and IPv6, -- isolated, ! not as it must be"
    yield from _total_lines(matrix)


def _total_lines(matrix: Matrix) -> Iterator[str]:
    for expected, title in ((True, "one network"), (False, "two networks")):
        cells = [cell for cell in matrix.cells.values() if cell.expected is expected]
        if not cells:
            continue
        reached = sum(cell.reached for cell in cells)
        must = len(cells) if expected else 0
        as_must = sum(not cell.faults() for cell in cells)
        yield (
            f"{len(cells)} ordered pairs of {title}: {reached} reached (expected {must}),"
            f" {len(cells) - reached} isolated (expected {len(cells) - must}), {as_must} right"
        )
    faults = matrix.faults()
    yield from (f"  ! {fault}" for fault in faults[:MAX_FAULTS])
    if len(faults) > MAX_FAULTS:
        yield f"  ! and {len(faults) - MAX_FAULTS} more"


def tunnel_lines(nodes: Sequence[Node]) -> Iterator[str]:
    """Yield the tunnels of every node."""
    by_address = {node.address: node.name for node in nodes}
    for node in nodes:
        for tunnel in node.tunnels():
            yield (
                f"{node.name} -> {by_address.get(tunnel.remote, '?'):<6} {tunnel.kind}"
                f"  {tunnel.local} -> {tunnel.remote}  port {tunnel.port}"
            )


def _reason(pipeline: Pipeline, flow: DumpedFlow) -> str:
    try:
        return pipeline.reason(flow.cookie).name.lower()
    except ValueError:
        return "not ours"


def _match(flow: DumpedFlow) -> str:
    return flow.match.replace(MULTICAST, "multicast") or "any"


def _actions(pipeline: Pipeline, flow: DumpedFlow) -> str:
    return re.sub(
        r"goto_table:(\d+)", lambda m: f"goto {pipeline.table_name(int(m[1]))}", flow.actions
    )


def flow_lines(node: Node, pipeline: Pipeline) -> Iterator[str]:
    """Yield the flows of a node's br-int by table name, then its groups."""
    flows = dump_flows(node)
    for table in pipeline.tables:
        yield f"table {table.name}: {table.purpose}"
        yield "  packets  why, match => actions"
        for flow in flows:
            if flow.table == table.number:
                why, actions = _reason(pipeline, flow), _actions(pipeline, flow)
                yield f"  {flow.packets:>7}  {why}: {_match(flow)} => {actions}"
    groups = dump_groups(node)
    if groups:
        yield "groups"
    yield from (f"           {group}" for group in groups)


def title(text: str) -> str:
    """Return a heading."""
    return f"\n== {text} " + "=" * (78 - len(text))


def _wire(lab: Lab) -> str:
    """Return the port where the first node's packets pass, and a filter for tcpdump."""
    node = lab.nodes[0]
    return lab.flat.port(node) if lab.isolation.flat else f"{node.name} proto gre"


def _plug_command(vm: VM) -> str:
    tag = f" tag={DEAD_VLAN}" if vm.isolation.dead_tag else ""
    return f"add-port br-int {vm.tap}{tag} -- set Interface {vm.tap} \\"


def play_lines(lab: Lab) -> Iterator[str]:
    """Yield commands to play with a running lab."""
    node, vm, peer = lab.nodes[0], lab.vms[0], lab.vms[len(lab.vms) // len(lab.networks) - 1]
    url = f"{lab.url}/v1.0"
    curl = f"ip netns exec {lab.control.name} curl -s -H @{lab.tokens.header}"
    if lab.certificates is not None:
        curl += f" --cacert {lab.certificates.ca}"
    environment = f"OVS_RUNDIR={node.directory}"
    commands: list[str] = [
        f"# from {vm.name} to {peer.name}, over IPv4 and IPv6; a shell in {vm.name}",
        f"ip netns exec {vm.namespace.name} ping {peer.address.ipv4}",
        f"ip netns exec {vm.namespace.name} ping {peer.address.ipv6}",
        f"ip netns exec {vm.namespace.name} bash",
        f"# {node.name}: ports and tunnels, flows, groups",
        f"{environment} ovs-vsctl show",
        f"{environment} ovs-ofctl --names -O OpenFlow14 dump-flows br-int",
        f"{environment} ovs-ofctl --names -O OpenFlow14 dump-groups br-int",
        f"# unplug {vm.name}, and plug it again",
        f"{environment} ovs-vsctl del-port {vm.tap}",
        f"{environment} ovs-vsctl {_plug_command(vm)}",
        f"    external_ids:iface-id={vm.iface_id} \\",
        f"    external_ids:attached-mac='\"{vm.address.mac}\"'",
        "# the REST API: networks, the first one's key; take the key away, and give it back",
        f"{curl} {url}/networks",
        f"{curl} {url}/tunnels/networks/{vm.network.network_id}/key",
        f"{curl} -X DELETE {url}/tunnels/networks/{vm.network.network_id}/key",
        f"{curl} -X POST {url}/tunnels/networks/{vm.network.network_id}/key/{vm.network.key}",
        "# logs; packets on the physical network",
        f"tail -f {lab.directory}/*.log",
        f"ip netns exec {lab.physical.namespace.name} tcpdump -eni {_wire(lab)}",
    ]
    yield from (c if c.startswith("#") else f"  {c}" for c in commands)
