"""What somebody else has changed on a switch that was as it should be."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from ryu_l2iso.openflow.flow_entry import unpack_flow
from ryu_l2iso.openflow.plan import Contents, Key, MeterKey, Plan, referred

LOG = logging.getLogger(__name__)

_NAMED, _SHOWN = 3, 120
"""How many of each sort the text names, and how many characters of each it shows."""


_Piece = tuple[Key, Any]
"""What names a flow, group or meter, and the body of the flow, or the group or meter itself."""


@dataclass(frozen=True)
class Drift:
    """The difference between what a switch had confirmed and what was read back from it.

    ``missing`` and ``changed`` hold what the switch had confirmed; ``added`` are flows that it
    has under our cookie and that nobody sent.
    """

    missing: tuple[_Piece, ...] = ()
    changed: tuple[_Piece, ...] = ()
    added: tuple[_Piece, ...] = ()

    @classmethod
    def between(cls, confirmed: Contents, read: Contents, strays: AbstractSet[Key]) -> Drift:
        """Compare; of groups and meters, which have no cookie, only those not among ``strays``."""
        pairs: Iterable[tuple[Mapping[Any, Any], Mapping[Any, Any]]] = (
            (confirmed.flows, read.flows),
            (_without(confirmed.groups, strays), read.groups),
            (_without(confirmed.meters, strays), read.meters),
        )
        missing, changed = [], []
        for before, now in pairs:
            missing += [(key, piece) for key, piece in before.items() if key not in now]
            changed += [(k, piece) for k, piece in before.items() if now.get(k, piece) != piece]
        added = [(key, body) for key, body in read.flows.items() if key not in confirmed.flows]
        return cls(tuple(missing), tuple(changed), tuple(added))

    @property
    def count(self) -> int:
        """Return how many flows, groups and meters are not as they were."""
        return len(self.missing) + len(self.changed) + len(self.added)

    def __str__(self) -> str:
        named = {"missing": self.missing, "changed": self.changed, "not sent by us": self.added}
        return ", ".join(
            f"{len(some)} {what}{_shown(some)}" for what, some in named.items() if some
        )


def _without(pieces: Mapping[Any, Any], keys: AbstractSet[Key]) -> dict[Any, Any]:
    return {key: piece for key, piece in pieces.items() if key not in keys}


def _shown(pieces: tuple[_Piece, ...]) -> str:
    texts = [
        str(unpack_flow((key, piece)) if isinstance(key, bytes) else piece)[:_SHOWN]
        for key, piece in pieces[:_NAMED]
    ]
    return f" ({'; '.join(texts)}{'; …' if len(pieces) > _NAMED else ''})"


def log_taken(dpid: int, plan: Plan, installed: Contents, strays: AbstractSet[Key]) -> None:
    """Log which groups and meters a plan changes that nobody here has made.

    Which ids are ours says the documentation of each isolation; ``strays`` names what this process
    has not sent, and what our flows refer to was sent by one before.
    """
    changed: dict[Key, str] = {group.group_id: "group" for group in plan.groups_to_modify}
    changed.update({MeterKey(meter.meter_id): "meter" for meter in plan.meters_to_modify})
    unknown = [key for key in changed if key in strays]
    used = referred(installed.flows.values()) if unknown else set()
    for key in unknown:
        if key not in used:
            number = key.meter_id if isinstance(key, MeterKey) else key
            text = "switch %016x: %s %d, of somebody else, has an id of ours: replaced"
            LOG.warning(text, dpid, changed[key], number)
