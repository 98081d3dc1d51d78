"""The rules that the folders and the style keep: who imports what, and how long things are."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "ryu_l2iso").rglob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))
PURE = ("ryu_l2iso.state", "ryu_l2iso.pipelines")
FRAMEWORKS = ("ryu", "os_ken")
OURS = ("ryu_l2iso", *FRAMEWORKS)

# Of the standard library, what touches nothing outside the program.
STANDARD = {
    *("__future__", "abc", "bisect", "collections", "contextlib", "dataclasses", "enum"),
    *("functools", "hashlib", "heapq", "ipaddress", "itertools", "json", "math", "operator"),
    *("re", "string", "struct", "typing", "uuid"),
}

Rule = Callable[[Path], Iterator[str]]
"""Yields where a file breaks it."""

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

MAX_FUNCTION = 40
MAX_FILE = 400


def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    """Return the module that a file is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of all that a file imports, by statement or by name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from filter(None, map(_text, node.args))


def _text(node: ast.AST) -> str | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return ast.literal_eval(ast.unparse(node)) if is_text else None


def is_under(name: str, packages: tuple[str, ...]) -> bool:
    """Tell whether a module is one of the packages, or in one."""
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def impure(path: Path) -> Iterator[str]:
    """Yield what has no place in pure code."""
    if not is_under(module_name(path), PURE):
        return
    for name in imports(path):
        allowed = name.partition(".")[0] in STANDARD | {"netaddr"}
        if not allowed and not is_under(name, (*PURE, "ryu_l2iso.exceptions")):
            yield f"imports {name}"
    for node in ast.walk(tree(path)):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if called in {"open", "print", "input", "uuid.uuid1", "uuid.uuid4", "__import__"}:
            yield f"line {node.lineno} calls {called}"  # type: ignore[attr-defined]


def framework_named(path: Path) -> Iterator[str]:
    """Yield where Ryu or os-ken is imported, or named by a string."""
    if path.name == "framework.py":
        return
    yield from (f"imports {name}" for name in imports(path) if is_under(name, FRAMEWORKS))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.split()
            if len(words) == 1 and is_under(words[0], FRAMEWORKS):
                yield f"line {node.lineno} names {words[0]}"


def ovs_imported(path: Path) -> Iterator[str]:
    """Yield imports of ``ovs`` outside its package."""
    if not is_under(module_name(path), ("ryu_l2iso.ovsdb",)):
        yield from (f"imports {name}" for name in imports(path) if is_under(name, ("ovs",)))


def judges_imported(path: Path) -> Iterator[str]:
    """Yield imports of the tests or the measurements, which are not installed."""
    yield from (f"imports {name}" for name in imports(path) if is_under(name, ("bench", "tests")))


def judged_imported(path: Path) -> Iterator[str]:
    """Yield what a measurement imports of what it measures.

    The simulated switches have nothing in common with anybody; only what runs as an app of the
    controller, and the nodes of the lab, are ours.
    """
    module = module_name(path)
    if is_under(module, ("bench.apps",)):
        return
    for name in imports(path):
        if is_under(module, ("bench.simulator",)):
            own = is_under(name, ("bench.simulator",))
            wrong = not own and name.partition(".")[0] in {"bench", "tests", *OURS}
        else:
            wrong = is_under(name, OURS) and not is_under(name, ("ryu_l2iso.lab",))
        if wrong:
            yield f"imports {name}"


def options_registered(path: Path) -> Iterator[str]:
    """Yield where options are registered outside the module of all options."""
    if path.name == "config.py":
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if re.fullmatch("register_(cli_)?opts?", called):
                yield f"line {node.lineno} calls {called}"


