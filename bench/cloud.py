"""What is measured on: networks and VMs on switches, and how many flows that must give."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

MISSES = 3
"""Flows of the GRE pipeline that every switch has: one for each table."""


class VM(NamedTuple):
    """A VM's port; switches are counted from 1, which is their dpid as well, networks from 0."""

    number: int
    switch: int
    network: int

    @property
    def name(self) -> str:
        """Return the name of the port."""
        return f"tap{self.number}"

    @property
    def iface_id(self) -> str:
        """Return the id that Quantum gave it."""
        return f"00000000-0000-4000-8000-{self.number:012x}"

    @property
    def mac(self) -> str:
        """Return the MAC of the VM."""
        return (
            f"fa:16:3e:{self.number >> 16:02x}:{self.number >> 8 & 255:02x}:{self.number & 255:02x}"
        )


def network_id(network: int) -> str:
    """Return the id of a network."""
    return f"10000000-0000-4000-8000-{network:012x}"


def key(network: int) -> int:
    """Return the key of a network."""
    return network + 1


def tunnel_ip(switch: int) -> str:
    """Return where the tunnels of a switch end."""
    return f"10.0.{switch >> 8}.{switch & 255}"


class Cloud:
    """VMs spread over switches and networks at random, the same for every run.

    With ``span`` each network is on so many switches in a row, as a scheduler that keeps the VMs
    of a tenant close would have it; without it on any.
    """

    def __init__(self, switches: int, networks: int, ports: int, span: int | None = None) -> None:
        self.switches = range(1, switches + 1)
        self.networks = range(0)
        self.vms: list[VM] = []
        self._span = span or switches
        self._random = random.Random(1)
        # network → switch → ports
        self._members: dict[int, Counter[int]] = defaultdict(Counter)
        # switch → networks
        self._networks_on: dict[int, set[int]] = defaultdict(set)
        self.grow(networks, ports)

    def grow(self, networks: int, ports: int) -> list[VM]:
        """Add networks, and VMs of them; return the VMs."""
        first = len(self.networks)
        self.networks = range(first + networks)
        return [self.add_vm(first + number % networks) for number in range(ports)]

    def add_vm(self, network: int, switch: int | None = None) -> VM:
        """Add a VM to a network, on a switch or anywhere; return it."""
        if switch is None:
            switch = self.reach(network)[self._random.randrange(self._span)]
        vm = VM(len(self.vms), switch, network)
        self.vms.append(vm)
        self._members[network][switch] += 1
        self._networks_on[switch].add(network)
        return vm

    def reach(self, network: int) -> Sequence[int]:
        """Return the switches that a network may be on."""
        first, count = network * len(self.switches) // len(self.networks), len(self.switches)
        return [(first + number) % count + 1 for number in range(self._span)]

    def switches_with(self, network: int) -> Sequence[int]:
        """Return the switches that have VMs of a network."""
        return sorted(self._members[network])

    def tunnels(self, switch: int) -> int:
        """Return how many tunnel ports a switch needs."""
        return len(set().union(*(self._members[n] for n in self._networks_on[switch])) - {switch})

    def flows(self, switch: int) -> int:
        """Return how many flows the GRE pipeline has on a switch (docs/pipeline-gre.rst).

        Two for each VM there, one for each tunnel; for each network there: one for each tunnel it
        comes by, one for each of its VMs, and for what is for none of these five, or four where
        no other switch has it.
        """
        count = MISSES + self.tunnels(switch)
        for network in self._networks_on[switch]:
            members = self._members[network]
            others = len(members) - 1
            count += 2 * members[switch] + others + sum(members.values())
            count += 4 if others else 3
        return count

    def all_flows(self) -> dict[str, int]:
        """Return how many flows each switch must have: dpid in decimal → number."""
        return {str(switch): self.flows(switch) for switch in self.switches}
