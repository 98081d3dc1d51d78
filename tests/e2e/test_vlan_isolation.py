"""VLAN isolation against real switches: tags, flows and a storm on every VLAN."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.flows import dump_flows
from ryu_l2iso.lab.frames import BROADCAST_MAC, UNKNOWN_MAC, find_token, probe_frame
from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, UPLINK, Node
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.station import Capture, Stations, packet_socket, read_frames
from ryu_l2iso.lab.storm import storm_process, tagged
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import DEAD_VLAN, VM
from ryu_l2iso.pipelines.vlan import PIPELINE, Reason
from tests.e2e.probing import DEADLINE, QUIET, TOKEN, ping_answered, unplugged

ISOLATION = "vlan"

PLUGS = int(os.environ.get("L2ISO_PLUGS", "40"))
"""How often the storm's test plugs its VM; 200 were counted for docs/pipeline-vlan.rst."""

STORM_RATE = 40000
CHAT_RATE = 500
"""Frames a second: on all VLANs together, and of the chatty tenant."""


def tag(vm: VM) -> str:
    """Return the tag of a VM's port as OVSDB has it."""
    return vm.node.vsctl("get", "port", vm.tap, "tag").strip()


def sends(vm: VM) -> bool:
    """Return whether there is a flow that lets a VM send."""
    return any(
        flow.cookie == PIPELINE.cookie | Reason.FROM_VM and flow.match == f'in_port="{vm.tap}"'
        for flow in dump_flows(vm.node)
    )


def has(vm: VM, key: int) -> bool:
    """Return whether a VM is in a VLAN and may send."""
    return tag(vm) == str(key) and sends(vm)


def test_every_pair_is_reached_or_isolated_as_it_must_be(lab: Lab) -> None:
    result = matrix.measure(lab.vms)
    assert result.faults() == []
    assert sum(cell.reached for cell in result.cells.values()) == 60
    assert len(result.cells) == 132
    assert all(has(vm, vm.network.key) for vm in lab.vms)


def test_a_packet_carries_the_vlan_of_its_network(lab: Lab) -> None:
    for network in lab.networks:
        source, destination = lab.vm(f"{network.name}1"), lab.vm(f"{network.name}3")
        with contextlib.closing(Capture(lab.physical, lab.flat.port(source.node))) as capture:
            assert ping_answered(source, destination)
            vlans = {v for v, frame in capture.vlan_frames() if find_token(frame) is not None}
        assert vlans == {network.key}


def dead_vlan_drops(node: Node) -> int:
    """Return how many packets of the dead VLAN from the physical network were dropped."""
    cookie = PIPELINE.cookie | Reason.DEAD_VLAN
    return sum(flow.packets for flow in dump_flows(node) if flow.cookie == cookie)


def test_the_dead_vlan_of_the_physical_network_is_dropped_and_counted(lab: Lab) -> None:
    node, before = lab.nodes[0], dead_vlan_drops(lab.nodes[0])
    vm = lab.vm("red1")
    lab.quantum.delete_interface(vm.iface_id)
    try:
        wait_until(lambda: tag(vm) == str(DEAD_VLAN), DEADLINE, "red1 to be in the dead VLAN")
        frame = tagged(probe_frame(BROADCAST_MAC, UNKNOWN_MAC, TOKEN), DEAD_VLAN)
        wire = packet_socket(lab.physical.namespace, lab.flat.port(node))
        with contextlib.closing(wire), Stations([vm]) as stations:
            wire.send(frame)
            while stations.read(QUIET):
                pass
            assert stations.seen == {}
        wait_until(
            lambda: dead_vlan_drops(node) == before + 1, DEADLINE, "the drop's counter to tell"
        )
    finally:
        lab.quantum.create_interface(vm.iface_id, vm.network.network_id)
        matrix.wait_until_wired(lab.vms)


