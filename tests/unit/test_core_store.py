"""``Core`` and what it keeps: loading, orders that fail, and what others change."""

from __future__ import annotations

from collections.abc import Iterator

import eventlet
import pytest

from ryu_l2iso.core import Core, Subscriber
from ryu_l2iso.exceptions import Conflict, StoreError, UnusableStore
from ryu_l2iso.framework import CONF
from ryu_l2iso.state.changes import Changes
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId
from ryu_l2iso.state.records import (
    INTERFACES,
    KEYS,
    NETWORKS,
    OF_PORTS,
    SWITCH_VALUES,
    SWITCHES,
    Record,
)
from ryu_l2iso.state.switches import OVSDB_ADDR, TUNNEL_ADDR
from tests.unit.cloud import GRE_KEYS
from tests.unit.fake_store import FakeStore

SECONDS = 5.0
ADDRESS = "tcp:192.0.2.1:6640"


class Recorder(Subscriber):
    """Remembers the changes that it was told of."""

    def __init__(self) -> None:
        self.told: list[Changes] = []

    def changed(self, changes: Changes) -> None:
        """Remember."""
        self.told.append(changes)


@pytest.fixture
def store() -> FakeStore:
    """Return an empty store."""
    return FakeStore()


@pytest.fixture
def core(store: FakeStore) -> Iterator[Core]:
    """Return a core that has loaded the store."""
    with eventlet.Timeout(SECONDS):
        made = started(store)
        yield made
        store.error = None
        made.close()


def started(store: FakeStore) -> Core:
    """Return a core that has loaded a store."""
    made = Core()
    made.use_isolation("gre_tunnel", GRE_KEYS)
    made.load(store)
    return made


def fill(core: Core) -> None:
    """Register a switch, and plug a VM into it."""
    state = core.state
    core.carry_out(lambda: state.add_network("red"))
    core.carry_out(lambda: state.add_key("red", 10))
    core.carry_out(lambda: state.add_interface_value("i1", "network_id", "red"))
    core.carry_out(lambda: state.set_switch_value(1, TUNNEL_ADDR, "10.0.0.1"))
    core.carry_out(lambda: state.set_switch_value(1, OVSDB_ADDR, ADDRESS))
    state.ports.set_of_port(1, OFPort(1, "tap1", True))
    row = InterfaceFact("tap1", 1, "i1", "02:00:00:00:00:01")
    state.ports.update_interfaces(1, {"tap1": row})
    core.commit()
    core.written()


def test_what_was_kept_is_there_and_told_to_who_subscribes_later(
    core: Core, store: FakeStore
) -> None:
    fill(core)
    core.close()
    assert store.closed
    with pytest.raises(StoreError, match="closed"):
        core.written()
    later, recorder = started(store), Recorder()
    later.load(store)
    later.subscribe(recorder)
    later.commit()
    (changes,) = recorder.told
    assert changes.switches == {1}
    assert [str(change.new.name) for change in changes.ports if change.new] == ["tap1"]
    assert later.state.topology.members("red") == {1: {1}}
    later.written()
    assert store.transactions[-1] != [], "nothing is written again"
    assert len(store.transactions) == 6
    later.close()


def test_what_follows_from_nothing_any_more_is_not_kept(store: FakeStore) -> None:
    stray = Record(OF_PORTS, (7, 1), ("tap1", 1, 1, 0))
    store.apply([stray, Record(NETWORKS, ("red",), ())])
    core = started(store)
    core.written()
    assert list(store.kept) == [(NETWORKS, ("red",))]
    core.close()


def test_an_order_that_cannot_be_kept_is_taken_back_and_that_is_told(
    core: Core, store: FakeStore
) -> None:
    fill(core)
    recorder = Recorder()
    core.subscribe(recorder)
    kept = dict(store.kept)
    store.error = StoreError("no space")
    with pytest.raises(StoreError, match="no space"):
        core.carry_out(lambda: core.state.remove_switch(1))
    assert [changes.switches for changes in recorder.told] == [{1}, {1}]
    assert core.state.switches.ovsdb_addr(1) == ADDRESS
    assert core.state.topology.members("red") == {1: {1}}
    assert store.kept == kept
    store.error = None
    core.written()
    assert store.kept == kept


