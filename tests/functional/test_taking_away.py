"""The commands of docs/operations.rst that take a bridge back, run as they stand there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.controller import Controller
from tests.functional.ovs import DEADLINE, OVS, wait_until
from tests.functional.ports import free_port
from tests.functional.real_cloud import BRIDGE, SUITE, Node, RealCloud

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.rst").read_text(encoding="utf-8")
FIRST, SECOND = "127.0.0.1", "127.0.0.2"


def commands(api: str) -> str:
    """Return the commands of the page, for this controller and an agent that was stopped."""
    section = PAGE.partition("Taking it away\n---")[2]
    (script,) = re.findall(r"::\n\n((?:(?:    .*)?\n)+)", section)
    for told, here in (
        ("http://192.0.2.10:8080/v1.0", api),
        ("systemctl disable --now l2iso-agent", "true"),
    ):
        assert script.count(told) == 1
        script = script.replace(told, here)
    return str(script)


@contextmanager
def agent(ovs: OVS, controller: Controller, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent whose bridge has one external port, up1."""
    arguments = ["--controller-url", f"http://127.0.0.1:{controller.rest_port}"]
    arguments += ["--ovsdb-connection", ovs.db_address, "--interval", "0.2"]
    arguments += ["--tunnel-ip", address, "--ovsdb-listen", f"{address}:{free_port()}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ryu_l2iso.agent", *arguments, "--external-port", "up1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)


def contents(ovs: OVS) -> dict[str, object]:
    """Return all of the bridge that we may change: what the page promises to put back."""
    columns = ("fail_mode", "other_config", "protocols")
    return {
        **{name: ovs.vsctl("get", "bridge", BRIDGE, name) for name in columns},
        "controllers": ovs.vsctl("get-controller", BRIDGE),
        "managers": ovs.vsctl("get-manager"),
        "ports": ovs.vsctl("list-ports", BRIDGE),
        "flows": ovs.flows(BRIDGE),
        "groups": ovs.groups(BRIDGE),
    }


def group_of_tunnels(ovs: OVS) -> str:
    """Return the group of the tunnels of the network with key 42."""
    return next((group for group in ovs.groups(BRIDGE) if "group_id=84," in group), "")


def put_what_others_have(ovs: OVS, controlled: bool) -> None:
    """Let others have a port, a manager and, when ``controlled``, a controller and flows."""
    ovs.add_port(BRIDGE, "up1", "ofport_request=1")
    ovs.add_port(BRIDGE, "theirs", "ofport_request=50", "external_ids:theirs=1")
    ovs.vsctl("set-manager", f"punix:{ovs.rundir / 'others.sock'}")
    if controlled:
        # Three probes after it lost all controllers Open vSwitch itself flushes all flows, unless
        # fail_mode is secure (ovs-vswitchd.conf.db(5), fail_mode).
        controller = ("set-controller", BRIDGE, f"tcp:127.0.0.1:{free_port()}")
        ovs.vsctl(*controller, "--", "set", "controller", BRIDGE, "inactivity_probe=600000")
        ovs.ofctl("add-group", BRIDGE, "group_id=9000,type=all,bucket=output:50")
        ovs.ofctl("add-flow", BRIDGE, "cookie=7,priority=3,in_port=50,actions=group:9000")


@pytest.mark.parametrize("controlled", [True, False], ids=["with others", "alone"])
@pytest.mark.parametrize("gone", [False, True], ids=["controller runs", "controller is gone"])
def test_the_commands_of_the_page_leave_the_bridge_as_it_was(controlled: bool, gone: bool) -> None:
    with OVS() as first, OVS() as second, Controller(*SUITE) as controller:
        controller.wait_for_log("REST server listens")
        nodes = (Node(first, 1), Node(second, 2))
        put_what_others_have(first, controlled)
        before = contents(first)
        cloud = RealCloud(controller, nodes)
        with agent(first, controller, FIRST) as running, agent(second, controller, SECOND):
            cloud.network("red", 42)
            cloud.plug(nodes[0], 101, "red", "02:00:00:00:00:0a")
            cloud.plug(nodes[1], 101, "red", "02:00:00:00:00:0b")
            wait_until(lambda: "bucket=actions=output:" in group_of_tunnels(first), "the tunnel")
            during = contents(first)
            same = [name for name, value in before.items() if during[name] == value]
            assert nodes[0].tunnels() and same == ["protocols"]
            running.terminate()
            running.wait(DEADLINE)
            script = commands(f"http://127.0.0.1:{controller.rest_port}/v1.0")
            if gone:
                controller.end(signal.SIGTERM)
                script = re.sub(r"(?m)^ *curl .*$", "", script)
            take_away(first, script)
        first.vsctl("del-port", BRIDGE, "tap101")
        assert contents(first) == before


def take_away(ovs: OVS, script: str) -> None:
    """Run the commands in the shell of a user, who would stop at the first that fails."""
    done = subprocess.run(
        ["bash", "-euc", script],
        env=ovs.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
