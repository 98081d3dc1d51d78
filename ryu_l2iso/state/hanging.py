"""Which ports are to be looked at again when a network, an interface or a switch changes."""

from __future__ import annotations

from ryu_l2iso.state.ports import PortId

_NOTHING = (None, None, None)


class Hanging:
    """network_id, iface_id and tunnel address → ports whose kind or content hangs on it."""

    def __init__(self) -> None:
        self.by_network: dict[str, set[PortId]] = {}
        self.by_interface: dict[str, set[PortId]] = {}
        self.by_remote: dict[str, set[PortId]] = {}
        # port → what it hangs on in each of these, if on anything
        self._known: dict[PortId, tuple[str | None, ...]] = {}

    def __contains__(self, port_id: PortId) -> bool:
        """Tell whether a port hangs on anything."""
        return port_id in self._known

    def put(
        self, port_id: PortId, network_id: str | None, iface_id: str | None, remote: str | None
    ) -> None:
        """Note what a port hangs on, and on nothing else."""
        before, now = self._known.get(port_id, _NOTHING), (network_id, iface_id, remote)
        if now == before:
            return
        self._known[port_id] = now
        if now == _NOTHING:
            del self._known[port_id]
        for index, old, new in zip(
            (self.by_network, self.by_interface, self.by_remote), before, now
        ):
            if old != new and old is not None:
                index[old].discard(port_id)
                if not index[old]:
                    del index[old]
            if old != new and new is not None:
                index.setdefault(new, set()).add(port_id)
