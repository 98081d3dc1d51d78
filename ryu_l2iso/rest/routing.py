"""From what is ordered to the handler that does it, for those who may order it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Callable, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import routes

from ryu_l2iso.rest.access import check_may
from ryu_l2iso.rest.call import Answer, Call, Routes
from ryu_l2iso.rest.errors import Refused, WrongMethod
from ryu_l2iso.tokens import Holder

READS = ("GET", "HEAD")
"""The methods that change nothing."""

_ORIGIN = re.compile(r"https?://[^/]*", re.IGNORECASE)
# What needs no encoding, so that there is none in it (RFC 3986, 2.3)
_CANONICAL = re.compile(r"/[A-Za-z0-9._~/-]*")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Order(NamedTuple):
    """What is asked for; in ``path`` each element is percent-encoded in one way."""

    method: str
    path: str
    body: bytes


class Router:
    """Finds the handler of an order.  ``routes``: path → method → handler, of all resources."""

    def __init__(self, routes_: Routes) -> None:
        self.routes = routes_
        self._mapper: Any = routes.Mapper(controller_scan=None, register=False)
        # One is tried after the other: the longest, which the plugin asks for most, come first.
        for path in sorted(self.routes, key=len, reverse=True):
            self._mapper.connect(path, path)
        self._mapper.create_regs([])

    def handler(self, order: Order, holder: Holder | None) -> Callable[[], Answer]:
        """Return what does an order of the holder of a token.

        Raises Refused where there is nothing (404) and where the holder may not (403), WrongMethod,
        and InvalidValue.
        """
        route, elements = self._match(order.path)
        handlers = self.routes[route]
        reads = order.method in READS
        handler = handlers.get("GET" if reads else order.method)
        if handler is None:
            raise WrongMethod(order.method, {*handlers, *(["HEAD"] if "GET" in handlers else [])})
        call = Call(elements, order.body, holder)
        check_may(holder, reads, route, call)
        return partial(handler, call)

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        """Return the route of a path, and its elements by field."""
        found = self._mapper.routematch(path)
        if found is None:
            raise Refused(404, "path: there is nothing here")
        elements, route = found
        return route.name, elements


def canonical(raw: str) -> str:
    """Return a path, or the path of a URL, with each element percent-encoded in one way.

    ``raw`` is in Latin-1.  Raises Refused where it is not percent-encoded.
    """
    if _CANONICAL.fullmatch(raw):
        return raw
    if _BAD_PERCENT.search(raw):
        raise Refused(400, "path: must have two hex digits after each %")
    path = _ORIGIN.sub("", raw, count=1) if not raw.startswith("/") else raw
    elements = (unquote_to_bytes(part.encode("latin-1")) for part in path.split("/"))
    return "/".join(quote(element, safe="") for element in elements)
