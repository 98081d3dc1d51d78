"""All that the GRE pipeline wants on one switch, as much as is wanted."""

from __future__ import annotations

import os
import pickle
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.pipelines.gre import GrePipeline
from ryu_l2iso.state.subjects import Subject
from tests.unit.cloud import Cloud

DPID = 1
NETWORKS, REMOTES = 50, 20
"""How many networks the switch has, and how many other switches have them too."""


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (0xFA << 40 | number).to_bytes(6, "big"))


def gre_cloud(flows: int) -> Cloud:
    """Return a cloud in which switch `DPID` has about so many flows.

    Nearly all are towards VMs elsewhere, as on every switch of a large cloud.
    """
    cloud = Cloud()
    for dpid in range(1, REMOTES + 2):
        cloud.switch(dpid)
    for network in range(NETWORKS):
        cloud.network(f"network-{network}", network + 1)
        cloud.plug(DPID, network + 1, f"network-{network}", _mac(network))
    for number in range(NETWORKS, flows - NETWORKS * (REMOTES + 6)):
        dpid = 2 + number // NETWORKS % REMOTES
        cloud.plug(dpid, number, f"network-{number % NETWORKS}", _mac(number))
    cloud.update_tunnels()
    return cloud


class Source:
    """What a programmer asks: all pieces were made before, so that their making is not measured.

    They are read from the file that ``BENCH_PIECES`` names.
    """

    cookie = GrePipeline.cookie
    cookie_mask = GrePipeline.cookie_mask
    kinds = GrePipeline.kinds

    def __init__(self) -> None:
        content = Path(os.environ["BENCH_PIECES"]).read_bytes()
        self._ports: set[int]
        self._pieces: dict[Subject, Sequence[Piece]]
        self._ports, self._pieces = pickle.loads(content)

    def subjects(self, dpid: int) -> Iterable[Subject]:
        """Return all subjects of the switch."""
        return self._pieces

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the switch's ports."""
        return self._ports

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        """Return what the switch should hold for a subject."""
        return self._pieces[subject]


def write_pieces(flows: int, path: Path) -> list[Piece]:
    """Write what `Source` reads, with about so many flows; return all of it."""
    pipeline = GrePipeline(gre_cloud(flows).state)
    ports: Any = pipeline.ports(DPID)
    pieces = {s: pipeline.desired(DPID, s) for s in pipeline.subjects(DPID)}
    path.write_bytes(pickle.dumps((set(ports), pieces)))
    return [piece for of_one in pieces.values() for piece in of_one]
