"""``/v1.0/batch``: many orders, each as if it had come alone, kept at once."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.rest import batch
from ryu_l2iso.rest.access import Access
from ryu_l2iso.state.state import State
from ryu_l2iso.tokens import AGENT, ROLES, TokenFile, new_token
from tests.unit.rest_client import Client, Reply, check_error, dump

A1 = "00000000000000a1"
NETWORK = {"method": "POST", "path": "/v1.0/networks/n1"}


def post(client: Client, orders: Any, **environ: Any) -> Reply:
    """Send a batch, a JSON value."""
    return client.call("POST", batch.PATH, json.dumps(orders).encode(), **environ)


def test_a_batch_does_what_its_orders_do_alone() -> None:
    orders: list[dict[str, Any]] = [
        {"method": "PUT", "path": "/v1.0/networks/a%3fb"},
        {"method": "POST", "path": "/v1.0/tunnels/networks/a%3Fb/key/42"},
        {"method": "PUT", "path": f"/v1.0/conf/switches/{A1}/rack", "body": {"row": [1, None]}},
        {"method": "POST", "path": "/v1.0/quantum/ports/i1/keys/network_id/n1"},
        {"method": "DELETE", "path": "/v1.0/quantum/ports/i1"},
    ]
    together, alone = Client(), Client()
    codes = [{"code": 200}, {"code": 200}, {"code": 201}, {"code": 200}, {"code": 200}]
    reply = post(together, orders)
    assert (reply.code, reply.value, together.core.commits) == (200, codes, 1)
    for order in orders:
        body = json.dumps(order["body"]).encode() if "body" in order else b""
        alone.call(order["method"], order["path"], body)
    assert dump(together.state) == dump(alone.state)


def test_an_order_that_is_refused_is_told_as_alone_and_holds_up_no_other() -> None:
    client = Client()
    orders: list[dict[str, Any]] = [
        NETWORK,
        NETWORK,
        {"method": "DELETE", "path": "/v1.0/networks/n2"},
        {"method": "POST", "path": "/v1.0/networks/n1/keys"},
        {"method": "PUT", "path": "/v1.0/conf/switches/12/x", "body": 1},
        {"method": "PUT", "path": f"/v1.0/conf/switches/{A1}/x"},
        {"method": "DELETE", "path": "/v1.0/networks"},
        {"method": "POST", "path": batch.PATH, "body": [NETWORK]},
        {"method": "POST", "path": "/v1.0/networks/%zz"},
        {"method": "POST", "path": "/v1.0/networks/n3"},
    ]
    reply = post(client, orders)
    assert [told["code"] for told in reply.value] == [
        200,
        409,
        404,
        400,
        400,
        400,
        405,
        404,
        400,
        200,
    ]
    for order, told in zip(orders[1:-1], reply.value[1:-1]):
        body = json.dumps(order["body"]).encode() if "body" in order else b""
        if order["path"] != batch.PATH:
            alone = client.call(order["method"], order["path"], body)
            assert told == alone.value["error"]
    assert {"n1", "n3"} <= set(client.state.networks.ids())


@pytest.mark.parametrize(
    ("orders", "field"),
    [
        ({}, "body"),
        ([], "body"),
        ([NETWORK] * (batch.MAX_ORDERS + 1), "body"),
        ([NETWORK, 5], "body[1]"),
        ([{"method": "POST"}], "body[0]"),
        ([{**NETWORK, "value": 1}], "body[0]"),
        ([{**NETWORK, "method": "GET"}], "body[0].method"),
        ([{**NETWORK, "method": ["POST"]}], "body[0].method"),
        ([{**NETWORK, "path": 5}], "body[0].path"),
        ([{**NETWORK, "path": "v1.0/networks/n1"}], "body[0].path"),
        ([{**NETWORK, "path": "/v1.0/networks/é"}], "body[0].path"),
        ([{**NETWORK, "path": "/v1.0/networks/n1?x"}], "body[0].path"),
        ([{**NETWORK, "path": "/v1.0/networks/n1#x"}], "body[0].path"),
        ([{**NETWORK, "path": "/v1.0/networks/n 1"}], "body[0].path"),
        ([{**NETWORK, "path": "/v1.0/networks/n1\n"}], "body[0].path"),
    ],
)
def test_a_batch_that_is_not_of_its_form_is_refused_whole(orders: Any, field: str) -> None:
    client = Client()
    old = dump(client.state)
    reply = post(client, [NETWORK, *orders] if len(orders) == 1 else orders)
    check_error(reply)
    expected = field.replace("[0]", "[1]") if len(orders) == 1 else field
    assert (reply.code, reply.value["error"]["message"].partition(":")[0]) == (400, expected)
    assert dump(client.state) == old


def test_as_many_as_may_be() -> None:
    client = Client()
    orders = [{**NETWORK, "path": f"/v1.0/networks/n{n}"} for n in range(batch.MAX_ORDERS)]
    assert post(client, orders).value == [{"code": 200}] * batch.MAX_ORDERS


def test_a_batch_that_cannot_be_kept_says_so() -> None:
    client = Client()
    client.core.error = StoreError("the disk is full")
    reply = post(client, [NETWORK])
    assert (reply.code, reply.value["error"]["message"]) == (503, "the disk is full")


def test_an_order_that_fails_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(state: State, network_id: str) -> None:
        raise ZeroDivisionError

    client = Client()
    monkeypatch.setattr(State, "ensure_network", fail)
    reply = post(client, [{**NETWORK, "method": "PUT"}, NETWORK])
    assert [told["code"] for told in reply.value] == [500, 200]
    assert reply.value[0]["message"] == "the controller failed; its log says how"
    assert "ZeroDivisionError" in caplog.text


def test_each_order_needs_its_right_and_is_in_the_audit_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = {role: new_token(role, role, [0xA1] * (role == AGENT)) for role in ROLES}
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("\n".join(line for _, line in tokens.values()))
    orders: list[dict[str, Any]] = [
        NETWORK,
        {"method": "PUT", "path": f"/v1.0/conf/switches/{A1}/x", "body": 1},
        {"method": "PUT", "path": "/v1.0/conf/switches/00000000000000a2/x", "body": 1},
    ]
    may = {"plugin": [200, 403, 403], "agent": [403, 201, 403], "viewer": [403, 403, 403]}
    for role, (token, _) in tokens.items():
        caplog.clear()
        client = Client(Access(TokenFile(str(path))))
        with caplog.at_level(logging.INFO, "ryu_l2iso.audit"):
            reply = post(client, orders, HTTP_AUTHORIZATION=f"Bearer {token}")
        assert [told["code"] for told in reply.value] == may[role]
        lines = [json.loads(record.getMessage()) for record in caplog.records]
        wanted = [(f"{o['method']} {o['path']}", c) for o, c in zip(orders, may[role])]
        assert [(line["what"], line["result"]) for line in lines] == [
            *wanted,
            (f"POST {batch.PATH}", 200),
        ]
        assert {line["who"] for line in lines} == {f"{role} {role}"}
    check_error(post(Client(Access(TokenFile(str(path)))), orders))
