"""Columns of an OVSDB table: from JSON to values and back (RFC 7047, 5.1).

A value is a string, an integer or a boolean; that or None; a frozenset; or a dict.  A reference
to a row is the row's UUID as a string.  No value is ever changed: there comes another.
"""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "uuid": str}


class Column:
    """A column with just one value."""

    default: Any

    def __init__(self, kind: str) -> None:
        """Take ``kind``, the type of its values: string, integer, boolean or uuid."""
        self.kind = kind
        self._type = _TYPES[kind]
        self.default = self._type()

    def parse(self, wire: Any) -> Any:
        """Return the value that JSON stands for; raises ValueError."""
        return self._atom(wire)

    def change(self, _old: Any, wire: Any) -> Any:
        """Return what a value becomes by a ``modify`` of an update2 (ovsdb-server(7), 4.1.14)."""
        return self.parse(wire)

    def dump(self, value: Any) -> Any:
        """Return a value as JSON has it."""
        return ["uuid", value] if self.kind == "uuid" else value

    def _atom(self, wire: Any) -> Any:
        if self.kind == "uuid":
            wire = _tagged("uuid", wire)
        if type(wire) is not self._type:
            raise ValueError(f"what is no {self.kind}: {short(wire)}")
        return wire

    def _elements(self, wire: Any) -> list[Any]:
        """Return the elements of a set; one alone may stand for the set."""
        is_set = type(wire) is list and wire[:1] == ["set"]
        elements = _tagged("set", wire) if is_set else [wire]
        if type(elements) is not list:
            raise ValueError(f"what is no set: {short(wire)}")
        return [self._atom(element) for element in elements]


class Optional(Column):
    """A column with one value or none."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.default = None

    def parse(self, wire: Any) -> Any:
        """Return the value that JSON stands for, or None; raises ValueError."""
        if type(wire) is self._type and self.kind != "uuid":
            return wire
        elements = self._elements(wire)
        if len(elements) > 1:
            raise ValueError(f"more than one value: {short(wire)}")
        return elements[0] if elements else None

    def dump(self, value: Any) -> Any:
        """Return a value as JSON has it."""
        return ["set", []] if value is None else super().dump(value)


class SetOf(Column):
    """A column with any number of values."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.default = frozenset()

    def parse(self, wire: Any) -> frozenset[Any]:
        """Return the set that JSON stands for; raises ValueError."""
        return frozenset(self._elements(wire))

    def change(self, old: frozenset[Any], wire: Any) -> frozenset[Any]:
        """Return the set with those elements added that it lacked, and those removed it had."""
        return old.symmetric_difference(self._elements(wire))

    def dump(self, value: Any) -> Any:
        """Return a set as JSON has it, in order."""
        return ["set", [super(SetOf, self).dump(element) for element in sorted(value)]]


class MapOf(Column):
    """A column with strings by strings."""

    def __init__(self) -> None:
        super().__init__("string")
        self.default = {}

    def parse(self, wire: Any) -> dict[str, str]:
        """Return the map that JSON stands for; raises ValueError."""
        pairs = _tagged("map", wire)
        try:
            found = dict(pairs)
        except (TypeError, ValueError):
            raise ValueError(f"what is no map: {short(wire)}") from None
        for key, value in found.items():
            if type(key) is not str or type(value) is not str:
                raise ValueError(f"what is no map of strings: {short(wire)}")
        return found

    def change(self, old: dict[str, str], wire: Any) -> dict[str, str]:
        """Return the map without the pairs that it had, and with those that it had not."""
        new = dict(old)
        for key, value in self.parse(wire).items():
            if new.get(key) == value:
                del new[key]
            else:
                new[key] = value
        return new

    def dump(self, value: Any) -> Any:
        """Return a map as JSON has it."""
        return ["map", [[key, value[key]] for key in value]]


def short(wire: Any) -> str:
    """Return JSON for a line of a log."""
    return repr(wire)[:80]


def _tagged(tag: str, wire: Any) -> Any:
    if type(wire) is not list or len(wire) != 2 or wire[0] != tag:
        raise ValueError(f"what is no {tag}: {short(wire)}")
    return wire[1]
