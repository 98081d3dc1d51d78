"""Every option of the suite, registered here and nowhere else (oslo.config).

The controller's own options are in the group ``[l2iso]``; options that ``ryu-manager`` has too
keep their Ryu names and stay in ``[DEFAULT]``.  The agent has a file and options of its own.
The sample files in ``etc/ryu_l2iso/`` are generated from the lists in this module.
"""

from __future__ import annotations

from typing import Any

from oslo_config import cfg, types

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.state.locations import ACTIVATE, DUPLICATE
from ryu_l2iso.state.values import parse_ovsdb_addr

GROUP = "l2iso"

WSAPI_HOST = "127.0.0.1"
WSAPI_PORT = 8080
OPENFLOW_PORT = 6653
"""Registered for OpenFlow at IANA; what switches connect to unless told otherwise."""

CONNECTION = "/var/lib/ryu_l2iso/state.db"
"""In the directory that the systemd unit has made for the service."""

MAX_24_BIT_KEY = 0xFFFFFF
"""Highest key that VXLAN and Geneve carry (their VNI has 24 bits)."""

MAX_KEY = 0x7FFFFF7F
"""Highest key for GRE: group ids are derived from keys and end at 0xffffff00 (OFPG_MAX)."""

CONTROLLER_OPTS = [
    cfg.StrOpt(
        "connection",
        default=CONNECTION,
        help="File in which the controller keeps what outlives it, an SQLite database that it "
        "makes where there is none. One controller at a time can use it. With :memory: nothing "
        "outlives the controller.",
    ),
    cfg.ListOpt(
        "controller_address",
        default=[],
        help="OpenFlow addresses of this controller, as the switches are told to connect to: "
        "tcp:IP:PORT or ssl:IP:PORT, IPv6 in brackets. Empty: for each switch, the local address "
        "used towards its OVSDB server and the OpenFlow listen port.",
    ),
    cfg.StrOpt(
        "token_file",
        help="File that says which tokens the REST API takes, and what each is good for; "
        "l2iso-token makes its lines. Read again when it changes. Needed unless wsapi_host is a "
        "loopback address; without it, everybody who reaches REST may do everything.",
    ),
    cfg.ListOpt(
        "plaintext",
        default=[],
        item_type=types.String(choices=["openflow", "ovsdb", "rest"]),
        help="What may still go without TLS although ctl_cert is given, while a fleet is changed "
        "over: openflow (served on ofp_tcp_listen_port too), ovsdb (tcp: and unix: addresses of "
        "switches), rest (http instead of https).",
    ),
    cfg.StrOpt(
        "tunnel_type",
        default="gre",
        choices=[
            ("gre", "GRE, keys up to 2^31-129"),
            ("vxlan", "VXLAN, keys up to 24 bits"),
            ("geneve", "Geneve, keys up to 24 bits"),
        ],
        help="Type of the tunnel ports that are created between switches.",
    ),
    cfg.IntOpt(
        "gre_key_min",
        default=1,
        min=1,
        max=MAX_KEY,
        help="Lowest key that a network may get with tunnel isolation.",
    ),
    cfg.IntOpt(
        "gre_key_max",
        default=MAX_24_BIT_KEY,
        min=1,
        max=MAX_KEY,
        help="Highest key that a network may get with tunnel isolation. VXLAN and Geneve carry no "
        "more than 24 bits.",
    ),
    cfg.StrOpt(
        "migration",
        default=ACTIVATE,
        choices=[
            (ACTIVATE, "the new one neither sends nor receives until the guest shows itself there"),
            (DUPLICATE, "both send and receive"),
        ],
        help="What becomes of the two places where an interface is plugged while its VM moves. "
        "With VLAN isolation both send in any case, and this is about what they receive.",
    ),
    cfg.IntOpt(
        "mac_learning_max",
        default=64,
        min=0,
        max=4096,
        help="MAC isolation: how many MACs besides its own a VM may use. One more takes the place "
        "of the oldest. With 0 nothing is learned, and no packet comes to the controller.",
    ),
    cfg.IntOpt(
        "packet_in_rate",
        default=10,
        min=1,
        max=1000,
        help="MAC isolation: packets a second from unknown MACs that a switch sends to the "
        "controller, of each VM port; as many at once as MACs may be learned.",
    ),
    cfg.FloatOpt(
        "ovsdb_timeout",
        default=5.0,
        min=0.1,
        help="Seconds that an OVSDB server has to confirm a transaction.",
    ),
    cfg.FloatOpt(
        "openflow_timeout",
        default=30.0,
        min=0.1,
        help="Seconds that a switch has for one answer: a dump of its flows, or the confirmation "
        "of a bundle of changes. It is asked for an echo six times as often; a connection on which "
        "none comes for so long is closed.",
    ),
    cfg.FloatOpt(
        "openflow_handshake_timeout",
        default=10.0,
        min=0.1,
        help="Seconds that a switch that connects has to say who it is and what ports it has.",
    ),
    cfg.IntOpt(
        "openflow_max_connections",
        default=2048,
        min=1,
        help="OpenFlow connections that may be open at a time. One more takes the place of the "
        "oldest that has not said which switch it is, and is refused when there is none.",
    ),
    cfg.IntOpt(
        "openflow_max_per_address",
        default=64,
        min=1,
        help="OpenFlow connections from one address that may be open at a time. Raise it when "
        "more switches than that come through one address, as by NAT.",
    ),
    cfg.FloatOpt(
        "drift_interval",
        default=60.0,
        min=0.0,
        help="Seconds between two looks at a switch for flows, groups and meters that somebody "
        "else has deleted, changed or added; they are put right. It is asked for the number of "
        "its flows, and every fifth time for all that it holds. 0: never.",
    ),
]
"""Options of the controller, in the group ``[l2iso]``."""

