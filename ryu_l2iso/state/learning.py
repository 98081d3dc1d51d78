"""Which MAC is in which network, where the isolation tells networks apart by nothing but MACs.

Such an isolation needs that a MAC is in one network only, in the whole fleet:

1. A MAC attached to a complete VM port is in that port's network.  Where two networks attach one
   MAC, that of the port that came first has it.  Ports of the other wait, without any flow, until
   the last port of the first is gone.
2. A VM port learns what else its VM sends from, unless that MAC is attached to another port or is
   learned in another network.  Within a network it goes to the port that sent from it last.
3. A port has a limited number of learned MACs; the oldest makes room.  All go with the port.
4. A MAC that leaves a network is free for another one only when no switch may have a flow of the
   old one any more: each has confirmed it.

So the order of facts counts in one case only, between networks that want the same MAC.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_l2iso.state.changes import Changes, MacRefusal
from ryu_l2iso.state.holders import Holders
from ryu_l2iso.state.ports import PortId, VMPort
from ryu_l2iso.state.subjects import PortSubject, Subject
from ryu_l2iso.state.topology import Topology

MAX_REFUSALS = 64
"""MACs of one port of which it is told that they were refused; no more are, until it is gone."""


class Macs:
    """The complete VM ports on their way into the topology, and what they learn.

    As long as `tell_apart` was not called, a MAC may be in any number of networks.
    """

    def __init__(self, topology: Topology, changes: Changes) -> None:
        self._topology = topology
        self._changes = changes
        self._exclusive = False
        self.learning_max = 0
        # MAC → complete ports that it is attached to, in the order in which they came
        self._attached: dict[str, dict[PortId, VMPort]] = {}
        # The ports that are in the topology
        self._admitted: dict[PortId, VMPort] = {}
        # port → learned MACs, the oldest first; and each learned MAC → its port
        self._learned: dict[PortId, dict[str, None]] = {}
        self._learner: dict[str, PortId] = {}
        self._refused: dict[PortId, set[str]] = {}
        self._holders = Holders()

    def tell_apart(self, learning_max: int) -> None:
        """Have a MAC in one network only; call it before any port is known.

        ``learning_max`` is how many MACs a port may learn.
        """
        self._exclusive = True
        self.learning_max = learning_max

    def replace(self, old: VMPort | None, new: VMPort | None) -> None:
        """Record that a complete VM port came (``old`` is None), changed or went."""
        if not self._exclusive:
            if old is not None:
                self._topology.remove_vm_port(old)
            if new is not None:
                self._topology.add_vm_port(new)
        elif old is not None and new is not None and _use(old) == _use(new):
            self._update(new)
        else:
            if old is not None:
                self._remove(old)
            if new is not None:
                self._add(new)

    def learned(self, port_id: PortId) -> list[str]:
        """Return the MACs that a port has learned, the oldest first."""
        return list(self._learned.get(port_id, ()))

    def learn(self, port_id: PortId, mac: str) -> None:
        """Record that a VM sent from a MAC; nothing happens where it may not, or already has."""
        port = self._admitted.get(port_id)
        if port is None or not self._topology.is_active(port_id) or not _is_station(mac):
            return
        if port_id in self._attached.get(mac, ()) or self._learner.get(mac) == port_id:
            return
        owner = self._owner(mac)
        if owner is not None and not self._may_take(port, mac, owner):
            self._refuse(port, mac, owner)
        elif self.learning_max and self._is_free(mac, port):
            self._take(port, mac)

    # -- what switches hold ------------------------------------------------------------------

    def may_hold(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Record that flows for these subjects are about to be sent to a switch."""
        if self._exclusive:
            self._holders.add(dpid, subjects)

    def holds_none(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Record that a switch has confirmed to hold nothing for these subjects."""
        self._settle_all(self._holders.discard(dpid, subjects))

    def holds_only(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Record that a switch has confirmed to hold nothing for any other subjects."""
        self._settle_all(self._holders.keep(dpid, subjects))

    def _settle_all(self, macs: Iterable[str]) -> None:
        for mac in macs:
            self._settle(mac)

    def _is_free(self, mac: str, port: VMPort) -> bool:
        return not self._holders.others(mac, port.network_id)

    # -- attached MACs -----------------------------------------------------------------------

    def _add(self, port: VMPort) -> None:
        ports = self._attached.setdefault(port.mac or "", {})
        ports[port.id] = port
        self._settle(port.mac or "")
        if port.id not in self._admitted:
            self._refuse(port, port.mac or "", self._owner(port.mac or "") or port)

    def _remove(self, port: VMPort) -> None:
        ports = self._attached[port.mac or ""]
        del ports[port.id]
        if not ports:
            del self._attached[port.mac or ""]
        self._refused.pop(port.id, None)
        if self._admitted.pop(port.id, None) is not None:
            for mac in self.learned(port.id):
                self._forget(port.id, mac)
            self._topology.remove_vm_port(port)
        self._settle(port.mac or "")

    def _update(self, port: VMPort) -> None:
        """Put a port that has kept network and MAC in the place of what it was."""
        self._attached[port.mac or ""][port.id] = port
        if port.id in self._admitted:
            learned = self.learned(port.id)
            for mac in learned:
                self._topology.forget(port.id, mac)
            self._topology.remove_vm_port(self._admitted[port.id])
            self._topology.add_vm_port(port)
            self._admitted[port.id] = port
            for mac in learned:
                self._topology.learn(port.id, mac)

    def _settle(self, mac: str) -> None:
        """Admit the ports that an attached MAC is for, as far as it is free."""
        ports = list(self._attached.get(mac, {}).values())
        if not ports:
            return
        if mac in self._learner:
            self._forget(self._learner[mac], mac)
        first = next((port for port in ports if port.id in self._admitted), ports[0])
        if not self._is_free(mac, first):
            return
        for port in ports:
            if port.network_id == first.network_id and port.id not in self._admitted:
                self._admitted[port.id] = port
                self._topology.add_vm_port(port)
                self._changes.mark(port.dpid, [PortSubject(port.port_no)])

    # -- learned MACs ------------------------------------------------------------------------

    def _take(self, port: VMPort, mac: str) -> None:
        if mac in self._learner:
            self._forget(self._learner[mac], mac)
        if len(self._learned.get(port.id, ())) >= self.learning_max:
            self._forget(port.id, self.learned(port.id)[0])
        self._learned.setdefault(port.id, {})[mac] = None
        self._learner[mac] = port.id
        self._topology.learn(port.id, mac)

    def _forget(self, port_id: PortId, mac: str) -> None:
        del self._learner[mac], self._learned[port_id][mac]
        if not self._learned[port_id]:
            del self._learned[port_id]
        self._topology.forget(port_id, mac)

    # -- refusals ----------------------------------------------------------------------------

    def _owner(self, mac: str) -> VMPort | None:
        """Return a port that has a MAC, or is the first that waits for it."""
        ports = list(self._attached.get(mac, {}).values())
        if not ports:
            return self._admitted[self._learner[mac]] if mac in self._learner else None
        return next((port for port in ports if port.id in self._admitted), ports[0])

    def _may_take(self, port: VMPort, mac: str, owner: VMPort) -> bool:
        return mac not in self._attached and owner.network_id == port.network_id

    def _refuse(self, port: VMPort, mac: str, owner: VMPort) -> None:
        """Have it told, once, that a port may not use a MAC."""
        refused = self._refused.setdefault(port.id, set())
        if mac not in refused and len(refused) < MAX_REFUSALS:
            refused.add(mac)
            holders = self._holders.others(mac, port.network_id)
            self._changes.refusals.append(MacRefusal(port, mac, owner, frozenset(holders)))


def _use(port: VMPort) -> tuple[str | None, str | None]:
    return port.network_id, port.mac


def _is_station(mac: str) -> bool:
    """Tell whether a MAC is that of one station: not of a group, and not zero."""
    return not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00"
