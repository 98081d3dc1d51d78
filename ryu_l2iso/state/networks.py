"""Networks and their keys, each registered on its own, in any order."""

from __future__ import annotations

from ryu_l2iso.exceptions import Conflict, NotFound
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.holders import Held
from ryu_l2iso.state.ports import NW_ID_UNKNOWN, RESERVED_NETWORK_IDS
from ryu_l2iso.state.records import KEYS, NETWORKS
from ryu_l2iso.state.values import KeyRange


class Networks:
    """Which networks exist, and which key each has.

    A key outlives its network and may come before it (REST v1.0, "Keys").
    ``key_range`` is None where the isolation uses no key; keys of any size are kept then.
    """

    def __init__(self, key_range: KeyRange | None, changes: Changes) -> None:
        self.key_range = key_range
        self.held = Held(changes)
        self._changes = changes
        self._ids: set[str] = set(RESERVED_NETWORK_IDS)
        self._keys: dict[str, int] = {}
        self._owners: dict[int, str] = {}

    @property
    def uses_keys(self) -> bool:
        """Tell whether the isolation in force needs a key for every network."""
        return self.key_range is not None

    def __contains__(self, network_id: str) -> bool:
        return network_id in self._ids

    def ids(self) -> list[str]:
        """Return all network ids, sorted, the reserved ones included."""
        return sorted(self._ids)

    def check(self, network_id: str) -> None:
        """Raise NotFound when there is no such network."""
        if network_id not in self._ids:
            raise NotFound(f"network_id: there is no network {network_id}")

    def add(self, network_id: str) -> None:
        """Add a network; raises Conflict when it exists."""
        if network_id in self._ids:
            raise Conflict(f"network_id: network {network_id} exists")
        self.put(network_id)

    def ensure(self, network_id: str) -> bool:
        """Add a network if it is missing and tell whether it was; Conflict for the unknown one."""
        if network_id == NW_ID_UNKNOWN:
            raise Conflict(f"network_id: {network_id} is not made by anyone")
        if network_id in self._ids:
            return False
        self.put(network_id)
        return True

    def remove(self, network_id: str) -> None:
        """Remove a network, not its key; raises NotFound, and Conflict for a reserved id."""
        self.check(network_id)
        if network_id in RESERVED_NETWORK_IDS:
            raise Conflict(f"network_id: {network_id} is reserved and stays")
        self.discard(network_id)

    def put(self, network_id: str) -> None:
        """Have a network, whether it exists or not."""
        if network_id not in self._ids:
            self._ids.add(network_id)
            self._changes.record(NETWORKS, (network_id,), (), None)

    def discard(self, network_id: str) -> None:
        """Have no such network, whether it exists or not."""
        if network_id in self._ids:
            self._ids.remove(network_id)
            self._changes.record(NETWORKS, (network_id,), None, ())

    def key(self, network_id: str) -> int | None:
        """Return the key of a network, or None."""
        return self._keys.get(network_id)

    def key_in_force(self, network_id: str) -> int | None:
        """Return the key that a network's flows may have: none as long as another's may be sent.

        Whatever makes it differ is to be followed by a look at the network's ports.
        """
        key = self._keys.get(network_id)
        return key if key is not None and self.held.is_free(network_id, key) else None

    def waited_for(self, network_id: str) -> list[int]:
        """Return the switches that may hold another network's flows with its key, sorted."""
        key = self._keys.get(network_id)
        return [] if key is None else sorted(self.held.others(network_id, key))

    def owner(self, key: int) -> str | None:
        """Return the network that has this key, or None."""
        return self._owners.get(key)

    def add_key(self, network_id: str, key: int) -> None:
        """Give a network its key; Conflict when either is taken, InvalidValue out of range."""
        if self._check_key(network_id, key):
            raise Conflict(f"key: network {network_id} has a key")
        self.put_key(network_id, key)

    def ensure_key(self, network_id: str, key: int) -> bool:
        """Give a network its key and tell whether it had none; refusals as `add_key`."""
        if self._check_key(network_id, key):
            return False
        self.add_key(network_id, key)
        return True

    def remove_key(self, network_id: str) -> None:
        """Take a network's key away; raises NotFound."""
        if network_id not in self._keys:
            raise NotFound(f"key: network {network_id} has none")
        self.discard_key(network_id)

    def put_key(self, network_id: str, key: int) -> None:
        """Give a network without a key one that no other has; InvalidValue out of range."""
        if self.key_range is not None:
            self.key_range.check(key)
        self._keys[network_id] = key
        self._owners[key] = network_id
        self._changes.record(KEYS, (network_id,), (key,), None)

    def discard_key(self, network_id: str) -> None:
        """Take a network's key away, if it has one."""
        key = self._keys.pop(network_id, None)
        if key is not None:
            del self._owners[key]
            self._changes.record(KEYS, (network_id,), None, (key,))

    def _check_key(self, network_id: str, key: int) -> bool:
        """Tell whether the network has just this key; raise when it cannot have it."""
        if self.key_range is not None:
            self.key_range.check(key)
        if network_id in RESERVED_NETWORK_IDS:
            raise Conflict(f"network_id: {network_id} is reserved and takes no key")
        current = self._keys.get(network_id)
        if current is not None and current != key:
            raise Conflict(f"key: network {network_id} has key {current}")
        owner = self._owners.get(key, network_id)
        if owner != network_id:
            raise Conflict(f"key: {key} is the key of network {owner}")
        return current == key
