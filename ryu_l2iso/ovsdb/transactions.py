"""The queue of transactions of one connection."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import eventlet.event

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.commands import Command, Edit, root_of
from ryu_l2iso.ovsdb.replica import Replica
from ryu_l2iso.ovsdb.rows import Row

LOG = logging.getLogger(__name__)

MAX_TEXT = 300
"""Characters of a server's words that are passed on."""


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
        # What waits for its answer, and the number of the connection that it was sent by
        self._sent: tuple[Request, int | None] | None = None
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

    def step(self, replica: Replica, bridge: Row | None, missing: str) -> None:
        """Do all that can be done now, after ``replica.run()``.

        ``bridge`` is its row; when that is None every request fails with the text ``missing``.
        """
        self._look_at_sent(replica)
        while self._sent is None and self._waiting:
            request = self._waiting.popleft()
            if request.over:
                continue
            if bridge is None:
                request.finish(missing)
            else:
                self._send(request, replica, bridge)
        self._look_at_applying(replica)

    def _send(self, request: Request, replica: Replica, bridge: Row) -> None:
        edit = Edit(replica, bridge)
        try:
            for command in request.commands:
                command.apply(edit)
            if edit.operations and request.vswitchd:
                edit.count_up()
        except Exception as error:
            request.finish(str(error))
            if not isinstance(error, OVSDBError):
                LOG.exception("%s cannot be applied", request.commands)
            return
        if edit.operations:
            self._sent = request, replica.connection
            replica.transact(edit.operations)
        else:
            self._committed(request, root_of(replica)["next_cfg"])

    def _look_at_sent(self, replica: Replica) -> None:
        if self._sent is None:
            return
        request, connection = self._sent
        if connection != replica.connection:
            self.reconnected()
        elif replica.answer is not None:
            self._sent = None
            self._answered(request, replica.answer)
        elif request.over:
            self._sent = None

    def _answered(self, request: Request, message: Any) -> None:
        try:
            results = _results(message)
            self._committed(request, _next_cfg(results) if request.vswitchd else 0)
        except OVSDBError as error:
            request.finish(str(error))

    def _committed(self, request: Request, next_cfg: int) -> None:
        if not request.vswitchd:
            request.finish()
            return
        request.stage = "ovs-vswitchd did not apply the change"
        self._applying.append((request, next_cfg))

    def _look_at_applying(self, replica: Replica) -> None:
        if not self._applying:
            return
        current = root_of(replica)["cur_cfg"]
        for request, wanted in self._applying:
            if current >= wanted:
                request.finish()
        self._applying = [(r, w) for r, w in self._applying if not r.over]


def _results(message: Any) -> list[Any]:
    """Return the results of a transaction's operations (RFC 7047, 4.1.3); raises OVSDBError.

    An operation that fails has an object with ``error``; what is wrong only at the end of all has
    one behind the results.
    """
    results = message.result
    if type(results) is not list:
        raise _refused(message.error if results is None else results)
    for result in results:
        if type(result) is dict and result.get("error") is not None:
            raise _refused(result["error"], result.get("details"))
    return results


def _refused(*why: Any) -> OVSDBError:
    text = ": ".join(str(each) for each in why if each is not None)
    return OVSDBError(f"the OVSDB server refused: {' '.join(text.split())[:MAX_TEXT]}")


def _next_cfg(results: list[Any]) -> int:
    """Return what `Edit.count_up` has made of ``next_cfg``; raises OVSDBError."""
    try:
        number = results[-1]["rows"][0]["next_cfg"]
    except (LookupError, TypeError):
        number = None
    if type(number) is not int:
        raise OVSDBError("the OVSDB server has not told what next_cfg became")
    return number
