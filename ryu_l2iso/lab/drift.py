"""Faults by hand: somebody changes at a switch what the controller has put there."""

from __future__ import annotations

from ryu_l2iso.lab.expected import flows
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE
from ryu_l2iso.lab.scene import (
    Effect,
    Scene,
    between_nodes,
    of_nodes,
    of_vms,
)

FREE_VLAN = 4000
"""Nobody's: a port that is put there by hand joins no network."""


def flow_is_deleted(scene: Scene) -> Effect:
    """Somebody deletes a flow of ours by hand."""
    node = scene.node()
    flow = scene.random.choice(flows(node)).partition(" actions=")[0]
    match = flow.partition(", ")[2].replace(" ", "")
    if not match.startswith("table="):
        match = f"table=0,{match}"
    node.ofctl("--strict", "del-flows", INTEGRATION_BRIDGE, match)
    return Effect(f"{node.name}: flow {match} deleted by hand", of_nodes(node))


def tunnel_is_removed(scene: Scene) -> Effect:
    """Somebody removes a tunnel port of ours by hand."""
    node = scene.node()
    port = scene.random.choice(node.tunnels()).port
    node.vsctl("del-port", INTEGRATION_BRIDGE, port)
    return Effect(f"{node.name}: tunnel {port} removed by hand", between_nodes([node]), True)


def tag_is_changed(scene: Scene) -> Effect:
    """Somebody puts a VM's port into another VLAN by hand."""
    vm = scene.random.choice(scene.plugged())
    vm.node.vsctl("set", "Port", vm.tap, f"tag={FREE_VLAN}")
    return Effect(f"{vm.name} put into VLAN {FREE_VLAN} by hand", of_vms(vm))


def controller_is_removed(scene: Scene) -> Effect:
    """Somebody removes a bridge's controllers by hand, with which OVS drops all flows."""
    node = scene.node()
    node.vsctl("del-controller", INTEGRATION_BRIDGE)
    return Effect(f"{node.name}: controllers removed by hand", of_nodes(node))
