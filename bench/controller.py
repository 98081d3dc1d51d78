"""The controller as a process of its own, ready to be measured."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

from bench.measuring import wait_until
from tests.functional.controller import Controller

START = 60.0
"""Seconds that the process may take to answer REST and OpenFlow."""

_OPTIONS = "openflow_max_per_address = 2048\n"
"""All simulated switches call from one address."""


@contextlib.contextmanager
def running(directory: Path, isolation: str = "gre", options: str = "") -> Iterator[Controller]:
    """Run ``l2iso-manager`` while inside; what it must remember is kept in ``directory``.

    ``options`` are lines for the group ``[l2iso]`` of its configuration.
    """
    path = directory / "ryu_l2iso.conf"
    connection = f"connection = {directory}/state.db\n"
    path.write_text(f"[l2iso]\n{connection}{_OPTIONS}{options}", encoding="utf-8")
    arguments = ("--isolation", isolation, "--config-file", str(path))
    with Controller(options=arguments) as controller:
        wait_until(lambda: _answers(controller), "REST to answer", START)
        controller.wait_until_listening()
        yield controller


def _answers(controller: Controller) -> bool:
    if controller.process.poll() is not None:
        raise RuntimeError(f"the controller ended:\n{controller.log()}")
    with contextlib.suppress(OSError, http.client.HTTPException):
        return controller.request("GET", "/v1.0/networks")[0] == 200
    return False
