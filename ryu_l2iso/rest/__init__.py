"""The app that serves REST v1.0, what Quantum plugins and compute-node agents call."""

from __future__ import annotations

from typing import Any, ClassVar

from ryu_l2iso import framework
from ryu_l2iso.core import Core
from ryu_l2iso.rest.server import Server
from ryu_l2iso.rest.wsgi import Application


class Rest(framework.BaseApp):
    """Serves the shared state on ``wsapi_host``:``wsapi_port``."""

    _CONTEXTS: ClassVar[dict[str, type[Any]]] = {"l2iso": Core}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server = Server(Application(kwargs["l2iso"]))

    def start(self) -> Any:
        """Listen, and return the server's green thread; L2IsoError when it cannot listen."""
        super().start()
        return self._server.start(self.CONF.wsapi_host, self.CONF.wsapi_port)

    def stop(self) -> None:
        """Close the server and every connection to it."""
        self._server.stop()
        super().stop()
