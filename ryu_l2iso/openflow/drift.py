"""What somebody else has changed on a switch that was as it should be."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from ryu_l2iso.openflow.plan import Contents, Key, Plan, key_of, referred
from ryu_l2iso.pipelines.flow import Group, Meter

LOG = logging.getLogger(__name__)

_NAMED, _SHOWN = 3, 120
"""How many of each sort the text names, and how many characters of each it shows."""


@dataclass(frozen=True)
class Drift:
    """The difference between what a switch had confirmed and what was read back from it.

    ``missing`` and ``changed`` hold what the switch had confirmed; ``added`` are flows that it
    has under our cookie and that nobody sent.
    """

    missing: tuple[Any, ...] = ()
    changed: tuple[Any, ...] = ()
    added: tuple[Any, ...] = ()

    @classmethod
    def between(cls, confirmed: Contents, read: Contents, ours: AbstractSet[Key]) -> Drift:
        """Compare; of groups and meters, which have no cookie, only those among ``ours``."""
        pairs: Iterable[tuple[Mapping[Any, Any], Mapping[Any, Any]]] = (
            (confirmed.flows, read.flows),
            (_part(confirmed.groups, ours), read.groups),
            (_part(confirmed.meters, ours), read.meters),
        )
        missing, changed = [], []
        for before, now in pairs:
            missing += [piece for key, piece in before.items() if key not in now]
            changed += [piece for key, piece in before.items() if now.get(key, piece) != piece]
        added = [flow for key, flow in read.flows.items() if key not in confirmed.flows]
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


def _part(pieces: Mapping[Any, Any], keys: AbstractSet[Key]) -> dict[Any, Any]:
    return {key: piece for key, piece in pieces.items() if key in keys}


def _shown(pieces: tuple[Any, ...]) -> str:
    texts = [str(piece)[:_SHOWN] for piece in pieces[:_NAMED]]
    return f" ({'; '.join(texts)}{'; …' if len(pieces) > _NAMED else ''})"


def log_taken(dpid: int, plan: Plan, installed: Contents, known: AbstractSet[Key]) -> None:
    """Log which groups and meters a plan changes that nobody here has made.

    Which ids are ours says the documentation of each isolation; ``known`` is what names what
    this process has sent, and what our flows refer to was sent by one before.
    """
    changed: list[Group | Meter] = [*plan.groups_to_modify, *plan.meters_to_modify]
    unknown = [piece for piece in changed if key_of(piece) not in known]
    used = referred(installed.flows.values()) if unknown else set()
    for piece in unknown:
        if key_of(piece) not in used:
            name = "group" if isinstance(piece, Group) else "meter"
            text = "switch %016x: %s %d, of somebody else, has an id of ours: replaced"
            LOG.warning(text, dpid, name, piece[0])
