"""``/v1.0/conf/switches``: the values that agents register of their switches."""

from __future__ import annotations

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.rest.call import ACCEPTED, CREATED, OK, Answer, Call, Routes, given
from ryu_l2iso.state.state import State
from ryu_l2iso.state.switches import OVSDB_ADDR, WAITED_FOR
from ryu_l2iso.state.values import dpid_to_str


class Switches:
    """Registered switches and their values.

    With ``by_tls`` an OVSDB server is reached by TLS or not at all: no other address is taken.
    """

    def __init__(self, state: State, by_tls: bool) -> None:
        self._state = state
        self._by_tls = by_tls

    def routes(self) -> Routes:
        """Return path → method → handler."""
        switch = "/v1.0/conf/switches/{dpid}"
        return {
            "/v1.0/conf/switches": {"GET": self._list},
            switch: {"GET": self._names, "DELETE": self._remove},
            f"{switch}/{{name}}": {
                "GET": self._get,
                "PUT": self._set,
                "DELETE": self._remove_value,
            },
        }

    def _list(self, call: Call) -> Answer:
        return given([dpid_to_str(dpid) for dpid in self._state.switches.ids()])

    def _names(self, call: Call) -> Answer:
        dpid, switches = call.dpid(), self._state.switches
        if not self._state.confirmations.waited_for(dpid):
            return given(switches.names(dpid))
        names = switches.names(dpid) if dpid in switches else []
        return given(sorted([*names, WAITED_FOR]))

    def _remove(self, call: Call) -> Answer:
        self._state.remove_switch(call.dpid())
        return ACCEPTED

    def _get(self, call: Call) -> Answer:
        dpid, name = call.dpid(), call.id("name")
        waits = self._state.confirmations.waited_for(dpid) if name == WAITED_FOR else []
        if not waits:
            return given(self._state.switches.value(dpid, name))
        given_of = [{n: v for n, v in wait._asdict().items() if v is not None} for wait in waits]
        return given(given_of)

    def _set(self, call: Call) -> Answer:
        dpid, name, value = call.dpid(), call.id("name"), call.value()
        if self._by_tls and name == OVSDB_ADDR and not str(value).startswith("ssl:"):
            rule = "must be ssl:IP:PORT, as OVSDB goes by TLS: the node needs its certificate"
            raise InvalidValue(name, rule)
        self._state.set_switch_value(dpid, name, value)
        return CREATED

    def _remove_value(self, call: Call) -> Answer:
        self._state.remove_switch_value(call.dpid(), call.id("name"))
        return OK
