"""The registration of switches: values by name, as agents put them by REST."""

from __future__ import annotations

from ryu_l2iso.exceptions import Conflict, NotFound
from ryu_l2iso.state.values import dpid_to_str, parse_ovsdb_addr, parse_tunnel_addr

OVSDB_ADDR = "ovsdb_addr"
TUNNEL_ADDR = "ovs_tunnel_addr"


class Switches:
    """dpid → name → JSON value; ``ovsdb_addr`` and ``ovs_tunnel_addr`` have a meaning."""

    def __init__(self) -> None:
        self._values: dict[int, dict[str, object]] = {}
        self._by_tunnel_addr: dict[str, int] = {}

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
        address that another switch has.
        """
        if name == OVSDB_ADDR:
            value = parse_ovsdb_addr(value)
        elif name == TUNNEL_ADDR:
            value = self._take_tunnel_addr(dpid, parse_tunnel_addr(value))
        values = self._values.setdefault(dpid, {})
        changed = name not in values or values[name] != value
        values[name] = value
        return changed

    def remove_value(self, dpid: int, name: str) -> None:
        """Remove a value; the switch stays registered; raises NotFound."""
        value = self.value(dpid, name)
        if name == TUNNEL_ADDR:
            del self._by_tunnel_addr[str(value)]
        del self._values[dpid][name]

    def remove(self, dpid: int) -> None:
        """Forget a switch that has no values left; raises NotFound."""
        assert not self.names(dpid)
        del self._values[dpid]

    def _of(self, dpid: int) -> dict[str, object]:
        if dpid not in self._values:
            raise NotFound(f"dpid: switch {dpid_to_str(dpid)} is not registered")
        return self._values[dpid]

    def _take_tunnel_addr(self, dpid: int, address: str) -> str:
        owner = self._by_tunnel_addr.get(address, dpid)
        if owner != dpid:
            raise Conflict(f"{TUNNEL_ADDR}: switch {dpid_to_str(owner)} has {address}")
        current = self.tunnel_addr(dpid)
        if current is not None:
            del self._by_tunnel_addr[current]
        self._by_tunnel_addr[address] = dpid
        return address
