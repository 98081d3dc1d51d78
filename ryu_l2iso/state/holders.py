"""Which switches may hold flows of a MAC, by the network that it had when they were sent."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_l2iso.state.subjects import MacSubject, Subject


class Holders:
    """What switches were sent and have not confirmed to be without; subjects of MACs only.

    It is as large as what is installed: a switch that is gone keeps what it had last.
    """

    def __init__(self) -> None:
        # MAC → network_id → dpids
        self._networks: dict[str, dict[str, set[int]]] = {}
        # dpid → subjects
        self._subjects: dict[int, set[MacSubject]] = {}

    def others(self, mac: str, network_id: str | None) -> set[int]:
        """Return the switches that may hold flows of a MAC in any network but this one."""
        networks = self._networks.get(mac, {})
        return {dpid for name, dpids in networks.items() if name != network_id for dpid in dpids}

    def add(self, dpid: int, subjects: Iterable[Subject]) -> None:
        """Record what a switch may hold from now on."""
        for subject in subjects:
            if isinstance(subject, MacSubject):
                self._subjects.setdefault(dpid, set()).add(subject)
                networks = self._networks.setdefault(subject.mac, {})
                networks.setdefault(subject.network_id, set()).add(dpid)

    def discard(self, dpid: int, subjects: Iterable[Subject]) -> list[str]:
        """Record what a switch does not hold; return the MACs that a network is rid of now."""
        held = self._subjects.get(dpid, set())
        return [
            subject.mac
            for subject in subjects
            if isinstance(subject, MacSubject) and subject in held and self._discard(dpid, subject)
        ]

    def keep(self, dpid: int, subjects: Iterable[Subject]) -> list[str]:
        """Record that a switch holds nothing else; return the MACs that a network is rid of."""
        return self.discard(dpid, self._subjects.get(dpid, set()).difference(subjects))

    def _discard(self, dpid: int, subject: MacSubject) -> bool:
        self._subjects[dpid].discard(subject)
        if not self._subjects[dpid]:
            del self._subjects[dpid]
        networks = self._networks[subject.mac]
        networks[subject.network_id].discard(dpid)
        if networks[subject.network_id]:
            return False
        del networks[subject.network_id]
        if not networks:
            del self._networks[subject.mac]
        return True
