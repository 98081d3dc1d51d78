"""The audit log: one line for each change and each refusal, and no secret in any log."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ryu_l2iso import audit
from ryu_l2iso.rest.access import Access
from ryu_l2iso.tokens import AGENT, PLUGIN, VIEWER, TokenFile, new_token
from tests.unit.rest_client import Client

FROM: dict[str, Any] = {"REMOTE_ADDR": "192.0.2.9", "REMOTE_PORT": "4711"}


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what the audit log has since the last call."""
    found = [json.loads(r.getMessage()) for r in caplog.records if r.name == "ryu_l2iso.audit"]
    caplog.clear()
    return found


def test_a_line_cannot_be_broken_or_forged(caplog: pytest.LogCaptureFixture) -> None:
    evil = 'x"\r\n2026 INFO ryu_l2iso.audit: {"who": "nobody"}\x1b[2J\u2028é\udcff%s'
    audit.record(evil, evil, evil, evil)
    text = caplog.records[0].getMessage()
    assert text.isprintable()
    assert text.isascii()
    assert lines(caplog) == [{"who": evil, "from": evil, "what": evil, "result": evil}]


def test_a_line_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    audit.record("\0" * 10**6, "y" * 10**6, "z" * 10**6, "r" * 10**6)
    # Six characters for each that is escaped.
    assert len(caplog.records[0].getMessage()) < 7 * 4 * audit.MAX_VALUE


def test_a_quiet_log_leaves_lines_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    caplog.handler.setLevel(logging.NOTSET)
    audit.record("a", "b", "c", 200)
    assert lines(caplog) == [{"who": "a", "from": "b", "what": "c", "result": 200}]


@pytest.fixture
def tokens() -> dict[str, tuple[str, str]]:
    """Return role → token, line."""
    made = {role: new_token("me", role) for role in (PLUGIN, VIEWER)}
    return {**made, AGENT: new_token("me", AGENT, [0xA1])}


@pytest.fixture
def client(tmp_path: Path, tokens: dict[str, tuple[str, str]]) -> Client:
    """Return a client that needs a token."""
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("\n".join(line for _, line in tokens.values()))
    return Client(Access(TokenFile(str(path))))


@pytest.mark.parametrize(
    ("role", "call", "code"),
    [
        (PLUGIN, "POST /v1.0/networks/n", 200),
        (PLUGIN, "DELETE /v1.0/networks/n", 404),
        (PLUGIN, "PUT /v1.0/networks/__NW_ID_UNKNOWN__", 409),
        (PLUGIN, "POST /v1.0/networks/n/x", 400),
        (PLUGIN, "POST /nothing", 404),
        (PLUGIN, "PATCH /v1.0/networks", 405),
        (PLUGIN, "DELETE /v1.0/conf/switches/00000000000000a1", 403),
        (VIEWER, "PUT /v1.0/networks/n", 403),
        (AGENT, "GET /v1.0/networks", 403),
        (AGENT, "PUT /v1.0/conf/switches/00000000000000a1/x", 400),
        (None, "GET /v1.0/networks", 401),
        (None, "POST /v1.0/networks/n", 401),
    ],
)
def test_changes_and_refusals_leave_a_line(
    client: Client,
    tokens: dict[str, tuple[str, str]],
    caplog: pytest.LogCaptureFixture,
    role: str | None,
    call: str,
    code: int,
) -> None:
    token = "wrong" if role is None else tokens[role][0]
    assert send(client, call, token) == code
    who = "-" if role is None else f"{role} me"
    expected = {"who": who, "from": "192.0.2.9 port 4711", "what": call, "result": code}
    assert lines(caplog) == [expected]


def send(client: Client, call: str, token: str) -> int:
    """Send a request with a token, from an address; return the code of its answer."""
    method, _, path = call.partition(" ")
    return client.call(method, path, HTTP_AUTHORIZATION=f"Bearer {token}", **FROM).code


@pytest.mark.parametrize("call", ["GET /v1.0/networks", "HEAD /openapi.json", "GET /nothing"])
def test_reading_leaves_none(
    client: Client,
    tokens: dict[str, tuple[str, str]],
    caplog: pytest.LogCaptureFixture,
    call: str,
) -> None:
    assert send(client, call, tokens[VIEWER][0]) in (200, 404)
    assert lines(caplog) == []


def test_without_tokens_nobody_is_named(caplog: pytest.LogCaptureFixture) -> None:
    Client().call("POST", "/v1.0/networks/n", **FROM)
    assert [line["who"] for line in lines(caplog)] == ["-"]


def test_no_token_is_logged_at_any_level(
    client: Client, tokens: dict[str, tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = tokens[PLUGIN][0]
    for header in (f"Bearer {token}", token, f"Basic {token}", f"Bearer {token} x"):
        query = f"access_token={token}"
        for method in ("GET", "POST"):
            path = "/v1.0/networks/n"
            client.call(method, path, HTTP_AUTHORIZATION=header, QUERY_STRING=query, **FROM)
    assert len(caplog.records) >= 8
    assert token not in caplog.text
