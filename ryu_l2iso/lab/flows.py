"""Flows and groups of a switch as ``ovs-ofctl`` dumps them, taken apart."""

from __future__ import annotations

import re
from typing import NamedTuple

from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node
from ryu_l2iso.lab.shell import LabError


class DumpedFlow(NamedTuple):
    """A flow; ``match`` and ``actions`` are as ovs-ofctl(8) prints them, ports by name."""

    table: int
    priority: int
    packets: int
    cookie: int
    match: str
    actions: str


def parse_flow(line: str) -> DumpedFlow:
    """Return the flow of one line of a dump; raises LabError for a line that is none."""
    head, separator, actions = line.strip().partition(" actions=")
    parts = head.split(", ")
    counters: dict[str, str] = dict(part.partition("=")[::2] for part in parts[:-1])
    match = re.fullmatch(r"(?:.* )?priority=(\d+),?(\S*)", parts[-1])
    if not separator or match is None or not {"table", "n_packets"} <= counters.keys():
        raise LabError(f"not a flow: {line}")
    return DumpedFlow(
        int(counters["table"]),
        int(match[1]),
        int(counters["n_packets"]),
        int(counters["cookie"], 16),
        match[2],
        actions,
    )


def dump_flows(node: Node) -> list[DumpedFlow]:
    """Return the flows of a node's br-int, in the order in which a packet meets them."""
    lines = node.ofctl("--names", "dump-flows", INTEGRATION_BRIDGE).splitlines()
    flows = [parse_flow(line) for line in lines if " actions=" in line]
    return sorted(flows, key=lambda flow: (flow.table, -flow.priority))


def dump_groups(node: Node) -> list[str]:
    """Return the groups of a node's br-int, one a line."""
    lines = node.ofctl("--names", "dump-groups", INTEGRATION_BRIDGE).splitlines()
    return sorted(line.strip() for line in lines if "group_id=" in line)
