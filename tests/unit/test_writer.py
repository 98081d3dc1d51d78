"""The writer: what is written together, who waits for it, and what a disk that fails undoes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Callable

import eventlet
import pytest

from ryu_l2iso.exceptions import StoreError
from ryu_l2iso.framework import hub
from ryu_l2iso.state.records import (
    INTERFACES,
    KEYS,
    NETWORKS,
    OF_PORTS,
    Record,
    RecordChange,
    RecordChanges,
    RecordId,
    Table,
    Value,
)
from ryu_l2iso.store import writer as writer_module
from ryu_l2iso.store.writer import Writer
from tests.unit.fake_store import FakeStore

SECONDS = 5.0


class World:
    """What is true, and a writer that keeps it; everything changes through `change`."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.true: dict[RecordId, Value] = {}
        self.undone: list[list[Record]] = []
        self.writer = Writer(self.store, self._undo)

    def change(
        self, *changes: tuple[Table, str, Value | None], ordered: bool = False, number: int = -1
    ) -> None:
        """Make records so; None for one that goes."""
        noted: RecordChanges = {}
        for table, name, value in changes:
            record_id = RecordId(table, (name,))
            noted[record_id] = RecordChange(self.true.get(record_id), value)
            self._set(record_id, value)
        self.writer.add(noted, ordered, number)

    def _set(self, record_id: RecordId, value: Value | None) -> None:
        if value is None:
            self.true.pop(record_id, None)
        else:
            self.true[record_id] = value

    def _undo(self, records: Sequence[Record]) -> None:
        self.undone.append(list(records))
        self.change(*((r.table, str(r.key[0]), r.value) for r in records))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a world whose writer runs."""
    monkeypatch.setattr(writer_module, "FIRST_PAUSE", 0.01)
    made = World()
    made.writer.start()
    with eventlet.Timeout(SECONDS):
        yield made
        made.store.error = None
        made.writer.close(SECONDS)


class Waiting:
    """A green thread that waits, and what became of it."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.thread = eventlet.spawn(self._run, wait)
        eventlet.sleep(0)

    def _run(self, wait: Callable[[], None]) -> str:
        try:
            wait()
        except StoreError as error:
            return str(error)
        return "written"

    def outcome(self) -> str:
        """Return "written", or why not."""
        result: str = self.thread.wait()
        return result


def test_who_ordered_waits_until_it_is_on_disk(world: World) -> None:
    world.change((NETWORKS, "red", ()), ordered=True)
    assert world.store.transactions == []
    world.writer.wait_for_orders()
    assert world.store.kept == world.true


def test_what_comes_together_is_written_together(world: World) -> None:
    for number in range(50):
        world.change((NETWORKS, str(number), ()), ordered=True)
    waiting = [Waiting(world.writer.wait_for_orders) for _ in range(50)]
    assert {one.outcome() for one in waiting} == {"written"}
    assert len(world.store.kept) == 50
    assert len(world.store.transactions) == 1


def test_an_order_that_changes_nothing_waits_for_those_before_it(world: World) -> None:
    world.store.error = StoreError("no space")
    world.change((NETWORKS, "red", ()), ordered=True)
    world.change(ordered=True)
    with pytest.raises(StoreError, match="no space"):
        world.writer.wait_for_orders()


def test_nobody_waits_for_facts_unasked(world: World) -> None:
    world.store.error = StoreError("no space")
    world.change((INTERFACES, "tap1", (1,)))
    world.writer.wait_for_orders()
    with pytest.raises(StoreError, match="no space"):
        world.writer.wait()


def test_who_waits_for_what_is_being_written_does_not_wait_for_what_came_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = [eventlet.event.Event() for _ in range(3)]
    ahead = iter(gates)

    def execute(apply: Callable[[list[Record]], None], records: list[Record]) -> None:
        next(ahead).wait()
        apply(records)

    monkeypatch.setattr("eventlet.tpool.execute", execute)
    # As when the store is loaded: that has no number.
    world.change((INTERFACES, "tap", (1,)))
    while not world.writer._writing:
        hub.sleep(0)
    world.change((INTERFACES, "tap0", (1,)), number=0)
    first = Waiting(lambda: world.writer.wait(0))
    gates[0].send(None)
    while len(world.store.transactions) < 1 or not world.writer._writing:
        hub.sleep(0)
    world.change((INTERFACES, "tap1", (1,)), number=1)
    late = Waiting(lambda: world.writer.wait(0))
    others = [Waiting(lambda: world.writer.wait(1)), Waiting(world.writer.wait)]
    assert not (first.thread.dead or late.thread.dead)
    gates[1].send(None)
    assert [first.outcome(), late.outcome()] == ["written", "written"]
    world.writer.wait(0)
    assert len(world.store.transactions) == 2
    assert not any(other.thread.dead for other in others)
    gates[2].send(None)
    assert [other.outcome() for other in others] == ["written", "written"]
    assert world.store.kept == world.true


def test_what_could_not_be_written_is_waited_for_again(world: World) -> None:
    world.store.error = StoreError("no space")
    world.change((INTERFACES, "tap1", (1,)), number=1)
    with pytest.raises(StoreError, match="no space"):
        world.writer.wait(1)
    world.store.error = None
    world.writer.wait(1)
    assert world.store.kept == world.true


def test_what_is_undone_before_it_was_written_is_not_written(world: World) -> None:
    world.change((NETWORKS, "red", ()), ordered=True)
    world.change((NETWORKS, "red", None), ordered=True)
    world.writer.wait_for_orders()
    world.writer.wait()
    assert world.store.transactions == []


