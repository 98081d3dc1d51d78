"""The queue of transactions of one connection."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import eventlet.event
from ovs.db.idl import Transaction

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.commands import Command, Edit
from ryu_l2iso.ovsdb.replica import Replica

LOG = logging.getLogger(__name__)


class Request:
    """Commands that somebody waits for, until ``deadline`` (``time.monotonic()`` seconds)."""

    def __init__(self, commands: Sequence[Command], deadline: float, vswitchd: bool) -> None:
        self.commands = commands
        self.deadline = deadline
        self.vswitchd = vswitchd
        self.stage = "the OVSDB server did not answer"
        self._outcome = eventlet.event.Event()

    @property
    def over(self) -> bool:
        """Tell whether nobody waits any longer."""
        return self._outcome.ready() or time.monotonic() >= self.deadline

    def finish(self, error: str | None = None) -> None:
        """Let the caller go on; ``error`` is None for success."""
        if not self._outcome.ready():
            self._outcome.send(error or "")

    def wait(self) -> None:
        """Wait for the outcome; raises OVSDBError."""
        remaining = max(0.0, self.deadline - time.monotonic())
        error: str | None = self._outcome.wait(remaining)
        if error is None:
            self.finish("nobody waits")
            raise OVSDBError(f"{self.stage} in time")
        if error:
            raise OVSDBError(error)


class Transactions:
    """Commits requests one after the other, so that each sees what the one before did.

    Waiting for ovs-vswitchd holds up no other request.
    """

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()
        self._sent: tuple[Request, Any, int] | None = None
        self._applying: list[tuple[Request, int]] = []

    def add(self, request: Request) -> None:
        """Queue a request; the connection's thread has to be woken after this."""
        self._waiting.append(request)

    def fail(self, error: str) -> None:
        """End every request with this error."""
        requests = [*self._waiting, *(r for r, _ in self._applying)]
        if self._sent is not None:
            requests.append(self._sent[0])
        for request in requests:
            request.finish(error)
        self.reconnected()
        self._waiting.clear()
        self._applying.clear()

    def reconnected(self) -> None:
        """Send again what may or may not have been done on a connection that is gone."""
        if self._sent is not None:
            self._waiting.appendleft(self._sent[0])
            self._sent = None

    def step(self, idl: Replica, bridge: Any, missing: str) -> None:
        """Do all that can be done now, after ``idl.run()``.

        ``bridge`` is its row; when that is None every request fails with the text ``missing``.
        """
        self._look_at_sent(idl)
        while self._sent is None and self._waiting:
            request = self._waiting.popleft()
            if request.over:
                continue
            if bridge is None:
                request.finish(missing)
            else:
                self._commit(request, idl, bridge)
                self._look_at_sent(idl)
        self._look_at_applying(idl)

    def _commit(self, request: Request, idl: Replica, bridge: Any) -> None:
        transaction = Transaction(idl)
        edit = Edit(transaction, idl, bridge)
        try:
            for command in request.commands:
                command.apply(edit)
            if request.vswitchd:
                edit.root().increment("next_cfg")
        except Exception as error:
            transaction.abort()
            request.finish(str(error))
            if not isinstance(error, OVSDBError):
                LOG.exception("%s cannot be applied", request.commands)
            return
        self._sent = (request, transaction, idl.change_seqno)
        transaction.commit()

    def _look_at_sent(self, idl: Replica) -> None:
        if self._sent is None:
            return
        request, transaction, seqno = self._sent
        status = transaction.commit()
        if status in (Transaction.SUCCESS, Transaction.UNCHANGED):
            self._sent = None
            self._committed(request, transaction, status, idl)
        elif status == Transaction.TRY_AGAIN:
            if idl.change_seqno != seqno or request.over:
                self.reconnected()
        elif status == Transaction.ERROR:
            self._sent = None
            request.finish(f"the OVSDB server refused: {transaction.get_error()}")
        elif request.over:
            self._sent = None
            idl.give_up(transaction)

    def _committed(self, request: Request, transaction: Any, status: str, idl: Replica) -> None:
        if not request.vswitchd:
            request.finish()
            return
        request.stage = "ovs-vswitchd did not apply the change"
        if status == Transaction.SUCCESS:
            wanted = transaction.get_increment_new_value()
        else:
            wanted = _root(idl).next_cfg
        self._applying.append((request, wanted))

    def _look_at_applying(self, idl: Replica) -> None:
        if not self._applying:
            return
        current = _root(idl).cur_cfg
        for request, wanted in self._applying:
            if current >= wanted:
                request.finish()
        self._applying = [(r, w) for r, w in self._applying if not r.over]


def _root(idl: Replica) -> Any:
    return next(iter(idl.tables["Open_vSwitch"].rows.values()))
