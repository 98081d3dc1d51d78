"""The description at /openapi.json: every route is in it, and no other; tests/fuzz goes by it."""

from __future__ import annotations

import json
import re

import pytest

from ryu_l2iso.rest import openapi
from tests.unit.rest_client import Client

METHODS = ("get", "head", "post", "put", "delete")


def described() -> dict[str, dict[str, dict[str, object]]]:
    """Return path → method or ``parameters`` → description, as it is served."""
    reply = Client().call("GET", "/openapi.json")
    assert (reply.code, reply.headers["Content-Type"]) == (200, "application/json")
    paths = json.loads(reply.body)["paths"]
    assert isinstance(paths, dict)
    return paths


def test_every_route_is_described_and_no_other() -> None:
    routes = {
        path: {*methods, *(["HEAD"] if "GET" in methods else [])}
        for path, methods in Client().application.router.routes.items()
    }
    paths = described()
    assert routes == {
        path: {method.upper() for method in item if method in METHODS}
        for path, item in paths.items()
    }


@pytest.mark.parametrize("path", openapi.OPERATIONS)
def test_every_element_is_described(path: str) -> None:
    item = described()[path]
    names = [parameter["name"] for parameter in item.pop("parameters")]  # type: ignore[index]
    assert names == re.findall(r"{(\w+)}", path)
    for operation in item.values():
        responses = operation["responses"]
        assert isinstance(responses, dict)
        assert {"400", "401", "403", "408", "413", "503"} < responses.keys()


def test_keys_are_in_the_range_of_the_isolation() -> None:
    client = Client()
    client.state.networks.key_range = None
    reply = client.call("GET", "/openapi.json")
    item = json.loads(reply.body)["paths"]["/v1.0/tunnels/networks/{network_id}/key/{key}"]
    assert item["parameters"][1]["schema"] == {"type": "integer", "minimum": 0}
    item = described()["/v1.0/tunnels/networks/{network_id}/key/{key}"]
    schema = item["parameters"][1]["schema"]  # type: ignore[index]
    assert schema == {"type": "integer", "minimum": 1, "maximum": 2**24 - 1}
