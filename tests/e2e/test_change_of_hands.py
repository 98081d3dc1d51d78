"""What goes from one network to another, with real packets: keys, MACs, port numbers.

While a switch cannot be reached by the controller, or there is none, its data path goes on, with
what it holds.  All
the time every VM pings its own network and calls to everybody: what arrives in the other one is a
leak.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

import pytest

from ryu_l2iso.lab import demo, matrix
from ryu_l2iso.lab.expected import flows, groups
from ryu_l2iso.lab.flows import dump_flows
from ryu_l2iso.lab.frames import BROADCAST_MAC
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.topology import CONTROLLER_ADDRESS, Lab
from ryu_l2iso.lab.traffic import Traffic, lines_of
from ryu_l2iso.lab.vm import VM, TenantNetwork
from tests.e2e.probing import DEADLINE, send

SWAP_KEY = 99
"""A key that nobody has."""


@pytest.fixture(scope="module", params=["gre", "vlan", "mac"])
def isolation(request: pytest.FixtureRequest) -> str:
    """Return each isolation in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, isolation: str) -> Iterator[Lab]:
    """Yield a wired lab of two nodes, each with a VM of each network."""
    failed_before = request.session.testsfailed
    # So that a node whose cable hangs in the air is noticed within the test's time.
    options = {"openflow_timeout": "2"}
    with Lab(nodes=2, vms=1, isolation=isolation, options=options) as made:
        print(f"logs, if a test fails: {made.directory}")
        made.keep_logs = True
        demo.start(made)
        demo.wire(made)
        yield made
        made.keep_logs = request.session.testsfailed > failed_before


@contextlib.contextmanager
def no_leak(lab: Lab) -> Iterator[Traffic]:
    """Have traffic go on meanwhile; nothing of it may arrive in another network."""
    with Traffic(lab.vms, lines_of(lab.vms)) as traffic:
        yield traffic
    assert not traffic.leaked, list(map(str, traffic.leaks))


def answered(traffic: Traffic, since: float, *networks: TenantNetwork) -> bool:
    """Tell whether every line of these networks has had an answer since."""
    lines = {line for line in traffic.lines() if line[0].network in networks}
    return lines <= traffic.answered_since(since)


def wait_answered(traffic: Traffic, *networks: TenantNetwork) -> None:
    """Wait until every line of these networks has an answer to what is sent from now on."""
    since = time.monotonic()
    names = " and ".join(network.name for network in networks)
    wait_until(lambda: answered(traffic, since, *networks), DEADLINE, f"{names} to answer")


@contextlib.contextmanager
def cut_off(lab: Lab, node: Node) -> Iterator[None]:
    """Keep a node and the controller from each other; what goes between nodes does not notice."""
    routes = [(lab.control, node.address), (node.namespace, CONTROLLER_ADDRESS)]
    with contextlib.ExitStack() as undo:
        for namespace, address in routes:
            namespace.ip(f"route add blackhole {address}/32")
            undo.callback(namespace.ip, f"route del blackhole {address}/32")
        yield


def set_key(lab: Lab, network: TenantNetwork, key: int) -> None:
    """Give a network a key, which may have another."""
    path = f"/tunnels/networks/{network.network_id}/key"
    assert lab.quantum.request("DELETE", path).status in (200, 404)
    assert lab.quantum.request("POST", f"{path}/{key}").status == 200


def swap_keys(lab: Lab, keys: list[int]) -> None:
    """Give the networks these keys, which may be each other's."""
    set_key(lab, lab.networks[0], SWAP_KEY)
    for network, key in reversed(list(zip(lab.networks, keys))):
        set_key(lab, network, key)


@pytest.fixture
def keys(lab: Lab) -> Iterator[list[int]]:
    """Return the keys of the networks, and give them back afterwards."""
    if lab.isolation.name == "mac":
        pytest.fail("networks have no keys here")
    found = [network.key for network in lab.networks]
    yield found
    swap_keys(lab, found)
    matrix.wait_until_wired(lab.vms)


def waits_for(lab: Lab, network: TenantNetwork) -> list[str]:
    """Return the switches that a network waits for, by the API."""
    found: list[str] = lab.quantum.get(f"/tunnels/networks/{network.network_id}/waits_for")
    return found


def waited_for(lab: Lab, node: Node) -> list[dict[str, object]]:
    """Return what networks wait for from a node's switch, by the API."""
    answer = lab.quantum.request("GET", f"/conf/switches/{node.dpid()}/waited_for")
    if answer.status == 404:
        return []
    found: list[dict[str, object]] = lab.quantum.get(f"/conf/switches/{node.dpid()}/waited_for")
    return found


