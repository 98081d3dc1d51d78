"""A controller that knows only the REST calls of an agent, and can misbehave on demand."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_VALUE = re.compile(r"/v1\.0/conf/switches/([0-9a-f]{16})/(\w+)")
_SWITCH = re.compile(r"/v1\.0/conf/switches/([0-9a-f]{16})")
_PORT = re.compile(r"/v1\.0/networks/__NW_ID_EXTERNAL__/([0-9a-f]{16})_([0-9]+)")


class FakeController:
    """Use it as a context manager; ``calls`` are the requests that change something, in order.

    ``switches`` is dpid → name → value, ``external`` the ports of the external network as
    (dpid, port_no); ``requests`` and ``gets`` count, ``asked`` are the paths of the gets.
    ``hanging`` makes every request hang, ``trickling`` gives an answer that never ends,
    ``status`` answers all with that.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.switches: dict[str, dict[str, Any]] = {}
        self.external: set[tuple[str, int]] = set()
        self.hanging = False
        self.trickling = False
        self.status: int | None = None
        self.gets = 0
        self.asked: set[str] = set()
        self.requests = 0
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeController:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.trickling = False
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Lose everything, as a controller does that restarts."""
        self.switches.clear()
        self.external.clear()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return status and JSON value of the answer."""
        self.requests += 1
        if self.hanging:
            self.released.wait(60)
        if self.status is not None:
            return self.status, {"error": {"message": "told to refuse"}}
        if method == "GET":
            self.gets += 1
            self.asked.add(path)
        else:
            self.calls.append(f"{method} {path}")
        if path == "/v1.0/networks/__NW_ID_EXTERNAL__":
            return 200, sorted([int(dpid, 16), port_no] for dpid, port_no in self.external)
        if path == "/v1.0/conf/switches":
            return 200, sorted(self.switches)
        value, switch, port = (p.fullmatch(path) for p in (_VALUE, _SWITCH, _PORT))
        if value:
            return self._value(method, value[1], value[2], body)
        if switch and method == "DELETE":
            return (202 if self.switches.pop(switch[1], None) else 404), None
        if port:
            change = self.external.add if method == "PUT" else self.external.discard
            change((port[1], int(port[2])))
            return 200, None
        return 404, None

    def _value(self, method: str, dpid: str, name: str, body: bytes) -> tuple[int, Any]:
        values = self.switches.get(dpid, {})
        if method == "GET":
            return (200, values[name]) if name in values else (404, None)
        value = json.loads(body)
        others = [v.get(name) for d, v in self.switches.items() if d != dpid]
        if name == "ovs_tunnel_addr" and value in others:
            return 409, {"error": {"message": "another switch has it"}}
        self.switches.setdefault(dpid, {})[name] = value
        return 201, None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        controller = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, value = controller.answer(self.command, self.path, body)
                if controller.trickling:
                    self.trickle()
                    return
                data = b"" if value is None else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def trickle(self) -> None:
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while controller.trickling:
                        self.wfile.write(b" ")
                        controller.released.wait(0.02)

            do_GET = do_PUT = do_DELETE = do_POST = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the output of the tests clean."""

        return Handler
