"""What a switch refuses costs its subject only: ``Programmer`` and ``LeftOut``."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from ryu_l2iso.openflow import left_out as left_out_module
from ryu_l2iso.openflow import programmer as programmer_module
from ryu_l2iso.openflow.flow_entry import unpack_flow
from ryu_l2iso.openflow.left_out import FIRST_PAUSE, LONGEST_PAUSE, LeftOut
from ryu_l2iso.openflow.parts import Refusal, Refused
from ryu_l2iso.openflow.plan import Contents, Key, MeterKey
from ryu_l2iso.openflow.programmer import MOST_REFUSALS, Programmer
from ryu_l2iso.pipelines.flow import Group, Match
from ryu_l2iso.state.subjects import (
    MacSubject,
    NetworkSubject,
    PeerSubject,
    PortSubject,
    Subject,
    SwitchSubject,
)
from tests.unit.clock import Clock
from tests.unit.openflow_fakes import DPID, Source, Switch, flow, key, pieces

LABEL = "switch 00000000000000ab"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(programmer_module, "time", made)
    return made


def refusing(switch: Switch, *ports: int) -> Callable[[], None]:
    """Return a ``before_commit`` that refuses the first flow with one of these in_ports."""

    def check() -> None:
        for name, body in switch.plans[-1].flows_to_add.items():
            match = unpack_flow((name, body)).match
            assert isinstance(match, Match)
            if match.in_port in ports:
                raise Refused("a bundle", [Refusal(name, f"no adding {match}")])

    return check


class World:
    """A programmer without its worker, and its switch, which refuses port 7 (and more)."""

    def __init__(self, source: Source, *ports: int) -> None:
        self.source = source
        self.programmer = Programmer(DPID, source)
        self.switch = Switch(Contents())
        self.refuse(*ports)
        self.programmer.connected(self.switch)

    def refuse(self, *ports: int) -> None:
        self.switch.before_commit = refusing(self.switch, *ports)

    def work(self, most: int = 20) -> int:
        """Step until all is done; return how many steps it took."""
        for steps in range(1, most):
            assert self.programmer.step() == 0
            if self.programmer.synced:
                return steps
        raise AssertionError("not done")

    def mark(self, subject: Subject) -> None:
        self.programmer.mark(subject)
        self.work()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.fixture
def source() -> Source:
    made = Source()
    made.table = {PortSubject(n): [flow(n)] for n in (1, 2, 7, 8)}
    return made


def test_all_others_get_theirs_without_a_pause(
    clock: Clock, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(source, 7, 8)
    assert world.work() == 3
    assert sorted(world.switch.holds.flows) == [key(flow(1)), key(flow(2))]
    source.table[PortSubject(3)] = [flow(3)]
    before = world.programmer.counters.full_syncs
    world.mark(PortSubject(3))
    assert key(flow(3)) in world.switch.holds.flows
    assert world.programmer.counters.full_syncs == before, "the others go their usual way"
    assert errors(caplog) == [
        f"{LABEL}: port {n} is left out: no adding in_port={n}" for n in (7, 8)
    ]


def test_it_is_tried_again_and_logged_again_only_when_it_is_in(
    clock: Clock, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(source, 7)
    world.work()
    for pause in (1.0, 2.0, 4.0):
        plans = len(world.switch.plans)
        clock.now += pause - 0.01
        world.programmer.step()
        assert len(world.switch.plans) == plans, "not before its time"
        clock.now += 0.01
        world.work()
        assert len(world.switch.plans) > plans
    assert len(errors(caplog)) == 1
    world.refuse()
    clock.now += 8.0
    world.work()
    assert world.switch.holds == pieces(source)
    syncs = [r for r in caplog.records if "full sync" in r.getMessage()]
    assert [r.levelno for r in syncs] == [logging.INFO, logging.INFO], "not each attempt is told"
    ended = [r.getMessage() for r in caplog.records if "no longer" in r.getMessage()]
    assert ended == [f"{LABEL}: port 7 is no longer left out"]


def test_what_it_had_before_goes(clock: Clock, source: Source) -> None:
    world = World(source)
    world.work()
    source.table[PortSubject(7)] = [flow(7, 2)]
    world.refuse(7)
    world.mark(PortSubject(7))
    assert sorted(world.switch.holds.flows) == [key(flow(n)) for n in (1, 2, 8)]


def test_a_subject_of_which_nothing_is_desired_any_more_is_in_again(
    clock: Clock, source: Source
) -> None:
    world = World(source, 7)
    world.work()
    refused = source.table.pop(PortSubject(7))
    world.mark(PortSubject(7))
    world.refuse()
    source.table[PortSubject(7)] = refused
    world.mark(PortSubject(7))
    assert world.switch.holds == pieces(source), "the next VM with its number does not wait"


def test_a_new_connection_is_given_all(clock: Clock, source: Source) -> None:
    world = World(source, 7)
    world.work()
    world.refuse()
    world.programmer.connected(world.switch)
    world.work()
    assert world.switch.holds == pieces(source)


def test_a_picture_that_is_wrong_leaves_nothing_out(
    clock: Clock, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(source)
    world.work()

    def unknown_group() -> None:
        world.switch.before_commit = lambda: None
        raise Refused("a bundle", [Refusal(key(flow(1, 9)), "no such group")])

    world.switch.before_commit = unknown_group
    source.table[PortSubject(1)] = [flow(1, 9)]
    world.mark(PortSubject(1))
    assert world.switch.holds == pieces(source)
    assert errors(caplog) == []


def test_a_refused_deletion_is_a_failure(
    clock: Clock, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(source)
    world.work()
    del source.table[PortSubject(1)]
    gone = [Refusal(what, "no") for what in (key(flow(1)), 5, MeterKey(1))]

    def refuse() -> None:
        raise Refused("a bundle", gone)

    world.switch.before_commit = refuse
    world.programmer.mark(PortSubject(1))
    assert world.programmer.step() == 0
    assert world.programmer.step() > 0
    assert errors(caplog) == [f"{LABEL}: a bundle: no; trying again"]


def test_a_switch_that_refuses_all_is_given_pauses(clock: Clock, source: Source) -> None:
    source.table = {PortSubject(n): [flow(n)] for n in range(1, 40)}
    world = World(source, *range(1, 40))
    pauses = [world.programmer.step() for _ in range(MOST_REFUSALS + 3)]
    assert pauses[:MOST_REFUSALS] == [0] * MOST_REFUSALS
    assert all(pauses[MOST_REFUSALS:])


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (PortSubject(7), "port 7"),
        (NetworkSubject("red"), "network red"),
        (PeerSubject("red", 2), "network red from switch 0000000000000002"),
        (MacSubject("red", "m"), "MAC m of network red"),
        (SwitchSubject(), "what every switch has"),
    ],
)
def test_how_a_subject_is_called(subject: Subject, text: str) -> None:
    assert str(subject) == text


def test_a_group_and_a_meter_are_found_by_their_ids(clock: Clock) -> None:
    out = LeftOut(DPID)
    network = NetworkSubject("n")
    group = Group(4, (1,))
    sent: dict[Subject, list[Key]] = {network: [4, key(flow(1))]}
    assert out.seconds(0.0) is None
    assert out.add(sent, {4: "too long"}, 0.0)
    assert out.seconds(0.25) == FIRST_PAUSE - 0.25
    assert not out.wanted(network, [group])
    assert not out.add(sent, {5: "of nobody"}, 0.0)
    assert Refused("x", [Refusal(4, "no"), Refusal(MeterKey(4), "?")]).by_key()[4] == "no"


def test_pauses_grow_up_to_a_limit_and_begin_anew() -> None:
    out, network = LeftOut(DPID), NetworkSubject("n")
    sent: dict[Subject, list[Key]] = {network: [4]}
    now, pauses = 0.0, []
    for _ in range(8):
        out.add(sent, {4: "no"}, now)
        pause = out.seconds(now)
        assert pause is not None
        pauses.append(pause)
        now += pause
        assert out.end(now) and not out.end(now)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    out.confirmed()
    out.add(sent, {4: "no"}, now)
    assert out.seconds(now) == left_out_module.FIRST_PAUSE
