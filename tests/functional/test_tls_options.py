"""The options of TLS: which files are used where, and which cannot be."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_l2iso import pki as making
from ryu_l2iso import tls
from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.framework import CONF
from ryu_l2iso.rest import Rest
from tests.functional.pki import Pki
from tests.unit.rest_client import FakeCore


def test_files_that_cannot_be_used_are_refused_at_start(pki: Pki, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    making._openssl("ec", "-in", pki.node.private_key, "-aes128", "-passout", "pass:secret",
                    "-out", locked)  # fmt: skip
    for files in (
        pki.controller._replace(private_key="/nowhere"),
        pki.controller._replace(private_key=pki.node.private_key),
        pki.controller._replace(ca_certs=str(locked)),
        pki.node._replace(private_key=str(locked)),
        pki.controller._replace(ciphers="NONSENSE"),
    ):
        with pytest.raises(L2IsoError, match="test: .*pem"):
            tls.Credentials("test", files, server=True)


def _conf(**options: Any) -> Any:
    openflow = ("ctl_privkey", "ctl_cert", "ca_certs", "ciphers")
    rest = ("wsapi_privkey", "wsapi_cert", "wsapi_ca_certs")
    names = (*openflow, *rest, "ofp_tcp_listen_port", "ofp_ssl_listen_port")
    group = SimpleNamespace(plaintext=options.pop("plaintext", []))
    return SimpleNamespace(l2iso=group, **{**dict.fromkeys(names), **options})


def _options(files: tls.Files) -> dict[str, Any]:
    key, certificate, ca_certs = files[:3]
    return {"ctl_privkey": key, "ctl_cert": certificate, "ca_certs": ca_certs}


def test_plain_openflow_is_served_only_if_asked_for(pki: Pki) -> None:
    options = _options(pki.controller)
    assert tls.openflow_listeners(_conf()) == [(6653, None)]
    ((port, credentials),) = tls.openflow_listeners(_conf(**options, ofp_tcp_listen_port=6633))
    assert port == 6653
    assert credentials is not None
    both = _conf(**options, ofp_tcp_listen_port=6633, plaintext=["openflow"])
    assert [(port, c is None) for port, c in tls.openflow_listeners(both)] == [
        (6653, False),
        (6633, True),
    ]
    with pytest.raises(InvalidValue, match="ofp_tcp_listen_port: must differ"):
        tls.openflow_listeners(_conf(**options, plaintext=["openflow"]))


def test_ovsdb_goes_by_tls_alone_unless_plain_is_asked_for(pki: Pki) -> None:
    options = _options(pki.controller)
    assert not tls.ovsdb_by_tls_alone(_conf())
    assert tls.ovsdb_by_tls_alone(_conf(**options, plaintext=["openflow", "rest"]))
    assert not tls.ovsdb_by_tls_alone(_conf(**options, plaintext=["ovsdb"]))


@pytest.mark.parametrize(
    ("host", "https", "warned"),
    [("127.0.0.1", False, False), ("", False, True), ("192.0.2.1", False, True), ("", True, False)],
)
def test_tokens_that_can_be_read_on_the_way_are_warned_of(
    pki: Pki,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    host: str,
    https: bool,
    warned: bool,
) -> None:
    (tmp_path / "tokens").touch(mode=0o600)
    files = pki.controller
    with contextlib.ExitStack() as undo:
        options = {"wsapi_host": host, "token_file": str(tmp_path / "tokens")}
        if https:
            options.update(wsapi_privkey=files.private_key, wsapi_cert=files.certificate)
        for name, value in options.items():
            group = "l2iso" if name == "token_file" else None
            CONF.set_override(name, value, group)
            undo.callback(CONF.clear_override, name, group)
        Rest(l2iso=FakeCore())
    said = [line for line in caplog.messages if "sees the tokens; set wsapi_privkey" in line]
    assert len(said) == warned


def test_certificates_without_an_authority_for_switches_are_refused(pki: Pki) -> None:
    options = _options(pki.controller)
    for name in options:
        with pytest.raises(InvalidValue, match="TLS needs all of them"):
            tls.openflow_listeners(_conf(**{**options, name: None}))


def test_rest_has_files_of_its_own_or_those_of_the_controller(pki: Pki) -> None:
    options = _options(pki.controller)
    own = {"wsapi_privkey": "k", "wsapi_cert": "c"}
    assert tls.rest_files(_conf()) is None
    assert tls.rest_files(_conf(**own)) == tls.Files("k", "c", None)
    assert tls.rest_files(_conf(**options, **own)) == tls.Files("k", "c", None)
    assert tls.rest_files(_conf(**options)) == pki.controller._replace(ca_certs=None)
    assert tls.rest_files(_conf(**own, wsapi_ca_certs="a")) == tls.Files("k", "c", "a")
    assert tls.rest_files(_conf(**options, plaintext=["rest"])) is None
    for wrong in ({"wsapi_cert": "c"}, {"wsapi_privkey": "k"}, {"wsapi_ca_certs": "a"}):
        with pytest.raises(InvalidValue, match="wsapi_"):
            tls.rest_files(_conf(**wrong))
