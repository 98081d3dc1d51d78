"""How long a new VM port waits: ``python -m ryu_l2iso.lab.bind`` (see also ``make bind``).

Plugs one more port of a network that is on every node, again and again, and takes two times: when
the port's OVSDB row is complete (``ovsdb-client monitor``) and when the last switch has the flow
towards its MAC (``ovs-ofctl monitor`` on each).  Both watchers cost time on the same cores, so
the figures are upper bounds.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator

from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.lab import demo
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node
from ryu_l2iso.lab.shell import median, missing_requirement, wait_until
from ryu_l2iso.lab.topology import Lab

ROUNDS = 30
DEADLINE = 5.0


class Watch:
    """Notes when each text that ``pattern`` finds was last printed by a program."""

    def __init__(self, argv: list[str], env: dict[str, str], pattern: str) -> None:
        self._argv = argv
        self._env = {**os.environ, **env}
        self._pattern = re.compile(pattern)
        self._heard = threading.Event()
        self.times: dict[str, float] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch while inside; raises LabError when the program prints nothing to begin with."""
        with subprocess.Popen(
            self._argv, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            reader = threading.Thread(target=self._read, args=(process,))
            reader.start()
            try:
                wait_until(self._heard.is_set, DEADLINE, f"{self._argv[0]} to print")
                yield
            finally:
                process.terminate()
                reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._heard.set()
            for found in self._pattern.findall(line):
                self.times[found] = time.monotonic()


def _rows(node: Node) -> Watch:
    columns = ["Interface", "name", "ofport", "external_ids"]
    argv = ["ovsdb-client", "--no-headings", "-f", "csv", "monitor", node.database]
    # A row of another MAC than the port's own is none of this measurement.
    return Watch([*argv, "Open_vSwitch", *columns], {}, r"attached-mac=\W*(fa:16:3e:01[:0-9a-f]+)")


def _flows(node: Node) -> Watch:
    argv = ["ovs-ofctl", "-O", "OpenFlow14", "monitor", INTEGRATION_BRIDGE, "watch:"]
    return Watch(node.namespace.command(*argv), node.env, r"dl_(?:src|dst)=(fa:16:3e:01[:0-9a-f]+)")


def _bind(lab: Lab, number: int, rows: Watch, flows: list[Watch]) -> tuple[float, float]:
    """Plug a port; return the seconds from its row, and from the command, to the last flow."""
    node, mac, tap = lab.nodes[0], f"fa:16:3e:01:00:{number:02x}", f"bind{number}"
    iface_id = str(uuid.uuid4())
    lab.quantum.create_interface(iface_id, lab.networks[0].network_id)
    ids = [f"external_ids:iface-id={iface_id}", f'external_ids:attached-mac="{mac}"']
    start = time.monotonic()
    port = ["add-port", INTEGRATION_BRIDGE, tap, "--", "set", "Interface", tap, "type=internal"]
    node.vsctl(*port, *ids)
    node.namespace.ip(f"link set {tap} up")
    wait_until(
        lambda: all(mac in watch.times for watch in (rows, *flows)),
        DEADLINE,
        f"every switch to have a flow for {mac}",
        0.005,
    )
    last = max(watch.times[mac] for watch in flows)
    return last - rows.times[mac], last - start


def measure(lab: Lab) -> list[tuple[float, float]]:
    """Return what `_bind` does, once for each round, in a lab that was just entered."""
    demo.start(lab)
    demo.wire(lab)
    rows = _rows(lab.nodes[0])
    flows = [_flows(node) for node in lab.nodes]
    with contextlib.ExitStack() as stack:
        for watch in (rows, *flows):
            stack.enter_context(watch.running())
        return [_bind(lab, number, rows, flows) for number in range(ROUNDS)]


def main() -> int:
    """Print the figures; return the exit status."""
    lack = missing_requirement()
    try:
        if lack is not None:
            raise L2IsoError(lack)
        with Lab(nodes=3, networks=2, vms=2) as lab:
            times = measure(lab)
    except L2IsoError as error:
        print(f"bind: {error}", file=sys.stderr)
        return 1
    from_row, from_command = ([t * 1000 for t in column] for column in zip(*times))
    print(f"{ROUNDS} ports, {len(lab.nodes)} nodes, until the last switch has the flow:")
    for what, values in (("OVSDB row", from_row), ("ovs-vsctl add-port", from_command)):
        print(f"from {what}: median {median(values):.1f} ms, longest {max(values):.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
