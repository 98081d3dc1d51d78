"""What stays is looked at once by the collector of cycles, and garbage is still found."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ryu_l2iso import garbage
from ryu_l2iso.ovsdb.reader import BridgeReader
from ryu_l2iso.ovsdb.replica import Replica


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_many_that_survive_a_full_collection_are_not_looked_at_again() -> None:
    garbage.spare_what_stays()
    garbage.spare_what_stays()
    stays = [Cycle() for _ in range(garbage.MANY)]
    gc.collect()
    assert gc.get_freeze_count() > len(stays)
    assert len(gc.get_objects()) < len(stays)


def test_few_are_looked_at_again() -> None:
    gc.freeze()
    before = gc.get_freeze_count()
    garbage.spare_what_stays()
    stays = [Cycle()]
    gc.collect()
    dropped = weakref.ref(stays.pop())
    gc.collect()
    assert dropped() is None
    assert gc.get_freeze_count() <= before


def test_a_cycle_that_is_dropped_before_is_freed() -> None:
    garbage.spare_what_stays()
    dropped = weakref.ref(Cycle())
    gc.collect(1)
    assert gc.get_threshold()[0] > 0
    gc.collect()
    assert dropped() is None


def test_nothing_is_looked_for_where_all_stays() -> None:
    gc.unfreeze()
    with garbage.all_stays():
        assert not gc.isenabled()
        stays = [Cycle() for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(stays)


def test_a_replica_that_is_closed_keeps_no_rows_and_is_no_garbage() -> None:
    replica = Replica("unix:/nowhere", BridgeReader("br-int"), 8.0)
    update = {"Bridge": {"e4f2a9f4-73b5-4d8c-9b4f-6d3b5a0a1c11": {"insert": {"name": "br-int"}}}}
    replica._update([update])
    assert replica.tables["Bridge"]
    gc.disable()
    try:
        replica.close()
        assert not any(replica.tables.values())
        kept = weakref.ref(replica)
        del replica
        assert kept() is None
    finally:
        gc.enable()
