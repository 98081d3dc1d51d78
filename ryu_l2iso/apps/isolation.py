"""What every isolation app does: it has its pipeline's flows on every switch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.framework import (
    CONF,
    BaseApp,
    hub,
    ofproto_v1_4,
)
from ryu_l2iso.openflow.fleet import Fleet
from ryu_l2iso.openflow.packet_in import PacketIn
from ryu_l2iso.openflow.parties import Source, Watcher
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.subjects import Subject
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds until the disk is asked again whether a switch is gone for good."""


class _Confirmations(Watcher):
    """Records what switches hold, and commits what becomes possible when it is gone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._confirmations = core.state.confirmations

    def connected(self, dpid: int) -> None:
        self._confirmations.connected(dpid)

    def lost(self, dpid: int) -> None:
        self._confirmations.disconnected(dpid)
        self._core.commit()

    def failed(self, dpid: int) -> None:
        self._confirmations.failed(dpid)
        self._core.commit()

    def may_hold(self, dpid: int, filled: AbstractSet[Subject]) -> bool:
        """Wait until it is on disk, if it is new; raises StoreError when it cannot be."""
        if self._core.state.changes:
            # What is wanted follows from facts that nobody was told of yet, so it is not all known.
            self._core.commit()
            return True
        unrecorded = self._confirmations.may_hold(dpid, filled)
        if not unrecorded:
            return False
        self._core.commit()
        try:
            self._core.written(unrecorded.number)
        except BaseException:
            # Also when the thread is ended: whoever programs the switch next waits for it anew.
            self._confirmations.not_recorded(dpid, unrecorded)
            self._core.commit()
            raise
        self._confirmations.recorded(unrecorded)
        return True

    def holds(self, dpid: int, filled: AbstractSet[Subject], empty: AbstractSet[Subject]) -> None:
        self._confirmations.holds(dpid, filled, empty)
        self._core.commit()

    def holds_only(self, dpid: int, filled: AbstractSet[Subject]) -> None:
        self._confirmations.holds_only(dpid, filled)
        self._core.commit()


class FlowProgramming(Subscriber):
    """Marks what changed, and passes connections and replies on to the switches' programmers."""

    def __init__(self, core: Core, source: Source) -> None:
        self._core = core
        self._state = core.state
        self._kinds = source.kinds
        self._connected: set[int] = set()
        core.state.changes.only_for(self._connected)
        # network_id → the key that it was logged to wait for
        self._waits: dict[str, int | None] = {}
        options = CONF.l2iso
        self.fleet = Fleet(
            source, options.openflow_timeout, _Confirmations(core), options.drift_interval
        )
        core.subscribe(self)

    def changed(self, changes: Changes) -> None:
        """Have the flows of every subject that was touched computed again."""
        for dpid, subjects in changes.subjects.items():
            for subject in subjects:
                if isinstance(subject, self._kinds):
                    self.fleet.mark(dpid, subject)
        for dpid in changes.switches:
            if dpid not in self._state.switches and self.fleet.programmer(dpid) is not None:
                # Nobody will tell of its VMs any more: strays are no VM's that will be heard of.
                self.fleet.ovsdb_read(dpid)
            if self._state.confirmations.is_dismissed(dpid):
                hub.spawn(self._dismissed, dpid)
        for network_id in sorted(changes.waits):
            self._log_wait(network_id)

    def _dismissed(self, dpid: int) -> None:
        """Wait no more for a switch that is gone for good, once nobody can take that back."""
        while self._state.confirmations.is_dismissed(dpid):
            try:
                self._core.written()
            except StoreError:
                # It may be no more than late; what is taken back is dismissed no longer.
                hub.sleep(PAUSE)
                continue
            self._state.confirmations.dismissal_recorded(dpid)
            self._core.commit()
            return

    def give_up(self) -> None:
        """Wait no more for switches that were gone for good before the controller was started."""
        for dpid in self._state.confirmations.missing():
            self._state.confirmations.failed(dpid)
        self._core.commit()

    def _log_wait(self, network_id: str) -> None:
        """Log, once, that a network waits for its key, and that it does no longer."""
        key = self._state.networks.key(network_id)
        waited_for = self._state.networks.waited_for(network_id)
        before = self._waits.pop(network_id, None)
        if waited_for:
            self._waits[network_id] = key
        if waited_for and before != key:
            switches = ", ".join(map(dpid_to_str, waited_for))
            LOG.warning(
                "network %s waits for key %s: not before it is confirmed to be in no other network"
                " any more by %s",
                *(network_id, key, switches),
            )
        if before is not None and not waited_for:
            LOG.info("network %s no longer waits for key %d", network_id, before)

    def switch_connected(self, datapath: Any) -> None:
        """Program a switch that has connected; one that was to be gone for good gets rid of all."""
        self._connected.add(datapath.id)
        self.fleet.connected(datapath)
        if self._state.confirmations.is_dismissed(datapath.id):
            self.fleet.ovsdb_read(datapath.id)

    def switch_disconnected(self, datapath: Any) -> None:
        """Stop programming a switch that is not connected any more."""
        self._connected.discard(datapath.id)
        self.fleet.disconnected(datapath)
        if datapath.id not in self._state.switches:
            # A peer may say that it is any switch, and each time another.
            self.fleet.forget(datapath.id)

    def packets_in(self, packets: Sequence[PacketIn]) -> None:
        """Record that guests showed themselves at the places that they move to."""
        for packet in packets:
            if self._state.guest_announced(packet.port_id, packet.data):
                dpid, port_no = packet.port_id
                LOG.info("switch %016x: port %d: %s is here now", dpid, port_no, packet.eth_src)

    def ovsdb_read(self, dpid: int) -> None:
        """Allow that what nobody wants on a switch is deleted."""
        self.fleet.ovsdb_read(dpid)


class IsolationApp(BaseApp, Subscriber):
    """An app that has the flows of one pipeline on every switch; a subclass calls `program`."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]
    _CONTEXTS = {"l2iso": Core}

    _programming: FlowProgramming

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core: Core = kwargs["l2iso"]

    def program(self, source: Source) -> None:
        """Have what ``source`` wants on every switch, and hear of changes after that is marked.

        How networks are kept apart has been said by now: what was kept is loaded.
        """
        self._programming = FlowProgramming(self._core, source)
        self._core.subscribe(self)
        self._core.load()
        if self._core.state.confirmations.missing():
            hub.spawn_after(CONF.l2iso.openflow_timeout, self._programming.give_up)

    def stop(self) -> None:
        """Stop, and leave switches as they are."""
        self._programming.fleet.stop()
        super().stop()
