"""Which MAC is in which network, where the isolation tells networks apart by nothing but MACs.

Such an isolation needs that a MAC is in one network only, in the whole fleet:

1. A MAC attached to a complete VM port is in that port's network.  Where two networks attach one
   MAC, that of the port that came first has it.  Ports of the other wait, without any flow, until
   the last port of the first is gone; while rule 4 has them wait on, the first may have it back.
2. A VM port learns what else its VM sends from, unless that MAC is attached to another port or is
   learned in another network.  Within a network it goes to the port that sent from it last.
3. A port has a limited number of learned MACs; the oldest makes room.  All go with the port.
4. A MAC that leaves a network is free for another one only when no switch may have a flow of the
   old one any more: each has confirmed it.

So the order of facts counts in one case only, between networks that want the same MAC.  It is
recorded who was first, and who was last, as long as anybody hangs on it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_l2iso.state.changes import Changes, MacRefusal
from ryu_l2iso.state.holders import Leftovers
from ryu_l2iso.state.ports import PortId, VMPort
from ryu_l2iso.state.records import LEARNED_MACS, MAC_NETWORKS, REFUSED_MACS
from ryu_l2iso.state.subjects import PortSubject
from ryu_l2iso.state.topology import Topology

MAX_REFUSALS = 64
"""MACs of one port of which it is told that they were refused; no more are, until it is gone."""


class Macs:
    """The complete VM ports on their way into the topology, and what they learn.

    As long as `tell_apart` was not called, a MAC may be in any number of networks.
    """

    def __init__(self, topology: Topology, changes: Changes, leftovers: Leftovers) -> None:
        self._topology = topology
        self._changes = changes
        self._leftovers = leftovers
        self._exclusive = False
        self.learning_max = 0
        # MAC → complete ports that it is attached to, in the order in which they came
        self._attached: dict[str, dict[PortId, VMPort]] = {}
        # The ports that are in the topology
        self._admitted: dict[PortId, VMPort] = {}
        # port → learned MACs, the oldest first, each with its position; learned MAC → its port
        self._learned: dict[PortId, dict[str, int]] = {}
        self._learner: dict[str, PortId] = {}
        self._refused: dict[PortId, set[str]] = {}
        # MAC → the network that is recorded
        self._recorded: dict[str, str] = {}

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
        owner = self._owner(mac)
        if owner is not None:
            if port_id in self._attached.get(mac, ()) or self._learner.get(mac) == port_id:
                return
            if not self._may_take(port, mac, owner):
                self._refuse(port, mac, owner)
                return
        if self.learning_max and self._is_free(mac, port):
            self._take(port_id, mac)

    def settle(self, mac: str) -> None:
        """Admit the ports that an attached MAC is for, as far as it is free."""
        ports = list(self._attached.get(mac, {}).values())
        if not ports:
            return
        if mac in self._learner:
            self._forget(self._learner[mac], mac)
        admitted = [port for port in ports if port.id in self._admitted]
        first = next((p for p in admitted or ports if self._is_free(mac, p)), None)
        for port in ports:
            if (
                first is not None
                and port.network_id == first.network_id
                and port.id not in self._admitted
            ):
                self._enter(port.network_id or "", mac)
                self._admitted[port.id] = port
                self._topology.add_vm_port(port)
                self._changes.mark(port.dpid, [PortSubject(port.port_no)])

    def freed(self, macs: Iterable[str]) -> None:
        """Let MACs be used: no switch holds them in the network that they left any more."""
        for mac in macs:
            self.settle(mac)
            self._record(mac)

    def awaited(self, mac: str) -> VMPort | None:
        """Return a port that waits for a MAC to be free, or None."""
        ports = self._attached.get(mac, {}).values()
        return next((port for port in ports if port.id not in self._admitted), None)

    # -- records -----------------------------------------------------------------------------

    def put_network(self, mac: str, network_id: str) -> None:
        """Record which network had a MAC, as long as no port is known to have it."""
        if mac not in self._attached and mac not in self._learner:
            self._leftovers.put(network_id, mac)
            self._record(mac)

    def put_learned(self, port_id: PortId, mac: str, position: int) -> None:
        """Record that a port has learned a MAC, unless it is another's by now."""
        port = self._admitted.get(port_id)
        room = self.learning_max - len(self._learned.get(port_id, ()))
        if (
            port is None
            or room <= 0
            or self._owner(mac) is not None
            or not self._is_free(mac, port)
        ):
            return
        self._put_learned(port_id, mac, position)
        learned = self._learned[port_id]
        self._learned[port_id] = dict(sorted(learned.items(), key=lambda item: item[1]))

    def discard_learned(self, port_id: PortId, mac: str) -> None:
        """Record that a port has not learned a MAC."""
        if self._learner.get(mac) == port_id:
            self._forget(port_id, mac)

    def put_refused(self, port_id: PortId, mac: str) -> None:
        """Record that it was told that a port may not use a MAC."""
        refused = self._refused.setdefault(port_id, set())
        if mac not in refused:
            refused.add(mac)
            self._changes.record(REFUSED_MACS, (*port_id, mac), (), None)

    def discard_refused(self, port_id: PortId, mac: str) -> None:
        """Record that it was not told."""
        if mac in self._refused.get(port_id, ()):
            self._refused[port_id].discard(mac)
            self._changes.record(REFUSED_MACS, (*port_id, mac), None, ())

    def _record(self, mac: str) -> None:
        """Note the network that has a MAC, or had it last, if another one wants or may want it."""
        network_id, ports = self._leftovers.network(mac), self._attached.get(mac)
        if network_id is None and ports and len({p.network_id for p in ports.values()}) > 1:
            admitted = (p.network_id for i, p in ports.items() if i in self._admitted)
            network_id = next(admitted, None)
        old = self._recorded.pop(mac, None)
        if network_id is not None:
            self._recorded[mac] = network_id
        if network_id != old:
            self._changes.record(MAC_NETWORKS, (mac,), _row(network_id), _row(old))

    # -- which network a MAC is in -----------------------------------------------------------

    def _is_free(self, mac: str, port: VMPort) -> bool:
        return not self._leftovers.others(mac, port.network_id)

    def _enter(self, network_id: str, mac: str) -> None:
        """A MAC is about to have a place in a network."""
        if not self._topology.locations(network_id, mac):
            self._leftovers.enter(mac)

    def _leave(self, network_id: str, mac: str) -> None:
        """A MAC has lost a place in a network."""
        if not self._topology.locations(network_id, mac):
            self._leftovers.leave(network_id, mac)

    # -- attached MACs -----------------------------------------------------------------------

    def _add(self, port: VMPort) -> None:
        mac = port.mac or ""
        ports = self._attached.setdefault(mac, {})
        ports[port.id] = port
        self.settle(mac)
        if port.id not in self._admitted:
            self._refuse(port, mac, self._owner(mac) or port)
        self._record(mac)

    def _remove(self, port: VMPort) -> None:
        mac = port.mac or ""
        ports = self._attached[mac]
        del ports[port.id]
        if not ports:
            del self._attached[mac]
        for refused in self._refused.pop(port.id, ()):
            self._changes.record(REFUSED_MACS, (*port.id, refused), None, ())
        if port.id in self._admitted:
            for learned in self.learned(port.id):
                self._forget(port.id, learned)
            self._topology.remove_vm_port(self._admitted.pop(port.id))
            self._leave(port.network_id or "", mac)
        self.settle(mac)
        self._record(mac)

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

    # -- learned MACs ------------------------------------------------------------------------

    def _take(self, port_id: PortId, mac: str) -> None:
        if mac in self._learner:
            self._forget(self._learner[mac], mac)
        learned = self._learned.get(port_id, {})
        position = learned[next(reversed(learned))] + 1 if learned else 1
        if len(learned) >= self.learning_max:
            self._forget(port_id, next(iter(learned)))
        self._put_learned(port_id, mac, position)

    def _put_learned(self, port_id: PortId, mac: str, position: int) -> None:
        self._learned.setdefault(port_id, {})[mac] = position
        self._learner[mac] = port_id
        self._changes.record(LEARNED_MACS, (*port_id, mac), (position,), None)
        # It is nowhere else: who had learned it before has forgotten it.
        self._leftovers.enter(mac)
        self._topology.learn(port_id, mac)
        self._record(mac)

    def _forget(self, port_id: PortId, mac: str) -> None:
        position = self._learned[port_id].pop(mac)
        self._changes.record(LEARNED_MACS, (*port_id, mac), None, (position,))
        del self._learner[mac]
        if not self._learned[port_id]:
            del self._learned[port_id]
        self._topology.forget(port_id, mac)
        self._leftovers.leave(self._admitted[port_id].network_id or "", mac)
        self._record(mac)

    # -- refusals ----------------------------------------------------------------------------

    def _owner(self, mac: str) -> VMPort | None:
        """Return a port that has a MAC, or is the first that waits for it."""
        ports = self._attached.get(mac)
        if ports is None:
            return self._admitted[self._learner[mac]] if mac in self._learner else None
        first = next(iter(ports.values()))
        return next((port for i, port in ports.items() if i in self._admitted), first)

    def _may_take(self, port: VMPort, mac: str, owner: VMPort) -> bool:
        return mac not in self._attached and owner.network_id == port.network_id

    def _refuse(self, port: VMPort, mac: str, owner: VMPort) -> None:
        """Have it told, once, that a port may not use a MAC."""
        refused = self._refused.setdefault(port.id, set())
        if mac not in refused and len(refused) < MAX_REFUSALS:
            self.put_refused(port.id, mac)
            holders = self._leftovers.others(mac, port.network_id)
            self._changes.refusals.append(MacRefusal(port, mac, owner, frozenset(holders)))


def _use(port: VMPort) -> tuple[str | None, str | None]:
    return port.network_id, port.mac


def _row(network_id: str | None) -> tuple[str] | None:
    return None if network_id is None else (network_id,)


def _is_station(mac: str) -> bool:
    """Tell whether a MAC is that of one station: not of a group, and not zero."""
    return mac[1] in "02468ace" and mac != "00:00:00:00:00:00"
