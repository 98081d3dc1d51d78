"""What a request is refused with, beside the errors that the state raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webob.util import status_reasons

from ryu_l2iso.exceptions import Conflict, InvalidValue, L2IsoError, NotFound, StoreError


class Refused(L2IsoError):
    """The request is answered with an HTTP status of its own.

    ``closes``: what is left of the request cannot be told from the next one.
    """

    def __init__(self, code: int, message: str, closes: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.closes = closes


class WrongMethod(Refused):
    """The path exists and does not have this method; ``allow`` are those that it has."""

    def __init__(self, method: str, allow: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allow))
        super().__init__(405, f"method: must be one of {self.allow}, not {method}")


def unexpected() -> L2IsoError:
    """Return what is said of an error that nobody has thought of."""
    return L2IsoError("the controller failed; its log says how")


def content_of(error: L2IsoError) -> dict[str, Any]:
    """Return what is told of an error: HTTP status, its title, and the message."""
    code = _code_of(error)
    return {"code": code, "title": status_reasons[code], "message": str(error)}


def _code_of(error: L2IsoError) -> int:
    """Return the HTTP status that tells of an error."""
    if isinstance(error, Refused):
        return error.code
    codes = {InvalidValue: 400, NotFound: 404, Conflict: 409, StoreError: 503}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 500)
