"""What happens to a fleet, one fault at a time: struck, healed, and who may lose pings by it.

A fault is a function that takes a `Scene`, does the damage, undoes what would not heal by itself
(it starts again what it killed, as systemd does) and returns its `Effect`.  It waits for nothing
that is to happen by itself: that is the caller's to measure.  How to add one: write the function,
and name it here.
"""

from __future__ import annotations

from ryu_l2iso.lab import churn, drift, outages
from ryu_l2iso.lab.scene import Fault

_EVERYWHERE: tuple[Fault, ...] = (
    outages.controller_restarts,
    outages.controller_is_away,
    outages.vswitchd_restarts,
    outages.ovsdb_server_restarts,
    outages.agent_restarts,
    outages.node_reboots,
    outages.node_is_gone_for_good,
    outages.network_is_cut,
    outages.power_fails,
    churn.vm_comes_or_goes,
    churn.vm_moves,
    churn.vm_moves_over_a_restart,
    churn.plugin_talks,
    churn.interface_leaves_its_network,
    churn.network_is_made_anew,
    drift.flow_is_deleted,
    drift.controller_is_removed,
)
_WITH_KEYS: tuple[Fault, ...] = (
    churn.key_changes,
    churn.keys_change_hands,
    churn.keys_change_hands_unheard,
    churn.keys_change_hands_unheard_over_a_restart,
)
FAULTS: dict[str, tuple[Fault, ...]] = {
    "gre": (*_EVERYWHERE, *_WITH_KEYS, drift.tunnel_is_removed),
    "vlan": (*_EVERYWHERE, *_WITH_KEYS, drift.tag_is_changed),
    "mac": _EVERYWHERE,
}
"""isolation → what can happen there."""
