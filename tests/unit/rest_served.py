"""A REST server in this process, with a state of its own, and ways to talk to it."""

from __future__ import annotations

import http.client
import socket

from ryu_l2iso.rest.access import Access
from ryu_l2iso.rest.server import Server
from tests.unit.rest_client import Client

PATH = "/v1.0/conf/switches/00000000000000a1/x"
SECONDS = 5
"""Deadline of everything that a test waits for."""


class Served:
    """A server with a state of its own, and ways to talk to it."""

    def __init__(self, access: Access | None = None) -> None:
        self.client = Client(access)
        self.server = Server(self.client.application)
        self.thread = self.server.start("127.0.0.1", 0)
        self.address = self.server.address

    def connect(self) -> socket.socket:
        """Return a connection that gives up after SECONDS."""
        return socket.create_connection(self.address, timeout=SECONDS)

    def http(self) -> http.client.HTTPConnection:
        """Return a connection of the standard library's client."""
        return http.client.HTTPConnection(*self.address, timeout=SECONDS)

    def send(self, data: bytes) -> bytes:
        """Send ``data`` and nothing more; return all that is answered until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return receive_all(connection)

    def check_answers(self) -> None:
        """Assert that the server answers."""
        connection = self.http()
        connection.request("GET", "/v1.0/networks")
        assert connection.getresponse().status == 200
        connection.close()


def receive_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def put(headers: bytes, body: bytes = b"") -> bytes:
    """Return a PUT with these header lines."""
    return b"PUT " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body
