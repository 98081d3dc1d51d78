"""Keeps networks apart by VLANs: the tag of a VM's port first, then the flow that lets it send."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.apps.isolation import IsolationApp
from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.framework import CONF, app_manager
from ryu_l2iso.ovsdb.access_tags import AccessTags
from ryu_l2iso.pipelines.vlan import KEYS, VlanPipeline
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.workers import Workers

app_manager.require_app("ryu_l2iso.apps.quantum_adapter")


class SimpleVLAN(IsolationApp):
    """Has the tags of VM ports, and the flows of the VLAN pipeline, on every switch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core.use_isolation("simple_vlan", KEYS)
        self._core.state.ports.vlans.tell_apart()
        core = self._core
        self._tags = AccessTags(
            core.state,
            core.commit,
            core.written,
            self._flows_confirmed,
            CONF.l2iso.ovsdb_timeout,
        )
        self._updates = Workers("setting tags", self._update)
        self.program(VlanPipeline(self._core.state))

    def changed(self, changes: Changes) -> None:
        """Look again at the tags of every switch that was touched."""
        for dpid in changes.tags:
            self._updates.mark(dpid)

    def switch_connected(self, datapath: Any) -> None:
        """Try again at once what waits for a switch's flows."""
        self._updates.hurry(datapath.id)

    def ovsdb_read(self, dpid: int) -> None:
        """Try again at once at an OVSDB server that has come back."""
        self._updates.hurry(dpid)

    def _update(self, dpid: int) -> None:
        ports = self._core.state.ports
        leaving = ports.vlans.leaving(dpid)
        try:
            if self._core.state.switches.ovsdb_addr(dpid) is not None:
                self._tags.sync(dpid, self._core.ovsdb.get(dpid))
        finally:
            ports.stay_in_vlans(leaving)
            self._core.commit()

    def _flows_confirmed(self, dpid: int) -> None:
        # What has not been told yet is not confirmed, either.
        self._core.commit()
        programmer = self._programming.fleet.programmer(dpid)
        if programmer is None or not programmer.wait_rid(CONF.l2iso.openflow_timeout):
            raise SwitchError("the switch has not confirmed that flows are gone")
