"""``/v1.0/batch``: many orders in one request, each done or refused as if it had come alone.

A plugin that starts tells all that it knows.  Most of what a call costs is the head of its request,
its answer and the wait for the disk: a batch has them once.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.rest.call import Answer, Call, Routes
from ryu_l2iso.rest.errors import content_of, unexpected
from ryu_l2iso.rest.routing import Order, Router, canonical
from ryu_l2iso.tokens import Holder

LOG = logging.getLogger(__name__)

PATH = "/v1.0/batch"

MAX_ORDERS = 100
"""Orders of one batch; nobody else is served while they are carried out."""

METHODS = ("POST", "PUT", "DELETE")
"""The methods of an order: a batch changes, it does not read."""

ORDER_PATH = '^/[!"$->@-~]*$'
"""Printable ASCII (RFC 3986, 2), without a query or a fragment."""

_FIELDS = {"method", "path", "body"}


class Batch:
    """Carries out orders one after the other; what is refused does not hold up the others."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def routes(self) -> Routes:
        """Return path → method → handler."""
        return {PATH: {"POST": self._carry_out_all}}

    def _carry_out_all(self, call: Call) -> Answer:
        orders = _orders(call.value())
        told = [self._carry_out(order, call.holder) for order in orders]
        parts = tuple((f"{o.method} {o.path}", of["code"]) for o, of in zip(orders, told))
        return Answer(200, json.dumps(told).encode("ascii"), parts)

    def _carry_out(self, order: Order, holder: Holder | None) -> dict[str, Any]:
        """Return what is told of an order: its status, and of a refusal what an error says."""
        try:
            order = order._replace(path=canonical(order.path))
            return {"code": self._router.handler(order, holder)().code}
        except L2IsoError as error:
            return content_of(error)
        except Exception:
            LOG.exception("%s %r in a batch failed", order.method, order.path)
            return content_of(unexpected())


def _orders(value: object) -> list[Order]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ORDERS:
        raise InvalidValue("body", f"must be a list of 1 to {MAX_ORDERS} orders")
    return [_order(f"body[{number}]", item) for number, item in enumerate(value)]


def _order(field: str, item: object) -> Order:
    if not isinstance(item, dict) or not {"method", "path"} <= item.keys() <= _FIELDS:
        raise InvalidValue(field, "must be an object of method, path and perhaps body")
    method, path = item["method"], item["path"]
    if method not in METHODS:
        raise InvalidValue(f"{field}.method", f"must be one of {', '.join(METHODS)}")
    if not isinstance(path, str) or not re.fullmatch(ORDER_PATH, path):
        raise InvalidValue(f"{field}.path", "must be a path, percent-encoded, without a query")
    body = json.dumps(item["body"]).encode("ascii") if "body" in item else b""
    return Order(method, path, body)
