"""What somebody changes by hand on a switch is put right: flows and what OVSDB holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from ryu_l2iso.openflow.programmer import READ_EVERY
from ryu_l2iso.pipelines.flow import Flow, Group, Match, Meter, Piece, ToGroup
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.state.subjects import PortSubject
from tests.functional import openflow
from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.real_cloud import BRIDGE, SUITE, Node, RealCloud
from tests.functional.test_gre_tunnel import BROADCAST, arrived
from tests.unit.cloud import Cloud

MAC_A, MAC_B, MAC_C = (f"02:00:00:00:00:0{digit}" for digit in "abc")
OURS = "cookie=0x6c32000000000000/0xffff000000000000"
INTERVAL = 0.2


@pytest.fixture
def real() -> Iterator[RealCloud]:
    """Return a cloud of two nodes, with a VM of the network "red" on each."""
    with OVS() as first, OVS() as second:
        settings = {"drift_interval": INTERVAL}
        with Controller(*SUITE, settings=settings) as controller:
            controller.wait_for_log("REST server listens")
            cloud = RealCloud(controller, (Node(first, 1), Node(second, 2)))
            for node in cloud.nodes:
                cloud.register(node)
            cloud.network("red", 42)
            cloud.plug(cloud.nodes[0], 101, "red", MAC_A)
            cloud.plug(cloud.nodes[1], 101, "red", MAC_B)
            cloud.settle()
            yield cloud


def drifts(real: RealCloud) -> list[str]:
    """Return what the log says of changes by others."""
    lines = real.controller.log().splitlines()
    return [
        line.partition("changed by somebody else: ")[2] for line in lines if "by somebody" in line
    ]


CHANGES = [
    (("del-flows", BRIDGE, f"{OURS},in_port=101,dl_src={MAC_A}"), "1 missing (cookie=0x6c3200"),
    (
        ("add-flow", BRIDGE, "cookie=0x6c32000100000063,priority=99,in_port=9,actions=NORMAL"),
        "1 not",
    ),
    (("del-flows", BRIDGE, OURS), "13 missing ("),
    (("del-groups", BRIDGE, "group_id=85"), "2 missing ("),
    (("mod-flows", BRIDGE, "table=2,tun_id=42,actions=NORMAL"), "3 changed ("),
    (
        ("mod-group", BRIDGE, "group_id=84,type=all,bucket=actions=output:9"),
        "1 changed (group_id=84",
    ),
]


def test_flows_and_groups_that_somebody_changed_are_put_right(real: RealCloud) -> None:
    node = real.nodes[0]
    theirs = "cookie=0x55, table=9, priority=5,in_port=3 actions=output:4"
    node.ovs.ofctl("add-flow", BRIDGE, theirs)
    node.foreign_flows = [theirs]
    for number, (command, told) in enumerate(CHANGES, 1):
        node.ovs.ofctl(*command)
        wait_until(lambda number=number: len(drifts(real)) == number, f"{told}: a line in the log")  # type: ignore[misc]
        real.settle()
        assert drifts(real)[-1].startswith(told)
    after = time.monotonic() + 1.6 * READ_EVERY * INTERVAL
    real.plug(node, 102, "red", MAC_C)
    real.settle()
    node.ovs.vsctl("set", "port", "tap102", "tag=7")
    assert arrived(node, 101, MAC_A, MAC_C, BROADCAST) == {102: 2}, "a tag is nothing to flows"
    wait_until(lambda: time.monotonic() > after, "every check to have been made once more")
    assert len(drifts(real)) == len(CHANGES), "once for each, and not for what we change ourselves"


BRIDGE_CHANGES = [
    ("del-controller", BRIDGE),
    ("set-fail-mode", BRIDGE, "standalone"),
    ("del-fail-mode", BRIDGE),
    ("set", "bridge", BRIDGE, "protocols=OpenFlow10"),
    ("remove", "bridge", BRIDGE, "other_config", "disable-in-band"),
    ("set", "controller", BRIDGE, "connection_mode=in-band"),
    ("set", "controller", BRIDGE, "max_backoff=30000"),
    ("set-controller", BRIDGE, "tcp:127.0.0.1:9"),
]


def test_how_the_bridge_is_controlled_is_put_right_at_once(ovs: OVS) -> None:
    node = Node(ovs, 1)
    with Controller(*SUITE, settings={"drift_interval": 0}) as controller:
        controller.wait_for_log("REST server listens")
        real = RealCloud(controller, (node,))
        real.register(node)
        real.settle()
        before = set_up(ovs, controller)
        for command in BRIDGE_CHANGES:
            ovs.vsctl("--no-wait", *command)
            what = f"all to be as before {' '.join(command)}"
            wait_until(lambda: set_up(ovs, controller) == before, what, 2)
        real.settle()


def set_up(ovs: OVS, controller: Controller) -> list[object]:
    """Return how the bridge is controlled, and by us."""
    columns = ("fail_mode", "other_config:disable-in-band")
    found = [ovs.vsctl("--if-exists", "get", "bridge", BRIDGE, column) for column in columns]
    protocols = ovs.vsctl("get", "bridge", BRIDGE, "protocols")
    row = "--columns=connection_mode,max_backoff,external_ids"
    ours = ovs.vsctl(row, "find", "controller", f'target="{controller.target}"')
    return [*found, protocols == "[]" or "OpenFlow14" in protocols, ours]


def test_meters_and_groups_that_somebody_changed_are_put_right(
    ovs: OVS, caplog: pytest.LogCaptureFixture
) -> None:
    port, cookie = PortSubject(5), openflow.COOKIE | 1
    pieces: list[Piece] = [
        Meter(5, 10, 20),
        Group(6, (1, 2)),
        Flow(0, 5, Match(in_port=5), (ToGroup(6),), None, cookie, meter=5),
    ]
    with openflow.Controller() as controller:
        controller.source.table[port] = pieces
        ovs.add_bridge("br0", 1, controller.target)
        programmer = controller.synced(1)
        for command, told in (
            (
                ("mod-meter", "br0", "meter=5,pktps,burst,band=type=drop,rate=1,burst_size=1"),
                "1 changed (meter=5",
            ),
            (("del-meter", "br0", "meter=5"), "2 missing ("),
            (
                ("mod-group", "br0", "group_id=6,type=all,bucket=actions=output:9"),
                "1 changed (group",
            ),
        ):
            caplog.clear()
            ovs.ofctl(*command)
            before = programmer.counters.repairs
            for _ in range(READ_EVERY):
                checks = programmer.counters.checks
                programmer.check()
                wait_until(lambda: programmer.counters.checks > checks, "the check")  # noqa: B023
                controller.synced(1)
            assert programmer.counters.repairs > before
            assert [str(piece) for piece in pieces] == [
                *(*ovs.meters("br0"), *ovs.groups("br0"), *ovs.flows("br0")),
            ]
            assert f"changed by somebody else: {told}" in caplog.text


def test_what_a_check_costs(ovs: OVS, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = Cloud()
    for dpid in (1, 2):
        cloud.switch(dpid)
    for key in range(1, 11):
        cloud.network(f"net-{key}", key)
        for number in range(33):
            cloud.plug(1, 100 * key + number, f"net-{key}", f"02:00:00:00:{key:02x}:{number:02x}")
    with openflow.Controller(GrePipeline(cloud.state)) as controller:
        ovs.add_bridge("br0", 1, controller.target)
        programmer = controller.synced(1)
        programmer._checks = 0
        spent: list[float] = []
        for _ in range(3 * READ_EVERY):
            counters, began = programmer.counters, time.process_time()
            before = counters.checks
            programmer.check()
            wait_until(lambda counters=counters, n=before: counters.checks > n, "the check")  # type: ignore[misc]
            controller.synced(1)
            spent.append(1000 * (time.process_time() - began))
    reads = spent[READ_EVERY - 1 :: READ_EVERY]
    counts = [one for number, one in enumerate(spent, 1) if number % READ_EVERY]
    count, read = statistics.median(counts), statistics.median(reads)
    mean = (count * (READ_EVERY - 1) + read) / READ_EVERY
    with capsys.disabled():
        print(
            f"\n{len(ovs.flows('br0'))} flows: {count:.1f} ms of CPU to count them, {read:.1f} ms "
            f"to read and compare all; 500 switches in 60 s: {500 * mean / 600:.1f} % of a core"
        )
    assert programmer.counters.repairs == 0
    assert count < 10 and read < 300
