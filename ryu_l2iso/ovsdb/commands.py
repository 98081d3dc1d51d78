"""What can be changed in a switch's OVSDB: each command is a value with one effect.

Several commands make one transaction: all of it happens or nothing.  "Ensure" means that the
thing exists *with these attributes*; a command whose effect is there already sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.replica import Replica
from ryu_l2iso.ovsdb.rows import MARK, MAX_BACKOFF_MS, OPENFLOW, UUID, InterfaceRow, Row
from ryu_l2iso.ovsdb.schema import TABLES
from ryu_l2iso.state.values import dpid_to_str


class Edit:
    """A transaction in the making: what is there, and the operations so far (RFC 7047, 5.2)."""

    def __init__(self, replica: Replica, bridge: Row) -> None:
        self.bridge = bridge
        self.operations: list[dict[str, Any]] = []
        self._replica = replica
        self._new_rows = 0
        # References to new ports, as an operation has them
        self._new_ports: list[Any] = []

    def root(self) -> Row:
        """Return the one row of table Open_vSwitch; raises OVSDBError when there is none."""
        return root_of(self._replica)

    def rows(self, table: str, uuids: Iterable[UUID]) -> list[Row]:
        """Return rows of a table that another row refers to, in the order of their UUIDs."""
        rows = self._replica.tables[table]
        return [rows[uuid] for uuid in sorted(uuids) if uuid in rows]

    def set(self, table: str, row: Row, **values: Any) -> None:
        """Give columns of a row these values, where it has others."""
        new = {name: value for name, value in values.items() if row[name] != value}
        if new:
            self._operation("update", table, where=_is(row), row=_dumped(table, new))

    def set_key(self, table: str, row: Row, column: str, key: str, value: str) -> None:
        """Give a key in a map of a row this value, where it has another; others stay."""
        if row[column].get(key) != value:
            away = [column, "delete", ["set", [key]]]
            added = [column, "insert", ["map", [[key, value]]]]
            self._operation("mutate", table, where=_is(row), mutations=[away, added])

    def insert(self, table: str, values: Mapping[str, Any], **references: Any) -> Any:
        """Add a row and return a reference; it is kept only if another row gets that."""
        name = f"row{self._new_rows}"
        self._new_rows += 1
        row = {**_dumped(table, values), **references}
        self._operation("insert", table, **{"uuid-name": name, "row": row})
        return ["named-uuid", name]

    def refer(self, table: str, row: Row, column: str, reference: Any) -> None:
        """Add a reference to a set of them."""
        self._mutate(table, row, [column, "insert", ["set", [reference]]])

    def drop(self, table: str, row: Row, column: str, uuid: UUID) -> None:
        """Take a reference out of a set of them."""
        self._mutate(table, row, [column, "delete", ["set", [["uuid", uuid]]]])

    def count_up(self) -> None:
        """Add 1 to ``next_cfg`` and have the answer end with it."""
        row = self.root()
        self._mutate("Open_vSwitch", row, ["next_cfg", "+=", 1])
        self._operation("select", "Open_vSwitch", where=_is(row), columns=["next_cfg"])

    def add_port(
        self, name: str, kind: str, options: Mapping[str, str], external_ids: Mapping[str, str]
    ) -> None:
        """Add a port with one interface of that ``kind``; ``external_ids`` are those of both."""
        if not self._new_ports:
            self._mutate("Bridge", self.bridge, ["ports", "insert", ["set", self._new_ports]])
        marked = {"name": name, "external_ids": external_ids}
        interface = self.insert("Interface", {**marked, "type": kind, "options": options})
        self._new_ports.append(self.insert("Port", marked, interfaces=interface))

    def _mutate(self, table: str, row: Row, mutation: list[Any]) -> None:
        self._operation("mutate", table, where=_is(row), mutations=[mutation])

    def _operation(self, name: str, table: str, **members: Any) -> None:
        self.operations.append({"op": name, "table": table, **members})

    def port(self, name: str) -> Row | None:
        """Return our Port of that name, None when there is none.

        Raises OVSDBError when the name is taken by a port that we did not create.
        """
        port = self._replica.find("Port", name)
        if port is None:
            return None
        if MARK not in port["external_ids"]:
            raise OVSDBError(f"port {name} exists and is not ours")
        if port["_uuid"] not in self.bridge["ports"]:
            raise OVSDBError(f"port {name} is on another bridge")
        return port

    def plugged_port(self, name: str, iface_id: str | None) -> Row | None:
        """Return the bridge's Port of that name if this is plugged there, else None."""
        port = self._replica.find("Port", name)
        if port is None or port["_uuid"] not in self.bridge["ports"]:
            return None
        interfaces = self.rows("Interface", port["interfaces"])
        plugged = [interface["external_ids"].get("iface-id") for interface in interfaces]
        return port if plugged == [iface_id] else None

    def has_interface(self, name: str) -> bool:
        """Tell whether the server has an Interface of that name, as of another port or a bond."""
        return self._replica.find("Interface", name) is not None


