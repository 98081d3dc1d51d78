"""Handshakes as a server: who is let in, why another is not, and what it costs the rest."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import ssl
import struct
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import eventlet
import pytest

from ryu_l2iso import pki as making
from ryu_l2iso import tls
from ryu_l2iso.rest import Https
from tests.functional.ovs import wait_until
from tests.functional.pki import DPID, OTHER_DPID, Pki, replace

OPENFLOW_HELLO = bytes.fromhex("0500000800000001")


class Server:
    """Accepts connections with TLS and answers a line; ``outcomes`` is how each went.

    ``connections`` is what there is of them.
    """

    def __init__(self, credentials: tls.Credentials) -> None:
        self._credentials = credentials
        self._listener = eventlet.listen(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.outcomes: list[str] = []
        self.connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._thread = eventlet.spawn(self._accept)

    def close(self) -> None:
        self._thread.kill()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            eventlet.spawn(self._serve, self._listener.accept()[0])

    def _serve(self, sock: Any) -> None:
        self.connections.add(sock)
        try:
            secured = tls.accept(sock, self._credentials)
            try:
                secured.settimeout(0.5)
                secured.sendall(secured.recv(100))
                secured.recv(1)
            finally:
                secured.close()
        except tls.HandshakeError as error:
            self.outcomes.append(str(error))
        except OSError as error:
            self.outcomes.append(type(error).__name__)
        else:
            self.outcomes.append("served")

    def wait(self, outcome: str) -> None:
        """Wait until that is how a connection has gone, and no other has."""
        wait_until(lambda: self.outcomes, outcome)
        assert self.outcomes == [outcome]
        self.outcomes.clear()


@pytest.fixture
def server(pki: Pki) -> Iterator[Server]:
    running = Server(tls.Credentials("test", pki.controller, server=True))
    yield running
    running.close()


def _context(files: tls.Files | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files is not None:
        context.load_cert_chain(files.certificate, files.private_key)
    return context


def _talk(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """Send a line by TLS and return the answer; b"" when we are refused."""
    with (
        contextlib.closing(socket.create_connection(address, 5)) as sock,
        contextlib.suppress(OSError),
        contextlib.closing(context.wrap_socket(sock)) as secured,
    ):
        secured.sendall(b"hello")
        return secured.recv(100)
    return b""


def test_who_has_a_certificate_of_the_authority_is_served(server: Server, pki: Pki) -> None:
    assert _talk(server.address, _context(pki.node)) == b"hello"
    server.wait("served")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("", "it has no certificate"),
        ("expired-node", "its certificate: certificate has expired"),
        ("early-node", "its certificate: certificate is not yet valid"),
        ("selfsigned", "its certificate: self-signed certificate"),
        ("strangers/foreign", "its certificate: unable to get local issuer certificate"),
        # Signed for controllers: no node.
        ("controller", "its certificate: unable to get local issuer certificate"),
    ],
)
def test_who_has_none_is_refused_with_the_cause(
    server: Server, pki: Pki, name: str, cause: str
) -> None:
    files = pki.files(name, making.NODE_CA) if name else None
    assert _talk(server.address, _context(files)) == b""
    wait_until(lambda: server.outcomes, "the refusal")
    # OpenSSL 1.1.1 writes "self signed".
    assert server.outcomes[0].replace("self signed", "self-signed") == cause


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (OPENFLOW_HELLO * 2, "it does not speak TLS"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "it speaks http, not https"),
        (b"", "it closed the connection"),
    ],
)
def test_what_is_not_tls_is_refused(server: Server, sent: bytes, cause: str) -> None:
    with contextlib.closing(socket.create_connection(server.address, 5)) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while sock.recv(100):
                pass
    server.wait(cause)


def test_a_client_that_does_not_like_our_certificate_is_named_as_such(
    server: Server, pki: Pki
) -> None:
    context = _context(pki.node)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(pki.directory / "node-ca.pem"))
    assert _talk(server.address, context) == b""
    server.wait("it refuses our certificate: unknown ca")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_older_than_tls_1_2(server: Server, pki: Pki) -> None:
    context = _context(pki.node)
    tls.set_version(context, "minimum_version", ssl.TLSVersion.TLSv1)
    tls.set_version(context, "maximum_version", ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert _talk(server.address, context) == b""
    server.wait("it knows no TLS newer than 1.1")


def test_tls_1_2_itself_is_served(server: Server, pki: Pki) -> None:
    context = _context(pki.node)
    tls.set_version(context, "maximum_version", ssl.TLSVersion.TLSv1_2)
    assert _talk(server.address, context) == b"hello"


def test_who_stalls_in_the_handshake_holds_up_nobody_and_is_let_go(
    server: Server, pki: Pki, uncollected: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.5)
    began = time.monotonic()
    stalling = [socket.create_connection(server.address, 5) for _ in range(50)]
    # The start of a ClientHello, and then nothing.
    stalling[0].sendall(bytes.fromhex("16030100c8010000c40303"))
    assert _talk(server.address, _context(pki.node)) == b"hello"
    assert time.monotonic() - began < 0.5
    wait_until(lambda: len(server.outcomes) == 51, "all of them to be let go", 5)
    assert server.outcomes.count("it has not finished the handshake in 0.5 s") == 50
    for sock in stalling:
        assert sock.recv(1) == b""
        sock.close()
    wait_until(lambda: not server.connections, "all that there was of them to be freed", 5)


def test_who_has_gone_before_the_handshake_is_no_other_kind_of_error(pki: Pki) -> None:
    credentials = tls.Credentials("test", pki.controller, server=True)
    with contextlib.closing(eventlet.listen(("127.0.0.1", 0))) as listener:
        with contextlib.closing(socket.create_connection(listener.getsockname(), 5)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted = listener.accept()[0]
        with pytest.raises(tls.HandshakeError):
            tls.accept(accepted, credentials)


def test_a_record_that_is_broken_later_ends_the_connection(server: Server, pki: Pki) -> None:
    with (
        contextlib.closing(socket.create_connection(server.address, 5)) as sock,
        contextlib.closing(_context(pki.node).wrap_socket(sock)) as secured,
    ):
        secured.sendall(b"hello")
        assert secured.recv(100) == b"hello"
        os.write(secured.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        server.wait("ConnectionError")


def test_a_client_that_is_silent_later_is_a_time_out(server: Server, pki: Pki) -> None:
    with (
        contextlib.closing(socket.create_connection(server.address, 5)) as sock,
        contextlib.closing(_context(pki.node).wrap_socket(sock)) as secured,
    ):
        secured.sendall(b"hello")
        server.wait(socket.timeout.__name__)


def test_the_certificate_says_which_switch_it_is(pki: Pki) -> None:
    named = {"subjectAltName": (("URI", f"urn:l2iso:dpid:{DPID:016X}"), ("DNS", "x"))}
    assert tls.may_be(DPID, named) == ""
    assert tls.may_be(OTHER_DPID, named) == (
        "its certificate names 00000000000000a1, not 00000000000000b2"
    )
    for names in ((), (("DNS", f"urn:l2iso:dpid:{DPID:016x}"),), (("URI", "urn:l2iso:dpid:a1"),)):
        reason = tls.may_be(DPID, {"subjectAltName": names})
        assert reason == "its certificate names no switch, not 00000000000000a1"
    assert tls.may_be(DPID, {}) != ""
    assert tls.may_be(DPID, None) == ""


@pytest.fixture
def own(pki: Pki, tmp_path: Path) -> Pki:
    """Return certificates that the test may replace."""
    return pki.copy(tmp_path / "pki")


def _served_certificate(address: tuple[str, int], files: tls.Files) -> bytes:
    with (
        contextlib.closing(socket.create_connection(address, 5)) as sock,
        contextlib.closing(_context(files).wrap_socket(sock)) as secured,
    ):
        secured.sendall(b"hello")
        assert secured.recv(100) == b"hello"
        certificate = secured.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def _der(path: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(path).read_text())


def test_files_are_read_again_when_they_have_changed(
    own: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = Server(tls.Credentials("test server", own.controller, server=True))
    try:
        assert _served_certificate(server.address, own.node) == _der(own.controller.certificate)
        replace(own.controller, own.files("elsewhere", making.NODE_CA))
        served = _served_certificate(server.address, own.node)
        assert served == _der(str(own.directory / "elsewhere.pem"))
        assert "test server: " in caplog.text
        assert "controller.pem" in caplog.text
        assert "read again" in caplog.text
        # Two authorities for those who connect, as while one replaces the other.
        foreign = own.files("foreign", making.CONTROLLER_CA, "strangers")
        assert _talk(server.address, _context(foreign)) == b""
        with (own.directory / "node-ca.pem").open("a") as file:
            file.write((own.directory / "strangers" / "node-ca.pem").read_text())
        for files in (own.node, foreign):
            assert _talk(server.address, _context(files)) == b"hello"
        # Another authority for those who connect: who was let in is not any more.
        shutil.copy(own.directory / "strangers" / "node-ca.pem", own.directory / "node-ca.pem")
        assert _talk(server.address, _context(own.node)) == b""
        assert _talk(server.address, _context(foreign)) == b"hello"
    finally:
        server.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda files: Path(files.certificate).write_text("nonsense"),
        lambda files: Path(files.certificate).write_text(""),
        lambda files: Path(files.private_key).unlink(),
        lambda files: Path(files.ca_certs).write_text("nonsense"),
        # Half of a rotation: a key and the certificate of another one.
        lambda files: shutil.copy(Path(files.certificate).with_name("node.key"), files.private_key),
    ],
)
def test_a_broken_file_keeps_the_old_in_use_and_is_logged_once(
    own: Pki, caplog: pytest.LogCaptureFixture, damage: Callable[[tls.Files], object]
) -> None:
    server = Server(tls.Credentials("test server", own.controller, server=True))
    try:
        before = _der(own.controller.certificate)
        saved = {path: Path(path).read_bytes() for path in own.controller[:3] if path}
        damage(own.controller)
        for _ in range(3):
            assert _served_certificate(server.address, own.node) == before
        assert caplog.text.count("the files read before stay in use") == 1
        assert "PRIVATE KEY" not in caplog.text
        for path, content in saved.items():
            Path(path).write_bytes(content)
        replace(own.controller, own.files("elsewhere", making.NODE_CA))
        served = _served_certificate(server.address, own.node)
        assert served == _der(str(own.directory / "elsewhere.pem"))
    finally:
        server.close()


def test_a_refusal_is_logged_once_for_a_peer_and_a_cause(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = tls.Refusals("some server")
    for _ in range(3):
        refusals.log("192.0.2.1", "no certificate")
    refusals.log("192.0.2.1", "expired")
    refusals.log("192.0.2.2", "expired")
    assert [record.getMessage() for record in caplog.records] == [
        "some server: 192.0.2.1 refused: no certificate",
        "some server: 192.0.2.1 refused: expired",
        "some server: 192.0.2.2 refused: expired",
    ]
    for number in range(2 * tls.MAX_REMEMBERED):
        refusals.log(str(number), "expired")
    assert len(refusals._logged) == tls.MAX_REMEMBERED
    monkeypatch.setattr(tls, "REMEMBERED_SECONDS", 0.0)
    assert refusals.log(str(number), "expired")


def test_a_rest_client_that_is_refused_is_logged_and_audited_once(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    https = Https(tls.Credentials("REST server", pki.controller, server=True))
    with contextlib.closing(eventlet.listen(("127.0.0.1", 0))) as listener:
        for _ in range(2):
            with contextlib.closing(socket.create_connection(listener.getsockname(), 5)) as sock:
                sock.sendall(OPENFLOW_HELLO)
                with pytest.raises(tls.HandshakeError):
                    https(listener.accept()[0])
    lines = [r.getMessage() for r in caplog.records]
    assert "REST server: 127.0.0.1 refused: it does not speak TLS" in lines
    assert len(lines) == 1 + ("ryu_l2iso.audit" in {r.name for r in caplog.records})
