"""``/v1.0/tunnels/switches``: where tunnel ports lead."""

from __future__ import annotations

from ryu_l2iso.rest.call import OK, Answer, Call, Routes, given
from ryu_l2iso.state.ports import PortId
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str


class Tunnels:
    """Tunnel ports, those made on demand and those that somebody registers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Routes:
        """Return path → method → handler."""
        ports = "/v1.0/tunnels/switches/{dpid}/ports"
        return {
            ports: {"GET": self._list},
            f"{ports}/{{port_no}}": {"GET": self._get, "DELETE": self._remove},
            f"{ports}/{{port_no}}/{{remote_dpid}}": {"POST": self._add, "PUT": self._ensure},
        }

    def _list(self, call: Call) -> Answer:
        return given(self._state.tunnel_ports(call.dpid()))

    def _get(self, call: Call) -> Answer:
        remote_dpid = self._state.tunnel_remote(PortId(call.dpid(), call.port_no()))
        return given(dpid_to_str(remote_dpid))

    def _add(self, call: Call) -> Answer:
        port_id = PortId(call.dpid(), call.port_no())
        self._state.add_tunnel(port_id, call.dpid("remote_dpid"))
        return OK

    def _ensure(self, call: Call) -> Answer:
        port_id = PortId(call.dpid(), call.port_no())
        self._state.ensure_tunnel(port_id, call.dpid("remote_dpid"))
        return OK

    def _remove(self, call: Call) -> Answer:
        self._state.remove_tunnel(PortId(call.dpid(), call.port_no()))
        return OK
