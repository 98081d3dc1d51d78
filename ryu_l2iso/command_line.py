"""The command line of ``l2iso-manager``, which is that of ``ryu-manager``."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import re

from oslo_config import cfg

from ryu_l2iso import __version__, config, framework, tls
from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.framework import CONF
from ryu_l2iso.listener import listen
from ryu_l2iso.tokens import tokens_for

PROG = "l2iso-manager"
REST_APP = "ryu_l2iso.rest"
APPS: dict[str | None, list[str]] = {
    None: [],
    "gre": ["quantum_adapter", "tunnel_port_updater", "gre_tunnel", "rest"],
    "vlan": ["quantum_adapter", "simple_vlan", "rest"],
    "mac": ["quantum_adapter", "mac_isolation", "rest"],
}
"""Value of the option ``isolation`` → the applications that it stands for."""

_LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class UsageError(L2IsoError):
    """The command line, or a file that it names, cannot be used."""


def described(error: BaseException) -> str:
    """Return what an operator should read about an error."""
    return str(error) if isinstance(error, L2IsoError) else f"{type(error).__name__}: {error}"


def parse(arguments: list[str]) -> list[str]:
    """Read command line and configuration files; return the module names of the apps to run.

    Raises UsageError with one line about the fault, and SystemExit(0) after ``--help``.
    """
    framework.register_command_line()
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            _load_user_flags(arguments)
            CONF(arguments, project="ryu_l2iso", prog=PROG, version=f"{PROG} {__version__}")
        config.check(CONF)
    except SystemExit as error:
        if not error.code:
            raise
        raise UsageError(usage.getvalue().rpartition("error: ")[2].strip()) from error
    except (cfg.Error, ValueError, OSError, InvalidValue) as error:
        raise UsageError(f"configuration: {error}") from error
    # Left alone, the framework would also listen on OpenFlow's old port, 6633.
    CONF.set_default("ofp_tcp_listen_port", config.OPENFLOW_PORT)
    CONF.set_default("ofp_ssl_listen_port", config.OPENFLOW_PORT)
    return _app_names()


def _load_user_flags(arguments: list[str]) -> None:
    """Import the file of ``--user-flags`` before the parsing: it registers options."""
    parser = argparse.ArgumentParser(PROG, add_help=False, allow_abbrev=False)
    parser.add_argument("--user-flags")
    path = parser.parse_known_args(arguments)[0].user_flags
    if path is None:
        return
    try:
        framework.utils.import_module(path)
    except Exception as error:
        raise UsageError(f"--user-flags {path}: {described(error)}") from error


def _app_names() -> list[str]:
    listed = [name.strip() for name in ",".join([*CONF.app_lists, *CONF.app]).split(",")]
    names = [_module_name(name) for name in [*APPS[CONF.isolation], *listed] if name]
    if not names:
        raise UsageError("no application given: name some, or choose an isolation")
    return list(dict.fromkeys(names))


def _module_name(name: str) -> str:
    """Return the module for a short name of ours; any other name, or a path, stays as it is."""
    if name == "rest":
        return REST_APP
    ours = f"ryu_l2iso.apps.{name}"
    return ours if name.isidentifier() and importlib.util.find_spec(ours) else name


def check_openflow_server() -> None:
    """Raise L2IsoError when the OpenFlow server could not be started.

    The framework opens it in a green thread of its own and only logs that it failed.
    """
    for port, credentials in tls.openflow_listeners(CONF):
        if port == 0:
            name = "ofp-tcp-listen-port" if credentials is None else "ofp-ssl-listen-port"
            raise UsageError(f"{name}: must be 1 to 65535")
        listen(CONF.ofp_listen_host, port, "OpenFlow server").close()


def check_rest_server() -> None:
    """Raise L2IsoError when the REST server could not be started, or must not."""
    try:
        tokens_for(CONF.wsapi_host, CONF[config.GROUP].token_file)
    except L2IsoError as error:
        raise UsageError(str(error)) from error
    tls.rest_credentials(CONF)
    listen(CONF.wsapi_host, CONF.wsapi_port, "REST server").close()


class OneLine(logging.Formatter):
    """Has a message on one line: names that a node tells may hold what looks like another line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, with control characters escaped."""
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record)


def init_log() -> None:
    """Start logging as the options say; a line has its time, level and logger."""
    try:
        framework.log.init_log()
    except Exception as error:
        raise UsageError(f"logging options: {described(error)}") from error
    if not CONF.log_config_file:
        # No line has any of these, and to find them out took half of the time of a line (logging's
        # HOWTO, "Optimization").
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
        for handler in logging.getLogger().handlers:
            handler.setFormatter(OneLine(_LOG_FORMAT))
