"""The WSGI application: a request to its handler, what follows to an answer in JSON."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Callable, Protocol
from urllib.parse import quote, unquote_to_bytes

import routes
from webob import Response

from ryu_l2iso import audit
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.rest.access import Access, Unauthorized, check_may, who_is
from ryu_l2iso.rest.body import LingeringAnswer, read_body
from ryu_l2iso.rest.call import Answer, Call, Routes
from ryu_l2iso.rest.errors import Refused, WrongMethod, code_of
from ryu_l2iso.rest.interfaces import Interfaces
from ryu_l2iso.rest.keys import Keys
from ryu_l2iso.rest.networks import Networks
from ryu_l2iso.rest.openapi import Description
from ryu_l2iso.rest.switches import Switches
from ryu_l2iso.rest.tunnels import Tunnels
from ryu_l2iso.state.state import State
from ryu_l2iso.tokens import Holder

LOG = logging.getLogger(__name__)

READS = ("GET", "HEAD")
"""The methods that change nothing."""

_RESOURCES = (Networks, Keys, Tunnels, Interfaces, Description)
_ORIGIN = re.compile(r"https?://[^/]*", re.IGNORECASE)
# What needs no encoding, so that there is none in it (RFC 3986, 2.3)
_CANONICAL = re.compile(r"/[A-Za-z0-9._~/-]*")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

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

    ``by_tls``: no OVSDB address but ``ssl:`` is taken.  ``routes``: path → method → handler, of
    all resources.
    """

    def __init__(
        self, core: SharedState, access: Access | None = None, by_tls: bool = False
    ) -> None:
        self._core = core
        self._access = access or Access()
        self.routes: Routes = dict(Switches(core.state, by_tls).routes())
        for resource in _RESOURCES:
            self.routes.update(resource(core.state).routes())
        self._mapper: Any = routes.Mapper(controller_scan=None, register=False)
        # One is tried after the other: the longest, which the plugin asks for most, come first.
        for path in sorted(self.routes, key=len, reverse=True):
            self._mapper.connect(path, path)
        self._mapper.create_regs([])

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, as WSGI defines it (PEP 3333)."""
        closes = False
        holder = None
        try:
            # First of all: nothing is read, or said, for who may not ask.
            holder = self._access.holder(environ)
            response = _success(self._handle(environ, holder))
        except L2IsoError as error:
            response = _error(error)
            closes = isinstance(error, Refused) and error.closes
        except Exception:
            LOG.exception("%s %r failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            response = _error(L2IsoError("the controller failed; its log says how"))
        LOG.debug(
            "%s %s %r: %d",
            environ.get("REMOTE_ADDR"),
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            response.status_code,
        )
        _audit(environ, holder, response.status_code)
        chunks: Iterable[bytes] = response(environ, start_response)
        return LingeringAnswer(chunks, environ) if closes else chunks

    def _handle(self, environ: Environ, holder: Holder | None) -> Answer:
        body = read_body(environ)
        route, elements = self._match(canonical_path(environ))
        handlers = self.routes[route]
        method = environ["REQUEST_METHOD"]
        reads = method in READS
        handler = handlers.get("GET" if reads else method)
        if handler is None:
            raise WrongMethod(method, {*handlers, *(["HEAD"] if "GET" in handlers else [])})
        call = Call(elements, body)
        check_may(holder, reads, route, call)
        return self._core.carry_out(partial(handler, call))

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        """Return the route of a path, and its elements by field."""
        found = self._mapper.routematch(path)
        if found is None:
            raise Refused(404, "path: there is nothing here")
        elements, route = found
        return route.name, elements


def _audit(environ: Environ, holder: Holder | None, code: int) -> None:
    """Leave a line of what changes something or was refused for want of a right."""
    method = environ["REQUEST_METHOD"]
    if method in READS and code not in (401, 403):
        return
    origin = f"{environ.get('REMOTE_ADDR')} port {environ.get('REMOTE_PORT')}"
    path = environ.get("RAW_PATH_INFO", environ["PATH_INFO"])
    audit.record(who_is(holder), origin, f"{method} {path}", code)


def canonical_path(environ: Environ) -> str:
    """Return the path of a request with each element percent-encoded in one way.

    WSGI decodes the path, after which %2F cannot be told from a slash; the raw path, where the
    server gives it, is taken.  Raises Refused for a path that is not percent-encoded.
    """
    raw: str | None = environ.get("RAW_PATH_INFO")
    if raw is not None and _CANONICAL.fullmatch(raw):
        return raw
    if raw is None:
        elements = environ["PATH_INFO"].encode("latin-1").split(b"/")
    elif _BAD_PERCENT.search(raw):
        raise Refused(400, "path: must have two hex digits after each %")
    else:
        path = _ORIGIN.sub("", raw, count=1) if not raw.startswith("/") else raw
        elements = [unquote_to_bytes(part.encode("latin-1")) for part in path.split("/")]
    return "/".join(quote(element, safe="") for element in elements)


def _success(answer: Answer) -> Any:
    if answer.body is None:
        response = Response(status=answer.code)
        del response.content_type
        return response
    return Response(status=answer.code, body=answer.body, content_type="application/json")


def _error(error: L2IsoError) -> Any:
    response = Response(status=code_of(error), content_type="application/json")
    title = response.status.partition(" ")[2]
    content = {"code": response.status_code, "title": title, "message": str(error)}
    response.body = json.dumps({"error": content}).encode("ascii")
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, WrongMethod):
        response.headers["Allow"] = error.allow
    return response
