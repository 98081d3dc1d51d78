"""Brings the tunnel ports of a switch in line with what it should have."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.commands import Command, Each, EnsureTunnelPort, RemovePort
from ryu_l2iso.ovsdb.connection import Connection
from ryu_l2iso.ovsdb.rows import InterfaceRow
from ryu_l2iso.pipelines.tunnels import TunnelSpec, desired_tunnels
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
"""Seconds until a tunnel port that cannot be had is tried again; doubled each time."""


@dataclass
class _Trouble:
    """What was logged of a tunnel port, and when it is tried again (``time.monotonic()``)."""

    text: str
    until: float
    pause: float = FIRST_PAUSE


class TunnelPorts:
    """Makes, corrects and removes tunnel ports of ours; one that cannot be had costs no other.

    It is tried again with pauses that grow, for Open vSwitch itself does not; why is logged once.
    """

    def __init__(self, state: State, tunnel_type: str, timeout: float) -> None:
        """Take ``timeout``, in seconds, as what a switch has for a transaction."""
        self._state = state
        self._type = tunnel_type
        self._timeout = timeout
        # dpid → name of a tunnel port that cannot be had → what is wrong with it
        self._troubles: dict[int, dict[str, _Trouble]] = {}

    def sync(self, dpid: int, connection: Connection[int]) -> float | None:
        """Have the tunnel ports that a switch should have.

        Returns in how many seconds one that cannot be had is to be tried again, or None.  Raises
        OVSDBError when the switch has not confirmed.
        """
        desired = desired_tunnels(self._state, dpid, self._type)
        present = ours(connection.interfaces)
        self._look_at(dpid, {n: row for n, row in present.items() if n in desired}, desired)
        due = self._due(dpid)
        anew = sorted(due.intersection(present))
        if anew:
            away = [RemovePort(name) for name in anew]
            connection.transact(away, self._timeout, wait_for_vswitchd=True)
        self._change(dpid, connection, desired, present, wait=bool(due))
        if anew:
            rows = ours(connection.interfaces)
            self._look_at(dpid, {n: rows[n] for n in anew if n in rows}, desired)
        left = [trouble.until for trouble in self._troubles.get(dpid, {}).values()]
        return max(min(left) - time.monotonic(), 0.0) if left else None

    def forget(self, dpid: int) -> None:
        """Forget what is wrong at a switch."""
        self._troubles.pop(dpid, None)

    def _change(
        self,
        dpid: int,
        connection: Connection[int],
        desired: Mapping[str, TunnelSpec],
        present: Mapping[str, InterfaceRow],
        wait: bool,
    ) -> None:
        """Send the difference in one transaction, without what cannot be had."""
        gone, missing = sorted(present.keys() - desired), sorted(desired.keys() - present)
        tunnels: dict[Command, str] = {EnsureTunnelPort(*t): n for n, t in desired.items()}
        each = Each([*(RemovePort(name) for name in gone), *tunnels])
        if each.commands:
            connection.transact([each], self._timeout, wait_for_vswitchd=wait)
        refused = {tunnels[c]: why for c, why in each.refused.items() if c in tunnels}
        for name in missing:
            if name not in refused:
                at = desired[name].remote_ip
                LOG.info("switch %s: tunnel %s to %s", dpid_to_str(dpid), name, at)
        for name in gone:
            LOG.info("switch %s: tunnel %s removed", dpid_to_str(dpid), name)
        for name, why in refused.items():
            self._blame(dpid, name, why)

    def _due(self, dpid: int) -> set[str]:
        """Return the tunnel ports that it is time to try again, and begin their next pauses."""
        now = time.monotonic()
        due = {n: t for n, t in self._troubles.get(dpid, {}).items() if t.until <= now}
        for trouble in due.values():
            trouble.pause = min(2 * trouble.pause, LONGEST_PAUSE)
            trouble.until = now + trouble.pause
        return set(due)

    def _look_at(
        self, dpid: int, rows: Mapping[str, InterfaceRow], desired: Mapping[str, TunnelSpec]
    ) -> None:
        """Note which tunnel ports Open vSwitch cannot use, and which it can again."""
        troubles = self._troubles.get(dpid, {})
        for name in list(troubles):
            works = name in rows and rows[name].ofport is not None
            if works:
                LOG.info("switch %s: tunnel %s works now", dpid_to_str(dpid), name)
            if works or name not in desired:
                del troubles[name]
        if not troubles:
            self._troubles.pop(dpid, None)
        for name, row in rows.items():
            if row.error and row.ofport is None:
                self._blame(dpid, name, f"Open vSwitch cannot use {name}: {row.error}")

    def _blame(self, dpid: int, name: str, text: str) -> None:
        """Log once why a tunnel port cannot be had, and have it tried again later."""
        troubles = self._troubles.setdefault(dpid, {})
        if name not in troubles:
            troubles[name] = _Trouble("", time.monotonic() + FIRST_PAUSE)
        if troubles[name].text != text:
            troubles[name].text = text
            LOG.warning("switch %s: tunnel %s: %s", dpid_to_str(dpid), name, text)


def take_away(dpid: int, connection: Connection[int], timeout: float) -> None:
    """Remove all our tunnel ports from a switch that is let go, and close its connection.

    Waits for ``timeout`` seconds at most.  What cannot be reached keeps them.
    """
    away = [RemovePort(name) for name in sorted(ours(connection.interfaces))]
    try:
        if away:
            connection.transact([Each(away)], timeout)
            LOG.info("switch %s: let go, tunnel ports removed: %d", dpid_to_str(dpid), len(away))
    except OVSDBError as error:
        LOG.warning("switch %s: let go, its tunnel ports stay: %s", dpid_to_str(dpid), error)
    finally:
        connection.close()


def ours(interfaces: Mapping[str, InterfaceRow]) -> dict[str, InterfaceRow]:
    """Return the tunnel ports that we have made, whatever they are good for: name → row."""
    return {name: row for name, row in interfaces.items() if row.remote_dpid is not None}
