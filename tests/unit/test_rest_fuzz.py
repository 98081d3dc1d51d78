"""REST under random requests: never a 500, and a refused request changes nothing."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.state.ports import RESERVED_NETWORK_IDS, InterfaceFact, OFPort
from tests.unit.rest_client import Client, check_error, dump

DPIDS = ("00000000000000a1", "00000000000000A2", "ffffffffffffffff")
TEMPLATES = (
    "/v1.0/networks",
    "/v1.0/networks/{id}",
    "/v1.0/networks/{id}/{port}",
    "/v1.0/networks/{id}/{port}/macs",
    "/v1.0/networks/{id}/{port}/macs/{mac}",
    "/v1.0/tunnels/networks/{id}/key",
    "/v1.0/tunnels/networks/{id}/key/{number}",
    "/v1.0/tunnels/switches/{dpid}/ports",
    "/v1.0/tunnels/switches/{dpid}/ports/{number}",
    "/v1.0/tunnels/switches/{dpid}/ports/{number}/{dpid}",
    "/v1.0/conf/switches",
    "/v1.0/conf/switches/{dpid}",
    "/v1.0/conf/switches/{dpid}/{name}",
    "/v1.0/quantum/ports",
    "/v1.0/quantum/ports/{id}",
    "/v1.0/quantum/ports/{id}/keys",
    "/v1.0/quantum/ports/{id}/keys/{name}",
    "/v1.0/quantum/ports/{id}/keys/{name}/{id}",
)
JUNK = st.one_of(
    st.text(max_size=20).map(lambda text: quote(text.encode("utf-8", "replace"), safe="")),
    st.binary(max_size=12).map(lambda data: quote_from_bytes(data, safe="")),
    st.text(st.characters(max_codepoint=255, exclude_characters="?"), max_size=8),
    st.sampled_from(["", "%", "%2F", "..", "x" * 256, "9" * 300, "%00", "%F0%9F%98%80"]),
)
DPID = st.sampled_from(DPIDS)
NUMBER = st.sampled_from(["1", "2", "5", "16777215", "16777216", "4294967040", "0", "01", "-1"])
ELEMENTS = {
    "{id}": st.sampled_from(["n", "m", "__NW_ID_EXTERNAL__", "__NW_ID_UNKNOWN__", "i", "%C3%A9"]),
    "{port}": st.builds("{}_{}".format, DPID, NUMBER),
    "{mac}": st.sampled_from(["02:00:00:00:00:0a", "02:00:00:00:00:0B", "ff:ff:ff:ff:ff:ff"]),
    "{number}": NUMBER,
    "{dpid}": DPID,
    "{name}": st.sampled_from(["network_id", "ports", "ovsdb_addr", "ovs_tunnel_addr", "x"]),
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
BODY = st.one_of(
    st.sampled_from([b'"10.0.0.1"', b'"10.0.0.2"', b'"tcp:10.0.0.1:6640"', b'"fd00::1"', b"[NaN]"]),
    JSON.map(lambda value: json.dumps(value).encode("ascii")),
    st.binary(max_size=40),
)


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Return a path of the API; at times one element of it is anything, or one is added."""
    parts = draw(st.sampled_from(TEMPLATES)).split("/")
    elements = [draw(ELEMENTS[part]) if part in ELEMENTS else part for part in parts]
    where = draw(st.integers(0, 3 * len(elements)))
    if where < len(elements):
        elements[where] = draw(JUNK)
    elif where == len(elements):
        elements.append(draw(JUNK))
    return "/".join(elements)


METHOD = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PUT", "POST", "PATCH", "Ü"])
REQUEST = st.tuples(METHOD, paths(), BODY)


@settings(max_examples=300, deadline=None)
@given(st.lists(REQUEST, min_size=1, max_size=12))
def test_any_requests(requests: list[tuple[str, str, bytes]]) -> None:
    """Each request is answered within the contract, on switches that have ports."""
    client = Client()
    for dpid, iface_id in ((0xA1, "i"), (0xA2, "é")):
        client.state.ports.set_of_port(dpid, OFPort(5, "tap0", up=True))
        client.state.ports.set_of_port(dpid, OFPort(1, "eth0", up=True))
        row = InterfaceFact("tap0", 5, iface_id, "02:00:00:00:00:01")
        client.state.ports.update_interfaces(dpid, {"tap0": row})
    for method, path, body in requests:
        old = dump(client.state)
        reply = client.call(method, path, body)
        if reply.code >= 400:
            check_error(reply, method)
            assert dump(client.state) == old
            continue
        assert reply.code in (200, 201, 202)
        if method in ("GET", "HEAD"):
            assert dump(client.state) == old
        else:
            assert reply.body == b""


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_json_values_come_back(value: object) -> None:
    """Any JSON value is given back as it was put."""
    client = Client()
    path = f"/v1.0/conf/switches/{DPIDS[0]}/x"
    assert client.call("PUT", path, json.dumps(value).encode("ascii")).code == 201
    assert client.call("GET", path).value == value


@settings(max_examples=200, deadline=None)
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


@settings(max_examples=50, deadline=None)
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
