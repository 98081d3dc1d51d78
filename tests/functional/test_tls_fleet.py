"""A controller, a node's agent and its Open vSwitch, which speak TLS on all three ways."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_l2iso import pki as making
from ryu_l2iso import tls
from ryu_l2iso.registration import Controller as RestClient
from ryu_l2iso.registration import ControllerError, Registration
from ryu_l2iso.rest import Https
from ryu_l2iso.rest.server import Server
from tests.functional.controller import MANAGER, Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.pki import DPID, HOST, OTHER_DPID, Pki, replace
from tests.functional.ports import free_port
from tests.functional.ryu_env import ryu_manager
from tests.functional.test_agent import Agents
from tests.functional.test_ryu_manager import APPS
from tests.unit.rest_client import Client

GRE = ("--isolation", "gre")


class Fleet:
    """A controller with TLS; ``openflow_port`` is where it serves OpenFlow by TLS."""

    def __init__(self, controller: Controller, pki: Pki, openflow_port: int) -> None:
        self.controller = controller
        self.pki = pki
        self.openflow_port = openflow_port
        self.url = f"https://{HOST}:{controller.rest_port}"

    def agent_arguments(self, ovs: OVS, ovsdb_port: int) -> list[str]:
        """Return the arguments of the agent of the node with DPID."""
        files = self.pki.node
        arguments = ["--bridge", "br0", "--ovsdb-connection", ovs.db_address]
        arguments += ["--controller-url", self.url, "--interval", "0.2"]
        arguments += ["--tunnel-ip", HOST, "--ovsdb-listen", f"{HOST}:{ovsdb_port}"]
        arguments += ["--private-key", files.private_key, "--certificate", files.certificate]
        return [*arguments, "--ca-cert", str(files.ca_certs)]

    def served_certificate(self, port: int) -> bytes:
        """Return the certificate that is shown at a port, in DER."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.pki.node.certificate, self.pki.node.private_key)
        with (
            contextlib.closing(socket.create_connection((HOST, port), 5)) as sock,
            contextlib.closing(context.wrap_socket(sock)) as secured,
        ):
            certificate = secured.getpeercert(binary_form=True)
            assert certificate is not None
            return certificate

    def wait_for_log_once(self, text: str) -> None:
        """Wait until the controller has said it, and look that it said it once."""
        self.controller.wait_for_log(text)
        assert self.controller.log().count(text) == 1


@contextlib.contextmanager
def _fleet(pki: Pki, command: tuple[str, ...], apps: tuple[str, ...]) -> Iterator[Fleet]:
    files, port = pki.controller, free_port()
    certificate = ("--ctl-privkey", files.private_key, "--ctl-cert", files.certificate)
    listen = ("--ca-certs", str(files.ca_certs), "--ofp-ssl-listen-port", str(port))
    with Controller(*apps, command=command, options=(*certificate, *listen)) as running:
        running.wait_for_log("REST server listens")
        yield Fleet(running, pki, port)


@pytest.fixture(scope="module")
def shared(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with _fleet(pki.copy(tmp_path_factory.mktemp("fleet") / "pki"), MANAGER, GRE) as running:
        yield running


@pytest.fixture
def fleet(shared: Fleet) -> Iterator[Fleet]:
    """Yield a controller that others have used, and put its files right afterwards."""
    files = {path: Path(path).read_bytes() for path in shared.pki.controller[:3] if path}
    yield shared
    for path, content in files.items():
        Path(path).write_bytes(content)


@pytest.fixture
def agents() -> Iterator[Agents]:
    running = Agents()
    yield running
    running.close()


@pytest.mark.parametrize("framework", ["os-ken", "ryu"])
def test_a_node_with_its_certificate_is_set_up_and_programmed(
    framework: str, pki: Pki, ovs: OVS, agents: Agents
) -> None:
    ovs.add_bridge("br0", DPID)
    run = ((ryu_manager(),), APPS) if framework == "ryu" else (MANAGER, GRE)
    with _fleet(pki, *run) as fleet:
        ovsdb_port = free_port()
        agents(fleet.agent_arguments(ovs, ovsdb_port))
        target = f"ssl:{HOST}:{fleet.openflow_port}"
        wait_until(lambda: ovs.vsctl("get-controller", "br0") == target, "the controller to be set")
        assert ovs.vsctl("get-manager") == f"pssl:{ovsdb_port}:{HOST}"
        wait_until(lambda: ovs.flows("br0"), "flows")
        assert "Traceback" not in fleet.controller.log()
        assert "refused" not in fleet.controller.log()


def test_a_switch_that_claims_another_ones_dpid_is_refused_and_hurts_nobody(
    fleet: Fleet, ovs: OVS
) -> None:
    target = f"ssl:{HOST}:{fleet.openflow_port}"
    real, impostor = fleet.pki.node, fleet.pki.files("other", making.CONTROLLER_CA)
    ovs.vsctl("set-ssl", real.private_key, real.certificate, str(real.ca_certs))
    ovs.add_bridge("br0", DPID, target)
    wait_until(lambda: ovs.flows("br0"), "flows")
    with OVS() as liar:
        files = (impostor.private_key, impostor.certificate, str(impostor.ca_certs))
        liar.vsctl("set-ssl", *files)
        liar.add_bridge("br0", DPID, target)
        liar.vsctl("set", "controller", "br0", "max_backoff=1000")
        reason = f"its certificate names {OTHER_DPID:016x}, not {DPID:016x}"
        log = liar.rundir / "ovs-vswitchd.log"
        connected = f"{target}: connected"
        wait_until(lambda: log.read_text().count(connected) > 1, "two attempts")
        fleet.wait_for_log_once(f"{HOST} refused: switch {DPID:016x}: {reason}")
        assert not liar.flows("br0")
        # As itself it is welcome.
        liar.vsctl("set", "bridge", "br0", f"other_config:datapath-id={OTHER_DPID:016x}")
        wait_until(lambda: liar.flows("br0"), "the flows of the switch that it is")
    assert (ovs.rundir / "ovs-vswitchd.log").read_text().count(connected) == 1


def test_plain_openflow_and_http_get_nothing(fleet: Fleet) -> None:
    for port in (fleet.openflow_port, fleet.controller.rest_port):
        with contextlib.closing(socket.create_connection((HOST, port), 5)) as sock:
            sock.sendall(bytes.fromhex("0500000800000001"))
            sock.settimeout(5)
            with contextlib.suppress(ConnectionError):
                # At most an alert of TLS.
                assert sock.recv(100)[:1] in (b"", b"\x15")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, fleet.controller.openflow_port), 5)
    fleet.wait_for_log_once(f"OpenFlow server: {HOST} refused: it does not speak TLS")
    fleet.wait_for_log_once(f"REST server: {HOST} refused: it does not speak TLS")