REST_OPTS = [
    cfg.StrOpt("wsapi-host", default=WSAPI_HOST, help="Address that the REST API listens on."),
    cfg.PortOpt("wsapi-port", default=WSAPI_PORT, help="TCP port that the REST API listens on."),
]
"""Options of the REST server; Ryu registers them itself, with an open default host."""

REST_TLS_OPTS = [
    cfg.StrOpt("wsapi-privkey", help="Private key (PEM) of the REST server. Default: ctl_privkey."),
    cfg.StrOpt(
        "wsapi-cert",
        help="Certificate (PEM) of the REST server, which then speaks https. Default: ctl_cert.",
    ),
    cfg.StrOpt(
        "wsapi-ca-certs",
        help="CA certificates (PEM): every REST client must show a certificate of one of them. "
        "Default: none is asked for.",
    ),
]
"""TLS of the REST server; what is said of OpenFlow and OVSDB by ctl_privkey, ctl_cert, ca_certs,
which the framework registers, is the default."""

MANAGER_OPTS = [
    cfg.StrOpt(
        "isolation",
        choices=[
            ("gre", "a GRE tunnel between each two nodes, the key names the network"),
            ("vlan", "the VLAN ID names the network; the physical network carries the VLANs"),
            ("mac", "the source MAC names the network; the physical network is flat"),
        ],
        help="How networks are kept apart: runs the applications of that isolation, besides those "
        "that are named. Under ryu-manager name them all.",
    ),
    cfg.ListOpt("app-lists", default=[], help="Applications to run, separated by commas."),
    cfg.StrOpt("pid-file", help="File to write the process id to."),
    cfg.BoolOpt("enable-debugger", default=False, help="Leave threads unpatched for a debugger."),
    cfg.StrOpt("user-flags", help="Python file that registers options of other applications."),
]
"""Options of ``l2iso-manager`` that can stand in a file; Ryu's manager registers them itself."""

APP_ARGUMENT = cfg.MultiStrOpt("app", positional=True, default=[], help="Application to run.")
"""The positional arguments of ``l2iso-manager``."""

