"""OVSDB by TLS: the server must be the right node, and we must be a controller."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import eventlet
import ovs.poller
import pytest
from ovs.stream import Stream

from ryu_l2iso import pki as making
from ryu_l2iso import tls
from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import (
    Connection,
    EnsureManager,
    EnsureTLS,
    EnsureTunnelPort,
    connection,
    health,
    use_tls,
)
from ryu_l2iso.ovsdb.node_stream import NodeStream, stream_name
from tests.functional.ovs import OVS, wait_until
from tests.functional.ovsdb_recorder import Recorder
from tests.functional.pki import DPID, Pki, replace
from tests.functional.ports import free_port

TUNNEL = EnsureTunnelPort("l2t0a000002", "gre", "10.0.0.1", "10.0.0.2", 0x22)


@pytest.fixture(scope="module")
def node() -> Iterator[OVS]:
    """Yield an Open vSwitch with the bridge of DPID."""
    with OVS() as running:
        running.add_bridge("br0", DPID)
        yield running


@pytest.fixture(autouse=True)
def _as_a_controller(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have TLS, and silent servers named soon."""
    monkeypatch.setattr(health, "SILENT_AFTER", 0.2)
    monkeypatch.setattr(connection, "CHECK_INTERVAL_MS", 100)
    use_tls(tls.Credentials("OVSDB client", pki.controller, server=False), plaintext=False)
    yield
    use_tls(None, plaintext=True)


def _serve(node: OVS, files: tls.Files) -> str:
    """Have the node serve its database with these files; return its address."""
    port = free_port()
    node.vsctl("set-ssl", files.private_key, files.certificate, str(files.ca_certs))
    node.vsctl("set-manager", f"pssl:{port}:127.0.0.1")
    return f"ssl:127.0.0.1:{port}"


@contextlib.contextmanager
def _connected(address: str) -> Iterator[tuple[Connection[int], Recorder[int]]]:
    seen: Recorder[int] = Recorder()
    opened = Connection(DPID, address, seen, max_backoff=1.0)
    try:
        yield opened, seen
    finally:
        opened.close()


def test_the_node_of_the_switch_is_read_and_changed(node: OVS, pki: Pki) -> None:
    with _connected(_serve(node, pki.node)) as (connected, seen):
        seen.wait_synced()
        connected.transact([TUNNEL], wait_for_vswitchd=True)
        seen.wait_interface(TUNNEL.name)


def test_more_than_one_record_and_one_read_at_a_time(node: OVS, pki: Pki) -> None:
    names = [f"many{number}" for number in range(300)]
    plugged = [["--", "add-port", "br0", n, "--", "set", "interface", n, "type=dummy",
                f"external_ids:iface-id={'x' * 200}"] for n in names]  # fmt: skip
    node.vsctl(*(word for words in plugged for word in words))
    with _connected(_serve(node, pki.node)) as (_, seen):
        seen.wait_synced()
        assert seen.interfaces.keys() >= set(names)
    node.vsctl(*(word for n in names for word in ("--", "del-port", n)))


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("other", "its certificate names 00000000000000b2, not 00000000000000a1"),
        ("expired-node", "its certificate: certificate has expired"),
        ("early-node", "its certificate: certificate is not yet valid"),
        ("strangers/foreign", "its certificate: unable to get local issuer certificate"),
    ],
)
def test_another_server_is_told_nothing_and_named_once(
    node: OVS, pki: Pki, caplog: pytest.LogCaptureFixture, name: str, cause: str
) -> None:
    address = _serve(node, pki.files(name, making.CONTROLLER_CA))
    line = f"OVSDB server {address} does not answer: {cause}"
    with _connected(address) as (connected, seen):
        wait_until(lambda: line in caplog.text, line)
        with pytest.raises(OVSDBError, match="not"):
            connected.transact([TUNNEL], timeout=0.2)
        assert seen.calls == []
        assert caplog.text.count("bridge 00000000000000a1") == 1
        if name != "other":
            return
        # It heals when the cause goes.
        right = pki.node
        node.vsctl("set-ssl", right.private_key, right.certificate, str(right.ca_certs))
        seen.wait_synced()


