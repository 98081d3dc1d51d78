"""Keeps networks apart by flows that set and check the GRE key."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.apps.isolation import REPLIES, FlowProgramming
from ryu_l2iso.core import Core
from ryu_l2iso.framework import (
    CONF,
    MAIN_DISPATCHER,
    BaseApp,
    app_manager,
    ofproto_v1_4,
    set_ev_cls,
)
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.state.values import KeyRange

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class GRETunnel(BaseApp):
    """Has the flows of the GRE pipeline on every switch."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]
    _CONTEXTS = {"l2iso": Core}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        core: Core = kwargs["l2iso"]
        options = CONF.l2iso
        keys = KeyRange("the GRE key", options.gre_key_min, options.gre_key_max)
        core.use_isolation("gre_tunnel", keys)
        self._programming = FlowProgramming(core, GrePipeline(core.state))

    def stop(self) -> None:
        """Stop, and leave switches as they are."""
        self._programming.fleet.stop()
        super().stop()

    @set_ev_cls(REPLIES, MAIN_DISPATCHER)
    def received(self, ev: Any) -> None:
        """Pass a switch's answer on to who waits for it."""
        self._programming.fleet.received(ev.msg)
