"""Whatever an OVSDB server sends: no hang, no growth, and the others are read on time.

L2ISO_FUZZ_SECONDS makes it long, L2ISO_FUZZ_SEED chooses another run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from typing import Any, Callable, TypeVar

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from ryu_l2iso.framework import hub
from ryu_l2iso.ovsdb import Connection
from ryu_l2iso.ovsdb.facts import InterfaceFacts
from ryu_l2iso.ovsdb.schema import TABLES
from tests.functional.fake_ovsdb import (
    DPID,
    NOWHERE,
    Client,
    FakeOVSDB,
    HubWatch,
    changed,
    encode,
    ports,
    uuid_of,
)
from tests.functional.ovs import wait_until
from tests.functional.ovsdb_recorder import Recorder
from tests.functional.test_hostile_ovsdb import BROKEN, ODD, memory
from tests.fuzz.mutations import mutated

SECONDS = float(os.environ.get("L2ISO_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("L2ISO_FUZZ_SEED", "1"))

ON_TIME = 1.0
MAX_GROWTH = 60
"""MB by which this process, the examples included, may grow."""

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
UUIDS = st.sampled_from([*map(uuid_of, ("bridge", "root", "port vm1", "interface vm1", "x")), "x"])
REFERENCES = UUIDS.map(lambda text: ["uuid", text])
VALUES = st.one_of(
    ANYTHING,
    REFERENCES,
    st.lists(REFERENCES | ANYTHING, max_size=3).map(lambda each: ["set", each]),
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=3).map(
        lambda each: ["map", each]
    ),
    st.sampled_from(["iface-id", "attached-mac", "x" * 70_000, 2**63, -1]),
    st.just(["map", [["iface-id", "x" * 5000], ["attached-mac", "\n\0\x1b"]]]),
)
COLUMNS = st.sampled_from(sorted({name for table in TABLES.values() for name in table}) + ["x"])
ROWS = st.dictionaries(COLUMNS, VALUES, max_size=4) | ANYTHING
HOW = st.sampled_from(["initial", "insert", "modify", "delete", "x"])
UPDATES = st.dictionaries(
    st.sampled_from([*TABLES, "Nothing"]),
    st.dictionaries(UUIDS, st.dictionaries(HOW, ROWS, max_size=2) | ANYTHING, max_size=3),
    max_size=3,
)


def _message(monitor: Any, updates: Any) -> bytes:
    return encode(method="update3", params=[monitor, NOWHERE, updates], id=None)


@st.composite
def said(draw: st.DrawFn) -> Any:
    """Return a function of the client: what it is sent."""
    how = draw(st.integers(0, 3))
    if how == 0:
        updates = draw(UPDATES)
        return lambda client: client.update(updates)
    if how == 1:
        method = draw(st.sampled_from(["update", "update2", "update3", "echo", "locked", "x"]))
        message = {"method": method, "params": draw(ANYTHING), "id": draw(ANYTHING)}
        message = message if draw(st.booleans()) else {"result": draw(ANYTHING), "id": draw(UUIDS)}
        return lambda client: json.dumps(message).encode()
    if how == 2:
        valid = _message("x", changed("modify", ports("vm1")))
        data = draw(mutated(valid) | st.binary(max_size=50))
        return lambda client: data
    # What has no end takes a second each, and has its own tests.
    short = [say for what, say in BROKEN.items() if "without end" not in what]
    return draw(st.sampled_from([*short, *ODD.values()]))


class TimeIsUp(BaseException):
    """Ends a long run; a pass."""


Test = TypeVar("Test", bound=Callable[..., None])


def fuzzed(examples: int) -> Callable[[Test], Test]:
    """Decorate a test to run for some examples, or for as long as was asked for."""
    runs = settings(
        max_examples=10**9 if SECONDS else examples,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Test) -> Test:
        return seed(SEED)(runs(test))

    return decorate


class Facts(Recorder[int]):
    """A listener that makes facts of the rows, as the controller does."""

    def __init__(self) -> None:
        super().__init__()
        self._facts = InterfaceFacts()

    def interfaces_changed(self, key: int, changed: Any) -> None:
        """Read the rows; what fails here is logged with a traceback."""
        super().interfaces_changed(key, changed)
        self._facts.read(key, changed)


class Well:
    """A server that keeps to the rules; `check` sees that it is read on time."""

    def __init__(self) -> None:
        self.server = FakeOVSDB(self._serve, "vm1")
        self.seen: Recorder[int] = Recorder()
        self._numbers = itertools.count(100)
        self._client: Client | None = None

    def _serve(self, client: Client) -> None:
        self._client = client
        while client.request() is not None:
            pass

    def check(self) -> None:
        assert self._client is not None
        number = next(self._numbers) % 60000 + 1
        row = {"Interface": {uuid_of("interface vm1"): {"modify": {"ofport": number}}}}
        self._client.sock.sendall(self._client.update(row))
        wait_until(lambda: self.seen.interfaces["vm1"].ofport == number, "the other", ON_TIME)


def fuzz_one(sent: list[Any]) -> None:
    """Let one server say all that, and then end its side; the client must notice at once."""
    gone = hub.Event()

    def serve(client: Client) -> None:
        with contextlib.suppress(OSError):
            for each in sent:
                client.sock.sendall(each(client))
            client.sock.shutdown(1)
        client.expect_close(20)
        gone.set()

    with FakeOVSDB(serve, "vm1") as server:
        connection = Connection(DPID, server.address, Facts())
        try:
            assert gone.wait(20), "the connection stays"
        finally:
            connection.close()


def test_a_controller_outlives_every_ovsdb_server(caplog: pytest.LogCaptureFixture) -> None:
    begun, well = time.monotonic(), Well()
    grown: list[float] = []

    @fuzzed(40)
    @given(st.lists(said(), min_size=1, max_size=3))
    def run(sent: list[Any]) -> None:
        if SECONDS and time.monotonic() - begun > SECONDS:
            raise TimeIsUp
        watch.restart()
        fuzz_one(sent)
        well.check()
        assert watch.longest < ON_TIME
        caplog.clear()
        grown.append(memory())

    with well.server, HubWatch() as watch, contextlib.suppress(TimeIsUp):
        other = Connection(DPID, well.server.address, well.seen)
        try:
            well.seen.wait_synced()
            run()
        finally:
            other.close()
    assert max(grown) - grown[min(20, len(grown) - 1)] < MAX_GROWTH
