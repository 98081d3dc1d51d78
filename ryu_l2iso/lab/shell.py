"""Run a command, or wait for something, with a deadline and an error that says what failed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable

from ryu_l2iso.exceptions import L2IsoError

PACKAGES: dict[str, str] = {
    "ip": "iproute2",
    "ethtool": "ethtool",
    "openssl": "openssl",
    "ovsdb-tool": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-switch",
}
"""command that the lab runs → Debian package that brings it."""


class LabError(L2IsoError):
    """The lab cannot be set up, or something in it did not happen in time."""


def missing_requirement() -> str | None:
    """Return why no lab can run here, in one line, or ``None`` when one can."""
    if os.geteuid() != 0:
        return "the lab makes network namespaces: run it as root"
    missing = [command for command in PACKAGES if shutil.which(command) is None]
    if missing:
        packages = sorted({PACKAGES[command] for command in missing})
        return f"not found: {', '.join(missing)}; apt-get install {' '.join(packages)}"
    return None


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    deadline: float = 20.0,
) -> str:
    """Run a command and return what it printed.

    ``env`` is added to this process's environment; ``deadline`` is in seconds.
    Raises LabError when the command fails or does not end in time.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=deadline,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"no end within {deadline:g} s: {shlex.join(argv)}") from None
    if done.returncode != 0:
        said = " / ".join(done.stderr.split("\n")).strip(" /")
        raise LabError(f"status {done.returncode}: {shlex.join(argv)}: {said}")
    return done.stdout


def wait_until(
    condition: Callable[[], object], deadline: float, what: str, interval: float = 0.02
) -> None:
    """Wait until ``condition()`` is true; look every ``interval`` seconds.

    Raises LabError naming ``what`` when that is not so within ``deadline`` seconds.
    """
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {deadline:g} s in vain for {what}")
        time.sleep(interval)


def median(values: Iterable[float]) -> float:
    """Return the median; raises LabError when there is no value."""
    ordered: list[float] = sorted(values)
    if not ordered:
        raise LabError("no median without a value")
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
