"""What one OVSDB server has, as far as we read it, and how a green thread that reads is woken.

``ovs.jsonrpc`` connects, reconnects and probes.  Its rows and transactions (``ovs.db.idl``) are not
used: they make objects of each value and each default, and were the most of what a fleet cost.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import ovs.jsonrpc
import ovs.poller

from ryu_l2iso import turns
from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb import messages
from ryu_l2iso.ovsdb.columns import Column, short
from ryu_l2iso.ovsdb.node_stream import forget, stream_name, trouble
from ryu_l2iso.ovsdb.reader import BridgeReader
from ryu_l2iso.ovsdb.rows import UUID, Row, Tables
from ryu_l2iso.ovsdb.schema import DATABASE, TABLES

MAX_ROWS = 20_000
"""Rows of one server: those of a node with 10,000 ports."""

MAX_SIZE = 0x4000000
"""Bytes of these rows as `_size` counts them: some four times those of such a node."""

_MEASURED_EVERY = 0x400000
"""Bytes received between two looks at that; each takes a tenth of a second at such a node."""

_PER_VALUE = 100
"""Bytes of memory that a value takes besides its text."""

ROWS_IN_A_TURN = 200
"""Rows of an update that are taken before other threads have their turn."""

MESSAGES_IN_A_TURN = 50
"""The same for messages."""

MIN_BACKOFF = 1.0
"""Seconds between two attempts to connect, at first."""

_MONITOR = "ryu_l2iso"
_NO_TRANSACTION = "00000000-0000-0000-0000-000000000000"
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DEFAULTS: dict[str, Row] = {
    table: {name: column.default for name, column in columns.items()}
    for table, columns in TABLES.items()
}
_Message = ovs.jsonrpc.Message

# There is no way to tell a session which kind of connection to make.
ovs.jsonrpc.Connection = messages.BoundedConnection


class Replica:
    """The rows of one server; tells the reader which of them changed.

    ``tables`` is table → UUID → row, a row is column → value and has its UUID as ``_uuid``; rows
    are never changed in place.  ``change_seqno`` counts the updates; ``connection`` differs for
    each connection.  ``answer`` is the JSON-RPC message that answers the transaction that was sent
    last by this one, None until it comes.
    """

    def __init__(self, address: str, reader: BridgeReader, max_backoff: float) -> None:
        """Raise OVSDBError when the address may not be used; see ``stream_name``."""
        self._stream = stream_name(address, reader.dpid)
        forget(self._stream)
        self._session = ovs.jsonrpc.Session.open(self._stream)
        backoff = (int(MIN_BACKOFF * 1000), int(max_backoff * 1000))
        self._session.reconnect.set_backoff(*backoff)
        self.tables: Tables = {name: {} for name in TABLES}
        self.change_seqno = 0
        self.connection: int | None = None
        self.answer: Any = None
        self._reader = reader
        self._rows_request: Any = None
        self._has_rows = False
        self._transaction: Any = None
        self._rows_taken = 0
        self._measured = 0
        # Table → name → UUID
        self._named: dict[str, dict[str, UUID]] = {"Port": {}, "Interface": {}}
        reader.begin_anew()

    def run(self) -> None:
        """Take what the server has sent, up to a limit; raises OVSDBError when it breaks one."""
        self._session.run()
        if not self._session.is_connected():
            self._has_rows = False
            return
        if self.connection != self._session.get_seqno():
            self.connection = self._session.get_seqno()
            self._ask_for_rows()
        for _ in range(MESSAGES_IN_A_TURN):
            message = self._session.recv()
            if message is None:
                break
            try:
                self._take(message)
            except ValueError as error:
                raise OVSDBError(f"OVSDB server {self._stream} has sent {error}") from error
        self._check_size()

    def _check_size(self) -> None:
        if sum(map(len, self.tables.values())) > MAX_ROWS:
            raise OVSDBError(f"OVSDB server {self._stream} has more than {MAX_ROWS} rows")
        received = 0 if self._session.rpc is None else self._session.rpc.received_bytes
        if not 0 <= received - self._measured < _MEASURED_EVERY:
            self._measured = received
            if _size(self.tables) > MAX_SIZE:
                raise OVSDBError(f"OVSDB server {self._stream} has more than {MAX_SIZE} bytes")

    def _ask_for_rows(self) -> None:
        """Ask for all rows and what becomes of them (ovsdb-server(7), 4.1.15)."""
        self._has_rows, self._transaction, self.answer = False, None, None
        columns = {table: [{"columns": list(columns)}] for table, columns in TABLES.items()}
        params = [DATABASE, _MONITOR, columns, _NO_TRANSACTION]
        request = _Message.create_request("monitor_cond_since", params)
        self._rows_request = request.id
        self._session.send(request)

    def _take(self, message: Any) -> None:
        """Deal with a message; raises ValueError for one that breaks the protocol."""
        if message.type == _Message.T_NOTIFY:
            if message.method == "update3" and message.params[:1] == [_MONITOR]:
                self._update(message.params[2:])
        elif message.type not in (_Message.T_REPLY, _Message.T_ERROR):
            return
        elif message.id == self._rows_request:
            if message.type == _Message.T_ERROR:
                raise ValueError(f"no rows but an error: {short(message.error)}")
            self._clear()
            self._update(message.result[2:] if type(message.result) is list else [])
            self._has_rows = True
        elif message.id == self._transaction:
            self.answer = message

    def _clear(self) -> None:
        """Forget all rows: they come anew."""
        for rows in self.tables.values():
            rows.clear()
        for names in self._named.values():
            names.clear()
        self._reader.begin_anew()

    def _update(self, params: Sequence[Any]) -> None:
        """Take an update2 (ovsdb-server(7), 4.1.14)."""
        if len(params) != 1:
            raise ValueError("an update that is none")
        for table, rows in _members(params[0]):
            if table not in TABLES:
                raise ValueError(f"an unknown table: {short(table)}")
            for uuid, change in _members(rows):
                if self._rows_taken % ROWS_IN_A_TURN == 0:
                    turns.FACTS.take()
                self._rows_taken += 1
                self._change_row(table, uuid, change)
        self.change_seqno += 1

    def _change_row(self, table: str, uuid: str, change: Any) -> None:
        rows, columns = self.tables[table], TABLES[table]
        before = rows.get(uuid)
        [(how, wire)] = _members(change, 1)
        if not _UUID.fullmatch(uuid):
            raise ValueError(f"what is no UUID: {short(uuid)}")
        if how == "delete":
            rows.pop(uuid, None)
            self._name(table, before, None)
        elif how in ("initial", "insert"):
            row = {**_DEFAULTS[table], "_uuid": uuid}
            for name, value in _members(wire):
                row[name] = _column(columns, name).parse(value)
            rows[uuid] = row
            self._name(table, before, row)
        elif how == "modify" and before is not None:
            row = dict(before)
            for name, value in _members(wire):
                row[name] = _column(columns, name).change(row[name], value)
            rows[uuid] = row
        else:
            raise ValueError(f"a change that cannot be: {short(how)} of {short(uuid)}")
        self._reader.row_changed(table, uuid)

    def _name(self, table: str, before: Row | None, row: Row | None) -> None:
        """Note under which name a row is found; names never change (ovs-vswitchd.conf.db(5))."""
        named = self._named.get(table)
        if named is None:
            return
        if before is not None and named.get(before["name"]) == before["_uuid"]:
            del named[before["name"]]
        if row is not None:
            named[row["name"]] = row["_uuid"]

    def find(self, table: str, name: str) -> Row | None:
        """Return the row of a Port or an Interface by its name, which no other has, or None."""
        uuid = self._named[table].get(name)
        return None if uuid is None else self.tables[table].get(uuid)

    def transact(self, operations: Sequence[Mapping[str, Any]]) -> None:
        """Send a transaction (RFC 7047, 4.1.3)."""
        request = _Message.create_request("transact", [DATABASE, *operations])
        self._transaction, self.answer = request.id, None
        self._session.send(request)

    def close(self) -> None:
        """End the connection, and keep no rows."""
        self._session.close()
        self._clear()

    @property
    def has_more(self) -> bool:
        """Tell whether ``run()`` has left something that has come."""
        return self._session.rpc is not None and bool(self._session.rpc.has_more)

    def wait(self, poller: Any) -> None:
        """Have ``poller`` wait until there is something for ``run()``."""
        self._session.wait(poller)
        self._session.recv_wait(poller)

    def force_reconnect(self) -> None:
        """Drop the connection and make another."""
        self._session.force_reconnect()

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
        return self.connected and self._has_rows


def _members(wire: Any, count: int | None = None) -> Any:
    """Return the members of a JSON object; raises ValueError, also if they are not so many."""
    if type(wire) is not dict or (count is not None and len(wire) != count):
        raise ValueError(f"no such object as it must be: {short(wire)}")
    return wire.items()


def _column(columns: Mapping[str, Column], name: str) -> Column:
    column = columns.get(name)
    if column is None:
        raise ValueError(f"an unknown column: {short(name)}")
    return column


def _size(tables: Tables) -> int:
    """Return roughly how many bytes of memory the values of all rows take."""
    values = [v for rows in tables.values() for row in rows.values() for v in row.values()]
    size = 0
    for value in values:
        if isinstance(value, (frozenset, dict)):
            atoms = [*value, *value.values()] if isinstance(value, dict) else [*value]
        else:
            atoms = [value]
        size += sum(_PER_VALUE + (len(atom) if isinstance(atom, str) else 0) for atom in atoms)
    return size


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
