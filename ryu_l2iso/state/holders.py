"""Which switches may hold flows of which network: what one network must be rid of before another.

Switches are told one after the other.  A key that goes from one network to another, and a MAC where
networks are told apart by MACs, is for the new one only when no switch may hold flows of the old
one any more.  A switch may hold flows from before they are sent until it has confirmed that they
are gone, however long it is away; what it may hold outlives the controller.

All flows that a switch has for a network come, go and change their key in one bundle with those of
the network as a whole (`NetworkSubject`), so what is noted here is noted by network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Optional, TypeVar

from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.records import HELD
from ryu_l2iso.state.subjects import MacSubject, Subject

Key = Optional[int]
"""A key; None where the isolation uses none."""

_Outer = TypeVar("_Outer")
_Inner = TypeVar("_Inner", list[Key], set[int])


class Held:
    """Which switches may hold flows of which networks, and with which keys."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        # dpid → network_id → keys, that which was sent last at the end
        self._networks: dict[int, dict[str, list[Key]]] = {}
        # key → network_id → dpids
        self._holders: dict[Key, dict[str, set[int]]] = {}

    def dpids(self) -> list[int]:
        """Return the switches that may hold flows of any network, sorted."""
        return sorted(self._networks)

    def on(self, dpid: int) -> dict[str, list[Key]]:
        """Return network_id → keys of what a switch may hold."""
        return {network_id: list(keys) for network_id, keys in self._networks.get(dpid, {}).items()}

    def holders(self, network_id: str, key: Key) -> set[int]:
        """Return the switches that may hold flows of a network with a key."""
        return set(self._holders.get(key, {}).get(network_id, ()))

    def is_free(self, network_id: str, key: Key) -> bool:
        """Tell whether no switch may hold flows of any other network with a key."""
        networks = self._holders.get(key)
        return networks is None or (len(networks) == 1 and network_id in networks)

    def others(self, network_id: str, key: Key) -> set[int]:
        """Return the switches that may hold flows of any other network with a key."""
        networks = self._holders.get(key, {})
        return {dpid for name, dpids in networks.items() if name != network_id for dpid in dpids}

    def add(self, dpid: int, network_id: str, key: Key) -> bool:
        """Record that a switch may hold flows from now on; tell whether that is new."""
        keys = self._networks.setdefault(dpid, {}).setdefault(network_id, [])
        is_new = key not in keys
        if not is_new:
            keys.remove(key)
        keys.append(key)
        if is_new:
            self._holders.setdefault(key, {}).setdefault(network_id, set()).add(dpid)
            self._changes.record(HELD, (dpid, network_id, key), (), None)
        return is_new

    def discard(self, dpid: int, network_id: str, key: Key) -> bool:
        """Record that a switch holds no such flows; tell whether now none does."""
        keys = self._networks.get(dpid, {}).get(network_id, [])
        if key not in keys:
            return False
        keys.remove(key)
        self._changes.record(HELD, (dpid, network_id, key), None, ())
        _prune(self._networks, dpid, network_id)
        self._holders[key][network_id].discard(dpid)
        return _prune(self._holders, key, network_id)

    def keep_last(self, dpid: int, network_id: str) -> list[Key]:
        """Record that a switch holds flows of a network just as they were sent last.

        Returns the keys that no switch holds for this network any more.
        """
        older = self._networks.get(dpid, {}).get(network_id, [])[:-1]
        return [key for key in older if self.discard(dpid, network_id, key)]

    def discard_all(self, dpid: int, network_id: str) -> list[Key]:
        """Record that a switch holds no flows of a network; return as `keep_last`."""
        keys = list(self._networks.get(dpid, {}).get(network_id, ()))
        return [key for key in keys if self.discard(dpid, network_id, key)]


def _prune(outer: dict[_Outer, dict[str, _Inner]], key: _Outer, inner_key: str) -> bool:
    """Remove what has become empty of a dict of dicts; tell whether the innermost has."""
    inner = outer[key]
    if inner[inner_key]:
        return False
    del inner[inner_key]
    if not inner:
        del outer[key]
    return True


