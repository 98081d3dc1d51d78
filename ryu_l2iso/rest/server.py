"""The HTTP server under the REST application: eventlet's, with limits."""

from __future__ import annotations

import logging
from typing import Any

import eventlet
import eventlet.wsgi

from ryu_l2iso.listener import listen
from ryu_l2iso.rest.body import CLOSE, MAX_BODY
from ryu_l2iso.rest.wsgi import Application

LOG = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024

SOCKET_SECONDS = 10.0
"""How long a client may stall in the middle of a request or of its answer."""

IDLE_SECONDS = 30
"""How long a connection is kept between two requests."""


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

    def get_environ(self) -> Any:
        """Return the WSGI environment, with a way to close the connection after the answer."""
        environ = super().get_environ()
        environ[CLOSE] = self._close_after_answer
        environ["wsgi.input"].rfile = BoundedLines(self.rfile)
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        """Log what the standard library would print."""
        LOG.debug(format, *args)

    def _close_after_answer(self) -> None:
        self.close_connection = True


class Server:
    """Serves an application; every connection has a green thread of its own."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._pool: Any = eventlet.GreenPool(MAX_CONNECTIONS)
        self._thread: Any = None
        self._socket: Any = None

    def start(self, host: str, port: int) -> Any:
        """Listen, and return the green thread that serves; raises L2IsoError."""
        self._socket = listen(host, port, "REST server")
        LOG.info("REST server listens on %s port %d", *self.address)
        self._thread = eventlet.spawn(self._serve)
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
        # A connection that is killed may block once more, to receive the rest of its request.
        while self._pool.running():
            for connection in list(self._pool.coroutines_running):
                connection.kill()
        self._socket.close()
        self._thread = None

    def _serve(self) -> None:
        eventlet.wsgi.server(
            self._socket,
            self._application,
            custom_pool=self._pool,
            protocol=Protocol,
            keepalive=IDLE_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            # The application logs its requests itself, at debug level.
            log_output=False,
            debug=False,
        )
