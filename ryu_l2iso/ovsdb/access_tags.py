"""Brings the access tags of a switch's VM ports in line with what they should be."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Callable

from ryu_l2iso.ovsdb.commands import SetAccessTag
from ryu_l2iso.ovsdb.connection import Connection
from ryu_l2iso.pipelines.vlan import DesiredTag, desired_tags
from ryu_l2iso.state.ports import InterfaceFact
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import dpid_to_str
from ryu_l2iso.state.vlans import DEAD_VLAN

LOG = logging.getLogger(__name__)


class AccessTags:
    """Sets tags, in the order that lets no port send into a VLAN that is not its network's.

    A tag that a port may have had flows with is changed only when the switch has confirmed that
    they are gone, and flows wait until ovs-vswitchd has applied the new one.
    """

    def __init__(
        self,
        state: State,
        commit: Callable[[], None],
        recorded: Callable[[], None],
        flows_confirmed: Callable[[int], None],
        timeout: float,
    ) -> None:
        """Take what to call after a change of the state, and what waits for disk and switch.

        ``recorded()`` returns when what was committed is on disk, or raises L2IsoError.
        ``flows_confirmed(dpid)`` returns when the switch holds the desired flows, or raises
        L2IsoError.  ``timeout``, in seconds, is what a switch has for a transaction.
        """
        self._state = state
        self._commit = commit
        self._recorded = recorded
        self._flows_confirmed = flows_confirmed
        self._timeout = timeout
        self._waiting: dict[tuple[int, str], str] = {}
        # (dpid, name) of ports of which it was logged that they do not take their tag
        self._untaken: set[tuple[int, str]] = set()

    def sync(self, dpid: int, connection: Connection[int]) -> None:
        """Set the tags of a switch that are not as desired; raises L2IsoError."""
        wrong = self._wrong(dpid)
        self._untaken = {key for key in self._untaken if key[0] != dpid or key[1] in wrong}
        self._log_waiting(dpid)
        at_once = {name: tag for name, tag in wrong.items() if self._never_sent(dpid, name, tag)}
        if at_once:
            self._set(dpid, at_once, connection)
        if len(at_once) < len(wrong):
            self._flows_confirmed(dpid)
            # From here to the record that they are being set, no other green thread runs.
            self._set(dpid, self._wrong(dpid), connection)

    def _wrong(self, dpid: int) -> dict[str, DesiredTag]:
        """Return the ports whose tag is not as desired, or not confirmed to be."""
        facts = self._state.ports.facts(dpid)
        desired = desired_tags(self._state, dpid)
        return {
            name: tag
            for name, tag in desired.items()
            if tag.tag != tag.present or facts.is_retagged(name)
        }

    def _never_sent(self, dpid: int, name: str, tag: DesiredTag) -> bool:
        """Tell whether a port has had no flow with the tag that it has."""
        unconfirmed = self._state.ports.facts(dpid).is_retagged(name)
        return unconfirmed or tag.present in (None, DEAD_VLAN)

    def _set(self, dpid: int, tags: Mapping[str, DesiredTag], connection: Connection[int]) -> None:
        """Set tags in one transaction; a port has no flow until the switch has confirmed.

        Into which VLANs they may come is on disk before.
        """
        ports = self._state.ports
        ports.retag(dpid, {name: tag.tag for name, tag in tags.items()})
        self._commit()
        self._recorded()
        still = self._wrong(dpid)
        tags = {name: tag for name, tag in tags.items() if still.get(name) == tag}
        if not tags:
            return
        commands = [SetAccessTag(name, tag.iface_id, tag.tag) for name, tag in tags.items()]
        connection.transact(commands, self._timeout, wait_for_vswitchd=True)
        ports.tags_are_set(dpid, tags)
        self._commit()
        for name, tag in tags.items():
            row = ports.facts(dpid).interfaces.get(name)
            self._log(dpid, name, tag, row)

    def _log(self, dpid: int, name: str, tag: DesiredTag, row: InterfaceFact | None) -> None:
        """Log that a port has its tag, or once that it has not taken it.

        What is plugged there is a bond's member, or somebody has set another tag meanwhile: OVSDB
        tells when that changes, and then it is tried again.
        """
        if row is None or row.iface_id != tag.iface_id or row.tag == tag.tag:
            self._untaken.discard((dpid, name))
            LOG.info("switch %s: port %s has tag %d", dpid_to_str(dpid), name, tag.tag)
        elif (dpid, name) not in self._untaken:
            self._untaken.add((dpid, name))
            label = dpid_to_str(dpid)
            LOG.warning("switch %s: port %s has not taken tag %d", label, name, tag.tag)

    def _log_waiting(self, dpid: int) -> None:
        """Log, once, which ports do not get their tag because another has it."""
        now = {}
        for name, tag in desired_tags(self._state, dpid).items():
            if tag.stranger is not None:
                at = f"port {tag.stranger.port_no} of switch {dpid_to_str(tag.stranger.dpid)}"
                now[dpid, name] = f"waits for its VLAN, which {at} has not left"
        for key, text in now.items():
            if self._waiting.get(key) != text:
                LOG.warning("switch %s: port %s %s", dpid_to_str(dpid), key[1], text)
        self._waiting = {key: text for key, text in self._waiting.items() if key[0] != dpid}
        self._waiting.update(now)
