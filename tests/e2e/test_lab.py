"""The lab itself, without a controller: that it isolates nothing by itself and sees every leak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ryu_l2iso.lab import matrix
from ryu_l2iso.lab.frames import ETH_PROBE, Kind
from ryu_l2iso.lab.matrix import Matrix
from ryu_l2iso.lab.netns import RUN_DIRECTORY
from ryu_l2iso.lab.shell import LabError, wait_until
from ryu_l2iso.lab.topology import Lab
from tests.e2e.handmade import connect_in_a_row, isolate
from tests.e2e.probing import ping_answered


@pytest.fixture
def small_lab() -> Iterator[Lab]:
    """Yield a lab of two nodes, a VM of each of two networks on each, all plugged."""
    with Lab(nodes=2, vms=1) as made:
        for vm in made.plug_order():
            vm.plug()
        yield made


def test_bridges_that_flood_are_reported_as_leaks(small_lab: Lab) -> None:
    connect_in_a_row(small_lab)
    results: list[Matrix] = []

    def all_leak() -> bool:
        # The first packets into a new tunnel are lost while OVS asks for the other end's MAC.
        results.append(matrix.measure(small_lab.vms))
        between = [cell for cell in results[-1].cells.values() if not cell.expected]
        assert len(between) == 8
        return all(Kind.BROADCAST in cell.arrived for cell in between)

    wait_until(all_leak, 30, "every broadcast to leak")
    assert not results[-1].ok
    assert "red1 -> blue2: BROADCAST leaked" in results[-1].faults()


def test_flows_of_the_design_make_the_matrix_as_it_must_be(small_lab: Lab) -> None:
    isolate(small_lab)
    matrix.wait_until_wired(small_lab.vms)
    assert matrix.measure(small_lab.vms).faults() == []


def test_one_missing_flow_is_found(small_lab: Lab) -> None:
    isolate(small_lab)
    matrix.wait_until_wired(small_lab.vms)
    red2 = small_lab.vm("red2")
    flow = f"table=2,tun_id={red2.network.key},dl_dst={red2.address.mac}"
    red2.node.ofctl("--strict", "del-flows", "br-int", f"priority=3,{flow}")
    faults = matrix.measure(small_lab.vms).faults()
    assert "red1 -> red2: UNICAST arrived 0 times" in faults
    assert "red1 -> red2: PING6 not answered" in faults
    assert not any("blue" in fault for fault in faults)


def test_one_flow_too_many_is_found(small_lab: Lab) -> None:
    isolate(small_lab)
    matrix.wait_until_wired(small_lab.vms)
    red2, blue2 = small_lab.vm("red2"), small_lab.vm("blue2")
    match = f"tun_id={red2.network.key},dl_dst={red2.address.mac},dl_type={ETH_PROBE}"
    outputs = f"output:{red2.ofport()},output:{blue2.ofport()}"
    red2.node.ofctl("add-flow", "br-int", f"table=2,priority=9,{match},actions={outputs}")
    # red2 sends one too: its twin blue2 has the MAC that is its own.
    assert matrix.measure(small_lab.vms).faults() == [
        f"{source} -> blue2: UNICAST leaked" for source in ("red1", "red2")
    ]


def test_a_packet_delivered_twice_is_found(small_lab: Lab) -> None:
    isolate(small_lab)
    matrix.wait_until_wired(small_lab.vms)
    red2 = small_lab.vm("red2")
    flow = f"table=2,priority=9,tun_id={red2.network.key},dl_dst={red2.address.mac}"
    outputs = ",".join([f"output:{red2.ofport()}"] * 2)
    red2.node.ofctl("add-flow", "br-int", f"{flow},actions={outputs}")
    assert "red1 -> red2: UNICAST arrived 2 times" in matrix.measure(small_lab.vms).faults()


def test_a_pair_that_is_never_wired_is_named(small_lab: Lab) -> None:
    isolate(small_lab)
    red2 = small_lab.vm("red2")
    red2.unplug()
    with pytest.raises(LabError, match="PING4 from red1 to red2 is one"):
        matrix.wait_until_wired(small_lab.vms, 0.5)


def test_daemons_can_be_killed_and_started_again(small_lab: Lab) -> None:
    node = small_lab.nodes[0]
    isolate(small_lab)
    matrix.wait_until_wired(small_lab.vms)
    node.vswitchd.kill()
    assert not ping_answered(small_lab.vm("red1"), small_lab.vm("red2"), 0.2)
    node.ovsdb_server.kill()
    node.start_ovsdb_server()
    node.start_vswitchd()
    assert len(node.tunnels()) == 1
    node.vsctl("set-fail-mode", "br-int", "standalone")
    assert ping_answered(small_lab.vm("red1"), small_lab.vm("blue1"), 0.2) is False


def test_two_labs_side_by_side_do_not_meet(small_lab: Lab) -> None:
    isolate(small_lab)
    with Lab(nodes=2, vms=1) as other:
        for vm in other.plug_order():
            vm.plug()
        isolate(other)
        matrix.wait_until_wired(other.vms)
        matrix.wait_until_wired(small_lab.vms)
        assert matrix.measure([*small_lab.vms, *other.vms]).faults() == []


def _remains(lab: Lab) -> list[str]:
    names = [path.name for path in RUN_DIRECTORY.iterdir() if path.name.startswith(lab.tag)]
    daemons = [d for node in lab.nodes for d in (node.ovsdb_server, node.vswitchd)]
    running = [daemon.name for daemon in daemons if daemon.running]
    return names + running + ([str(lab.directory)] if lab.directory.exists() else [])


def test_nothing_remains_after_an_error() -> None:
    lab = Lab(nodes=2, vms=1)
    with pytest.raises(ZeroDivisionError), lab:
        assert len(_remains(lab)) > 10
        raise ZeroDivisionError
    assert _remains(lab) == []


def test_nothing_remains_of_a_lab_that_could_not_be_built() -> None:
    lab = Lab(nodes=2, vms=1)
    lab.vms[-1].tap = "a-name-that-is-too-long-for-a-port"
    with pytest.raises(LabError), lab:
        pass
    assert _remains(lab) == []


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"nodes": 0}, "nodes: 1 to 100"),
        ({"isolation": "vxlan"}, "isolation: gre or vlan or mac"),
        ({"networks": 9}, "networks: 1 to 8"),
        ({"nodes": 100, "vms": 3}, "VMs of a network: 1 to 250"),
    ],
)
def test_a_lab_that_has_no_addresses_for_all_is_refused(
    arguments: dict[str, Any], rule: str
) -> None:
    with pytest.raises(LabError, match=rule):
        Lab(**arguments)
