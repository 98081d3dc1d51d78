"""The agent's options: one clear line for each that cannot be used."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ryu_l2iso import tls
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.node import is_local, manager_target
from ryu_l2iso.node_settings import UsageError, interface_address, parse

TUNNEL = ("--tunnel-ip", "192.0.2.1")
TLS = ("--private-key", "/n", "--certificate", "/n", "--ca-cert", "/n")


def test_defaults() -> None:
    settings = parse(["--tunnel-ip", "192.0.2.1"])
    assert settings.bridge == "br-int"
    assert settings.controller_url == "http://127.0.0.1:8080"
    assert settings.ovsdb_connection == "unix:/var/run/openvswitch/db.sock"
    assert settings.tunnel_addr() == "192.0.2.1"
    assert settings.ovsdb_addr("192.0.2.1") == "tcp:192.0.2.1:6640"
    assert settings.external_ports == []
    assert settings.interval == 10.0


def test_ipv6_is_canonical_and_in_brackets() -> None:
    settings = parse(["--tunnel-ip", "2001:DB8:0::1"])
    assert settings.tunnel_addr() == "2001:db8::1"
    assert settings.ovsdb_addr(settings.tunnel_addr()) == "tcp:[2001:db8::1]:6640"
    assert manager_target("tcp:[2001:db8::1]:6640") == "ptcp:6640:[2001:db8::1]"


def test_the_ovsdb_server_may_listen_elsewhere() -> None:
    settings = parse(["--tunnel-ip", "192.0.2.1", "--ovsdb-listen", "192.0.2.2:6641"])
    assert settings.ovsdb_addr("192.0.2.1") == "tcp:192.0.2.2:6641"
    assert manager_target("tcp:192.0.2.2:6641") == "ptcp:6641:192.0.2.2"


def test_with_certificates_the_ovsdb_server_speaks_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "Credentials", lambda *_, **__: None)
    settings = parse([*TUNNEL, *TLS])
    assert settings.ovsdb_addr("192.0.2.1") == "ssl:192.0.2.1:6640"
    assert manager_target("ssl:192.0.2.1:6640") == "pssl:6640:192.0.2.1"
    assert settings.controller_ca == "/n"
    elsewhere = parse([*TUNNEL, *TLS, "--ovsdb-listen", "[fd00::1]:6641", "--controller-ca", "/c"])
    assert elsewhere.ovsdb_addr("192.0.2.1") == "ssl:[fd00::1]:6641"
    assert elsewhere.controller_ca == "/c"
    assert parse([*TUNNEL]).tls_files is None


def test_an_address_is_local_when_this_host_has_it() -> None:
    assert is_local("tcp:127.0.0.1:6640")
    assert not is_local("tcp:192.0.2.1:6640")
    assert not is_local("tcp:[2001:db8::1]:6640")


def test_options_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "agent.conf"
    path.write_text("[DEFAULT]\ntunnel_ip = 192.0.2.1\nexternal_port = a\nexternal_port = b\n")
    settings = parse(["--config-file", str(path)])
    assert settings.external_ports == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "either tunnel-ip or tunnel-interface"),
        (["--tunnel-ip", "192.0.2.1", "--tunnel-interface", "eth0"], "either tunnel-ip"),
        (["--tunnel-ip", "192.0.2"], "192.0.2"),
        (["--tunnel-ip", "224.0.0.1"], "tunnel-ip: must be"),
        (["--tunnel-ip", "0.0.0.0"], "tunnel-ip: must be"),
        (["--tunnel-ip", "192.0.2.1", "--ovsdb-listen", "192.0.2.1"], "ovsdb-listen: must be"),
        (["--tunnel-ip", "192.0.2.1", "--ovsdb-listen", "0.0.0.0:1"], "ovsdb-listen: must be"),
        (["--tunnel-ip", "192.0.2.1", "--ovsdb-listen", "[::]:1"], "ovsdb-listen: must be"),
        (["--tunnel-ip", "192.0.2.1", "--ovsdb-listen", "fd00::1:1"], "ovsdb-listen: must be"),
        (["--tunnel-ip", "192.0.2.1", "--ovsdb-connection", "x"], "ovsdb-connection: must be"),
        (["--tunnel-ip", "192.0.2.1", "--ovsdb-connection", "ssl:192.0.2.1:1"], "must be tcp:"),
        (["--tunnel-ip", "192.0.2.1", "--controller-url", "ftp://x"], "ftp://x"),
        (["--tunnel-ip", "192.0.2.1", "--interval", "0"], "interval"),
        (["--tunnel-ip", "192.0.2.1", "--config-file", "/no/such/file"], "/no/such/file"),
        ([*TUNNEL, "--private-key", "/k"], "certificate: TLS needs all of private-key"),
        ([*TUNNEL, "--ca-cert", "/a"], "private-key: TLS needs all of private-key"),
        ([*TUNNEL, *TLS, "--certificate", "c"], "certificate: must be an absolute path"),
        ([*TUNNEL, *TLS], "TLS of Open vSwitch: /n, /n, /n: No such file"),
        (["--no-such-option"], "--no-such-option"),
        (["word"], "word"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_in_one_line(
    arguments: list[str], text: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parse(arguments)
    assert text in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_from_a_file_is_refused_as_well(tmp_path: Path) -> None:
    path = tmp_path / "agent.conf"
    path.write_text("[DEFAULT]\ntunnel_ip = 192.0.2.1\ninterval = often\n")
    with pytest.raises(UsageError, match="interval"):
        parse(["--config-file", str(path)])


def address(family: str, local: str, **flags: bool) -> dict[str, Any]:
    return {"family": family, "local": local, "scope": "global", **flags}


def answer_of_ip(monkeypatch: pytest.MonkeyPatch, *addresses: dict[str, Any]) -> None:
    output = json.dumps([{}, {"ifname": "eth0", "addr_info": list(addresses)}]).encode()
    done = subprocess.CompletedProcess([], 0, output, b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


def test_ipv4_comes_before_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [address("inet6", "2001:db8::1"), address("inet", "192.0.2.1")]
    answer_of_ip(monkeypatch, *addresses, address("inet", "192.0.2.2"))
    assert interface_address("eth0") == "192.0.2.1"
    answer_of_ip(monkeypatch, addresses[0])
    assert interface_address("eth0") == "2001:db8::1"


def test_an_address_that_may_not_stay_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = [address("inet6", "2001:db8::1", tentative=True)]
    answer_of_ip(monkeypatch, *unsure, address("inet6", "2001:db8::2", deprecated=True))
    with pytest.raises(L2IsoError, match="eth0 has no global address"):
        interface_address("eth0")


def test_real_interfaces() -> None:
    with pytest.raises(L2IsoError, match="no-such-device"):
        interface_address("no-such-device")
    with pytest.raises(L2IsoError, match="lo has no global address"):
        interface_address("lo")
