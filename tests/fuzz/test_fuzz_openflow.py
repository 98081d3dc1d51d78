"""Whatever a peer sends by OpenFlow: no hang, no growth, and everybody else is served on time.

L2ISO_FUZZ_SECONDS makes it long, L2ISO_FUZZ_SEED chooses another run.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, Callable, TypeVar

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from ryu_l2iso.framework import NAME, ofproto_v1_4, ofproto_v1_4_parser
from ryu_l2iso.openflow import inspection, wire
from ryu_l2iso.openflow.flow_entry import as_packed
from ryu_l2iso.openflow.framing import MULTIPART_REPLY, PORT_STATUS, WireError
from ryu_l2iso.openflow.packet_in import read_packet_in
from ryu_l2iso.openflow.ports import unpack_port_status
from ryu_l2iso.pipelines.table import COOKIE_MAGIC
from tests.functional.controller import Controller
from tests.functional.fake_switch import (
    BARRIER_REPLY,
    BUNDLE_CONTROL,
    ECHO_REPLY,
    ECHO_REQUEST,
    ERROR,
    FEATURES_REQUEST,
    FLOW_STATS,
    GROUP_DESC,
    HELLO,
    METER_CONFIG,
    MULTIPART_REQUEST,
    PORT_DESC,
    FakeSwitch,
    features,
    message,
    multipart,
    packet_in,
    port,
    port_status,
)
from tests.functional.hostile import ON_TIME, memory, others_served
from tests.functional.openflow_corpus import ACCEPTED, CASES
from tests.fuzz.mutations import mutated, with_length

PARSER: Any = importlib.import_module(f"{NAME}.ofproto.ofproto_parser")

SECONDS = float(os.environ.get("L2ISO_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("L2ISO_FUZZ_SEED", "1"))

MAX_GROWTH = 10
"""MB by which the controller may grow, however long it is fuzzed: a connection leaves nothing."""

DPIDS = itertools.count(0x2000)

GROUP = struct.pack("!HBxI", 40, 0, 7) + struct.pack("!HHII4x", 32, 0, 0xFFFFFFFF, 0xFFFFFFFF)
GROUP += struct.pack("!HHIH6x", 0, 16, 1, 0)
METER = struct.pack("!HHI", 24, 6, 1) + struct.pack("!HHII4x", 1, 16, 10, 10)
FLOW = struct.pack("!HBxIIHHHHH2xQQQ", 80, 0, 0, 0, 10, 0, 0, 0, 0, 0x4C32 << 48, 0, 0)
FLOW += struct.pack("!HHHBBI4x", 1, 12, 0x8000, 0, 4, 1) + struct.pack("!HHB3x", 1, 8, 1)
FLOW = struct.pack("!H", len(FLOW)) + FLOW[2:]
PROPERTY = struct.pack("!HHIIIIIII", 0, 32, 0, 0, 0, 0, 0, 0, 0)

VALID = (
    message(HELLO, struct.pack("!HHI", 1, 8, 0x20)),
    message(ECHO_REQUEST, b"abc"),
    message(ECHO_REPLY, b"abc"),
    message(ERROR, struct.pack("!HH", 1, 1) + bytes(64)),
    features(5),
    multipart(PORT_DESC, port(1, b"vm1", PROPERTY) + port(2, b"vm2", PROPERTY)),
    port_status(port(3, b"vm3", PROPERTY)),
    packet_in(1),
    packet_in(1, cookie=COOKIE_MAGIC),
    packet_in(1, oxm=struct.pack("!HBBIHBBQ", 0x8000, 0, 4, 1, 0x8000, 4, 8, 9)),
    message(BARRIER_REPLY),
    message(BUNDLE_CONTROL, struct.pack("!IHH", 1, 5, 3)),
    multipart(FLOW_STATS, FLOW * 3),
    multipart(GROUP_DESC, GROUP * 2),
    multipart(METER_CONFIG, METER * 2),
    message(4, struct.pack("!II", 0x2320, 1)),
    message(14, bytes(48)),
)
ANSWERS = {1: FLOW * 3, 7: GROUP * 2, 10: METER * 2}
"""Type of a multipart request → what a switch might answer."""

MESSAGES = st.one_of(
    st.sampled_from(VALID).flatmap(mutated),
    st.sampled_from(VALID).flatmap(mutated).map(with_length),
    st.sampled_from([case.data for case in (*CASES, *ACCEPTED)]),
    st.binary(max_size=200),
)


Test = TypeVar("Test", bound=Callable[..., None])


def fuzzed(examples: int) -> Callable[[Test], Test]:
    """Decorate a test to run for some examples, or for as long as was asked for."""
    runs = settings(
        max_examples=10**9 if SECONDS else examples,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Test) -> Test:
        return seed(SEED)(runs(test))

    return decorate


class TimeIsUp(BaseException):
    """Ends a long run; a pass."""


def check_time(begun: float) -> None:
    if SECONDS and time.monotonic() - begun > SECONDS / 2:
        raise TimeIsUp


class NoDatapath:
    """What the framework's parser wants to know of a datapath."""

    ofproto, ofproto_parser = ofproto_v1_4, ofproto_v1_4_parser


