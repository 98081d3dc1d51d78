"""The WSGI application: a request to its handler, what follows to an answer in JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Protocol
from urllib.parse import quote

from webob import Response

from ryu_l2iso import audit
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.rest.access import Access, Unauthorized, who_is
from ryu_l2iso.rest.batch import Batch
from ryu_l2iso.rest.body import LingeringAnswer, read_body
from ryu_l2iso.rest.call import Answer, Routes
from ryu_l2iso.rest.errors import Refused, WrongMethod, content_of, unexpected
from ryu_l2iso.rest.interfaces import Interfaces
from ryu_l2iso.rest.keys import Keys
from ryu_l2iso.rest.networks import Networks
from ryu_l2iso.rest.openapi import Description
from ryu_l2iso.rest.routing import READS, Order, Router, canonical
from ryu_l2iso.rest.switches import Switches
from ryu_l2iso.rest.tunnels import Tunnels
from ryu_l2iso.state.state import State
from ryu_l2iso.tokens import Holder

LOG = logging.getLogger(__name__)

_RESOURCES = (Networks, Keys, Tunnels, Interfaces, Description)

Environ = dict[str, Any]


class SharedState(Protocol):
    """What the application needs of the context that all apps share."""

    @property
    def state(self) -> State:
        """Return the state."""

    def carry_out(self, order: Callable[[], Answer]) -> Answer:
        """Do what is asked for, and return the answer when what it tells of is on disk.

        Raises what ``order`` raises, and StoreError when nothing can be kept.
        """


class Application:
    """REST v1.0 over a state.

    ``by_tls``: no OVSDB address but ``ssl:`` is taken.
    """

    def __init__(
        self, core: SharedState, access: Access | None = None, by_tls: bool = False
    ) -> None:
        self._core = core
        self._access = access or Access()
        routes: Routes = dict(Switches(core.state, by_tls).routes())
        for resource in _RESOURCES:
            routes.update(resource(core.state).routes())
        single = Router(routes)
        self.router = Router({**routes, **Batch(single).routes()})

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, as WSGI defines it (PEP 3333)."""
        closes = False
        holder = None
        parts: Sequence[tuple[str, int]] = ()
        try:
            # First of all: nothing is read, or said, for who may not ask.
            holder = self._access.holder(environ)
            answer = self._handle(environ, holder)
            response, parts = _success(answer), answer.parts
        except L2IsoError as error:
            response = _error(error)
            closes = isinstance(error, Refused) and error.closes
        except Exception:
            LOG.exception("%s %r failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            response = _error(unexpected())
        LOG.debug(
            "%s %s %r: %d",
            environ.get("REMOTE_ADDR"),
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            response.status_code,
        )
        _audit(environ, holder, response.status_code, parts)
        chunks: Iterable[bytes] = response(environ, start_response)
        return LingeringAnswer(chunks, environ) if closes else chunks

    def _handle(self, environ: Environ, holder: Holder | None) -> Answer:
        body = read_body(environ)
        order = Order(environ["REQUEST_METHOD"], canonical_path(environ), body)
        return self._core.carry_out(self.router.handler(order, holder))


def _audit(
    environ: Environ, holder: Holder | None, code: int, parts: Iterable[tuple[str, int]]
) -> None:
    """Leave a line of what changes something or was refused for want of a right."""
    method = environ["REQUEST_METHOD"]
    if method in READS and code not in (401, 403):
        return
    origin = f"{environ.get('REMOTE_ADDR')} port {environ.get('REMOTE_PORT')}"
    path = environ.get("RAW_PATH_INFO", environ["PATH_INFO"])
    for what, result in (*parts, (f"{method} {path}", code)):
        audit.record(who_is(holder), origin, what, result)


def canonical_path(environ: Environ) -> str:
    """Return the path of a request with each element percent-encoded in one way.

    WSGI decodes the path, after which %2F cannot be told from a slash; the raw path, where the
    server gives it, is taken.  Raises Refused for a path that is not percent-encoded.
    """
    raw: str | None = environ.get("RAW_PATH_INFO")
    return canonical(quote(environ["PATH_INFO"], encoding="latin-1") if raw is None else raw)


def _success(answer: Answer) -> Any:
    if answer.body is None:
        response = Response(status=answer.code)
        del response.content_type
        return response
    return Response(status=answer.code, body=answer.body, content_type="application/json")


def _error(error: L2IsoError) -> Any:
    content = content_of(error)
    response = Response(status=content["code"], content_type="application/json")
    response.body = json.dumps({"error": content}).encode("ascii")
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, WrongMethod):
        response.headers["Allow"] = error.allow
    return response
