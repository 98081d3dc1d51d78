"""Switches that are let go: killed meanwhile, taken back; and ports that OVSDB does not tell of."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ryu_l2iso.state.values import dpid_to_str
from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.ports import free_port
from tests.functional.real_cloud import BRIDGE, SUITE, Node, RealCloud

KEY = 42
RED, BLUE = "02:00:00:00:00:01", "02:00:00:00:00:02"
FAR = dpid_to_str(2)


@contextmanager
def running(path: Path) -> Iterator[Controller]:
    """Run a controller that keeps its state in a file."""
    with Controller(*SUITE, connection=path) as controller:
        controller.wait_for_log("REST server listens")
        yield controller


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    """Return two nodes."""
    with OVS() as near, OVS() as far:
        yield [Node(near, 1), Node(far, 2)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the controllers keep their state."""
    return tmp_path / "state.db"


def wired(controller: Controller, nodes: list[Node]) -> RealCloud:
    """Return a cloud with VMs of "red" on both nodes, and one of "blue", without a key, on one."""
    cloud = RealCloud(controller, nodes)
    for node in nodes:
        cloud.register(node)
    cloud.network("red", KEY)
    cloud.state.add_network("blue")
    cloud.rest("PUT", "/networks/blue")
    cloud.plug(nodes[0], 101, "red", RED)
    cloud.plug(nodes[1], 101, "red", BLUE)
    cloud.plug(nodes[0], 102, "blue", BLUE)
    cloud.settle()
    return cloud


def delete(controller: Controller, path: str) -> int:
    """Send a DELETE; return the status."""
    return controller.request("DELETE", f"/v1.0{path}")[0]


def hand_over(controller: Controller) -> None:
    """Give the key of "red" to "blue"."""
    assert delete(controller, "/tunnels/networks/red/key") == 200
    status, _ = controller.request("PUT", f"/v1.0/tunnels/networks/blue/key/{KEY}")
    assert status == 200


def waits_for(controller: Controller) -> list[str]:
    """Return the switches that "blue" waits for."""
    status, body = controller.request("GET", "/v1.0/tunnels/networks/blue/waits_for")
    assert status == 200
    found: list[str] = json.loads(body)
    return found


def has(node: Node, text: str) -> bool:
    """Tell whether a switch has a flow with this text."""
    return any(text in flow for flow in node.ovs.flows(BRIDGE))


def test_who_was_to_be_gone_is_so_after_a_kill(path: Path, nodes: list[Node]) -> None:
    """When it comes back it gets rid of everything, and nobody waits for it any more."""
    near, far = nodes
    with running(path) as first:
        wired(first, nodes)
        far.ovs.signal_vswitchd(signal.SIGSTOP)
        hand_over(first)
        assert delete(first, f"/conf/switches/{FAR}") == 202
        assert waits_for(first) == [FAR]
        first.end(signal.SIGKILL)
    with running(path) as second:
        assert waits_for(second) == [FAR]
        far.ovs.vsctl("--no-wait", "set-controller", BRIDGE, second.target)
        far.ovs.signal_vswitchd(signal.SIGCONT)
        wait_until(lambda: not has(far, "in_port=101"), "its flows to go")
        wait_until(lambda: waits_for(second) == [], "blue not to wait")
        wait_until(lambda: has(near, "in_port=102,dl_src"), "blue to have flows")


def test_a_deletion_that_cannot_be_kept_never_was(path: Path, nodes: list[Node]) -> None:
    """Also when the switch was lost before that was known."""
    near, far = nodes
    with running(path) as controller, closing(sqlite3.connect(path)) as other:
        wired(controller, nodes)
        to_far = f"dl_dst={BLUE}"
        assert has(near, to_far)
        answers: list[int] = []
        asked = threading.Thread(
            target=lambda: answers.append(delete(controller, f"/conf/switches/{FAR}"))
        )
        # So that it cannot confirm.
        far.ovs.signal_vswitchd(signal.SIGSTOP)
        other.execute("BEGIN IMMEDIATE")
        asked.start()
        wait_until(lambda: not has(near, to_far), "the deletion to be acted on")
        far.ovs.kill_vswitchd()
        asked.join()
        other.rollback()
        assert answers == [503]
        wait_until(lambda: has(near, to_far), "what is known of it to be back")
        hand_over(controller)
        assert waits_for(controller) == [FAR]


def plug(node: Node, port_no: int, network_id: str) -> None:
    """Plug a VM of a network; its interface and its MAC are the same wherever it is."""
    ids = (f"external_ids:iface-id=vm-{network_id}", f'external_ids:attached-mac="{RED}"')
    settings = (f"ofport_request={port_no}", *ids)
    assert node.ovs.add_port(BRIDGE, f"tap{port_no}", *settings) == port_no


def test_a_port_that_ovsdb_did_not_tell_of_is_not_the_one_that_had_its_name_and_number(
    path: Path, nodes: list[Node]
) -> None:
    """Ports 101 and 102 are made anew: one for another VM, and one for the VM that had it."""
    node, port = nodes[0], free_port()
    node.ovs.vsctl("set-manager", f"ptcp:{port}:127.0.0.1")
    with running(path) as controller:
        cloud = RealCloud(controller, [node])
        node.ovs.db_address, own = f"tcp:127.0.0.1:{port}", node.ovs.db_address
        cloud.register(node)
        node.ovs.db_address = own
        for key, name in enumerate(("red", "blue", "green"), KEY):
            cloud.network(name, key)
            cloud.tell_interface(f"vm-{name}", name)
        # A port that OpenFlow alone is enough for.
        cloud.rest("PUT", f"/networks/red/{dpid_to_str(1)}_103")
        cloud.rest("PUT", f"/networks/red/{dpid_to_str(1)}_103/macs/{BLUE}")
        plug(node, 101, "red")
        plug(node, 102, "green")
        wait_until(lambda: has(node, "in_port=101,dl_src"), "the VM's flows")
        wait_until(lambda: has(node, "in_port=102,dl_src"), "the VM's flows")
        node.ovs.vsctl("del-manager")
        wait_until(lambda: "OVSDB server" in controller.log(), "OVSDB to be missed")
        node.ovs.vsctl("del-port", BRIDGE, "tap101", "--", "del-port", BRIDGE, "tap102")
        plug(node, 101, "blue")
        plug(node, 102, "green")
        node.ovs.add_port(BRIDGE, "tap103", "ofport_request=103")
        wait_until(lambda: has(node, "in_port=103,dl_src"), "OpenFlow to have told of it")
        for text in ("in_port=101", "output:101", "in_port=102", "output:102"):
            assert not has(node, text)
        node.ovs.vsctl("set-manager", f"ptcp:{port}:127.0.0.1")
        wait_until(lambda: key_of(node, 101) == KEY + 1, "the new VM's key")
        wait_until(lambda: key_of(node, 102) == KEY + 2, "the same VM's key")


def key_of(node: Node, port_no: int) -> int | None:
    """Return the key with which a port sends, or None."""
    pattern = re.compile(rf"in_port={port_no},dl_src=.*set_field:(\w+)->tun_id")
    found = [match for flow in node.ovs.flows(BRIDGE) if (match := pattern.search(flow))]
    return int(found[0][1], 0) if found else None
