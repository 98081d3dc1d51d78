"""The store in one SQLite file, with a table for each table of records.

The file names itself by its application id and its version.  What is not ours, newer, damaged or
in use is refused before anything is opened for writing, so it stays as it is.  An older one is
given the tables that it lacks.  A new file is made
beside its place and then moved there whole: an empty one in that place is damaged.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice
from operator import index
from pathlib import Path
from typing import Any, Callable

from ryu_l2iso.exceptions import StoreError, UnusableStore
from ryu_l2iso.state.records import (
    DISMISSED,
    LINGERING,
    TABLES,
    Column,
    Kind,
    Record,
    Scalar,
    Table,
)
from ryu_l2iso.state.values import dpid_to_str

VERSION = 2
"""Counted up whenever ``TABLES`` changes; in the file it is ``user_version``."""

SINCE = {DISMISSED: 2, LINGERING: 2}
"""Table → the first version of the file that has it, where that is not 1."""

APPLICATION_ID = 0x4C32_4973
"""``L2Is``; stands in the file's header (https://www.sqlite.org/fileformat2.html, 1.3)."""

MEMORY = ":memory:"
"""The place of a store that ends with the process."""

BUSY_SECONDS = 2.0
"""How long somebody who looks into the file, as a backup does, may hold up a write."""

MOST_ROWS = 64
"""Rows that one statement writes.  While it does, the interpreter runs other threads, which between
two it may not; so many have fewer than the 999 values that every SQLite takes
(https://www.sqlite.org/limits.html, 9)."""

STATEMENTS = 256
"""Statements that are kept parsed.  To parse one takes as long as to write its rows, and there are
two of each table for each number of rows, of which few are in use."""


