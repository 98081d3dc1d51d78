"""The SQLite store: what it gives back, and what it refuses without touching it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ryu_l2iso.exceptions import StoreError, UnusableStore
from ryu_l2iso.state.records import (
    ASSIGNED_PORTS,
    DISMISSED,
    KEYS,
    NETWORKS,
    OF_PORTS,
    TABLES,
    Column,
    Kind,
    Record,
    RecordId,
)
from ryu_l2iso.store import sqlite
from ryu_l2iso.store.sqlite import MEMORY, SINCE, VERSION, SqliteStore

RED = Record(NETWORKS, ("red",), ())
RED_KEY = Record(KEYS, ("red",), (10,))


def values(columns: tuple[Column, ...]) -> st.SearchStrategy[tuple[str | int | None, ...]]:
    """Return what the columns of a row may hold."""
    kinds: dict[Kind, st.SearchStrategy[str | int | None]] = {
        Kind.TEXT: st.text(),
        Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
        Kind.DPID: st.integers(0, 2**64 - 1),
        Kind.NUMBER: st.none() | st.integers(0, 10**20),
    }
    found = [kinds[c.kind] | st.none() if c.optional else kinds[c.kind] for c in columns]
    return st.tuples(*found)


def records() -> st.SearchStrategy[Record]:
    """Return any records."""
    return st.sampled_from(TABLES).flatmap(
        lambda table: st.builds(
            Record, st.just(table), values(table.key), st.none() | values(table.value)
        )
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a store may be made, in a directory that is not there yet."""
    return tmp_path / "state" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Return an empty store."""
    made = SqliteStore(str(path))
    assert made.load() == []
    yield made
    made.close()


def content(path: Path) -> dict[RecordId, Record]:
    """Return what a file holds, once nobody has it open."""
    with closing(SqliteStore(str(path))) as store:
        return {record.id: record for record in store.load()}


def keep(path: Path, *kept: Record) -> None:
    """Make a file that holds these records."""
    with closing(SqliteStore(str(path))) as store:
        store.load()
        store.apply(kept)


def hashes(path: Path) -> dict[str, str]:
    """Return file name → digest for the file and what SQLite has beside it, the index left out."""
    files = [file for file in path.parent.iterdir() if not file.name.endswith(("-shm", "-lock"))]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    # An empty log says nothing.
    empty = hashlib.sha256(b"").hexdigest()
    return {n: d for n, d in digests.items() if not (n.endswith("-wal") and d == empty)}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(records(), max_size=8, unique_by=lambda r: r.id), max_size=4))
def test_what_was_applied_last_is_loaded(changes: list[list[Record]]) -> None:
    with closing(SqliteStore(MEMORY)) as store:
        store.load()
        expected: dict[RecordId, Record] = {}
        for change in changes:
            store.apply(change)
            expected.update({record.id: record for record in change})
        rows = (row for table in TABLES for row in sqlite._rows(store._connected(), table))
        loaded = {record.id: record for record in rows}
    assert loaded == {i: record for i, record in expected.items() if record.value is not None}


def test_records_outlive_the_store(path: Path) -> None:
    keep(path, RED, RED_KEY)
    assert content(path) == {RED.id: RED, RED_KEY.id: RED_KEY}


@pytest.mark.parametrize("count", [63, 64, 65, 129])
def test_many_records_of_one_table_are_kept_and_removed(path: Path, count: int) -> None:
    kept = [Record(NETWORKS, (f"network-{number}",), ()) for number in range(count)]
    keep(path, *kept)
    assert content(path) == {record.id: record for record in kept}
    keep(path, *(record._replace(value=None) for record in kept[1:]))
    assert content(path) == {kept[0].id: kept[0]}


def test_what_is_removed_is_searched_by_its_key(store: SqliteStore) -> None:
    """Not by going through the whole table."""
    gone = [Record(OF_PORTS, (1, number), None) for number in range(3)]
    ((statement, values),) = sqlite._statements(gone)
    plan = store._connected().execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    assert [row for row in plan if "SCAN" in row[3]] == []


def test_a_change_is_applied_whole_or_not_at_all(store: SqliteStore, path: Path) -> None:
    store.apply([RED])
    bad = Record(ASSIGNED_PORTS, (1, None), (None, None, None, None))
    with pytest.raises(StoreError, match="cannot be written: NOT NULL"):
        store.apply([RED._replace(value=None), bad])
    store.apply([RED_KEY])
    store.close()
    assert content(path) == {RED.id: RED, RED_KEY.id: RED_KEY}


def test_what_no_column_holds_is_refused_and_the_next_write_works(store: SqliteStore) -> None:
    with pytest.raises(OverflowError):
        store.apply([RED, Record(OF_PORTS, (1, 2**63), ("tap", 1, 0, 0))])
    store.apply([RED_KEY])
    rows = [row for table in TABLES for row in sqlite._rows(store._connected(), table)]
    assert rows == [RED_KEY]


def test_a_transaction_is_on_disk_when_it_ends(store: SqliteStore) -> None:
    connection = store._connected()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    assert connection.execute("PRAGMA temp_store").fetchone() == (2,), "MEMORY"


def test_the_tables_are_readable(path: Path) -> None:
    """An operator who looks into the file sees names and values."""
    keep(path, RED_KEY, Record(TABLES[3], (0xA1,), ()))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT network_id, key FROM keys").fetchall() == [("red", "10")]
        assert connection.execute("SELECT dpid FROM switches").fetchall() == [("00000000000000a1",)]
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert {table.name for table in TABLES} <= names


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    keep(path)
    assert path.stat().st_mode & 0o777 == 0o600
    # Who may read the lock may take it, too.
    assert Path(f"{path}-lock").stat().st_mode & 0o777 == 0o600


def test_a_backup_can_be_made_while_it_is_in_use(store: SqliteStore, path: Path) -> None:
    store.apply([RED])
    copy = path.with_name("copy")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    assert content(copy) == {RED.id: RED}


def test_an_older_file_gets_the_tables_that_it_lacks(path: Path) -> None:
    keep(path, RED_KEY)
    with closing(sqlite3.connect(path)) as connection:
        for table in SINCE:
            connection.execute(f"DROP TABLE {table.name}")
        connection.execute("PRAGMA user_version = 1")
    dismissed = Record(DISMISSED, (0xA1,), ())
    keep(path, dismissed)
    assert content(path) == {RED_KEY.id: RED_KEY, dismissed.id: dismissed}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


# -- refused, and left as it is --------------------------------------------------------------------


def newer(path: Path) -> None:
    keep(path, RED)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def newer_in_the_log(path: Path) -> None:
    """Have a newer version killed before its changes came from the log into the file."""
    keep(path, RED)
    code = f"""
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA user_version = {VERSION + 1}")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name("state.db-wal").stat().st_size