def test_a_disk_that_fails_undoes_orders_and_keeps_facts(world: World) -> None:
    world.change((KEYS, "red", (10,)), ordered=True)
    world.writer.wait_for_orders()
    world.store.error = StoreError("no space")
    world.change((KEYS, "red", (11,)), ordered=True)
    first = Waiting(world.writer.wait_for_orders)
    world.change((INTERFACES, "tap1", (1,)))
    world.change((KEYS, "red", (12,)), (NETWORKS, "red", ()), ordered=True)
    second = Waiting(world.writer.wait_for_orders)
    assert "no space" in first.outcome()
    assert "no space" in second.outcome()
    assert world.true == {
        RecordId(KEYS, ("red",)): (10,),
        RecordId(INTERFACES, ("tap1",)): (1,),
    }
    assert len(world.undone) == 1, "all orders are undone at once"
    world.store.error = None
    world.writer.wait()
    assert world.store.kept == world.true
    assert world.writer._due == {}


def test_a_fact_that_came_after_an_order_outlives_it(world: World) -> None:
    world.change((INTERFACES, "tap1", (1,)))
    world.writer.wait()
    world.store.error = StoreError("no space")
    world.change((INTERFACES, "tap1", None), (NETWORKS, "red", ()), ordered=True)
    world.change((INTERFACES, "tap1", (2,)))
    with pytest.raises(StoreError):
        world.writer.wait_for_orders()
    assert world.true == {RecordId(INTERFACES, ("tap1",)): (2,)}


def test_openflow_ports_are_not_taken_back(world: World) -> None:
    """A registration that goes takes them from disk only: they may differ when it comes back."""
    world.change((OF_PORTS, "1", ("tap1", 1, 0, 0)))
    world.writer.wait()
    world.store.error = StoreError("no space")
    world.change((OF_PORTS, "1", None), (NETWORKS, "red", ()), ordered=True)
    with pytest.raises(StoreError):
        world.writer.wait_for_orders()
    assert [record.table for record in world.undone[0]] == [NETWORKS]


def test_an_order_while_the_disk_fails_is_tried_at_once_and_heals(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(writer_module, "FIRST_PAUSE", 3600.0)
    world.store.error = StoreError("no space")
    for _ in range(3):
        world.change((NETWORKS, "red", ()), (INTERFACES, "tap1", (1,)), ordered=True)
        with pytest.raises(StoreError, match="no space"):
            world.writer.wait_for_orders()
    world.change((INTERFACES, "tap2", (2,)))
    world.store.error = None
    world.change((NETWORKS, "red", ()), ordered=True)
    world.writer.wait_for_orders()
    assert world.store.kept == world.true
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "what changed is not kept: no space; trying again",
        "what changed is written again",
    ]


def test_facts_that_come_after_all_orders_were_undone_are_written(world: World) -> None:
    """Nothing is due then, so no pause under way would end with their being written."""
    world.store.error = StoreError("no space")
    world.change((NETWORKS, "red", ()), ordered=True)
    with pytest.raises(StoreError):
        world.writer.wait_for_orders()
    world.store.error = None
    world.change((INTERFACES, "tap1", (1,)))
    while world.store.kept != world.true:
        hub.sleep(0.01)


def test_what_is_due_does_not_grow_with_time(world: World) -> None:
    world.store.error = StoreError("no space")
    for number in range(2000):
        world.change((INTERFACES, f"tap{number}", (number,)))
        world.change((INTERFACES, f"tap{number}", None))
        world.change((INTERFACES, "tap", (number,)))
        if not number % 100:
            hub.sleep(0)
    assert len(world.writer._due) + len(world.writer._writing) <= 2
    assert world.writer._orders == []


def test_a_fault_of_the_store_is_logged_with_its_trace(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.error = OverflowError("too large")
    world.change((NETWORKS, "red", ()), ordered=True)
    with pytest.raises(StoreError, match="too large"):
        world.writer.wait_for_orders()
    assert "Traceback" in caplog.text


def test_a_fault_in_the_undoing_is_logged_and_the_writer_lives_on(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.writer, "_undo", lambda records: 1 / 0)
    world.store.error = StoreError("no space")
    world.change((NETWORKS, "red", ()), ordered=True)
    with pytest.raises(StoreError, match="no space"):
        world.writer.wait_for_orders()
    assert "ZeroDivisionError" in caplog.text
    world.store.error = None
    world.change((KEYS, "red", (1,)), ordered=True)
    world.writer.wait_for_orders()


def test_a_disk_that_hangs_is_waited_for_no_longer_than_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "TIMEOUT", 0.05)
    answers = eventlet.event.Event()
    monkeypatch.setattr("eventlet.tpool.execute", lambda *_args: answers.wait())
    world.change((NETWORKS, "red", ()), ordered=True)
    with pytest.raises(StoreError, match="does not answer"):
        world.writer.wait_for_orders()
    answers.send(None)


def test_the_end_writes_what_is_due(world: World) -> None:
    world.change((INTERFACES, "tap1", (1,)))
    world.writer.close(SECONDS)
    assert world.store.kept == world.true
    assert world.store.closed


def test_the_end_does_not_wait_for_a_disk_that_fails(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.error = StoreError("no space")
    world.change((INTERFACES, "tap1", (1,)))
    world.writer.close(SECONDS)
    assert world.store.closed
    assert "1 changes are lost" in caplog.text


def test_the_end_does_not_wait_for_a_disk_that_hangs(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = eventlet.event.Event()
    monkeypatch.setattr("eventlet.tpool.execute", lambda *_args: answers.wait())
    world.change((INTERFACES, "tap1", (1,)))
    eventlet.sleep(0.01)
    world.writer.close(0.05)
    assert not world.store.closed
    assert "has not answered" in caplog.text
    answers.send(None)


def test_a_writer_that_never_started_is_closed() -> None:
    world = World()
    world.writer.close(SECONDS)
    assert world.store.closed
