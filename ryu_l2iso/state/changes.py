"""What a change of the state touches, recorded until whoever acts on it takes it."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import NamedTuple

from ryu_l2iso.state.ports import Port, VMPort
from ryu_l2iso.state.records import (
    Key,
    RecordChange,
    RecordChanges,
    RecordId,
    Table,
    Value,
    merge,
)
from ryu_l2iso.state.subjects import Subject
from ryu_l2iso.state.values import dpid_to_str


class PortChange(NamedTuple):
    """A port was added (``old`` is None), changed, or removed (``new`` is None)."""

    old: Port | None
    new: Port | None


class MacRefusal(NamedTuple):
    """A VM port may not use a MAC, because ``owner`` has it or still waits for it before.

    ``owner`` is the port itself where nobody has the MAC any more, but the switches ``holders``
    have not confirmed yet that they hold nothing of the network that had it.
    """

    port: VMPort
    mac: str
    owner: VMPort
    holders: frozenset[int]

    def __str__(self) -> str:
        port, owner = self.port, self.owner
        text = f"{_place(port)} in network {port.network_id} may not use MAC {self.mac}: "
        if owner.id != port.id:
            return f"{text}{_place(owner)} in network {owner.network_id} does"
        switches = ", ".join(map(dpid_to_str, sorted(self.holders)))
        return f"{text}not before it is confirmed to be in no other network any more by {switches}"


def _place(port: VMPort) -> str:
    return f"switch {dpid_to_str(port.dpid)} port {port.port_no} ({port.name})"


@dataclass
class Changes:
    """What is to be looked at again.

    ``subjects``: dpid → subjects whose flows may differ; ``tunnels``: dpid → switches to which
    its tunnel ports may; ``tags``: switches of which the tags of VM ports may; ``switches``:
    switches whose registration changed; ``ports`` and ``refusals``: in order of time; ``waits``:
    networks that may wait for their key from now on, or not any more; ``records``: what is kept
    and differs.
    """

    subjects: dict[int, set[Subject]] = field(default_factory=dict)
    tunnels: dict[int, set[int]] = field(default_factory=dict)
    tags: set[int] = field(default_factory=set)
    switches: set[int] = field(default_factory=set)
    ports: list[PortChange] = field(default_factory=list)
    refusals: list[MacRefusal] = field(default_factory=list)
    waits: set[str] = field(default_factory=set)
    records: RecordChanges = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._programmed: AbstractSet[int] | None = None
        self.number = 0
        """How often `take` was called before: what is recorded now is told from what was."""

    def only_for(self, programmed: AbstractSet[int]) -> None:
        """Mark the subjects of these switches only, as they are then; of all if never called.

        All that others should hold is computed anyway when it is their turn.
        """
        self._programmed = programmed

    def marked_of(self, dpids: AbstractSet[int]) -> AbstractSet[int]:
        """Return those switches whose subjects `mark` records."""
        return dpids if self._programmed is None else dpids & self._programmed

    def mark(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Record that the flows of ``subjects`` on a switch may differ."""
        if self._programmed is None or dpid in self._programmed:
            self.subjects.setdefault(dpid, set()).update(subjects)

    def mark_tunnel(self, dpid: int, remote_dpid: int | None) -> None:
        """Record that the tunnel ports from one switch to another, if there is one, may differ."""
        if remote_dpid is not None:
            self.tunnels.setdefault(dpid, set()).add(remote_dpid)

    def record(self, table: Table, key: Key, value: Value | None, old: Value | None) -> None:
        """Note what a record is now and what it was before; None where there is or was none."""
        if value == old:
            return
        record_id = RecordId(table, key)
        if record_id in self.records:
            merge(self.records, {record_id: RecordChange(old, value)})
        else:
            self.records[record_id] = RecordChange(old, value)

    def __bool__(self) -> bool:
        return any(_values(self))

    def take(self) -> Changes:
        """Return what was recorded so far and start anew."""
        taken = Changes()
        taken.number = self.number
        self.number += 1
        for name, recorded, empty in zip(_NAMES, _values(self), _values(taken)):
            setattr(taken, name, recorded)
            setattr(self, name, empty)
        return taken


_NAMES = tuple(each.name for each in fields(Changes))
_values = attrgetter(*_NAMES)
