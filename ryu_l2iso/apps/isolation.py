"""What every isolation app does: it has its pipeline's flows on every switch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.framework import (
    CONF,
    MAIN_DISPATCHER,
    BaseApp,
    ofp_event,
    ofproto_v1_4,
    set_ev_cls,
)
from ryu_l2iso.openflow.fleet import Fleet
from ryu_l2iso.openflow.packet_in import PacketIn
from ryu_l2iso.openflow.programmer import Source, Watcher
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.subjects import Subject

REPLIES = [
    ofp_event.EventOFPBarrierReply,
    ofp_event.EventOFPBundleCtrlMsg,
    ofp_event.EventOFPErrorMsg,
    ofp_event.EventOFPFlowStatsReply,
    ofp_event.EventOFPGroupDescStatsReply,
    ofp_event.EventOFPMeterConfigStatsReply,
]
"""Events that an isolation app hands to its fleet: what a switch may answer."""

LOG = logging.getLogger(__name__)


class _Confirmations(Watcher):
    """Records what switches hold, and commits what becomes possible when it is gone."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def may_hold(self, dpid: int, subjects: Iterable[Subject]) -> None:
        self._core.state.macs.may_hold(dpid, subjects)

    def holds_none(self, dpid: int, subjects: Iterable[Subject]) -> None:
        self._core.state.macs.holds_none(dpid, subjects)
        self._core.commit()

    def holds_only(self, dpid: int, subjects: Iterable[Subject]) -> None:
        self._core.state.macs.holds_only(dpid, subjects)
        self._core.commit()


class FlowProgramming(Subscriber):
    """Marks what changed, and passes connections and replies on to the switches' programmers."""

    def __init__(self, core: Core, source: Source) -> None:
        self._state = core.state
        self.fleet = Fleet(source, CONF.l2iso.openflow_timeout, _Confirmations(core))
        core.subscribe(self)

    def changed(self, changes: Changes) -> None:
        """Have the flows of every subject that was touched computed again."""
        for dpid, subjects in changes.subjects.items():
            for subject in subjects:
                self.fleet.mark(dpid, subject)

    def switch_connected(self, datapath: Any) -> None:
        """Program a switch that has connected."""
        self.fleet.connected(datapath)

    def switch_disconnected(self, datapath: Any) -> None:
        """Stop programming a switch that is not connected any more."""
        self.fleet.disconnected(datapath)

    def packet_in(self, packet: PacketIn) -> None:
        """Record that a guest showed itself at the place that it moves to."""
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
        """Have what ``source`` wants on every switch, and hear of changes after that is marked."""
        self._programming = FlowProgramming(self._core, source)
        self._core.subscribe(self)

    def stop(self) -> None:
        """Stop, and leave switches as they are."""
        self._programming.fleet.stop()
        super().stop()

    @set_ev_cls(REPLIES, MAIN_DISPATCHER)
    def received(self, ev: Any) -> None:
        """Pass a switch's answer on to who waits for it."""
        self._programming.fleet.received(ev.msg)
