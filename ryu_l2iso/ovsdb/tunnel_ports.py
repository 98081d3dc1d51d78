"""Brings the tunnel ports of a switch in line with what it should have."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.commands import Command, EnsureTunnelPort, RemovePort
from ryu_l2iso.ovsdb.connection import Connection
from ryu_l2iso.pipelines.tunnels import desired_tunnels
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)


def sync_tunnel_ports(
    state: State, dpid: int, connection: Connection[int], tunnel_type: str, timeout: float
) -> None:
    """Make, correct and remove tunnel ports of ours, in one transaction.

    ``timeout`` is in seconds.  Raises OVSDBError when the switch did not confirm, or cannot use a
    tunnel port; that one is made anew at the next call, for Open vSwitch does not try again.
    """
    desired = desired_tunnels(state, dpid, tunnel_type)
    present = {n for n, row in connection.interfaces.items() if row.remote_dpid is not None}
    unusable = _errors(connection, present & set(desired))
    if unusable:
        connection.transact([RemovePort(n) for n in unusable], timeout, wait_for_vswitchd=True)
    commands: list[Command] = [RemovePort(name) for name in sorted(present - set(desired))]
    commands += [
        EnsureTunnelPort(t.name, t.type, t.local_ip, t.remote_ip, t.remote_dpid)
        for t in desired.values()
    ]
    if commands:
        connection.transact(commands, timeout, wait_for_vswitchd=bool(unusable))
    for name in sorted(set(desired) - present):
        LOG.info("switch %s: tunnel %s to %s", dpid_to_str(dpid), name, desired[name].remote_ip)
    for name in sorted(present - set(desired)):
        LOG.info("switch %s: tunnel %s removed", dpid_to_str(dpid), name)
    for name, error in _errors(connection, unusable).items():
        raise OVSDBError(f"Open vSwitch cannot use {name}: {error}")


def _errors(connection: Connection[int], names: Iterable[str]) -> dict[str, str]:
    """Return name → why Open vSwitch cannot use the interface, for those that it cannot."""
    rows = {name: connection.interfaces.get(name) for name in sorted(names)}
    return {name: row.error for name, row in rows.items() if row is not None and row.error}
