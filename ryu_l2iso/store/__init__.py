"""What keeps the records of the state over restarts (see `ryu_l2iso.state.records`).

A `Store` loads all records and applies changes, each set of them as a whole or not at all.  The
one that there is keeps them in an SQLite file; one of a cluster would tell of what others change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Protocol

from ryu_l2iso.state.records import Record


class Store(Protocol):
    """Keeps records.  ``apply`` runs in a native thread, everything else in a green one."""

    def load(self) -> list[Record]:
        """Return all records, and keep others from using them; raises UnusableStore."""

    def apply(self, records: Sequence[Record]) -> None:
        """Have just these records on disk before returning: all, or none; raises StoreError.

        Each id is there once; ``value`` is None for a record that goes.
        """

    def listen(self, told: Callable[[Sequence[Record]], None]) -> None:
        """Have ``told`` called, in a green thread, with what others have changed from now on."""

    def close(self) -> None:
        """Let others use what is kept."""
