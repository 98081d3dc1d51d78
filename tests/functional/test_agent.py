"""The agent on a real Open vSwitch, with a controller that can be lost, hang and refuse."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import eventlet
import pytest

from ryu_l2iso import node_settings, registration
from ryu_l2iso.node import Node
from tests.functional.fake_controller import FakeController
from tests.functional.ovs import OVS, wait_until
from tests.functional.ports import free_port

DPID = "00000000000000aa"
IP = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def controller() -> Iterator[FakeController]:
    with FakeController() as running:
        yield running


@pytest.fixture
def ovsdb_port() -> int:
    return free_port()


@pytest.fixture
def arguments(ovs: OVS, controller: FakeController, ovsdb_port: int) -> list[str]:
    """Return the agent's arguments, for a bridge with two uplinks."""
    ovs.add_bridge("br-int", int(DPID, 16))
    ovs.add_port("br-int", "up1")
    ovs.add_port("br-int", "up2")
    ovs.add_port("br-int", "vm1")
    arguments = ["--controller-url", controller.url, "--ovsdb-connection", ovs.db_address]
    arguments += ["--tunnel-ip", IP, "--ovsdb-listen", f"{IP}:{ovsdb_port}"]
    return [*arguments, "--external-port", "up1", "--external-port", "up2", "--interval", "0.2"]


class Agents:
    """Runs agents in green threads of this process."""

    def __init__(self) -> None:
        self._running: list[tuple[Node, eventlet.greenthread.GreenThread]] = []

    def __call__(self, arguments: list[str]) -> None:
        node = Node(node_settings.parse(arguments))
        self._running.append((node, eventlet.spawn(node.run)))

    def close(self) -> None:
        """End all of them."""
        for node, worker in self._running:
            worker.kill()
            node.close()
        self._running.clear()


@pytest.fixture
def start(caplog: pytest.LogCaptureFixture) -> Iterator[Agents]:
    caplog.set_level(logging.INFO, "ryu_l2iso")
    agents = Agents()
    yield agents
    agents.close()


def _wait_registered(controller: FakeController, ovsdb_port: int, dpid: str = DPID) -> None:
    wanted = {"ovs_tunnel_addr": IP, "ovsdb_addr": f"tcp:{IP}:{ovsdb_port}"}
    wait_until(lambda: controller.switches == {dpid: wanted}, "the registration")


def test_registers_in_the_order_of_the_contract_and_opens_the_manager_before_the_last(
    ovs: OVS, controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int
) -> None:
    others = f"punix:{ovs.rundir / 'others.sock'}"
    ovs.vsctl("set-manager", others)
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    assert controller.calls == [
        f"PUT /v1.0/networks/__NW_ID_EXTERNAL__/{DPID}_1",
        f"PUT /v1.0/networks/__NW_ID_EXTERNAL__/{DPID}_2",
        f"PUT /v1.0/conf/switches/{DPID}/ovs_tunnel_addr",
        f"PUT /v1.0/conf/switches/{DPID}/ovsdb_addr",
    ]
    assert sorted(ovs.vsctl("get-manager").split()) == [f"ptcp:{ovsdb_port}:{IP}", others]
    socket.create_connection((IP, ovsdb_port), 5).close()


def test_changes_nothing_while_all_is_registered(
    controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int
) -> None:
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    controller.calls.clear()
    looked = controller.gets
    wait_until(lambda: controller.gets > looked + 6, "two more looks")
    assert controller.calls == []


@pytest.mark.parametrize("lost", ["everything", "tunnel", "ovsdb", "external"])
def test_registers_again_what_the_controller_has_lost(
    controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int, lost: str
) -> None:
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    if lost == "everything":
        controller.forget()
    elif lost == "external":
        controller.external.remove((DPID, 1))
    else:
        del controller.switches[DPID]["ovs_tunnel_addr" if lost == "tunnel" else "ovsdb_addr"]
    _wait_registered(controller, ovsdb_port)
    wait_until(lambda: controller.external == {(DPID, 1), (DPID, 2)}, "both external ports")