AGENT_OPTS: list[cfg.Opt] = [
    cfg.StrOpt("bridge", default="br-int", help="Integration bridge, which the VMs plug into."),
    cfg.URIOpt(
        "controller-url",
        default="http://127.0.0.1:8080",
        schemes=["http", "https"],
        help="Where the controller's REST API is.",
    ),
    cfg.StrOpt(
        "token-file",
        help="File with the token that the controller's REST API knows this node by, as "
        "l2iso-token has printed it; nobody but its owner may read the file. Read for each call.",
    ),
    cfg.StrOpt(
        "ovsdb-connection",
        default="unix:/var/run/openvswitch/db.sock",
        help="OVSDB server of this node, as it is reached from here.",
    ),
    cfg.IPOpt(
        "tunnel-ip",
        help="Address of this node that tunnels end at, IPv4 or IPv6. Either this or "
        "tunnel-interface must be given.",
    ),
    cfg.StrOpt(
        "tunnel-interface",
        help="Network interface of this node whose global address, IPv4 first, tunnels end at.",
    ),
    cfg.StrOpt(
        "ovsdb-listen",
        help="IP:PORT, IPv6 in brackets, that the OVSDB server is told to listen on for the "
        "controller. Default: the tunnel address, port 6640. Whoever reaches it has full control "
        "of this node's Open vSwitch: keep it on a network that no VM can reach.",
    ),
    cfg.StrOpt(
        "private-key",
        help="Private key (PEM) of this node's Open vSwitch, an absolute path. With it, the OVSDB "
        "server speaks TLS to the controller; certificate and ca_cert are needed too.",
    ),
    cfg.StrOpt("certificate", help="Certificate (PEM) of this node, which names its switch."),
    cfg.StrOpt(
        "ca-cert",
        help="CA certificates (PEM) of controllers, for Open vSwitch: whoever has a certificate "
        "of one of them controls this node.",
    ),
    cfg.StrOpt(
        "controller-ca",
        help="CA certificates (PEM) that the certificate of an https controller_url is verified "
        "with. Default: ca_cert, else those of the system.",
    ),
    cfg.MultiStrOpt(
        "external-port",
        default=[],
        help="Port of the bridge that is an uplink to the physical network. Can be repeated.",
    ),
    cfg.FloatOpt(
        "interval",
        default=10.0,
        min=0.1,
        help="Seconds between two looks at what the controller knows of this node; also the "
        "longest pause between two attempts to reach it.",
    ),
]
"""Options of ``l2iso-agent``."""


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options that apps read; harmless when repeated, and after the parsing."""
    conf.register_opts(CONTROLLER_OPTS, GROUP)
    conf.register_opts(REST_TLS_OPTS)
    if "wsapi_host" in conf:
        conf.set_default("wsapi_host", WSAPI_HOST)
        return
    try:
        conf.register_cli_opts(REST_OPTS)
    except cfg.ArgsAlreadyParsedError:
        conf.register_opts(REST_OPTS)


def register_manager(conf: cfg.ConfigOpts) -> None:
    """Register the command line of ``l2iso-manager``, before it is parsed."""
    conf.register_cli_opts([*MANAGER_OPTS, APP_ARGUMENT])


def register_agent(conf: cfg.ConfigOpts) -> None:
    """Register the options of ``l2iso-agent``, before its command line is parsed."""
    conf.register_cli_opts(AGENT_OPTS)


def check(conf: cfg.ConfigOpts) -> None:
    """Raise ``ValueError`` or ``InvalidValue`` unless every controller option can be used.

    oslo.config looks at a value from a file only when it is read, and never at two together.
    """
    values: Any = conf[GROUP]
    for option in CONTROLLER_OPTS:
        values[option.dest]
    for address in values.controller_address:
        _check_target(address)
    if values.gre_key_min > values.gre_key_max:
        raise InvalidValue("gre_key_min", "must not be above gre_key_max")
    if values.tunnel_type != "gre" and values.gre_key_max > MAX_24_BIT_KEY:
        raise InvalidValue("gre_key_max", f"{values.tunnel_type} carries keys up to 2^24-1")


def _check_target(address: str) -> None:
    try:
        # An OVSDB address has the same form, or is a Unix socket.
        if not parse_ovsdb_addr(address).startswith("unix:"):
            return
    except InvalidValue:
        pass
    rule = f"{address} is not tcp:IP:PORT or ssl:IP:PORT, IPv6 in brackets"
    raise InvalidValue("controller_address", rule)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Give oslo-config-generator the controller's options: [(group, options), …]."""
    return [("DEFAULT", [*MANAGER_OPTS, *REST_OPTS, *REST_TLS_OPTS]), (GROUP, CONTROLLER_OPTS)]


def list_agent_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Give oslo-config-generator the agent's options: [(group, options), …]."""
    return [("DEFAULT", AGENT_OPTS)]
