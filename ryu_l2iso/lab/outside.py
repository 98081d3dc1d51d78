"""What a node's own daemons log of what they are sent: counts that need no trust in the sender."""

from __future__ import annotations

import re
from collections import Counter

from ryu_l2iso.lab.node import Node

CHANGING = frozenset(
    {
        "OFPT_FLOW_MOD",
        "OFPT_GROUP_MOD",
        "OFPT_METER_MOD",
        "OFPT_PORT_MOD",
        "OFPT_TABLE_MOD",
        "OFPT_BUNDLE_CONTROL",
        "OFPT_BUNDLE_ADD_MESSAGE",
        "transact",
    }
)
"""What changes something at a switch; ``transact`` is OVSDB's (RFC 7047, 4.1.3)."""

READ = frozenset({"OFPST_FLOW", "monitor"})
"""What a controller asks that reads a switch and its OVSDB; ``monitor`` in any of its forms."""

_OPENFLOW = re.compile(r"\|(?:tcp|ssl):[^|]*: received: (OFP[A-Z]+_[A-Z_0-9]+)")
_OVSDB = re.compile(r"\|(?:tcp|ssl):[^|]*: received request, method=\"(monitor|transact)")


class Outside:
    """Counts what one node is sent over the network, from when it is made.

    Both daemons must run then; one that is started anew later has to be watched anew.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self._logs = {node.vswitchd.log: _OPENFLOW, node.ovsdb_server.log: _OVSDB}
        node.appctl("vlog/set", "vconn:console:dbg")
        node.appctl("vlog/disable-rate-limit", "vconn")
        node.appctl("-t", "ovsdb-server", "vlog/set", "jsonrpc:console:dbg")
        self._from = {log: log.stat().st_size for log in self._logs}

    def received(self) -> Counter[str]:
        """Return how often each kind of message came: ``OFPT_…``, ``transact``, ``monitor``.

        A request for statistics counts by its own kind, ``OFPST_…``.
        """
        found: Counter[str] = Counter()
        for log, pattern in self._logs.items():
            with log.open("rb") as opened:
                opened.seek(self._from[log])
                text = opened.read().decode(errors="replace")
            found.update(pattern.findall(text))
        return found

    def changes(self) -> Counter[str]:
        """Return how often each kind of message came that changes something."""
        return Counter({k: n for k, n in self.received().items() if k in CHANGING})

    def was_read(self) -> bool:
        """Whether flows and OVSDB were read."""
        return self.received().keys() >= READ
