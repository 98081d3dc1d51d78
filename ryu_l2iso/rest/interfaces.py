"""``/v1.0/quantum/ports``: interfaces, their values and where they are plugged."""

from __future__ import annotations

from ryu_l2iso.rest.call import OK, Answer, Call, Routes, given
from ryu_l2iso.state.interfaces import PORTS
from ryu_l2iso.state.ports import VMPort
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str


class Interfaces:
    """Interfaces; values besides ``network_id`` are kept as strings and given back."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Routes:
        """Return path → method → handler."""
        interface = "/v1.0/quantum/ports/{iface_id}"
        return {
            "/v1.0/quantum/ports": {"GET": self._list},
            interface: {"DELETE": self._remove},
            f"{interface}/keys": {"GET": self._names},
            f"{interface}/keys/{{name}}": {"GET": self._get},
            f"{interface}/keys/{{name}}/{{value}}": {"POST": self._add, "PUT": self._ensure},
        }

    def _list(self, call: Call) -> Answer:
        return given(self._state.interface_ids())

    def _remove(self, call: Call) -> Answer:
        self._state.remove_interface(call.id("iface_id"))
        return OK

    def _names(self, call: Call) -> Answer:
        return given(self._state.interface_names(call.id("iface_id")))

    def _get(self, call: Call) -> Answer:
        iface_id, name = call.id("iface_id"), call.id("name")
        if name == PORTS:
            return given([_location(port) for port in self._state.locations(iface_id)])
        return given(self._state.interface_value(iface_id, name))

    def _add(self, call: Call) -> Answer:
        self._state.add_interface_value(call.id("iface_id"), call.id("name"), call.id("value"))
        return OK

    def _ensure(self, call: Call) -> Answer:
        self._state.ensure_interface_value(call.id("iface_id"), call.id("name"), call.id("value"))
        return OK


def _location(port: VMPort) -> dict[str, object]:
    return {"dpid": dpid_to_str(port.dpid), "port_no": port.port_no, "name": port.name}
