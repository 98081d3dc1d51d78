"""Tunnels and flows made by hand, to test the lab itself without a controller."""

from __future__ import annotations

from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM

MULTICAST = "01:00:00:00:00:00/01:00:00:00:00:00"


def add_tunnel(node: Node, remote: Node) -> int:
    """Create a tunnel port on one node towards another; return its OpenFlow port number."""
    name = f"gre-{remote.name}"
    node.vsctl(
        *("add-port", "br-int", name, "--", "set", "Interface", name, "type=gre"),
        *(f"options:local_ip={node.address}", f"options:remote_ip={remote.address}"),
        "options:key=flow",
    )
    return int(node.vsctl("get", "Interface", name, "ofport"))


def connect_in_a_row(lab: Lab) -> None:
    """Give each node a tunnel to the next only: bridges that flood must not form a ring."""
    for node, following in zip(lab.nodes, lab.nodes[1:]):
        add_tunnel(node, following)
        add_tunnel(following, node)


def _outputs(ports: list[int]) -> str:
    return ",".join(f"output:{port}" for port in ports) or "drop"


def _remote_flows(tunnels: dict[str, int], remote: list[VM], key: int) -> list[str]:
    by_mac = [
        f"table=1,priority=3,tun_id={key},dl_dst={vm.address.mac},"
        f"actions=output:{tunnels[vm.node.name]},goto_table:2"
        for vm in remote
    ]
    return [
        *by_mac,
        f"table=1,priority=2,tun_id={key},dl_dst={MULTICAST},"
        f"actions={_outputs(sorted(tunnels.values()))},goto_table:2",
        f"table=1,priority=1,tun_id={key},actions=goto_table:2",
    ]


def _local_flows(local: list[tuple[VM, int]], tunnels: dict[str, int], key: int) -> list[str]:
    flows = []
    for vm, port in local:
        flows.append(
            f"table=0,priority=2,in_port={port},dl_src={vm.address.mac},"
            f"actions=set_field:{key}->tun_id,goto_table:1"
        )
        flows.append(f"table=0,priority=1,in_port={port},actions=drop")
        flows.append(
            f"table=2,priority=3,tun_id={key},dl_dst={vm.address.mac},actions=output:{port}"
        )
    for port in tunnels.values():
        flows.append(f"table=0,priority=2,in_port={port},tun_id={key},actions=goto_table:2")
    ports = _outputs([port for _, port in local])
    flows.append(f"table=2,priority=2,tun_id={key},dl_dst={MULTICAST},actions={ports}")
    flows.append(f"table=2,priority=1,tun_id={key},actions=drop")
    return flows


def isolate(lab: Lab) -> None:
    """Connect all nodes and give every switch the flows of the design's GRE table."""
    for node in lab.nodes:
        node.vsctl("set-fail-mode", "br-int", "secure")
        tunnels = {r.name: add_tunnel(node, r) for r in lab.nodes if r is not node}
        flows: list[str] = []
        for network in lab.networks:
            vms = [vm for vm in lab.vms if vm.network == network]
            local = [(vm, vm.ofport()) for vm in vms if vm.node is node]
            remote = [vm for vm in vms if vm.node is not node]
            flows += _local_flows(local, tunnels, network.key)
            flows += _remote_flows(tunnels, remote, network.key)
        node.ofctl("add-flows", "br-int", "-", stdin="\n".join(flows) + "\n")
