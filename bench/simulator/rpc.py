"""One OVSDB client's session: what ovsdb-server answers and tells (ovsdb-server(7))."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Callable

from bench.simulator.database import Change, Changes, Database
from bench.simulator.schema import Column

Transact = Callable[[Sequence[dict[str, Any]]], list[Any]]


class Session:
    """``handle`` takes a message of the client; ``changed`` tells it what somebody changed.

    ``monitored_at`` is since when it monitors the database (monotonic), 0 before that.
    """

    def __init__(
        self, database: Database, transact: Transact, send: Callable[[bytes], None]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.monitored_at = 0.0
        self._database = database
        self._transact = transact
        self._send = send
        # the client's name of its monitor; table → columns
        self._monitor: Any = None
        self._columns: dict[str, dict[str, Column]] = {}
        self._methods: dict[str, Callable[[list[Any]], Any]] = {
            "echo": lambda params: params,
            "monitor_cond_since": self._monitor_cond_since,
            "transact": lambda params: self._transact(params[1:]),
        }

    def handle(self, message: dict[str, Any]) -> None:
        """Answer a request; what is no request needs no answer."""
        name = message.get("method")
        if name is None or message["id"] is None:
            return
        self.counts[name] += 1
        method = self._methods.get(name)
        if method is None:
            self._write({"id": message["id"], "result": None, "error": "unknown method"})
            return
        result = method(message["params"])
        self._write({"id": message["id"], "result": result, "error": None})

    def changed(self, changes: Changes) -> None:
        """Tell the client what changed, as far as it monitors it."""
        updates = self._updates(changes)
        if not updates:
            return
        params = [self._monitor, str(uuid.uuid4()), updates]
        self._write({"id": None, "method": "update3", "params": params})

    def _write(self, message: dict[str, Any]) -> None:
        self._send(json.dumps(message, separators=(",", ":")).encode())

    def _monitor_cond_since(self, params: list[Any]) -> Any:
        schema = self._database.schema.tables
        self.monitored_at = time.monotonic()
        self._monitor = params[1]
        self._columns = {
            table: {name: schema[table][name] for name in requests[0]["columns"]}
            for table, requests in params[2].items()
        }
        return [False, str(uuid.uuid4()), self._contents()]

    def _contents(self) -> dict[str, Any]:
        found = self._updates(
            {
                (table, row_id): (None, row)
                for table in self._columns
                for row_id, row in self._database.tables[table].items()
            }
        )
        for rows in found.values():
            for update in rows.values():
                update["initial"] = update.pop("insert")
        return found

    def _updates(self, changes: Changes) -> dict[str, Any]:
        updates: dict[str, Any] = {}
        for (table, row_id), change in changes.items():
            if table in self._columns:
                update = _update(self._columns[table], change)
                if update is not None:
                    updates.setdefault(table, {})[row_id] = update
        return updates


def _update(columns: dict[str, Column], change: Change) -> dict[str, Any] | None:
    """Return what a monitor of these columns tells of a row; None where it is not concerned."""
    old, new = change
    if new is None:
        return {"delete": None}
    if old is None:
        return {"insert": {n: columns[n].dump(value) for n, value in new.items() if n in columns}}
    found = {}
    for name, column in columns.items():
        before, after = old.get(name, column.default), new.get(name, column.default)
        if before != after:
            found[name] = column.difference(before, after)
    return {"modify": found} if found else None
