"""A tiny run of what ``make bench`` runs: every figure is measured, whatever its value."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.functional.controller import ROOT

DEADLINE = 300.0
WANTED = {"rate", "read_rate", "bulk", "bind", "cold", "messages", "plain_rate", "rtt", "bulk_4"}
"""One value of each of the measurements at least."""


def run_bench(*arguments: str) -> None:
    """Run it; raise with what it printed when it fails, and leave no process in any case."""
    command = (sys.executable, "-m", "bench", *arguments)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=DEADLINE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, printed


def test_every_figure_can_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    run_bench("--tiny", "--runs=1", f"--json={path}")
    results = json.loads(path.read_text())["results"]
    values = {name for result in results for name in result["samples"][0]}
    assert values >= WANTED
    for result in results:
        assert result["rows"], result["figure"]
        # What is sent follows from what changes, on a machine of any speed.
        counted = {row["label"]: row["met"] for row in result["rows"] if not row["unit"]}
        assert False not in counted.values(), counted
