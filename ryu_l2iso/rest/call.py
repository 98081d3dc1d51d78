"""One request as handlers see it, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Callable, NamedTuple
from urllib.parse import unquote_to_bytes

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.rest.body import parse_json
from ryu_l2iso.state.ports import PortId
from ryu_l2iso.state.values import parse_dpid, parse_id, parse_key, parse_mac, parse_port_no
from ryu_l2iso.tokens import Holder


class Answer(NamedTuple):
    """The status and the JSON body of a success; no body where that is None.

    ``parts``: method and path of each part that is answered for besides, and its status.
    """

    code: int
    body: bytes | None = None
    parts: tuple[tuple[str, int], ...] = ()


OK = Answer(200)
CREATED = Answer(201)
ACCEPTED = Answer(202)


def given(value: object) -> Answer:
    """Answer with a JSON value."""
    return Answer(200, json.dumps(value).encode("ascii"))


class Call:
    """The path elements and the body of a request; each method raises InvalidValue.

    ``elements``: field → what stands in the path, percent-encoded.  ``holder``: of whose token it
    is, None where no tokens are.
    """

    def __init__(self, elements: Mapping[str, str], body: bytes, holder: Holder | None) -> None:
        self.holder = holder
        self._elements = elements
        self._body = body

    def id(self, field: str) -> str:
        """Return an opaque id or name."""
        return parse_id(field, self._text(field))

    def dpid(self, field: str = "dpid") -> int:
        """Return a dpid."""
        try:
            return parse_dpid(self._text(field))
        except InvalidValue as error:
            raise InvalidValue(field, error.rule) from error

    def port_no(self) -> int:
        """Return the port number."""
        return parse_port_no(self._text("port_no"))

    def port(self) -> PortId:
        """Return the port of an element ``{dpid}_{port_no}``."""
        dpid, separator, port_no = self._text("port").partition("_")
        if not separator:
            raise InvalidValue("port", "must be {dpid}_{port_no}")
        return PortId(parse_dpid(dpid), parse_port_no(port_no))

    def mac(self) -> str:
        """Return the MAC of one station."""
        return parse_mac(self._text("mac"))

    def key(self) -> int:
        """Return the key."""
        return parse_key(self._text("key"))

    def value(self) -> object:
        """Return the JSON value of the body."""
        return parse_json(self._body)

    def _text(self, field: str) -> str:
        try:
            return unquote_to_bytes(self._elements[field]).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidValue(field, "must be UTF-8, percent-encoded") from error


Handler = Callable[[Call], Answer]

Routes = dict[str, dict[str, Handler]]
"""path, with {field} for each element that varies → method → handler"""
