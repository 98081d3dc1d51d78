"""The HTTP server under the REST application: eventlet's, with limits."""

from __future__ import annotations

import io
import logging
import socket
import time
from typing import Any, Callable

import eventlet
import eventlet.wsgi

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.framework import hub
from ryu_l2iso.listener import listen
from ryu_l2iso.rest.body import CLOSE, MAX_BODY
from ryu_l2iso.rest.clients import Client, Clients
from ryu_l2iso.rest.wsgi import Application

LOG = logging.getLogger(__name__)

IDLE_SECONDS = 30.0
"""How long a connection is kept before its first request, and between two."""

HEAD_SECONDS = 10.0
"""How long the head of a request may take from its first byte on, and a TLS handshake."""

ANSWER_SECONDS = 30.0
"""How long a client may take to receive an answer."""

ACCEPT_PAUSE = 0.1
"""Seconds before the next attempt to accept a connection, where there was no descriptor for it."""

Wrap = Callable[[Any], Any]
"""socket → the socket that speaks for it, TLS above all; may wait for the client"""

MAX_FRAMING = 8 * MAX_BODY
"""Most bytes of chunk sizes and trailers in a request; chunks of one byte have 5 bytes each."""


class BoundedLines:
    """A file of which lines are read within a limit: eventlet sets none on chunk sizes."""

    def __init__(self, file: Any) -> None:
        self.read = file.read
        self._readline = file.readline
        self._left = MAX_FRAMING

    def readline(self) -> bytes:
        """Return the next line; raises ValueError when the lines so far are too long."""
        line: bytes = self._readline(self._left)
        self._left -= len(line)
        if not self._left:
            raise ValueError("chunk sizes and trailers are too long")
        return line


class Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet has no types
    """One connection: what is not HTTP is answered in JSON and logged at debug level."""

    # The standard library answers HTTP/0.9, without a status, to what it cannot parse.
    default_request_version = "HTTP/1.0"
    error_content_type = "application/json"
    error_message_format = (
        '{"error": {"code": %(code)d, "title": "Bad Request", "message": "%(explain)s"}}'
    )

    def setup(self) -> None:
        """Have both directions timed."""
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client: Client = self.conn_state
        self._reads, self._writes = client.reads, client.writes
        self.rfile = io.BufferedReader(self._reads)
        self.wfile = io.BufferedWriter(self._writes, self.wbufsize)

    def handle_one_request(self) -> None:
        """Wait for a request and answer it, within the times that a client has."""
        self._reads.begin(IDLE_SECONDS)
        self._writes.begin(ANSWER_SECONDS)
        if self.rfile.peek(1):
            self._reads.begin(HEAD_SECONDS)
        try:
            super().handle_one_request()
        finally:
            # What is in there has us.
            self.environ: dict[str, Any] = {}

    def get_environ(self) -> Any:
        """Return the WSGI environment, with a way to close the connection after the answer."""
        # The application has deadlines of its own for the body.
        self._reads.begin(None)
        environ = super().get_environ()
        environ[CLOSE] = self._close_after_answer
        environ["wsgi.input"].rfile = BoundedLines(self.rfile)
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing of what is not HTTP: it may hold a token."""
        LOG.debug("%s sent what is not HTTP", self.client_address[0])

    def _close_after_answer(self) -> None:
        self.close_connection = True


class Server:
    """Serves an application; every connection has a green thread of its own.

    ``wrap`` is called there with the accepted socket, and has HEAD_SECONDS.
    """

    def __init__(self, application: Application, wrap: Wrap | None = None) -> None:
        self._application = application
        self._wrap = wrap
        self._clients = Clients()
        self._thread: Any = None
        self._socket: Any = None

    def start(self, host: str, port: int) -> Any:
        """Listen, and return the green thread that serves; raises L2IsoError."""
        self._socket = listen(host, port, "REST server")
        LOG.info("REST server listens on %s port %d", *self.address)
        self._thread = eventlet.spawn(self._accept)
        return self._thread

    @property
    def address(self) -> tuple[str, int]:
        """Return the host and the port of a server that has started."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def stop(self) -> None:
        """Close the listening socket and all connections, whatever they are doing."""
        if self._thread is None:
            return
        self._thread.kill()
        self._clients.cut_all()
        self._socket.close()
        self._thread = None

    def _accept(self) -> None:
        http = eventlet.wsgi.Server(
            self._socket,
            self._socket.getsockname(),
            self._application,
            protocol=Protocol,
            # The application logs its requests itself, at debug level.
            log_output=False,
            debug=False,
        )
        failing = False
        while True:
            try:
                client = Client(*self._socket.accept())
            except OSError as error:
                if not failing:
                    LOG.warning("REST server cannot accept a connection: %s; trying on", error)
                failing = True
                self._clients.make_room()
                eventlet.sleep(ACCEPT_PAUSE)
                continue
            failing = False
            self._clients.add(client)
            # The framework's spawn keeps nothing of how a thread ended.
            client.thread = hub.spawn(self._serve, http, client)

    def _serve(self, http: Any, client: Client) -> None:
        try:
            if self._wrap is not None:
                client[1] = self._wrapped(client)
            http.process_request(client)
        except (OSError, L2IsoError, eventlet.Timeout) as error:
            LOG.debug("connection of %s: %s", client.host, error)
        except Exception:
            LOG.exception("serving %s failed", client.host)
        finally:
            self._clients.remove(client)
            client.close()

    def _wrapped(self, client: Client) -> Any:
        assert self._wrap is not None
        client.waiting_since = time.monotonic()
        try:
            with eventlet.Timeout(HEAD_SECONDS):
                return self._wrap(client[1])
        finally:
            client.waiting_since = None
