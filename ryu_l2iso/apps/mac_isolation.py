"""Keeps networks apart by the MACs that their VMs have, over one flat physical network."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.apps.isolation import REPLIES, FlowProgramming
from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.framework import (
    CONF,
    MAIN_DISPATCHER,
    BaseApp,
    app_manager,
    ofproto_v1_4,
    set_ev_cls,
)
from ryu_l2iso.openflow.packet_in import PacketIn
from ryu_l2iso.pipelines.mac import MacPipeline, is_learned_from
from ryu_l2iso.state.changes import Changes

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class MacIsolation(BaseApp, Subscriber):
    """Learns MACs, and has the flows of the MAC pipeline on every switch."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]
    _CONTEXTS = {"l2iso": Core}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core: Core = kwargs["l2iso"]
        self._core.use_isolation("mac_isolation", None)
        self._core.state.macs.tell_apart(CONF.l2iso.mac_learning_max)
        pipeline = MacPipeline(self._core.state, CONF.l2iso.packet_in_rate)
        self._programming = FlowProgramming(self._core, pipeline)
        self._core.subscribe(self)

    def stop(self) -> None:
        """Stop, and leave switches as they are."""
        self._programming.fleet.stop()
        super().stop()

    def packet_in(self, packet: PacketIn) -> None:
        """Learn from a packet that has an unknown source."""
        if is_learned_from(packet.cookie):
            self._core.state.macs.learn(packet.port_id, packet.eth_src)

    def changed(self, changes: Changes) -> None:
        """Log which MACs were refused."""
        for refusal in changes.refusals:
            self.logger.warning("%s", refusal)

    @set_ev_cls(REPLIES, MAIN_DISPATCHER)
    def received(self, ev: Any) -> None:
        """Pass a switch's answer on to who waits for it."""
        self._programming.fleet.received(ev.msg)