def table_numbers(path: Path) -> Iterator[str]:
    """Yield table numbers outside the declarations of tables."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) == "Table":
            continue
        values = [word.value for word in node.keywords if word.arg in {"table", "table_id", "goto"}]
        if ast.unparse(node.func).rpartition(".")[2] == "Flow":
            values += node.args[:1]
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, int):
                yield f"line {value.lineno} has a table number"


def undocumented(path: Path) -> Iterator[str]:
    """Yield what is public and has no docstring; inside a function nothing is public."""
    module = tree(path)
    if module.body and not ast.get_docstring(module):
        yield "the module"
    bodies: list[list[ast.stmt]] = [module.body]
    while bodies:
        for node in bodies.pop():
            if not isinstance(node, DEFINITIONS) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"line {node.lineno}, {node.name}"
            if isinstance(node, ast.ClassDef):
                bodies.append(node.body)


def too_long(path: Path) -> Iterator[str]:
    """Yield functions, and the file, that are too long."""
    if len(path.read_text(encoding="utf-8").splitlines()) > MAX_FILE:
        yield "the file"
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > MAX_FUNCTION:
                yield f"line {node.lineno}, {node.name} has {length} lines"


RULES = (
    impure,
    framework_named,
    ovs_imported,
    judges_imported,
    options_registered,
    table_numbers,
    undocumented,
    too_long,
)
BENCH_RULES = (judged_imported, undocumented, too_long)


def broken(files: list[Path], rule: Rule) -> list[str]:
    """Return where files break a rule."""
    assert files
    return [f"{path.relative_to(ROOT)}: {text}" for path in files for text in rule(path)]


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    assert not broken(FILES, rule)


@pytest.mark.parametrize("rule", BENCH_RULES)
def test_every_measurement_keeps_the_rule(rule: Rule) -> None:
    assert not broken(BENCH, rule)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (impure, "from socket import socket"),
        (impure, "from ryu_l2iso.openflow import wire"),
        (impure, "print()"),
        (framework_named, "from os_ken.lib import hub"),
        (framework_named, "import ryu"),
        (framework_named, "load('ryu.base.app_manager')"),
        (ovs_imported, "import ovs.jsonrpc"),
        (judges_imported, "from bench.cloud import Cloud"),
        (judges_imported, "import tests.functional.ovs"),
        (options_registered, "CONF.register_opts([])"),
        (table_numbers, "Flow(0, 1)"),
        (table_numbers, "anything(goto=2)"),
        (undocumented, "class Public: ..."),
        (undocumented, "def public(): ..."),
        (too_long, "def long():\n" + "    pass\n" * MAX_FUNCTION),
        (too_long, "pass\n" * (MAX_FILE + 1)),
    ],
)
def test_a_broken_rule_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    rule: Rule,
    code: str,
) -> None:
    folder = "ryu_l2iso/state" if rule is impure else "ryu_l2iso/apps"
    assert breaks(monkeypatch, tmp_path / folder, tmp_path, rule, code)


@pytest.mark.parametrize(
    ("folder", "code", "seen"),
    [
        ("simulator", "from bench.cloud import Cloud", True),
        ("simulator", "from ryu_l2iso.openflow import wire", True),
        ("simulator", "from bench.simulator import messages", False),
        ("figures", "from ryu_l2iso.openflow import wire", True),
        ("figures", "from os_ken.lib import hub", True),
        ("figures", "from ryu_l2iso.lab import demo", False),
        ("apps", "from ryu_l2iso.openflow import wire", False),
    ],
)
def test_a_measurement_that_uses_what_it_measures_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, code: str, seen: bool
) -> None:
    folder_path = tmp_path / "bench" / folder
    assert breaks(monkeypatch, folder_path, tmp_path, judged_imported, code) == seen


def breaks(
    monkeypatch: pytest.MonkeyPatch, folder: Path, root: Path, rule: Rule, code: str
) -> bool:
    """Tell whether a module of this code breaks a rule."""
    monkeypatch.setattr(f"{__name__}.ROOT", root)
    path = folder / "broken.py"
    path.parent.mkdir(parents=True)
    path.write_text(f'"""A module."""\n{code}\n')
    return bool(list(rule(path)))


def test_the_lists_of_the_standard_library_hold() -> None:
    if sys.version_info >= (3, 10):
        assert sys.stdlib_module_names >= STANDARD
