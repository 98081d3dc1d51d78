"""That the lab sees what must not be: a leak, a lost ping, a flow too many."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.traffic import Traffic, lines_of
from tests.e2e.handmade import isolate


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Yield a lab of two nodes without a controller, with flows by hand that isolate."""
    with Lab(nodes=2, vms=1) as made:
        for vm in made.plug_order():
            vm.plug()
        isolate(made)
        matrix.wait_until_wired(made.vms)
        yield made


def test_lines_join_the_vms_of_each_network_on_and_between_nodes() -> None:
    vms = Lab(nodes=3, vms=2).vms
    names = [(vms[source].name, vms[destination].name) for source, destination in lines_of(vms)]
    red = [("red1", "red2"), ("red3", "red4"), ("red5", "red6")]
    red += [("red1", "red3"), ("red3", "red5"), ("red5", "red1")]
    assert names[:6] == red
    assert len(names) == 12


def test_traffic_that_is_as_it_must_be_has_no_leak_and_no_loss(lab: Lab) -> None:
    with Traffic(lab.vms, lines_of(lab.vms)) as traffic:
        begin = time.monotonic()
        time.sleep(0.5)
        losses = traffic.losses(begin, time.monotonic())
    assert [(loss.source.name, loss.destination.name) for loss in losses] == [
        ("red1", "red2"),
        ("blue1", "blue2"),
    ]
    assert min(loss.sent for loss in losses) > 20
    assert [loss.lost for loss in losses] == [0, 0]
    assert (traffic.leaked, traffic.leaks) == (0, [])


def test_a_leak_and_a_lost_ping_are_seen(lab: Lab) -> None:
    red, blue = lab.vm("red1"), lab.vm("blue1")
    leak = f"table=0,priority=999,in_port={red.ofport()},dl_dst=ff:ff:ff:ff:ff:ff"
    cut = f"table=0,priority=998,in_port={red.ofport()},ip"
    with Traffic(lab.vms, lines_of(lab.vms)) as traffic:
        time.sleep(0.2)
        begin = time.monotonic()
        red.node.ofctl("add-flow", "br-int", f"{leak},actions=output:{blue.ofport()}")
        red.node.ofctl("add-flow", "br-int", f"{cut},actions=drop")
        time.sleep(0.5)
        for match in (leak, cut):
            red.node.ofctl("--strict", "del-flows", "br-int", match)
        time.sleep(0.1)
        losses = traffic.losses(begin, time.monotonic())
    assert {str(leak) for leak in traffic.leaks} == {"BROADCAST of red1 arrived at blue1"}
    assert traffic.leaked >= 1
    lost = {str(loss).partition(":")[0]: loss.lost for loss in losses}
    assert lost["red1 -> red2"] > 20
    assert lost["blue1 -> blue2"] == 0
