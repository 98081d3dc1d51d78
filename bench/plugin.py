"""The plugin and the agents, as far as the controller hears of them: REST v1.0."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.cloud import VM, key, network_id, tunnel_ip

CONNECTIONS = 4
"""How many requests are under way at once; Neutron's server has some workers too."""

AT_ONCE = 100
"""Calls of a batch (docs/rest.rst)."""

TIMEOUT = 120.0

_BATCH = "/batch"

Call = tuple[str, str, Any]
"""Method, path below /v1.0, and value to be sent as JSON or None."""


def networks(numbers: Iterable[int], keys: bool = True) -> list[Call]:
    """Return the calls that make networks and give them their keys, if the isolation has any."""
    calls: list[Call] = []
    for number in numbers:
        calls.append(("POST", f"/networks/{network_id(number)}", None))
        path = f"/tunnels/networks/{network_id(number)}/key/{key(number)}"
        calls += [("POST", path, None)] if keys else []
    return calls


def interfaces(vms: Iterable[VM]) -> list[Call]:
    """Return the calls that say of which network interfaces are."""
    keys = "keys/network_id"
    return [
        ("POST", f"/quantum/ports/{vm.iface_id}/{keys}/{network_id(vm.network)}", None)
        for vm in vms
    ]


def switches(addresses: Mapping[int, str]) -> list[Call]:
    """Return the calls by which agents register; ``addresses`` is dpid → OVSDB address."""
    calls: list[Call] = []
    for dpid, address in addresses.items():
        calls.append(("PUT", f"/conf/switches/{dpid:016x}/ovs_tunnel_addr", tunnel_ip(dpid)))
        calls.append(("PUT", f"/conf/switches/{dpid:016x}/ovsdb_addr", address))
    return calls


class Plugin:
    """A client of the REST API at a port of 127.0.0.1.

    ``at_once`` are the calls that it sends in a batch when it has many; 1: each by itself.
    """

    def __init__(self, port: int, at_once: int = AT_ONCE) -> None:
        self._port = port
        self._at_once = at_once

    def call(self, calls: Iterable[Call]) -> None:
        """Make calls one after the other, on one connection; raises RuntimeError for a refusal."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            for method, path, value in calls:
                body = None if value is None else json.dumps(value)
                connection.request(method, f"/v1.0{path}", body)
                response = connection.getresponse()
                text = response.read().decode(errors="replace")
                told = json.loads(text) if path == _BATCH and response.status == 200 else []
                refused = [one for one in told if one["code"] >= 300]
                if response.status >= 300 or refused:
                    raise RuntimeError(f"{method} {path}: {response.status} {refused or text}")
        finally:
            connection.close()

    def call_in_parallel(self, calls: list[Call]) -> None:
        """Make calls on several connections; two calls of a connection keep their order."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            parts = [calls[number::CONNECTIONS] for number in range(CONNECTIONS)]
            list(pool.map(self.call if self._at_once == 1 else self._call_in_batches, parts))

    def _call_in_batches(self, calls: list[Call]) -> None:
        orders = [
            {"method": method, "path": f"/v1.0{path}", **({} if body is None else {"body": body})}
            for method, path, body in calls
        ]
        starts = range(0, len(orders), self._at_once)
        self.call(("POST", _BATCH, orders[n : n + self._at_once]) for n in starts)
