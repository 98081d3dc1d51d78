"""``l2iso-pki``: what it makes, and what it leaves alone."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

from ryu_l2iso import pki
from ryu_l2iso.config import list_agent_opts, list_opts


def _text(path: Path) -> str:
    command = ["openssl", "x509", "-in", str(path), "-noout", "-text"]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout.decode()


def _verified(certificate: Path, authority: Path) -> bool:
    command = ["openssl", "verify", "-CAfile", str(authority), str(certificate)]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with authorities, a controller and a node of two switches."""
    directory = tmp_path_factory.mktemp("made") / "pki"
    for arguments in (
        ["init"],
        ["controller", "c1", "192.0.2.1", "2001:db8::1", "controller.example"],
        ["node", "n1", "00000000000000A1", "00000000000000a2"],
    ):
        assert pki.main([arguments[0], str(directory), *arguments[1:]]) == 0
    return directory


def test_certificates_name_who_may_show_them(made: Path) -> None:
    controller, node = _text(made / "c1.pem"), _text(made / "n1.pem")
    hosts = "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, DNS:controller.example"
    assert hosts in controller
    assert "URI:urn:l2iso:dpid:00000000000000a1, URI:urn:l2iso:dpid:00000000000000a2" in node
    for text in (controller, node):
        assert "CA:FALSE" in text
        assert "TLS Web Server Authentication, TLS Web Client Authentication" in text


def test_a_node_is_no_controller(made: Path) -> None:
    assert _verified(made / "n1.pem", made / "node-ca.pem")
    assert _verified(made / "c1.pem", made / "controller-ca.pem")
    assert not _verified(made / "n1.pem", made / "controller-ca.pem")
    assert not _verified(made / "c1.pem", made / "node-ca.pem")


def test_only_the_owner_reads_keys(made: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()}
    names = ("controller-ca", "node-ca", "c1", "n1")
    keys = {f"{name}.key": 0o600 for name in names}
    assert modes == {**keys, **{f"{name}.pem": 0o644 for name in names}}
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "arguments", [["init"], ["controller", "c1", "192.0.2.9"], ["node", "n1", "0" * 15 + "9"]]
)
def test_nothing_is_overwritten(
    made: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    before = {path: path.read_bytes() for path in made.iterdir()}
    assert pki.main([arguments[0], str(made), *arguments[1:]]) == 1
    assert "exists; nothing is ever overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["node", "n2", "a1"], "dpid: must be 16 hex digits"),
        (["node", "../n2", "0" * 15 + "9"], "name: must be 1 to 64 letters"),
        (["node", "node-ca", "0" * 15 + "9"], "name: must be"),
        (["controller", "c2", "a b"], "host: a b is no address and no host name"),
        (["controller", "c2", "192.0.2.1,URI:urn:l2iso:dpid:" + "0" * 16], "host: "),
        (["node", "n2", "0" * 15 + "9", "--days", "0"], "days: must be 1 or more"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    made: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    before = sorted(made.rglob("*"))
    assert pki.main([arguments[0], str(made), *arguments[1:]]) == 1
    assert said in capsys.readouterr().err
    assert sorted(made.rglob("*")) == before


def test_without_authorities_the_way_to_them_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pki.main(["node", str(tmp_path), "n1", "0" * 15 + "9"]) == 1
    assert "start with l2iso-pki init" in capsys.readouterr().err


DOCS = Path(__file__).parents[2] / "docs"


def test_the_commands_of_the_documentation_make_what_it_says(tmp_path: Path) -> None:
    text = (DOCS / "security.rst").read_text(encoding="utf-8")
    commands = re.findall(r"^    l2iso-pki (.+)$", text, re.MULTILINE)
    commands = [command.partition("#")[0].replace("/root", str(tmp_path)) for command in commands]
    assert [command.split()[0] for command in commands] == ["init", "controller", "node", "init"]
    for command in commands:
        assert pki.main(command.split()) == 0
    named = set(re.findall(r"\b[a-z0-9-]+\.(?:key|pem)\b", text)) - {"node.key", "node.pem"}
    assert named == {path.name for path in (tmp_path / "pki").iterdir()}


def test_the_options_of_the_documentation_exist() -> None:
    text = (DOCS / "security.rst").read_text(encoding="utf-8")
    options = {option.dest for _, group in (*list_opts(), *list_agent_opts()) for option in group}
    options |= {"ctl_privkey", "ctl_cert", "ca_certs", "ofp_ssl_listen_port", "ofp_tcp_listen_port"}
    assert set(re.findall(r"^    (\w+) = ", text, re.MULTILINE)) <= options
    assert set(re.findall(r"``(\w+_\w+)``", text)) <= options
