"""A wired lab whose first VM can be moved, and what is to be known of its two places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ryu_l2iso.lab import demo
from ryu_l2iso.lab.flows import dump_flows
from ryu_l2iso.lab.frames import BROADCAST_MAC, find_token, probe_frame
from ryu_l2iso.lab.migration import peers_of
from ryu_l2iso.lab.moving import MovableVM
from ryu_l2iso.lab.node import Node
from ryu_l2iso.lab.shell import wait_until
from ryu_l2iso.lab.station import Stations, packet_socket, read_frames
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.vm import VM
from tests.e2e.probing import DEADLINE, QUIET, TOKEN, ping_answered


class Moving(NamedTuple):
    """A lab, its VM that can be moved, and a VM of its network on each node."""

    lab: Lab
    movable: MovableVM
    peers: list[VM]

    @property
    def here(self) -> Node:
        """The node where the guest runs."""
        return self.movable.vm.node

    @property
    def there(self) -> Node:
        """Another node."""
        nodes = self.lab.nodes
        return nodes[(nodes.index(self.here) + 1) % len(nodes)]

    def prepare(self, node: Node) -> None:
        """Plug the VM's port into another node as well; wait until that has flows for it."""
        self.movable.prepare(node)
        port = f'in_port="{self.movable.vm.tap}"'
        wait_until(
            lambda: any(port in flow.match for flow in dump_flows(node)),
            DEADLINE,
            f"{node.name} to have flows for the port",
        )

    def reached(self) -> bool:
        """Whether the guest reaches all of its peers, and they it."""
        vm = self.movable.vm
        return all(ping_answered(vm, p, 0.3) and ping_answered(p, vm, 0.3) for p in self.peers)

    def wait_until_reached(self) -> None:
        """Wait until the guest reaches all of its peers, and they it."""
        wait_until(self.reached, DEADLINE, "the guest to reach its peers")

    def hears(self, node: Node, frames: list[bytes]) -> list[str]:
        """Send frames with TOKEN at a node as the VM; return the names of the VMs that get any."""
        with Stations(self.lab.vms) as stations:
            self.movable.send_from(node, *frames)
            while stations.read(QUIET):
                pass
            return sorted({self.lab.vms[place].name for place, _ in stations.seen})

    def gets(self, node: Node) -> int:
        """Return how many frames come to the VM at a node: a unicast and a broadcast of each peer.

        Where the VM does not run as well.
        """
        vm = self.movable.vm
        with packet_socket(vm.namespace, self.movable.cable(node)) as cable:
            with Stations(self.lab.vms) as stations:
                for number, peer in enumerate(self.lab.vms):
                    for mac in (vm.address.mac, BROADCAST_MAC) if peer in self.peers else ():
                        frame = probe_frame(mac, peer.address.mac, TOKEN)
                        stations.all[number].send_frame(frame)
                while stations.read(QUIET):
                    pass
            return sum(find_token(frame) is not None for frame in read_frames(cable))


def moving_lab(request: pytest.FixtureRequest, isolation: str) -> Iterator[Moving]:
    """Yield a wired lab whose first VM can be moved; its logs stay when a test has failed."""
    failed_before = request.session.testsfailed
    with Lab(isolation=isolation) as made:
        print(f"logs, if a test fails: {made.directory}")
        made.keep_logs = True
        movable = MovableVM(made.vms[0])
        movable.add()
        demo.start(made)
        demo.wire(made)
        yield Moving(made, movable, peers_of(made, movable.vm))
        made.keep_logs = request.session.testsfailed > failed_before
