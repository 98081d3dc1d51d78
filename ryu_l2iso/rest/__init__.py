"""The app that serves REST v1.0, what Quantum plugins and compute-node agents call."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from ryu_l2iso import audit, framework, tls
from ryu_l2iso.addresses import is_loopback
from ryu_l2iso.core import Core
from ryu_l2iso.rest.access import Access
from ryu_l2iso.rest.server import Server
from ryu_l2iso.rest.wsgi import Application
from ryu_l2iso.tokens import tokens_for

LOG = logging.getLogger(__name__)


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
        host = self.CONF.wsapi_host
        tokens = tokens_for(host, self.CONF.l2iso.token_file)
        credentials = tls.rest_credentials(self.CONF)
        if credentials is None and not is_loopback(host):
            LOG.warning(
                "REST server: http on %s: whoever sees the packets sees the tokens; set "
                "wsapi_privkey and wsapi_cert, or those of the controller, and have no rest in "
                "plaintext",
                host or "all addresses",
            )
        wrap = None if credentials is None else Https(credentials)
        access = Access(tokens)
        application = Application(self._core, access, tls.ovsdb_by_tls_alone(self.CONF))
        self._server = Server(application, wrap)

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
