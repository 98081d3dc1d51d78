"""REST keeps what its own description says, whatever is sent.

L2ISO_FUZZ_SECONDS makes it long, L2ISO_FUZZ_SEED chooses another run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ryu_l2iso.rest import openapi
from ryu_l2iso.state.ports import InterfaceFact, OFPort
from ryu_l2iso.state.values import MAX_PORT_NO
from tests.unit.rest_client import KEY_RANGE, dump
from tests.unit.rest_served import Served

SECONDS = float(os.environ.get("L2ISO_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("L2ISO_FUZZ_SEED", "1"))

MAX_SECONDS = 1.0
"""Longest time that an answer may take."""

SCHEMA = schemathesis.openapi.from_dict(openapi.description(KEY_RANGE))

LIMITS = settings(
    max_examples=100,
    database=None,
    suppress_health_check=list(HealthCheck),
    # To make a failure small takes minutes: worth it in a long run.
    phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SECONDS else [])],
)

CONFORMANCE = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

DPIDS = ("00000000000000a1", "00000000000000A2", "ffffffffffffffff")
NETWORKS = ("n", "m", "__NW_ID_EXTERNAL__", "__NW_ID_UNKNOWN__")
NUMBERS = ("1", "2", "5", str(MAX_PORT_NO))
KNOWN: dict[str, tuple[Any, ...]] = {
    "network_id": NETWORKS,
    "iface_id": ("i", "é"),
    "dpid": DPIDS,
    "remote_dpid": DPIDS,
    "port_no": NUMBERS,
    "port": tuple(f"{dpid}_{number}" for dpid in DPIDS for number in NUMBERS),
    "mac": ("02:00:00:00:00:0a", "02:00:00:00:00:0B"),
    "key": ("1", "2", "7"),
    "name": ("network_id", "ports", "ovsdb_addr", "ovs_tunnel_addr", "x"),
    "value": NETWORKS,
}
"""Element of a path → values that requests meet again."""

BODIES = ("10.0.0.1", "10.0.0.2", "tcp:10.0.0.1:6640", "unix:/db.sock", "fd00::1")


@SCHEMA.hook
def filter_path_parameters(_context: Any, path_parameters: dict[str, Any] | None) -> bool:
    """Leave out what breaks the two rules that a JSON schema cannot tell."""
    for field, value in (path_parameters or {}).items():
        if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > 255:
            return False
        number = str(value).rpartition("_")[2]
        if field == "port" and number.isdecimal() and int(number) > MAX_PORT_NO:
            return False
    return True


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a server; it is stopped in the end."""
    running = Served()
    yield running
    running.server.stop()


def call(served: Served, case: Any) -> Any:
    """Send a request and return its answer, which must come in time."""
    started = _own_time()
    answer = case.call(base_url=f"http://127.0.0.1:{served.address[1]}")
    seconds = _own_time() - started
    assert seconds < MAX_SECONDS, f"{case.method} {case.path}: {seconds:.2f} s"
    return answer


def _own_time() -> float:
    """Return a time in seconds that stands still while others have the CPU that we want.

    The second number of /proc/self/schedstat is what they had, in nanoseconds (proc(5)).
    """
    waited = int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1])
    return time.monotonic() - waited / 1e9


@seed(SEED)
@SCHEMA.parametrize()
@settings(LIMITS, max_examples=100 if SECONDS else 3)
def test_each_operation_is_as_described(case: Any, served: Served) -> None:
    """What is of its form is taken, what is not is refused, and each answer is described."""
    case.validate_response(call(served, case))


OPERATIONS: list[Any] = list(SCHEMA.get_all_operations())
CASES = st.one_of([found.ok().as_strategy() for found in OPERATIONS])


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Return a request that is likely to meet what others have made."""
    case = draw(CASES)
    for field in case.path_parameters or ():
        if draw(st.integers(0, 3)):
            case.path_parameters[field] = draw(st.sampled_from(KNOWN[field]))
    if case.method == "PUT" and draw(st.booleans()):
        case.body = draw(st.sampled_from(BODIES))
    return case


def check_any_requests(cases: list[Any]) -> None:
    """Send requests one after the other; those that read or are refused change nothing."""
    served = Served()
    try:
        state = served.client.state
        for dpid, iface_id in ((0xA1, "i"), (0xA2, "é")):
            state.ports.set_of_port(dpid, OFPort(5, "tap0", up=True))
            state.ports.set_of_port(dpid, OFPort(1, "eth0", up=True))
            row = InterfaceFact("tap0", 5, iface_id, "02:00:00:00:00:01")
            state.ports.update_interfaces(dpid, {"tap0": row})
        for case in cases:
            state.changes.take()
            old = dump(state)
            answer = call(served, case)
            case.validate_response(answer, checks=CONFORMANCE)
            if answer.status_code >= 400 or case.method in ("GET", "HEAD"):
                assert dump(state) == old, f"{case.method} {case.path} changed something"
    finally:
        served.server.stop()


def run(number: int) -> None:
    """Check many sequences of requests, those of one seed."""

    @seed(number)
    @LIMITS
    @given(st.lists(requests(), min_size=1, max_size=12))
    def examples(cases: list[Any]) -> None:
        check_any_requests(cases)

    examples()


def test_any_requests() -> None:
    """In any order, each is answered as described, and a refused one changes nothing."""
    until = time.monotonic() + SECONDS
    number = SEED
    run(number)
    while time.monotonic() < until:
        number += 1
        run(number)
    print(f"\nREST: sequences of the seeds {SEED} to {number}")
