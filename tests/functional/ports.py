"""TCP ports for what a test starts: nobody else on the machine gets one of them meanwhile."""

from __future__ import annotations

import socket
from collections import deque

KEPT = 100
"""More ports than one test asks for."""

_keepers: deque[socket.socket] = deque()


def free_port(host: str = "") -> int:
    """Return a TCP port, of ``host`` or of every IPv4 address, that nothing listens on.

    Until KEPT more have been asked for, a socket of this process stays bound to it.  The kernel
    then gives the port to nobody who connects or binds to any port, also while the server for
    which it is meant is being started again; that one may have it, for like every server it sets
    SO_REUSEADDR.
    """
    keeper = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind((host, 0))
    _keepers.append(keeper)
    if len(_keepers) > KEPT:
        _keepers.popleft().close()
    port: int = keeper.getsockname()[1]
    return port
