"""``/v1.0/networks``: networks, their ports by number, and the MACs of those."""

from __future__ import annotations

from ryu_l2iso.rest.call import OK, Answer, Call, Routes, given
from ryu_l2iso.state.state import State


class Networks:
    """Networks and their ports."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Routes:
        """Return path → method → handler."""
        network = "/v1.0/networks/{network_id}"
        return {
            "/v1.0/networks": {"GET": self._list},
            network: {
                "GET": self._ports,
                "POST": self._add,
                "PUT": self._ensure,
                "DELETE": self._remove,
            },
            f"{network}/{{port}}": {
                "POST": self._add_port,
                "PUT": self._ensure_port,
                "DELETE": self._remove_port,
            },
            f"{network}/{{port}}/macs": {"GET": self._macs},
            f"{network}/{{port}}/macs/{{mac}}": {"POST": self._add_mac, "PUT": self._ensure_mac},
        }

    def _list(self, call: Call) -> Answer:
        return given(self._state.networks.ids())

    def _add(self, call: Call) -> Answer:
        self._state.add_network(call.id("network_id"))
        return OK

    def _ensure(self, call: Call) -> Answer:
        self._state.ensure_network(call.id("network_id"))
        return OK

    def _remove(self, call: Call) -> Answer:
        self._state.remove_network(call.id("network_id"))
        return OK

    def _ports(self, call: Call) -> Answer:
        ports = self._state.network_ports(call.id("network_id"))
        return given([[port.dpid, port.port_no] for port in ports])

    def _add_port(self, call: Call) -> Answer:
        self._state.add_port(call.id("network_id"), call.port())
        return OK

    def _ensure_port(self, call: Call) -> Answer:
        self._state.ensure_port(call.id("network_id"), call.port())
        return OK

    def _remove_port(self, call: Call) -> Answer:
        self._state.remove_port(call.id("network_id"), call.port())
        return OK

    def _macs(self, call: Call) -> Answer:
        mac = self._state.port_mac(call.id("network_id"), call.port())
        return given([] if mac is None else [mac])

    def _add_mac(self, call: Call) -> Answer:
        self._state.add_mac(call.id("network_id"), call.port(), call.mac())
        return OK

    def _ensure_mac(self, call: Call) -> Answer:
        self._state.ensure_mac(call.id("network_id"), call.port(), call.mac())
        return OK
