"""REST under random values and orders; tests/fuzz sends random requests."""

from __future__ import annotations

import json
from urllib.parse import quote_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.state.ports import RESERVED_NETWORK_IDS
from tests.unit.rest_client import Client, dump

DPIDS = ("00000000000000a1", "00000000000000a2")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200)
@given(JSON)
def test_json_values_come_back(value: object) -> None:
    """Any JSON value is given back as it was put."""
    client = Client()
    path = f"/v1.0/conf/switches/{DPIDS[0]}/x"
    assert client.call("PUT", path, json.dumps(value).encode("ascii")).code == 201
    assert client.call("GET", path).value == value


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=60))
def test_ids_come_back(text: str) -> None:
    """Any id without a slash is given back as it was put; others are refused."""
    client = Client()
    data = text.encode("utf-8", "surrogatepass")
    code = client.call("POST", f"/v1.0/networks/{quote_from_bytes(data, safe='')}").code
    if "/" in text or len(data) > 255:
        assert code == 400
    else:
        assert code == (409 if text in RESERVED_NETWORK_IDS else 200)
        assert text in client.call("GET", "/v1.0/networks").value


UNRELATED = (
    ("PUT", "/v1.0/networks/n", b""),
    ("PUT", "/v1.0/networks/m", b""),
    ("PUT", "/v1.0/tunnels/networks/n/key/7", b""),
    ("POST", "/v1.0/tunnels/networks/m/key/8", b""),
    ("POST", "/v1.0/quantum/ports/i/keys/network_id/n", b""),
    ("PUT", "/v1.0/quantum/ports/j/keys/network_id/m", b""),
    ("PUT", f"/v1.0/conf/switches/{DPIDS[0]}/ovs_tunnel_addr", b'"10.0.0.1"'),
    ("PUT", f"/v1.0/conf/switches/{DPIDS[1]}/ovs_tunnel_addr", b'"10.0.0.2"'),
    ("PUT", f"/v1.0/networks/__NW_ID_EXTERNAL__/{DPIDS[0]}_1", b""),
    ("POST", f"/v1.0/tunnels/switches/{DPIDS[0]}/ports/9/{DPIDS[1]}", b""),
)


@settings(max_examples=50)
@given(st.permutations(UNRELATED))
def test_order_of_unrelated_calls(calls: list[tuple[str, str, bytes]]) -> None:
    """Whatever comes first, all succeed and the same is known in the end."""
    states = []
    for order in (UNRELATED, calls):
        client = Client()
        for method, path, body in order:
            assert client.call(method, path, body).code < 300
        client.state.changes.take()
        states.append(dump(client.state))
    assert states[0] == states[1]
