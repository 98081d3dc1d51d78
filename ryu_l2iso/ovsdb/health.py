"""Saying once what is wrong with a server, and once that it is well again."""

from __future__ import annotations

import logging

LOG = logging.getLogger(__name__)

MOST_TROUBLES = 16
"""Different texts that are logged until all is well: what a server sends may stand in them."""
SILENT_AFTER = 3.0
"""Seconds without the database until that is worth a line in the log."""
STALLED_AFTER = 30.0
"""Seconds that a connected server may take to give its database before it is called again."""


class Health:
    """What has been logged about one server, and since when it is amiss.

    ``now`` is ``time.monotonic()`` throughout.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._logged: set[str] = set()
        self._amiss_since: float | None = None
        self._connected_since: float | None = None

    def log_once(self, trouble: str, traceback: bool = False) -> None:
        """Log what is wrong unless that has been said since all was well."""
        if trouble not in self._logged and len(self._logged) < MOST_TROUBLES:
            self._logged.add(trouble)
            LOG.warning("%s: %s; trying on", self._label, trouble, exc_info=traceback)

    def well(self) -> None:
        """Note that the server gave its database, with the bridge in it."""
        if self._logged:
            LOG.info("%s: its OVSDB is read again", self._label)
        self._logged.clear()
        self._amiss_since = self._connected_since = None

    def moved(self) -> None:
        """Note that it is another server now, which has had no time yet."""
        self._amiss_since = self._connected_since = None

    def not_in_sync(
        self, now: float, connected: bool, address: str, trouble: str | None = None
    ) -> bool:
        """Note that the database is not being read; return whether to call the server again.

        ``trouble`` is why, where that is known, about the server as "it".
        """
        if self._amiss_since is None:
            self._amiss_since = now
        if not connected:
            self._connected_since = None
        elif self._connected_since is None:
            self._connected_since = now
        if now - self._amiss_since >= SILENT_AFTER:
            what = "does not give its database" if connected else "does not answer"
            self.log_once(f"OVSDB server {address} {what}{f': {trouble}' if trouble else ''}")
        since = self._connected_since
        if since is None or now - since < STALLED_AFTER:
            return False
        self._connected_since = None
        return True
