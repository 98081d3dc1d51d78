"""What every isolation app does: it has its pipeline's flows on every switch."""

from __future__ import annotations

from typing import Any

from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.framework import CONF
from ryu_l2iso.openflow.fleet import Fleet
from ryu_l2iso.openflow.programmer import Source
from ryu_l2iso.state.changes import Changes


class FlowProgramming(Subscriber):
    """Marks what changed, and passes connections and replies on to the switches' programmers."""

    def __init__(self, core: Core, source: Source) -> None:
        self.fleet = Fleet(source, CONF.l2iso.openflow_timeout)
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

    def ovsdb_read(self, dpid: int) -> None:
        """Allow that what nobody wants on a switch is deleted."""
        self.fleet.ovsdb_read(dpid)