def of_others(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE networks (network_id)")


def garbage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(20_000))


def text(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[l2iso]\n")


def empty(path: Path) -> None:
    path.parent.mkdir()
    path.touch()


def truncated(path: Path) -> None:
    keep(path, *(Record(NETWORKS, (f"network {i:>100}",), ()) for i in range(1000)))
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    keep(path, *(Record(NETWORKS, (f"network {i:>100}",), ()) for i in range(1000)))
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(8192))


def wrongly_typed(path: Path) -> None:
    keep(path, RED)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO of_ports VALUES ('00000000000000a1', 'x', 'tap', 1, 0, 0)")
        connection.commit()


def wrong_dpid(path: Path) -> None:
    keep(path, RED)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO switches VALUES ('nonsense')")
        connection.commit()


def without_a_table(path: Path) -> None:
    keep(path, RED)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE keys")


def a_directory(path: Path) -> None:
    path.mkdir(parents=True)


def only_its_log(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("state.db-wal").write_bytes(b"what was written last")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (newer, "newer version"),
        (newer_in_the_log, "newer version"),
        (of_others, "another application"),
        (garbage, "damaged"),
        (text, "damaged"),
        (empty, "damaged"),
        (truncated, "damaged"),
        (overwritten, "damaged"),
        (wrongly_typed, "damaged"),
        (wrong_dpid, "damaged"),
        (without_a_table, "damaged"),
        (a_directory, "cannot be used"),
        (only_its_log, "state.db-wal"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_stays_as_it_is(
    path: Path, make: object, why: str
) -> None:
    assert callable(make)
    make(path)
    before = hashes(path) if path.is_file() else {}
    for _ in range(2):
        with pytest.raises(UnusableStore, match=f"connection: {path} .*{why}"):
            SqliteStore(str(path)).load()
        assert (hashes(path) if path.is_file() else {}) == before


def test_a_directory_that_cannot_be_written_is_refused() -> None:
    # Root may write everywhere but there.
    with pytest.raises(UnusableStore, match="connection: /proc/l2iso/state.db"):
        SqliteStore("/proc/l2iso/state.db").load()


def test_a_link_to_a_file_that_is_not_there_is_refused_and_stays(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path.parent / "not-mounted.db")
    with pytest.raises(UnusableStore, match="leads nowhere"):
        SqliteStore(str(path)).load()
    assert path.is_symlink()


def test_a_second_controller_on_one_file_is_refused(store: SqliteStore, path: Path) -> None:
    alias = path.with_name("alias.db")
    alias.symlink_to(path)
    for place in (path, alias):
        with pytest.raises(StoreError, match="another controller") as caught:
            SqliteStore(str(place)).load()
        assert not isinstance(caught.value, UnusableStore), "it may be gone in a moment"
    store.apply([RED])
    store.close()
    assert content(path) == {RED.id: RED}


def test_what_somebody_else_has_locked_is_not_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ryu_l2iso.store.sqlite.BUSY_SECONDS", 0.05)
    keep(path, RED)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="in use") as caught:
            SqliteStore(str(path)).load()
        assert not isinstance(caught.value, UnusableStore)
    assert content(path) == {RED.id: RED}


def test_a_write_that_is_locked_out_fails_and_the_next_works(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._connected().execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="cannot be written"):
            store.apply([RED])
    store.apply([RED_KEY])
    store.close()
    assert content(path) == {RED_KEY.id: RED_KEY}


def test_a_half_made_file_is_made_anew(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("state.db-new").write_bytes(b"half")
    assert content(path) == {}
    assert not path.with_name("state.db-new").exists()


def test_a_killed_controller_leaves_what_it_wrote(path: Path) -> None:
    code = """
import os, sys
from ryu_l2iso.store.sqlite import SqliteStore
from ryu_l2iso.state.records import NETWORKS, Record
store = SqliteStore(sys.argv[1])
store.load()
store.apply([Record(NETWORKS, ("red",), ())])
os._exit(0)
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=root)
    assert path.with_name("state.db-wal").stat().st_size
    assert content(path) == {RED.id: RED}


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(str(path))
    with pytest.raises(StoreError, match="closed"):
        store.apply([RED])


def test_memory_ends_with_the_store() -> None:
    for _ in range(2):
        with closing(SqliteStore(MEMORY)) as store:
            assert store.load() == []
            store.apply([RED])
