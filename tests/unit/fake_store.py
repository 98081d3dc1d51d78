"""A store that keeps records in memory and fails when it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from ryu_l2iso.state.records import Record, RecordId, Value


class FakeStore:
    """Keeps records in memory; raises ``error`` while there is one.

    ``told`` is who wants to hear of what others change.
    """

    def __init__(self) -> None:
        self.told: Callable[[Sequence[Record]], None] | None = None
        self.kept: dict[RecordId, Value] = {}
        self.transactions: list[list[Record]] = []
        self.error: Exception | None = None
        self.closed = False

    def load(self) -> list[Record]:
        """Return what is kept."""
        return [Record(*record_id, value) for record_id, value in self.kept.items()]

    def apply(self, records: Sequence[Record]) -> None:
        """Keep records."""
        self.transactions.append(list(records))
        if self.error is not None:
            raise self.error
        for record in records:
            if record.value is None:
                del self.kept[record.id]
            else:
                self.kept[record.id] = record.value

    def listen(self, told: Callable[[Sequence[Record]], None]) -> None:
        """Note who wants to hear of it."""
        self.told = told

    def close(self) -> None:
        """Note it."""
        self.closed = True
