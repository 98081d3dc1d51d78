"""One line for each call that changes something, and for each call or peer that is refused.

The logger is ``ryu_l2iso.audit``, so that the lines can be sent elsewhere than the rest.
"""

from __future__ import annotations

import json
import logging

LOG = logging.getLogger("ryu_l2iso.audit")
# Whatever the level of the others is: a quiet log is no reason to leave no trace.
LOG.setLevel(logging.INFO)

NOBODY = "-"
"""Who is not known, or need not be."""

MAX_VALUE = 300
"""Characters that are kept of each value; what is cut off stands as three dots."""


def record(who: str, origin: str, what: str, result: int | str) -> None:
    """Log who (NOBODY where that is not known) did what, from where, and how it ended.

    The line is a JSON object in ASCII, so nothing that a peer sends can break it or look like
    another line.  No value may hold a secret.
    """
    line = {"who": _short(who), "from": _short(origin), "what": _short(what)}
    LOG.info("%s", json.dumps({**line, "result": _short(result)}))


def _short(value: int | str) -> int | str:
    if isinstance(value, int) or len(value) <= MAX_VALUE:
        return value
    return f"{value[:MAX_VALUE]}..."
