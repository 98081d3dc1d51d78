"""Which tunnel ports a switch should have: one to each switch that it shares a network with."""

from __future__ import annotations

import hashlib
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


def tunnel_name(tunnel_type: str, dpid: int, remote_ip: str) -> str:
    """Return the name of a tunnel port, at most 15 characters.

    It begins with the type and tells an IPv4 remote in hex; the rest is a hash over switch and
    remote, so that two bridges of one host may each have a tunnel to the same remote.
    """
    remote = netaddr.IPAddress(remote_ip)
    digest = hashlib.sha256(f"{dpid_to_str(dpid)} {remote}".encode()).hexdigest()
    shown = f"{int(remote):08x}" if remote.version == 4 else ""
    return (tunnel_type[:3] + shown + digest)[:MAX_INTERFACE_NAME]


def desired_tunnels(state: State, dpid: int, tunnel_type: str) -> dict[str, TunnelSpec]:
    """Return name → tunnel port that a switch should have.

    A tunnel exists exactly while a network has VM ports on both ends, both ends have an address
    of one family, and REST named no other port for it.
    """
    local_ip = state.switches.tunnel_addr(dpid)
    facts = state.ports.facts(dpid)
    assigned = {facts.assigned(port_no).remote_dpid for port_no in facts.assigned_numbers()}
    found = {}
    for remote in sorted(state.topology.neighbours(dpid)):
        remote_ip = state.switches.tunnel_addr(remote)
        if local_ip is None or remote_ip is None or remote in assigned:
            continue
        if netaddr.IPAddress(local_ip).version == netaddr.IPAddress(remote_ip).version:
            name = tunnel_name(tunnel_type, dpid, remote_ip)
            found[name] = TunnelSpec(name, tunnel_type, local_ip, remote_ip, remote)
    return found
