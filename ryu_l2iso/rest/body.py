"""Bodies of requests: read within limits, and parsed."""

from __future__ import annotations

import json
import math
import re
import socket
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import eventlet

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.rest.errors import Refused

MAX_BODY = 64 * 1024
"""Longest body that is taken, in bytes."""

MAX_DEPTH = 64
"""Deepest nesting of lists and objects in a JSON value."""

MAX_DIGITS = 1000
"""Longest integer in a JSON value; from some length on Python refuses to convert them."""

BODY_SECONDS = 10.0
"""How long a body may take to come."""

LINGER_SECONDS = 5.0
"""How long the rest of a refused body is received, and dropped, before the connection closes."""

CLOSE = "ryu_l2iso.close"
"""Key in the WSGI environment: a function that closes the connection after the answer."""

_LENGTH = re.compile(r"[0-9]{1,18}")


_NONE = (None, "", "0")
"""Lengths of the body that most requests have: nobody has to wait for that."""


def read_body(environ: dict[str, Any]) -> bytes:
    """Return the body of a request.

    Raises Refused: 413 when it is longer than MAX_BODY, 408 when it does not come in time, 400
    when it is not as its headers say.
    """
    if environ.get("CONTENT_LENGTH") in _NONE and "HTTP_TRANSFER_ENCODING" not in environ:
        return b""
    try:
        with eventlet.Timeout(BODY_SECONDS, False):
            return _read(environ)
    except socket.timeout:
        pass
    except (OSError, ValueError) as error:
        raise Refused(400, "body: must be chunked as its headers say", closes=True) from error
    raise Refused(408, "body: must come in time", closes=True)


def _read(environ: dict[str, Any]) -> bytes:
    stream = environ["wsgi.input"]
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    stated = environ.get("CONTENT_LENGTH") or None
    if coding is None:
        return _read_stated(stream, stated or "0")
    if coding.lower() != "chunked" or stated is not None:
        raise Refused(
            400, "Transfer-Encoding: must be chunked, and without Content-Length", closes=True
        )
    body: bytes = stream.read(MAX_BODY + 1)
    _check_length(len(body))
    return body


def _read_stated(stream: Any, stated: str) -> bytes:
    if not _LENGTH.fullmatch(stated):
        raise Refused(400, "Content-Length: must be decimal", closes=True)
    length = int(stated)
    _check_length(length)
    body: bytes = stream.read(length)
    if len(body) < length:
        raise Refused(400, f"body: must have the {length} bytes of Content-Length", closes=True)
    return body


def _check_length(length: int) -> None:
    if length > MAX_BODY:
        raise Refused(413, f"body: must be at most {MAX_BODY} bytes", closes=True)


class LingeringAnswer:
    """An answer after which the rest of the request is received and dropped.

    A connection that is closed while data still comes is reset, and the client may lose the
    answer.  WSGI calls ``close`` once the answer has been sent.
    """

    def __init__(self, chunks: Iterable[bytes], environ: dict[str, Any]) -> None:
        self._chunks = chunks
        self._read: Callable[[int], bytes] = environ["wsgi.input"].read
        environ.get(CLOSE, bool)()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """Receive and drop, for a while; other green threads run in between."""
        try:
            with eventlet.Timeout(LINGER_SECONDS, False):
                while self._read(MAX_BODY):
                    eventlet.sleep(0)
        except (OSError, ValueError):
            return


def parse_json(body: bytes) -> object:
    """Return the JSON value of a body in UTF-8; raises InvalidValue."""
    try:
        value: object = json.loads(
            body.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidValue("body", f"must be JSON in UTF-8 ({_reason(error)})") from error
    if _depth(value) > MAX_DEPTH:
        raise InvalidValue("body", f"must be nested at most {MAX_DEPTH} deep")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested more than {MAX_DEPTH} deep"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return str(error)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested, by levels: recursion would have a limit."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (list, dict))]:
        depth += 1
        level = [
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
