"""``l2iso-agent``: registers this compute node's Open vSwitch with the controller."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or Ctrl-C; return the exit status.

    0 after a signal, 2 when the options cannot be used.  Everything else is imported after the
    monkey patch: a socket or a lock that is made before it blocks every green thread.
    """
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet

    eventlet.monkey_patch()

    from ryu_l2iso import node

    return node.main(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