def root_of(replica: Replica) -> Row:
    """Return the one row of table Open_vSwitch; raises OVSDBError when there is none."""
    for row in replica.tables["Open_vSwitch"].values():
        return row
    raise OVSDBError("the database is empty")


def _is(row: Row) -> list[Any]:
    """Return the condition that is true of this row alone."""
    return [["_uuid", "==", ["uuid", row["_uuid"]]]]


def _dumped(table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: TABLES[table][name].dump(value) for name, value in values.items()}


class Command:
    """Base of all commands."""

    def apply(self, edit: Edit) -> None:
        """Write the effect into a transaction; raises OVSDBError when it must not be had."""
        raise NotImplementedError


class Each(Command):
    """Each of several commands that can be had; ``refused`` is command → why another cannot."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = tuple(commands)
        self.refused: dict[Command, str] = {}

    def apply(self, edit: Edit) -> None:
        """Apply them; a command that must not be had has written nothing."""
        self.refused = {}
        for command in self.commands:
            try:
                command.apply(edit)
            except OVSDBError as error:
                self.refused[command] = str(error)


@dataclass(frozen=True)
class EnsureTunnelPort(Command):
    """A tunnel port to one remote switch; the key comes from the flows (``key=flow``).

    The options become exactly these: another key or port there would change where packets go.
    Port and Interface carry the remote dpid as our mark.
    """

    name: str
    type: str
    local_ip: str
    remote_ip: str
    remote_dpid: int

    @property
    def _options(self) -> dict[str, str]:
        return {"local_ip": self.local_ip, "remote_ip": self.remote_ip, "key": "flow"}

    def is_done(self, row: InterfaceRow) -> bool:
        """Tell whether the port of that name, as it was read, is so already."""
        mark = dpid_to_str(self.remote_dpid)
        marks = row.external_ids.get(MARK), row.port_external_ids.get(MARK)
        return row.type == self.type and row.options == self._options and marks == (mark, mark)

    def apply(self, edit: Edit) -> None:
        """Create the port, or correct ours."""
        port = edit.port(self.name)
        options = self._options
        mark = dpid_to_str(self.remote_dpid)
        if port is None:
            self._create(edit, options, {MARK: mark})
            return
        edit.set_key("Port", port, "external_ids", MARK, mark)
        for interface in edit.rows("Interface", port["interfaces"]):
            edit.set("Interface", interface, type=self.type, options=options)
            edit.set_key("Interface", interface, "external_ids", MARK, mark)

    def _create(self, edit: Edit, options: dict[str, str], mark: dict[str, str]) -> None:
        if edit.has_interface(self.name):
            raise OVSDBError(f"interface {self.name} exists and is not ours")
        edit.add_port(self.name, self.type, options, mark)


@dataclass(frozen=True)
class RemovePort(Command):
    """No port of ours of this name; a port of others of that name is refused."""

    name: str

    def apply(self, edit: Edit) -> None:
        """Take the port out of the bridge, if it is there."""
        port = edit.port(self.name)
        if port is not None:
            edit.drop("Bridge", edit.bridge, "ports", port["_uuid"])


@dataclass(frozen=True)
class SetAccessTag(Command):
    """The port is an access port of one VLAN, if it is there and ``iface_id`` is plugged in it.

    A port of that name that has another interface id, or none where one is meant, was plugged
    meanwhile, and is left alone.
    """

    name: str
    iface_id: str | None
    tag: int

    def apply(self, edit: Edit) -> None:
        """Set the tag, and what else would make the port a trunk or keep its tag from counting."""
        port = edit.plugged_port(self.name, self.iface_id)
        if port is None:
            return
        mode = None if port["vlan_mode"] is None else "access"
        edit.set("Port", port, tag=self.tag, trunks=frozenset(), vlan_mode=mode)


@dataclass(frozen=True)
class SecureBridge(Command):
    """No packet passes but by the controller's flows, whether it is there or not.

    ``fail_mode=secure``: in the default, standalone, a lost controller turns the bridge into one
    flat switch.  In-band control, which a Manager row alone can bring about, has hidden flows
    above all others (ovs-vswitchd.conf.db(5), Bridge ``disable-in-band``), so it is disabled.
    """

    def apply(self, edit: Edit) -> None:
        """Set both."""
        edit.set("Bridge", edit.bridge, fail_mode="secure")
        edit.set_key("Bridge", edit.bridge, "other_config", "disable-in-band", "true")


@dataclass(frozen=True)
class EnsureOpenFlow(Command):
    """The bridge speaks our OpenFlow version; what it speaks besides stays."""

    def apply(self, edit: Edit) -> None:
        """Add the version where versions are listed; an empty list is the default, with ours."""
        protocols = edit.bridge["protocols"]
        if protocols and OPENFLOW not in protocols:
            edit.refer("Bridge", edit.bridge, "protocols", OPENFLOW)


@dataclass(frozen=True)
class EnsureControllers(Command):
    """Our controllers are exactly these targets; controllers of others stay as they are.

    Out-of-band: in-band control would put hidden flows into the bridge, past the isolation.
    """

    targets: tuple[str, ...]

    _SETTINGS: ClassVar = {"connection_mode": "out-of-band", "max_backoff": MAX_BACKOFF_MS}

    def apply(self, edit: Edit) -> None:
        """Remove ours that are not wanted, correct or adopt those that exist, add the rest."""
        missing = set(self.targets)
        for row in edit.rows("Controller", edit.bridge["controller"]):
            if row["target"] in self.targets:
                missing.discard(row["target"])
                edit.set("Controller", row, **self._SETTINGS)
                edit.set_key("Controller", row, "external_ids", MARK, "controller")
            elif MARK in row["external_ids"]:
                edit.drop("Bridge", edit.bridge, "controller", row["_uuid"])
        for target in sorted(missing):
            marked = {"target": target, "external_ids": {MARK: "controller"}}
            row = edit.insert("Controller", {**marked, **self._SETTINGS})
            edit.refer("Bridge", edit.bridge, "controller", row)


@dataclass(frozen=True)
class EnsureManager(Command):
    """The OVSDB server serves this target, as ``ptcp:PORT:IP``, for the bridge.

    The mark names the bridge, so that another bridge of this server keeps what was opened for it.
    Managers of others stay.
    """

    target: str

    def apply(self, edit: Edit) -> None:
        """Remove ours of another target; add the manager unless it is there, whoever added it."""
        root, mark = edit.root(), edit.bridge["name"]
        managers = edit.rows("Manager", root["manager_options"])
        for row in managers:
            if row["target"] != self.target and row["external_ids"].get(MARK) == mark:
                edit.drop("Open_vSwitch", root, "manager_options", row["_uuid"])
        if any(row["target"] == self.target for row in managers):
            return
        row = edit.insert("Manager", {"target": self.target, "external_ids": {MARK: mark}})
        edit.refer("Open_vSwitch", root, "manager_options", row)


@dataclass(frozen=True)
class EnsureTLS(Command):
    """The node's Open vSwitch has these PEM files for TLS; paths as its daemons see them.

    ``ca_cert`` is never fetched from the first peer that comes (``bootstrap_ca_cert``).
    """

    private_key: str
    certificate: str
    ca_cert: str

    def apply(self, edit: Edit) -> None:
        """Set them where they differ; there is one set for the whole of Open vSwitch."""
        root = edit.root()
        wanted = {
            "private_key": self.private_key,
            "certificate": self.certificate,
            "ca_cert": self.ca_cert,
            "bootstrap_ca_cert": False,
        }
        present = edit.rows("SSL", () if root["ssl"] is None else (root["ssl"],))
        for row in present:
            edit.set("SSL", row, **wanted)
        if not present:
            edit.refer("Open_vSwitch", root, "ssl", edit.insert("SSL", wanted))