class SqliteStore:
    """Records in a file that no other controller uses meanwhile; or in memory, with `MEMORY`."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._path = Path(place).absolute()
        self._lock: Any = None
        self._connection: sqlite3.Connection | None = None

    def load(self) -> list[Record]:
        """Open the file, or make it, and return all records; raises UnusableStore.

        Raises StoreError instead where another controller has it, or somebody else has it locked.
        """
        try:
            with self._explained():
                return self._open()
        except BaseException:
            self.close()
            raise

    def apply(self, records: Sequence[Record]) -> None:
        """Write records in one transaction, down to the disk; raises StoreError."""
        connection = self._connected()
        statements = _statements(records)
        if len(statements) > 1:
            # One alone is a transaction by itself.
            statements = [("BEGIN IMMEDIATE", []), *statements, ("COMMIT", [])]
        try:
            for statement, values in statements:
                connection.execute(statement, values)
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            if isinstance(error, (sqlite3.Error, OSError)):
                raise StoreError(f"{self._place} cannot be written: {error}") from error
            raise

    def listen(self, told: Callable[[Sequence[Record]], None]) -> None:
        """Do nothing: nobody else changes the file."""

    def close(self) -> None:
        """Close the file; what was written is all in it then."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self._place} is closed")
        return self._connection

    # -- opening -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Have what goes wrong inside told as what an operator can do something about."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise StoreError(f"connection: {self._place} is in use: {error}") from error
            raise self._unusable(f"cannot be used: {error}") from error
        except OSError as error:
            raise self._unusable(f"cannot be used: {error.strerror}") from error

    def _unusable(self, why: str) -> UnusableStore:
        return UnusableStore(f"connection: {self._place} {why}")

    def _open(self) -> list[Record]:
        if self._place == MEMORY:
            self._connection = _connect(MEMORY)
            _create(self._connection)
            return []
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        records = self._read() if self._path.exists() else self._make()
        self._connection = connection = _connect(self._path)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise self._unusable("is on a file system that SQLite's WAL mode does not work on")
        connection.execute("PRAGMA synchronous = FULL")
        # What it takes to undo a statement of many rows would be a file, made anew for each.
        connection.execute("PRAGMA temp_store = MEMORY")
        # A file that cannot be written is found out now.
        connection.execute("BEGIN IMMEDIATE")
        _create_missing(connection)
        connection.execute("COMMIT")
        return records

    def _take_lock(self) -> None:
        """Keep other controllers off, until the process ends, however it does."""
        # Not on the file itself: closing that again would drop SQLite's own locks.
        # For the owner alone: who may read it could lock it.
        path = f"{self._path.resolve()}-lock"
        self._lock = open(path, "a", opener=_open_private)  # noqa: SIM115  # kept open
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"connection: another controller uses {self._place}") from None

    def _read(self) -> list[Record]:
        """Return the records of the file; UnusableStore unless it is ours, known and whole."""
        if self._path.stat().st_size == 0:
            raise self._unusable("is damaged: it is empty")
        # Read only: closing a connection that may write would change the file.
        connection = _connect(f"{self._path.as_uri()}?mode=ro")
        try:
            version = self._check(connection)
            tables = [table for table in TABLES if SINCE.get(table, 1) <= version]
            return [record for table in tables for record in _rows(connection, table)]
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            if "locked" in str(error):
                raise
            raise self._unusable(f"is damaged: {error}") from error
        finally:
            connection.close()

    def _check(self, connection: sqlite3.Connection) -> int:
        """Return the version of a file that is ours, known and whole."""
        application, version = _header(connection)
        if application != APPLICATION_ID:
            raise self._unusable("is the file of another application")
        if version > VERSION:
            raise self._unusable(
                f"was written by a newer version of ryu_l2iso: its version is {version}, "
                f"and this one knows up to {VERSION}"
            )
        fault: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if fault != "ok":
            raise sqlite3.DatabaseError(" ".join(fault.split()))
        return version

    def _make(self) -> list[Record]:
        """Make an empty store; it comes to its place whole."""
        if self._path.is_symlink():
            # To a file system that is not mounted, perhaps.
            raise self._unusable("is a link that leads nowhere")
        for ending in ("-wal", "-journal"):
            left = Path(f"{self._path}{ending}")
            if left.exists():
                raise self._unusable(f"is missing, and {left.name} is there, which belongs to it")
        new = Path(f"{self._path}-new")
        new.unlink(missing_ok=True)
        Path(f"{new}-journal").unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = _connect(new)
        try:
            _create(connection)
        finally:
            connection.close()
        new.rename(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return []


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _connect(place: str | Path) -> sqlite3.Connection:
    """Return a connection that any thread may use, one at a time; transactions are explicit."""
    return sqlite3.connect(
        place,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
        uri=isinstance(place, str),
    )


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return application id and version of a file."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application, version


def _create(connection: sqlite3.Connection) -> None:
    """Make all tables in an empty file."""
    connection.execute("BEGIN")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _create_missing(connection)
    connection.execute("COMMIT")


def _create_missing(connection: sqlite3.Connection) -> None:
    """Make, inside a transaction, the tables that the version of the file does not have."""
    _, version = _header(connection)
    for table in TABLES:
        if SINCE.get(table, 1) > version:
            connection.execute(_definition(table))
    if version != VERSION:
        connection.execute(f"PRAGMA user_version = {VERSION}")


# -- tables and rows -----------------------------------------------------------------------------


def _definition(table: Table) -> str:
    columns = ", ".join(_column_definition(column) for column in table.key + table.value)
    key = ", ".join(column.name for column in table.key)
    return f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"


def _column_definition(column: Column) -> str:
    kind = "INTEGER" if column.kind is Kind.INTEGER else "TEXT"
    return f"{column.name} {kind}{'' if column.optional else ' NOT NULL'}"


def _rows(connection: sqlite3.Connection, table: Table) -> Iterator[Record]:
    columns = table.key + table.value
    names, split = ", ".join(column.name for column in columns), len(table.key)
    rows = connection.execute(f"SELECT {names} FROM {table.name}").fetchall()
    # By columns, each different value once: a large file is read in half the time.
    decoded = [_decoded(column, values) for column, values in zip(columns, zip(*rows))]
    for row in zip(*decoded):
        yield Record(table, row[:split], row[split:])


def _decoded(column: Column, values: Sequence[Any]) -> Iterator[Scalar]:
    decode = _DECODERS[column.kind]
    return map({value: decode(value) for value in set(values)}.__getitem__, values)


def _statements(records: Sequence[Record]) -> list[tuple[str, list[Any]]]:
    """Return the statements that write records, each with its values."""
    rows_of: dict[tuple[Table, bool], list[Sequence[Scalar]]] = defaultdict(list)
    for table, key, value in records:
        rows_of[table, value is None].append(key if value is None else key + value)
    statements = []
    for (table, gone), rows in rows_of.items():
        encoded = _encoded(table.key if gone else table.key + table.value, rows)
        while part := list(islice(encoded, MOST_ROWS)):
            statements.append((_statement(table, gone, len(part)), list(chain(*part))))
    return statements


@cache
def _statement(table: Table, gone: bool, count: int) -> str:
    """Return the statement that writes so many rows, or removes them."""
    if gone:
        # Not IN with rows of values: that goes through the whole table.
        row = " AND ".join(f"{column.name} = ?" for column in table.key)
        return f"DELETE FROM {table.name} WHERE " + " OR ".join([f"({row})"] * count)
    columns = table.key + table.value
    names = ", ".join(column.name for column in columns)
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT OR REPLACE INTO {table.name} ({names}) VALUES " + ", ".join([row] * count)


def _encoded(columns: Sequence[Column], rows: Sequence[Sequence[Scalar]]) -> Iterator[Any]:
    """Return rows as SQLite takes them."""
    encoders = [_ENCODERS.get(column.kind) for column in columns]
    return zip(*(map(encode, of) if encode else of for encode, of in zip(encoders, zip(*rows))))


def _text(value: Any) -> Any:
    """Return a text as SQLite takes it: one that is no UTF-8 (JSON can name those) as bytes."""
    if value is None or value.isascii():
        return value
    data = value.encode("utf-8", "surrogatepass")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


_ENCODERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: _text,
    Kind.DPID: lambda value: None if value is None else dpid_to_str(value),
    Kind.NUMBER: lambda value: "" if value is None else str(value),
}
_DECODERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: lambda v: v.decode("utf-8", "surrogatepass") if isinstance(v, bytes) else v,
    Kind.INTEGER: lambda value: None if value is None else index(value),
    Kind.DPID: lambda value: None if value is None else int(value, 16),
    Kind.NUMBER: lambda value: int(value) if value else None,
}
