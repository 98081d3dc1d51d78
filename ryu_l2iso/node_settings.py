"""The options of ``l2iso-agent``, and what they mean on this node."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Sequence

from oslo_config import cfg

from ryu_l2iso import config, tls
from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.state.values import parse_ovsdb_addr, parse_tunnel_addr

PROG = "l2iso-agent"
OVSDB_PORT = 6640
"""The port that IANA has assigned to OVSDB."""


class UsageError(L2IsoError):
    """The command line, or a file that it names, cannot be used."""


class Settings:
    """The options, checked; raises ``cfg.Error``, ValueError or L2IsoError when one is wrong."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.bridge: str = conf.bridge
        self.controller_url: str = conf.controller_url
        self.token_file: str | None = conf.token_file
        self.tls_files = _tls_files(conf)
        self.controller_ca: str | None = conf.controller_ca or conf.ca_cert
        self.ovsdb_connection = _ovsdb_connection(conf.ovsdb_connection)
        self.tunnel_interface: str | None = conf.tunnel_interface
        self.external_ports: Sequence[str] = conf.external_port
        self.interval: float = conf.interval
        if (conf.tunnel_ip is None) == (conf.tunnel_interface is None):
            raise L2IsoError("either tunnel-ip or tunnel-interface must be given")
        self.tunnel_ip: str | None = None
        if conf.tunnel_ip is not None:
            self.tunnel_ip = _tunnel_ip(conf.tunnel_ip)
        self.ovsdb_listen: str | None = None
        if conf.ovsdb_listen is not None:
            self.ovsdb_listen = _ovsdb_listen(conf.ovsdb_listen)[len("tcp:") :]

    def tunnel_addr(self) -> str:
        """Return the tunnel address; raises L2IsoError when the interface has none (yet)."""
        if self.tunnel_ip is not None:
            return self.tunnel_ip
        assert self.tunnel_interface is not None
        return interface_address(self.tunnel_interface)

    def ovsdb_addr(self, tunnel_addr: str) -> str:
        """Return how the controller reaches this node's OVSDB server."""
        host = f"[{tunnel_addr}]" if ":" in tunnel_addr else tunnel_addr
        method = "tcp" if self.tls_files is None else "ssl"
        return f"{method}:{self.ovsdb_listen or f'{host}:{OVSDB_PORT}'}"


def _tls_files(conf: cfg.ConfigOpts) -> tls.Files | None:
    """Return the files for this node's Open vSwitch; None: it does not speak TLS."""
    files = (conf.private_key, conf.certificate, conf.ca_cert)
    if not any(files):
        return None
    for name, path in zip(("private-key", "certificate", "ca-cert"), files):
        if not path:
            raise InvalidValue(name, "TLS needs all of private-key, certificate and ca-cert")
        if not os.path.isabs(path):
            raise InvalidValue(name, "must be an absolute path: Open vSwitch reads it")
    found = tls.Files(*files)
    tls.Credentials("TLS of Open vSwitch", found, server=True)
    return found


def _tunnel_ip(value: str) -> str:
    try:
        return parse_tunnel_addr(value)
    except InvalidValue as error:
        raise InvalidValue("tunnel-ip", error.rule) from None


def _ovsdb_connection(value: str) -> str:
    if value.startswith("ssl:"):
        raise InvalidValue("ovsdb-connection", "must be tcp: or unix:, as the server is local")
    return _ovsdb_addr("ovsdb-connection", value)


def _ovsdb_listen(value: str) -> str:
    """Return the address that the controller is told; 0.0.0.0 would not lead it here."""
    address = _ovsdb_addr("ovsdb-listen", f"tcp:{value}")
    host = address[len("tcp:") :].rpartition(":")[0].strip("[]")
    try:
        parse_tunnel_addr(host)
    except InvalidValue as error:
        raise InvalidValue("ovsdb-listen", error.rule) from None
    return address


def _ovsdb_addr(option: str, value: str) -> str:
    try:
        return parse_ovsdb_addr(value)
    except InvalidValue as error:
        raise InvalidValue(option, error.rule) from None


def interface_address(name: str) -> str:
    """Return a network interface's global address, IPv4 before IPv6; raises L2IsoError."""
    command = ["ip", "-json", "address", "show", "dev", name, "scope", "global"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=5.0, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise L2IsoError(f"interface {name}: {error}") from error
    if done.returncode != 0:
        raise L2IsoError(f"interface {name}: {done.stderr.decode().strip()}")
    found = [a for link in json.loads(done.stdout) for a in link.get("addr_info", ())]
    usable = [a for a in found if not a.get("tentative") and not a.get("deprecated")]
    if not usable:
        raise L2IsoError(f"interface {name} has no global address")
    return str(min(usable, key=lambda a: a["family"] != "inet")["local"])


def parse(arguments: Sequence[str]) -> Settings:
    """Return the options; raises UsageError, and SystemExit(0) after ``--help``."""
    conf = cfg.ConfigOpts()
    config.register_agent(conf)
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            conf(list(arguments), project="ryu_l2iso", prog=PROG)
        return Settings(conf)
    except SystemExit as error:
        if not error.code:
            raise
        text = error.code if isinstance(error.code, str) else usage.getvalue()
        raise UsageError(text.rpartition("error: ")[2].strip()) from error
    except (cfg.Error, ValueError, L2IsoError) as error:
        raise UsageError(str(error)) from error
