"""A database in memory that does what RFC 7047, 5.2, says of the operations our client sends."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from bench.simulator.schema import Column, Schema

Row = dict[str, Any]
"""Column → value; a column that has its default is left out."""

Change = tuple[Optional[Row], Optional[Row]]
"""A row as it was (None: it was not there) and as it is."""

Changes = dict[tuple[str, str], Change]
"""Table and UUID → what became of the row."""


class Refused(Exception):
    """An operation failed, and its transaction with it."""


class Database:
    """``tables`` is table → UUID → row; rows are never changed in place."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in schema.tables}
        self._table_of: dict[str, str] = {}
        self._references: Counter[str] = Counter()
        self._suspects: set[str] = set()
        self._before: dict[tuple[str, str], Row | None] = {}
        self._names: dict[str, str] = {}
        self._operations: dict[str, Callable[[dict[str, Any]], Any]] = {
            "insert": self._insert,
            "update": self._update,
            "mutate": self._mutate,
            "delete": self._delete,
            "select": self._select,
            "wait": self._wait,
            "comment": lambda operation: {},
        }

    def transact(self, operations: Sequence[dict[str, Any]]) -> tuple[list[Any], Changes]:
        """Do all operations or none; return their results as JSON, and what changed."""
        results: list[Any] = []
        self._names = {op["uuid-name"]: str(uuid.uuid4()) for op in operations if "uuid-name" in op}
        try:
            for operation in operations:
                results.append(self._operations[operation["op"]](operation))
            self._collect_garbage()
        except (Refused, KeyError) as error:
            self._roll_back()
            unread = len(operations) - len(results) - 1
            return [*results, {"error": str(error)}, *[None] * unread], {}
        return results, self._take_changes()

    def set(self, table: str, row_id: str, **values: Any) -> Changes:
        """Write columns of a row outside of a transaction; return what changed."""
        self._write(table, row_id, {**self.tables[table][row_id], **values})
        self._collect_garbage()
        return self._take_changes()

    def value(self, table: str, row_id: str, column: str) -> Any:
        """Return the value of a column, its default where nobody wrote it."""
        default = self.schema.tables[table][column].default
        return self.tables[table][row_id].get(column, default)

    # -- operations --------------------------------------------------------------------------

    def _insert(self, operation: dict[str, Any]) -> Any:
        table = operation["table"]
        name = operation.get("uuid-name")
        row_id = self._names[name] if name else operation.get("uuid") or str(uuid.uuid4())
        self._write(table, row_id, self._parse(table, operation["row"]))
        return {"uuid": ["uuid", row_id]}

    def _update(self, operation: dict[str, Any]) -> Any:
        table = operation["table"]
        values = self._parse(table, operation["row"])
        chosen = self._where(operation)
        for row_id in chosen:
            self._write(table, row_id, {**self.tables[table][row_id], **values})
        return {"count": len(chosen)}

    def _mutate(self, operation: dict[str, Any]) -> Any:
        table = operation["table"]
        chosen = self._where(operation)
        for row_id in chosen:
            row = dict(self.tables[table][row_id])
            for name, mutator, argument in operation["mutations"]:
                column = self.schema.tables[table][name]
                old = row.get(name, column.default)
                row[name] = self._mutated(column, old, mutator, argument)
            self._write(table, row_id, row)
        return {"count": len(chosen)}

    def _mutated(self, column: Column, old: Any, mutator: str, argument: Any) -> Any:
        if mutator == "+=":
            return old + argument
        if isinstance(old, dict):
            if mutator == "insert":
                return {**column.parse(argument, self._names), **old}
            keys = dict(argument[1]) if argument[0] == "map" else argument[1]
            return {k: v for k, v in old.items() if k not in keys}
        atoms = column.parse_atoms(argument, self._names)
        return old.union(atoms) if mutator == "insert" else old.difference(atoms)

    def _delete(self, operation: dict[str, Any]) -> Any:
        chosen = self._where(operation)
        for row_id in chosen:
            self._write(operation["table"], row_id, None)
        return {"count": len(chosen)}

    def _select(self, operation: dict[str, Any]) -> Any:
        table, columns = operation["table"], self.schema.tables[operation["table"]]
        return {
            "rows": [
                {
                    name: columns[name].dump(self.value(table, row_id, name))
                    for name in operation["columns"]
                }
                for row_id in self._where(operation)
            ]
        }

    def _wait(self, operation: dict[str, Any]) -> Any:
        wanted = [self._parse(operation["table"], row) for row in operation["rows"]]
        for row_id in self._where(operation):
            found = {c: self.value(operation["table"], row_id, c) for c in operation["columns"]}
            if (found in wanted) != (operation["until"] == "=="):
                raise Refused("timed out")
        return {}

    def _where(self, operation: dict[str, Any]) -> list[str]:
        rows = self.tables[operation["table"]]
        if not operation["where"]:
            return list(rows)
        [(column, function, wire)] = operation["where"]
        if function != "==":
            raise Refused(f"not supported: {function}")
        value = wire[1] if isinstance(wire, list) else wire
        if column != "_uuid":
            return [row_id for row_id, row in rows.items() if row.get(column) == value]
        row_id = self._names.get(value, value)
        return [row_id] if row_id in rows else []

    def _parse(self, table: str, wire: dict[str, Any]) -> Row:
        columns = self.schema.tables[table]
        return {name: columns[name].parse(value, self._names) for name, value in wire.items()}

    # -- rows --------------------------------------------------------------------------------

    def _write(self, table: str, row_id: str, row: Row | None) -> None:
        old = self.tables[table].get(row_id)
        self._before.setdefault((table, row_id), old)
        for referred in self._referred(table, row, old):
            self._references[referred] += 1
        for referred in self._referred(table, old, row):
            self._references[referred] -= 1
            self._suspects.add(referred)
        if row is None:
            del self.tables[table][row_id], self._table_of[row_id]
        else:
            self.tables[table][row_id] = row
            self._table_of[row_id] = table
            if old is None:
                self._suspects.add(row_id)

    def _referred(self, table: str, row: Row | None, other: Row | None) -> Iterator[str]:
        """Yield what a row keeps alive by columns that differ from another's."""
        for name, value in (row or {}).items():
            column = self.schema.tables[table][name]
            before = (other or {}).get(name, column.default)
            if column.refers and before is not value:
                yield from set(column.references(value)).difference(column.references(before))

    def _collect_garbage(self) -> None:
        """Delete the rows that came, or lost a reference, and that nothing refers to."""
        while self._suspects:
            row_id = self._suspects.pop()
            if self._references[row_id] > 0:
                continue
            del self._references[row_id]
            table = self._table_of.get(row_id)
            if table is not None and table not in self.schema.roots:
                self._write(table, row_id, None)

    def _roll_back(self) -> None:
        for (table, row_id), old in list(self._before.items()):
            if old is not None or row_id in self.tables[table]:
                self._write(table, row_id, old)
        self._before.clear()
        self._suspects.clear()

    def _take_changes(self) -> Changes:
        changes: Changes = {}
        for (table, row_id), old in self._before.items():
            new = self.tables[table].get(row_id)
            if old != new:
                changes[table, row_id] = (old, new)
        self._before.clear()
        return changes
