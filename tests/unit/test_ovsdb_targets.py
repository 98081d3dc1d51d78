"""Where switches are told to find the controller."""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.targets import controller_targets, local_address_towards


def conf(
    *addresses: str,
    port: int | None = None,
    host: str = "0.0.0.0",
    tls: bool = False,
    plaintext: tuple[str, ...] = (),
) -> Any:
    """Return a configuration with these controller addresses, OpenFlow port, host and TLS."""
    options = SimpleNamespace(controller_address=list(addresses), plaintext=list(plaintext))
    files = dict.fromkeys(("ctl_privkey", "ctl_cert", "ca_certs"), "a file" if tls else None)
    ports = {"ofp_tcp_listen_port": port, "ofp_ssl_listen_port": port}
    return SimpleNamespace(l2iso=options, ofp_listen_host=host, ciphers=None, **ports, **files)


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("192.0.2.9", "tcp:192.0.2.9:6653"),
        ("2001:db8::9", "tcp:[2001:db8::9]:6653"),
        ("::", "tcp:127.0.0.1:6653"),
        ("", "tcp:127.0.0.1:6653"),
        ("a-name", "tcp:127.0.0.1:6653"),
    ],
)
def test_the_target_is_the_address_that_we_listen_on_if_it_is_one(host: str, target: str) -> None:
    assert controller_targets(conf(host=host), "unix:/run/db.sock") == (target,)


class Socket:
    """Stands for a UDP socket that always has the same address, or no route to anywhere."""

    def __init__(self, family: int, kind: int) -> None:
        assert kind == socket.SOCK_DGRAM
        self.made.append(family)

    made: list[int] = []
    connected: list[object] = []
    local = ""

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self, address: object) -> None:
        if not self.local:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        self.connected.append(address)

    def getsockname(self) -> tuple[str, int]:
        return self.local, 4711


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> type[Socket]:
    """Return the class that stands for sockets."""
    for name in ("made", "connected"):
        monkeypatch.setattr(Socket, name, [])
    monkeypatch.setattr("ryu_l2iso.ovsdb.targets.socket.socket", Socket)
    return Socket


@pytest.mark.parametrize("address", ["tcp:127.0.0.1:6640", "ssl:127.0.0.7:6640"])
def test_ipv4_by_the_routes_of_this_machine(address: str) -> None:
    assert local_address_towards(address).startswith("127.0.0.")


@pytest.mark.parametrize(
    ("ovsdb_addr", "local", "target", "family", "asked"),
    [
        (
            "tcp:192.0.2.11:6640",
            "192.0.2.1",
            "tcp:192.0.2.1:6653",
            socket.AF_INET,
            ("192.0.2.11", 6640),
        ),
        (
            "ssl:[2001:db8::11]:6641",
            "2001:db8::1",
            "tcp:[2001:db8::1]:6653",
            socket.AF_INET6,
            ("2001:db8::11", 6641),
        ),
    ],
)
def test_the_target_is_our_end_of_the_way_to_the_switch(
    probe: type[Socket], ovsdb_addr: str, local: str, target: str, family: int, asked: object
) -> None:
    probe.local = local
    assert controller_targets(conf(), ovsdb_addr) == (target,)
    assert probe.made == [family]
    assert probe.connected == [asked]


def test_a_switch_on_this_machine_calls_the_loopback() -> None:
    address = "unix:/var/run/openvswitch/db.sock"
    assert controller_targets(conf(), address) == ("tcp:127.0.0.1:6653",)
    assert controller_targets(conf(port=6700), address) == ("tcp:127.0.0.1:6700",)


@pytest.mark.parametrize("address", ["unix:/db.sock", "tcp:127.0.0.1:6640", "ssl:127.0.0.1:6640"])
def test_with_certificates_a_switch_calls_by_tls(address: str) -> None:
    (target,) = controller_targets(conf(tls=True, host="192.0.2.9"), address)
    assert target == "ssl:192.0.2.9:6653"


@pytest.mark.parametrize(("ovsdb", "openflow"), [("tcp", "tcp"), ("ssl", "ssl")])
def test_while_a_fleet_is_changed_over_who_has_no_certificate_calls_without(
    ovsdb: str, openflow: str
) -> None:
    changing = conf(tls=True, host="192.0.2.9", plaintext=("openflow",))
    (target,) = controller_targets(changing, f"{ovsdb}:192.0.2.1:6640")
    assert target == f"{openflow}:192.0.2.9:6653"


def test_what_is_configured_counts_wherever_the_switch_is(probe: type[Socket]) -> None:
    addresses = ("tcp:192.0.2.1:6653", "ssl:[2001:db8::1]:6654")
    assert controller_targets(conf(*addresses, port=6700), "tcp:192.0.2.11:6640") == addresses
    assert probe.made == []


@pytest.mark.parametrize("address", ["tcp:192.0.2.11:6640", "tcp:[2001:db8::11]:6640"])
def test_no_route_is_an_error_that_names_the_address(
    probe: type[Socket], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(probe, "local", "")
    with pytest.raises(OVSDBError) as caught:
        controller_targets(conf(), address)
    assert str(caught.value) == f"no route to {address}: Network is unreachable"


def test_an_address_that_the_kernel_refuses_is_an_error() -> None:
    with pytest.raises(OVSDBError, match="no route to tcp:255.255.255.255:6640: "):
        local_address_towards("tcp:255.255.255.255:6640")
