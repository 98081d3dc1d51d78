"""Tokens: the file, what it takes and refuses, and that it is read again."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ryu_l2iso import token_command
from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.tokens import (
    AGENT,
    PLUGIN,
    VIEWER,
    Holder,
    TokenFile,
    hash_of,
    new_token,
    parse,
    read_token,
    tokens_for,
)

HASH = "a" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file that only its owner may read, without a line."""
    made = tmp_path / "tokens"
    made.touch(mode=0o600)
    return made


def test_the_file_keeps_no_token() -> None:
    token, line = new_token("nova", PLUGIN)
    assert len(token) == 43
    assert token not in line
    assert line == f"nova plugin {hash_of(token)}"
    assert parse(line) == [Holder("nova", PLUGIN, hash_of(token))]
    assert new_token("nova", PLUGIN)[0] != token


def test_what_a_file_may_hold() -> None:
    text = f"# comment\n\n  a viewer {HASH} # more\nb\tagent {'b' * 64} 00000000000000A1 {'0' * 16}"
    assert parse(text) == [
        Holder("a", VIEWER, HASH),
        Holder("b", AGENT, "b" * 64, frozenset({0xA1, 0})),
    ]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("nova", "line 2: line: must be NAME ROLE SHA256"),
        (f"nova admin {HASH}", "line 2: role: must be one of plugin, agent, viewer"),
        (f"no/va plugin {HASH}", "line 2: name: "),
        (f"{'x' * 65} plugin {HASH}", "line 2: name: "),
        (f"nova plugin {HASH[1:]}", "line 2: SHA-256: must be 64"),
        (f"nova plugin {HASH.upper()}", "line 2: SHA-256: must be 64"),
        (f"nova plugin {HASH} 00000000000000a1", "line 2: dpid: an agent has at least one"),
        (f"nova agent {HASH}", "line 2: dpid: an agent has at least one"),
        (f"nova agent {HASH} a1", "line 2: dpid: must be 16 hex digits"),
        (f"nova plugin {HASH}\nnova viewer {HASH}", "line 3: SHA-256: stands in another line"),
    ],
)
def test_a_line_that_is_refused(path: Path, line: str, rule: str) -> None:
    path.write_text(f"#\n{line}\n")
    with pytest.raises(L2IsoError, match=re.escape(f"token_file {path}: {rule}")):
        TokenFile(str(path))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(L2IsoError, match="No such file"):
        TokenFile(str(tmp_path / "missing"))


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o640, True), (0o644, False)])
def test_a_file_that_others_may_read_is_refused(path: Path, mode: int, good: bool) -> None:
    path.chmod(mode)
    if good:
        TokenFile(str(path))
    else:
        with pytest.raises(L2IsoError, match="mode: must give others nothing"):
            TokenFile(str(path))


def test_it_is_read_again_when_it_changes(path: Path) -> None:
    first, second = new_token("a", PLUGIN), new_token("b", VIEWER)
    path.write_text(first[1])
    tokens = TokenFile(str(path))
    assert names(tokens, first[0], second[0]) == ["a", None]
    path.write_text(f"{first[1]}\n{second[1]}")
    assert names(tokens, first[0], second[0]) == ["a", "b"]
    # Replaced, as careful programs write.
    other = path.with_name("new")
    other.touch(mode=0o600)
    other.write_text(second[1])
    os.replace(other, path)
    assert names(tokens, first[0], second[0]) == [None, "b"]
    path.unlink()
    assert names(tokens, first[0], second[0]) == [None, None]


def names(tokens: TokenFile, *some: str) -> list[str | None]:
    """Return the name of the holder of each token, or None."""
    holders = [tokens.holder(token) for token in some]
    return [None if holder is None else holder.name for holder in holders]


