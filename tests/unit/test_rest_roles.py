"""Who may call what: every route and method, for each role, on its own switch and another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ryu_l2iso.rest.access import Access
from ryu_l2iso.state.ports import NW_ID_EXTERNAL
from ryu_l2iso.tokens import AGENT, PLUGIN, ROLES, VIEWER, TokenFile, new_token
from tests.unit.rest_client import Client, Reply, check_error, dump

OWN, OTHER = "00000000000000a1", "00000000000000a2"
NET = "/v1.0/networks/{network_id}"
EXTERNAL = f"/v1.0/networks/{NW_ID_EXTERNAL}"
KEY = "/v1.0/tunnels/networks/{network_id}/key"
TUNNELS = "/v1.0/tunnels/switches/{dpid}/ports"
SWITCH = "/v1.0/conf/switches/{dpid}"
IFACE = "/v1.0/quantum/ports/{iface_id}"

# P plugin, V viewer, A agent on its own switches only, a agent whatever the switch.
TABLE = {
    "GET /openapi.json": "PVa",
    # Whoever may not give its orders is told so for each of them.
    "POST /v1.0/batch": "PVa",
    "GET /v1.0/networks": "PV",
    f"GET {NET}": "PV",
    f"POST {NET}": "P",
    f"PUT {NET}": "P",
    f"DELETE {NET}": "P",
    f"POST {NET}/{{port}}": "P",
    f"PUT {NET}/{{port}}": "P",
    f"DELETE {NET}/{{port}}": "P",
    f"GET {NET}/{{port}}/macs": "PV",
    f"POST {NET}/{{port}}/macs/{{mac}}": "P",
    f"PUT {NET}/{{port}}/macs/{{mac}}": "P",
    f"GET {EXTERNAL}": "PVa",
    f"POST {EXTERNAL}": "P",
    f"PUT {EXTERNAL}": "P",
    f"DELETE {EXTERNAL}": "P",
    f"POST {EXTERNAL}/{{port}}": "PA",
    f"PUT {EXTERNAL}/{{port}}": "PA",
    f"DELETE {EXTERNAL}/{{port}}": "PA",
    f"GET {EXTERNAL}/{{port}}/macs": "PV",
    f"POST {EXTERNAL}/{{port}}/macs/{{mac}}": "P",
    f"PUT {EXTERNAL}/{{port}}/macs/{{mac}}": "P",
    f"GET {KEY}": "PV",
    f"DELETE {KEY}": "P",
    f"POST {KEY}/{{key}}": "P",
    f"PUT {KEY}/{{key}}": "P",
    "GET /v1.0/tunnels/networks/{network_id}/waits_for": "PV",
    f"GET {TUNNELS}": "PV",
    f"GET {TUNNELS}/{{port_no}}": "PV",
    f"DELETE {TUNNELS}/{{port_no}}": "P",
    f"POST {TUNNELS}/{{port_no}}/{{remote_dpid}}": "P",
    f"PUT {TUNNELS}/{{port_no}}/{{remote_dpid}}": "P",
    "GET /v1.0/conf/switches": "PVa",
    f"GET {SWITCH}": "PVA",
    f"DELETE {SWITCH}": "A",
    f"GET {SWITCH}/{{name}}": "PVA",
    f"PUT {SWITCH}/{{name}}": "A",
    f"DELETE {SWITCH}/{{name}}": "A",
    "GET /v1.0/quantum/ports": "PV",
    f"DELETE {IFACE}": "P",
    f"GET {IFACE}/keys": "PV",
    f"GET {IFACE}/keys/{{name}}": "PV",
    f"POST {IFACE}/keys/{{name}}/{{value}}": "P",
    f"PUT {IFACE}/keys/{{name}}/{{value}}": "P",
}
TOKENS = {role: new_token(role, role, [0xA1] * (role == AGENT)) for role in ROLES}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Return a client of an application that has a token for each role."""
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("\n".join(line for _, line in TOKENS.values()))
    return Client(Access(TokenFile(str(path))))


