"""REST v1.0 row by row: every request of the contract, its success and each refusal."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from ryu_l2iso.state.ports import InterfaceFact, OFPort
from tests.unit.rest_client import Client, check_error, dump

D1, D2, D3 = "00000000000000a1", "00000000000000a2", "00000000000000a3"
N1, N2 = 0xA1, 0xA2
NETS = "/v1.0/networks"
TNETS = "/v1.0/tunnels/networks"
CONF = "/v1.0/conf/switches"
IFACES = "/v1.0/quantum/ports"
T1 = f"/v1.0/tunnels/switches/{D1}/ports"
PORT = f"{NETS}/n/{D1}_5"
MAC = "02:00:00:00:00:0a"
RESERVED = [
    "__NW_ID_EXTERNAL__",
    "__NW_ID_RESERVED__",
    "__NW_ID_UNKNOWN__",
    "__NW_ID_VPORT_GRE__",
]
NETWORK = (f"POST {NETS}/n",)
IN_NETWORK = (*NETWORK, f"POST {PORT}")
WITH_MAC = (*IN_NETWORK, f"POST {PORT}/macs/{MAC}")
KEYED = (f"POST {TNETS}/n/key/7",)
TUNNEL = (f"POST {T1}/9/{D2}",)
IFACE = (f"POST {IFACES}/i/keys/network_id/n",)
ADDR = (f'PUT {CONF}/{D1}/ovs_tunnel_addr "10.0.0.1"',)


class Row(NamedTuple):
    """``request`` after the requests ``before``, which must succeed, is answered with ``code``.

    ``value``: the JSON body, None for an empty one; not looked at in a refusal.
    ``then``: a GET that gives its value afterwards.
    """

    before: tuple[str, ...]
    request: str
    code: int
    value: Any = None
    then: tuple[str, Any] | None = None


NETWORK_ROWS = [
    Row((), f"GET {NETS}", 200, RESERVED),
    Row(NETWORK, f"GET {NETS}", 200, [*RESERVED, "n"]),
    Row((), f"POST {NETS}/n", 200, then=(NETS, [*RESERVED, "n"])),
    Row((), f"POST {NETS}/n a body that is ignored", 200, then=(NETS, [*RESERVED, "n"])),
    Row(NETWORK, f"POST {NETS}/n", 409),
    Row((), f"POST {NETS}/__NW_ID_UNKNOWN__", 409),
    Row((), f"PUT {NETS}/n", 200, then=(NETS, [*RESERVED, "n"])),
    Row(NETWORK, f"PUT {NETS}/n", 200, then=(NETS, [*RESERVED, "n"])),
    Row((), f"PUT {NETS}/__NW_ID_EXTERNAL__", 200, then=(NETS, RESERVED)),
    Row((), f"PUT {NETS}/__NW_ID_UNKNOWN__", 409),
    Row(IN_NETWORK, f"DELETE {NETS}/n", 200, then=(NETS, RESERVED)),
    Row((*IN_NETWORK, f"DELETE {NETS}/n"), f"PUT {NETS}/n", 200, then=(f"{NETS}/n", [])),
    Row((), f"DELETE {NETS}/n", 404),
    *(Row((), f"DELETE {NETS}/{network_id}", 409) for network_id in RESERVED),
    Row(IN_NETWORK, f"GET {NETS}/n", 200, [[N1, 5]]),
    Row((), f"GET {NETS}/n", 404),
]
PORT_ROWS = [
    Row(NETWORK, f"POST {PORT}", 200, then=(f"{NETS}/n", [[N1, 5]])),
    Row(NETWORK, f"POST {NETS}/n/{D1.upper()}_5", 200, then=(f"{NETS}/n", [[N1, 5]])),
    Row(NETWORK, f"POST {NETS}/n/{D1}_4294967040", 200, then=(f"{NETS}/n", [[N1, 0xFFFFFF00]])),
    Row((), f"POST {PORT}", 404),
    Row(IN_NETWORK, f"POST {PORT}", 409),
    Row((*IN_NETWORK, f"POST {NETS}/m"), f"POST {NETS}/m/{D1}_5", 409),
    Row(NETWORK, f"POST {NETS}/n/{D1}_0", 400),
    Row(NETWORK, f"POST {NETS}/n/{D1}_4294967041", 400),
    Row(NETWORK, f"POST {NETS}/n/{D1}_05", 400),
    Row(NETWORK, f"POST {NETS}/n/{D1}_+5", 400),
    Row(NETWORK, f"POST {NETS}/n/{D1}5", 400),
    Row(NETWORK, f"POST {NETS}/n/{D1[1:]}_5", 400),
    Row(NETWORK, f"POST {NETS}/n/0x000000000000a1_5", 400),
    Row(NETWORK, f"PUT {PORT}", 200, then=(f"{NETS}/n", [[N1, 5]])),
    Row(IN_NETWORK, f"PUT {PORT}", 200, then=(f"{NETS}/n", [[N1, 5]])),
    Row((*IN_NETWORK, f"PUT {NETS}/m"), f"PUT {NETS}/m/{D1}_5", 200, then=(f"{NETS}/n", [])),
    Row((*IN_NETWORK, f"PUT {NETS}/m"), f"PUT {NETS}/m/{D1}_5", 200, then=(f"{NETS}/m", [[N1, 5]])),
    Row((), f"PUT {PORT}", 404),
    Row(NETWORK, f"PUT {NETS}/n/{D1}_0", 400),
    Row(IN_NETWORK, f"DELETE {PORT}", 200, then=(f"{NETS}/n", [])),
    Row((), f"DELETE {PORT}", 404),
    Row(NETWORK, f"DELETE {PORT}", 404),
    Row((*IN_NETWORK, f"POST {NETS}/m"), f"DELETE {NETS}/m/{D1}_5", 404),
    Row(NETWORK, f"DELETE {NETS}/n/{D1}_x", 400),
]
MAC_ROWS = [
    Row(IN_NETWORK, f"GET {PORT}/macs", 200, []),
    Row(WITH_MAC, f"GET {PORT}/macs", 200, [MAC]),
    Row((), f"GET {PORT}/macs", 404),
    Row(NETWORK, f"GET {PORT}/macs", 404),
    Row((*WITH_MAC, f"POST {NETS}/m"), f"GET {NETS}/m/{D1}_5/macs", 404),
    Row(IN_NETWORK, f"POST {PORT}/macs/{MAC}", 200, then=(f"{PORT}/macs", [MAC])),
    Row(IN_NETWORK, f"POST {PORT}/macs/{MAC.upper()}", 200, then=(f"{PORT}/macs", [MAC])),
    Row((), f"POST {PORT}/macs/{MAC}", 404),
    Row(NETWORK, f"POST {PORT}/macs/{MAC}", 404),
    Row(WITH_MAC, f"POST {PORT}/macs/{MAC}", 409),
    Row(IN_NETWORK, f"POST {PORT}/macs/01:00:5e:00:00:01", 400),
    Row(IN_NETWORK, f"POST {PORT}/macs/ff:ff:ff:ff:ff:ff", 400),
    Row(IN_NETWORK, f"POST {PORT}/macs/00:00:00:00:00:00", 400),
    Row(IN_NETWORK, f"POST {PORT}/macs/02-00-00-00-00-0a", 400),
    Row(IN_NETWORK, f"POST {PORT}/macs/020000000a", 400),
    Row(IN_NETWORK, f"PUT {PORT}/macs/{MAC}", 200, then=(f"{PORT}/macs", [MAC])),
    Row(WITH_MAC, f"PUT {PORT}/macs/{MAC}", 200, then=(f"{PORT}/macs", [MAC])),
    Row(WITH_MAC, f"PUT {PORT}/macs/02:00:00:00:00:0b", 409),
    Row((), f"PUT {PORT}/macs/{MAC}", 404),
    Row(NETWORK, f"PUT {PORT}/macs/{MAC}", 404),
    Row(IN_NETWORK, f"PUT {PORT}/macs/ff:ff:ff:ff:ff:ff", 400),
]
KEY_ROWS = [
    Row(KEYED, f"GET {TNETS}/n/key", 200, 7),
    Row((), f"GET {TNETS}/n/key", 404),
    Row(NETWORK, f"GET {TNETS}/n/key", 404),
    Row((*NETWORK, *KEYED, f"DELETE {NETS}/n"), f"GET {TNETS}/n/key", 200, 7),
]
for method in ("POST", "PUT"):
    KEY_ROWS += [
        Row((), f"{method} {TNETS}/n/key/1", 200, then=(f"{TNETS}/n/key", 1)),
        Row(NETWORK, f"{method} {TNETS}/n/key/16777215", 200, then=(f"{TNETS}/n/key", 2**24 - 1)),
        Row(KEYED, f"{method} {TNETS}/n/key/8", 409),
        Row(KEYED, f"{method} {TNETS}/m/key/7", 409),
        Row((), f"{method} {TNETS}/n/key/0", 400),
        Row((), f"{method} {TNETS}/n/key/16777216", 400),
        Row((), f"{method} {TNETS}/n/key/{'9' * 200}", 400),
        Row((), f"{method} {TNETS}/n/key/-1", 400),
        Row((), f"{method} {TNETS}/n/key/+1", 400),
        Row((), f"{method} {TNETS}/n/key/01", 400),
        Row((), f"{method} {TNETS}/n/key/1.0", 400),
        Row((), f"{method} {TNETS}/n/key/%D9%A1", 400),
        Row((), f"{method} {TNETS}/n/key/ten", 400),
    ]
KEY_ROWS += [
    Row(KEYED, f"POST {TNETS}/n/key/7", 409),
    Row(KEYED, f"PUT {TNETS}/n/key/7", 200, then=(f"{TNETS}/n/key", 7)),
    Row(KEYED, f"DELETE {TNETS}/n/key", 200),
    Row((*KEYED, f"DELETE {TNETS}/n/key"), f"GET {TNETS}/n/key", 404),
    Row((*KEYED, f"DELETE {TNETS}/n/key"), f"POST {TNETS}/m/key/7", 200),
    Row((), f"DELETE {TNETS}/n/key", 404),
]
TUNNEL_ROWS = [
    Row((), f"GET {T1}", 200, []),
    Row((*TUNNEL, f"POST {T1}/2/{D3}"), f"GET {T1}", 200, [2, 9]),
    Row((), "GET /v1.0/tunnels/switches/1/ports", 400),
    Row((), f"POST {T1}/9/{D2.upper()}", 200, then=(f"{T1}/9", D2)),
    Row(TUNNEL, f"POST {T1}/9/{D2}", 409),
    Row(TUNNEL, f"POST {T1}/9/{D3}", 409),
    Row(TUNNEL, f"POST {T1}/8/{D2}", 409),
    Row((), f"POST {T1}/0/{D2}", 400),
    Row((), f"POST {T1}/9/2", 400),
    Row((), f"PUT {T1}/9/{D2}", 200, then=(f"{T1}/9", D2)),
    Row(TUNNEL, f"PUT {T1}/9/{D2}", 200, then=(f"{T1}/9", D2)),
    Row(TUNNEL, f"PUT {T1}/9/{D3}", 409),
    Row(TUNNEL, f"PUT {T1}/8/{D2}", 409),
    Row((), f"PUT {T1}/9/zz", 400),
    Row(TUNNEL, f"GET {T1}/9", 200, D2),
    Row((), f"GET {T1}/9", 404),
    Row((), f"GET {T1}/09", 400),
    Row(TUNNEL, f"DELETE {T1}/9", 200, then=(T1, [])),
    Row((), f"DELETE {T1}/9", 404),
]
SWITCH_ROWS = [
    Row((), f"GET {CONF}", 200, []),
    Row((f"PUT {CONF}/{D2.upper()}/x 1", *ADDR), f"GET {CONF}", 200, [D1, D2]),
    Row((*ADDR, f"PUT {CONF}/{D1}/x 1"), f"GET {CONF}/{D1}", 200, ["ovs_tunnel_addr", "x"]),
    Row((), f"GET {CONF}/{D1}", 404),
    Row((), f"GET {CONF}/x", 400),
    Row((), f"GET {CONF}/{D1}/x", 404),
    Row(ADDR, f"GET {CONF}/{D1}/x", 404),
    Row((f"PUT {CONF}/{D1}/x null",), f"GET {CONF}/{D1}/x", 200, None),
    Row((), f"PUT {CONF}/{D1}/x {{}}", 201, then=(f"{CONF}/{D1}/x", {})),
    Row((f"PUT {CONF}/{D1}/x 1",), f"PUT {CONF}/{D1}/x 2", 201, then=(f"{CONF}/{D1}/x", 2)),
    Row((f"PUT {CONF}/{D1}/x 1",), f"DELETE {CONF}/{D1}/x", 200, then=(f"{CONF}/{D1}", [])),
    Row((), f"DELETE {CONF}/{D1}/x", 404),
    Row(ADDR, f"DELETE {CONF}/{D1}/x", 404),
    Row(ADDR, f"DELETE {CONF}/{D1}", 202, then=(CONF, [])),
    Row((), f"DELETE {CONF}/{D1}", 404),
    Row(ADDR, f'PUT {CONF}/{D2}/ovs_tunnel_addr "10.0.0.1"', 409),
    Row(ADDR, *(f'PUT {CONF}/{D1}/ovs_tunnel_addr "10.0.0.1"', 201)),
    Row((*ADDR, f"DELETE {CONF}/{D1}"), f'PUT {CONF}/{D2}/ovs_tunnel_addr "10.0.0.1"', 201),
]
for text in ("", "nonsense", "{", "NaN", "-Infinity", "[1e400]", '"\\ud8"', "1 2", "'a'"):
    SWITCH_ROWS.append(Row(ADDR, f"PUT {CONF}/{D1}/x {text}", 400))
for address in ("10.0.0.1", "fd00::1"):
    path = f"{CONF}/{D1}/ovs_tunnel_addr"
    SWITCH_ROWS.append(Row((), f'PUT {path} "{address}"', 201, then=(path, address)))
for value in ('"10.0.0"', '"10.0.0.1/24"', '"0.0.0.0"', '"224.0.0.1"', '"::"', "1", "null", "[]"):
    SWITCH_ROWS.append(Row((), f"PUT {CONF}/{D1}/ovs_tunnel_addr {value}", 400))
for address in ("tcp:10.0.0.1:6640", "ssl:[fd00::1]:6640", "unix:/run/openvswitch/db.sock"):
    path = f"{CONF}/{D1}/ovsdb_addr"
    SWITCH_ROWS.append(Row((), f'PUT {path} "{address}"', 201, then=(path, address)))
for value in (
    '"10.0.0.1:6640"',
    '"tcp:10.0.0.1"',
    '"tcp:10.0.0.1:0"',
    '"tcp:10.0.0.1:65536"',
    f'"tcp:10.0.0.1:{"9" * 5000}"',
    '"tcp:fd00::1:6640"',
    '"tcp:host:6640"',
    '"ptcp:6640"',
    '"unix:/\\ud800"',
    '"unix:/\\u0000"',
    "6640",
    "{}",
):
    SWITCH_ROWS.append(Row((), f"PUT {CONF}/{D1}/ovsdb_addr {value}", 400))
INTERFACE_ROWS = [
    Row((), f"GET {IFACES}", 200, []),
    Row(IFACE, f"GET {IFACES}", 200, ["i"]),
    Row(IFACE, f"DELETE {IFACES}/i", 200, then=(IFACES, [])),
    Row((), f"DELETE {IFACES}/i", 404),
    Row(IFACE, f"GET {IFACES}/i/keys", 200, ["network_id"]),
    Row((), f"GET {IFACES}/i/keys", 404),
    Row(IFACE, f"GET {IFACES}/i/keys/network_id", 200, "n"),
    Row(IFACE, f"GET {IFACES}/i/keys/ports", 200, []),
    Row((), f"GET {IFACES}/i/keys/network_id", 404),
    Row((), f"GET {IFACES}/i/keys/ports", 404),
    Row(IFACE, f"GET {IFACES}/i/keys/other", 404),
    Row((), *(f"POST {IFACES}/i/keys/network_id/n", 200)),
    Row((), f"POST {IFACES}/i/keys/other/%22x%22", 200, then=(f"{IFACES}/i/keys/other", '"x"')),
    Row(IFACE, f"POST {IFACES}/i/keys/network_id/n", 409),
    Row(IFACE, f"POST {IFACES}/i/keys/network_id/m", 409),
    Row((), f"POST {IFACES}/i/keys/ports/x", 409),
    Row((), f"PUT {IFACES}/i/keys/network_id/n", 200, then=(f"{IFACES}/i/keys/network_id", "n")),
    Row(IFACE, f"PUT {IFACES}/i/keys/network_id/n", 200),
    Row(IFACE, f"PUT {IFACES}/i/keys/network_id/m", 409),
    Row((), f"PUT {IFACES}/i/keys/ports/x", 409),
]
ROWS = [
    *NETWORK_ROWS,
    *PORT_ROWS,
    *MAC_ROWS,
    *KEY_ROWS,
    *TUNNEL_ROWS,
    *SWITCH_ROWS,
    *INTERFACE_ROWS,
]


def parts(request: str) -> tuple[str, str, bytes]:
    """Return method, path and body of ``METHOD path body``."""
    method, path, *body = request.split(" ", 2)
    return method, path, body[0].encode("ascii") if body else b""


def row_id(row: Row) -> str:
    """Return a name for a row."""
    after = f" after {' and '.join(row.before)}" if row.before else ""
    return f"{row.request[:90]}{after}: {row.code}"


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_row(row: Row) -> None:
    """The request is answered as the contract says; a refused one changes nothing."""
    client = Client()
    for request in row.before:
        assert client.call(*parts(request)).code < 300, request
    old, commits = dump(client.state), client.core.commits
    method, path, body = parts(row.request)
    reply = client.call(method, path, body)
    assert reply.code == row.code, reply
    if reply.code >= 400:
        check_error(reply)
        assert (dump(client.state), client.core.commits) == (old, commits)
        return
    if method == "GET":
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.value == row.value
        head = client.call("HEAD", path)
        assert (head.code, head.headers, head.body) == (200, reply.headers, b"")
        assert dump(client.state) == old
    else:
        assert reply.body == b""
        assert client.core.commits == commits + 1
    if row.then is not None:
        assert client.call("GET", row.then[0]).value == row.then[1]


def test_locations_are_read_from_the_switches() -> None:
    """An interface that is plugged shows where, whether it is registered or not."""
    client = Client()
    port, row = OFPort(5, "tap0", up=True), InterfaceFact("tap0", 5, "i", MAC)
    for dpid in (0xA2, 0xA1):
        client.state.ports.set_of_port(dpid, port)
        client.state.ports.update_interfaces(dpid, {"tap0": row})
    locations = [{"dpid": dpid, "port_no": 5, "name": "tap0"} for dpid in (D1, D2)]
    assert client.call("GET", IFACES).value == ["i"]
    assert client.call("GET", f"{IFACES}/i/keys").value == ["ports"]
    assert client.call("GET", f"{IFACES}/i/keys/ports").value == locations
    assert client.call("POST", f"{IFACES}/i/keys/ports/x").code == 409
    assert client.call("GET", f"{IFACES}/i/keys/network_id").code == 404
    assert client.call("DELETE", f"{IFACES}/i").code == 404
    for request in (*NETWORK, *IFACE):
        assert client.call(*parts(request)).code == 200
    assert client.call("GET", f"{IFACES}/i/keys").value == ["network_id", "ports"]
    assert client.call("GET", f"{NETS}/n").value == [[N1, 5], [N2, 5]]
    assert client.call("GET", f"{NETS}/n/{D1}_5/macs").value == [MAC]


def test_repeating_what_a_plugin_puts_touches_nothing() -> None:
    """A plugin that starts again sends everything again; no switch is looked at for it."""
    client = Client()
    puts = [
        f"PUT {NETS}/__NW_ID_EXTERNAL__",
        f"PUT {NETS}/__NW_ID_RESERVED__",
        f"PUT {NETS}/__NW_ID_VPORT_GRE__",
        f"PUT {NETS}/n",
        f"PUT {TNETS}/n/key/7",
        f"PUT {IFACES}/i/keys/network_id/n",
        f"PUT {NETS}/__NW_ID_EXTERNAL__/{D1}_1",
        *ADDR,
        f'PUT {CONF}/{D1}/ovsdb_addr "tcp:10.0.0.1:6640"',
    ]
    client.state.ports.set_of_port(0xA1, OFPort(1, "eth0", up=True))
    for request in puts:
        assert client.call(*parts(request)).code < 300
    client.state.changes.take()
    old = dump(client.state)
    for request in puts:
        assert client.call(*parts(request)).code < 300
    assert dump(client.state) == old
    assert not client.state.changes
