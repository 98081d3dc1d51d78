"""What the lab makes of the tokens that were seen, and what it prints about it."""

from __future__ import annotations

import os
import sys

import pytest

from ryu_l2iso.lab.flows import DumpedFlow, parse_flow
from ryu_l2iso.lab.frames import ANYBODY, Kind, Seen, Token
from ryu_l2iso.lab.matrix import TO_ALL, TO_ONE, evaluate
from ryu_l2iso.lab.report import matrix_lines
from ryu_l2iso.lab.shell import LabError, median, run, wait_until
from ryu_l2iso.lab.topology import Lab

LAB = Lab(nodes=1, networks=2, vms=2)
VMS = LAB.vms
RED1, RED2, BLUE1 = 0, 1, 2


def perfect() -> tuple[dict[tuple[int, Seen], int], dict[Token, int]]:
    """Return what is seen and answered when red and blue are two good networks."""
    seen: dict[tuple[int, Seen], int] = {}
    answered: dict[Token, int] = {}
    for source, destination in ((0, 1), (1, 0), (2, 3), (3, 2)):
        for kind in TO_ONE:
            seen[destination, Seen(Token(0, kind, source, destination), False)] = 1
        for kind in TO_ALL:
            seen[destination, Seen(Token(0, kind, source, ANYBODY), False)] = 1
        for kind in (Kind.PING4, Kind.PING6):
            answered[Token(0, kind, source, destination)] = 1
    return seen, answered


def test_a_matrix_of_two_good_networks_is_ok() -> None:
    result = evaluate(VMS, *perfect())
    assert result.ok
    assert list(matrix_lines(result)) == [
        "         red1  red2 blue1 blue2",
        "red1        .    46    --    --",
        "red2       46     .    --    --",
        "blue1      --    --     .    46",
        "blue2      --    --    46     .",
        "from row to column: 46 reached over IPv4 and IPv6, -- isolated, ! not as it must be",
        "4 ordered pairs of one network: 4 reached (expected 4), 0 isolated (expected 0), 4 right",
        "8 ordered pairs of two networks: 0 reached (expected 0), 8 isolated (expected 8), 8 right",
    ]


@pytest.mark.parametrize("kind", [*TO_ONE, *TO_ALL])
def test_every_kind_of_frame_must_arrive_exactly_once(kind: Kind) -> None:
    to = ANYBODY if kind in TO_ALL else RED2
    key = (RED2, Seen(Token(0, kind, RED1, to), False))
    seen, answered = perfect()
    for times in (0, 2):
        seen[key] = times
        assert evaluate(VMS, seen, answered).faults() == [
            f"red1 -> red2: {kind.name} arrived {times} times"
        ]


def test_every_ping_must_be_answered() -> None:
    seen, answered = perfect()
    del answered[Token(0, Kind.PING6, RED1, RED2)]
    assert evaluate(VMS, seen, answered).faults() == ["red1 -> red2: PING6 not answered"]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("reply", [False, True])
@pytest.mark.parametrize("destination", [RED2, BLUE1, ANYBODY])
def test_anything_that_comes_over_from_another_network_is_a_leak(
    kind: Kind, reply: bool, destination: int
) -> None:
    seen, answered = perfect()
    seen[BLUE1, Seen(Token(0, kind, RED1, destination), reply)] = 1
    result = evaluate(VMS, seen, answered)
    assert result.faults() == [f"red1 -> blue1: {kind.name} leaked"]
    assert any("!" in line and line.startswith("red1 ") for line in matrix_lines(result))


def test_what_a_frame_for_another_does_inside_its_network_is_no_fault() -> None:
    seen, answered = perfect()
    seen[RED2, Seen(Token(0, Kind.PING4, RED1, BLUE1), False)] = 1
    seen[RED2, Seen(Token(0, Kind.PING4, RED1, RED2), True)] = 1
    assert evaluate(VMS, seen, answered).ok


def test_many_faults_are_cut_short() -> None:
    lines = list(matrix_lines(evaluate(VMS, {}, {})))
    assert lines[-1] == "  ! and 22 more"
    assert len([line for line in lines if line.startswith("  ! ")]) == 11


def test_a_line_of_a_flow_dump_is_taken_apart() -> None:
    line = (
        " cookie=0x6c32000100000001, duration=4.1s, table=0, n_packets=86, n_bytes=5,"
        ' idle_age=0, priority=20,in_port="tap-red1",dl_src=fa:16:3e:00:00:01'
        " actions=set_field:0x11171->tun_id,goto_table:1"
    )
    match = 'in_port="tap-red1",dl_src=fa:16:3e:00:00:01'
    actions = "set_field:0x11171->tun_id,goto_table:1"
    assert parse_flow(line) == DumpedFlow(0, 20, 86, 0x6C32000100000001, match, actions)
    miss = "cookie=0x0, duration=4.1s, table=2, n_packets=0, n_bytes=0, priority=0 actions=drop"
    assert parse_flow(miss) == DumpedFlow(2, 0, 0, 0, "", "drop")


@pytest.mark.parametrize("line", ["OFPST_FLOW reply (OF1.4):", "table=0, priority=3 actions=drop"])
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(LabError, match="not a flow"):
        parse_flow(line)


def test_vms_are_plugged_in_around_the_nodes() -> None:
    order = [vm.name for vm in Lab(nodes=2, networks=2, vms=2).plug_order()]
    assert order == ["red1", "blue1", "red3", "blue3", "red2", "blue2", "red4", "blue4"]


def test_a_vm_is_found_by_its_name() -> None:
    assert LAB.vm("blue2") is VMS[3]
    with pytest.raises(LabError, match="green1"):
        LAB.vm("green1")


def test_all_networks_have_the_same_addresses() -> None:
    assert VMS[0].address == VMS[2].address
    assert VMS[0].address != VMS[1].address
    assert len({vm.iface_id for vm in VMS}) == 4


def test_a_command_that_fails_says_so_in_one_line() -> None:
    with pytest.raises(LabError, match="^status 2: ls /nonexistent/x: ls: [^\n]*$"):
        run(["ls", "/nonexistent/x"], env={"LC_ALL": "C"})


def test_a_command_that_does_not_end_says_so_in_one_line() -> None:
    # In an interpreter of its own: eventlet's Popen raises another TimeoutExpired.
    code = "from ryu_l2iso.lab.shell import run; run(['sleep', '5'], deadline=0.05)"
    with pytest.raises(LabError, match="LabError: no end within 0.05 s: sleep 5$"):
        run([sys.executable, "-c", code], env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_a_wait_in_vain_names_what_it_waited_for() -> None:
    with pytest.raises(LabError, match="waited 0.05 s in vain for the sun"):
        wait_until(lambda: False, 0.05, "the sun")


def test_the_median_is_in_the_middle() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    with pytest.raises(LabError):
        median([])