class Leftovers:
    """MACs that left their network, and the switches that may still hold flows of them there.

    As large as what is not confirmed: of a MAC that is in its network only the time is kept when
    it came, for a switch that was lost before cannot hold it.
    """

    def __init__(self, held: Held, changes: Changes) -> None:
        self._held = held
        self._changes = changes
        self._time = 0
        # dpid → the time from which on nothing is sent to it; of one that was not seen, or was lost
        # with nothing, it is 1
        self._until: dict[int, float] = {}
        # MAC that is in its network → when it came
        self._since: dict[str, int] = {}
        # Those of which that may not be on disk → the change that has it
        self._unrecorded: dict[str, int] = {}
        # MAC that left → its network, when it came there, the switches
        self._left: dict[str, tuple[str, int, set[int]]] = {}
        # dpid → MACs that left
        self._macs: dict[int, set[str]] = {}

    def connected(self, dpid: int) -> None:
        """Record that flows may be sent to a switch from now on."""
        self._time += 1
        self._until[dpid] = math.inf

    def lost(self, dpid: int) -> None:
        """Record that no flows are sent to a switch any more."""
        self._time += 1
        if self._held.on(dpid):
            self._until[dpid] = self._time
        else:
            # Whoever connects makes nothing grow.
            self._until.pop(dpid, None)

    def network(self, mac: str) -> str | None:
        """Return the network that a MAC left and may still be held in, or None."""
        return self._left[mac][0] if mac in self._left else None

    def others(self, mac: str, network_id: str | None) -> set[int]:
        """Return the switches that may hold flows of a MAC in any network but this one."""
        if mac not in self._left:
            return set()
        left, _, dpids = self._left[mac]
        return set() if left == network_id else set(dpids)

    def on(self, dpid: int) -> list[str]:
        """Return the MACs that a switch may still hold in the network that they left, sorted."""
        return sorted(self._macs.get(dpid, ()))

    def enter(self, mac: str) -> None:
        """Record that a MAC is in a network, one in which it is free."""
        if self._time:
            self._unrecorded[mac] = self._changes.number
        if mac not in self._left:
            self._since[mac] = self._time
            return
        left, self._since[mac], dpids = self._left[mac]
        for dpid in list(dpids):
            self.discard(dpid, left, mac)

    def leave(self, network_id: str, mac: str) -> None:
        """Record that a MAC left its network: switches with flows of the network may hold it."""
        since = self._since.pop(mac)
        self._unrecorded.pop(mac, None)
        self.put(network_id, mac, since)

    def put(self, network_id: str, mac: str, since: int = 0) -> None:
        """Record that switches may hold a MAC of a network; it came there at a time."""
        holders = self._held.holders(network_id, None)
        dpids = {dpid for dpid in holders if since < self._until.get(dpid, 1)}
        if dpids:
            self._left[mac] = network_id, since, dpids
        for dpid in dpids:
            self._macs.setdefault(dpid, set()).add(mac)

    def unrecorded(self, subjects: Iterable[Subject]) -> dict[str, int]:
        """Return the MACs of these subjects of which it may not be on disk where they are.

        Each with the number of the change that says it.
        """
        if not self._unrecorded:
            return {}
        macs = {subject.mac for subject in subjects if isinstance(subject, MacSubject)}
        return {mac: self._unrecorded[mac] for mac in macs & self._unrecorded.keys()}

    def recorded(self, macs: Mapping[str, int]) -> None:
        """Record that these changes, each of a MAC, are on disk."""
        for mac, number in macs.items():
            if self._unrecorded.get(mac) == number:
                del self._unrecorded[mac]

    def discard(self, dpid: int, network_id: str, mac: str) -> bool:
        """Record that a switch holds no such MAC; tell whether it is free by that."""
        left, _, dpids = self._left.get(mac, ("", 0, set()))
        if left != network_id or dpid not in dpids:
            return False
        dpids.discard(dpid)
        self._macs[dpid].discard(mac)
        if not self._macs[dpid]:
            del self._macs[dpid]
        if not dpids:
            del self._left[mac]
        return not dpids

    def discard_of(self, dpid: int, network_id: str) -> list[str]:
        """Record that a switch holds nothing of a network; return the MACs that are free now."""
        return [mac for mac in self.on(dpid) if self.discard(dpid, network_id, mac)]

    def keep(self, dpid: int, filled: AbstractSet[Subject]) -> list[str]:
        """Record that a switch holds no MACs but these; return those that are free now."""
        left = [MacSubject(self._left[mac][0], mac) for mac in self.on(dpid)]
        gone = [subject for subject in left if subject not in filled]
        return [subject.mac for subject in gone if self.discard(dpid, *subject)]
