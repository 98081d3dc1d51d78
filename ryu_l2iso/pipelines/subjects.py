"""What all pipelines have in common: the desired state of a switch, cut into subjects."""

from __future__ import annotations

import abc
from collections.abc import Container, Iterable, Sequence

from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.pipelines.table import COOKIE_MAGIC, COOKIE_MAGIC_MASK
from ryu_l2iso.state.ports import PortId
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import (
    MacSubject,
    NetworkSubject,
    PeerSubject,
    PortSubject,
    Subject,
    SwitchSubject,
)


class SubjectPipeline(abc.ABC):
    """The desired flows, groups and meters of any switch; a pipeline fills in each subject."""

    cookie = COOKIE_MAGIC
    cookie_mask = COOKIE_MAGIC_MASK
    kinds: tuple[type, ...] = (SwitchSubject, PortSubject, NetworkSubject, MacSubject)
    """The kinds of subjects for which a switch may have anything."""

    def __init__(self, state: State) -> None:
        self._state = state

    def subjects(self, dpid: int) -> Iterable[Subject]:
        """Return all subjects that a switch has."""
        yield SwitchSubject()
        for port in self._state.ports.on(dpid):
            yield PortSubject(port.port_no)
        for network_id in self._state.topology.networks_on(dpid):
            found = self._state.topology.subjects_of(dpid, network_id)
            yield from (subject for subject in found if isinstance(subject, self.kinds))

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the ports that a switch has had for as long as its flows."""
        return self._state.ports.facts(dpid).old_numbers()

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        """Return what a switch should hold for a subject; nothing for one that it has not."""
        if isinstance(subject, MacSubject):
            # Most are.
            return self._mac_pieces(dpid, subject.network_id, subject.mac)
        if isinstance(subject, PortSubject):
            return self._port_pieces(PortId(dpid, subject.port_no))
        if isinstance(subject, NetworkSubject):
            return self._network_pieces(dpid, subject.network_id)
        if isinstance(subject, PeerSubject):
            return self._peer_pieces(dpid, subject.network_id, subject.remote_dpid)
        return self._switch_pieces(dpid)

    @abc.abstractmethod
    def _switch_pieces(self, dpid: int) -> Sequence[Piece]:
        """Return what a switch has whatever is plugged."""

    @abc.abstractmethod
    def _port_pieces(self, port_id: PortId) -> Sequence[Piece]:
        """Return what a switch has for one of its ports."""

    def _network_pieces(self, dpid: int, network_id: str) -> Sequence[Piece]:
        """Return what a switch has for a network as a whole."""
        return []

    def _peer_pieces(self, dpid: int, network_id: str, remote_dpid: int) -> Sequence[Piece]:
        """Return what a switch has to get packets of a network from another switch."""
        return []

    def _mac_pieces(self, dpid: int, network_id: str, mac: str) -> Sequence[Piece]:
        """Return what a switch has to reach a MAC of a network."""
        return []
