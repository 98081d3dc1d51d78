"""A source and switches that are a table and a ``Contents`` each."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from types import SimpleNamespace
from typing import Callable, get_args

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.flow_entry import COOKIE, pack_flow, unpack_flow
from ryu_l2iso.openflow.plan import Contents, Plan
from ryu_l2iso.openflow.wire import InstalledGroup, InstalledMeter
from ryu_l2iso.pipelines.flow import Flow, Group, Match, Output, Piece, ToGroup
from ryu_l2iso.state.subjects import NetworkSubject, PortSubject, Subject

DPID = 0xAB
FLOOD = NetworkSubject("n")


def flow(port: int, output: int = 1) -> Flow:
    return Flow(0, 10, Match(in_port=port), (Output(output),), None, 0x100 | port)


def flood(*ports: int) -> tuple[Flow | Group, ...]:
    return (
        Group(7, ports),
        Flow(1, 5, Match(tunnel_id=7), (ToGroup(7),), None, 0x100),
    )


def packed(*flows: Flow) -> dict[bytes, bytes]:
    """Return flows as `Contents` and `Plan` have them."""
    return dict(map(pack_flow, flows))


def key(flow: Flow) -> bytes:
    """Return what names a flow."""
    return pack_flow(flow)[0]


def flows(contents: Contents) -> list[Flow]:
    """Return the flows of contents, all of which must be of a shape of ours."""
    found = []
    for entry in contents.flows.items():
        flow = unpack_flow(entry)
        assert isinstance(flow, Flow), flow
        found.append(flow)
    return found


def opaque(flow: Flow) -> dict[bytes, bytes]:
    """Return a flow to which somebody gave an instruction that none of ours has."""
    name, body = pack_flow(flow)
    return {name: body + bytes.fromhex("0005000800000000")}


class Source:
    """Every switch should hold what ``table`` says; counts what was computed."""

    cookie = 0x100
    cookie_mask = 0xFF00
    kinds: tuple[type, ...] = get_args(Subject)

    def __init__(self) -> None:
        self.table: dict[Subject, Sequence[Piece]] = {}
        self.port_numbers: Container[int] = range(1, 2**32)
        self.computed: list[Subject] = []

    def subjects(self, dpid: int) -> list[Subject]:
        return list(self.table)

    def ports(self, dpid: int) -> Container[int]:
        """Return the numbers of the ports that every switch has."""
        return self.port_numbers

    def desired(self, dpid: int, subject: Subject) -> Sequence[Piece]:
        self.computed.append(subject)
        return self.table.get(subject, ())


class Switch(Connection):
    """A connection whose switch is ``holds``; ``before_commit`` may raise or change the world."""

    def __init__(self, holds: Contents) -> None:
        super().__init__(SimpleNamespace(id=DPID))
        self.holds = holds
        self.plans: list[Plan] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.after_read: Callable[[], None] = lambda: None

    def read_flows(
        self, cookie: int, mask: int, expected: Mapping[bytes, bytes], deadline: float
    ) -> dict[bytes, bytes]:
        return {
            key: body
            for key, body in self.holds.flows.items()
            if int.from_bytes(body[COOKIE], "big") & mask == cookie
        }

    def count_flows(self, cookie: int, mask: int, deadline: float) -> int:
        return len(self.read_flows(cookie, mask, {}, deadline))

    def read_groups(self, deadline: float) -> list[InstalledGroup]:
        self.after_read()
        return list(self.holds.groups.values())

    def read_meters(self, deadline: float) -> list[InstalledMeter]:
        return list(self.holds.meters.values())

    def apply(self, plan: Plan, deadline: float) -> None:
        self.plans.append(plan)
        self.before_commit()
        self.holds.apply(plan)

    def fail(self) -> None:
        """Be ``before_commit``: refuse."""
        raise SwitchError("no")


def filled_source() -> Source:
    """Return a source with a port and a flood."""
    made = Source()
    made.table = {PortSubject(1): [flow(1)], FLOOD: flood(1, 2)}
    return made


def pieces(source: Source) -> Contents:
    return Contents.of(piece for some in source.table.values() for piece in some)
