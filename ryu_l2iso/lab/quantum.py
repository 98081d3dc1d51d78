"""A Quantum plugin as the controller knows one: the calls of REST v1.0, in its order."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from typing import Any, NamedTuple
from urllib.parse import quote

from ryu_l2iso.lab.certificates import Certificates
from ryu_l2iso.lab.credentials import Tokens
from ryu_l2iso.lab.netns import Namespace
from ryu_l2iso.lab.shell import LabError

RESERVED_NETWORKS = ("__NW_ID_EXTERNAL__", "__NW_ID_RESERVED__", "__NW_ID_VPORT_GRE__")
SUCCESS = (200, 201, 202, 204)


class Answer(NamedTuple):
    """An HTTP answer; ``text`` is its body."""

    status: int
    text: str


class _Connection(http.client.HTTPConnection):
    """An HTTP connection whose socket belongs to a namespace; with a context it is https."""

    def __init__(
        self, namespace: Namespace, address: str, port: int, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, port, timeout=10)
        self._namespace = namespace
        self._context = context

    def connect(self) -> None:
        self.sock = self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect((self.host, self.port))
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


class Quantum:
    """The plugin; it speaks from ``namespace`` to the REST API at ``address``, ``port``.

    By https where there are ``certificates``.
    """

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        port: int,
        tokens: Tokens,
        certificates: Certificates | None = None,
    ) -> None:
        self._namespace = namespace
        self._address = address
        self._port = port
        self._tokens = tokens
        self._certificates = certificates

    def request(self, method: str, path: str, body: Any | None = None) -> Answer:
        """Send one request, ``path`` below /v1.0, ``body`` as JSON; raises OSError."""
        secure = self._certificates
        context = None if secure is None else secure.client_context()
        connection = _Connection(self._namespace, self._address, self._port, context)
        try:
            data = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self._tokens.for_path(path)}"}
            connection.request(method, f"/v1.0{path}", data, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        finally:
            connection.close()

    def _call(self, method: str, path: str, *, forgive_404: bool = False) -> str:
        answer = self.request(method, path)
        if answer.status not in SUCCESS and not (forgive_404 and answer.status == 404):
            raise LabError(f"{method} /v1.0{path}: {answer.status} {answer.text.strip()}")
        return answer.text

    def get(self, path: str) -> Any:
        """Return the JSON value at a path below /v1.0; raises LabError for an error status."""
        return json.loads(self._call("GET", path))

    def answers(self) -> bool:
        """Whether the REST API answers."""
        try:
            return self.request("GET", "/networks").status == 200
        except OSError:
            return False

    def knows_switch(self, dpid: str) -> bool:
        """Whether an agent has registered the switch's OVSDB address, the last of its facts."""
        return self.request("GET", f"/conf/switches/{dpid}/ovsdb_addr").status == 200

    def start(self) -> None:
        """Do what the plugin does at its start: make the reserved networks."""
        for network_id in RESERVED_NETWORKS:
            self._call("PUT", f"/networks/{network_id}")

    def create_network(self, network_id: str, key: int) -> None:
        """Make a network and give it its key."""
        name = quote(network_id, safe="")
        self._call("POST", f"/networks/{name}")
        self._call("POST", f"/tunnels/networks/{name}/key/{key}")

    def delete_network(self, network_id: str) -> None:
        """Delete a network and, after it, its key."""
        name = quote(network_id, safe="")
        self._call("DELETE", f"/networks/{name}", forgive_404=True)
        self._call("DELETE", f"/tunnels/networks/{name}/key", forgive_404=True)

    def create_interface(self, iface_id: str, network_id: str) -> None:
        """Say to which network an interface belongs."""
        interface, network = quote(iface_id, safe=""), quote(network_id, safe="")
        self._call("POST", f"/quantum/ports/{interface}/keys/network_id/{network}")

    def delete_interface(self, iface_id: str) -> None:
        """Say that an interface is in no network any more."""
        self._call("DELETE", f"/quantum/ports/{quote(iface_id, safe='')}", forgive_404=True)

    def update_interface(self, iface_id: str, network_id: str) -> None:
        """Say it again, as the plugin does at each of its starts."""
        interface, network = quote(iface_id, safe=""), quote(network_id, safe="")
        self._call("PUT", f"/quantum/ports/{interface}/keys/network_id/{network}")
