"""What the controller is told of a compute node, and the REST calls that tell it."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import Any

import eventlet
import requests

from ryu_l2iso import tls
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.state.values import dpid_to_str
from ryu_l2iso.tokens import read_token

EXTERNAL = "__NW_ID_EXTERNAL__"
REQUEST_DEADLINE = 5.0
"""Seconds that a whole request may take, its answer included."""


class ControllerError(L2IsoError):
    """The controller cannot be reached, does not answer in time, or refuses."""


class AddressTaken(ControllerError):
    """Another switch has the tunnel address."""


@dataclass(frozen=True)
class Registration:
    """One switch: ``external_ports`` are OpenFlow port numbers, the addresses as in REST v1.0."""

    dpid: int
    external_ports: tuple[int, ...]
    tunnel_addr: str
    ovsdb_addr: str

    def __str__(self) -> str:
        ports = ", ".join(str(p) for p in self.external_ports) or "none"
        return (
            f"switch {dpid_to_str(self.dpid)}, tunnels at {self.tunnel_addr}, "
            f"OVSDB at {self.ovsdb_addr}, external ports: {ports}"
        )


class Controller:
    """The controller's REST API, as far as a compute node needs it.

    Every method raises ControllerError when the controller cannot be reached, or does not answer
    within ``REQUEST_DEADLINE``, or answers with an error; and L2IsoError when the file with our
    token cannot be used.
    """

    def __init__(
        self,
        url: str,
        token_file: str | None = None,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        """``ca``: PEM file that https is verified with; ``certificate``: ours, and its key."""
        self._base = f"{url.rstrip('/')}/v1.0"
        self._token_file = token_file
        self._session = requests.Session()
        # The controller is on the management network; a proxy is for the way out of it.
        self._session.trust_env = False
        self._session.verify = ca or True
        self._session.cert = certificate

    def has(self, registration: Registration) -> bool:
        """Tell whether the controller knows all of the registration."""
        dpid = registration.dpid
        if self._value(dpid, "ovs_tunnel_addr") != registration.tunnel_addr:
            return False
        if self._value(dpid, "ovsdb_addr") != registration.ovsdb_addr:
            return False
        wanted = set(registration.external_ports)
        return not wanted or wanted <= self.external_ports(dpid)

    def others_at(self, registration: Registration) -> list[int]:
        """Return the switches that are registered under another dpid at both of its addresses.

        Of those that our token is good for: others are none of our business.
        """
        dpids = [int(dpid, 16) for dpid in self._get("conf/switches") or []]
        return [
            dpid
            for dpid in dpids
            if dpid != registration.dpid
            and self._get(self._name(dpid, "ovs_tunnel_addr"), 403) == registration.tunnel_addr
            and self._get(self._name(dpid, "ovsdb_addr"), 403) == registration.ovsdb_addr
        ]

    def external_ports(self, dpid: int) -> set[int]:
        """Return the ports of a switch that are in the network of uplinks."""
        ports = self._get(f"networks/{EXTERNAL}") or []
        return {port_no for switch, port_no in ports if switch == dpid}

    def add_external_port(self, dpid: int, port_no: int) -> None:
        """Put a port into the network of uplinks."""
        self._call("PUT", self._external(dpid, port_no))

    def remove_external_port(self, dpid: int, port_no: int) -> None:
        """Take a port out of the network of uplinks; one that is not in it is fine."""
        self._call("DELETE", self._external(dpid, port_no), 404)

    def set_tunnel_addr(self, dpid: int, address: str) -> None:
        """Set a switch's tunnel address; raises AddressTaken (409) while another has it."""
        answer = self._request("PUT", self._name(dpid, "ovs_tunnel_addr"), address)
        if answer.status_code == 409:
            raise AddressTaken(
                f"tunnel address {address} is registered for another switch: {_reason(answer)}"
            )
        _check(answer)

    def set_ovsdb_addr(self, dpid: int, address: str) -> None:
        """Set a switch's OVSDB address; the controller connects to it."""
        _check(self._request("PUT", self._name(dpid, "ovsdb_addr"), address))

    def remove_switch(self, dpid: int) -> None:
        """Remove all that is configured of a switch; one that is unknown is fine."""
        self._call("DELETE", f"conf/switches/{dpid_to_str(dpid)}", 404)

    @staticmethod
    def _external(dpid: int, port_no: int) -> str:
        return f"networks/{EXTERNAL}/{dpid_to_str(dpid)}_{port_no}"

    @staticmethod
    def _name(dpid: int, name: str) -> str:
        return f"conf/switches/{dpid_to_str(dpid)}/{name}"

    def _value(self, dpid: int, name: str) -> Any:
        return self._get(self._name(dpid, name))

    def _get(self, path: str, *forgiven: int) -> Any:
        """Return the JSON value of a resource; None for an answer of 404, or one forgiven."""
        answer = self._call("GET", path, 404, *forgiven)
        if answer.status_code in (404, *forgiven):
            return None
        try:
            return answer.json()
        except ValueError:
            raise ControllerError(f"GET {answer.url}: the answer is not JSON") from None

    def _call(self, method: str, path: str, *forgiven: int) -> Any:
        answer = self._request(method, path)
        if answer.status_code not in forgiven:
            _check(answer)
        return answer

    def _request(self, method: str, path: str, value: Any = None) -> Any:
        url = f"{self._base}/{path}"
        headers = {}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {read_token(self._token_file)}"
        late = ControllerError(f"the controller does not answer at {self._base}: timed out")
        try:
            # The time-out of requests is one for each read, so a trickle would pass it.
            with eventlet.Timeout(REQUEST_DEADLINE, late):
                return self._session.request(
                    method,
                    url,
                    json=value,
                    headers=headers,
                    timeout=REQUEST_DEADLINE,
                    allow_redirects=False,
                )
        except OSError as error:
            # Those of requests are too; so is that of a CA file that is not there.
            reason = _innermost(error)
            raise ControllerError(
                f"the controller does not answer at {self._base}: {reason}"
            ) from error


def _innermost(error: BaseException) -> str:
    """Return the text of the first cause, which is the one that says something."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, ssl.SSLError):
        return tls.cause(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _reason(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(answer.reason)


def _check(answer: Any) -> None:
    if not 200 <= answer.status_code < 300:
        method, status = answer.request.method, answer.status_code
        raise ControllerError(f"{method} {answer.url}: {status} {_reason(answer)}")
