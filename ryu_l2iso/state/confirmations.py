"""What switches may hold, from when it is sent until they have confirmed that it is gone.

What hangs on it, keys and MACs that go to another network, follows at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.holders import Key
from ryu_l2iso.state.networks import Networks
from ryu_l2iso.state.port_table import PortTable
from ryu_l2iso.state.records import DISMISSED
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, Subject


class Wait(NamedTuple):
    """What a network waits for: that a switch is rid of its key or of one of its MACs."""

    network_id: str
    key: int | None = None
    mac: str | None = None


class Unrecorded(NamedTuple):
    """What a switch may hold, and what is not on disk of it: networks with keys, and MACs.

    Each MAC is with the number of the change that has it; ``number`` is the last that counts.
    """

    held: list[tuple[str, Key]]
    macs: dict[str, int]
    number: int

    def __bool__(self) -> bool:
        return bool(self.held or self.macs)


class Confirmations:
    """Is told what is sent to switches and what they confirm; each switch by itself, in order."""

    def __init__(self, networks: Networks, ports: PortTable, changes: Changes) -> None:
        self._networks = networks
        self._held = networks.held
        self._ports = ports
        self._macs = ports.macs
        self._leftovers = ports.leftovers
        self._changes = changes
        self._connected: set[int] = set()
        # Switches whose registration was deleted → whether that is on disk
        self._dismissed: dict[int, bool] = {}

    # -- what was sent and confirmed ---------------------------------------------------------

    def may_hold(self, dpid: int, filled: AbstractSet[Subject]) -> Unrecorded:
        """Record that flows for these subjects, as they are now, are about to be sent.

        Returns what is to be on disk before they are; `recorded` or `not_recorded` comes next.
        """
        names = [s.network_id for s in filled if isinstance(s, NetworkSubject)]
        keys = [(name, self._key(name)) for name in names]
        held = [(name, key) for name, key in keys if self._held.add(dpid, name, key)]
        macs = self._leftovers.unrecorded(filled)
        number = self._changes.number if held else max(macs.values(), default=0)
        return Unrecorded(held, macs, number)

    def recorded(self, unrecorded: Unrecorded) -> None:
        """Record that it is on disk."""
        self._leftovers.recorded(unrecorded.macs)

    def not_recorded(self, dpid: int, unrecorded: Unrecorded) -> None:
        """Record that it is not, and that nothing was sent."""
        for network_id, key in unrecorded.held:
            self.discard_held(dpid, network_id, key)

    def holds(self, dpid: int, filled: AbstractSet[Subject], empty: AbstractSet[Subject]) -> None:
        """Record what a switch has confirmed after `may_hold` of the ``filled`` subjects.

        It holds just that for them, and nothing for the ``empty`` ones.
        """
        macs = []
        for subject in empty:
            if isinstance(subject, NetworkSubject):
                macs += self._holds_none_of(dpid, subject.network_id)
            elif isinstance(subject, MacSubject) and self._leftovers.discard(dpid, *subject):
                macs.append(subject.mac)
        self._holds_last(dpid, filled)
        self._macs.freed(macs)
        self._ports.end_linger(dpid, empty.__contains__)
        self._end_dismissal(dpid)

    def holds_only(self, dpid: int, filled: AbstractSet[Subject]) -> None:
        """Record the same for all subjects: a switch holds nothing but the ``filled`` ones."""
        macs = self._leftovers.keep(dpid, filled)
        for network_id in self._held.on(dpid):
            if NetworkSubject(network_id) not in filled:
                macs += self._holds_none_of(dpid, network_id)
        self._holds_last(dpid, filled)
        self._macs.freed(macs)
        self._ports.end_linger(dpid, lambda port: port not in filled)
        self._end_dismissal(dpid)

    # -- switches that come and go -----------------------------------------------------------

    def connected(self, dpid: int) -> None:
        """Record that flows may be sent to a switch from now on."""
        self._connected.add(dpid)
        self._leftovers.connected(dpid)

    def disconnected(self, dpid: int) -> None:
        """Record that nothing is sent to a switch any more."""
        self._connected.discard(dpid)
        self._leftovers.lost(dpid)
        self.failed(dpid)

    def failed(self, dpid: int) -> None:
        """Record that a switch did not confirm; one that was dismissed is waited for no more."""
        if self._dismissed.get(dpid):
            self.holds_only(dpid, frozenset())

    def dismiss(self, dpid: int) -> None:
        """Record that a switch is gone for good, if it may hold anything.

        It is waited for until that is on disk, and as long as it is connected and may confirm.
        """
        if self.holds_anything(dpid):
            self.put_dismissed(dpid)
            self._dismissed[dpid] = False

    def dismissal_recorded(self, dpid: int) -> None:
        """Record that it is on disk that a switch is gone for good, unless that was taken back."""
        if dpid in self._dismissed:
            self._dismissed[dpid] = True
            if dpid not in self._connected:
                self.failed(dpid)

    def is_dismissed(self, dpid: int) -> bool:
        """Tell whether a switch is gone for good and may hold something all the same."""
        return dpid in self._dismissed

    def missing(self) -> list[int]:
        """Return the switches that are gone for good and not connected, but waited for."""
        return sorted(self._dismissed.keys() - self._connected)

    # -- who waits ---------------------------------------------------------------------------

    def holds_anything(self, dpid: int) -> bool:
        """Tell whether a switch may hold flows of any network, or ports of it linger in a VLAN."""
        return bool(self._held.on(dpid) or self._ports.vlans.left(dpid))

    def holders(self, network_id: str) -> list[int]:
        """Return the switches that a network's key waits for, sorted."""
        key = self._networks.key(network_id)
        in_vlan = set() if key is None else self._ports.vlans.holders(key)
        return sorted(in_vlan.union(self._networks.waited_for(network_id)))

    def waited_for(self, dpid: int) -> list[Wait]:
        """Return what networks wait for from a switch, in order."""
        waits = {Wait(port.network_id or "", port.key) for port in self._ports.kept_out_by(dpid)}
        for network_id, keys in self._held.on(dpid).items():
            for key in keys:
                owner = self._owner(key)
                if owner not in (None, network_id):
                    waits.add(Wait(owner or "", key))
        for mac in self._leftovers.on(dpid):
            port = self._macs.awaited(mac)
            if port is not None:
                waits.add(Wait(port.network_id or "", mac=mac))
        return sorted(waits, key=lambda wait: (wait.network_id, wait.mac or ""))

    # -- records -----------------------------------------------------------------------------

    def put_held(self, dpid: int, network_id: str, key: Key) -> None:
        """Record that a switch may hold flows of a network with a key."""
        self._held.add(dpid, network_id, key)
        self._key_changed(key)

    def discard_held(self, dpid: int, network_id: str, key: Key) -> None:
        """Record that it does not."""
        self._held.discard(dpid, network_id, key)
        self._key_changed(key)

    def put_dismissed(self, dpid: int) -> None:
        """Record that a switch is gone for good, as it is on disk."""
        if dpid not in self._dismissed:
            self._changes.record(DISMISSED, (dpid,), (), None)
        self._dismissed[dpid] = True

    def discard_dismissed(self, dpid: int) -> None:
        """Record that a switch is not gone for good, or holds nothing any more."""
        if self._dismissed.pop(dpid, None) is not None:
            self._changes.record(DISMISSED, (dpid,), None, ())

    # -- what follows ------------------------------------------------------------------------

    def _key(self, network_id: str) -> Key:
        return self._networks.key_in_force(network_id) if self._networks.uses_keys else None

    def _owner(self, key: Key) -> str | None:
        return None if key is None else self._networks.owner(key)

    def _holds_none_of(self, dpid: int, network_id: str) -> list[str]:
        """A switch holds nothing of a network; return the MACs that are free now."""
        for key in self._held.discard_all(dpid, network_id):
            self._key_changed(key)
        return self._leftovers.discard_of(dpid, network_id)

    def _holds_last(self, dpid: int, filled: Iterable[Subject]) -> None:
        for subject in filled:
            if isinstance(subject, NetworkSubject):
                for key in self._held.keep_last(dpid, subject.network_id):
                    self._key_changed(key)

    def _end_dismissal(self, dpid: int) -> None:
        if dpid in self._dismissed and not self.holds_anything(dpid):
            self.discard_dismissed(dpid)

    def _key_changed(self, key: Key) -> None:
        """Look again at the network that has a key: it may be free now, or not any more."""
        owner = self._owner(key)
        if owner is not None:
            self._changes.waits.add(owner)
            self._ports.network_changed(owner)