@pytest.mark.parametrize(
    ("name", "ca", "said"),
    [
        ("controller", "node-ca", "its certificate: unable to get local issuer certificate"),
        ("expired-controller", "controller-ca", "its certificate: certificate has expired"),
        ("early-controller", "controller-ca", "its certificate: certificate is not yet valid"),
        ("elsewhere", "controller-ca", "certificate is not valid for '127.0.0.1'"),
        ("controller", "nowhere", "nowhere.pem"),
    ],
)
def test_an_agent_that_is_shown_a_wrong_certificate_says_why(
    fleet: Fleet, name: str, ca: str, said: str
) -> None:
    if name != "controller":
        replace(fleet.pki.controller, fleet.pki.files(name, making.NODE_CA))
    client = RestClient(fleet.url, ca=str(fleet.pki.directory / f"{ca}.pem"))
    with pytest.raises(ControllerError, match="does not answer at https:") as caught:
        client.external_ports(DPID)
    assert said in str(caught.value)


def test_certificates_are_read_again_by_both_servers(fleet: Fleet) -> None:
    ports = (fleet.openflow_port, fleet.controller.rest_port)
    current = fleet.pki.controller.certificate
    old = [fleet.served_certificate(port) for port in ports]
    Path(current).write_text("nonsense")
    for _ in range(2):
        assert [fleet.served_certificate(port) for port in ports] == old
    for purpose in ("OpenFlow server", "REST server"):
        lines = [line for line in fleet.controller.log().splitlines() if f"{purpose}: " in line]
        assert sum("the files read before stay in use" in line for line in lines) == 1
    replace(fleet.pki.controller, fleet.pki.files("elsewhere", making.NODE_CA))
    new = ssl.PEM_cert_to_DER_cert(Path(current).read_text())
    assert [fleet.served_certificate(port) for port in ports] == [new, new]
    assert "PRIVATE KEY" not in fleet.controller.log()


@pytest.mark.parametrize("address", ["unix:/run/db.sock", "tcp:192.0.2.77:6640"])
def test_no_ovsdb_address_without_tls_can_be_registered(fleet: Fleet, address: str) -> None:
    """Above all not a socket of the controller's own machine."""
    client = RestClient(fleet.url, ca=str(fleet.pki.directory / "controller-ca.pem"))
    client.set_tunnel_addr(OTHER_DPID, "192.0.2.77")
    client.set_ovsdb_addr(OTHER_DPID, "ssl:192.0.2.77:6640")
    with pytest.raises(ControllerError, match="400 ovsdb_addr: must be ssl:IP:PORT"):
        client.set_ovsdb_addr(OTHER_DPID, address)
    assert client.has(Registration(OTHER_DPID, (), "192.0.2.77", "ssl:192.0.2.77:6640"))


def test_rest_clients_can_be_asked_for_certificates(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    https = Https(tls.Credentials("REST server", pki.controller, server=True))
    server = Server(Client().application, https)
    server.start(HOST, 0)
    try:
        url, ca = f"https://{HOST}:{server.address[1]}", str(pki.directory / "controller-ca.pem")
        shown = (pki.node.certificate, pki.node.private_key)
        # Over one connection, and more than one request.
        client = RestClient(url, ca=ca, certificate=shown)
        client.set_tunnel_addr(DPID, "192.0.2.1")
        assert client.external_ports(DPID) == set()
        with pytest.raises(ControllerError):
            RestClient(url, ca=ca).external_ports(DPID)
        assert f"REST server: {HOST} refused: it has no certificate" in caplog.text
    finally:
        server.stop()
