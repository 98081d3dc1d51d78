"""Whom a programmer asks what a switch should hold, and whom it tells what the switch holds."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.state.subjects import Subject


class Source(Protocol):
    """Where a programmer asks what a switch should hold.  Pure and fast: it never blocks."""

    cookie: int
    cookie_mask: int
    """A flow is ours if its cookie equals ``cookie`` in the bits of ``cookie_mask``."""
    kinds: tuple[type, ...]
    """The kinds of subjects for which a switch may have anything."""

    def subjects(self, dpid: int) -> Iterable[Subject]:
        """Return all subjects of a switch."""

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the ports that a switch has had for as long as its flows."""

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        """Return what the switch should hold for a subject; nothing for one that is gone."""


class Watcher:
    """Is told what a switch holds, by subject; each method does nothing unless overridden.

    A subject that is *filled* is one for which the source wants something.  The calls for one
    switch come in order; none but `may_hold` may block.
    """

    def connected(self, dpid: int) -> None:
        """Flows may be sent from now on."""

    def lost(self, dpid: int) -> None:
        """Nothing is sent any more."""

    def failed(self, dpid: int) -> None:
        """The switch did not confirm what was sent; it may hold it or not."""

    def may_hold(self, dpid: int, filled: AbstractSet[Subject]) -> bool:
        """Flows for these subjects, as they are wanted now, are about to be sent.

        Returns whether it has waited: what is wanted may be something else now.
        """
        return False

    def holds(self, dpid: int, filled: AbstractSet[Subject], empty: AbstractSet[Subject]) -> None:
        """The switch has confirmed what was sent last.

        For the ``filled`` subjects it holds that and nothing older, for the ``empty`` ones nothing.
        """

    def holds_only(self, dpid: int, filled: AbstractSet[Subject]) -> None:
        """The same; and it holds nothing for any other subjects."""