def test_a_server_that_refuses_us_says_why(
    node: OVS, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    """With TLS 1.3 that comes after the handshake, and with 1.2 in it."""
    address = _serve(node, pki.files("node", making.NODE_CA))
    said = f"OVSDB server {address} does not answer: it refuses our certificate: unknown ca"
    with _connected(address) as (_, seen):
        wait_until(lambda: said in caplog.text, said)
        assert seen.calls == []


def test_a_server_without_tls_is_named_as_such(node: OVS, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    node.vsctl("set-manager", f"ptcp:{port}:127.0.0.1")
    with _connected(f"ssl:127.0.0.1:{port}"):
        wait_until(lambda: f"ssl:127.0.0.1:{port} does not answer" in caplog.text, "a line")
    assert caplog.text.count("does not answer") == 1


def test_a_server_that_stalls_in_the_handshake_costs_no_time_and_no_other(
    node: OVS, pki: Pki, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[str] = []
    shake_hands = NodeStream._shake_hands

    def counted(stream: NodeStream) -> None:
        looks.append(stream.name)
        shake_hands(stream)

    monkeypatch.setattr(NodeStream, "_shake_hands", counted)
    with contextlib.closing(eventlet.listen(("127.0.0.1", 0))) as silent:
        stalled = f"ssl:127.0.0.1:{silent.getsockname()[1]}"
        with _connected(stalled), _connected(_serve(node, pki.node)) as (_, seen):
            seen.wait_synced()
            line = f"OVSDB server {stalled} does not answer"
            wait_until(lambda: line in caplog.text, line)
    attempts = looks.count(stream_name(stalled, DPID))
    assert 0 < attempts < 20


def test_what_has_been_decrypted_already_is_not_waited_for(pki: Pki) -> None:
    as_node = tls.Credentials("node", pki.node, server=True)
    with contextlib.closing(eventlet.listen(("127.0.0.1", 0))) as listener:
        sending = eventlet.spawn(lambda: tls.accept(listener.accept()[0], as_node))
        name = stream_name(f"ssl:127.0.0.1:{listener.getsockname()[1]}", DPID)
        error, stream = Stream.open_block(Stream.open(name), 5000)
        assert error == 0
        # One record, of which a part is read.
        sending.wait().sendall(b"0123456789")
        received = b""
        while not received:
            _wait_to_receive(stream)
            received = stream.recv(5)[1]
        assert received == b"01234"
        assert _wait_to_receive(stream) < 1.0
        assert stream.recv(5) == (0, b"56789")
        stream.close()


def _wait_to_receive(stream: Stream) -> float:
    """Wait at most 3 s for the stream to have something; return how long."""
    began, poller = time.monotonic(), ovs.poller.Poller()
    stream.recv_wait(poller)
    poller.timer_wait(3000)
    poller.block()
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("address", "dpid", "said"),
    [
        ("tcp:192.0.2.1:6640", DPID, "is without TLS, and the option plaintext has no ovsdb"),
        ("unix:/run/db.sock", DPID, "is without TLS, and the option plaintext has no ovsdb"),
        ("ssl:192.0.2.1:6640", None, "only a switch known by its dpid"),
    ],
)
def test_addresses_that_are_not_used(address: str, dpid: int | None, said: str) -> None:
    with pytest.raises(OVSDBError, match=said):
        stream_name(address, dpid)


def test_addresses_that_are_used(pki: Pki) -> None:
    named = "l2iso-tls:00000000000000a1@[2001:db8::1]:6640"
    assert stream_name("ssl:[2001:db8::1]:6640", DPID) == named
    as_controller = tls.Credentials("OVSDB client", pki.controller, server=False)
    for credentials, plaintext in ((as_controller, True), (None, False)):
        use_tls(credentials, plaintext)
        for plain in ("tcp:192.0.2.1:6640", "unix:/run/db.sock"):
            assert stream_name(plain, DPID) == plain
    with pytest.raises(OVSDBError, match="needs ctl_privkey, ctl_cert and ca_certs"):
        stream_name("ssl:192.0.2.1:6640", DPID)


def test_our_own_certificate_is_read_again(
    node: OVS, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    own = pki.copy(tmp_path / "pki")
    use_tls(tls.Credentials("OVSDB client", own.controller, server=False), plaintext=False)
    with _connected(_serve(node, own.node)) as (_, seen):
        seen.wait_synced()
        Path(own.controller.certificate).write_text("nonsense")
        node.restart_ovsdb()
        seen.wait_synced(2)
        assert caplog.text.count("the files read before stay in use") == 1
        # Of other authorities: the node trusts them, and its old ones no more.
        strangers = own.directory / "strangers"
        making.make_controller(strangers, "other-controller", ["127.0.0.1"])
        replace(own.controller, own.files("other-controller", making.NODE_CA, "strangers"))
        shutil.copy(strangers / "controller-ca.pem", own.directory / "controller-ca.pem")
        node.restart_ovsdb()
        seen.wait_synced(3)
        assert "controller.pem" in caplog.text
        assert "read again" in caplog.text


def test_a_node_shows_new_files_without_a_restart(
    node: OVS, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when it looks before both are there."""
    own = pki.copy(tmp_path / "pki")
    address = _serve(node, own.node)
    with _connected(address) as (_, seen):
        seen.wait_synced()
    replace(own.node, own.files("other", making.CONTROLLER_CA), lambda: node.vsctl("show"))
    with _connected(address) as (_, seen):
        named = "its certificate names 00000000000000b2"
        wait_until(lambda: named in caplog.text, "the certificate of the other node")


def test_the_first_step_on_a_node_by_its_agent(node: OVS, pki: Pki) -> None:
    files, port = pki.node, free_port()
    use_tls(tls.Credentials("OVSDB client", pki.controller, server=False), plaintext=True)
    node.vsctl("del-ssl", "--", "del-manager")
    secured = EnsureTLS(files.private_key, files.certificate, str(files.ca_certs))
    local = Connection("br0", node.db_address, Recorder[str]())
    try:
        for _ in range(2):
            local.transact([secured, EnsureManager(f"pssl:{port}:127.0.0.1")])
        assert files.certificate in node.vsctl("get-ssl")
        assert "Bootstrap: false" in node.vsctl("get-ssl")
        with _connected(f"ssl:127.0.0.1:{port}") as (_, seen):
            seen.wait_synced()
        local.transact([EnsureTLS(files.private_key, files.certificate, os.devnull)])
        assert os.devnull in node.vsctl("get-ssl")
        local.transact([secured, EnsureManager(f"ptcp:{port}:127.0.0.1")])
        assert node.vsctl("get-manager") == f"ptcp:{port}:127.0.0.1"
    finally:
        local.close()


def test_a_node_opens_no_other_node(node: OVS, pki: Pki) -> None:
    address = _serve(node, pki.node)
    for name, lets_in in (("other", False), ("controller", True)):
        files = pki.files(name, making.NODE_CA)
        command = ["ovs-vsctl", "--timeout=1", "--retry", f"--db={address}"]
        command += [f"--private-key={files.private_key}", f"--certificate={files.certificate}"]
        command += [f"--ca-cert={files.ca_certs}", "list-br"]
        done = subprocess.run(command, env=node.env, capture_output=True, timeout=20, check=False)
        assert (done.stdout == b"br0\n") is lets_in
