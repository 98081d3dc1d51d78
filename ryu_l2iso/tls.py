"""TLS for OpenFlow, OVSDB and REST: files that are read again, handshakes, whose certificate it is.

A node's certificate names its switches by URIs, ``urn:l2iso:dpid:00000000000000a1``, in its
subjectAltName (RFC 5280 section 4.2.1.6): the common name holds one name of 64 characters and
means something else to everybody who reads it, and an address says where a node is, not which.

The eventlet hub runs all of it: a handshake blocks its own green thread only.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, TypeVar

import eventlet
from eventlet.green.ssl import GreenSSLSocket

from ryu_l2iso.config import OPENFLOW_PORT
from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 5.0
"""How long a peer may take for the handshake."""

REMEMBERED_SECONDS = 3600.0
"""How long a refusal that has been logged is not logged again for the same peer and cause."""

MAX_REMEMBERED = 1024
"""Refusals that are remembered; a peer decides how many there are, so the oldest go."""

_DPID_URI = re.compile(r"urn:l2iso:dpid:([0-9a-f]{16})", re.IGNORECASE)

_CAUSES = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it speaks http, not https",
    "UNSUPPORTED_PROTOCOL": "it knows no TLS newer than 1.1",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it has no certificate",
    "NO_SHARED_CIPHER": "it shares no cipher with us",
}
"""What OpenSSL says of a handshake → what that means to an operator."""

_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(.*)")

_Result = TypeVar("_Result")


class HandshakeError(L2IsoError):
    """A handshake failed; the text is the cause, about the peer as "it"."""


class Files(NamedTuple):
    """PEM files: without ``ca_certs`` the peer is asked for no certificate.

    ``ciphers``: in OpenSSL's notation; None for the defaults.
    """

    private_key: str
    certificate: str
    ca_certs: str | None
    ciphers: str | None = None


def controller_files(conf: Any) -> Files | None:
    """Return the files of OpenFlow and OVSDB as the options name them; None: no TLS there.

    Raises InvalidValue when some of them are missing: a switch that is not asked for its
    certificate could be anybody.
    """
    key, certificate, ca_certs = conf.ctl_privkey, conf.ctl_cert, conf.ca_certs
    if not (key or certificate or ca_certs):
        return None
    if not (key and certificate and ca_certs):
        raise InvalidValue("ctl_privkey, ctl_cert, ca_certs", "TLS needs all of them")
    return Files(key, certificate, ca_certs, _ciphers(conf))


def _ciphers(conf: Any) -> str | None:
    # An option of os-ken's; Ryu has none.
    ciphers: str | None = getattr(conf, "ciphers", None)
    return ciphers


def rest_files(conf: Any) -> Files | None:
    """Return the files of the REST server as the options name them; None: http.

    Its own key and certificate, else those of the controller.  Raises InvalidValue.
    """
    own = (conf.wsapi_privkey, conf.wsapi_cert)
    if any(own) and not all(own):
        raise InvalidValue("wsapi_privkey", "needs wsapi_cert, and the other way round")
    controller = controller_files(conf)
    if not all(own) and controller is not None:
        own = (controller.private_key, controller.certificate)
    if "rest" in conf.l2iso.plaintext or not all(own):
        if conf.wsapi_ca_certs:
            raise InvalidValue("wsapi_ca_certs", "there is no https to ask for certificates")
        return None
    return Files(*own, conf.wsapi_ca_certs, _ciphers(conf))


def _context(files: Files, server: bool) -> ssl.SSLContext:
    """Return a context of TLS 1.2 or newer; raises OSError or ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    # Whose certificate it is, is told by dpid; peers have no host names.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if files.ca_certs else ssl.CERT_NONE
    set_version(context, "minimum_version", ssl.TLSVersion.TLSv1_2)
    # With no password given, a key that needs one would ask for it on the terminal.
    context.load_cert_chain(files.certificate, files.private_key, password="")
    if files.ca_certs:
        context.load_verify_locations(files.ca_certs)
    if files.ciphers:
        context.set_ciphers(files.ciphers)
    return context


def set_version(context: ssl.SSLContext, name: str, version: ssl.TLSVersion) -> None:
    """Set ``minimum_version`` or ``maximum_version`` of a context.

    The standard library's own setter finds its base by a name that eventlet 0.30 has replaced, and
    then calls itself for ever.
    """
    base: Any = next(kind for kind in type(context).__mro__ if kind.__module__ == "_ssl")
    getattr(base, name).__set__(context, version)


class Credentials:
    """Key, certificate and CA certificates of one side, read again when a file has changed.

    ``purpose`` names them in the log.  Raises L2IsoError when the files cannot be used.  Files
    that cannot be used later are logged once, and what was read before stays in use.
    """

    def __init__(self, purpose: str, files: Files, server: bool) -> None:
        self._purpose = purpose
        self._files = files
        self._server = server
        self._stamps = self._read_stamps()
        try:
            self._current = _context(files, server)
        except (OSError, ValueError) as error:
            raise L2IsoError(f"{purpose}: {self._described(error)}") from error

    def context(self) -> ssl.SSLContext:
        """Return the context for one more handshake."""
        stamps = self._read_stamps()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._current = _context(self._files, self._server)
            except (OSError, ValueError) as error:
                LOG.warning(
                    "%s: %s; the files read before stay in use",
                    self._purpose,
                    self._described(error),
                )
            else:
                LOG.info("%s: %s read again", self._purpose, self._named())
        return self._current

    def _read_stamps(self) -> list[tuple[int, int, int] | None]:
        """Return what changes with each file's content; None for one that is not there."""
        stamps: list[tuple[int, int, int] | None] = []
        for path in self._files[:3]:
            try:
                found = os.stat(path or "")
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
            except OSError:
                stamps.append(None)
        return stamps

    def _named(self) -> str:
        return ", ".join(path for path in self._files[:3] if path)

    def _described(self, error: Exception) -> str:
        return f"{self._named()}: {cause(error)}"


