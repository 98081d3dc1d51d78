"""The tables and columns of the Open_vSwitch database that are read or written, and no others.

This part of the schema stands here instead of being asked from each server, so every server is
read in the same way.  All of it has been in Open vSwitch since 2.5; a server that lacks a column
refuses to be monitored.  Types are those of vswitch.ovsschema (ovsdb(7), RFC 7047, 3.2).
"""

from __future__ import annotations

from ryu_l2iso.ovsdb.columns import Column, MapOf, Optional, SetOf

DATABASE = "Open_vSwitch"

TABLES: dict[str, dict[str, Column]] = {
    # One row.  ovs-vswitchd copies next_cfg to cur_cfg once it has applied what came before.
    "Open_vSwitch": {
        "bridges": SetOf("uuid"),
        "manager_options": SetOf("uuid"),
        "ssl": Optional("uuid"),
        "cur_cfg": Column("integer"),
        "next_cfg": Column("integer"),
    },
    # datapath_id is 16 hex digits; ovs-vswitchd writes it, and it is empty until then.
    "Bridge": {
        "name": Column("string"),
        "datapath_id": Optional("string"),
        "ports": SetOf("uuid"),
        "controller": SetOf("uuid"),
        "fail_mode": Optional("string"),
        "protocols": SetOf("string"),
        "other_config": MapOf(),
    },
    "Port": {
        "name": Column("string"),
        "interfaces": SetOf("uuid"),
        "tag": Optional("integer"),
        "vlan_mode": Optional("string"),
        "trunks": SetOf("integer"),
        "external_ids": MapOf(),
    },
    # ofport is -1 when ovs-vswitchd could not make the interface; error then says why.
    "Interface": {
        "name": Column("string"),
        "ofport": Optional("integer"),
        "type": Column("string"),
        "options": MapOf(),
        "external_ids": MapOf(),
        "error": Optional("string"),
    },
    "Controller": {
        "target": Column("string"),
        "connection_mode": Optional("string"),
        "max_backoff": Optional("integer"),
        "external_ids": MapOf(),
    },
    "Manager": {
        "target": Column("string"),
        "external_ids": MapOf(),
    },
    # Paths of PEM files on the node.
    "SSL": {
        "private_key": Column("string"),
        "certificate": Column("string"),
        "ca_cert": Column("string"),
        "bootstrap_ca_cert": Column("boolean"),
    },
}
"""Table → column → how its values are written."""
