"""A controller inside the test's process: the framework's OpenFlow server and one small app."""

from __future__ import annotations

import importlib
from collections.abc import Container, Sequence
from typing import Any, ClassVar, get_args

from ryu_l2iso import framework
from ryu_l2iso.framework import ofp_event
from ryu_l2iso.openflow.fleet import Fleet
from ryu_l2iso.openflow.parties import Source
from ryu_l2iso.openflow.programmer import Programmer
from ryu_l2iso.openflow.server import Server
from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.state.subjects import Subject
from tests.functional.ovs import DEADLINE, wait_until
from tests.functional.ports import free_port

COOKIE = 0x4C32_0000_0000_0000
MASK = 0xFFFF_0000_0000_0000


class TableSource:
    """A source that is a table: subject → what every switch should hold for it."""

    cookie = COOKIE
    cookie_mask = MASK
    kinds: tuple[type, ...] = get_args(Subject)

    def __init__(self) -> None:
        self.table: dict[Subject, Sequence[Piece]] = {}
        self.port_numbers: Container[int] = range(1, 2**32)

    def subjects(self, dpid: int) -> list[Subject]:
        """Return all subjects; the same for every switch."""
        return list(self.table)

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the ports that every switch has."""
        return self.port_numbers

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        """Return what stands in the table."""
        return self.table.get(subject, ())


class FleetApp(framework.BaseApp):
    """Tell a fleet what the framework tells; ``fleet`` may be replaced, as by a restart."""

    OFP_VERSIONS: ClassVar[list[int]] = [framework.ofproto_v1_4.OFP_VERSION]

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.fleet = fleet
        self.datapaths: dict[int, Any] = {}

    @framework.set_ev_cls(
        ofp_event.EventOFPStateChange, [framework.MAIN_DISPATCHER, framework.DEAD_DISPATCHER]
    )
    def on_state(self, ev: Any) -> None:
        """Handle a switch that connects or goes."""
        if ev.state == framework.MAIN_DISPATCHER:
            self.datapaths[ev.datapath.id] = ev.datapath
            self.fleet.connected(ev.datapath)
        elif ev.datapath.id is not None:
            self.fleet.disconnected(ev.datapath)


class Controller:
    """An OpenFlow server on a port of its own; use it as a context manager."""

    def __init__(self, pipeline: Source | None = None) -> None:
        """Have what ``pipeline`` wants, else what stands in the table of ``source``."""
        self.source = TableSource()
        self._wanted: Source = pipeline or self.source
        self.target = ""
        self._manager = framework.AppManager.get_instance()
        self._app: Any = None
        self._handler: Any = None

    def __enter__(self) -> Controller:
        port = free_port()
        self.target = f"tcp:127.0.0.1:{port}"
        server = importlib.import_module(f"{framework.NAME}.controller.ofp_handler").OFPHandler
        framework.serve_openflow_with(Server)
        framework.CONF.set_override("ofp_listen_host", "127.0.0.1")
        framework.CONF.set_override("ofp_tcp_listen_port", port)
        self._app = self._manager.instantiate(FleetApp, Fleet(self._wanted))
        self._handler = self._manager.instantiate(server)
        self._app.start()
        self._handler.set_main_thread(self._handler.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.fleet.stop()
        for datapath in self._app.datapaths.values():
            datapath.close()
        self._manager.uninstantiate(self._handler.name)
        self._manager.uninstantiate(self._app.name)
        framework.CONF.clear_override("ofp_listen_host")
        framework.CONF.clear_override("ofp_tcp_listen_port")

    @property
    def fleet(self) -> Fleet:
        """Return the fleet in use."""
        fleet: Fleet = self._app.fleet
        return fleet

    def restart_fleet(self) -> None:
        """Begin again with a fleet that knows nothing of what was installed."""
        self.fleet.stop()
        self._app.fleet = Fleet(self._wanted)
        for datapath in self._app.datapaths.values():
            if datapath.is_active:
                self.fleet.connected(datapath)

    def synced(self, dpid: int) -> Programmer:
        """Wait until a switch is connected and has all that is desired; return its programmer."""
        wait_until(lambda: self.fleet.programmer(dpid), f"switch {dpid:x} to connect")
        programmer = self.fleet.programmer(dpid)
        assert programmer is not None
        assert programmer.wait_synced(DEADLINE), f"switch {dpid:x} not in sync in {DEADLINE} s"
        return programmer
