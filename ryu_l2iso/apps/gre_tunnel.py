"""Keeps networks apart by flows that set and check the GRE key."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.apps.isolation import IsolationApp
from ryu_l2iso.framework import CONF, app_manager
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.state.values import KeyRange

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class GRETunnel(IsolationApp):
    """Has the flows of the GRE pipeline on every switch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        options = CONF.l2iso
        keys = KeyRange("the GRE key", options.gre_key_min, options.gre_key_max)
        self._core.use_isolation("gre_tunnel", keys)
        self.program(GrePipeline(self._core.state))
