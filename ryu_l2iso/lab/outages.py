"""Faults: daemons are killed, nodes end, the network between them is cut."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial

from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node
from ryu_l2iso.lab.outside import Outside
from ryu_l2iso.lab.scene import (
    DEADLINE,
    Effect,
    Scene,
    between_nodes,
    nobody,
    of_nodes,
    of_vms,
)
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.topology import Lab

AFTER_READ = 0.5
"""Seconds in which a controller that has read all switches has sent what it wants to send."""


def controller_restarts(scene: Scene) -> Effect:
    """kill -9 of the controller; the restart sends nothing that changes anything."""
    return controller_restarts_in_a_row(scene, 1)


def controller_restarts_in_a_row(scene: Scene, times: int) -> Effect:
    """kill -9 of the controller, again and again, at any moment of its start."""
    outside = [Outside(node) for node in scene.lab.nodes]
    for _ in range(times - 1):
        scene.lab.controller.kill()
        scene.lab.start_controller()
        time.sleep(scene.random.uniform(0.0, 1.0))
    restart_controller(scene.lab)
    time.sleep(AFTER_READ)
    wrong = _changes(outside)
    return Effect(f"controller killed {times} times", nobody, check=lambda: wrong)


def restart_controller(lab: Lab) -> None:
    """Kill the controller, start it, and wait until it has read all switches."""
    outside = [Outside(node) for node in lab.nodes]
    lab.controller.kill()
    lab.start_controller()
    wait_until(
        lambda: lab.controller.check() and all(watcher.was_read() for watcher in outside),
        DEADLINE,
        "the controller to read all switches",
    )


def _changes(outside: list[Outside]) -> list[str]:
    """Return what was sent to nodes that would change something, in words."""
    return [
        f"{watcher.node.name} was sent {text}" for watcher in outside for text in _sent(watcher)
    ]


def _sent(watcher: Outside) -> Iterator[str]:
    for kind, number in watcher.changes().items():
        yield f"{number} {kind}"


def controller_is_away(scene: Scene) -> Effect:
    """The controller is away while VMs come and go."""
    scene.lab.controller.kill()
    touched = [scene.come_or_go()]
    touched.append(scene.come_or_go(besides=touched))
    seconds = scene.pause("controller_is_away")
    scene.lab.start_controller()
    names = " and ".join(vm.name for vm in touched)
    return Effect(
        f"controller away for {seconds:.1f} s; {names} came or went", of_vms(*touched), True
    )


def vswitchd_restarts(scene: Scene) -> Effect:
    """kill -9 of ovs-vswitchd."""
    node = scene.node()
    node.vswitchd.kill()
    node.start_vswitchd()
    return Effect(f"ovs-vswitchd of {node.name} killed", of_nodes(node), True)


def ovsdb_server_restarts(scene: Scene) -> Effect:
    """kill -9 of ovsdb-server; it stays away for a while.

    OVS's userspace datapath, which every lab has, forwards nothing meanwhile, whatever the
    controller does: ovs-vswitchd does not run its bridges without a database.  The kernel's does.
    """
    node = scene.node()
    node.ovsdb_server.kill()
    seconds = scene.pause("ovsdb_server_restarts")
    node.start_ovsdb_server()
    text = f"ovsdb-server of {node.name} killed, back after {seconds:.1f} s"
    return Effect(text, of_nodes(node))


def agent_restarts(scene: Scene) -> Effect:
    """kill -9 of the agent."""
    node = scene.node()
    agent = scene.lab.agents[scene.agent_of(node)]
    agent.kill()
    agent.start()
    return Effect(f"agent of {node.name} killed", nobody)


def power_fails(scene: Scene) -> Effect:
    """Controller, agents and the daemons of all nodes end at once, and start in any order."""
    lab = scene.lab
    for node in lab.nodes:
        node.vswitchd.kill()
        node.ovsdb_server.kill()
    for process in (lab.controller, *lab.agents):
        process.kill()
    starts = [lab.start_controller, *(agent.start for agent in lab.agents)]
    starts += [partial(_start_daemons, node) for node in lab.nodes]
    for start in scene.random.sample(starts, len(starts)):
        start()
    return Effect("everything killed and started in any order", lambda line: True)


def _start_daemons(node: Node) -> None:
    node.start_ovsdb_server()
    node.start_vswitchd()


# -- nodes and the network between them ------------------------------------------------------------


def node_reboots(scene: Scene) -> Effect:
    """All of a node ends; its ports come back in another order, so with other numbers."""
    node = scene.node()
    dpid = node.dpid()
    with _agent_away(scene, node):
        node.vswitchd.kill()
        node.ovsdb_server.kill()
        node.start_daemons()
        node.add_bridges(dpid)
        here = [vm for vm in scene.plugged() if vm.node is node]
        # One more port takes the first number, and then goes.
        node.vsctl("add-port", INTEGRATION_BRIDGE, "first", "--", *_internal("first"))
        for vm in sorted(here, key=lambda vm: scene.random.random()):
            vm.plug()
        node.vsctl("del-port", INTEGRATION_BRIDGE, "first")
        if scene.lab.isolation.flat:
            node.add_uplink()
    return Effect(f"{node.name} rebooted, with other port numbers", of_nodes(node), True)


def _internal(name: str) -> list[str]:
    return ["set", "Interface", name, "type=internal"]


@contextmanager
def _agent_away(scene: Scene, node: Node) -> Iterator[None]:
    agent = scene.lab.agents[scene.agent_of(node)]
    agent.kill()
    yield
    agent.start()


def node_is_gone_for_good(scene: Scene) -> Effect:
    """A node ends and an operator deletes its registration; much later it comes back."""
    node = scene.node()
    dpid = node.dpid()
    with _agent_away(scene, node):
        node.vswitchd.kill()
        node.ovsdb_server.kill()
        answer = scene.lab.quantum.request("DELETE", f"/conf/switches/{dpid}")
        scene.registered.nodes.remove(node)
        seconds = scene.wait_as_expected()
        scene.registered.nodes.insert(scene.agent_of(node), node)
        node.start_ovsdb_server()
        node.start_vswitchd()
    text = f"{node.name} gone for good, the others rid of it in {seconds:.2f} s; it came back"
    wrong = [] if answer.status == 202 else [f"DELETE of {node.name}: {answer}"]
    return Effect(text, of_nodes(node), True, lambda: wrong)


def network_is_cut(scene: Scene) -> Effect:
    """The physical network of one node, or of all, is cut for a while."""
    nodes = scene.random.choice([[scene.node()], scene.lab.nodes])
    _set_cables(scene.lab, nodes, "down")
    seconds = scene.pause("network_is_cut")
    _set_cables(scene.lab, nodes, "up")
    names = " ".join(node.name for node in nodes)
    return Effect(f"physical network of {names} cut for {seconds:.1f} s", between_nodes(nodes))


def _set_cables(lab: Lab, nodes: Collection[Node], state: str) -> None:
    ports = [node.name for node in nodes]
    if lab.isolation.flat:
        ports += [lab.flat.port(node) for node in nodes]
    lab.physical.namespace.ip(*(f"link set {port} {state}" for port in ports))
