"""``/v1.0/tunnels/networks``: the key of each network."""

from __future__ import annotations

from ryu_l2iso.exceptions import NotFound
from ryu_l2iso.rest.call import OK, Answer, Call, Routes, given
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str


class Keys:
    """Keys; they are independent of whether the network exists."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Routes:
        """Return path → method → handler."""
        key = "/v1.0/tunnels/networks/{network_id}/key"
        return {
            key: {"GET": self._get, "DELETE": self._remove},
            f"{key}/{{key}}": {"POST": self._add, "PUT": self._ensure},
            "/v1.0/tunnels/networks/{network_id}/waits_for": {"GET": self._waits_for},
        }

    def _get(self, call: Call) -> Answer:
        return given(self._key(call.id("network_id")))

    def _waits_for(self, call: Call) -> Answer:
        network_id = call.id("network_id")
        self._key(network_id)
        dpids = self._state.confirmations.holders(network_id)
        return given([dpid_to_str(dpid) for dpid in dpids])

    def _key(self, network_id: str) -> int:
        key = self._state.networks.key(network_id)
        if key is None:
            raise NotFound(f"key: network {network_id} has none")
        return key

    def _add(self, call: Call) -> Answer:
        self._state.add_key(call.id("network_id"), call.key())
        return OK

    def _ensure(self, call: Call) -> Answer:
        self._state.ensure_key(call.id("network_id"), call.key())
        return OK

    def _remove(self, call: Call) -> Answer:
        self._state.remove_key(call.id("network_id"))
        return OK
