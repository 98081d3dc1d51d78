"""Peers that break OpenFlow, or stop speaking it, cost nobody but themselves."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional import openflow_corpus as corpus
from tests.functional.controller import Controller
from tests.functional.fake_switch import (
    ECHO_REQUEST,
    ERROR,
    FEATURES_REPLY,
    FEATURES_REQUEST,
    FLOW_STATS,
    HELLO,
    MULTIPART_REQUEST,
    PORT_DESC,
    FakeSwitch,
    features,
    message,
    multipart,
    port,
)
from tests.functional.hostile import ON_TIME, cpu_seconds, memory, others_served
from tests.functional.openflow_corpus import ASKED_FLOWS, CONNECTED, GREETED, Case
from tests.functional.ovs import OVS, wait_until

HANDSHAKE, SILENCE = 1.0, 2.0
"""Seconds: ``openflow_handshake_timeout`` and ``openflow_timeout`` of the controller here."""

MOST, MOST_OF_ONE = 40, 30

CROWD = 5000 if "L2ISO_FUZZ_SECONDS" in os.environ else 1000

BREAKS = "it breaks the protocol"

DPIDS = itertools.count(0x1000)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """Return a controller that waits shorter, and takes fewer, than by default.

    Whatever the tests do to it, in the end others must have been served on time.
    """
    options = {
        "openflow_handshake_timeout": HANDSHAKE,
        "openflow_timeout": SILENCE,
        "openflow_max_connections": MOST,
        "openflow_max_per_address": MOST_OF_ONE,
    }
    with running(tmp_path_factory.mktemp("hostile"), options) as made, others_served(made):
        yield made


@contextlib.contextmanager
def running(folder: Path, options: dict[str, float]) -> Iterator[Controller]:
    """Run a controller with these options of ``[l2iso]``."""
    path = folder / "hostile.conf"
    path.write_text("[l2iso]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    arguments = ("--config-file", str(path), "--ofp-listen-host", "0.0.0.0", "--isolation", "gre")
    with Controller(options=arguments) as controller:
        controller.wait_for_log("REST server listens")
        yield controller


def bring(controller: Controller, after: str) -> FakeSwitch:
    """Return a connection on which so much has been said."""
    switch = FakeSwitch(controller.openflow_port)
    if after == GREETED:
        switch.send(message(HELLO))
        switch.expect(FEATURES_REQUEST)
    elif after in (CONNECTED, ASKED_FLOWS):
        switch.connect_as(next(DPIDS))
    return switch


def asked(switch: FakeSwitch, kind: int) -> int:
    """Answer until a multipart request of a type comes; return its xid."""
    while True:
        xid, body = switch.expect(MULTIPART_REQUEST)
        if struct.unpack_from("!H", body)[0] == kind:
            return xid
        switch.answer(MULTIPART_REQUEST, xid, body)


def with_xid(data: bytes, xid: int) -> bytes:
    return data[:4] + struct.pack("!I", xid) + data[8:]


def test_the_hello_that_stopped_everything(controller: Controller) -> None:
    first = corpus.CASES[0]
    assert len(first.data) == 16
    with bring(controller, CONNECTED) as well, FakeSwitch(controller.openflow_port) as bad:
        bad.send(first.data)
        bad.expect_close(ON_TIME)
        assert well.echo(ON_TIME) < ON_TIME
        begun = time.monotonic()
        assert controller.request("GET", "/v1.0/networks")[0] == 200
        assert time.monotonic() - begun < ON_TIME
    assert f"{BREAKS}: a HELLO element of 0 bytes" in controller.log()


def test_what_breaks_the_protocol_ends_its_connection_alone(controller: Controller) -> None:
    for case in corpus.CASES:
        with bring(controller, case.after) as bad:
            xid = asked(bad, FLOW_STATS) if case.after == ASKED_FLOWS else 1
            bad.send(with_xid(case.data, xid) if case.after == ASKED_FLOWS else case.data)
            try:
                bad.expect_close(ON_TIME)
            except socket.timeout:
                pytest.fail(f"{case.what}: the connection stays")
    assert "Traceback" not in controller.log()


@pytest.mark.parametrize(
    "reply",
    [
        corpus.GROUP_OF_LENGTH_0,
        corpus.METER_OF_LENGTH_0,
        corpus.BUCKET_OF_LENGTH_0,
        corpus.BAND_OF_LENGTH_0,
    ],
)
def test_replies_of_length_0(controller: Controller, reply: bytes) -> None:
    with bring(controller, CONNECTED) as bad:
        bad.send(with_xid(reply, asked(bad, struct.unpack_from("!H", reply, 8)[0])))
        bad.expect_close(ON_TIME)


@pytest.mark.parametrize("case", corpus.ACCEPTED, ids=lambda case: case.what)
def test_what_is_odd_and_harmless_is_taken(controller: Controller, case: Case) -> None:
    with bring(controller, CONNECTED) as odd:
        odd.send(case.data)
        assert odd.echo() < ON_TIME
    assert "Traceback" not in controller.log()


@pytest.mark.parametrize(
    "hello",
    [
        message(HELLO, version=4),
        message(HELLO, version=1),
        message(HELLO, struct.pack("!HHI", 1, 8, 1 << 1 | 1 << 4), version=4),
        message(HELLO, struct.pack("!HHI", 1, 8, 1 << 6), version=6),
    ],
)
def test_a_switch_without_openflow_1_4_is_told_so(controller: Controller, hello: bytes) -> None:
    with FakeSwitch(controller.openflow_port) as old:
        old.send(hello)
        kind, _, body = old.receive() or (None, None, b"")
        assert (kind, body) == (HELLO, b"")
        kind, _, body = old.receive() or (None, None, b"")
        assert (kind, body[:4]) == (ERROR, bytes(4))
        old.expect_close(ON_TIME)
    controller.wait_for_log("it does not speak OpenFlow 1.4")


@pytest.mark.parametrize(
    "hello",
    [
        message(HELLO, version=6),
        message(HELLO, struct.pack("!HHI", 1, 8, 1 << 5 | 1 << 4), version=4),
        message(HELLO, struct.pack("!HH4x", 9, 8) + struct.pack("!HHI", 1, 8, 1 << 5)),
        # Padded to 8 bytes: who does not skip that finds an element of length 0.
        message(HELLO, struct.pack("!HHB3x", 9, 5, 0) + struct.pack("!HHI", 1, 8, 1 << 5)),
    ],
)
def test_a_switch_that_has_1_4_too_is_taken(controller: Controller, hello: bytes) -> None:
    with FakeSwitch(controller.openflow_port) as switch:
        switch.send(hello)
        switch.expect(FEATURES_REQUEST)


def test_who_does_not_say_who_he_is_has_a_deadline(controller: Controller) -> None:
    with contextlib.ExitStack() as stack:
        begun = time.monotonic()
        for said in (b"", message(HELLO), message(HELLO)[:5]):
            silent = stack.enter_context(FakeSwitch(controller.openflow_port))
            silent.send(said)
        silent.expect_close()
        assert HANDSHAKE * 0.9 < time.monotonic() - begun < HANDSHAKE + ON_TIME


def test_a_byte_at_a_time_has_the_same_deadline(controller: Controller) -> None:
    with FakeSwitch(controller.openflow_port) as slow:
        begun = time.monotonic()
        with pytest.raises(OSError):
            for byte in message(HELLO, bytes(1000)):
                slow.send(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - begun < HANDSHAKE + ON_TIME


def test_a_dead_peer_is_noticed(controller: Controller) -> None:
    with bring(controller, CONNECTED) as dead:
        begun = time.monotonic()
        dead.expect_close()
        assert SILENCE * 0.9 < time.monotonic() - begun < SILENCE * 1.5 + ON_TIME
    controller.wait_for_log("it answers no echo requests")


def test_who_reads_nothing_is_closed(controller: Controller) -> None:
    with bring(controller, CONNECTED) as deaf:
        deaf.sock.settimeout(ON_TIME)
        before = memory(controller)
        with pytest.raises(OSError):
            for _ in range(1000):
                deaf.send(message(ECHO_REQUEST, bytes(4000)) * 16)
        assert memory(controller) - before < 30
    with bring(controller, CONNECTED) as well:
        assert well.echo() < ON_TIME


def test_floods_hold_up_nobody(controller: Controller) -> None:
    with contextlib.ExitStack() as stack:
        switches = [stack.enter_context(bring(controller, CONNECTED)) for _ in range(4)]
        flood = message(4, bytes(65527)) + message(ERROR, bytes(65000)) + message(ERROR, bytes(12))
        flood += message(4, bytes(8)) * 2000
        for switch in switches:
            switch.send(flood)
        end = time.monotonic() + 1
        # On a busy machine that takes so long that one without an answer to echoes is closed.
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                for switch in switches:
                    switch.send(flood)


def test_there_is_room_for_who_says_who_he_is(controller: Controller) -> None:
    """Thousands of connections from one address that say nothing, and stay."""
    address = ("127.0.0.1", controller.openflow_port)
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD // 500):
            for _ in range(500):
                stack.enter_context(socket.create_connection(address, ON_TIME))
            with bring(controller, CONNECTED) as well:
                assert well.echo() < ON_TIME


def test_connections_of_one_address_and_of_all_are_limited(controller: Controller) -> None:
    def open_ones(host: str) -> list[FakeSwitch]:
        made = []
        for _ in range(MOST_OF_ONE):
            switch = stack.enter_context(FakeSwitch(controller.openflow_port, host))
            try:
                made.append(switch.connect_as(next(DPIDS)).behave())
            except (AssertionError, OSError):
                break
        return made

    with contextlib.ExitStack() as stack:
        first = open_ones("127.0.0.2")
        assert len(first) == MOST_OF_ONE
        with FakeSwitch(controller.openflow_port, "127.0.0.2") as one_more:
            one_more.expect_close(ON_TIME)
        others = open_ones("127.0.0.3")
        # The well-behaved switch is one of them too.
        assert len(others) == MOST - MOST_OF_ONE - 1
    controller.wait_for_log("there are as many connections as there may be")
    wait_until(lambda: has_room(controller), "the connections to be over")


def has_room(controller: Controller) -> bool:
    """Tell whether one more switch is taken."""
    try:
        with bring(controller, CONNECTED):
            return True
    except (AssertionError, OSError):
        return False


def test_the_first_who_is_a_switch_stays(controller: Controller) -> None:
    dpid = next(DPIDS)
    with bring_as(controller, dpid).behave(), contextlib.ExitStack() as stack:
        for _ in range(3):
            second = stack.enter_context(FakeSwitch(controller.openflow_port))
            second.send(message(HELLO))
            second.expect(FEATURES_REQUEST)
            second.send(features(dpid))
            second.expect_close(ON_TIME)
    text = f"switch {dpid:016x} is connected from 127.0.0.1 already"
    controller.wait_for_log(text)
    lines = controller.log().splitlines()
    assert sum(f"refused: {text}" in line for line in lines) == 1
    assert sum(f'OpenFlow: {text}", "result": "refused"' in line for line in lines) == 1


def bring_as(controller: Controller, dpid: int) -> FakeSwitch:
    return FakeSwitch(controller.openflow_port).connect_as(dpid)


def test_a_first_that_is_dead_makes_room_at_once(controller: Controller) -> None:
    dpid = next(DPIDS)
    with bring_as(controller, dpid) as dead, FakeSwitch(controller.openflow_port) as rebooted:
        begun = time.monotonic()
        rebooted.connect_as(dpid)
        assert time.monotonic() - begun < 2 + ON_TIME
        asked(rebooted, FLOW_STATS)
        dead.expect_close(ON_TIME)


def test_ovs_with_two_addresses_of_ours_keeps_the_first(controller: Controller, ovs: OVS) -> None:
    dpid = next(DPIDS)
    first, second = (
        f"tcp:{host}:{controller.openflow_port}" for host in ("127.0.0.1", "127.0.0.4")
    )
    refusal = f"refused: switch {dpid:016x} is connected from 127.0.0.1 already"
    synced = f"switch {dpid:016x}: full sync"
    ovs.add_bridge("br0", dpid, first)
    controller.wait_for_log(synced)
    ovs.vsctl("set-controller", "br0", first, second)
    controller.wait_for_log(refusal)
    assert controller.log().count(synced) == 1
    # The second is tried again and again, and taken as soon as the first is gone.
    ovs.vsctl("set-controller", "br0", second)
    wait_until(lambda: controller.log().count(synced) == 2, "the second to be taken")
    assert controller.log().count(refusal) == 1


def test_ports_without_end_are_too_many(controller: Controller) -> None:
    with FakeSwitch(controller.openflow_port) as switch:
        switch.send(message(HELLO))
        switch.send(features(next(DPIDS), switch.expect(FEATURES_REQUEST)[0]))
        xid, _ = switch.expect(MULTIPART_REQUEST)
        numbers = iter(range(1, 20000))
        with contextlib.suppress(OSError):
            for _ in range(20):
                ports = b"".join(port(number) for number in itertools.islice(numbers, 1000))
                switch.send(multipart(PORT_DESC, ports, xid, more=True))
        switch.expect_close(ON_TIME)
    controller.wait_for_log("it has more than 8192 ports")


def test_switches_that_nobody_registered_leave_nothing_behind(controller: Controller) -> None:
    ports = b"".join(port(number, b"tap%d" % number) for number in range(1, 500))

    def come_and_go(count: int) -> float:
        for _ in range(count):
            with FakeSwitch(controller.openflow_port).connect_as(next(DPIDS), ports) as switch:
                asked(switch, FLOW_STATS)
        return memory(controller)

    before = come_and_go(20)
    assert come_and_go(60) - before < 10


def test_features_may_come_again(controller: Controller) -> None:
    with bring(controller, CONNECTED) as switch:
        switch.send(message(FEATURES_REPLY, bytes(24)))
        assert switch.echo() < ON_TIME


def test_no_more_descriptors(tmp_path: Path) -> None:
    """New connections wait or make room, the controller does not spin, and it goes on after."""
    options = {"openflow_handshake_timeout": 60.0, "openflow_max_per_address": 2000}
    with running(tmp_path, options) as controller, contextlib.ExitStack() as stack:
        well = stack.enter_context(bring(controller, CONNECTED)).behave()
        pid = controller.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = len(os.listdir(f"/proc/{pid}/fd")) + 10
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, limits[1]))
        for _ in range(60):
            stack.enter_context(FakeSwitch(controller.openflow_port))
        controller.wait_for_log("Too many open files")
        before = cpu_seconds(pid)
        time.sleep(1)
        assert cpu_seconds(pid) - before < 0.3
        with bring(controller, CONNECTED) as late:
            assert late.echo() < ON_TIME
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert well.sock.fileno() != -1
        assert controller.request("GET", "/v1.0/networks")[0] == 200
        assert controller.log().count("Too many open files") <= 2
