"""Columns: from JSON to values, back, and what a change of them says."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_l2iso.ovsdb.columns import Column, MapOf, Optional, SetOf

UUID = "e4f2a9f4-73b5-4d8c-9b4f-6d3b5a0a1c11"


@pytest.mark.parametrize(
    ("column", "wire", "value"),
    [
        (Column("string"), "a", "a"),
        (Column("integer"), 5, 5),
        (Column("boolean"), True, True),
        (Column("uuid"), ["uuid", UUID], UUID),
        (Optional("integer"), 5, 5),
        (Optional("integer"), ["set", []], None),
        (Optional("integer"), ["set", [5]], 5),
        (Optional("uuid"), ["uuid", UUID], UUID),
        (SetOf("integer"), 5, frozenset({5})),
        (SetOf("integer"), ["set", [5, 6]], frozenset({5, 6})),
        (SetOf("string"), ["set", []], frozenset()),
        (SetOf("uuid"), ["uuid", UUID], frozenset({UUID})),
        (SetOf("uuid"), ["set", [["uuid", UUID]]], frozenset({UUID})),
        (MapOf(), ["map", []], {}),
        (MapOf(), ["map", [["a", "b"]]], {"a": "b"}),
    ],
)
def test_values_are_read(column: Column, wire: Any, value: Any) -> None:
    assert column.parse(wire) == value
    assert column.parse(column.dump(value)) == value


@pytest.mark.parametrize(
    ("column", "wire"),
    [
        (Column("string"), 5),
        (Column("integer"), True),
        (Column("integer"), 5.0),
        (Column("boolean"), 1),
        (Column("uuid"), UUID),
        (Column("uuid"), ["uuid", 5]),
        (Column("uuid"), ["uuid", UUID, UUID]),
        (Optional("uuid"), UUID),
        (Optional("integer"), "5"),
        (Optional("integer"), ["set", [5, 6]]),
        (Optional("integer"), ["set", 5]),
        (SetOf("integer"), ["set", [5, "6"]]),
        (SetOf("integer"), ["set"]),
        (MapOf(), {"a": "b"}),
        (MapOf(), ["map", 5]),
        (MapOf(), ["map", [["a"]]]),
        (MapOf(), ["map", [["a", 5]]]),
        (MapOf(), ["map", [[["a"], "b"]]]),
    ],
)
def test_what_is_no_such_value_is_refused(column: Column, wire: Any) -> None:
    with pytest.raises(ValueError, match="no |more than one value"):
        column.parse(wire)


@pytest.mark.parametrize(
    ("column", "old", "wire", "new"),
    [
        (Column("string"), "a", "b", "b"),
        (Optional("integer"), 5, ["set", []], None),
        (Optional("integer"), 5, 6, 6),
        (SetOf("integer"), frozenset({5, 6}), ["set", [6, 7]], frozenset({5, 7})),
        (SetOf("integer"), frozenset({5}), 6, frozenset({5, 6})),
        (MapOf(), {"a": "b"}, ["map", [["a", "b"]]], {}),
        (MapOf(), {"a": "b"}, ["map", [["a", "c"], ["d", "e"]]], {"a": "c", "d": "e"}),
    ],
)
def test_a_change_says_what_is_different(column: Column, old: Any, wire: Any, new: Any) -> None:
    before = repr(old)
    assert column.change(old, wire) == new
    assert repr(old) == before


def test_a_default_is_what_a_new_row_has() -> None:
    columns = Column("integer"), Optional("integer"), SetOf("integer"), MapOf()
    assert [column.default for column in columns] == [0, None, frozenset(), {}]
