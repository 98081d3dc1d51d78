"""Columns of an OVSDB database: JSON to values and back, and what differs (RFC 7047, 5.1).

A value is an atom, a frozenset of atoms or a dict; an atom is what JSON makes of it, a UUID its
text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

INSTALLED = Path("/usr/share/openvswitch/vswitch.ovsschema")
"""The schema of Open vSwitch, where its Debian package puts it."""

_DEFAULTS: dict[str, Any] = {"integer": 0, "real": 0.0, "boolean": False, "string": "", "uuid": ""}


class Column:
    """The type of a column."""

    def __init__(self, spec: Any) -> None:
        spec = spec if isinstance(spec, dict) else {"key": spec}
        key, value = _base(spec["key"]), _base(spec.get("value", {}))
        self._uuid_key = key["type"] == "uuid"
        self._uuid_value = value.get("type") == "uuid"
        self._is_map = "value" in spec
        self._is_set = (spec.get("min", 1), spec.get("max", 1)) != (1, 1)
        self._is_single = spec.get("max", 1) == 1
        self._strong_key = "refTable" in key and key.get("refType", "strong") == "strong"
        self._strong_value = "refTable" in value and value.get("refType", "strong") == "strong"
        self.default: Any = _DEFAULTS[key["type"]]
        if self._is_map:
            self.default = {}
        elif self._is_set:
            self.default = frozenset()
        self.refers = self._strong_key or self._strong_value

    def parse(self, wire: Any, names: Mapping[str, str]) -> Any:
        """Return the value that JSON stands for; ``names`` is uuid-name → UUID."""
        if self._is_map:
            pairs = wire[1]
            return {self._atom(k, names): self._atom(v, names) for k, v in pairs}
        if self._is_set:
            return frozenset(self.parse_atoms(wire, names))
        return self._atom(wire, names)

    def parse_atoms(self, wire: Any, names: Mapping[str, str]) -> list[Any]:
        """Return the atoms of a set in JSON, which may be a single one."""
        atoms = wire[1] if isinstance(wire, list) and wire[0] == "set" else [wire]
        return [self._atom(atom, names) for atom in atoms]

    @staticmethod
    def _atom(wire: Any, names: Mapping[str, str]) -> Any:
        if isinstance(wire, list):
            return names[wire[1]] if wire[0] == "named-uuid" else wire[1]
        return wire

    def dump(self, value: Any) -> Any:
        """Return a value as JSON."""
        if self._is_map:
            pairs = value.items()
            return ["map", [[self._wire_key(k), self._wire_value(v)] for k, v in pairs]]
        if self._is_set:
            atoms = [self._wire_key(atom) for atom in value]
            return atoms[0] if len(atoms) == 1 else ["set", atoms]
        return self._wire_key(value)

    def _wire_key(self, atom: Any) -> Any:
        return ["uuid", atom] if self._uuid_key else atom

    def _wire_value(self, atom: Any) -> Any:
        return ["uuid", atom] if self._uuid_value else atom

    def difference(self, old: Any, new: Any) -> Any:
        """Return what makes ``new`` of ``old``, as ``update2`` tells it (ovsdb-server(7), 4.1.14).

        It is the new value where there is one at most, else what only one of the two has.
        """
        if self._is_map:
            changed = {k: v for k, v in new.items() if old.get(k) != v}
            gone = {k: v for k, v in old.items() if k not in new}
            return self.dump({**changed, **gone})
        return self.dump(new if self._is_single else old ^ new)

    def references(self, value: Any) -> Iterable[str]:
        """Return the UUIDs of the rows that a value keeps alive."""
        if self._strong_value:
            return frozenset(value.values())
        if not self._strong_key:
            return ()
        return frozenset(value) if self._is_set else (value,)


def _base(spec: Any) -> dict[str, Any]:
    return spec if isinstance(spec, dict) else {"type": spec}


class Schema:
    """The tables of a database: ``tables`` is table → column → type."""

    def __init__(self, text: str) -> None:
        tables = json.loads(text)["tables"]
        self.tables: dict[str, dict[str, Column]] = {
            name: {column: Column(spec["type"]) for column, spec in table["columns"].items()}
            for name, table in tables.items()
        }
        self.roots = {name for name, table in tables.items() if table.get("isRoot")}
