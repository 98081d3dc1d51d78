"""Runs one app on the bare framework, os-ken: ``python -m bench.apps.bare OPTIONS MODULE``.

It takes the options that ``l2iso-manager`` takes, and leaves those that are none of os-ken's.
"""

from __future__ import annotations

import os
import sys
import warnings

COMMAND = (sys.executable, "-m", "bench.apps.bare")


def main() -> None:
    """Run until the process is ended."""
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    os.environ["OSKEN_HUB_TYPE"] = "eventlet"
    import eventlet

    eventlet.monkey_patch()
    from os_ken.base.app_manager import AppManager
    from os_ken.cfg import CONF
    from os_ken.controller import controller  # noqa: F401  # registers the options

    name = "--ofp-tcp-listen-port"
    CONF([name, sys.argv[sys.argv.index(name) + 1]], project="os_ken")
    AppManager.run_apps([sys.argv[-1]])


if __name__ == "__main__":
    main()
