"""What the lab says of a move: every two VMs by where they are, and the whole."""

from __future__ import annotations

import pytest

from ryu_l2iso.lab.migration import Move, lines, peers_of
from ryu_l2iso.lab.pinger import Line
from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.lab.topology import Lab


def test_peers_are_one_on_each_of_three_nodes_and_never_the_vm_itself() -> None:
    lab = Lab(nodes=4)
    assert [vm.name for vm in peers_of(lab, lab.vms[0])] == ["red2", "red3", "red5"]


@pytest.mark.parametrize("lab", [Lab(nodes=1), Lab(nodes=2, vms=1)])
def test_a_lab_without_them_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="two nodes, and on each a VM besides"):
        peers_of(lab, lab.vms[0])


def test_the_report_of_a_move() -> None:
    lab = Lab()
    moved, beside, other, third = (lab.vm(name) for name in ("red1", "red2", "red3", "red5"))
    moved.node = lab.nodes[1]
    rows = [
        Line(beside, moved, 100, 2, 0, 0.0312),
        Line(moved, other, 100, 0, 1, 0.0101),
        Line(third, moved, 100, 0, 0, 0.0099),
    ]
    move = Move(moved, rows, 0.0042, 5)
    assert (move.lost, move.twice, move.gap) == (2, 1, 0.0312)
    assert list(lines(move, lab.nodes[0], lab.nodes[1])) == [
        "pings every 10 ms    at            sent  lost  twice     gap",
        "red2 -> red1         source         100     2      0   31 ms",
        "red1 -> red3         destination    100     0      1   10 ms",
        "red5 -> red1         third node     100     0      0   10 ms",
        "lost 2 of 300, twice 1, longest gap 31 ms",
        "the guest was paused 4 ms at most",
        "packets that came to both places: 5",
    ]