def test_a_fact_that_was_not_committed_is_no_part_of_an_order(core: Core, store: FakeStore) -> None:
    fill(core)
    store.error = StoreError("no space")
    core.state.ports.remove_of_port(1, 1)
    with pytest.raises(StoreError):
        core.carry_out(lambda: core.state.remove_network("red"))
    assert "red" in core.state.networks
    assert core.state.ports.get(PortId(1, 1)) is None
    store.error = None
    core.written()
    assert (OF_PORTS, (1, 1)) not in store.kept


def test_an_order_that_is_refused_is_not_written(core: Core, store: FakeStore) -> None:
    core.carry_out(lambda: core.state.add_network("red"))
    with pytest.raises(Conflict):
        core.carry_out(lambda: core.state.add_network("red"))
    assert len(store.transactions) == 1


def test_an_answer_waits_for_what_it_tells_of(core: Core, store: FakeStore) -> None:
    """Who reads what is not on disk yet, and may be taken back, is not answered before it is."""
    store.error = StoreError("no space")
    writing = eventlet.spawn(core.carry_out, lambda: core.state.add_network("red"))
    eventlet.sleep(0)
    assert "red" in core.state.networks
    with pytest.raises(StoreError):
        core.carry_out(lambda: core.state.networks.ids())
    with pytest.raises(StoreError):
        writing.wait()
    assert "red" not in core.carry_out(lambda: core.state.networks.ids())


def test_what_others_change_is_taken_and_not_written_again(core: Core, store: FakeStore) -> None:
    fill(core)
    before = len(store.transactions)
    recorder = Recorder()
    core.subscribe(recorder)
    assert store.told is not None
    changed = [Record(KEYS, ("red",), (11,)), Record(NETWORKS, ("blue",), ())]
    store.kept.update({r.id: r.value for r in changed if r.value is not None})
    store.told(changed)
    core.written()
    assert (core.state.networks.key("red"), "blue" in core.state.networks) == (11, True)
    assert len(store.transactions) == before
    assert recorder.told


def test_what_follows_from_a_change_of_others_is_written(core: Core, store: FakeStore) -> None:
    fill(core)
    assert store.told is not None
    gone = [
        Record(SWITCHES, (1,), None),
        Record(SWITCH_VALUES, (1, TUNNEL_ADDR), None),
        Record(SWITCH_VALUES, (1, OVSDB_ADDR), None),
    ]
    for record in gone:
        del store.kept[record.id]
    store.told(gone)
    core.written()
    assert not [i for i in store.kept if i.table in (INTERFACES, OF_PORTS)]


@pytest.mark.parametrize(
    "record",
    [
        Record(KEYS, ("red",), (2**24,)),
        Record(SWITCH_VALUES, (1, TUNNEL_ADDR), ("no JSON",)),
        Record(SWITCH_VALUES, (1,), ("[]",)),
    ],
)
def test_what_cannot_be_used_is_refused_and_stays(store: FakeStore, record: Record) -> None:
    store.apply([Record(SWITCHES, (1,), ()), record])
    kept = dict(store.kept)
    core = Core()
    core.use_isolation("gre_tunnel", GRE_KEYS)
    with pytest.raises(UnusableStore, match="connection: .* cannot be used here"):
        core.load(store)
    assert store.closed
    assert store.kept == kept


def test_the_option_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    CONF.set_override("connection", "/proc/l2iso/state.db", "l2iso")
    try:
        core = Core()
        with pytest.raises(UnusableStore, match="/proc/l2iso/state.db"):
            core.load()
        CONF.set_override("connection", ":memory:", "l2iso")
        core.load()
        core.carry_out(lambda: core.state.add_network("red"))
        core.close()
    finally:
        CONF.clear_override("connection", "l2iso")


def test_a_core_that_keeps_nothing_works() -> None:
    core = Core()
    core.carry_out(lambda: core.state.add_network("red"))
    core.written()
    core.close()
    assert "red" in core.state.networks
