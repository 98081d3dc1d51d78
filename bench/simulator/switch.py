"""A simulated switch: its database, its flows, and what ovs-vswitchd does between the two."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

from bench.simulator import messages
from bench.simulator.database import Changes, Database, Row
from bench.simulator.messages import Port
from bench.simulator.openflow import Connection
from bench.simulator.rpc import Session
from bench.simulator.schema import Schema
from bench.simulator.tables import Tables

BRIDGE = "br-int"


class VM(NamedTuple):
    """What whoever plugs a VM writes beside its port."""

    name: str
    iface_id: str
    mac: str


class Switch:
    """One bridge; ``targets_changed`` is called with the addresses of its controllers."""

    def __init__(self, dpid: int, schema: Schema) -> None:
        self.dpid = dpid
        self.tables = Tables()
        self.counts: Counter[int] = Counter()
        self.sessions: list[Session] = []
        self.targets_changed: Callable[[set[str]], None] = lambda targets: None
        self.send: Callable[[bytes], None] | None = None
        self.on_commit: Callable[[Switch], None] = lambda switch: None
        self.database = Database(schema)
        self._ports = {messages.LOCAL: Port(messages.LOCAL, BRIDGE)}
        self._numbers: dict[str, int] = {}
        self._next_number = 1
        self._connection = self.connection()
        self._root = self._insert("Open_vSwitch", {})
        self._bridge = self._create_bridge()

    @property
    def is_read(self) -> bool:
        """Return whether the controller has asked for flows and monitors the database now."""
        monitored = any(session.monitored_at for session in self.sessions)
        return monitored and self.send is not None and bool(self._connection.flows_read_at)

    @property
    def busy_until(self) -> float:
        """Return when the controller was last seen to begin reading, or to change something."""
        times = (self._connection.flows_read_at, self._connection.last_mod_at)
        return max(*times, *(session.monitored_at for session in self.sessions), 0.0)

    @property
    def port_count(self) -> int:
        """Return how many OpenFlow ports there are, the bridge's own one among them."""
        return len(self._ports)

    # -- what others do to it ----------------------------------------------------------------

    def plug(self, vms: Sequence[VM]) -> None:
        """Plug VMs, in one transaction."""
        operations: list[dict[str, Any]] = []
        ports: list[list[str]] = []
        for number, vm in enumerate(vms):
            ids = [["iface-id", vm.iface_id], ["attached-mac", vm.mac]]
            interface = {"name": vm.name, "external_ids": ["map", ids]}
            refers = {"name": vm.name, "interfaces": ["named-uuid", f"i{number}"]}
            operations.append(_insertion("Interface", f"i{number}", interface))
            operations.append(_insertion("Port", f"p{number}", refers))
            ports.append(["named-uuid", f"p{number}"])
        self.transact([*operations, self._change_ports("insert", ports)])

    def unplug(self, names: Sequence[str]) -> None:
        """Unplug VMs, in one transaction."""
        rows = self.database.tables["Port"].items()
        ports = [["uuid", row_id] for row_id, row in rows if row["name"] in set(names)]
        self.transact([self._change_ports("delete", ports)])

    def transact(self, operations: Sequence[dict[str, Any]]) -> list[Any]:
        """Do operations of a client; tell the clients, and act on it as ovs-vswitchd does."""
        results, changes = self.database.transact(operations)
        if changes:
            self._tell(changes)
            self._configure(changes)
        return results

    def packet_in(self, port_no: int, table: int, cookie: int, frame: bytes) -> None:
        """Send a packet to the controller."""
        if self.send is not None:
            self.send(messages.packet_in(port_no, table, cookie, frame))

    # -- connections -------------------------------------------------------------------------

    def connection(self) -> Connection:
        """Return a new OpenFlow connection, which takes the place of the one before."""

        def committed() -> None:
            self.on_commit(self)

        self._connection = Connection(self.dpid, self._ports, self.tables, self.counts, committed)
        return self._connection

    def session(self, send: Callable[[bytes], None]) -> Session:
        """Return a new session of an OVSDB client; `sessions` is who is told of changes."""
        session = Session(self.database, self.transact, send)
        self.sessions.append(session)
        return session

    # -- ovs-vswitchd ------------------------------------------------------------------------

    def _configure(self, changes: Changes) -> None:
        for (table, row_id), (old, new) in changes.items():
            if table == "Interface":
                self._interface_changed(row_id, old, new)
            elif table == "Bridge" and old is not None and _differs("controller", old, new):
                self._tell_targets()
            elif table == "Open_vSwitch" and _differs("next_cfg", old, new):
                self._tell(self.database.set(table, row_id, cur_cfg=(new or {})["next_cfg"]))

    def _interface_changed(self, row_id: str, old: Row | None, new: Row | None) -> None:
        if new is None:
            port = self._ports.pop(self._numbers.pop((old or {})["name"]))
            self._tell_port(messages.PORT_DELETED, port)
        elif old is None:
            port = Port(self._next_number, new["name"])
            self._next_number += 1
            self._ports[port.port_no] = port
            self._numbers[port.name] = port.port_no
            number = frozenset({port.port_no})
            self._tell(self.database.set("Interface", row_id, ofport=number))
            self._tell_port(messages.PORT_ADDED, port)

    def _tell_port(self, reason: int, port: Port) -> None:
        if self.send is not None:
            self.send(messages.port_status(reason, port))

    def _tell_targets(self) -> None:
        controllers = self.database.value("Bridge", self._bridge, "controller")
        rows = self.database.tables["Controller"]
        self.targets_changed({rows[row_id]["target"] for row_id in controllers})

    def _tell(self, changes: Changes) -> None:
        for session in self.sessions:
            session.changed(changes)

    def _create_bridge(self) -> str:
        """Create the bridge with its own port, as ``ovs-vsctl add-br`` does."""
        interface = {"name": BRIDGE, "type": "internal"}
        port = {"name": BRIDGE, "interfaces": ["named-uuid", "i"]}
        bridge = {
            "name": BRIDGE,
            "datapath_id": f"{self.dpid:016x}",
            "ports": ["named-uuid", "p"],
            "fail_mode": "secure",
        }
        where = [["_uuid", "==", ["uuid", self._root]]]
        mutation = ["bridges", "insert", ["set", [["named-uuid", "b"]]]]
        results, changes = self.database.transact(
            [
                _insertion("Interface", "i", interface),
                _insertion("Port", "p", port),
                _insertion("Bridge", "b", bridge),
                {"op": "mutate", "table": "Open_vSwitch", "where": where, "mutations": [mutation]},
            ]
        )
        local = results[0]["uuid"][1]
        assert changes, results
        self._numbers[BRIDGE] = messages.LOCAL
        self.database.set("Interface", local, ofport=frozenset({65534}))
        return str(results[2]["uuid"][1])

    def _insert(self, table: str, row: dict[str, Any]) -> str:
        name = f"new{uuid.uuid4().hex}"
        results, _ = self.database.transact([_insertion(table, name, row)])
        return str(results[0]["uuid"][1])

    def _change_ports(self, mutator: str, ports: list[list[str]]) -> dict[str, Any]:
        where = [["_uuid", "==", ["uuid", self._bridge]]]
        mutation = ["ports", mutator, ["set", ports]]
        return {"op": "mutate", "table": "Bridge", "where": where, "mutations": [mutation]}


def _insertion(table: str, name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def _differs(column: str, old: Row | None, new: Row | None) -> bool:
    return (old or {}).get(column) != (new or {}).get(column)
