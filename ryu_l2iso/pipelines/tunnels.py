"""Which tunnel ports a switch should have: one to each switch that it shares a network with."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import netaddr

from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str

MAX_INTERFACE_NAME = 15
"""IFNAMSIZ without its final zero (netdevice(7))."""


class TunnelSpec(NamedTuple):
    """A tunnel port that should exist."""

    name: str
    type: str
    local_ip: str
    remote_ip: str
    remote_dpid: int


@functools.lru_cache(maxsize=4096)
def _address(text: str) -> tuple[int, str, str]:
    """Return the version of an address, how it is written, and what a name shows of it."""
    address = netaddr.IPAddress(text)
    return address.version, str(address), f"{int(address):08x}" if address.version == 4 else ""


def tunnel_name(tunnel_type: str, dpid: int, remote_ip: str) -> str:
    """Return the name of a tunnel port, at most 15 characters.

    It begins with the type and tells an IPv4 remote in hex; the rest is a hash over switch and
    remote, so that two bridges of one host may each have a tunnel to the same remote.
    """
    _, remote, shown = _address(remote_ip)
    digest = hashlib.sha256(f"{dpid_to_str(dpid)} {remote}".encode()).hexdigest()
    return (tunnel_type[:3] + shown + digest)[:MAX_INTERFACE_NAME]


def desired_tunnels(
    state: State, dpid: int, tunnel_type: str, remotes: AbstractSet[int] | None = None
) -> dict[str, TunnelSpec]:
    """Return name → tunnel port that a switch should have to others; to these ones, or to all.

    A tunnel is needed exactly while a network has VM ports on both ends; and see
    `possible_tunnels`.
    """
    neighbours = state.topology.neighbours(dpid)
    chosen = neighbours if remotes is None else neighbours & remotes
    return possible_tunnels(state, dpid, tunnel_type, chosen)


def possible_tunnels(
    state: State, dpid: int, tunnel_type: str, remotes: Iterable[int]
) -> dict[str, TunnelSpec]:
    """Return name → tunnel port that a switch could have to others, needed or not.

    A tunnel is possible while both ends have an address of one family, and REST named no other
    port for it.
    """
    local_ip = state.switches.tunnel_addr(dpid)
    facts = state.ports.facts(dpid)
    assigned = {facts.assigned(port_no).remote_dpid for port_no in facts.assigned_numbers()}
    found = {}
    for remote in sorted(remotes):
        remote_ip = state.switches.tunnel_addr(remote)
        if local_ip is None or remote_ip is None or remote in assigned:
            continue
        if _address(local_ip)[0] == _address(remote_ip)[0]:
            name = tunnel_name(tunnel_type, dpid, remote_ip)
            found[name] = TunnelSpec(name, tunnel_type, local_ip, remote_ip, remote)
    return found


class Spares:
    """The tunnel ports of one switch that could be needed again: each stays for a while.

    A key that is swapped, or a VM that is unplugged and plugged again, would have it removed and
    made anew otherwise.  Time is in seconds and never goes back.
    """

    def __init__(self, seconds: float) -> None:
        """Have each stay for so many seconds from when nothing needs it."""
        self._seconds = seconds
        # (remote dpid, name) → when it goes
        self._until: dict[tuple[int, str], float] = {}

    def remotes(self, now: float) -> set[int]:
        """Return where the tunnels lead whose time is over."""
        return {remote for (remote, _), until in self._until.items() if until <= now}

    def end(self) -> float | None:
        """Return when the next one goes, or None."""
        return min(self._until.values(), default=None)

    def leaving(
        self, remotes: AbstractSet[int], spare: AbstractSet[tuple[int, str]], now: float
    ) -> set[str]:
        """Return the names of those that are to be removed now.

        ``spare`` are all that are there, lead to these remotes and are not needed: remote dpid and
        name.  One that is still there after that time again is returned again.
        """
        until = {key: end for key, end in self._until.items() if key[0] not in remotes}
        leaving = set()
        for key in spare:
            until[key] = self._until.get(key, now + self._seconds)
            if until[key] <= now:
                until[key] = now + self._seconds
                leaving.add(key[1])
        self._until = until
        return leaving