def test_a_key_that_changes_is_followed_by_the_tags(lab: Lab) -> None:
    red = lab.networks[0]
    path = f"/tunnels/networks/{red.network_id}/key"
    reds = [vm for vm in lab.vms if vm.network == red]
    try:
        assert lab.quantum.request("DELETE", path).status == 200
        wait_until(
            lambda: {tag(vm) for vm in reds} == {str(DEAD_VLAN)}, DEADLINE, "red's tags to go"
        )
        assert not any(sends(vm) for vm in reds)
        assert lab.quantum.request("POST", f"{path}/9").status == 200
        matrix.wait_until_wired(lab.vms)
        assert {tag(vm) for vm in reds} == {"9"}
    finally:
        lab.quantum.request("DELETE", path)
        lab.quantum.request("POST", f"{path}/{red.key}")
        matrix.wait_until_wired(lab.vms)
    assert matrix.measure(lab.vms).faults() == []


def test_two_networks_that_exchange_their_keys_never_meet(lab: Lab) -> None:
    paths = [f"/tunnels/networks/{network.network_id}/key" for network in lab.networks]
    keys = [network.key for network in lab.networks]
    for order in (keys[::-1], keys):
        with Stations(lab.vms) as stations:
            _chat(lab, stations)
            for path in paths:
                assert lab.quantum.request("DELETE", path).status == 200
            for path, key in zip(paths, order):
                assert lab.quantum.request("POST", f"{path}/{key}").status == 200
            wanted = dict(zip((network.name for network in lab.networks), order))
            while not all(has(vm, wanted[vm.network.name]) for vm in lab.vms[::2]):
                _chat(lab, stations)
            _chat(lab, stations)
            while stations.read(QUIET):
                pass
            assert stations.seen
            between = {
                (lab.vms[seen.token.source].name, lab.vms[place].name)
                for place, seen in stations.seen
                if lab.vms[seen.token.source].network != lab.vms[place].network
            }
        assert between == set()
        matrix.wait_until_wired(lab.vms)
    assert matrix.measure(lab.vms).faults() == []


def _chat(lab: Lab, stations: Stations) -> None:
    """Have every VM send some broadcasts."""
    for station in stations.all:
        token = TOKEN._replace(source=station.number)
        for _ in range(5):
            station.send_frame(probe_frame(BROADCAST_MAC, station.vm.address.mac, token))
        stations.read(0)


def test_a_tag_that_was_changed_by_hand_is_put_right(lab: Lab) -> None:
    red1, blue = lab.vm("red1"), lab.networks[1]
    for settings in ((f"tag={blue.key}",), ("trunks=1,2",), ("vlan_mode=trunk",)):
        red1.node.vsctl("set", "port", red1.tap, *settings)
        wait_until(lambda: has(red1, red1.network.key), DEADLINE, "red1 to be in its VLAN again")
    red1.node.vsctl("clear", "port", red1.tap, "tag")
    wait_until(lambda: has(red1, red1.network.key), DEADLINE, "red1 to be in its VLAN again")
    assert matrix.measure(lab.vms).faults() == []


def test_ports_of_others_are_left_alone(lab: Lab) -> None:
    node = lab.nodes[0]
    node.vsctl(
        *("add-port", INTEGRATION_BRIDGE, "others", "tag=7", "--"),
        *("set", "interface", "others", "type=internal"),
    )
    try:
        with unplugged(lab, [lab.vm("red1")]):
            pass
        tags = [node.vsctl("get", "port", name, "tag").strip() for name in ("others", "br-int")]
        assert tags == ["7", "[]"]
        assert node.vsctl("get", "port", UPLINK, "tag", "trunks").split() == ["[]", "[]"]
    finally:
        node.vsctl("del-port", INTEGRATION_BRIDGE, "others")


