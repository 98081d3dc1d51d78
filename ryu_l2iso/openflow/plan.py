"""What must be sent to a switch so that it holds what it should.

There are two named things here.  *Desired* is what a switch should hold: a pipeline computes it
from the whole state, and it knows nothing of switches.  *Installed* is what a switch holds: it is
read back when the switch connects, and after that it is changed only when the switch has
confirmed a bundle; what was sent but not confirmed is in neither.  The compare of the two gives a
plan, and that is all of synchronising: there is no second way to add or delete a flow, on connect,
on a change and after an error alike.  Applying the plan to *installed* gives *desired*, except for
what may not be deleted yet, so a second compare finds nothing to do.

What may not be deleted: a flow under our cookie that nobody of this process's life ever desired is
a *stray*.  It may be a leftover, or the flow of a VM that we have not heard of yet; until the
switch's OVSDB has been read there is no telling, and it stays.

Groups and meters have no cookie.  One is ours if a flow of ours refers to it or if it was desired
before; those of others are never deleted.  One of others that has an id of ours is replaced.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Union

from ryu_l2iso.openflow.flow_entry import pack_flow, unpack_does, unpack_flow
from ryu_l2iso.openflow.wire import InstalledGroup, InstalledMeter
from ryu_l2iso.pipelines.flow import NORMAL, Flow, Group, Meter, Output, Piece, ToGroup


class MeterKey(NamedTuple):
    """What names a meter."""

    meter_id: int


Key = Union[bytes, int, MeterKey]
"""What names a flow (the key of its `flow_entry`), a group (its ``group_id``) or a meter."""


@dataclass
class Contents:
    """What a switch holds or should hold.

    ``flows`` is key → body as in `flow_entry`, ``groups`` is group id → group, ``meters`` likewise.
    """

    flows: dict[bytes, bytes] = field(default_factory=dict)
    groups: dict[int, InstalledGroup] = field(default_factory=dict)
    meters: dict[MeterKey, InstalledMeter] = field(default_factory=dict)

    @classmethod
    def of(cls, pieces: Iterable[Piece]) -> Contents:
        """Return contents made of these flows, groups and meters."""
        contents = cls()
        for piece in pieces:
            contents.add(piece)
        return contents

    def add(self, piece: Piece) -> Key:
        """Add a flow, group or meter; return what names it."""
        if isinstance(piece, Flow):
            key, self.flows[key] = pack_flow(piece)
            return key
        if isinstance(piece, Meter):
            meter_key = MeterKey(piece.meter_id)
            self.meters[meter_key] = piece
            return meter_key
        self.groups[piece.group_id] = piece
        return piece.group_id

    def of_kind(self, key: Key) -> dict[Any, Any]:
        """Return all that is of the kind that ``key`` names: flows, groups or meters."""
        if isinstance(key, bytes):
            return self.flows
        return self.groups if isinstance(key, int) else self.meters

    def keys(self) -> Iterator[Key]:
        """Return what names each flow, each group and each meter."""
        return chain(self.flows, self.groups, self.meters)

    def part(self, keys: Iterable[Key]) -> Contents:
        """Return those flows, groups and meters that are among ``keys``."""
        part = Contents()
        for key in keys:
            found = self.of_kind(key)
            if key in found:
                part.of_kind(key)[key] = found[key]
        return part

    def discard(self, keys: Iterable[Key]) -> None:
        """Remove those flows, groups and meters that are among ``keys``."""
        for key in keys:
            self.of_kind(key).pop(key, None)

    def apply(self, plan: Plan) -> None:
        """Change this picture of a switch into what it is after ``plan``."""
        for piece in (*plan.groups_to_add, *plan.groups_to_modify):
            self.groups[piece.group_id] = piece
        for meter in (*plan.meters_to_add, *plan.meters_to_modify):
            self.meters[MeterKey(meter.meter_id)] = meter
        self.discard(plan.deletions())
        self.flows.update(plan.flows_to_add)


@dataclass(frozen=True)
class Plan:
    """What to send, in this order; flows and groups in one bundle.

    A group or a meter stands before the flows that refer to it are added, and goes after they
    went.  A flow whose content differs is among ``flows_to_add`` only: adding replaces it,
    counters and all (OpenFlow 1.4, 6.4).  ``held`` counts the strays that stay; nothing is sent
    for them.
    """

    meters_to_add: tuple[Meter, ...] = ()
    meters_to_modify: tuple[Meter, ...] = ()
    groups_to_add: tuple[Group, ...] = ()
    groups_to_modify: tuple[Group, ...] = ()
    flows_to_delete: Mapping[bytes, bytes] = field(default_factory=dict)
    flows_to_add: Mapping[bytes, bytes] = field(default_factory=dict)
    groups_to_delete: tuple[int, ...] = ()
    meters_to_delete: tuple[MeterKey, ...] = ()
    held: int = 0

    @property
    def flow_mods(self) -> int:
        """Return how many flow-mods the plan sends."""
        return len(self.flows_to_delete) + len(self.flows_to_add)

    @property
    def group_mods(self) -> int:
        """Return how many group-mods the plan sends."""
        return len(self.groups_to_add) + len(self.groups_to_modify) + len(self.groups_to_delete)

    @property
    def meter_mods(self) -> int:
        """Return how many meter-mods the plan sends."""
        return len(self.meters_to_add) + len(self.meters_to_modify) + len(self.meters_to_delete)

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self.flow_mods or self.group_mods or self.meter_mods)

    def additions(self) -> Iterator[Key]:
        """Return what names each flow, group and meter that is added."""
        meters = (MeterKey(meter.meter_id) for meter in self.meters_to_add)
        return chain(self.flows_to_add, (group.group_id for group in self.groups_to_add), meters)

    def deletions(self) -> Iterator[Key]:
        """Return what names each flow, group and meter that is deleted."""
        return chain(self.flows_to_delete, self.groups_to_delete, self.meters_to_delete)


def compare(desired: Contents, installed: Contents, strays: AbstractSet[Key]) -> Plan:
    """Return the plan that turns ``installed`` into ``desired``.

    ``installed`` holds our flows and the groups and meters of everybody.  Those that ``strays``
    names nobody here has desired: a flow among them stays, unless it is desired now; a group or
    meter does too, unless a flow of ours refers to it.
    """
    unwanted = installed.flows.keys() - desired.flows.keys()
    goes, stays = unwanted - strays, unwanted & strays

    groups = [group for group in desired.groups.values() if isinstance(group, Group)]
    differing = [group for group in groups if installed.groups.get(group.group_id) != group]
    meters = [meter for meter in desired.meters.values() if isinstance(meter, Meter)]
    unequal = [m for m in meters if installed.meters.get(MeterKey(m.meter_id)) != m]
    gone = _unused(desired, installed, strays, stays)
    there = installed.flows
    return Plan(
        meters_to_add=tuple(m for m in unequal if MeterKey(m.meter_id) not in installed.meters),
        meters_to_modify=tuple(m for m in unequal if MeterKey(m.meter_id) in installed.meters),
        groups_to_add=tuple(g for g in differing if g.group_id not in installed.groups),
        groups_to_modify=tuple(g for g in differing if g.group_id in installed.groups),
        flows_to_delete={key: there[key] for key in sorted(goes)},
        flows_to_add={k: body for k, body in desired.flows.items() if there.get(k) != body},
        groups_to_delete=tuple(i for i in installed.groups if i in gone),
        meters_to_delete=tuple(i for i in installed.meters if i in gone),
        held=len(stays),
    )


def _unused(
    desired: Contents,
    installed: Contents,
    strays: AbstractSet[Key],
    stays: Iterable[bytes],
) -> set[Key]:
    """Return what names the groups and meters that are ours and that nothing needs any more."""
    unwanted: set[Key] = {*installed.groups, *installed.meters}
    unwanted.difference_update(desired.groups, desired.meters)
    if not unwanted:
        return unwanted
    ours = (unwanted - strays) | (unwanted & referred(installed.flows.values()))
    needed = referred([*(installed.flows[key] for key in stays), *desired.flows.values()])
    return ours - needed


def referred(bodies: Iterable[bytes]) -> set[Key]:
    """Return what names the groups and meters that flows with these bodies hand packets to."""
    found: set[Key] = set()
    for body in set(bodies):
        does = unpack_does(body)
        if does is not None:
            found.update(a.group_id for a in does.actions if isinstance(a, ToGroup))
            if does.meter is not None:
                found.add(MeterKey(does.meter))
    return found


def is_stale(key: bytes, installed: Contents, ports: Container[int]) -> bool:
    """Tell whether a flow names a port which is not among ``ports``.

    OVS gives the number of a port that is gone to the next one: such a flow is about a stranger
    then, or would be.
    """
    return any(port not in ports for port in _named_ports(key, installed))


def _named_ports(key: bytes, installed: Contents) -> Iterator[int]:
    flow = unpack_flow((key, installed.flows[key]))
    if not isinstance(flow, Flow):
        return
    if flow.match.in_port is not None:
        yield flow.match.in_port
    for action in flow.actions:
        if isinstance(action, Output) and action.port_no != NORMAL:
            yield action.port_no
        elif isinstance(action, ToGroup):
            group = installed.groups.get(action.group_id)
            yield from group.ports if isinstance(group, Group) else ()
