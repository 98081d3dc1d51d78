"""Everything that happens to a fleet, with pings that go on and everybody listening to leaks.

``RESTARTS``: how often the controller is killed in a row; ``CUT`` and ``AWAY``: how many seconds
the physical network is cut, and the controller away; ``FAULTS=all``: every fault in every mode.
``make survival`` runs the long version.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ryu_l2iso.lab import churn, outages, soak
from ryu_l2iso.lab.expected import flows
from ryu_l2iso.lab.faults import FAULTS
from ryu_l2iso.lab.isolations import NAMES
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node
from ryu_l2iso.lab.outside import Outside
from ryu_l2iso.lab.scene import Effect, Fault, Scene, of_network
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.soak import Outcome, Watched
from ryu_l2iso.lab.topology import Lab

pytestmark = pytest.mark.alone

RESTARTS = int(os.environ.get("RESTARTS", "3"))
LONGEST = 2.0
"""Seconds of an outage that has no length of its own."""

OUTAGES = {
    fault: float(os.environ[name])
    for name, fault in (("CUT", "network_is_cut"), ("AWAY", "controller_is_away"))
    if name in os.environ
}

FOREIGN = "table=0,priority=99,dl_type=0x88b6,actions=drop"
"""A flow of somebody else, without our cookie."""


# -- a network that is deleted when its switch does not hear of it, just before the controller ends


def network_goes_unheard(scene: Scene) -> Effect:
    """A network is deleted just before the kill; its flows go when OVSDB was read, not before.

    With VLANs what comes in its VLAN is dropped meanwhile.
    """
    lab, node, blue = scene.lab, scene.lab.nodes[0], scene.lab.networks[1]
    node.ofctl("add-flow", INTEGRATION_BRIDGE, FOREIGN)
    agent = lab.agents[0]
    agent.kill()
    managers = node.vsctl("get-manager").split()
    node.vsctl("del-manager")
    controller = node.vsctl("--bare", "--columns=_uuid", "find", "Controller").strip()
    target = node.vsctl("get", "Controller", controller, "target").strip()
    node.vsctl("set", "Controller", controller, 'target="tcp:192.0.2.253:6653"')
    before = _ours(node)
    lab.quantum.delete_network(blue.network_id)
    lab.controller.kill()
    watcher = Outside(node)
    node.vsctl("set", "Controller", controller, f"target={target}")
    lab.start_controller()
    reads = {"OFPST_FLOW", "OFPST_GROUP_DESC", "OFPST_METER_CONFIG"}
    wait_until(lambda: reads <= watcher.received().keys(), 20, "the controller to read the flows")
    wait_until(lambda: _held(lab), 20, "the controller to say that it holds strays")
    added = _ours(node) - before
    assert before <= _ours(node)
    assert all(flow.endswith("actions=drop") for flow in added)
    assert bool(watcher.changes()) == bool(added)
    agent.start()
    wait_until(lambda: _ours(node) < before, 20, "blue's flows to go")
    assert managers == node.vsctl("get-manager").split()
    assert "priority=99,dl_type=0x88b6 actions=drop" in flows(node)
    node.ofctl("--strict", "del-flows", INTEGRATION_BRIDGE, FOREIGN.partition(",actions")[0])
    lab.quantum.create_network(blue.network_id, blue.key)
    for vm in lab.vms:
        lab.quantum.update_interface(vm.iface_id, vm.network.network_id)
    text = "blue deleted unheard, the controller killed; its flows went when OVSDB was read"
    return Effect(text, of_network(scene, blue.network_id))


def _ours(node: Node) -> set[str]:
    return {flow for flow in flows(node) if flow.startswith("cookie=0x6c32")}


def _held(lab: Lab) -> bool:
    """Whether the last full sync that the controller tells of has held strays."""
    lines = lab.controller.log.read_text(errors="replace").splitlines()
    synced = [line for line in lines if "full sync" in line and "added" in line]
    dpid = lab.nodes[0].dpid()
    of_node = [line for line in synced if dpid in line]
    return bool(of_node) and " 0 strays held" not in of_node[-1]


# -- the tests -------------------------------------------------------------------------------------

QUICK: dict[str, tuple[Fault, ...]] = {
    "gre": (
        network_goes_unheard,
        outages.controller_is_away,
        outages.vswitchd_restarts,
        outages.ovsdb_server_restarts,
        outages.node_reboots,
        outages.node_is_gone_for_good,
        outages.network_is_cut,
        churn.vm_moves_over_a_restart,
    ),
    "vlan": (outages.controller_is_away, outages.node_reboots),
    "mac": (outages.controller_is_away, outages.node_reboots),
}
"""isolation → what is tried in it; the soak tries the rest."""

EVERYTHING: dict[str, tuple[Fault, ...]] = {
    name: (network_goes_unheard, *every) for name, every in FAULTS.items()
}
CHOSEN = EVERYTHING if os.environ.get("FAULTS") == "all" else QUICK


@pytest.fixture(scope="module", params=NAMES)
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Yield a wired lab of each mode in turn, with pings and captures."""
    failed_before = request.session.testsfailed
    with Lab(isolation=request.param, options=soak.OPTIONS) as lab:
        print(f"logs, if a test fails: {lab.directory}")
        lab.keep_logs = True
        with Watched(soak.start(lab, 1, LONGEST, OUTAGES)) as made:
            yield made
        lab.keep_logs = request.session.testsfailed > failed_before
        if not lab.keep_logs:
            lab.keep_logs = True
            assert soak.faults_between(made.scene.plugged()) == []
            lab.keep_logs = False


def strike(watched: Watched, fault: Fault) -> Outcome:
    """Have a fault, and print what came of it."""
    outcome = watched.strike(fault)
    print(outcome)
    return outcome


def test_restarts_of_the_controller_lose_no_ping_and_send_nothing(watched: Watched) -> None:
    def restarts(scene: Scene) -> Effect:
        """The controller is killed and started again and again."""
        return outages.controller_restarts_in_a_row(scene, RESTARTS)

    assert strike(watched, restarts).faults == []


def test_after_every_fault_all_is_as_it_should_be(watched: Watched) -> None:
    chosen = CHOSEN[watched.scene.lab.isolation.name]
    outcomes = [strike(watched, fault) for fault in chosen]
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []
