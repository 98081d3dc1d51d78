"""What the apps share: the state, the OVSDB connections, and who is told of what.

An app receives it by ``_CONTEXTS = {"l2iso": Core}``.  Handlers record facts in ``state`` and
call `Core.commit`; subscribers act on what the facts touch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Callable, TypeVar

from ryu_l2iso import config, garbage, tls, turns
from ryu_l2iso.exceptions import L2IsoError, StoreError, UnusableStore
from ryu_l2iso.framework import CONF, hub, serve_openflow_with
from ryu_l2iso.openflow.packet_in import PacketIn, PacketIns
from ryu_l2iso.openflow.server import Server
from ryu_l2iso.ovsdb import BridgeRow, Fleet, InterfaceRow
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.records import Record, RecordChange, RecordChanges, merge
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import KeyRange
from ryu_l2iso.store import Store
from ryu_l2iso.store.sqlite import SqliteStore
from ryu_l2iso.store.writer import Writer

LOG = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0
"""How long the last changes may take to be written when the controller ends."""

_Answer = TypeVar("_Answer")


class Subscriber:
    """What an app may want to hear of; each method does nothing unless overridden.

    No method may block: they are called while a fact is recorded.
    """

    def changed(self, changes: Changes) -> None:
        """Facts were recorded; ``changes`` is what they touch."""

    def switch_connected(self, datapath: Any) -> None:
        """A switch has connected by OpenFlow and its ports are recorded."""

    def switch_disconnected(self, datapath: Any) -> None:
        """A switch is not connected any more; what is known of it stays."""

    def bridge_changed(self, dpid: int, bridge: BridgeRow | None) -> None:
        """The bridge of a switch was found by OVSDB, differs, or is gone (None)."""

    def interfaces_changed(self, dpid: int, rows: Mapping[str, InterfaceRow | None]) -> None:
        """Interfaces of a switch came, changed or went."""

    def ovsdb_read(self, dpid: int) -> None:
        """All that the OVSDB of a switch tells is recorded."""

    def packets_in(self, packets: Sequence[PacketIn]) -> None:
        """Flows sent packets to the controller; facts that they give are committed by the core."""


class Core:
    """The shared context of all apps."""

    def __init__(self) -> None:
        config.register(CONF)
        config.check(CONF)
        garbage.spare_what_stays()
        self.state = State(migration=CONF.l2iso.migration)
        self.state.changes.only_for(frozenset())
        self.ovsdb: Fleet = Fleet(_OVSDBListener(self))
        self.packet_ins = PacketIns(self._packets_in)
        serve_openflow_with(partial(Server, tls.may_be))
        self._isolation: str | None = None
        self._commits_soon = False
        self._subscribers: list[Subscriber] = []
        self._writer: Writer | None = None
        self._is_closed = False

    def use_isolation(self, name: str, key_range: KeyRange | None) -> None:
        """Say how networks are kept apart; raises L2IsoError when that was said already."""
        if self._isolation is not None:
            raise L2IsoError(f"{name} cannot run beside {self._isolation}: load one of them")
        self._isolation = name
        self.state.networks.key_range = key_range

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` from now on; subscribers are told in the order of subscription."""
        self._subscribers.append(subscriber)

    def load(self, store: Store | None = None) -> None:
        """Take what was kept into the state, and keep it from now on; once, before anything else.

        ``store`` is that of the option ``connection`` unless it is given.  What follows is told
        by the next `commit`: apps that come later want to hear of it too.  Raises UnusableStore,
        and StoreError while another controller uses it.
        """
        if self._writer is not None:
            return
        store = store or SqliteStore(CONF.l2iso.connection)
        self._writer = Writer(store, self._take_back)
        try:
            with garbage.all_stays():
                self._writer.add(self._load(store.load()))
        except (L2IsoError, ValueError, TypeError) as error:
            self.close()
            if isinstance(error, StoreError):
                raise
            where = f"connection: {CONF.l2iso.connection}"
            raise UnusableStore(f"{where} holds what cannot be used here: {error}") from error
        self._writer.start()
        store.listen(self._others_changed)

    def _load(self, records: Sequence[Record]) -> RecordChanges:
        """Take records into an empty state; return how what is kept must change to be the same.

        Some may follow from nothing any more: what learned from a port that is not complete.
        """
        self.state.apply(records)
        noted, self.state.changes.records = self.state.changes.records, {}
        for record in records:
            change = noted.pop(record.id, RecordChange(None, None))
            if change.new != record.value:
                noted[record.id] = RecordChange(record.value, change.new)
        return noted

    def close(self) -> None:
        """Write what is not written yet, and let others use what is kept."""
        writer, self._writer, self._is_closed = self._writer, None, True
        if writer is not None:
            writer.close(CLOSE_SECONDS)

    def commit(self) -> None:
        """Tell all subscribers what the facts recorded since the last call touch."""
        self._commit(ordered=False)

    def commit_soon(self) -> None:
        """As `commit`, once what has come together with it is recorded too."""
        if not self._commits_soon:
            self._commits_soon = True
            hub.spawn(self._commit_what_came)

    def _commit_what_came(self) -> None:
        self._commits_soon = False
        self.commit()

    def carry_out(self, order: Callable[[], _Answer]) -> _Answer:
        """Do what somebody asks for, commit it, and return its answer when it is on disk.

        Also what was asked for before is then.  Raises what ``order`` raises, and StoreError when
        nothing can be kept: then it has been taken back.
        """
        self.commit()
        answer = order()
        if self.state.changes:
            turns.WORK.ordered()
        self._commit(ordered=True)
        if self._writer is not None:
            self._writer.wait_for_orders()
        return answer

    def written(self, number: int | None = None) -> None:
        """Return when all that was committed so far is on disk; raises StoreError.

        With the ``number`` of a change that was, when that and all before it are.
        """
        if self._is_closed:
            raise StoreError("the store is closed")
        if self._writer is not None:
            self._writer.wait(number)

    def _commit(self, ordered: bool) -> None:
        if self.state.changes:
            changes = self.state.changes.take()
            if self._writer is not None:
                self._writer.add(changes.records, ordered, changes.number)
            self.tell(lambda subscriber: subscriber.changed(changes))

    def _take_back(self, records: Sequence[Record]) -> None:
        self.state.apply(records)
        self.commit()

    def _others_changed(self, records: Sequence[Record]) -> None:
        """Take what somebody else has changed in the store."""
        self.commit()
        self.state.apply(records)
        noted = self.state.changes.records
        for record in records:
            if record.id in noted:
                merge(noted, {record.id: noted.pop(record.id)._replace(old=record.value)})
        self.commit()

    def _packets_in(self, packets: Sequence[PacketIn]) -> None:
        """Record what packets tell, and commit it once for all of them."""
        self.tell(lambda subscriber: subscriber.packets_in(packets))
        self.commit()

    def tell(self, call: Callable[[Subscriber], None]) -> None:
        """Call every subscriber; one that fails is logged and holds up no other."""
        for subscriber in self._subscribers:
            try:
                call(subscriber)
            except Exception:
                LOG.exception("%s failed", type(subscriber).__name__)


class _OVSDBListener:
    """Passes what the OVSDB connections say on to the subscribers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def bridge_changed(self, key: int, bridge: BridgeRow | None) -> None:
        self._core.tell(lambda subscriber: subscriber.bridge_changed(key, bridge))

    def interfaces_changed(self, key: int, changed: Mapping[str, InterfaceRow | None]) -> None:
        self._core.tell(lambda subscriber: subscriber.interfaces_changed(key, changed))

    def synced(self, key: int) -> None:
        self._core.tell(lambda subscriber: subscriber.ovsdb_read(key))
