"""docs/rest.rst says what the code does: its examples are run, its requests are those there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ryu_l2iso import tokens
from ryu_l2iso.rest import openapi
from ryu_l2iso.state.ports import InterfaceFact, OFPort
from tests.unit.rest_client import Client

TEXT = (Path(__file__).parents[2] / "docs" / "rest.rst").read_text(encoding="utf-8")
EXAMPLES = [
    block for block in re.findall(r"::\n\n((?:    .*\n)+)", TEXT) if block.startswith("    $ curl")
]
SHORT = dict(re.findall(r"``([A-Z]+)``\s+stands\s+for\s+``(/.*?)``", TEXT))


def curl(client: Client, line: str) -> str:
    """Do what curl does and return what it prints."""
    method, body, path = "GET", b"", ""
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-d":
            body = next(words).encode()
        else:
            path = word.replace("$API", "/v1.0")
    return client.call(method, path, body).body.decode()


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.split()[-1])
def test_examples(block: str) -> None:
    """Each command prints what stands below it."""
    client = Client()
    client.state.ports.set_of_port(0xA1, OFPort(5, "tap0", up=True))
    if "vif1" in block:
        row = InterfaceFact("tap0", 5, "vif1", "02:00:00:00:00:0a")
        client.state.ports.update_interfaces(0xA1, {"tap0": row})
    printed = "".join(
        f"    $ {line}\n" + "".join(f"    {text}\n" for text in [curl(client, line)] if text)
        for line in re.findall(r"\$ (curl .*)", block)
    )
    assert printed == block


def test_the_example_of_a_token_file() -> None:
    example = re.search(r"::\n\n((?:    .*\n)+)\n``l2iso-token``", TEXT)
    assert example is not None
    assert [(holder.name, holder.role) for holder in tokens.parse(example[1])] == [
        ("nova", "plugin"),
        ("node1", "agent"),
    ]


def test_requests() -> None:
    """The tables have every request that there is, and no other."""
    documented = set()
    for method, path in re.findall(r"^(GET|POST|PUT|DELETE) +``(.*?)``", TEXT, re.MULTILINE):
        first, slash, rest = path.partition("/")
        full = f"{SHORT[first]}{slash}{rest}" if first else path
        base = "" if full == openapi.PATH else "/v1.0"
        documented.add((method, base + full.replace("{dpid}_{port_no}", "{port}")))
    routes = Client().application.router.routes
    assert documented == {(method, path) for path, methods in routes.items() for method in methods}
    assert len(EXAMPLES) == 8
