"""What can be changed in a switch's OVSDB: each command is a value with one effect.

Several commands make one transaction: all of it happens or nothing.  "Ensure" means that the
thing exists *with these attributes*; a command whose effect is there already sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ryu_l2iso.exceptions import OVSDBError
from ryu_l2iso.ovsdb.reader import column
from ryu_l2iso.ovsdb.replica import Replica
from ryu_l2iso.ovsdb.rows import MARK, MAX_BACKOFF_MS, OPENFLOW, InterfaceRow
from ryu_l2iso.state.values import dpid_to_str


class Edit:
    """A transaction in the making: the replica, the bridge's row and the new rows."""

    def __init__(self, transaction: Any, replica: Replica, bridge: Any) -> None:
        self.bridge = bridge
        self._transaction = transaction
        self._replica = replica
        # References to new ports, as an operation of the transaction has them
        self._new_ports: list[tuple[str, str]] = []

    def root(self) -> Any:
        """Return the one row of table Open_vSwitch."""
        return next(iter(self._replica.tables["Open_vSwitch"].rows.values()))

    def insert(self, table: str) -> Any:
        """Return a new row; it is kept only if another row refers to it."""
        return self._transaction.insert(self._replica.tables[table])

    def add_port(
        self, name: str, kind: str, options: Mapping[str, str], external_ids: Mapping[str, str]
    ) -> None:
        """Add a port with one interface of that ``kind``; ``external_ids`` are those of both.

        Written as operations (RFC 7047, 5.2): through rows of the idl each takes ten times as long,
        and a switch gets tunnel ports by the hundred.
        """
        if not self._new_ports:
            chosen = [["_uuid", "==", ["uuid", str(self.bridge.uuid)]]]
            added = [["ports", "insert", ["set", self._new_ports]]]
            self._operation("mutate", "Bridge", where=chosen, mutations=added)
        number = len(self._new_ports)
        refer, ids = ("named-uuid", f"interface{number}"), _map(external_ids)
        row = {"name": name, "type": kind, "options": _map(options), "external_ids": ids}
        self._operation("insert", "Interface", **{"uuid-name": refer[1], "row": row})
        row = {"name": name, "interfaces": refer, "external_ids": ids}
        refer = ("named-uuid", f"port{number}")
        self._operation("insert", "Port", **{"uuid-name": refer[1], "row": row})
        self._new_ports.append(refer)

    def _operation(self, name: str, table: str, **members: Any) -> None:
        self._transaction.add_op({"op": name, "table": table, **members})

    def port(self, name: str) -> Any:
        """Return our Port of that name, None when there is none.

        Raises OVSDBError when the name is taken by a port that we did not create.
        """
        port = self._replica.find("Port", name)
        if port is None:
            return None
        if MARK not in port.external_ids:
            raise OVSDBError(f"port {name} exists and is not ours")
        if not self._is_own(port):
            raise OVSDBError(f"port {name} is on another bridge")
        return port

    def plugged_port(self, name: str, iface_id: str | None) -> Any | None:
        """Return the bridge's Port of that name if this is plugged there, else None."""
        port = self._replica.find("Port", name)
        if port is None or not self._is_own(port):
            return None
        plugged = [interface.external_ids.get("iface-id") for interface in port.interfaces]
        return port if plugged == [iface_id] else None

    def has_interface(self, name: str) -> bool:
        """Tell whether the server has an Interface of that name, as of another port or a bond."""
        return self._replica.find("Interface", name) is not None

    def _is_own(self, port: Any) -> bool:
        return port.uuid in column(self.bridge, "ports")


def _map(values: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    return "map", list(values.items())


def _assign(row: Any, column: str, value: Any) -> None:
    if getattr(row, column) != value:
        setattr(row, column, value)


def _assign_key(row: Any, column: str, key: str, value: str) -> None:
    if getattr(row, column).get(key) != value:
        row.setkey(column, key, value)


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
        _assign_key(port, "external_ids", MARK, mark)
        interface = port.interfaces[0]
        _assign(interface, "type", self.type)
        _assign(interface, "options", options)
        _assign_key(interface, "external_ids", MARK, mark)

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
            edit.bridge.delvalue("ports", port)


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
        _assign(port, "tag", [self.tag])
        _assign(port, "trunks", [])
        if port.vlan_mode not in ([], ["access"]):
            port.vlan_mode = ["access"]


@dataclass(frozen=True)
class SecureBridge(Command):
    """No packet passes but by the controller's flows, whether it is there or not.

    ``fail_mode=secure``: in the default, standalone, a lost controller turns the bridge into one
    flat switch.  In-band control, which a Manager row alone can bring about, has hidden flows
    above all others (ovs-vswitchd.conf.db(5), Bridge ``disable-in-band``), so it is disabled.
    """

    def apply(self, edit: Edit) -> None:
        """Set both."""
        _assign(edit.bridge, "fail_mode", ["secure"])
        _assign_key(edit.bridge, "other_config", "disable-in-band", "true")


@dataclass(frozen=True)
class EnsureOpenFlow(Command):
    """The bridge speaks our OpenFlow version; what it speaks besides stays."""

    def apply(self, edit: Edit) -> None:
        """Add the version where versions are listed; an empty list is the default, with ours."""
        protocols = edit.bridge.protocols
        if protocols and OPENFLOW not in protocols:
            edit.bridge.addvalue("protocols", OPENFLOW)


@dataclass(frozen=True)
class EnsureControllers(Command):
    """Our controllers are exactly these targets; controllers of others stay as they are.

    Out-of-band: in-band control would put hidden flows into the bridge, past the isolation.
    """

    targets: tuple[str, ...]

    def apply(self, edit: Edit) -> None:
        """Remove ours that are not wanted, correct or adopt those that exist, add the rest."""
        missing = set(self.targets)
        for row in edit.bridge.controller:
            if row.target in self.targets:
                missing.discard(row.target)
                self._correct(row)
            elif MARK in row.external_ids:
                edit.bridge.delvalue("controller", row)
        for target in sorted(missing):
            row = edit.insert("Controller")
            row.target = target
            row.connection_mode = "out-of-band"
            row.max_backoff = MAX_BACKOFF_MS
            row.external_ids = {MARK: "controller"}
            edit.bridge.addvalue("controller", row)

    @staticmethod
    def _correct(row: Any) -> None:
        _assign(row, "connection_mode", ["out-of-band"])
        _assign(row, "max_backoff", [MAX_BACKOFF_MS])
        _assign_key(row, "external_ids", MARK, "controller")


@dataclass(frozen=True)
class EnsureManager(Command):
    """The OVSDB server serves this target, as ``ptcp:PORT:IP``, for the bridge.

    The mark names the bridge, so that another bridge of this server keeps what was opened for it.
    Managers of others stay.
    """

    target: str

    def apply(self, edit: Edit) -> None:
        """Remove ours of another target; add the manager unless it is there, whoever added it."""
        root = edit.root()
        mark = edit.bridge.name
        for row in root.manager_options:
            if row.target != self.target and row.external_ids.get(MARK) == mark:
                root.delvalue("manager_options", row)
        if any(row.target == self.target for row in root.manager_options):
            return
        row = edit.insert("Manager")
        row.target = self.target
        row.external_ids = {MARK: mark}
        root.addvalue("manager_options", row)


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
        if not root.ssl:
            row = edit.insert("SSL")
            for column, value in wanted.items():
                setattr(row, column, value)
            root.ssl = [row]
            return
        for column, value in wanted.items():
            _assign(root.ssl[0], column, value)
