"""What all pipelines have in common: the desired state of a switch, cut into subjects."""

from __future__ import annotations

import abc
from collections.abc import Container, Iterable, Sequence
from typing import Callable

from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.pipelines.table import COOKIE_MAGIC, COOKIE_MAGIC_MASK
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
        # kind of subject → what builds its pieces, from a dpid and what the subject consists of
        self._builders: dict[type, Callable[..., Sequence[Piece]]] = {
            SwitchSubject: self._switch_pieces,
            PortSubject: self._port_pieces,
            NetworkSubject: self._network_pieces,
            PeerSubject: self._peer_pieces,
            MacSubject: self._mac_pieces,
        }

    def subjects(self, dpid: int) -> Iterable[Subject]:
        """Return all subjects that a switch has."""
        yield SwitchSubject()
        for port in self._state.ports.on(dpid):
            yield PortSubject(port.port_no)
        for network_id in self._state.topology.networks_on(dpid):
            found = self._state.topology.subjects_of(dpid, network_id)
            yield from [subject for subject in found if type(subject) in self.kinds]

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the ports that a switch has had for as long as its flows."""
        return self._state.ports.facts(dpid).old_numbers()

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        """Return what a switch should hold for a subject; nothing for one that it has not."""
        return self._builders[type(subject)](dpid, *subject)

    @abc.abstractmethod
    def _switch_pieces(self, dpid: int) -> Sequence[Piece]:
        """Return what a switch has whatever is plugged."""

    @abc.abstractmethod
    def _port_pieces(self, dpid: int, port_no: int) -> Sequence[Piece]:
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