def cause(error: BaseException) -> str:
    """Return why a handshake or a connection failed, about the peer as "it"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError)):
        return "it closed the connection"
    # One that eventlet has made itself has no such attribute.
    reason = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason:
        refused = _ALERT.fullmatch(reason)
        if refused:
            return f"it refuses our certificate: {_words(refused[1])}"
        return _CAUSES.get(reason, _words(reason))
    return getattr(error, "strerror", None) or str(error)


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()


def openflow_listeners(conf: Any) -> list[tuple[int, Credentials | None]]:
    """Return where switches are served: TCP port, and with what; None: without TLS.

    With certificates there is no plain TCP unless ``plaintext`` asks for it.  Raises L2IsoError.
    """
    files = controller_files(conf)
    plain = listen_port(conf.ofp_tcp_listen_port)
    if files is None:
        return [(plain, None)]
    port = listen_port(conf.ofp_ssl_listen_port)
    listeners: list[tuple[int, Credentials | None]] = [
        (port, Credentials("OpenFlow server", files, server=True))
    ]
    if "openflow" in conf.l2iso.plaintext:
        if plain == port:
            raise InvalidValue("ofp_tcp_listen_port", "must differ from that of TLS")
        listeners.append((plain, None))
    return listeners


def ovsdb_credentials(conf: Any) -> Credentials | None:
    """Return what OVSDB servers are met with; None: without TLS.  Raises L2IsoError."""
    files = controller_files(conf)
    return None if files is None else Credentials("OVSDB client", files, server=False)


def ovsdb_by_tls_alone(conf: Any) -> bool:
    """Tell whether OVSDB servers are met by TLS and in no other way; raises InvalidValue."""
    return controller_files(conf) is not None and "ovsdb" not in conf.l2iso.plaintext


def listen_port(option: int | None) -> int:
    """Return the port that an option of the framework means for OpenFlow."""
    return OPENFLOW_PORT if option is None else option


def rest_credentials(conf: Any) -> Credentials | None:
    """Return what the REST server speaks https with; None: http.  Raises L2IsoError."""
    files = rest_files(conf)
    return None if files is None else Credentials("REST server", files, server=True)


class TLSSocket(GreenSSLSocket):  # type: ignore[misc]  # eventlet has no types
    """A green TLS socket whose errors are those of a plain one.

    ``socket.timeout`` when time is up, ConnectionError for all else that fails.  The framework
    and eventlet's own code try again after an ``ssl.SSLError``, for ever if the record was bad.
    """

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Return the next bytes."""
        return _plainly(super().read, *args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send some of the bytes, and return how many."""
        return _plainly(super().send, *args, **kwargs)


def _plainly(call: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
    try:
        return call(*args, **kwargs)
    except ssl.SSLError as error:
        if error.args == ("timed out",):
            raise socket.timeout("timed out") from error
        raise ConnectionError(cause(error)) from error


def accept(sock: Any, credentials: Credentials) -> Any:
    """Return the TLS socket over a green one that was accepted, after the handshake.

    To be called in the connection's own green thread.  Raises HandshakeError, and then the
    connection is closed, when the peer fails or is not done within `HANDSHAKE_SECONDS`.
    """
    context, wrapped, done = credentials.context(), sock, False
    try:
        # No variable has what is raised when time is up: it would keep all that stands here.
        with eventlet.Timeout(HANDSHAKE_SECONDS, False):
            wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            wrapped.do_handshake()
            done = True
        if not done:
            raise HandshakeError(f"it has not finished the handshake in {HANDSHAKE_SECONDS:g} s")
    except OSError as error:
        raise HandshakeError(cause(error)) from error
    finally:
        if not done:
            wrapped.close()
    wrapped.__class__ = TLSSocket
    return wrapped


def may_be(dpid: int, certificate: Mapping[str, Any] | None) -> str:
    """Return why the peer with a certificate may not be this switch; "" if it may.

    ``certificate`` is what ``getpeercert()`` of its socket gives; None without TLS, where anybody
    may be anything.
    """
    if certificate is None:
        return ""
    names = certificate.get("subjectAltName", ())
    found = (_DPID_URI.fullmatch(value) for kind, value in names if kind == "URI")
    named = sorted(int(match[1], 16) for match in found if match)
    if dpid in named:
        return ""
    switches = ", ".join(map(dpid_to_str, named)) or "no switch"
    return f"its certificate names {switches}, not {dpid_to_str(dpid)}"


class Refusals:
    """Says once why a peer was refused: a peer comes again every second, for days.

    ``purpose`` names the server.
    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._logged: OrderedDict[tuple[str, str], float] = OrderedDict()

    def log(self, peer: str, reason: str, detail: str = "") -> bool:
        """Log that a peer, known by its address without the port, was refused.

        Returns whether it was logged.  What the peer itself can vary belongs into ``detail``, which
        is not remembered.
        """
        key, now = (peer, reason), time.monotonic()
        since = self._logged.get(key)
        if since is not None and now - since < REMEMBERED_SECONDS:
            return False
        self._logged[key] = now
        self._logged.move_to_end(key)
        if len(self._logged) > MAX_REMEMBERED:
            self._logged.popitem(last=False)
        text = f"{reason}: {detail}" if detail else reason
        LOG.warning("%s: %s refused: %s", self._purpose, peer, text)
        return True
