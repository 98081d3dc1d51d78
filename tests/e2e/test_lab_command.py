"""``l2iso-lab`` as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ryu_l2iso.lab import cli
from ryu_l2iso.lab.netns import RUN_DIRECTORY
from ryu_l2iso.lab.shell import run

ROOT = Path(__file__).resolve().parents[2]


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start ``l2iso-lab`` with its output in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "ryu_l2iso.lab.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return what the process prints up to a line with ``text``; fails when it never does."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} was not printed:\n{read}")


def namespaces() -> set[str]:
    """Return the names of all network namespaces."""
    return {path.name for path in RUN_DIRECTORY.iterdir()}


def test_demo_prints_everything_and_ends_0() -> None:
    process = start(["demo", "--nodes", "2", "--vms", "1"])
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    for part in (
        "== Topology",
        "4 ordered pairs of one network: 4 reached (expected 4)",
        "8 ordered pairs of two networks: 0 reached (expected 0)",
        "node1 -> node2  gre  192.0.2.1 -> 192.0.2.2",
        "table local_out: ",
        "spoofed_source: ",
        "plugging a VM to its first successful ping: median ",
    ):
        assert part in printed
    assert "not ours" not in printed


@pytest.mark.parametrize(
    ("isolation", "part"),
    [("vlan", "from_external: in_port=eth1 => NORMAL"), ("mac", "table destination: ")],
)
def test_demo_of_the_other_isolations_ends_0(isolation: str, part: str) -> None:
    process = start(["demo", "--isolation", isolation, "--nodes", "2", "--vms", "1"])
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert "8 ordered pairs of two networks: 0 reached (expected 0)" in printed
    assert part in printed
    assert "== Tunnels" not in printed
    assert "not ours" not in printed


def test_migrate_with_duplicate_sends_to_both_places_and_prints_what_was_lost() -> None:
    process = start(["migrate", "--networks", "1", "--migration", "duplicate"])
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    for peer, at in (("red2", "source"), ("red3", "destination"), ("red5", "third node")):
        assert re.search(rf"^{peer} -> red1 +{at} ", printed, re.MULTILINE), printed
        assert re.search(rf"^red1 -> {peer} +{at} ", printed, re.MULTILINE), printed
    both = re.search(r"^packets that came to both places: (\d+)$", printed, re.MULTILINE)
    assert both is not None
    assert int(both[1]) > 100, printed
    assert "isolation matrix after it: as it must be" in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stays_until_it_is_told_to_end_and_leaves_nothing(number: signal.Signals) -> None:
    process = start(["up", "--nodes", "2", "--vms", "1"])
    try:
        printed = read_until(process, "Ctrl-C ends it")
        found = re.search(r"ip netns exec (lab[0-9a-f]+)-red1 ping (\S+)", printed)
        assert found is not None, printed
        tag, address = found.groups()
        assert {f"{tag}-node1", f"{tag}-ctl"} <= namespaces()
        call = re.search(rf"ip netns exec {tag}-ctl curl -s (.*/v1.0/networks)$", printed, re.M)
        assert call is not None, printed
        assert "__NW_ID_EXTERNAL__" in run(call[0].split())
        assert address == "10.0.0.2"
    finally:
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert not [name for name in namespaces() if name.startswith(tag)]


def test_an_interrupt_while_it_is_being_set_up_leaves_nothing() -> None:
    process = start(["demo"])
    tag = ""
    try:
        printed = read_until(process, "nodes, ")
        tag = re.search(r"lab[0-9a-f]+", printed)[0]  # type: ignore[index]
    finally:
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=20)
    assert process.returncode == 130, printed
    assert not [name for name in namespaces() if name.startswith(tag)]


def test_without_root_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == (
        "l2iso-lab: the lab makes network namespaces: run it as root\n"
    )


def test_without_its_commands_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert cli.main(["demo"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("; apt-get install ethtool iproute2 openssl openvswitch-switch\n")


def test_a_size_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--nodes", "0"]) == 1
    assert capsys.readouterr().err == "l2iso-lab: nodes: 1 to 100\n"
