"""The compute node's side: what is to be registered, and keeping it registered."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import eventlet

from ryu_l2iso import node_settings
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.node_settings import PROG, Settings, UsageError
from ryu_l2iso.ovsdb import (
    BridgeRow,
    Command,
    Connection,
    EnsureManager,
    EnsureTLS,
    InterfaceRow,
)
from ryu_l2iso.registration import AddressTaken, Controller, Registration
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger("ryu_l2iso.agent")

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each one after it."""


def manager_target(ovsdb_addr: str) -> str:
    """Return the Manager target that serves an address: ``pssl:PORT:IP`` for ``ssl:IP:PORT``."""
    method, _, rest = ovsdb_addr.partition(":")
    host, _, port = rest.rpartition(":")
    return f"p{method}:{port}:{host}"


def is_local(ovsdb_addr: str) -> bool:
    """Tell whether the host of a ``tcp:IP:PORT`` or ``ssl:IP:PORT`` address is this one."""
    host = ovsdb_addr.partition(":")[2].rpartition(":")[0].strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


class Node:
    """Keeps one bridge registered; woken when OVSDB tells of a change that concerns it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        files = settings.tls_files
        self._controller = Controller(
            settings.controller_url,
            settings.token_file,
            settings.controller_ca,
            None if files is None else (files.certificate, files.private_key),
        )
        self._told: Registration | None = None
        self._well: Registration | None = None
        self._absent: list[str] = []
        self._logged: set[str] = set()
        self._woken = threading.Event()
        self._ovsdb = Connection(settings.bridge, settings.ovsdb_connection, self)

    def bridge_changed(self, key: str, bridge: BridgeRow | None) -> None:
        """Look at once: the bridge may have another dpid."""
        self._woken.set()

    def interfaces_changed(self, key: str, changed: Mapping[str, InterfaceRow | None]) -> None:
        """Look at once when an uplink is among them."""
        if not changed.keys().isdisjoint(self._settings.external_ports):
            self._woken.set()

    def synced(self, key: str) -> None:
        """Look at once."""
        self._woken.set()

    def run(self) -> None:
        """Look, register what is missing, and wait, for ever."""
        pause = FIRST_PAUSE
        while True:
            self._woken.clear()
            if self._look():
                pause = FIRST_PAUSE
                self._woken.wait(self._settings.interval)
            else:
                self._woken.wait(pause)
                pause = min(2 * pause, self._settings.interval)

    def close(self) -> None:
        """Close the OVSDB connection."""
        self._ovsdb.close()

    def _look(self) -> bool:
        """Make what is registered what should be; return whether it is."""
        try:
            wanted = self._wanted()
            if wanted is None:
                return True
            self._remove_old(wanted)
            self._told = wanted
            if self._controller.has(wanted):
                self._open_manager(wanted)
            else:
                self._well = None
                self._register(wanted)
        except L2IsoError as error:
            self._log_once(str(error))
            return False
        except Exception as error:
            if self._log_once(repr(error)):
                LOG.exception("this is a bug; trying on")
            return False
        self._logged.clear()
        if wanted != self._well:
            self._well = wanted
            LOG.info("registered: %s", wanted)
        return True

    def _wanted(self) -> Registration | None:
        """Return what should be registered; None while the bridge is not there."""
        bridge = self._ovsdb.bridge
        if bridge is None or bridge.dpid is None:
            return None
        rows = self._ovsdb.interfaces
        numbers = {
            name: rows[name].ofport for name in self._settings.external_ports if name in rows
        }
        self._log_absent(name for name in self._settings.external_ports if not numbers.get(name))
        tunnel_addr = self._settings.tunnel_addr()
        return Registration(
            dpid=bridge.dpid,
            external_ports=tuple(sorted(number for number in numbers.values() if number)),
            tunnel_addr=tunnel_addr,
            ovsdb_addr=self._settings.ovsdb_addr(tunnel_addr),
        )

    def _log_absent(self, names: Iterable[str]) -> None:
        """Log which uplinks are not there; they are registered when they come."""
        absent = sorted(names)
        if absent != self._absent:
            self._absent = absent
            LOG.warning("external ports not on the bridge: %s", ", ".join(absent) or "none")

    def _remove_old(self, wanted: Registration) -> None:
        """Remove what we told and is no longer true, before the new: it may conflict."""
        old = self._told
        if old is None or old == wanted:
            return
        stay = wanted.external_ports if old.dpid == wanted.dpid else ()
        self._remove_external_ports(old.dpid, set(old.external_ports) - set(stay))
        if old.dpid != wanted.dpid:
            self._controller.remove_switch(old.dpid)

    def _remove_external_ports(self, dpid: int, numbers: Iterable[int]) -> None:
        for port_no in sorted(numbers):
            self._controller.remove_external_port(dpid, port_no)

    def _register(self, wanted: Registration) -> None:
        """Register, in the order of REST v1.0: the OVSDB address is last, and is served then."""
        for port_no in wanted.external_ports:
            self._controller.add_external_port(wanted.dpid, port_no)
        self._set_tunnel_addr(wanted)
        self._open_manager(wanted)
        self._controller.set_ovsdb_addr(wanted.dpid, wanted.ovsdb_addr)

    def _set_tunnel_addr(self, wanted: Registration) -> None:
        try:
            self._controller.set_tunnel_addr(wanted.dpid, wanted.tunnel_addr)
        except AddressTaken:
            former = self._former_selves(wanted)
            if not former:
                raise
            for dpid in former:
                LOG.warning(
                    "switch %s is registered at our addresses and no bridge of this node any "
                    "more: removing it",
                    dpid_to_str(dpid),
                )
                self._remove_external_ports(dpid, self._controller.external_ports(dpid))
                self._controller.remove_switch(dpid)
            self._controller.set_tunnel_addr(wanted.dpid, wanted.tunnel_addr)

    def _former_selves(self, wanted: Registration) -> list[int]:
        """Return the switches that this node was before an earlier agent ended.

        Not one of a node whose addresses stand here by mistake, nor one that may be a bridge
        whose dpid is not written yet.
        """
        present = self._ovsdb.dpids
        if None in present or not is_local(wanted.ovsdb_addr):
            return []
        return [dpid for dpid in self._controller.others_at(wanted) if dpid not in present]

    def _open_manager(self, wanted: Registration) -> None:
        files = self._settings.tls_files
        secured: list[Command] = []
        if files is not None:
            secured.append(EnsureTLS(files.private_key, files.certificate, files.ca_certs or ""))
        self._ovsdb.transact([*secured, EnsureManager(manager_target(wanted.ovsdb_addr))])

    def _log_once(self, text: str) -> bool:
        """Log what is wrong unless that has been said since all was well."""
        if text in self._logged:
            return False
        self._logged.add(text)
        self._well = None
        LOG.warning("%s; trying on", text)
        return True


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or Ctrl-C; return 0 then, 2 when the options cannot be used."""
    try:
        settings = node_settings.parse(arguments)
    except UsageError as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    node = Node(settings)
    worker = eventlet.spawn(node.run)
    try:
        _wait_for_signal()
    finally:
        worker.kill()
        node.close()
    return 0


def _wait_for_signal() -> None:
    """Return after SIGTERM or SIGINT.

    They come as bytes on a socket: an exception raised by a signal handler would end, and be lost
    in, whichever green thread happens to run.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _nothing)
    received = reader.recv(1)[0]
    LOG.info("ending on %s", signal.Signals(received).name)


def _nothing(number: int, frame: Any) -> None:
    """Stand in for the default action of a signal."""
