"""What the controller was told outlives it: restarts, kills, disks that fail, bad files."""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Callable

import pytest

from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.records import (
    INTERFACE_VALUES,
    INTERFACES,
    KEYS,
    NETWORKS,
    OF_PORTS,
    SWITCH_VALUES,
    SWITCHES,
    Record,
)
from ryu_l2iso.state.switches import TUNNEL_ADDR
from ryu_l2iso.store.sqlite import SqliteStore
from tests.functional.controller import Controller
from tests.functional.ovs import DEADLINE, OVS, wait_until

SUITE = ("quantum_adapter", "tunnel_port_updater", "gre_tunnel", "rest")
ROUNDS = int(os.environ.get("L2ISO_KILLS", "3"))
"""How often the controller is killed in the middle of a storm."""
DPID = "00000000000000a1"

WRITES = {
    "/v1.0/networks/red": None,
    "/v1.0/tunnels/networks/red/key/42": None,
    "/v1.0/quantum/ports/i1/keys/network_id/red": None,
    f"/v1.0/conf/switches/{DPID}/ovs_tunnel_addr": '"192.0.2.1"',
    f"/v1.0/conf/switches/{DPID}/rack": '{"row": [1, null]}',
    f"/v1.0/networks/red/{DPID}_7": None,
    f"/v1.0/networks/red/{DPID}_7/macs/02:00:00:00:00:07": None,
    f"/v1.0/tunnels/switches/{DPID}/ports/9/00000000000000a2": None,
}
"""path → body of a PUT: one of each that the API has."""

READS = {
    "/v1.0/tunnels/networks/red/key": 42,
    "/v1.0/quantum/ports/i1/keys/network_id": "red",
    f"/v1.0/conf/switches/{DPID}/ovs_tunnel_addr": "192.0.2.1",
    f"/v1.0/conf/switches/{DPID}/rack": {"row": [1, None]},
    "/v1.0/networks/red": [[0xA1, 7]],
    f"/v1.0/networks/red/{DPID}_7/macs": ["02:00:00:00:00:07"],
    f"/v1.0/tunnels/switches/{DPID}/ports/9": "00000000000000a2",
}
"""path → what a GET gives then."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the controllers of a test keep their state."""
    return tmp_path / "state.db"


def put(controller: Controller, path: str, body: str | None = None) -> int:
    """Send a PUT; return the status."""
    return controller.request("PUT", path, body)[0]


def read(controller: Controller, path: str) -> object:
    """Return the value of a resource."""
    status, body = controller.request("GET", path)
    assert status == 200, (path, status, body)
    value: object = json.loads(body)
    return value


def listening(path: Path, *apps: str) -> Controller:
    """Return a controller that listens; the caller enters it."""
    controller = Controller(*(apps or SUITE), connection=path)
    try:
        controller.wait_until_listening()
        controller.wait_for_log("REST server listens")
    except BaseException:
        controller.__exit__(None, None, None)
        raise
    return controller


def put_each(controller: Controller) -> None:
    """Make each of `WRITES` by a request of its own."""
    for place, body in WRITES.items():
        assert 200 <= put(controller, place, body) < 300, place


def put_all(controller: Controller) -> None:
    """Make all of `WRITES` in one request."""
    orders = [
        {"method": "PUT", "path": path, **({} if body is None else {"body": json.loads(body)})}
        for path, body in WRITES.items()
    ]
    status, told = controller.request("POST", "/v1.0/batch", json.dumps(orders))
    assert status == 200, told
    assert all(200 <= one["code"] < 300 for one in json.loads(told)), told


@pytest.mark.parametrize("write", [put_each, put_all])
def test_what_was_registered_is_there_after_a_restart(
    path: Path, write: Callable[[Controller], None]
) -> None:
    with listening(path) as controller:
        write(controller)
        controller.end(signal.SIGKILL)
    with listening(path) as controller:
        assert {place: read(controller, place) for place in READS} == READS
        for place in ("quantum/ports/i1", f"conf/switches/{DPID}", "networks/red"):
            assert 200 <= controller.request("DELETE", f"/v1.0/{place}")[0] < 300
        assert controller.end(signal.SIGTERM)[0] == 0
    with listening(path) as controller:
        assert "red" not in str(read(controller, "/v1.0/networks"))
        assert read(controller, "/v1.0/quantum/ports") == []
        assert read(controller, "/v1.0/conf/switches") == []
        assert read(controller, "/v1.0/tunnels/networks/red/key") == 42, "keys outlive networks"


