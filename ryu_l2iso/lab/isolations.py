"""What differs in a lab by the way in which it keeps networks apart."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.pipelines.table import Pipeline


class Isolation(NamedTuple):
    """A way to keep networks apart.

    ``first_key``: the first network's, the others count on; ``mtu``: of the VMs;
    ``flat``: br-int is on a flat physical network by an external port;
    ``dead_tag``: VMs are plugged into the dead VLAN; ``own_macs``: no two VMs have one MAC.
    """

    name: str
    first_key: int
    mtu: int
    flat: bool
    dead_tag: bool
    own_macs: bool

    @property
    def pipeline(self) -> Pipeline:
        """The declaration of the tables."""
        module = importlib.import_module(f"ryu_l2iso.pipelines.{self.name}")
        pipeline: Pipeline = module.PIPELINE
        return pipeline


# GRE keys above 16 bits, so that a VLAN ID or a truncated key would be noticed.  An MTU of 1458 is
# 1500 less an outer IPv4 header (20), GRE with key (8) and an inner Ethernet header (14).
_ALL = (
    Isolation("gre", 70001, 1458, flat=False, dead_tag=False, own_macs=False),
    Isolation("vlan", 1001, 1500, flat=True, dead_tag=True, own_macs=False),
    Isolation("mac", 70001, 1500, flat=True, dead_tag=False, own_macs=True),
)
NAMES = tuple(isolation.name for isolation in _ALL)


def isolation_called(name: str) -> Isolation:
    """Return an isolation by its name; raises LabError."""
    for isolation in _ALL:
        if isolation.name == name:
            return isolation
    raise LabError(f"isolation: {' or '.join(NAMES)}")
