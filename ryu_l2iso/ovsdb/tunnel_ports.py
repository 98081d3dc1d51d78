"""Brings the tunnel ports of a switch in line with what it should have."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.commands import Command, Each, EnsureTunnelPort, RemovePort
from ryu_l2iso.ovsdb.connection import Connection
from ryu_l2iso.ovsdb.rows import InterfaceRow
from ryu_l2iso.pipelines.tunnels import Spares, TunnelSpec, desired_tunnels, possible_tunnels
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
"""Seconds until a tunnel port that cannot be had is tried again; doubled each time."""

SPARE_SECONDS = 5.0
"""How long a tunnel port stays that nothing needs any more."""


@dataclass
class _Trouble:
    """What was logged of a tunnel port, and when it is tried again (``time.monotonic()``)."""

    remote_dpid: int
    text: str
    until: float
    pause: float = FIRST_PAUSE


class _Look(NamedTuple):
    """Some tunnels of a switch: those to ``remotes``.

    ``desired`` and ``present`` are by name of the tunnel port; ``now`` is ``time.monotonic()``.
    """

    dpid: int
    remotes: AbstractSet[int]
    desired: Mapping[str, TunnelSpec]
    present: Mapping[str, InterfaceRow]
    now: float


class TunnelPorts:
    """Makes, corrects and removes tunnel ports of ours; one that cannot be had costs no other.

    It is tried again with pauses that grow, for Open vSwitch itself does not; why is logged once.
    Only those tunnels are looked at that were marked, or that it is time for.
    """

    def __init__(self, state: State, tunnel_type: str, timeout: float) -> None:
        """Take ``timeout``, in seconds, as what a switch has for a transaction."""
        self._state = state
        self._type = tunnel_type
        self._timeout = timeout
        # dpid → remote dpids
        self._marked: dict[int, set[int]] = {}
        # dpid → name of a tunnel port that cannot be had → what is wrong with it
        self._troubles: dict[int, dict[str, _Trouble]] = {}
        self._spares: dict[int, Spares] = {}

    def mark(self, dpid: int, remotes: Iterable[int]) -> None:
        """Have `sync` look at the tunnels of a switch to others."""
        self._marked.setdefault(dpid, set()).update(remotes)

    def mark_all(self, dpid: int, connection: Connection[int]) -> None:
        """Have `sync` look at all tunnels that a switch has or should have."""
        self.mark(dpid, self._state.topology.neighbours(dpid))
        for row in ours(connection.interfaces).values():
            if row.remote_dpid is not None:
                self.mark(dpid, {row.remote_dpid})

    def sync(self, dpid: int, connection: Connection[int]) -> float | None:
        """Have the tunnel ports that a switch should have, as far as they were marked.

        Returns in how many seconds to call it again, or None.  Raises OVSDBError when the switch
        has not confirmed.  Does nothing while the bridge is not there: call `mark_all` when it is.
        """
        remotes, now = self._marked.pop(dpid, set()), time.monotonic()
        if connection.bridge is None:
            return None
        troubles = self._troubles.get(dpid, {}).values()
        remotes.update(trouble.remote_dpid for trouble in troubles if trouble.until <= now)
        remotes |= self._spares.setdefault(dpid, Spares(SPARE_SECONDS)).remotes(now)
        desired = desired_tunnels(self._state, dpid, self._type, remotes)
        rows = connection.interfaces
        present = {name: row for name, row in rows.items() if row.remote_dpid in remotes}
        try:
            self._sync(_Look(dpid, remotes, desired, present, now), connection)
        except Exception:
            self.mark(dpid, remotes)
            raise
        return self._pause(dpid)

    def forget(self, dpid: int) -> None:
        """Forget what is wrong at a switch and what was marked."""
        self._marked.pop(dpid, None)
        self._troubles.pop(dpid, None)
        self._spares.pop(dpid, None)

    def _sync(self, look: _Look, connection: Connection[int]) -> None:
        self._look_at(look, look.present)
        due = self._due(look)
        anew = sorted(due.intersection(look.present))
        if anew:
            away = [RemovePort(name) for name in anew]
            connection.transact(away, self._timeout, wait_for_vswitchd=True)
        self._change(look, connection, due)
        if anew:
            rows = ours(connection.interfaces)
            self._look_at(look, {name: rows[name] for name in anew if name in rows})

    def _gone(self, look: _Look) -> list[str]:
        """Return the names of those that are to be removed now, sorted.

        What serves for nothing goes at once; what may be needed again soon stays for a while.
        """
        unneeded = {n: row for n, row in look.present.items() if n not in look.desired}
        ends = look.remotes & {row.remote_dpid for row in unneeded.values()}
        possible = possible_tunnels(self._state, look.dpid, self._type, ends)
        spare = {(spec.remote_dpid, name) for name, spec in possible.items() if name in unneeded}
        leaving = self._spares[look.dpid].leaving(look.remotes, spare, look.now)
        return sorted(leaving.union(unneeded.keys() - possible))

    def _change(self, look: _Look, connection: Connection[int], due: AbstractSet[str]) -> None:
        """Send the difference in one transaction, without what cannot be had.

        ``due`` are those that are tried again: what is there is not to be relied on.
        """
        dpid, desired, present = look.dpid, look.desired, look.present
        gone = self._gone(look)
        ensured = {name: EnsureTunnelPort(*tunnel) for name, tunnel in desired.items()}
        tunnels: dict[Command, str] = {
            command: name
            for name, command in ensured.items()
            if name in due or name not in present or not command.is_done(present[name])
        }
        each = Each([*(RemovePort(name) for name in gone), *tunnels])
        if each.commands:
            connection.transact([each], self._timeout, wait_for_vswitchd=bool(due))
        refused = {tunnels[c]: why for c, why in each.refused.items() if c in tunnels}
        for name in sorted(desired.keys() - present):
            if name not in refused:
                at = desired[name].remote_ip
                LOG.info("switch %s: tunnel %s to %s", dpid_to_str(dpid), name, at)
        for name in gone:
            LOG.info("switch %s: tunnel %s removed", dpid_to_str(dpid), name)
        for name, why in refused.items():
            self._blame(dpid, desired[name], why)

    def _pause(self, dpid: int) -> float | None:
        """Return in how many seconds there is something to do, or None."""
        ends = [trouble.until for trouble in self._troubles.get(dpid, {}).values()]
        end = self._spares[dpid].end()
        ends += [] if end is None else [end]
        return max(min(ends) - time.monotonic(), 0.0) if ends else None

    def _due(self, look: _Look) -> set[str]:
        """Return the tunnel ports that it is time to try again, and begin their next pauses."""
        troubles = self._troubles.get(look.dpid, {})
        due = {name: trouble for name, trouble in troubles.items() if trouble.until <= look.now}
        for trouble in due.values():
            trouble.pause = min(2 * trouble.pause, LONGEST_PAUSE)
            trouble.until = look.now + trouble.pause
        return set(due)

    def _look_at(self, look: _Look, rows: Mapping[str, InterfaceRow]) -> None:
        """Note which of these tunnel ports Open vSwitch cannot use, and which it can again."""
        dpid, desired = look.dpid, look.desired
        troubles = self._troubles.get(dpid, {})
        for name, trouble in list(troubles.items()):
            works = name in desired and name in rows and rows[name].ofport is not None
            if works:
                LOG.info("switch %s: tunnel %s works now", dpid_to_str(dpid), name)
            if works or (trouble.remote_dpid in look.remotes and name not in desired):
                del troubles[name]
        if not troubles:
            self._troubles.pop(dpid, None)
        for name, row in rows.items():
            if name in desired and row.error and row.ofport is None:
                self._blame(dpid, desired[name], f"Open vSwitch cannot use {name}: {row.error}")

    def _blame(self, dpid: int, spec: TunnelSpec, text: str) -> None:
        """Log once why a tunnel port cannot be had, and have it tried again later."""
        trouble = self._troubles.setdefault(dpid, {}).setdefault(
            spec.name, _Trouble(spec.remote_dpid, "", time.monotonic() + FIRST_PAUSE)
        )
        if trouble.text != text:
            trouble.text = text
            LOG.warning("switch %s: tunnel %s: %s", dpid_to_str(dpid), spec.name, text)


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
