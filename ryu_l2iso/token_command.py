"""``l2iso-token``: makes a token of the REST API."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.state.values import parse_dpid
from ryu_l2iso.tokens import ROLES, new_token

PROG = "l2iso-token"


def main(argv: Sequence[str] | None = None) -> int:
    """Print a token and the line of the token file that it is good by; return the exit status."""
    parser = argparse.ArgumentParser(
        PROG,
        description="Prints a new token, once and nowhere else, for whoever shall use it; and "
        "below it the line to append to the token_file of the controller.",
    )
    parser.add_argument("name", help="who gets it, as the audit log shall say")
    parser.add_argument("--role", choices=ROLES, required=True, help="what it is good for")
    parser.add_argument(
        "--dpid", action="append", default=[], help="switch of an agent; can be repeated"
    )
    arguments = parser.parse_args(argv)
    try:
        dpids = [parse_dpid(dpid) for dpid in arguments.dpid]
        token, line = new_token(arguments.name, arguments.role, dpids)
    except InvalidValue as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 2
    print(token)
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
