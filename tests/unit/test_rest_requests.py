"""REST, what holds for every request: paths, methods, bodies, errors."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ryu_l2iso.rest.body import MAX_BODY, MAX_DEPTH
from ryu_l2iso.rest.wsgi import canonical_path
from tests.unit.rest_client import Client, Reply, check_error, dump

DPID = "00000000000000a1"
CONF = f"/v1.0/conf/switches/{DPID}/x"


@pytest.fixture
def client() -> Client:
    """Return a client of a new state."""
    return Client()


def message(reply: Reply) -> str:
    """Return what an error says."""
    check_error(reply)
    return str(reply.value["error"]["message"])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "/v1.0",
        "/v1.1/networks",
        "/v1.0/networks/",
        "//v1.0/networks",
        "/v1.0//networks",
        "/v1.0/networks//",
        "/v1.0/networks/n/",
        "/v1.0/NETWORKS",
        f"/v1.0/networks//{DPID}_5",
        f"/v1.0/networks/n/{DPID}_5/macs/",
        "/v1.0/networks%2Fn",
        "/v1.0%2fnetworks",
        "/v1.0/networks\n",
        "/v1.0/networks/n/p/macs/m/x",
        "/v1.0/quantum/ports/i/keys/ports/",
        "/v1.0/tunnels/networks/n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_unknown_paths(client: Client, method: str, path: str) -> None:
    """A path that does not exist is 404, whatever the method."""
    reply = client.call(method, path)
    assert reply.code == 404
    check_error(reply, method)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1.0/networks", "GET, HEAD"),
        ("/v1.0/networks/n", "DELETE, GET, HEAD, POST, PUT"),
        ("/v1.0/networks/n/bad", "DELETE, POST, PUT"),
        ("/v1.0/networks/n/bad/macs", "GET, HEAD"),
        ("/v1.0/networks/n/bad/macs/bad", "POST, PUT"),
        ("/v1.0/tunnels/networks/n/key", "DELETE, GET, HEAD"),
        ("/v1.0/tunnels/networks/n/key/bad", "POST, PUT"),
        ("/v1.0/tunnels/switches/bad/ports", "GET, HEAD"),
        ("/v1.0/tunnels/switches/bad/ports/bad", "DELETE, GET, HEAD"),
        ("/v1.0/tunnels/switches/bad/ports/bad/bad", "POST, PUT"),
        ("/v1.0/conf/switches", "GET, HEAD"),
        ("/v1.0/conf/switches/bad", "DELETE, GET, HEAD"),
        ("/v1.0/conf/switches/bad/x", "DELETE, GET, HEAD, PUT"),
        ("/v1.0/quantum/ports", "GET, HEAD"),
        ("/v1.0/quantum/ports/i", "DELETE"),
        ("/v1.0/quantum/ports/i/keys", "GET, HEAD"),
        ("/v1.0/quantum/ports/i/keys/x", "GET, HEAD"),
        ("/v1.0/quantum/ports/i/keys/x/y", "POST, PUT"),
    ],
)
def test_methods_of_each_path(client: Client, path: str, allow: str) -> None:
    """A path that lacks a method says which it has."""
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "X"):
        reply = client.call(method, path)
        if method in allow.split(", "):
            assert reply.code != 405
        else:
            assert (reply.code, reply.headers["Allow"]) == (405, allow)
            check_error(reply, method)


@pytest.mark.parametrize(
    ("encoded", "network_id"),
    [
        ("a%20b", "a b"),
        ("%C3%A9%E2%82%AC", "é€"),
        ("%c3%a9", "é"),
        ("%6E", "n"),
        ("a+b", "a+b"),
        ("%00%0A", "\0\n"),
        ("%25", "%"),
        ("%252F", "%2F"),
        ("..", ".."),
        (".", "."),
        ("%5B%5D%3F%23;:@&=$,'()*!~", "[]?#;:@&=$,'()*!~"),
        ("x" * 255, "x" * 255),
        ("%C3%A9" * 127, "é" * 127),
        ("{network_id}", "{network_id}"),
    ],
)
def test_ids_hold_any_character(client: Client, encoded: str, network_id: str) -> None:
    """An id comes back as it was given, slash excepted."""
    assert client.call("POST", f"/v1.0/networks/{encoded}").code == 200
    assert network_id in client.call("GET", "/v1.0/networks").value
    assert client.call("GET", f"/v1.0/networks/{encoded}").value == []


@pytest.mark.parametrize(
    ("encoded", "rule"),
    [
        ("a%2Fb", "network_id: must not hold a slash"),
        ("%2f", "network_id: must not hold a slash"),
        (f"n%2F{DPID}_5", "network_id: must not hold a slash"),
        ("%FF", "network_id: must be UTF-8, percent-encoded"),
        ("%ED%A0%80", "network_id: must be UTF-8, percent-encoded"),
        ("%C0%AF", "network_id: must be UTF-8, percent-encoded"),
        ("x" * 256, "network_id: must be 1 to 255 bytes"),
        ("%C3%A9" * 128, "network_id: must be 1 to 255 bytes"),
        ("%", "path: must have two hex digits after each %"),
        ("a%2", "path: must have two hex digits after each %"),
        ("%zz", "path: must have two hex digits after each %"),
    ],
)
def test_ids_that_are_refused(client: Client, encoded: str, rule: str) -> None:
    """The error names the field and the rule."""
    old = dump(client.state)
    reply = client.call("POST", f"/v1.0/networks/{encoded}")
    assert (reply.code, message(reply)) == (400, rule)
    assert dump(client.state) == old


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("POST", f"/v1.0/networks/n/{DPID}_x", "port_no"),
        ("POST", "/v1.0/networks/n/1_5", "dpid"),
        ("POST", "/v1.0/networks/n/1", "port"),
        ("POST", f"/v1.0/networks/n/{DPID}_5/macs/1", "mac"),
        ("POST", "/v1.0/tunnels/networks/n/key/x", "key"),
        ("POST", f"/v1.0/tunnels/switches/{DPID}/ports/1/2", "remote_dpid"),
        ("POST", f"/v1.0/tunnels/switches/2/ports/1/{DPID}", "dpid"),
        ("GET", f"/v1.0/conf/switches/{DPID}/{'x' * 256}", "name"),
        ("POST", f"/v1.0/quantum/ports/i/keys/x/{'x' * 256}", "value"),
        ("POST", "/v1.0/quantum/ports/%2F/keys/x/y", "iface_id"),
    ],
)
def test_errors_name_the_field(client: Client, method: str, path: str, field: str) -> None:
    """The field is called as in the contract."""
    reply = client.call(method, path)
    assert reply.code == 400
    assert message(reply).startswith(f"{field}: ")


def test_error_body(client: Client) -> None:
    """Code, title and message, in JSON."""
    reply = client.call("GET", "/v1.0/networks/n")
    assert reply.value == {
        "error": {
            "code": 404,
            "title": "Not Found",
            "message": "network_id: there is no network n",
        }
    }


def test_query_strings_are_ignored(client: Client) -> None:
    """A query changes nothing."""
    reply = client.call("POST", "/v1.0/networks/n", QUERY_STRING="x=%FF&network_id=m")
    assert reply.code == 200
    assert "n" in client.call("GET", "/v1.0/networks", QUERY_STRING="n").value


def test_absolute_form(client: Client) -> None:
    """A request line with the whole URL is taken (RFC 9112, 3.2.2)."""
    assert client.call("GET", "HTTP://user@[::1]:8080/v1.0/networks").code == 200
    assert client.call("GET", "http://host").code == 404
    assert client.call("GET", "ftp://host/v1.0/networks").code == 404


def test_path_without_a_raw_one() -> None:
    """A server that gives only the decoded path is good for all ids without a slash."""
    assert canonical_path({"PATH_INFO": "/v1.0/networks/a%\xc3\xa9"}) == (
        "/v1.0/networks/a%25%C3%A9"
    )


@pytest.mark.parametrize("path", ["/v1.0/networks", "/nothing", "/v1.0/networks/n/bad"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_long_bodies(client: Client, method: str, path: str) -> None:
    """64 KiB are taken; more are refused before anything else."""
    assert client.call(method, path, b" " * MAX_BODY).code != 413
    reply = client.call(method, path, b" " * (MAX_BODY + 1))
    assert (reply.code, message(reply)) == (413, f"body: must be at most {MAX_BODY} bytes")


class Endless:
    """A body without end, of which little may be read in one go."""

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, which must be few."""
        assert 0 <= size <= MAX_BODY + 1
        return b" " * size