def test_what_was_known_of_a_switch_goes_when_its_bridge_was_read(path: Path, ovs: OVS) -> None:
    """Not before: neither by the restart nor by an OVSDB server that has no such bridge."""
    add = ("add-br", "br0", "--", "set", "bridge", "br0", f"other_config:datapath-id={DPID}")
    ovs.vsctl(*add)
    with listening(path) as controller:
        put(controller, "/v1.0/networks/red")
        put(controller, "/v1.0/tunnels/networks/red/key/42")
        put(controller, "/v1.0/quantum/ports/i1/keys/network_id/red")
        put(controller, f"/v1.0/conf/switches/{DPID}/ovs_tunnel_addr", '"192.0.2.1"')
        put(controller, f"/v1.0/conf/switches/{DPID}/ovsdb_addr", json.dumps(ovs.db_address))
        mac = 'external_ids:attached-mac="02:00:00:00:00:01"'
        ovs.add_port("br0", "vm1", "external_ids:iface-id=i1", mac)
        wait_until(lambda: any("dl_src=02" in f for f in ovs.flows("br0")), "the VM's flows")
        known = read(controller, "/v1.0/quantum/ports/i1/keys/ports")
        wait_until(lambda: "vm1" in interfaces_in(path), "what OVSDB says to be on disk")
        controller.end(signal.SIGKILL)
    ovs.vsctl("del-br", "br0")
    with listening(path) as controller:
        controller.wait_for_log("there is no such bridge")
        assert read(controller, "/v1.0/quantum/ports/i1/keys/ports") == known != []
        ovs.vsctl(*add)
        wait_until(
            lambda: read(controller, "/v1.0/quantum/ports/i1/keys") == ["network_id"],
            "the port to be forgotten",
        )
        wait_until(lambda: "vm1" not in interfaces_in(path), "its interface to be forgotten")


def interfaces_in(path: Path) -> set[str]:
    """Return the names of the interfaces that are on disk."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM interfaces")}


# -- killed in the middle of a storm ---------------------------------------------------------------


class Plugin(threading.Thread):
    """Registers and deletes networks of its own until nobody answers, and notes what was answered.

    ``acknowledged``: network → whether it exists, as the last answer said; ``unknown`` is the one
    whose last request was not answered; ``answers`` counts.
    """

    def __init__(self, port: int, name: str, acknowledged: dict[str, bool]) -> None:
        super().__init__(daemon=True)
        self.acknowledged = {n: there for n, there in acknowledged.items() if n.startswith(name)}
        self.unknown = ""
        self.answers = 0
        self._port = port
        self._prefix = name
        self._random = random.Random(name)

    def run(self) -> None:
        """Send one request after the other by one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            while True:
                self._step(connection)

    def _step(self, connection: http.client.HTTPConnection) -> None:
        name = f"{self._prefix}{self._random.randrange(40)}"
        there = self.acknowledged.get(name, False)
        self.unknown = name
        connection.request("DELETE" if there else "POST", f"/v1.0/networks/{name}")
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        self.acknowledged[name] = not there
        self.unknown = ""
        self.answers += 1


def test_what_was_answered_outlives_a_kill_in_the_middle_of_a_storm(path: Path) -> None:
    acknowledged: dict[str, bool] = {}
    for round_ in range(ROUNDS):
        with listening(path) as controller:
            check_acknowledged(controller, acknowledged)
            names = [f"{letter}-" for letter in "abcdefgh"]
            plugins = [Plugin(controller.rest_port, name, acknowledged) for name in names]
            for plugin in plugins:
                plugin.start()
            enough = 60 + 10 * round_
            wait_until(
                lambda plugins=plugins, enough=enough: sum(p.answers for p in plugins) > enough,  # type: ignore[misc]
                f"{enough} answers",
            )
            controller.end(signal.SIGKILL)
            for plugin in plugins:
                plugin.join(DEADLINE)
                assert not plugin.is_alive()
                acknowledged.update(plugin.acknowledged)
                acknowledged.pop(plugin.unknown, None)
    with listening(path) as controller:
        check_acknowledged(controller, acknowledged)


def check_acknowledged(controller: Controller, acknowledged: dict[str, bool]) -> None:
    """Assert that all is as it was answered; what was not answered counts from now on."""
    names = read(controller, "/v1.0/networks")
    assert isinstance(names, list)
    wrong = {n: there for n, there in acknowledged.items() if (n in names) != there}
    assert not wrong
    acknowledged.update({name: True for name in names if not name.startswith("__")})


# -- a disk that fails -----------------------------------------------------------------------------


