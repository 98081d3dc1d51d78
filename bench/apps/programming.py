"""Programs one switch as the suite does; prints ``SYNCED``, seconds, flow-mods at each connect."""

from __future__ import annotations

import time
from typing import Any

from bench.apps.gre_flows import DPID, Source
from ryu_l2iso.apps.isolation import IsolationApp
from ryu_l2iso.framework import app_manager, hub

TIMEOUT = 120.0

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class Programming(IsolationApp):
    """Has what the source wants on the switch, as an isolation has its pipeline's flows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.program(Source())

    def switch_connected(self, datapath: Any) -> None:
        """Wait until the switch is in line; its programmer has just been told."""
        hub.spawn(self._wait, time.monotonic())

    def _wait(self, start: float) -> None:
        programmer = self._programming.fleet.programmer(DPID)
        assert programmer is not None
        before = programmer.counters.flow_mods
        if programmer.wait_synced(TIMEOUT):
            sent = programmer.counters.flow_mods - before
            print(f"SYNCED {time.monotonic() - start} {sent}", flush=True)
