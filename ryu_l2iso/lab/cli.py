"""``l2iso-lab``: several compute nodes on one machine, to watch and to play with."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.lab import demo, migration, report, soak
from ryu_l2iso.lab.isolations import NAMES
from ryu_l2iso.lab.shell import missing_requirement
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.state.locations import ACTIVATE, DUPLICATE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("l2iso-lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    descriptions = {
        "demo": "wire everything, print the isolation matrix, end 0 only if it is as it must be",
        "up": "do the same, then leave it running until Ctrl-C",
        "migrate": "move a VM that pings, print what was lost, end 0 only if nothing came twice",
        "soak": "faults at random while VMs ping, end 0 only if nothing leaked or stayed broken",
    }
    for name, text in descriptions.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--isolation", choices=NAMES, default="gre", help="which (gre)")
        command.add_argument("--nodes", type=int, default=3, help="compute nodes (3)")
        command.add_argument("--networks", type=int, default=2, help="networks (2)")
        command.add_argument("--vms", type=int, default=2, help="VMs of a network on a node (2)")
        command.add_argument("--migration", choices=(ACTIVATE, DUPLICATE), default=ACTIVATE)
        command.add_argument("--tls", action="store_true", help="OpenFlow, OVSDB, REST by TLS")
    soaked = commands.choices["soak"]
    soaked.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    soaked.add_argument("--seed", type=int, default=1, help="of what happens when (1)")
    soaked.add_argument("--away", type=float, default=5.0, help="longest outage in seconds (5)")
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a closed terminal do what Ctrl-C does, if they were not ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stay(lab: Lab) -> None:
    print(report.title("The lab is up"))
    for line in report.play_lines(lab):
        print(line)
    print("\nCtrl-C ends it and removes everything.", flush=True)
    while True:
        signal.pause()


def _work(lab: Lab, arguments: argparse.Namespace) -> bool:
    if arguments.command == "soak":
        return soak.run(lab, arguments.seconds, arguments.seed, arguments.away)
    return migration.run(lab) if arguments.command == "migrate" else demo.run(lab)


def _run(lab: Lab, arguments: argparse.Namespace) -> bool:
    """Run a command in a lab, and clean up; returns whether all was as it must be."""
    start = time.monotonic()
    lab.keep_logs = True
    try:
        with lab:
            size = f"{len(lab.nodes)} nodes, {len(lab.vms)} VMs"
            print(f"{time.monotonic() - start:6.2f} s  {size}; named {lab.tag}", flush=True)
            ok = _work(lab, arguments)
            lab.keep_logs = not ok
            print(f"the whole took {time.monotonic() - start:.1f} s", flush=True)
            if arguments.command == "up":
                _stay(lab)
    except KeyboardInterrupt:
        lab.remove_logs()
        raise
    return ok


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``l2iso-lab``; return its exit status."""
    arguments = _parser().parse_args(argv)
    lack = missing_requirement()
    if lack is not None:
        print(f"l2iso-lab: {lack}", file=sys.stderr)
        return 2
    lab: Lab | None = None
    status = 1
    try:
        with _interruptible():
            lab = Lab(
                arguments.nodes,
                arguments.networks,
                arguments.vms,
                arguments.isolation,
                arguments.migration,
                soak.OPTIONS if arguments.command == "soak" else None,
                arguments.tls,
            )
            status = 0 if _run(lab, arguments) else 1
    except L2IsoError as error:
        print(f"l2iso-lab: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 0 if arguments.command == "up" else 128 + signal.SIGINT
    if lab is not None and lab.directory.exists():
        print(f"l2iso-lab: the logs are in {lab.directory}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
