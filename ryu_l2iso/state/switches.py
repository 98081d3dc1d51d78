"""The registration of switches: values by name, as agents put them by REST."""

from __future__ import annotations

import json

from ryu_l2iso.exceptions import Conflict, NotFound
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.records import SWITCH_VALUES, SWITCHES
from ryu_l2iso.state.values import dpid_to_str, parse_ovsdb_addr, parse_tunnel_addr

WAITED_FOR = "waited_for"
"""Name of a value that nobody puts: what networks wait for from the switch."""

MAX_VALUES = 64
"""Values of one switch: its agent names them, and may do so for one switch only."""

OVSDB_ADDR = "ovsdb_addr"
TUNNEL_ADDR = "ovs_tunnel_addr"


class Switches:
    """dpid → name → JSON value; ``ovsdb_addr`` and ``ovs_tunnel_addr`` have a meaning."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._values: dict[int, dict[str, object]] = {}
        self._by_tunnel_addr: dict[str, int] = {}

    def __contains__(self, dpid: object) -> bool:
        return dpid in self._values

    def ids(self) -> list[int]:
        """Return the dpids of all registered switches, sorted."""
        return sorted(self._values)

    def names(self, dpid: int) -> list[str]:
        """Return the names of a switch's values, sorted; raises NotFound."""
        return sorted(self._of(dpid))

    def value(self, dpid: int, name: str) -> object:
        """Return a value; raises NotFound."""
        values = self._of(dpid)
        if name not in values:
            raise NotFound(f"{name}: switch {dpid_to_str(dpid)} has none")
        return values[name]

    def ovsdb_addr(self, dpid: int) -> str | None:
        """Return where the switch's OVSDB server listens, or None."""
        value = self._values.get(dpid, {}).get(OVSDB_ADDR)
        return value if isinstance(value, str) else None

    def tunnel_addr(self, dpid: int) -> str | None:
        """Return the switch's end of its tunnels, or None."""
        value = self._values.get(dpid, {}).get(TUNNEL_ADDR)
        return value if isinstance(value, str) else None

    def by_tunnel_addr(self, address: str) -> int | None:
        """Return the switch whose tunnels end at ``address``, or None."""
        return self._by_tunnel_addr.get(address)

    def set(self, dpid: int, name: str, value: object) -> bool:
        """Set a value and tell whether it differs from before.

        Raises InvalidValue for a value that the name does not take, Conflict for a tunnel
        address that another switch has, for `WAITED_FOR`, and for one more than `MAX_VALUES`.
        """
        if name == WAITED_FOR:
            raise Conflict(f"{name}: follows from what the switch has confirmed")
        if name == OVSDB_ADDR:
            value = parse_ovsdb_addr(value)
        elif name == TUNNEL_ADDR:
            value = parse_tunnel_addr(value)
            owner = self._by_tunnel_addr.get(value, dpid)
            if owner != dpid:
                raise Conflict(f"{TUNNEL_ADDR}: switch {dpid_to_str(owner)} has {value}")
        values = self._values.get(dpid, {})
        if name not in values and len(values) >= MAX_VALUES:
            raise Conflict(f"{name}: switch {dpid_to_str(dpid)} has {MAX_VALUES} values already")
        self.put(dpid)
        changed = name not in values or values[name] != value
        self.put_value(dpid, name, value)
        return changed

    def remove(self, dpid: int) -> None:
        """Forget a switch that has no values left; raises NotFound."""
        assert not self.names(dpid)
        del self._values[dpid]
        self._changes.record(SWITCHES, (dpid,), None, ())

    def put(self, dpid: int) -> None:
        """Register a switch, without any value, if it is not."""
        if dpid not in self._values:
            self._values[dpid] = {}
            self._changes.record(SWITCHES, (dpid,), (), None)

    def put_value(self, dpid: int, name: str, value: object) -> None:
        """Set a value of a registered switch, in its form; no other has it where it is unique."""
        self.discard_value(dpid, name)
        self._values[dpid][name] = value
        if name == TUNNEL_ADDR:
            self._by_tunnel_addr[str(value)] = dpid
        self._changes.record(SWITCH_VALUES, (dpid, name), (json.dumps(value),), None)

    def discard_value(self, dpid: int, name: str) -> None:
        """Remove a value, if there is one; the switch stays registered."""
        values = self._values.get(dpid, {})
        if name in values:
            value = values.pop(name)
            if name == TUNNEL_ADDR:
                del self._by_tunnel_addr[str(value)]
            self._changes.record(SWITCH_VALUES, (dpid, name), None, (json.dumps(value),))

    def _of(self, dpid: int) -> dict[str, object]:
        if dpid not in self._values:
            raise NotFound(f"dpid: switch {dpid_to_str(dpid)} is not registered")
        return self._values[dpid]