def test_opens_the_manager_again_when_it_was_removed(
    ovs: OVS, controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int
) -> None:
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    ovs.vsctl("del-manager")
    wait_until(lambda: ovs.vsctl("get-manager") == f"ptcp:{ovsdb_port}:{IP}", "the manager")


def test_follows_the_datapath_id_and_removes_the_old_switch_first(
    ovs: OVS, controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int
) -> None:
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    ovs.vsctl("set", "bridge", "br-int", "other_config:datapath-id=00000000000000bb")
    _wait_registered(controller, ovsdb_port, "00000000000000bb")
    wait_until(
        lambda: controller.external == {("00000000000000bb", 1), ("00000000000000bb", 2)},
        "the external ports of the new switch only",
    )


def test_a_bridge_made_anew_while_the_agent_was_away_takes_the_place_of_the_old(
    ovs: OVS,
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    ovsdb_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    wait_until(lambda: len(controller.external) == 2, "both external ports")
    start.close()
    ovs.vsctl("del-br", "br-int")
    ovs.add_bridge("br-int", 0xBB)
    ovs.add_port("br-int", "up1", "ofport_request=7")
    start(arguments)
    _wait_registered(controller, ovsdb_port, "00000000000000bb")
    assert controller.external == {("00000000000000bb", 7)}
    assert f"switch {DPID} is registered at our addresses" in caplog.text


@pytest.mark.parametrize(
    "why", ["a bridge here", "a bridge without dpid", "other OVSDB server", "not our address"]
)
def test_a_switch_at_our_tunnel_address_that_we_never_were_is_left_alone(
    ovs: OVS,
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    ovsdb_port: int,
    caplog: pytest.LogCaptureFixture,
    why: str,
) -> None:
    address = "192.0.2.9" if why == "not our address" else IP
    port = ovsdb_port + (why == "other OVSDB server")
    if why == "a bridge here":
        ovs.add_bridge("br-other", 0xCC)
    if why == "a bridge without dpid":
        ovs.vsctl("add-br", "br-other", "--", "set", "bridge", "br-other", "datapath_type=none")
    theirs = {"ovs_tunnel_addr": address, "ovsdb_addr": f"tcp:{address}:{port}"}
    controller.switches["00000000000000cc"] = dict(theirs)
    start([*arguments, "--tunnel-ip", address, "--ovsdb-listen", f"{address}:{ovsdb_port}"])
    tunnel = f"PUT /v1.0/conf/switches/{DPID}/ovs_tunnel_addr"
    wait_until(lambda: controller.calls.count(tunnel) >= 3, "three attempts")
    assert controller.switches == {"00000000000000cc": theirs}
    assert caplog.text.count("is registered for another switch") == 1


def test_the_external_network_is_not_asked_for_without_external_ports(
    ovs: OVS, controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int
) -> None:
    start([a for a in arguments if a not in ("--external-port", "up1", "up2")])
    _wait_registered(controller, ovsdb_port)
    looked = controller.gets
    wait_until(lambda: controller.gets > looked + 6, "more looks")
    assert "/v1.0/networks/__NW_ID_EXTERNAL__" not in controller.asked


def test_the_manager_of_a_former_address_is_closed(
    ovs: OVS, controller: FakeController, start: Agents, arguments: list[str], ovsdb_port: int
) -> None:
    start(arguments)
    _wait_registered(controller, ovsdb_port)
    start.close()
    start([*arguments, "--ovsdb-listen", f"127.0.0.2:{ovsdb_port}"])
    wait_until(lambda: ovs.vsctl("get-manager") == f"ptcp:{ovsdb_port}:127.0.0.2", "the new one")


def test_follows_an_external_port_that_goes_and_comes_under_another_number(
    ovs: OVS,
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    start([*arguments, "--interval", "30"])
    wait_until(lambda: controller.external == {(DPID, 1), (DPID, 2)}, "both external ports")
    ovs.vsctl("del-port", "up1")
    wait_until(lambda: controller.external == {(DPID, 2)}, "the removal of the port that is gone")
    assert "external ports not on the bridge: up1" in caplog.text
    ovs.add_port("br-int", "up1", "ofport_request=77")
    wait_until(lambda: controller.external == {(DPID, 2), (DPID, 77)}, "the new number")


def test_a_bridge_that_comes_later_is_waited_for(
    ovs: OVS,
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    ovsdb_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ovs.vsctl("del-br", "br-int")
    start([*arguments, "--interval", "30"])
    wait_until(lambda: "no such bridge" in caplog.text, "the agent to miss the bridge")
    assert controller.calls == []
    ovs.add_bridge("br-int", int(DPID, 16))
    _wait_registered(controller, ovsdb_port)


def test_an_address_that_another_switch_has_is_logged_once_and_tried_again(
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    ovsdb_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    controller.switches["00000000000000cc"] = {"ovs_tunnel_addr": IP}
    start(arguments)
    tunnel = f"PUT /v1.0/conf/switches/{DPID}/ovs_tunnel_addr"
    wait_until(lambda: controller.calls.count(tunnel) >= 3, "three attempts")
    assert caplog.text.count("is registered for another switch") == 1
    assert "another switch has it" in caplog.text
    del controller.switches["00000000000000cc"]
    _wait_registered(controller, ovsdb_port)


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "trickles"])
def test_a_controller_in_trouble_is_logged_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    ovsdb_port: int,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    monkeypatch.setattr(registration, "REQUEST_DEADLINE", 0.2)
    controller.status = 503 if trouble == "refuses" else None
    controller.hanging = trouble == "hangs"
    controller.trickling = trouble == "trickles"
    start(arguments)
    expected = "503 told to refuse" if trouble == "refuses" else "timed out"
    wait_until(lambda: controller.requests >= 3, "three attempts")
    assert caplog.text.count(expected) == 1
    controller.status, controller.hanging, controller.trickling = None, False, False
    _wait_registered(controller, ovsdb_port)


def test_it_says_that_all_is_registered_after_each_start_and_each_trouble(
    controller: FakeController,
    start: Agents,
    arguments: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told(times: int) -> None:
        wait_until(lambda: caplog.text.count("registered: switch") == times, "the line")
        looked = controller.gets
        wait_until(lambda: controller.gets > looked + 6, "two more looks")
        assert caplog.text.count("registered: switch") == times

    start(arguments)
    told(1)
    controller.status = 503
    wait_until(lambda: "503 told to refuse; trying on" in caplog.text, "the trouble")
    controller.status = None
    told(2)
    controller.forget()
    told(3)
    start.close()
    start(arguments)
    told(4)


def test_a_controller_that_is_not_there_is_logged_once_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    start: Agents,
    arguments: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks: list[registration.Registration] = []
    has = registration.Controller.has

    def counted(controller: registration.Controller, wanted: registration.Registration) -> bool:
        looks.append(wanted)
        return has(controller, wanted)

    monkeypatch.setattr(registration.Controller, "has", counted)
    start([*arguments, "--controller-url", f"http://127.0.0.1:{free_port()}", "--interval", "0.1"])
    wait_until(lambda: len(looks) > 5, "six attempts")
    assert caplog.text.count("does not answer") == 1
    assert "Connection refused" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hanging", [False, True], ids=["idle", "waiting for the controller"])
def test_a_signal_ends_the_process_at_once(
    ovs: OVS,
    controller: FakeController,
    arguments: list[str],
    ovsdb_port: int,
    tmp_path: Path,
    number: signal.Signals,
    hanging: bool,
) -> None:
    controller.hanging = hanging
    log = tmp_path / "agent.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ryu_l2iso.agent", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=output,
        )
    try:
        if hanging:
            wait_until(lambda: controller.requests, "the first request")
        else:
            _wait_registered(controller, ovsdb_port)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - began < registration.REQUEST_DEADLINE - 1
        text = log.read_text()
        assert f"ending on {number.name}" in text
        assert "Traceback" not in text
    finally:
        process.kill()
        process.wait(10)