def framework_takes(buf: bytes) -> None:
    """Parse as the framework does; it logs what it cannot parse, and returns None."""
    header = inspection.read_header(buf, 0)
    assert header.length == len(buf)
    assert PARSER.msg(NoDatapath, *header, buf) is not None


def inspect(buf: bytes) -> None:
    """Do with one whole message what a connection does."""
    kind = inspection.read_header(buf, 0).kind
    if kind == inspection.HELLO and inspection.speaks(buf):
        framework_takes(inspection.plain_hello(buf))
    elif kind == inspection.FEATURES_REPLY:
        inspection.dpid_of(buf)
        framework_takes(buf)
    elif kind == PORT_STATUS:
        unpack_port_status(buf)
        framework_takes(inspection.plain_port_status(buf))
    elif kind == inspection.PACKET_IN:
        if inspection.is_ours(buf):
            read_packet_in(7, buf)
        elif (plain := inspection.plain_packet_in(buf)) is not None:
            framework_takes(plain)
    elif kind == MULTIPART_REPLY and buf[8:10] == b"\0\x0d":
        framework_takes(inspection.plain_ports(buf).buf)
    elif kind in inspection.REPLIES:
        for unpack in (
            wire.unpack_error,
            wire.unpack_bundle_control,
            lambda reply: list(map(as_packed, wire.unpack_flow_stats(reply)[0])),
            wire.unpack_group_desc,
            wire.unpack_meter_config,
            wire.unpack_aggregate,
        ):
            with contextlib.suppress(WireError):
                unpack(buf)


def test_what_is_let_through_the_framework_can_parse() -> None:
    begun = time.monotonic()

    @fuzzed(1500)
    @given(MESSAGES)
    def run(buf: bytes) -> None:
        check_time(begun)
        if len(buf) < 8:
            return
        with contextlib.suppress(WireError):
            if inspection.read_header(buf, 0).length == len(buf):
                inspect(buf)

    with contextlib.suppress(TimeIsUp):
        run()


@pytest.fixture
def controller() -> Iterator[Controller]:
    """Return a controller; others are served on time meanwhile, and it does not grow."""
    with Controller("--isolation", "gre") as running:
        running.wait_for_log("REST server listens")
        with others_served(running):
            yield running
        assert "Traceback" not in running.log()


STAGES = st.sampled_from(("nothing", "HELLO", "features", "connected", "asked"))


def say(switch: FakeSwitch, stage: str, parts: list[bytes]) -> None:
    """Bring the handshake so far, then say ``parts``; answers get the xid of the question."""
    if stage in ("HELLO", "features"):
        switch.send(message(HELLO))
        xid, _ = switch.expect(FEATURES_REQUEST)
        if stage == "features":
            switch.send(features(next(DPIDS), xid))
            switch.expect(MULTIPART_REQUEST)
    elif stage != "nothing":
        switch.connect_as(next(DPIDS), port(1))
    if stage == "asked":
        xid, body = switch.expect(MULTIPART_REQUEST)
        assert struct.unpack_from("!H", body)[0] == FLOW_STATS
        parts = [part[:4] + struct.pack("!I", xid) + part[8:] for part in parts]
    switch.send(b"".join(parts))


def test_a_controller_outlives_every_peer(controller: Controller) -> None:
    begun = time.monotonic()
    grown: list[float] = []

    @fuzzed(150)
    @given(STAGES, st.lists(MESSAGES, min_size=1, max_size=3))
    def run(stage: str, parts: list[bytes]) -> None:
        check_time(begun)
        with FakeSwitch(controller.openflow_port) as switch:
            try:
                say(switch, stage, parts)
                switch.sock.shutdown(socket.SHUT_WR)
                switch.expect_close(ON_TIME)
            except socket.timeout:
                raise AssertionError("the connection stays") from None
            except OSError:
                pass
        grown.append(memory(controller))

    with contextlib.suppress(TimeIsUp):
        run()
    # The first ones pay for what is made once.
    assert max(grown) - grown[min(20, len(grown) - 1)] < MAX_GROWTH