def test_a_broken_file_gives_nothing_new_and_takes_away(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that does not stand in it any more stops working, whatever else is wrong."""
    stays, goes, new = (new_token(name, PLUGIN) for name in ("stays", "goes", "new"))
    path.write_text(f"{stays[1]}\n{goes[1]}")
    tokens = TokenFile(str(path))
    path.write_text(f"{stays[1]}\n{new[1]}\nbroken")
    for _ in range(3):
        assert names(tokens, stays[0], goes[0], new[0]) == ["stays", None, None]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "line 3: line: must be NAME ROLE SHA256" in lines[0]
    assert "1 tokens that still stand in it stay" in lines[0]
    path.write_text(f"{stays[1]}\n{new[1]}")
    assert names(tokens, stays[0], goes[0], new[0]) == ["stays", None, "new"]


def test_a_file_that_becomes_readable_for_others(path: Path) -> None:
    """It is broken: what stood in it stays, and no more."""
    old, new = new_token("old", PLUGIN), new_token("new", PLUGIN)
    path.write_text(old[1])
    tokens = TokenFile(str(path))
    path.write_text(f"{old[1]}\n{new[1]}")
    path.chmod(0o644)
    assert names(tokens, old[0], new[0]) == ["old", None]
    path.chmod(0o600)
    assert names(tokens, old[0], new[0]) == ["old", "new"]


def test_a_file_that_cannot_be_read_later_changes_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, line = new_token("a", PLUGIN)
    path.write_text(line)
    tokens = TokenFile(str(path))
    path.unlink()
    path.mkdir()
    for _ in range(3):
        assert names(tokens, token) == ["a"]
    assert [r.getMessage() for r in caplog.records] == [
        f"token_file {path}: Is a directory; all tokens stay"
    ]
    path.rmdir()
    path.touch(mode=0o600)
    path.write_text(f"{line} # again")
    assert names(tokens, token) == ["a"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_none_is_needed_on_loopback(host: str) -> None:
    assert tokens_for(host, None) is None


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "fd00::1"])
def test_without_one_rest_is_not_served_elsewhere(host: str, path: Path) -> None:
    with pytest.raises(L2IsoError, match="set token_file in"):
        tokens_for(host, None)
    assert tokens_for(host, str(path)) is not None


def test_the_token_of_an_agent(path: Path) -> None:
    path.write_text("abc-_.~+/1=\n")
    assert read_token(str(path)) == "abc-_.~+/1="
    path.chmod(0o640)
    with pytest.raises(L2IsoError, match="nobody but the owner"):
        read_token(str(path))
    path.chmod(0o600)
    for bad in ("", "a b", "a\nb", "é", "x" * 1025):
        path.write_text(bad)
        with pytest.raises(L2IsoError, match="token_file .*: token: must be one word") as caught:
            read_token(str(path))
        assert not bad or bad not in str(caught.value)


def test_the_command_prints_a_token_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert token_command.main(["n1", "--role", "agent", "--dpid", "00000000000000A1"]) == 0
    token, line = capsys.readouterr().out.splitlines()
    assert line == f"n1 agent {hash_of(token)} 00000000000000a1"


@pytest.mark.parametrize(
    "arguments",
    [["n 1", "--role=plugin"], ["n", "--role=agent"], ["n", "--role=agent", "--dpid=1"]],
)
def test_the_command_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert token_command.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("l2iso-token: error: ")


def test_the_command_runs() -> None:
    command = [sys.executable, "-m", "ryu_l2iso.token_command", "n", "--role", "viewer"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30)
    assert len(parse(done.stdout.decode().splitlines()[1])) == 1


def test_a_hash_of_what_is_no_text() -> None:
    """A header may hold any byte."""
    assert hash_of("\udcff") != hash_of("ÿ")


def test_parse_names_the_line() -> None:
    with pytest.raises(InvalidValue, match="line 1: role"):
        parse(f"a b {HASH}")


def test_reading_again_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tokens = TokenFile(str(path))
    path.write_text(new_token("a", PLUGIN)[1])
    tokens.holder("x")
    assert caplog.messages == [f"token_file {path}: read again, 1 tokens"]
