"""All by TLS: the matrix is as it must be, nothing is in the clear, strangers get nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_l2iso import pki
from ryu_l2iso.lab import demo, matrix
from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.processes import Process, agent_process
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.topology import CONTROLLER_ADDRESS, OPENFLOW_PORT, REST_PORT, Lab
from ryu_l2iso.node_settings import OVSDB_PORT
from ryu_l2iso.state.values import parse_dpid
from ryu_l2iso.tokens import AGENT, new_token
from tests.e2e.wire import Wire, is_tls

STRANGER = "stranger"


@pytest.fixture(scope="module")
def wired() -> Iterator[tuple[Lab, Wire]]:
    """Yield a lab with TLS, wired, and what has passed the controller's port meanwhile."""
    with Lab(nodes=2, vms=1, tls=True) as lab, Wire(lab.physical.namespace, "ctl") as wire:
        demo.start(lab)
        demo.wire(lab)
        yield lab, wire


@pytest.fixture(scope="module")
def stranger(wired: tuple[Lab, Wire]) -> Iterator[Node]:
    """Yield a node on the same physical network that nobody has given a certificate."""
    lab = wired[0]
    namespace = Namespace(f"{lab.tag}-{STRANGER}")
    node = Node(STRANGER, namespace, lab.directory / STRANGER, "192.0.2.99")
    try:
        node.add(lab.physical)
        node.add_bridges()
        yield node
    finally:
        node.remove()


def test_the_matrix_is_as_it_must_be_and_nothing_is_in_the_clear(
    wired: tuple[Lab, Wire],
) -> None:
    lab, wire = wired
    assert matrix.measure(lab.vms).faults() == []
    streams = wire.streams()
    served = {end.port for _, end in streams} & {OPENFLOW_PORT, REST_PORT, OVSDB_PORT}
    assert served == {OPENFLOW_PORT, REST_PORT, OVSDB_PORT}
    for ends, data in streams.items():
        assert CONTROLLER_ADDRESS in {end.address for end in ends}
        assert is_tls(data), f"{ends}: {data[:80]!r}"


def test_the_check_of_the_wire_tells_plain_from_secured() -> None:
    hello = bytes.fromhex("1603010005") + b"hello"
    assert is_tls(hello + b"\x17\x03\x03\xff")
    for plain in (b"GET /", b"\x05\x00\x00\x08\x00\x00\x00\x01", b'{"method":', hello + b"PUT /"):
        assert not is_tls(plain)


def _files(lab: Lab, name: str, ca: str = pki.CONTROLLER_CA, folder: str = "") -> list[str]:
    assert lab.certificates is not None
    place = lab.certificates.directory
    return [f"{place / folder / name}.key", f"{place / folder / name}.pem", f"{place / ca}.pem"]


def _wait_for_log(process: Process, text: str) -> None:
    wait_until(lambda: text in process.log.read_text(), 15, f"{process.name}: {text}")


def _attempt(lab: Lab, stranger: Node, target: str, said: str) -> None:
    """Have the stranger's switch call the controller, and wait until it was refused for that."""
    text = f"OpenFlow server: {stranger.address} refused: {said}"
    stranger.vsctl("set-controller", "br-int", target)
    try:
        _wait_for_log(lab.controller, text)
        assert not stranger.programmed()
        assert lab.controller.log.read_text().count(text) == 1
    finally:
        stranger.vsctl("del-controller", "br-int")


def test_a_switch_without_its_own_certificate_gets_nothing(
    wired: tuple[Lab, Wire], stranger: Node
) -> None:
    lab = wired[0]
    assert lab.certificates is not None
    where, own = f"{CONTROLLER_ADDRESS}:{OPENFLOW_PORT}", stranger.dpid()
    _attempt(lab, stranger, f"tcp:{where}", "it does not speak TLS")
    strangers = lab.certificates.directory / "strangers"
    pki.make_authorities(strangers)
    pki.make_node(strangers, STRANGER, [parse_dpid(own)])
    stranger.vsctl("set-ssl", *_files(lab, STRANGER, folder="strangers"))
    unknown = "its certificate: unable to get local issuer certificate"
    _attempt(lab, stranger, f"ssl:{where}", unknown)
    stranger.vsctl("set-ssl", *_files(lab, "node1"))
    named = f"its certificate names {lab.nodes[0].dpid()}, not {own}"
    _attempt(lab, stranger, f"ssl:{where}", f"switch {own}: {named}")


def _agent(lab: Lab, stranger: Node, name: str, options: list[str]) -> Process:
    """Return an agent of the stranger, who has a token, which is good for its own dpid."""
    token, line = new_token(name, AGENT, [parse_dpid(stranger.dpid())])
    with lab.tokens.file.open("a") as file:
        file.write(f"{line}\n")
    path = Path(lab.directory / f"{name}.token")
    path.touch(mode=0o600)
    path.write_text(token)
    where = (lab.url, stranger.database, stranger.address)
    arguments = ["--token-file", str(path), "--interval", "1", *options]
    return agent_process(name, stranger.namespace, lab.directory, *where, arguments)


@pytest.mark.parametrize("has_files", [False, True])
def test_an_agent_without_its_own_certificate_gets_nothing(
    wired: tuple[Lab, Wire], stranger: Node, has_files: bool
) -> None:
    """Even one that has a token: its switch is set up by none.

    Without files it is refused by REST, and its own log says so; with another node's, at the
    handshake with its OVSDB server.
    """
    lab = wired[0]
    assert lab.certificates is not None
    if has_files:
        options = lab.certificates.agent_options("node1")
        address = f"ssl:{stranger.address}:{OVSDB_PORT}"
        named = f"its certificate names {lab.nodes[0].dpid()}, not {stranger.dpid()}"
        said = f"OVSDB server {address} does not answer: {named}"
    else:
        options = ["--controller-ca", str(lab.certificates.ca)]
        said = "400 ovsdb_addr: must be ssl:IP:PORT, as OVSDB goes by TLS"
    agent = _agent(lab, stranger, f"{STRANGER}-agent-{has_files}", options)
    teller = lab.controller if has_files else agent
    try:
        agent.start()
        _wait_for_log(teller, said)
    finally:
        agent.stop()
    assert teller.log.read_text().count(said) == 1
    assert stranger.vsctl("get-controller", "br-int").strip() == ""
    assert not stranger.programmed()


def test_all_that_did_not_hurt_the_others(wired: tuple[Lab, Wire]) -> None:
    lab = wired[0]
    assert matrix.measure(lab.vms).faults() == []
    for node in lab.nodes:
        connections = f"ssl:{CONTROLLER_ADDRESS}:{OPENFLOW_PORT}: connected"
        assert node.vswitchd.log.read_text().count(connections) == 1