def restart_controller(lab: Lab) -> None:
    lab.controller.kill()
    lab.start_controller()


def has_flow(vm: VM) -> bool:
    """Tell whether a VM may send, by the flows of its switch."""
    flows = dump_flows(vm.node)
    return any(f'in_port="{vm.tap}"' in flow.match and flow.actions != "drop" for flow in flows)


def told_to_wait(lab: Lab, network: TenantNetwork, key: int) -> int:
    """Return how often the controller has logged that a network waits for a key."""
    gre = f"network {network.network_id} waits for key {key}"
    vlan = "waits for its VLAN"
    text = gre if lab.isolation.name == "gre" else vlan
    return lab.controller.log.read_text().count(text)


keyed = pytest.mark.parametrize("isolation", ["gre", "vlan"], indirect=True)


@keyed
def test_keys_change_hands(lab: Lab, keys: list[int]) -> None:
    with no_leak(lab) as traffic:
        for _ in range(3):
            keys = keys[::-1]
            swap_keys(lab, keys)
            wait_answered(traffic, *lab.networks)


@keyed
def test_a_key_waits_for_a_switch_that_is_cut_off(lab: Lab, keys: list[int]) -> None:
    red, blue = lab.networks
    near, far = lab.nodes
    with no_leak(lab) as traffic:
        with cut_off(lab, far):
            # The data path does not notice.
            wait_answered(traffic, red, blue)
            lab.quantum.delete_network(red.network_id)
            set_key(lab, blue, keys[0])
            for kills in range(2):
                if kills:
                    restart_controller(lab)
                wait = {"network_id": blue.network_id, "key": keys[0]}
                wait_until(lambda: waits_for(lab, blue) == [far.dpid()], DEADLINE, "blue to wait")
                assert waited_for(lab, far) == [wait]
                assert waited_for(lab, near) == []
                told = told_to_wait(lab, blue, keys[0])
                # With VLANs it is told of each port.
                assert told == 1 + kills or (told > kills and lab.isolation.name == "vlan")
                since = time.monotonic()
                time.sleep(1.0)
                assert not answered(traffic, since, blue)
        wait_answered(traffic, blue)
        assert waits_for(lab, blue) == []
        assert waited_for(lab, far) == []
        lab.quantum.create_network(red.network_id, SWAP_KEY)
        wait_answered(traffic, red, blue)


@keyed
def test_a_switch_whose_registration_is_deleted_is_not_waited_for(
    lab: Lab, keys: list[int]
) -> None:
    red, blue = lab.networks
    _, far = lab.nodes
    dpid = far.dpid()
    lab.agents[1].kill()
    far.vswitchd.kill()
    far.ovsdb_server.kill()
    with no_leak(lab) as traffic:
        set_key(lab, red, SWAP_KEY)
        set_key(lab, blue, keys[0])
        wait_until(lambda: waits_for(lab, blue) == [dpid], DEADLINE, "blue to wait")
        assert not has_flow(lab.vm("blue1"))
        assert lab.quantum.request("DELETE", f"/conf/switches/{dpid}").status == 202
        wait_until(lambda: has_flow(lab.vm("blue1")), DEADLINE, "blue1 to have flows")
        assert waits_for(lab, blue) == []
        far.start_ovsdb_server()
        far.start_vswitchd()
        lab.agents[1].start()
        wait_answered(traffic, red, blue)


def attach(vm: VM, mac: str) -> None:
    """Say in OVSDB that a VM has a MAC."""
    vm.node.vsctl("set", "Interface", vm.tap, f'external_ids:attached-mac="{mac}"')


@pytest.mark.parametrize("isolation", ["mac"], indirect=True)
def test_a_mac_waits_for_a_switch_that_is_cut_off(lab: Lab) -> None:
    near, far = lab.nodes
    red1, blue1 = lab.vm("red1"), lab.vm("blue1")
    mac, others = red1.address.mac, [vm for vm in lab.vms if vm is not blue1]
    with cut_off(lab, far):
        red1.unplug()
        attach(blue1, mac)
        wait = {"network_id": blue1.network.network_id, "mac": mac}
        for kills in range(2):
            if kills:
                restart_controller(lab)
            wait_until(lambda: waited_for(lab, far) == [wait], DEADLINE, "blue to wait")
            wait_until(lambda: waited_for(lab, near) == [], DEADLINE, "node1 to have confirmed")
            assert not has_flow(blue1)
            assert send(blue1, mac, BROADCAST_MAC, others) == []
            text = f"may not use MAC {mac}: not before"
            assert lab.controller.log.read_text().count(text) == 1
    wait_until(lambda: has_flow(blue1), DEADLINE, "blue1 to have flows")
    assert send(blue1, mac, BROADCAST_MAC, others) == ["blue2"]
    attach(blue1, blue1.address.mac)
    red1.plug()
    matrix.wait_until_wired(lab.vms)
    assert matrix.measure(lab.vms).faults() == []


