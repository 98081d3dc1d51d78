"""What a change of the state touches, recorded until whoever acts on it takes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_l2iso.state.ports import Port
from ryu_l2iso.state.subjects import Subject


class PortChange(NamedTuple):
    """A port was added (``old`` is None), changed, or removed (``new`` is None)."""

    old: Port | None
    new: Port | None


@dataclass
class Changes:
    """What is to be looked at again.

    ``subjects``: dpid → subjects whose flows may differ; ``tunnels``: switches whose tunnel ports
    may differ; ``switches``: switches whose registration changed; ``ports``: in order of time.
    """

    subjects: dict[int, set[Subject]] = field(default_factory=dict)
    tunnels: set[int] = field(default_factory=set)
    switches: set[int] = field(default_factory=set)
    ports: list[PortChange] = field(default_factory=list)

    def mark(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Record that the flows of ``subjects`` on a switch may differ."""
        self.subjects.setdefault(dpid, set()).update(subjects)

    def __bool__(self) -> bool:
        return bool(self.subjects or self.tunnels or self.switches or self.ports)

    def take(self) -> Changes:
        """Return what was recorded so far and start anew."""
        taken = Changes(self.subjects, self.tunnels, self.switches, self.ports)
        self.subjects, self.tunnels, self.switches, self.ports = {}, set(), set(), []
        return taken
