"""The app that serves REST v1.0, what Quantum plugins and compute-node agents call."""

from __future__ import annotations

from typing import Any, ClassVar

from ryu_l2iso import audit, framework, tls
from ryu_l2iso.core import Core
from ryu_l2iso.rest.access import Access
from ryu_l2iso.rest.server import Server
from ryu_l2iso.rest.wsgi import Application
from ryu_l2iso.tokens import tokens_for


class Https:
    """Gives accepted sockets TLS, and says once why a client did not get it."""

    def __init__(self, credentials: tls.Credentials) -> None:
        self._credentials = credentials
        self._refusals = tls.Refusals("REST server")

    def __call__(self, sock: Any) -> Any:
        """Return the TLS socket; raises HandshakeError, and then the connection is closed."""
        peer: str = sock.getpeername()[0]
        try:
            return tls.accept(sock, self._credentials)
        except tls.HandshakeError as error:
            if self._refusals.log(peer, str(error)):
                audit.record(audit.NOBODY, peer, f"REST: {error}", "refused")
            raise


class Rest(framework.BaseApp):
    """Serves the shared state on ``wsapi_host``:``wsapi_port``."""

    _CONTEXTS: ClassVar[dict[str, type[Any]]] = {"l2iso": Core}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core: Core = kwargs["l2iso"]
        tokens = tokens_for(self.CONF.wsapi_host, self.CONF.l2iso.token_file)
        credentials = tls.rest_credentials(self.CONF)
        wrap = None if credentials is None else Https(credentials)
        self._server = Server(Application(self._core, Access(tokens)), wrap)

    def start(self) -> Any:
        """Listen, and return the server's green thread; L2IsoError when it cannot listen."""
        super().start()
        self._core.load()
        self._core.commit()
        return self._server.start(self.CONF.wsapi_host, self.CONF.wsapi_port)

    def stop(self) -> None:
        """Close the server and every connection to it."""
        self._server.stop()
        super().stop()