def test_a_disk_that_is_full_is_told_and_heals(path: Path) -> None:
    with listening(path) as controller:
        for number in range(30):
            assert put(controller, f"/v1.0/networks/before{number}") == 200
        before = read(controller, "/v1.0/networks")
        used = path.with_name("state.db-wal").stat().st_size
        limits = resource.prlimit(controller.process.pid, resource.RLIMIT_FSIZE)
        # Nothing can be written beyond this size of any file, as if the disk were full.
        resource.prlimit(controller.process.pid, resource.RLIMIT_FSIZE, (used, limits[1]))
        for attempt in range(3):
            status, body = controller.request("POST", "/v1.0/networks/late")
            assert (status, attempt) == (503, attempt)
            assert "cannot be kept" in json.loads(body)["error"]["message"]
            status = put(controller, f"/v1.0/conf/switches/{DPID}/{TUNNEL_ADDR}", '"192.0.2.1"')
            assert status == 503
        assert read(controller, "/v1.0/networks") == before
        assert read(controller, "/v1.0/conf/switches") == []
        resource.prlimit(controller.process.pid, resource.RLIMIT_FSIZE, limits)
        assert controller.request("POST", "/v1.0/networks/late")[0] == 200
        controller.wait_for_log("what changed is written again")
        assert controller.log().count("what changed is not kept") == 1
        after = read(controller, "/v1.0/networks")
        controller.end(signal.SIGKILL)
    with listening(path) as controller:
        assert read(controller, "/v1.0/networks") == after
        assert read(controller, "/v1.0/conf/switches") == []


# -- files that cannot be used ---------------------------------------------------------------------


def refused(path: Path, *options: str) -> tuple[int, str]:
    """Start a controller that refuses; return status and what it printed."""
    with Controller(*SUITE, connection=path, options=options) as controller:
        return controller.process.wait(DEADLINE), controller.log()


def test_a_damaged_file_is_refused_in_one_line_and_stays_as_it_is(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    before = path.read_bytes()
    status, log = refused(path)
    assert status == 2, "systemd does not try again"
    last = log.strip().splitlines()[-1]
    assert last.startswith(f"l2iso-manager: error: connection: {path} is damaged: ")
    assert path.read_bytes() == before


def test_a_file_that_another_controller_uses_is_refused(path: Path) -> None:
    with listening(path) as controller:
        status, log = refused(path)
        assert status == 1, "systemd tries again: the other may be about to end"
        assert "another controller uses" in log.strip().splitlines()[-1]
        assert put(controller, "/v1.0/networks/red") == 200


# -- speed -----------------------------------------------------------------------------------------


def large(networks: int, interfaces: int, switches: int, ports: int) -> Iterator[Record]:
    """Yield the records of a large cloud."""
    for n in range(networks):
        yield Record(NETWORKS, (_uuid(n),), ())
        yield Record(KEYS, (_uuid(n),), (n + 1,))
    for i in range(interfaces):
        yield Record(INTERFACE_VALUES, (_uuid(i), NETWORK_ID), (_uuid(i % networks),))
    for dpid in range(1, switches + 1):
        address = json.dumps(f"10.1.{dpid // 256}.{dpid % 256}")
        yield Record(SWITCHES, (dpid,), ())
        yield Record(SWITCH_VALUES, (dpid, TUNNEL_ADDR), (address,))
    for p in range(ports):
        dpid, port_no = p % switches + 1, p // switches + 1
        mac = f"fa:16:3e:{p >> 16:02x}:{p >> 8 & 255:02x}:{p & 255:02x}"
        yield Record(INTERFACES, (dpid, f"tap{p}"), (port_no, _uuid(p), mac, None, None))
        yield Record(OF_PORTS, (dpid, port_no), (f"tap{p}", 1, p + 1, 0))


def _uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


@pytest.mark.parametrize(("switches", "ports", "bound"), [(0, 0, 3.0), (500, 20_000, 3.5)])
def test_a_start_with_a_large_file_is_fast(
    path: Path, switches: int, ports: int, bound: float
) -> None:
    """``bound`` is in times of what Python alone takes to read the same as text, four times.

    Of the processor, just before or just after: what slows the controller down slows that down.
    """
    records = list(large(5000, 50_000, switches, ports))
    with closing(SqliteStore(str(path))) as store:
        store.load()
        store.apply(records)
    before = seconds_to_read(records)
    start = time.monotonic()
    with listening(path) as controller:
        wall = time.monotonic() - start
        used = processor_seconds(controller.process.pid)
        unit = max(before, seconds_to_read(records))
        print(f"{len(records)} records: {wall:.1f} s, of the processor {used:.1f}, unit {unit:.2f}")
        assert used < bound * unit
        assert len(str(read(controller, f"/v1.0/quantum/ports/{_uuid(7)}/keys"))) > 10


def seconds_to_read(records: Sequence[Record]) -> float:
    """Return the processor time in which another Python reads records from text four times."""
    text = json.dumps([[record.table.name, record.key, record.value] for record in records])
    read_all = (
        "import json, sys; text = sys.stdin.read()\n"
        "for _ in range(4): {(t, *key): tuple(v) for t, key, v in json.loads(text)}"
    )
    before = seconds_of_children()
    subprocess.run([sys.executable, "-c", read_all], input=text.encode(), check=True)
    return seconds_of_children() - before


def seconds_of_children() -> float:
    """Return the processor time of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def processor_seconds(pid: int) -> float:
    """Return what a process has used of processors so far, in seconds (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
