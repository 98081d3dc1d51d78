"""Makes and removes tunnel ports, so that a switch has one to each that shares a network."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.framework import CONF, BaseApp, app_manager, call_later
from ryu_l2iso.ovsdb.tunnel_ports import TunnelPorts
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.workers import Workers

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class TunnelPortUpdater(BaseApp, Subscriber):
    """Has the desired tunnel ports on every switch."""

    _CONTEXTS = {"l2iso": Core}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core: Core = kwargs["l2iso"]
        options = CONF.l2iso
        self._tunnels = TunnelPorts(self._core.state, options.tunnel_type, options.ovsdb_timeout)
        # dpid → what will look at it again
        self._timers: dict[int, Any] = {}
        self._updates = Workers("updating tunnel ports", self._update)
        self._core.subscribe(self)

    def changed(self, changes: Changes) -> None:
        """Look again at every tunnel that was touched."""
        for dpid, remotes in changes.tunnels.items():
            self._tunnels.mark(dpid, remotes)
            self._updates.mark(dpid)

    def ovsdb_read(self, dpid: int) -> None:
        """Look at the tunnel ports that a switch has."""
        self._tunnels.mark_all(dpid, self._core.ovsdb.get(dpid))
        self._updates.hurry(dpid)

    def _update(self, dpid: int) -> None:
        timer = self._timers.pop(dpid, None)
        if timer is not None:
            timer.cancel()
        if self._core.state.switches.ovsdb_addr(dpid) is None:
            self._tunnels.forget(dpid)
            return
        pause = self._tunnels.sync(dpid, self._core.ovsdb.get(dpid))
        if pause is not None:
            self._timers[dpid] = call_later(pause, self._updates.mark, dpid)