# -- port numbers ----------------------------------------------------------------------------------


@contextlib.contextmanager
def number_of(old: VM, new: VM) -> Iterator[int]:
    """Have two VMs unplugged, and return the number that the first one's port had."""
    number = old.ofport()
    new.unplug()
    old.unplug()
    yield number
    for vm in (new, old):
        vm.unplug()
    for vm in (old, new):
        vm.plug()


def is_in_use(node: Node, number: int) -> bool:
    """Tell whether a switch has a flow or group by which a port sends or gets anything."""
    pattern = re.compile(rf"in_port={number}\b(?!.*actions=drop)|output:{number}\b")
    return any(pattern.search(line) for line in [*flows(node), *groups(node)])


def wait_free(node: Node, number: int) -> None:
    wait_until(lambda: not is_in_use(node, number), DEADLINE, f"port {number} to have no flows")


@contextlib.contextmanager
def no_ovsdb(lab: Lab, node: Node) -> Iterator[None]:
    """Have a node's database heard by nobody but the node; its agent does not run meanwhile."""
    agent = lab.agents[lab.nodes.index(node)]
    agent.kill()
    node.vsctl("del-manager")
    yield
    agent.start()


@pytest.mark.parametrize("is_cut_off", [False, True], ids=["", "cut-off"])
def test_a_number_goes_to_another_network(lab: Lab, is_cut_off: bool) -> None:
    """Also while the switch with the other VMs of both networks hears nothing of it."""
    _, blue = lab.networks
    red1, blue1 = lab.vm("red1"), lab.vm("blue1")
    near, far = lab.nodes
    with no_leak(lab) as traffic, cut_off(lab, far) if is_cut_off else contextlib.nullcontext():
        wait_answered(traffic, blue)
        with number_of(red1, blue1) as number:
            wait_free(near, number)
            blue1.plug(number)
            assert blue1.ofport() == number
            wait_answered(traffic, blue)
    matrix.wait_until_wired(lab.vms)


@keyed
def test_a_number_and_a_key_go_to_another_network(lab: Lab, keys: list[int]) -> None:
    """They wait for the switch that still sends with that key."""
    red, blue = lab.networks
    red1, blue1 = lab.vm("red1"), lab.vm("blue1")
    near, far = lab.nodes
    with no_leak(lab) as traffic, contextlib.ExitStack() as end:
        with cut_off(lab, far):
            number = end.enter_context(number_of(red1, blue1))
            lab.quantum.delete_network(red.network_id)
            set_key(lab, blue, keys[0])
            wait_free(near, number)
            blue1.plug(number)
            assert blue1.ofport() == number
            wait_until(lambda: waits_for(lab, blue) == [far.dpid()], DEADLINE, "blue to wait")
            time.sleep(0.5)
            assert not is_in_use(near, number)
        wait_answered(traffic, blue)
        lab.quantum.create_network(red.network_id, SWAP_KEY)
    matrix.wait_until_wired(lab.vms)


@pytest.mark.parametrize("isolation", ["gre"], indirect=True)
def test_a_number_goes_to_another_network_while_the_controller_is_down(lab: Lab) -> None:
    """When it is back OpenFlow tells of the port; of its VM nobody does for a while.

    Until the controller is back the switch has for that number what it had: no VM speaks.
    """
    _, blue = lab.networks
    red1, blue1 = lab.vm("red1"), lab.vm("blue1")
    near, _ = lab.nodes
    lab.controller.kill()
    with number_of(red1, blue1) as number:
        with no_ovsdb(lab, near):
            blue1.plug(number)
            assert blue1.ofport() == number
            assert is_in_use(near, number)
            lab.start_controller()
            wait_free(near, number)
            with no_leak(lab) as traffic:
                time.sleep(0.5)
                assert not answered(traffic, 0.0, blue)
        with no_leak(lab) as traffic:
            wait_answered(traffic, blue)
    matrix.wait_until_wired(lab.vms)
