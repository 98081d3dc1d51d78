"""Keeps networks apart by the MACs that their VMs have, over one flat physical network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ryu_l2iso.apps.isolation import IsolationApp
from ryu_l2iso.framework import CONF, app_manager
from ryu_l2iso.openflow.packet_in import PacketIn
from ryu_l2iso.pipelines.mac import MacPipeline, is_learned_from
from ryu_l2iso.state.changes import Changes

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class MacIsolation(IsolationApp):
    """Learns MACs, and has the flows of the MAC pipeline on every switch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core.use_isolation("mac_isolation", None)
        self._core.state.macs.tell_apart(CONF.l2iso.mac_learning_max)
        self.program(MacPipeline(self._core.state, CONF.l2iso.packet_in_rate))

    def packets_in(self, packets: Sequence[PacketIn]) -> None:
        """Learn from the packets that have an unknown source."""
        macs = self._core.state.macs
        for packet in packets:
            if is_learned_from(packet.cookie):
                macs.learn(packet.port_id, packet.eth_src)

    def changed(self, changes: Changes) -> None:
        """Log which MACs were refused."""
        for refusal in changes.refusals:
            self.logger.warning("%s", refusal)
