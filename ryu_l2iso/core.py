"""What the apps share: the state, the OVSDB connections, and who is told of what.

An app receives it by ``_CONTEXTS = {"l2iso": Core}``.  Handlers record facts in ``state`` and
call `Core.commit`; subscribers act on what the facts touch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Callable

from ryu_l2iso import config
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.framework import CONF
from ryu_l2iso.openflow.packet_in import PacketIn, PacketIns
from ryu_l2iso.ovsdb import BridgeRow, Fleet, InterfaceRow
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import KeyRange

LOG = logging.getLogger(__name__)


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

    def packet_in(self, packet: PacketIn) -> None:
        """A flow sent a packet to the controller; facts that it gives are committed by the core."""


class Core:
    """The shared context of all apps."""

    def __init__(self) -> None:
        config.register(CONF)
        config.check(CONF)
        self.state = State(migration=CONF.l2iso.migration)
        self.ovsdb: Fleet = Fleet(_OVSDBListener(self))
        self.packet_ins = PacketIns(self._packets_in)
        self._isolation: str | None = None
        self._subscribers: list[Subscriber] = []

    def use_isolation(self, name: str, key_range: KeyRange | None) -> None:
        """Say how networks are kept apart; raises L2IsoError when that was said already."""
        if self._isolation is not None:
            raise L2IsoError(f"{name} cannot run beside {self._isolation}: load one of them")
        self._isolation = name
        self.state.networks.key_range = key_range

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` from now on; subscribers are told in the order of subscription."""
        self._subscribers.append(subscriber)

    def commit(self) -> None:
        """Tell all subscribers what the facts recorded since the last call touch."""
        changes = self.state.changes.take()
        if changes:
            self.tell(lambda subscriber: subscriber.changed(changes))

    def _packets_in(self, packets: Sequence[PacketIn]) -> None:
        """Record what packets tell, and commit it once for all of them."""
        for packet in packets:
            self.tell(partial(_tell_packet_in, packet))
        self.commit()

    def tell(self, call: Callable[[Subscriber], None]) -> None:
        """Call every subscriber; one that fails is logged and holds up no other."""
        for subscriber in self._subscribers:
            try:
                call(subscriber)
            except Exception:
                LOG.exception("%s failed", type(subscriber).__name__)


def _tell_packet_in(packet: PacketIn, subscriber: Subscriber) -> None:
    subscriber.packet_in(packet)


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
