"""The tables and columns of the Open_vSwitch database that are read or written, and no others.

This part of the schema stands here instead of being asked from each server: no second connection
has to be made before the real one, and every server is read in the same way.  All of it has been
in Open vSwitch since 2.5; a server that lacks a column refuses to be monitored, which shows as
one that "does not give its database".  Types are those of vswitch.ovsschema (ovsdb(7), RFC 7047
section 3.2).
"""

from __future__ import annotations

from typing import Any

from ovs.db.idl import SchemaHelper

DATABASE = "Open_vSwitch"

_STRING_MAP: dict[str, Any] = {
    "type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}
}


def _at_most_one(kind: str) -> dict[str, Any]:
    return {"type": {"key": kind, "min": 0, "max": 1}}


def _any_number(kind: str) -> dict[str, Any]:
    return {"type": {"key": kind, "min": 0, "max": "unlimited"}}


def _references(table: str, at_least: int = 0) -> dict[str, Any]:
    key = {"type": "uuid", "refTable": table}
    return {"type": {"key": key, "min": at_least, "max": "unlimited"}}


TABLES: dict[str, dict[str, dict[str, Any]]] = {
    # One row.  ovs-vswitchd copies next_cfg to cur_cfg once it has applied what came before.
    "Open_vSwitch": {
        "bridges": _references("Bridge"),
        "manager_options": _references("Manager"),
        "ssl": {"type": {"key": {"type": "uuid", "refTable": "SSL"}, "min": 0, "max": 1}},
        "cur_cfg": {"type": "integer"},
        "next_cfg": {"type": "integer"},
    },
    # datapath_id is 16 hex digits; ovs-vswitchd writes it, and it is empty until then.
    "Bridge": {
        "name": {"type": "string", "mutable": False},
        "datapath_id": _at_most_one("string"),
        "ports": _references("Port"),
        "controller": _references("Controller"),
        "fail_mode": _at_most_one("string"),
        "protocols": _any_number("string"),
        "other_config": _STRING_MAP,
    },
    "Port": {
        "name": {"type": "string", "mutable": False},
        "interfaces": _references("Interface", at_least=1),
        "tag": _at_most_one("integer"),
        "vlan_mode": _at_most_one("string"),
        "trunks": {"type": {"key": "integer", "min": 0, "max": 4096}},
        "external_ids": _STRING_MAP,
    },
    # ofport is -1 when ovs-vswitchd could not make the interface; error then says why.
    "Interface": {
        "name": {"type": "string", "mutable": False},
        "ofport": _at_most_one("integer"),
        "type": {"type": "string"},
        "options": _STRING_MAP,
        "external_ids": _STRING_MAP,
        "error": _at_most_one("string"),
    },
    "Controller": {
        "target": {"type": "string"},
        "connection_mode": _at_most_one("string"),
        "max_backoff": _at_most_one("integer"),
        "external_ids": _STRING_MAP,
    },
    "Manager": {
        "target": {"type": "string"},
        "external_ids": _STRING_MAP,
    },
    # Paths of PEM files on the node.
    "SSL": {
        "private_key": {"type": "string"},
        "certificate": {"type": "string"},
        "ca_cert": {"type": "string"},
        "bootstrap_ca_cert": {"type": "boolean"},
    },
}
"""Table → column → its type, as a database schema writes it."""


def schema_helper() -> Any:
    """Return the schema for one ``ovs.db.idl.Idl``; each needs its own."""
    tables = {
        name: {"columns": columns, "isRoot": name == "Open_vSwitch"}
        for name, columns in TABLES.items()
    }
    schema = {"name": DATABASE, "version": "1.0.0", "tables": tables}
    helper = SchemaHelper(schema_json=schema)
    helper.register_all()
    return helper