def test_a_port_whose_tag_cannot_be_set_has_no_flow_until_it_can(lab: Lab) -> None:
    red1, red = lab.vm("red1"), lab.networks[0]
    path = f"/tunnels/networks/{red.network_id}/key"
    os.kill(red1.node.ovsdb_server.pid, signal.SIGSTOP)
    try:
        lab.quantum.request("DELETE", path)
        lab.quantum.request("POST", f"{path}/9")
        wait_until(lambda: not sends(red1), DEADLINE, "red1's flow to go")
        wait_until(
            lambda: "setting tags: bridge" in lab.controller.log.read_text(),
            DEADLINE,
            "the log to tell",
        )
        assert not sends(red1)
    finally:
        os.kill(red1.node.ovsdb_server.pid, signal.SIGCONT)
    try:
        wait_until(lambda: has(red1, 9), 30, "red1 to have its tag")
        matrix.wait_until_wired(lab.vms)
    finally:
        lab.quantum.request("DELETE", path)
        lab.quantum.request("POST", f"{path}/{red.key}")
        matrix.wait_until_wired(lab.vms)


@contextlib.contextmanager
def storm(lab: Lab, namespace: Namespace, port: str, rate: int, *vlans: str) -> Iterator[None]:
    """Have a storm out of a port."""
    name = f"storm-{namespace.name}-{vlans[0]}"
    process = storm_process(name, namespace, lab.directory, port, rate, *vlans)
    process.start()
    try:
        yield
        process.check()
    finally:
        process.kill()


def test_a_vm_that_is_plugged_in_a_storm_gets_nothing_of_others(lab: Lab) -> None:
    """Plug and unplug a VM beside a chatty tenant and a storm on every VLAN; watch both ways."""
    vm, chatty = lab.vm("red1"), lab.vm("blue1")
    assert vm.node is chatty.node
    cable = lab.flat.port(vm.node)
    own, foreign = 0, 0
    with contextlib.ExitStack() as stack:
        eth0 = stack.enter_context(contextlib.closing(packet_socket(vm.namespace, "eth0")))
        blue = stack.enter_context(contextlib.closing(packet_socket(chatty.namespace, "eth0")))
        wire = stack.enter_context(contextlib.closing(Capture(lab.physical, cable)))
        vm.unplug()
        stack.callback(matrix.wait_until_wired, lab.vms)
        stack.callback(vm.plug)
        stack.enter_context(storm(lab, lab.physical.namespace, cable, STORM_RATE, "1-4094"))
        chat = f"={chatty.network.key}"
        stack.enter_context(storm(lab, chatty.namespace, "eth0", CHAT_RATE, chat))
        chat = f"={vm.network.key}"
        stack.enter_context(storm(lab, vm.namespace, "eth0", CHAT_RATE, chat))
        stack.enter_context(storm(lab, vm.namespace, "eth0", CHAT_RATE, "1-4095"))
        for _ in range(PLUGS):
            got = plug_for_a_while(vm, eth0, wire)
            own += got.count(vm.network.key)
            foreign += len(got) - got.count(vm.network.key)
            assert set(sources(blue)) <= {chatty.network.key}
        assert own >= PLUGS
        assert foreign == 0
    assert matrix.measure(lab.vms).faults() == []


def plug_for_a_while(vm: VM, eth0: socket.socket, wire: Capture) -> list[int]:
    """Have a VM plugged until it gets the storm and is heard; return the VLANs of what it got."""
    got: list[int] = []

    def reached() -> bool:
        got.extend(sources(eth0))
        return vm.network.key in got

    vm.plug()
    wait_until(reached, DEADLINE, "the storm to reach the VM")
    wait_until(lambda: vm.network.key in wire_vlans(wire, vm), DEADLINE, "the VM to be heard")
    vm.unplug()
    return got + sources(eth0)


def sources(opened: socket.socket) -> list[int]:
    """Return the VLANs that the frames of storms that have arrived were sent to."""
    tokens = (find_token(frame) for frame in read_frames(opened))
    return [token.source for token in tokens if token is not None]


def wire_vlans(wire: Capture, vm: VM) -> set[int | None]:
    """Return the VLANs in which a VM's frames went out; none but its own may be among them."""
    found = set()
    for vlan, frame in wire.vlan_frames():
        token = find_token(frame)
        if token is not None and token.source == vm.network.key:
            found.add(vlan)
    assert found <= {vm.network.key}
    return found
