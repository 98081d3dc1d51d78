"""The replica of one server keeps what the server has, and nothing of what it had."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_l2iso.ovsdb.reader import BridgeReader
from ryu_l2iso.ovsdb.replica import Replica
from tests.functional.fake_ovsdb import changed, ports, uuid_of

GONE = {"delete": None}


class Server:
    """A replica without a connection, and the updates of its server."""

    def __init__(self) -> None:
        self.reader = BridgeReader("br0")
        self.replica = Replica("unix:/nowhere", self.reader, 8.0)

    def tell(self, update: dict[str, Any]) -> None:
        self.replica._update([update])

    def has(self, *names: str) -> dict[str, dict[str, Any]]:
        """Have these ports, each with an interface."""
        tables = ports(*names)
        self.tell(changed("initial", tables))
        assert [*self.reader.read(self.replica.tables)[1]] == [*names]
        return tables


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_row_is_found_by_its_name_as_long_as_it_is_there(server: Server) -> None:
    port, other = uuid_of("port vm1"), uuid_of("another")
    server.has("vm1")
    row = server.replica.find("Port", "vm1")
    assert row is not None and row["_uuid"] == port
    new = changed("insert", {"Port": {other: {"name": "vm1"}}})
    new["Port"][port] = GONE
    server.tell(new)
    row = server.replica.find("Port", "vm1")
    assert row is not None and row["_uuid"] == other
    server.tell({"Port": {other: GONE}})
    assert server.replica.find("Port", "vm1") is None


def test_nothing_is_kept_of_rows_that_are_gone(server: Server) -> None:
    """A server could fill the memory with what it has no more, or never had."""
    server.has("vm1")
    kept = [dict(server.replica._named["Port"]), dict(server.replica._named["Interface"])]
    interfaces = dict(server.reader._port_of)
    for number in range(20):
        uuid, nowhere = uuid_of(f"row {number}"), uuid_of(f"nowhere {number}")
        rows = changed("insert", {table: {uuid: {"name": uuid}} for table in server.replica._named})
        server.tell({**rows, **changed("modify", {"Bridge": {uuid_of("bridge"): {}}})})
        server.tell({table: {uuid: GONE} for table in server.replica._named})
        more = {"interfaces": ["uuid", nowhere]}
        server.tell(changed("modify", {"Port": {uuid_of("port vm1"): more}}))
        server.reader.read(server.replica.tables)
    assert [*server.replica._named.values()] == kept
    assert server.reader._port_of == interfaces


def test_nothing_is_kept_of_what_was_there_before_a_reconnection(server: Server) -> None:
    server.has("vm1")
    server.replica._clear()
    server.has("vm2")
    assert [[*named] for named in server.replica._named.values()] == [["vm2"], ["vm2"]]
    assert [*server.reader._port_of] == [uuid_of("interface vm2")]
    assert server.replica.find("Port", "vm1") is None
