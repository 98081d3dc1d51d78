"""Faults that are none: VMs come, go and move, and REST clients change what they registered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from ryu_l2iso.lab.flows import dump_flows
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.outages import restart_controller
from ryu_l2iso.lab.scene import (
    DEADLINE,
    Effect,
    Scene,
    nobody,
    of_network,
    of_vms,
)
from ryu_l2iso.lab.shell import LabError, wait_until


def vm_comes_or_goes(scene: Scene) -> Effect:
    """A VM is plugged, or unplugged."""
    vm = scene.come_or_go()
    return Effect(f"{vm.name} {'plugged' if vm.plugged else 'unplugged'}", of_vms(vm), True)


def vm_moves(scene: Scene) -> Effect:
    """A VM moves to another node while it runs."""
    return _move(scene, lambda: "")


def vm_moves_over_a_restart(scene: Scene) -> Effect:
    """The controller is killed while a VM has two places."""

    def restart() -> str:
        restart_controller(scene.lab)
        return ", the controller killed in between"

    return _move(scene, restart)


def _move(scene: Scene, between: Callable[[], str]) -> Effect:
    movable = scene.random.choice(list(scene.movables.values()))
    vm, source = movable.vm, movable.vm.node
    if not vm.plugged:
        vm.plug()
    destination = scene.random.choice([node for node in scene.lab.nodes if node is not source])
    movable.prepare(destination)
    port = f'in_port="{vm.tap}"'
    wait_until(
        lambda: any(port in flow.match for flow in dump_flows(destination)),
        DEADLINE,
        f"{destination.name} to have flows for {vm.name}",
    )
    more = between()
    movable.switch_over(destination)
    movable.announce()
    movable.wait_announced()
    movable.leave(source)
    text = f"{vm.name} moved from {source.name} to {destination.name}{more}"
    return Effect(text, of_vms(vm), True)


# -- REST ------------------------------------------------------------------------------------------


def plugin_talks(scene: Scene) -> Effect:
    """The plugin repeats all it knows, and makes and deletes networks of others."""
    quantum = scene.lab.quantum
    quantum.start()
    for iface_id, network_id in scene.registered.interfaces.items():
        quantum.update_interface(iface_id, network_id)
    for number in range(20):
        network_id, iface_id = str(uuid.uuid4()), str(uuid.uuid4())
        quantum.create_network(network_id, 2000 + number)
        quantum.create_interface(iface_id, network_id)
        quantum.delete_interface(iface_id)
        quantum.delete_network(network_id)
    return Effect("plugin repeated everything, made and deleted 20 networks", nobody)


def interface_leaves_its_network(scene: Scene) -> Effect:
    """The interface of a VM that runs is deleted and registered again."""
    vm = scene.random.choice(scene.plugged())
    scene.lab.quantum.delete_interface(vm.iface_id)
    scene.lab.quantum.create_interface(vm.iface_id, vm.network.network_id)
    return Effect(f"interface of {vm.name} deleted and registered again", of_vms(vm))


def network_is_made_anew(scene: Scene) -> Effect:
    """A network is deleted while its VMs run, and made again."""
    network = scene.random.choice(scene.lab.networks)
    scene.lab.quantum.delete_network(network.network_id)
    key = scene.registered.keys[network.network_id]
    scene.lab.quantum.create_network(network.network_id, key)
    excused = of_network(scene, network.network_id)
    return Effect(f"network {network.name} deleted and made again", excused)


def key_changes(scene: Scene) -> Effect:
    """A network gets another key."""
    network = scene.random.choice(scene.lab.networks)
    _give_keys(scene, {network.network_id: max(scene.registered.keys.values()) + 1})
    return Effect(f"{network.name} got another key", of_network(scene, network.network_id))


def keys_change_hands(scene: Scene) -> Effect:
    """Two networks exchange their keys."""
    one, two = (network.network_id for network in scene.random.sample(scene.lab.networks, 2))
    keys = scene.registered.keys
    _give_keys(scene, {one: keys[two], two: keys[one]})
    return Effect("two networks exchanged their keys", of_network(scene, one, two))


def keys_change_hands_unheard(scene: Scene) -> Effect:
    """Two networks exchange their keys while one node does not hear the controller."""
    return _keys_change_hands_unheard(scene, lambda: "")


def keys_change_hands_unheard_over_a_restart(scene: Scene) -> Effect:
    """The same, and the controller is killed while it waits for that node."""

    def restart() -> str:
        scene.lab.controller.kill()
        scene.lab.start_controller()
        return ", the controller killed meanwhile"

    return _keys_change_hands_unheard(scene, restart)


def _keys_change_hands_unheard(scene: Scene, between: Callable[[], str]) -> Effect:
    node = scene.node()
    with _unheard(scene, node):
        effect = keys_change_hands(scene)
        more = between()
        seconds = scene.pause("keys_change_hands_unheard")
    text = f"{effect.text} while {node.name} was unheard for {seconds:.1f} s{more}"
    return Effect(text, effect.excused)


@contextmanager
def _unheard(scene: Scene, node: Node) -> Iterator[None]:
    """Let nothing through from the controller to a node; the VMs' traffic is not touched."""
    scene.lab.control.ip(f"route add blackhole {node.address}/32")
    yield
    scene.lab.control.ip(f"route del blackhole {node.address}/32")


def _give_keys(scene: Scene, keys: dict[str, int]) -> None:
    requests = [("DELETE", f"/tunnels/networks/{network_id}/key") for network_id in keys]
    requests += [("POST", f"/tunnels/networks/{n}/key/{key}") for n, key in keys.items()]
    for method, path in requests:
        answer = scene.lab.quantum.request(method, path)
        if answer.status != 200:
            raise LabError(f"{method} {path}: {answer.status} {answer.text}")
    scene.registered.keys.update(keys)
