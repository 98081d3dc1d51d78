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

from collections.abc import Container, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from ryu_l2iso.openflow.wire import (
    FlowKey,
    InstalledFlow,
    InstalledGroup,
    InstalledMeter,
    OpaqueFlow,
    OpaqueMeter,
)
from ryu_l2iso.pipelines.flow import NORMAL, Flow, Group, Meter, Output, ToGroup


class MeterKey(NamedTuple):
    """What names a meter."""

    meter_id: int


Key = Union[FlowKey, int, MeterKey]
"""What names a flow (``flow.id``), a group (its ``group_id``) or a meter."""

Installed = Union[InstalledFlow, InstalledGroup, InstalledMeter]


def key_of(piece: Installed) -> Key:
    """Return what names a flow, a group or a meter on its switch."""
    if isinstance(piece, (Flow, OpaqueFlow)):
        return piece.id
    if isinstance(piece, (Meter, OpaqueMeter)):
        return MeterKey(piece.meter_id)
    return piece.group_id


@dataclass
class Contents:
    """What a switch holds or should hold.

    ``flows`` is flow id → flow, ``groups`` is group id → group, ``meters`` likewise.
    """

    flows: dict[FlowKey, InstalledFlow] = field(default_factory=dict)
    groups: dict[int, InstalledGroup] = field(default_factory=dict)
    meters: dict[MeterKey, InstalledMeter] = field(default_factory=dict)

    @classmethod
    def of(cls, pieces: Iterable[Installed]) -> Contents:
        """Return contents made of these flows, groups and meters."""
        contents = cls()
        for piece in pieces:
            if isinstance(piece, (Flow, OpaqueFlow)):
                contents.flows[piece.id] = piece
            elif isinstance(piece, (Meter, OpaqueMeter)):
                contents.meters[MeterKey(piece.meter_id)] = piece
            else:
                contents.groups[piece.group_id] = piece
        return contents

    def keys(self) -> Iterator[Key]:
        """Yield what names each flow, each group and each meter."""
        yield from self.flows
        yield from self.groups
        yield from self.meters

    def part(self, keys: Iterable[Key]) -> Contents:
        """Return those flows, groups and meters that are among ``keys``."""
        part = Contents()
        for key in keys:
            if isinstance(key, int):
                if key in self.groups:
                    part.groups[key] = self.groups[key]
            elif isinstance(key, MeterKey):
                if key in self.meters:
                    part.meters[key] = self.meters[key]
            elif key in self.flows:
                part.flows[key] = self.flows[key]
        return part

    def apply(self, plan: Plan) -> None:
        """Change this picture of a switch into what it is after ``plan``."""
        for group in plan.groups_to_add + plan.groups_to_modify:
            self.groups[group.group_id] = group
        for flow in plan.flows_to_delete:
            self.flows.pop(flow.id, None)
        for added in plan.flows_to_add:
            self.flows[added.id] = added
        for group_id in plan.groups_to_delete:
            self.groups.pop(group_id, None)
        for meter in plan.meters_to_add + plan.meters_to_modify:
            self.meters[MeterKey(meter.meter_id)] = meter
        for key in plan.meters_to_delete:
            self.meters.pop(key, None)


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
    flows_to_delete: tuple[InstalledFlow, ...] = ()
    flows_to_add: tuple[Flow, ...] = ()
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


def compare(
    desired: Contents, installed: Contents, known: AbstractSet[Key], delete_strays: bool
) -> Plan:
    """Return the plan that turns ``installed`` into ``desired``.

    ``installed`` holds our flows and the groups and meters of everybody; ``known`` is what was
    desired before and may always be deleted, other flows only if ``delete_strays``.
    """
    unwanted = [flow for key, flow in installed.flows.items() if key not in desired.flows]
    goes = [flow for flow in unwanted if delete_strays or flow.id in known]
    gone = {flow.id for flow in goes}
    stays = [flow for flow in unwanted if flow.id not in gone]

    groups = [group for group in desired.groups.values() if isinstance(group, Group)]
    differing = [group for group in groups if installed.groups.get(group.group_id) != group]
    meters = [meter for meter in desired.meters.values() if isinstance(meter, Meter)]
    unequal = [m for m in meters if installed.meters.get(MeterKey(m.meter_id)) != m]
    ours = referred(installed.flows.values()) | known
    needed = referred([*stays, *desired.flows.values()]).union(desired.groups, desired.meters)
    return Plan(
        meters_to_add=tuple(m for m in unequal if MeterKey(m.meter_id) not in installed.meters),
        meters_to_modify=tuple(m for m in unequal if MeterKey(m.meter_id) in installed.meters),
        groups_to_add=tuple(g for g in differing if g.group_id not in installed.groups),
        groups_to_modify=tuple(g for g in differing if g.group_id in installed.groups),
        flows_to_delete=tuple(goes),
        flows_to_add=tuple(
            flow
            for key, flow in desired.flows.items()
            if isinstance(flow, Flow) and installed.flows.get(key) != flow
        ),
        groups_to_delete=tuple(i for i in installed.groups if i in ours and i not in needed),
        meters_to_delete=tuple(i for i in installed.meters if i in ours and i not in needed),
        held=len(stays),
    )


def referred(flows: Iterable[InstalledFlow]) -> set[Key]:
    """Return what names the groups and meters that these flows hand packets to."""
    found: set[Key] = set()
    for flow in flows:
        if isinstance(flow, Flow):
            found.update(a.group_id for a in flow.actions if isinstance(a, ToGroup))
            if flow.meter is not None:
                found.add(MeterKey(flow.meter))
    return found


def stale_flows(installed: Contents, ports: Container[int]) -> set[Key]:
    """Return the names of the flows that name a port which is not among these.

    OVS gives the number of a port that is gone to the next one: such a flow is about a stranger
    then, or would be.
    """
    return {
        flow.id
        for flow in installed.flows.values()
        if isinstance(flow, Flow) and any(p not in ports for p in _named_ports(flow, installed))
    }


def _named_ports(flow: Flow, installed: Contents) -> Iterator[int]:
    if flow.match.in_port is not None:
        yield flow.match.in_port
    for action in flow.actions:
        if isinstance(action, Output) and action.port_no != NORMAL:
            yield action.port_no
        elif isinstance(action, ToGroup):
            group = installed.groups.get(action.group_id)
            yield from group.ports if isinstance(group, Group) else ()