def call(client: Client, row: str, dpid: str, token: str | None) -> Reply:
    """Call what a row of the table names, on a switch."""
    method, _, path = row.partition(" ")
    for field, value in {
        "network_id": "n",
        "iface_id": "i",
        "dpid": dpid,
        "remote_dpid": "00000000000000a3",
        "port": f"{dpid}_5",
        "port_no": "5",
        "mac": "02:00:00:00:00:0a",
        "key": "7",
        "name": "x",
        "value": "y",
    }.items():
        path = path.replace(f"{{{field}}}", value)
    headers = {} if token is None else {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    return client.call(method, path, b'"v"' if method == "PUT" else b"", **headers)


def test_the_table_has_every_route() -> None:
    rows = {row.replace(NW_ID_EXTERNAL, "{network_id}") for row in TABLE}
    routes = Client().application.router.routes
    assert rows == {f"{method} {path}" for path, methods in routes.items() for method in methods}


@pytest.mark.parametrize("row", TABLE)
def test_each_role_may_what_the_table_says(client: Client, row: str) -> None:
    may = TABLE[row]
    for dpid in (OWN, OTHER):
        agents = "a" in may or ("A" in may and dpid == OWN)
        for role, allowed in ((PLUGIN, "P" in may), (VIEWER, "V" in may), (AGENT, agents)):
            old = dump(client.state)
            reply = call(client, row, dpid, TOKENS[role][0])
            assert (reply.code != 403) == allowed, (role, dpid, reply)
            assert reply.code != 401
            if not allowed:
                check_error(reply)
                assert dump(client.state) == old


@pytest.mark.parametrize("row", [*TABLE, "GET /nothing", "PATCH /v1.0/networks"])
def test_nobody_may_anything(client: Client, row: str) -> None:
    """The answer is the same for no token, a wrong one, and what is none; and tells no more."""
    good = TOKENS[PLUGIN][0]
    headers: list[dict[str, Any]] = [
        {},
        *({"HTTP_AUTHORIZATION": text} for text in no_tokens(good)),
    ]
    method, _, path = row.partition(" ")
    old = dump(client.state)
    replies = [client.call(method, path, **header) for header in headers]
    assert {reply.code for reply in replies} == {401}
    assert replies.count(replies[0]) == len(replies)
    assert replies[0].headers["WWW-Authenticate"] == "Bearer"
    check_error(replies[0])
    assert dump(client.state) == old


def no_tokens(good: str) -> list[str]:
    """Return values of Authorization that are no good."""
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    texts = [wrong, good[:-1], f"{good}A", "", "x" * 5000, "é", "a b", TOKENS[PLUGIN][1].split()[2]]
    return [f"Bearer {text}" for text in texts] + [
        good,
        f"Basic {good}",
        f"Bearer\t{good}",
        "Bearer",
    ]


def test_the_scheme_is_taken_in_any_case(client: Client) -> None:
    """RFC 9110, 11.1."""
    headers: dict[str, Any] = {"HTTP_AUTHORIZATION": f"bEARER {TOKENS[VIEWER][0]}"}
    assert client.call("GET", "/v1.0/networks", **headers).code == 200


class Unread:
    """A body that nobody may ask for."""

    def read(self, size: int = -1) -> bytes:
        """Fail."""
        raise AssertionError("the body was read")


def test_no_body_is_read_for_who_may_not_ask(client: Client) -> None:
    headers: dict[str, Any] = {
        "wsgi.input": Unread(),
        "webob.is_body_seekable": False,
        "CONTENT_LENGTH": "4",
    }
    path = f"/v1.0/conf/switches/{OWN}/x"
    token = f"Bearer {TOKENS[AGENT][0]}"
    assert client.call("PUT", path, HTTP_AUTHORIZATION=token, **headers).code == 500
    started: list[str] = []
    request = {"REQUEST_METHOD": "PUT", "PATH_INFO": path, **headers}
    # The answer is not closed: what is left of the body is received, and dropped, after it.
    chunks = client.application(request, lambda status, _headers: started.append(status))
    assert started == ["401 Unauthorized"]
    assert b"Authorization: " in b"".join(chunks)
