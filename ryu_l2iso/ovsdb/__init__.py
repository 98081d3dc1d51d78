"""OVSDB: what each switch's database says, and the few things that we write there.

A ``Connection`` reads one bridge and tells its ``Listener`` what changed; a ``Fleet`` holds one
for each switch.  Changes are commands, given to ``Connection.transact``.

Repair: when somebody removes or changes what we created, the owner is told as of any other
change, and repairs by asking for the same commands again:

- a tunnel port of ours: ``interfaces_changed`` has its name, with None or with another row.
  ``InterfaceRow.remote_dpid`` tells ours from others; ask for ``EnsureTunnelPort`` again.
- our controllers, the fail mode or the protocols: ``bridge_changed`` has a row for which
  ``is_set_up(targets)`` is false; call ``set_up_bridge`` again.

The eventlet hub runs all of it: the process must be monkey-patched before this is imported.
"""

from ryu_l2iso.ovsdb.bridge_setup import set_up_bridge
from ryu_l2iso.ovsdb.commands import (
    Command,
    Each,
    EnsureControllers,
    EnsureManager,
    EnsureOpenFlow,
    EnsureTLS,
    EnsureTunnelPort,
    RemovePort,
    SecureBridge,
    SetAccessTag,
)
from ryu_l2iso.ovsdb.connection import Connection
from ryu_l2iso.ovsdb.fleet import Fleet
from ryu_l2iso.ovsdb.listener import Listener
from ryu_l2iso.ovsdb.node_stream import use_tls
from ryu_l2iso.ovsdb.rows import MARK, BridgeRow, ControllerRow, InterfaceRow

__all__ = [
    "MARK",
    "BridgeRow",
    "Command",
    "Connection",
    "ControllerRow",
    "Each",
    "EnsureControllers",
    "EnsureManager",
    "EnsureOpenFlow",
    "EnsureTLS",
    "EnsureTunnelPort",
    "Fleet",
    "InterfaceRow",
    "Listener",
    "RemovePort",
    "SecureBridge",
    "SetAccessTag",
    "set_up_bridge",
    "use_tls",
]
