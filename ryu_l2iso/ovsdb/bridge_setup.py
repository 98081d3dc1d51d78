"""Putting a bridge under control, in the order that keeps it isolated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ryu_l2iso.ovsdb.commands import EnsureControllers, EnsureOpenFlow, SecureBridge
from ryu_l2iso.ovsdb.connection import TIMEOUT, Connection


def set_up_bridge(
    connection: Connection[Any], targets: Sequence[str], timeout: float = TIMEOUT
) -> None:
    """Secure the bridge, and only when ovs-vswitchd has done that, give it our controllers.

    ``targets`` are as in ``tcp:IP:PORT``.  Changes nothing when all is so already.  Raises
    OVSDBError, as ``Connection.transact`` does.
    """
    deadline = time.monotonic() + timeout
    connection.transact([SecureBridge(), EnsureOpenFlow()], timeout, wait_for_vswitchd=True)
    remaining = max(0.0, deadline - time.monotonic())
    connection.transact([EnsureControllers(tuple(targets))], remaining)
