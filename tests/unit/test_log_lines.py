"""The log of the controller: what a node tells cannot look like a line of its own."""

from __future__ import annotations

import logging

from ryu_l2iso.command_line import OneLine


def test_a_message_is_one_line_and_a_trace_is_as_it_was() -> None:
    name = "tap1\r\n2026-01-01 INFO ryu_l2iso.audit: {}\x1b[2J\u2028\x85ä"
    error = ValueError("of two\nlines")
    trace = (ValueError, error, None)
    record = logging.LogRecord("l", logging.INFO, "", 0, "interface %s: no", (name,), trace)
    first, *others = OneLine("%(name)s: %(message)s").format(record).splitlines()
    escaped = r"tap1\r\n2026-01-01 INFO ryu_l2iso.audit: {}\x1b[2J\u2028\x85ä"
    assert first == f"l: interface {escaped}: no"
    assert others == ["ValueError: of two", "lines"]
