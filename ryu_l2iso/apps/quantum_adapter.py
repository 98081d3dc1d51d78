"""Records what OpenFlow and OVSDB say of ports, sets bridges up, and announces port events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ryu_l2iso import events, tls
from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.framework import (
    CONF,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    BaseApp,
    hub,
    is_observed,
    ofp_event,
    ofproto_v1_4,
    set_ev_cls,
)
from ryu_l2iso.openflow.ports import PortStatus
from ryu_l2iso.ovsdb import BridgeRow, Connection, InterfaceRow, set_up_bridge, use_tls
from ryu_l2iso.ovsdb.facts import InterfaceFacts
from ryu_l2iso.ovsdb.targets import controller_targets
from ryu_l2iso.ovsdb.tunnel_ports import take_away
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.ports import OFPort, PortId
from ryu_l2iso.workers import Workers


class QuantumAdapter(BaseApp, Subscriber):
    """Joins OpenFlow ports, OVSDB rows and the plugin's registrations in the state."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]
    _CONTEXTS = {"l2iso": Core}
    _EVENTS = [events.EventVMPort, events.EventTunnelPort, events.EventExternalPort]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._core: Core = kwargs["l2iso"]
        self._set_ups = Workers("setting the bridge up", self._set_up)
        self._facts = InterfaceFacts()
        self._outgoing = events.Outgoing()
        # dpid → its datapath, from when its ports are recorded
        self._datapaths: dict[int, Any] = {}
        # dpid → the connection by which a switch that is not registered any more loses its tunnels
        self._leaving: dict[int, Connection[int]] = {}
        self._core.subscribe(self)
        use_tls(tls.ovsdb_credentials(CONF), "ovsdb" in CONF.l2iso.plaintext)

    def start(self) -> None:
        """Start handling events, and sending our own: what was kept is told first."""
        super().start()
        self.threads.append(hub.spawn(self._send_events))
        self._core.load()
        self._core.commit()

    def stop(self) -> None:
        """Stop, and leave switches as they are."""
        self._outgoing.close()
        self._core.ovsdb.close()
        super().stop()

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def state_changed(self, ev: Any) -> None:
        """Record the ports of a switch that has connected."""
        datapath, dpid = ev.datapath, ev.datapath.id
        if ev.state == MAIN_DISPATCHER:
            self._datapaths[dpid] = datapath
            datapath.socket.packet_ins = partial(self._core.packet_ins.received, dpid)
            pass_on = is_observed(ofp_event.EventOFPPortStatus, ofp_event.EventOFPPortStateChange)
            changed = partial(self._port_changed, datapath)
            self._connected(dpid, datapath.socket.take_ports(changed, pass_on))
            self._core.tell(lambda subscriber: subscriber.switch_connected(datapath))
        elif dpid in self._datapaths and self._datapaths[dpid] is datapath:
            del self._datapaths[dpid]
            self._core.tell(lambda subscriber: subscriber.switch_disconnected(datapath))
            self._core.state.ports.lost(dpid)
            if dpid not in self._core.state.switches:
                hub.spawn(self._forget, dpid)

    def _connected(self, dpid: int, of_ports: Sequence[OFPort]) -> None:
        ports, names = self._core.state.ports, {port.port_no: port.name for port in of_ports}
        known = ports.facts(dpid).of_ports.values()
        self._gone(dpid, [p.port_no for p in known if names.get(p.port_no) != p.name])
        ports.replace_of_ports(dpid, of_ports)
        self._core.commit()

    def _gone(self, dpid: int, numbers: Iterable[int]) -> None:
        """Have no port that comes taken for one that goes, while OVSDB does not tell of it."""
        for port_no in () if self._core.ovsdb.is_synced(dpid) else numbers:
            self._core.state.ports.forget_interface(PortId(dpid, port_no))

    def _forget(self, dpid: int) -> None:
        """Forget a switch that has gone and that nobody registered, if it stays so.

        A peer may say that it is any switch, and each time another.  The deletion of a
        registration may be taken back as long as it is not on disk.
        """
        with contextlib.suppress(StoreError):
            self._core.written()
        if dpid not in self._core.state.switches and dpid not in self._datapaths:
            self._core.state.ports.forget(dpid)
            self._core.commit()

    def _port_changed(self, datapath: Any, status: PortStatus) -> None:
        """Record that a port was added, changed or deleted."""
        dpid, ports, port = datapath.id, self._core.state.ports, status.port
        if self._datapaths.get(dpid) is not datapath:
            return
        if status.gone:
            self._gone(dpid, [port.port_no])
            ports.remove_of_port(dpid, port.port_no)
        else:
            ports.set_of_port(dpid, port)
        self._core.commit_soon()

    def changed(self, changes: Changes) -> None:
        """Follow the registration of OVSDB addresses, and announce port events."""
        for dpid in changes.switches:
            address = self._core.state.switches.ovsdb_addr(dpid)
            if address is None:
                self._let_go(dpid)
                self._set_ups.forget(dpid)
                self._facts.forget(dpid)
            else:
                if dpid in self._leaving:
                    # What is still to be removed may be made anew by now.
                    self._leaving.pop(dpid).close()
                self._core.ovsdb.set_address(dpid, address)
        self._outgoing.add(changes.ports)

    def _let_go(self, dpid: int) -> None:
        """End the connection to an OVSDB; a switch that is not registered loses its tunnels."""
        connection = self._core.ovsdb.release(dpid)
        if connection is None:
            return
        if dpid in self._core.state.switches:
            connection.close()
        else:
            self._leaving[dpid] = connection
            hub.spawn(self._take_away, dpid, connection)

    def _take_away(self, dpid: int, connection: Connection[int]) -> None:
        take_away(dpid, connection, CONF.l2iso.ovsdb_timeout)
        if self._leaving.get(dpid) is connection:
            del self._leaving[dpid]

    def bridge_changed(self, dpid: int, bridge: BridgeRow | None) -> None:
        """Set a bridge up that was found or is not as it should be."""
        if bridge is not None:
            self._set_ups.mark(dpid)

    def interfaces_changed(self, dpid: int, rows: Mapping[str, InterfaceRow | None]) -> None:
        """Record what OVSDB says of ports."""
        self._core.state.ports.update_interfaces(dpid, self._facts.read(dpid, rows))
        self._core.commit()

    def ovsdb_read(self, dpid: int) -> None:
        """Know the interfaces that there are, and no others; look at once at the bridge."""
        ports, rows = self._core.state.ports, self._core.ovsdb.get(dpid).interfaces
        ports.keep_interfaces(dpid, rows)
        known = ports.facts(dpid).interfaces
        # They were forgotten, and are as they were.
        forgotten = {name: row for name, row in rows.items() if name not in known}
        ports.update_interfaces(dpid, self._facts.read(dpid, forgotten))
        self._core.commit()
        self._set_ups.hurry(dpid)

    def _set_up(self, dpid: int) -> None:
        if self._core.state.switches.ovsdb_addr(dpid) is None:
            return
        connection = self._core.ovsdb.get(dpid)
        targets = controller_targets(CONF, connection.address)
        if connection.bridge is not None and not connection.bridge.is_set_up(targets):
            set_up_bridge(connection, targets, CONF.l2iso.ovsdb_timeout)
            self.logger.info("switch %016x: bridge %s set up", dpid, connection.bridge.name)

    def _send_events(self) -> None:
        for change in self._outgoing.changes():
            for event in events.port_events(change):
                self.send_event_to_observers(event)
