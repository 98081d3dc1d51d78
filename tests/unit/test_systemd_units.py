"""The systemd units: what they start exists, with arguments that it takes."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ryu_l2iso.node_settings import PROG

UNITS = Path(__file__).parents[2] / "etc" / "systemd"


def command(unit: str) -> list[str]:
    """Return the command line that a unit starts."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(UNITS / unit)
    return shlex.split(parser["Service"]["ExecStart"])


def test_the_agents_unit_starts_the_agent() -> None:
    program, option, path = command("l2iso-agent.service")
    assert Path(program).name == PROG
    assert (option, Path(path).name) == ("--config-file", f"{PROG}.conf")


def test_the_managers_unit_starts_the_apps_of_the_isolation_in_its_file() -> None:
    program, *arguments = command("l2iso-manager.service")
    assert Path(program).name == "l2iso-manager"
    assert arguments == ["--config-file", "/etc/ryu_l2iso/ryu_l2iso.conf"]


@pytest.mark.parametrize("unit", ["l2iso-agent.service", "l2iso-manager.service"])
def test_systemd_finds_nothing_wrong(unit: str, tmp_path: Path) -> None:
    text = (UNITS / unit).read_text(encoding="utf-8")
    assert "\nRestart=on-failure\n" in text
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    # The programs need not be installed for the test.
    installed = text.replace(command(unit)[0], "/bin/true")
    (tmp_path / unit).write_text(installed, encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", str(tmp_path / unit)], capture_output=True, timeout=60, check=False
    )
    ours = [line for line in done.stderr.decode().splitlines() if unit in line]
    assert ours == []
