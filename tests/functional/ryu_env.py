"""Where a ``ryu-manager`` is: beside this interpreter, or in an environment that tox builds."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MAY_SKIP
from tests.functional.controller import ROOT

BUILD_DEADLINE = 600.0
"""Seconds that building the environment may take: it downloads and compiles Ryu."""


@functools.cache
def ryu_manager() -> str:
    """Return the path of a ``ryu-manager``; skips the test where there is no Python 3.9."""
    beside = Path(sys.executable).with_name("ryu-manager")
    if beside.exists():
        return str(beside)
    python = next((path for path in _candidates() if _is_python_39(path)), None)
    if python is None:
        pytest.skip(f"{MAY_SKIP}: Ryu does not run on any newer one, ryu-manager was not tested")
    command = (sys.executable, "-m", "tox", "run", "-e", "ryu", "--notest", "--discover", python)
    built = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_DEADLINE,
        check=False,
    )
    if built.returncode != 0:
        pytest.fail(f"tox -e ryu: {built.stdout.decode()}")
    return str(ROOT / ".tox" / "ryu" / "bin" / "ryu-manager")


def _candidates() -> Iterator[str]:
    """Yield what may be a Python 3.9: in PATH, and among pyenv's, which need not be in PATH."""
    in_path = shutil.which("python3.9")
    if in_path is not None:
        yield in_path
    if shutil.which("pyenv"):
        root = subprocess.run(("pyenv", "root"), stdout=subprocess.PIPE, check=False).stdout
        folder = Path(root.decode().strip(), "versions")
        yield from map(str, sorted(folder.glob("3.9*/bin/python3.9")))


def _is_python_39(path: str) -> bool:
    """Tell whether it runs: pyenv puts a ``python3.9`` in PATH that may only print an error."""
    code = "import sys, venv; sys.exit(sys.version_info[:2] != (3, 9))"
    done = subprocess.run(
        (path, "-c", code), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0
