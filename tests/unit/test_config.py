"""The options: defaults, refusals, and the sample files that are generated from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from oslo_config import cfg, generator

from ryu_l2iso import config
from ryu_l2iso.exceptions import InvalidValue

ETC = Path(__file__).parents[2] / "etc" / "ryu_l2iso"


def parsed(tmp_path: Path, *lines: str) -> cfg.ConfigOpts:
    """Return the options after reading a file with these lines in ``[l2iso]``."""
    path = tmp_path / "test.conf"
    path.write_text("\n".join(["[l2iso]", *lines]))
    conf = cfg.ConfigOpts()
    config.register(conf)
    conf([], default_config_files=[str(path)])
    return conf


def test_defaults(tmp_path: Path) -> None:
    conf = parsed(tmp_path)
    config.check(conf)
    assert (conf.wsapi_host, conf.wsapi_port) == ("127.0.0.1", 8080)
    assert conf.l2iso.controller_address == []
    assert conf.l2iso.tunnel_type == "gre"
    assert (conf.l2iso.gre_key_min, conf.l2iso.gre_key_max) == (1, 2**24 - 1)


@pytest.mark.parametrize(
    "address", ["tcp:192.0.2.1:6653", "ssl:192.0.2.1:6653", "tcp:[2001:db8::1]:6653"]
)
def test_a_controller_address_is_taken(tmp_path: Path, address: str) -> None:
    conf = parsed(tmp_path, f"controller_address = tcp:192.0.2.9:1,{address}")
    config.check(conf)
    assert conf.l2iso.controller_address == ["tcp:192.0.2.9:1", address]


@pytest.mark.parametrize(
    "line",
    [
        "controller_address = 192.0.2.1:6653",
        "controller_address = tcp:192.0.2.1",
        "controller_address = tcp:2001:db8::1:6653",
        "controller_address = tcp:192.0.2.256:6653",
        "controller_address = tcp:[2001:db8::1::]:6653",
        "controller_address = tcp:192.0.2.1:65536",
        "controller_address = tcp:192.0.2.1:0",
        "controller_address = tcp:controller.example:6653",
        "tunnel_type = stt",
        "gre_key_min = 0",
        "gre_key_max = 0x7fffff80",
        "gre_key_max = many",
        f"gre_key_max = {config.MAX_KEY + 1}",
        "plaintext = everything",
        "mac_learning_max = -1",
        "packet_in_rate = 0",
        "ovsdb_timeout = 0",
        "openflow_timeout = -1",
    ],
)
def test_a_value_that_cannot_be_used_is_refused_at_once(tmp_path: Path, line: str) -> None:
    with pytest.raises((ValueError, InvalidValue), match=line.split()[0]):
        config.check(parsed(tmp_path, line))


def test_the_highest_key_for_gre(tmp_path: Path) -> None:
    config.check(parsed(tmp_path, f"gre_key_max = {config.MAX_KEY}"))


@pytest.mark.parametrize("kind", ["vxlan", "geneve"])
def test_a_key_that_the_tunnel_cannot_carry_is_refused(tmp_path: Path, kind: str) -> None:
    config.check(parsed(tmp_path, f"tunnel_type = {kind}"))
    with pytest.raises(InvalidValue, match="gre_key_max"):
        config.check(parsed(tmp_path, f"tunnel_type = {kind}", "gre_key_max = 16777216"))


def test_an_empty_key_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="gre_key_min"):
        config.check(parsed(tmp_path, "gre_key_min = 5", "gre_key_max = 4"))


def ryu_conf() -> cfg.ConfigOpts:
    """Return options as ``ryu-manager`` has registered them when it loads the first app."""
    conf = cfg.ConfigOpts()
    conf.register_cli_opts([cfg.StrOpt("wsapi-host", default=""), cfg.IntOpt("wsapi-port")])
    return conf


def test_ryus_open_default_of_the_rest_host_is_closed() -> None:
    conf = ryu_conf()
    conf([])
    config.register(conf)
    config.register(conf)
    assert conf.wsapi_host == "127.0.0.1"


def test_a_rest_host_given_to_ryu_manager_wins() -> None:
    conf = ryu_conf()
    conf(["--wsapi-host", "192.0.2.7"])
    config.register(conf)
    assert conf.wsapi_host == "192.0.2.7"


def test_registering_after_the_parsing_gives_the_defaults() -> None:
    conf = cfg.ConfigOpts()
    conf([])
    config.register(conf)
    assert conf.wsapi_port == 8080


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("ryu_l2iso", "ryu_l2iso.conf.sample"), ("ryu_l2iso.agent", "l2iso-agent.conf.sample")],
)
def test_sample_is_up_to_date(tmp_path: Path, namespace: str, name: str) -> None:
    sample = tmp_path / name
    # Not by generator.main: on Python 3.9 that does not find its own version.
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", namespace, "--output-file", str(sample)])
    generator.generate(conf)
    assert (ETC / name).read_text() == sample.read_text(), "run: make sample-config"
