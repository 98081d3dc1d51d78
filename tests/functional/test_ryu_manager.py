"""The suite under the literal ``ryu-manager``, with Ryu 4.34 on Python 3.9."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.controller import Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.ryu_env import ryu_manager

APPS = (
    "ryu_l2iso.apps.quantum_adapter",
    "ryu_l2iso.apps.tunnel_port_updater",
    "ryu_l2iso.apps.gre_tunnel",
    "ryu_l2iso.rest",
)
DPID = 0xA11CE
NETWORK, KEY, IFACE, MAC = "net-1", 0x2A, "iface-1", "fa:16:3e:00:00:01"


@pytest.fixture(scope="module")
def command() -> tuple[str]:
    """Return the command, built once."""
    return (ryu_manager(),)


@pytest.fixture
def controller(command: tuple[str]) -> Iterator[Controller]:
    """Return ``ryu-manager`` with the suite, listening."""
    with Controller(*APPS, command=command) as running:
        running.wait_for_log("REST server listens")
        running.wait_until_listening()
        yield running


def test_rest_is_on_the_loopback_address_alone(controller: Controller) -> None:
    assert f"listens on 127.0.0.1 port {controller.rest_port}" in controller.log()
    status, body = controller.request("GET", "/v1.0/networks")
    assert status == 200
    assert "__NW_ID_EXTERNAL__" in json.loads(body)
    assert controller.request("PUT", "/v1.0/networks/__NW_ID_UNKNOWN__")[0] == 409


def test_a_switch_is_set_up_and_gets_its_flows(controller: Controller, ovs: OVS) -> None:
    register(controller, ovs)
    datapath_id = f"other_config:datapath-id={DPID:016x}"
    ovs.vsctl("add-br", "br0", "--", "set", "bridge", "br0", datapath_id)
    wait_until(lambda: ovs.vsctl("get-controller", "br0"), "the controller to be set")
    assert ovs.vsctl("get-fail-mode", "br0") == "secure"
    # Not by the options: they hold no address, and this is where ryu-manager listens.
    assert ovs.vsctl("get-controller", "br0") == controller.target
    settings = (f"external_ids:iface-id={IFACE}", f'external_ids:attached-mac="{MAC}"')
    in_port = ovs.add_port("br0", "vm1", *settings)
    wait_until(lambda: any(f"dl_dst={MAC}" in flow for flow in ovs.flows("br0")), "the VM's flows")
    flows = ovs.flows("br0")
    assert any(f"in_port={in_port},dl_src={MAC}" in flow and f"{KEY:#x}" in flow for flow in flows)
    assert any("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00" in flow for flow in flows)
    ovs.vsctl("del-port", "vm1")
    wait_until(lambda: not any(MAC in flow for flow in ovs.flows("br0")), "the flows to go")
    controller.process.send_signal(signal.SIGINT)
    controller.process.wait(10)
    assert "Traceback" not in controller.log()


def test_what_was_registered_outlives_a_kill(command: tuple[str], tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with Controller(*APPS, command=command, connection=path) as controller:
        controller.wait_for_log("REST server listens")
        assert controller.request("POST", f"/v1.0/networks/{NETWORK}")[0] == 200
        controller.end(signal.SIGKILL)
    with Controller(*APPS, command=command, connection=path) as controller:
        controller.wait_for_log("REST server listens")
        assert NETWORK in json.loads(controller.request("GET", "/v1.0/networks")[1])


def register(controller: Controller, ovs: OVS) -> None:
    """Register a network, its key, an interface and a switch, as plugin and agent do."""
    for path, body in (
        (f"/v1.0/networks/{NETWORK}", None),
        (f"/v1.0/tunnels/networks/{NETWORK}/key/{KEY}", None),
        (f"/v1.0/quantum/ports/{IFACE}/keys/network_id/{NETWORK}", None),
        (f"/v1.0/conf/switches/{DPID:016x}/ovs_tunnel_addr", json.dumps("192.0.2.1")),
        (f"/v1.0/conf/switches/{DPID:016x}/ovsdb_addr", json.dumps(ovs.db_address)),
    ):
        method = "PUT" if body else "POST"
        status, answer = controller.request(method, path, body)
        assert status in {200, 201}, answer


def test_the_program_is_ryus(controller: Controller) -> None:
    command = Path(f"/proc/{controller.process.pid}/cmdline").read_bytes().split(b"\0")
    assert any(word.endswith(b"/ryu-manager") for word in command)
