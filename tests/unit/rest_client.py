"""REST calls without a server, and a dump of everything that a state holds."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple
from urllib.parse import unquote_to_bytes

import webob

from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.rest.access import Access
from ryu_l2iso.rest.call import Answer
from ryu_l2iso.rest.wsgi import Application
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import KeyRange

KEY_RANGE = KeyRange("the GRE key", 1, 2**24 - 1)


class FakeCore:
    """A state of its own; counts the commits."""

    def __init__(self) -> None:
        self.state = State(KEY_RANGE)
        self.commits = 0
        self.error: StoreError | None = None

    def load(self) -> None:
        """Do nothing."""

    def commit(self) -> None:
        """Do nothing."""

    def carry_out(self, order: Callable[[], Answer]) -> Answer:
        """Do it, and count; fail afterwards as `error` says."""
        answer = order()
        self.commits += 1
        if self.error is not None:
            raise self.error
        return answer


class Reply(NamedTuple):
    """What a call was answered with."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.body)


class Client:
    """Calls an application as eventlet's server does."""

    def __init__(self, access: Access | None = None) -> None:
        self.core = FakeCore()
        self.state = self.core.state
        self.application = Application(self.core, access)

    def call(self, method: str, path: str, body: bytes = b"", **environ: Any) -> Reply:
        """Call ``path``, percent-encoded, and return the answer."""
        request = webob.Request.blank("/", method=method, body=body)
        request.environ["RAW_PATH_INFO"] = path
        request.environ["PATH_INFO"] = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
        request.environ.update(environ)
        response = request.get_response(self.application)
        return Reply(response.status_code, dict(response.headers), response.body)


def check_error(reply: Reply, method: str = "GET") -> None:
    """Assert that an error has the body that the contract promises."""
    assert 400 <= reply.code < 500, reply
    assert reply.headers["Content-Type"] == "application/json"
    if method == "HEAD":
        assert reply.body == b""
        return
    assert list(reply.value) == ["error"]
    error = reply.value["error"]
    assert sorted(error) == ["code", "message", "title"]
    assert error["code"] == reply.code
    assert error["title"]
    field, _, rule = error["message"].partition(": ")
    assert field, error
    assert rule, error


def dump(value: Any) -> str:
    """Return everything that hangs on ``value``; equal texts for equal states."""
    if isinstance(value, dict):
        return " ".join(["{", *sorted(f"{dump(k)}: {dump(v)}," for k, v in value.items()), "}"])
    if isinstance(value, (set, frozenset)):
        return " ".join(["{", *sorted(f"{dump(item)}," for item in value), "}"])
    if isinstance(value, (list, tuple)):
        return " ".join(["[", *(f"{dump(item)}," for item in value), "]"])
    if hasattr(value, "__dict__"):
        return f"{type(value).__name__} {dump(vars(value))}"
    return repr(value)