@pytest.mark.parametrize(
    "headers",
    [{"CONTENT_LENGTH": "10000000"}, {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}],
    ids=["length", "chunked"],
)
def test_endless_bodies(
    client: Client, headers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body is never read further than its limit; what follows is dropped for a while only."""
    monkeypatch.setattr("ryu_l2iso.rest.body.LINGER_SECONDS", 0.05)
    body = Endless()
    headers = {"wsgi.input": body, "webob.is_body_seekable": False, **headers}
    reply = client.call("PUT", CONF, **headers)
    assert reply.code == 413
    check_error(reply)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"CONTENT_LENGTH": "4"}, 201),
        ({"CONTENT_LENGTH": "1"}, 201),
        ({"CONTENT_LENGTH": ""}, 400),
        ({"CONTENT_LENGTH": "5"}, 400),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "+4"}, 400),
        ({"CONTENT_LENGTH": "9" * 30}, 400),
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "Chunked"}, 201),
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "gzip, chunked"}, 400),
        ({"CONTENT_LENGTH": "4", "HTTP_TRANSFER_ENCODING": "chunked"}, 400),
    ],
)
def test_lengths_that_lie(client: Client, headers: dict[str, Any], code: int) -> None:
    """A body is what its headers say, or it is refused."""
    reply = client.call("PUT", CONF, b"1234", **headers)
    assert reply.code == code
    if code == 400:
        check_error(reply)
        assert client.state.switches.ids() == []


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b' [1, -2.5, 1e3, true, null, "\xc3\xa9"] ', [1, -2.5, 1e3, True, None, "é"]),
        (b'"\\ud800"', "\ud800"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"9" * 1000, int("9" * 1000)),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_json_values_are_given_back(client: Client, body: bytes, value: object) -> None:
    """A value comes back as it was put."""
    assert client.call("PUT", CONF, body).code == 201
    reply = client.call("GET", CONF)
    assert reply.code == 200
    if value is not None:
        assert reply.value == value


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "must be JSON in UTF-8 (Expecting value"),
        (b"\xff\xfe1\x00", "must be JSON in UTF-8 (byte 0 is not UTF-8)"),
        (b'"\xed\xa0\x80"', "must be JSON in UTF-8 (byte 1 is not UTF-8)"),
        (b"\xef\xbb\xbf1", "must be JSON in UTF-8 ("),
        (b"[NaN]", "must be JSON in UTF-8 (NaN is no JSON number)"),
        (b"-Infinity", "must be JSON in UTF-8 (-Infinity is no JSON number)"),
        (b"-1e999", "must be JSON in UTF-8 (a number is too large)"),
        (b"9" * 1001, "must be JSON in UTF-8 (an integer has more than 1000 digits)"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "must be nested at most 64 deep"),
        (b"[" * MAX_BODY, "must be JSON in UTF-8 ("),
        (b'{"":' * 13000 + b"1" + b"}" * 13000, "must be "),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_bodies_that_are_no_json(client: Client, body: bytes, rule: str) -> None:
    """The error says what is wrong, and nothing is registered."""
    reply = client.call("PUT", CONF, body)
    assert reply.code == 400
    assert message(reply).startswith(f"body: {rule}")
    assert client.state.switches.ids() == []


def test_names_of_switch_values_are_any_text(client: Client) -> None:
    """Also those that stand for something in Python or in a path."""
    for name in ("__class__", "%2E%2E", "a%00b", "%C3%A9"):
        path = f"/v1.0/conf/switches/{DPID}/{name}"
        assert client.call("PUT", path, b"1").code == 201
        assert client.call("GET", path).value == 1


def test_a_failure_of_ours_is_logged_and_not_shown(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns that it failed and no more; the log has the rest."""

    def fail(network_id: str) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(client.state, "add_network", fail)
    reply = client.call("POST", "/v1.0/networks/n")
    assert (reply.code, reply.value["error"]["code"]) == (500, 500)
    assert b"secret" not in reply.body
    assert "secret" in caplog.text


def test_requests_are_logged_at_debug_level(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for each, with its status and on one line."""
    with caplog.at_level(logging.DEBUG, "ryu_l2iso.rest"):
        client.call("GET", "/v1.0/networks/%0Ax")
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert caplog.records[0].getMessage().endswith("GET '/v1.0/networks/\\nx': 404")
