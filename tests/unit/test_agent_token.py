"""The agent's calls with its token: all that it needs, and nothing of another's switch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.registration import AddressTaken, Controller, ControllerError, Registration
from ryu_l2iso.rest.access import Access
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, PortId
from ryu_l2iso.tokens import AGENT, TokenFile, new_token
from tests.unit.rest_served import Served

OWN, OTHER = 0xA1, 0xA2
TOKEN, LINE = new_token("node1", AGENT, [OWN])
WANTED = Registration(OWN, (1, 2), "10.0.0.1", "tcp:10.0.0.1:6640")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return a server that knows the token of one agent."""
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text(LINE)
    running = Served(Access(TokenFile(str(path))))
    yield running
    running.server.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Return the agent's file."""
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def controller(served: Served, token_file: Path) -> Controller:
    """Return what the agent calls."""
    return Controller(f"http://127.0.0.1:{served.address[1]}", str(token_file))


def test_an_agent_registers_its_switch_and_removes_it(
    served: Served, controller: Controller
) -> None:
    assert not controller.has(WANTED)
    for port_no in WANTED.external_ports:
        controller.add_external_port(OWN, port_no)
    controller.set_tunnel_addr(OWN, WANTED.tunnel_addr)
    controller.set_ovsdb_addr(OWN, WANTED.ovsdb_addr)
    assert controller.has(WANTED)
    assert controller.external_ports(OWN) == {1, 2}
    controller.remove_external_port(OWN, 2)
    controller.remove_switch(OWN)
    assert served.client.state.switches.ids() == []


def test_an_agent_may_do_nothing_to_another_switch(served: Served, controller: Controller) -> None:
    state = served.client.state
    state.set_switch_value(OTHER, "ovs_tunnel_addr", WANTED.tunnel_addr)
    state.set_switch_value(OTHER, "ovsdb_addr", WANTED.ovsdb_addr)
    state.ensure_port(NW_ID_EXTERNAL, PortId(OTHER, 1))
    calls: tuple[Callable[[], object], ...] = (
        lambda: controller.add_external_port(OTHER, 2),
        lambda: controller.remove_external_port(OTHER, 1),
        lambda: controller.set_tunnel_addr(OTHER, "10.0.0.9"),
        lambda: controller.set_ovsdb_addr(OTHER, "tcp:10.0.0.9:6640"),
        lambda: controller.remove_switch(OTHER),
    )
    for call in calls:
        with pytest.raises(ControllerError, match="403 role: agent node1 may not"):
            call()
    assert state.switches.tunnel_addr(OTHER) == WANTED.tunnel_addr
    assert state.network_ports(NW_ID_EXTERNAL) == [PortId(OTHER, 1)]
    # One that stands at our addresses is none of ours unless our token says so.
    with pytest.raises(AddressTaken):
        controller.set_tunnel_addr(OWN, WANTED.tunnel_addr)
    assert controller.others_at(WANTED) == []


def test_a_token_for_a_former_self(served: Served, controller: Controller, tmp_path: Path) -> None:
    """An agent whose token names both dpids finds the switch that it was before."""
    served.client.state.set_switch_value(OTHER, "ovs_tunnel_addr", WANTED.tunnel_addr)
    served.client.state.set_switch_value(OTHER, "ovsdb_addr", WANTED.ovsdb_addr)
    (tmp_path / "tokens").write_text(f"{LINE} {OTHER:016x}")
    assert controller.others_at(WANTED) == [OTHER]
    controller.remove_switch(OTHER)


def test_the_token_is_read_for_each_call(controller: Controller, token_file: Path) -> None:
    token_file.write_text("another")
    with pytest.raises(ControllerError, match="401 Authorization: ") as caught:
        controller.has(WANTED)
    assert "another" not in str(caught.value)
    token_file.write_text(TOKEN)
    assert not controller.has(WANTED)
    token_file.chmod(0o644)
    with pytest.raises(L2IsoError, match="mode: must give nobody but the owner"):
        controller.has(WANTED)
    token_file.unlink()
    with pytest.raises(L2IsoError, match="No such file"):
        controller.has(WANTED)
