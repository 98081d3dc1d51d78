"""That the lab sees what must not be: a leak, a lost ping, a flow too many."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.frames import Kind, Token, echo_request4, mac_bytes
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.station import packet_socket
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.traffic import Traffic, lines_of
from ryu_l2iso.lab.vm import VM
from tests.e2e.handmade import isolate
from tests.e2e.probing import DEADLINE

ANSWERS = 250
"""More than Linux's ICMP socket of a CPU has room for, and no more than wait for one address."""


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
        traffic.wait_for_pings(30)
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
        traffic.wait_for_answers(10)
        begin = time.monotonic()
        red.node.ofctl("add-flow", "br-int", f"{leak},actions=output:{blue.ofport()}")
        red.node.ofctl("add-flow", "br-int", f"{cut},actions=drop")
        traffic.wait_for_pings(40)
        wait_until(lambda: traffic.leaked, DEADLINE, "a leak")
        for match in (leak, cut):
            red.node.ofctl("--strict", "del-flows", "br-int", match)
        losses = traffic.losses(begin, time.monotonic())
    assert {str(leak) for leak in traffic.leaks} == {"BROADCAST of red1 arrived at blue1"}
    assert traffic.leaked >= 1
    lost = {str(loss).partition(":")[0]: loss.lost for loss in losses}
    assert lost["red1 -> red2"] > 20
    assert lost["blue1 -> blue2"] == 0


def test_answers_that_wait_for_a_vm_that_is_cut_off_cost_nobody_else_his(lab: Lab) -> None:
    with Traffic(lab.vms, lines_of(lab.vms)) as traffic:
        begin = time.monotonic()
        for _ in range(20):
            ping_from_nobody(lab.vm("red1"))
            traffic.wait_for_pings(1)
        losses = traffic.losses(begin, time.monotonic())
    assert min(loss.sent for loss in losses) > 5
    assert [loss.lost for loss in losses] == [0, 0]


def test_a_switch_that_is_slow_to_answer_who_has_an_address_costs_no_ping(lab: Lab) -> None:
    red = lab.vm("red1")
    with Traffic(lab.vms, lines_of(lab.vms), 0.05) as traffic:
        begin = time.monotonic()
        os.kill(red.node.vswitchd.pid, signal.SIGSTOP)
        try:
            red.namespace.run("ip", "neigh", "flush", "dev", "eth0")
            time.sleep(0.2)
        finally:
            os.kill(red.node.vswitchd.pid, signal.SIGCONT)
        losses = traffic.losses(begin, time.monotonic())
    assert min(loss.sent for loss in losses) > 2
    assert [loss.lost for loss in losses] == [0, 0]


def ping_from_nobody(vm: VM) -> None:
    """Have a VM answer pings of addresses that nobody has, on every CPU."""
    cpus = os.sched_getaffinity(0)
    with packet_socket(vm.node.namespace, vm.tap) as opened:
        try:
            for place, cpu in enumerate(cpus):
                os.sched_setaffinity(0, {cpu})
                frame = ping_frame(f"10.0.0.{250 - place % 200}", vm)
                for _ in range(ANSWERS):
                    opened.send(frame)
        finally:
            os.sched_setaffinity(0, cpus)


def ping_frame(source: str, vm: VM) -> bytes:
    """Return a ping of a VM from an address."""
    request = echo_request4(Token(0, Kind.PING4, 0, 0))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(request), 0, 0, 64, socket.IPPROTO_ICMP, 0)
    head += socket.inet_aton(source) + socket.inet_aton(vm.address.ipv4)
    checksum = -sum(struct.unpack("!10H", head)) % 0xFFFF
    head = head[:10] + struct.pack("!H", checksum) + head[12:]
    return mac_bytes(vm.address.mac) + bytes((2, 0, 0, 0, 0, 1)) + b"\x08\x00" + head + request
