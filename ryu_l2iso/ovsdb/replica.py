"""The idl of one OVSDB server, and how a green thread that runs it is woken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import ovs.db.error
import ovs.jsonrpc
import ovs.poller
from ovs.db.idl import ROW_CREATE, ROW_DELETE, Idl

from ryu_l2iso import turns
from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import messages
from ryu_l2iso.ovsdb.node_stream import forget, stream_name, trouble
from ryu_l2iso.ovsdb.reader import BridgeReader, column
from ryu_l2iso.ovsdb.schema import schema_helper

MAX_ROWS = 20_000
"""Rows of one server: those of a node with 10,000 ports."""

MAX_SIZE = 0x4000000
"""Bytes of these rows as `_size` counts them: some four times those of such a node."""

_MEASURED_EVERY = 0x400000
"""Bytes received between two looks at that; each takes a tenth of a second at such a node."""

_PER_VALUE = 100
"""Bytes of memory that a value takes besides its text."""

ROWS_IN_A_TURN = 50
"""Rows of an update that are taken before other threads have their turn."""

MIN_BACKOFF = 1.0
"""Seconds; the idl takes no less."""


# There is no way to tell a session which kind of connection to make.
ovs.jsonrpc.Connection = messages.BoundedConnection


class Replica(Idl):  # type: ignore[misc]
    """The idl of one server; tells the reader which rows changed."""

    def __init__(self, address: str, reader: BridgeReader, max_backoff: float) -> None:
        """Raise OVSDBError when the address may not be used; see ``stream_name``."""
        self._stream = stream_name(address, reader.dpid)
        forget(self._stream)
        super().__init__(self._stream, schema_helper())
        self._reader = reader
        self._rows_taken = 0
        self._measured = 0
        # Table → name → UUID
        self._named: dict[str, dict[str, UUID]] = {"Port": {}, "Interface": {}}
        reader.begin_anew()
        backoff = (int(MIN_BACKOFF * 1000), int(max_backoff * 1000))
        self._session.reconnect.set_backoff(*backoff)

    def run(self) -> Any:
        """Take what the server has sent, up to a limit; raises OVSDBError when it breaks one."""
        changed = super().run()
        if sum(len(table.rows) for table in self._all_tables()) > MAX_ROWS:
            raise OVSDBError(f"OVSDB server {self._stream} has more than {MAX_ROWS} rows")
        received = 0 if self._session.rpc is None else self._session.rpc.received_bytes
        if not 0 <= received - self._measured < _MEASURED_EVERY:
            self._measured = received
            if _size(self._all_tables()) > MAX_SIZE:
                raise OVSDBError(f"OVSDB server {self._stream} has more than {MAX_SIZE} bytes")
        return changed

    def _all_tables(self) -> list[Any]:
        """Return our tables, and those in which the server tells of its databases."""
        return [*self.tables.values(), *(self.server_tables or {}).values()]

    def cooperative_yield(self) -> None:
        """Let others run; called for each row of an update."""
        if self._rows_taken % ROWS_IN_A_TURN == 0:
            turns.FACTS.take()
        self._rows_taken += 1

    def _Idl__do_parse_update(self, *args: Any, **kwargs: Any) -> None:
        """Raise OVSDBError for a broken update, after which nothing known is certain.

        The idl's own method, which calls this one, would log the error and go on.
        """
        try:
            super()._Idl__do_parse_update(*args, **kwargs)
        except ovs.db.error.Error as error:
            raise OVSDBError(f"OVSDB server {self._stream} has sent {error}") from error

    def _Idl__clear(self) -> None:
        """Forget all rows: they come anew.  The idl calls this after a reconnection."""
        super()._Idl__clear()
        for named in self._named.values():
            named.clear()
        self._reader.begin_anew()

    def close(self) -> None:
        """End the connection, and take rows and replica apart: they refer to each other."""
        super().close()
        for table in self.tables.values():
            table.rows.clear()

    @property
    def has_more(self) -> bool:
        """Tell whether ``run()`` has left something that has come."""
        return self._session.rpc is not None and bool(self._session.rpc.has_more)

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        """Pass on that a row changed; called by ``run()``."""
        table = row._table.name
        if table in self._named and event in (ROW_CREATE, ROW_DELETE):
            named, name = self._named[table], column(row, "name")[0]
            if event == ROW_CREATE:
                named[name] = row.uuid
            elif named.get(name) == row.uuid:
                del named[name]
        self._reader.row_changed(table, row.uuid)

    def find(self, table: str, name: str) -> Any | None:
        """Return the row of a Port or an Interface by its name, which no other has, or None."""
        uuid = self._named[table].get(name)
        return None if uuid is None else self.tables[table].rows.get(uuid)

    def give_up(self, transaction: Any) -> None:
        """Wait no more for the answer to a transaction that was sent; it may be done all the same.

        The idl would keep it until the connection ends.
        """
        self._outstanding_txns.pop(transaction._request_id, None)

    @property
    def connected(self) -> bool:
        """Tell whether the server has accepted a connection and not dropped it."""
        return bool(self._session.is_connected())

    @property
    def trouble(self) -> str | None:
        """Why TLS has failed since the last `well`, about the server as "it"; else None."""
        return trouble(self._stream)

    def well(self) -> None:
        """Note that the server has given its database."""
        forget(self._stream)

    @property
    def in_sync(self) -> bool:
        """Tell whether this is the database's content, up to what is on its way."""
        return self.connected and self.state == Idl.IDL_S_MONITORING


def _size(tables: list[Any]) -> int:
    """Return roughly how many bytes of memory the values of all rows take."""
    return sum(
        _PER_VALUE + len(atom.value) if isinstance(atom.value, str) else _PER_VALUE
        for table in tables
        for row in table.rows.values()
        for datum in row._data.values()
        for atom in _atoms(datum)
    )


def _atoms(datum: Any) -> Iterator[Any]:
    for key, value in datum.values.items():
        yield key
        if value is not None:
            yield value


class Waker:
    """Wakes a green thread that is blocked in a poller."""

    def __init__(self) -> None:
        self._receive, self._send = socket.socketpair()
        self._receive.setblocking(False)
        self._send.setblocking(False)
        self._woken = False

    def wake(self) -> None:
        """Let ``block`` return, now or the next time that it is called."""
        if not self._woken:
            self._woken = True
            self._send.send(b"w")

    def block(self, poller: Any) -> None:
        """Block on the poller until something that it waits for happens, or ``wake()``."""
        poller.fd_wait(self._receive, ovs.poller.POLLIN)
        poller.block()
        if self._woken:
            self._receive.recv(1)
            self._woken = False

    def pause(self, seconds: float) -> None:
        """Block for some seconds, less after ``wake()``."""
        poller = ovs.poller.Poller()
        poller.timer_wait(int(seconds * 1000))
        self.block(poller)

    def close(self) -> None:
        """Give the sockets back; ``wake()`` does nothing any more."""
        self._woken = True
        self._receive.close()
        self._send.close()
