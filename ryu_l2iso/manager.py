"""``l2iso-manager``: the controller's command."""

from __future__ import annotations

import os
import sys
import warnings


def main() -> None:
    """Run the apps named on the command line; see ``ryu_l2iso.startup`` for the rest.

    Everything else is imported after the monkey patch: a lock or a socket that is made before it
    blocks every green thread.  Names are looked up at the start only, so that may block: eventlet's
    own way loads 15 MB of libraries.
    """
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet

    eventlet.monkey_patch(all=True, thread="--enable-debugger" not in sys.argv)

    from ryu_l2iso import startup

    sys.exit(startup.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
