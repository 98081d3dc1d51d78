"""Tables and pipelines as declarations, and the one place where flows are made from them.

A pipeline refuses a flow that uses a field or goes to a table that its table did not declare, so
the declaration at the top of a pipeline's module is the whole truth about it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Callable

from ryu_l2iso.pipelines.flow import Action, Flow, Match

COOKIE_MAGIC = 0x6C32 << 48
COOKIE_MAGIC_MASK = 0xFFFF << 48
"""By these two a flow is ours, also one that another isolation has left behind: only one runs."""


class PipelineError(Exception):
    """A flow, or a pipeline, contradicts its own declaration: a mistake in the program."""


@dataclass(frozen=True)
class Table:
    """A flow table.

    ``matches``: names of the fields of `Match` that its flows may use; ``goto``: names of the
    tables that it may send packets to; ``miss``: what becomes of a packet that no flow matches.
    """

    number: int
    name: str
    purpose: str
    matches: frozenset[str]
    goto: frozenset[str]
    miss: str


def _others(fields: frozenset[str]) -> Callable[[Match], tuple[object, ...]]:
    """Return what picks from a match all fields but these."""
    others = [index for index, name in enumerate(Match._fields) if name not in fields]
    # A getter returns a tuple from two items on: two of nothing are there in any case.
    return itemgetter(slice(0), slice(0), *others)


class Pipeline:
    """The tables of one isolation, in packet order, and the cookies of its flows.

    A cookie has 64 bits: a magic number (16), the number of the app (16), the number of the
    reason why the flow is there (32).  Flows with another magic or app are not ours.
    """

    def __init__(self, app: int, reasons: type[enum.IntEnum], tables: Sequence[Table]) -> None:
        """Raise PipelineError when names or numbers repeat, or a table sends packets back."""
        self.app = app
        self.reasons = reasons
        self.tables = tuple(tables)
        self.cookie = COOKIE_MAGIC | app << 32
        self.cookie_mask = COOKIE_MAGIC_MASK | 0xFFFF << 32
        self._by_name = {table.name: table for table in tables}
        # table → what picks the fields that its flows may not use, and what it picks if they do not
        others = {table.number: _others(table.matches) for table in tables}
        self._others = {number: (pick, pick(Match())) for number, pick in others.items()}
        if len(self._by_name) < len(tables) or len({t.number for t in tables}) < len(tables):
            raise PipelineError("two tables have one name or one number")
        for table in tables:
            for name in table.goto:
                if self._by_name[name].number <= table.number:
                    raise PipelineError(f"table {table.name} sends packets back to {name}")

    def table_name(self, number: int) -> str:
        """Return the name of a table; raises KeyError for a number that is not declared."""
        return {table.number: table.name for table in self.tables}[number]

    def reason(self, cookie: int) -> enum.IntEnum:
        """Return why the flow with this cookie is there; raises ValueError for a foreign one."""
        if cookie & self.cookie_mask != self.cookie:
            raise ValueError(f"0x{cookie:x} is not a cookie of this pipeline")
        return self.reasons(cookie & 0xFFFFFFFF)

    def flow(
        self,
        table: Table,
        priority: int,
        match: Match,
        reason: enum.IntEnum,
        actions: Sequence[Action] = (),
        goto: Table | None = None,
        *,
        meter: int | None = None,
        metadata: int | None = None,
    ) -> Flow:
        """Return a flow; raises PipelineError when its table did not declare what it does."""
        pick, unused = self._others[table.number]
        if pick(match) != unused:
            raise PipelineError(f"table {table.name} does not match {match}")
        if goto is not None and goto.name not in table.goto:
            raise PipelineError(f"table {table.name} does not send packets to {goto.name}")
        return Flow(
            table.number,
            priority,
            match,
            tuple(actions),
            None if goto is None else goto.number,
            self.cookie | reason,
            meter,
            metadata,
        )
