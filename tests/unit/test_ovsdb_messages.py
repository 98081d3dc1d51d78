"""JSON-RPC from an OVSDB server, cut into messages within limits."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.ovsdb.messages import MAX_DEPTH, MESSAGE_SECONDS, Messages

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def all_of(messages: Messages) -> list[Any]:
    return list(iter(lambda: messages.next(0.0), None))


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.text(max_size=5), VALUES), max_size=4), st.integers(1, 20))
def test_messages_come_whole_wherever_they_were_cut(values: list[Any], size: int) -> None:
    data = b" \n".join(json.dumps(value).encode() for value in values)
    messages = Messages()
    found = []
    for at in range(0, len(data), size):
        messages.add(data[at : at + size], 0.0)
        found += all_of(messages)
    assert found == values


def test_nesting_has_an_end() -> None:
    messages = Messages()
    messages.add(b'{"a":' + b"[" * (MAX_DEPTH - 1), 0.0)
    assert all_of(messages) == []
    messages.add(b"[", 0.0)
    with pytest.raises(ValueError, match="nested deeper"):
        messages.next(0.0)


def test_nesting_has_an_end_in_a_message_that_comes_at_once() -> None:
    messages = Messages()
    messages.add(b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", 0.0)
    with pytest.raises(ValueError, match="nested deeper"):
        messages.next(0.0)


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ('{"a":"{}', '"}'),
        ('{"a":"}', '"}'),
        ('{"a":{}', "}"),
        (r'{"a":"\"}', '"}'),
        ('{"a":["}"]', "}"),
    ],
)
def test_brackets_in_strings_and_of_inner_values_end_nothing(first: str, rest: str) -> None:
    messages = Messages()
    found = []
    for part in (first, rest):
        messages.add(part.encode(), 0.0)
        found += all_of(messages)
    assert found == [json.loads(first + rest)]


def test_what_follows_a_message_is_the_next() -> None:
    messages = Messages()
    messages.add(b'{}{"a":1}', 0.0)
    assert all_of(messages) == [{}, {"a": 1}]
    messages.add(b"{}}", 0.0)
    assert messages.next(0.0) == {}
    with pytest.raises(ValueError, match="no JSON object"):
        messages.next(0.0)


def test_several_messages_that_come_at_once_are_cut() -> None:
    values = [{"a": "}{"}, {"b": ['\\"', "\\"]}, {}, {"c": {"d": []}}]
    messages = Messages()
    messages.add(b" ".join(json.dumps(value).encode() for value in values) + b'{"e', 0.0)
    assert all_of(messages) == values
    messages.add(b'": 1}', 0.0)
    assert all_of(messages) == [{"e": 1}]


def test_what_a_backslash_escapes_may_come_later() -> None:
    messages = Messages()
    messages.add(b'{"a":"}\\', 0.0)
    assert all_of(messages) == []
    messages.add(b'"}"}', 0.0)
    assert all_of(messages) == [{"a": '}"}'}]


@pytest.mark.parametrize("data", [b"{}[]", b"{}]{}", b'{}"{}"', b"{}x{}"])
def test_what_is_no_object_between_messages_is_refused(data: bytes) -> None:
    messages = Messages()
    messages.add(data, 0.0)
    assert messages.next(0.0) == {}
    with pytest.raises(ValueError, match="no JSON object"):
        messages.next(0.0)


def test_many_small_messages_take_little_time() -> None:
    """Each is looked through a few times at most, whatever comes behind it."""
    messages, count = Messages(), 100_000
    messages.add(b"{}" * count, 0.0)
    began = time.process_time()
    assert len(all_of(messages)) == count
    assert time.process_time() - began < 3.0


def test_a_message_has_a_deadline() -> None:
    messages = Messages()
    messages.add(b'{"a":', 5.0)
    messages.add(b" ", 5.0 + MESSAGE_SECONDS)
    with pytest.raises(ValueError, match="does not end"):
        messages.add(b" ", 5.1 + MESSAGE_SECONDS)


def test_time_between_messages_does_not_count() -> None:
    messages = Messages()
    messages.add(b"{} \n", 0.0)
    assert all_of(messages) == [{}]
    messages.add(b'{"a": 1}', 1000.0)
    assert all_of(messages) == [{"a": 1}]
