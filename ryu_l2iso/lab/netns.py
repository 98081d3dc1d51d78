"""Network namespaces, and the Linux bridge in one of them that plays the physical network."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ryu_l2iso.lab.shell import run

RUN_DIRECTORY = Path("/run/netns")
"""Where ip-netns(8) keeps the names of namespaces."""

CLONE_NEWNET = 0x40000000
"""setns(2): the file descriptor must refer to a network namespace."""

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


class Namespace:
    """A network namespace known by its name to ``ip netns``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, ipv6: bool) -> None:
        """Create the namespace with its loopback up; without ``ipv6`` no port gets IPv6."""
        run(["ip", "netns", "add", self.name])
        if not ipv6:
            self.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        self.ip("link set lo up")

    def remove(self) -> None:
        """Remove the namespace and every port in it; nothing happens when it does not exist."""
        if (RUN_DIRECTORY / self.name).exists():
            run(["ip", "netns", "del", self.name])

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs ``argv`` in the namespace, in the same process."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str) -> str:
        """Run a command in the namespace; raises LabError when it fails."""
        return run(self.command(*argv))

    def ip(self, *lines: str) -> str:
        """Run lines of ip(8) in the namespace, all by one process; raises LabError."""
        return run(["ip", "-n", self.name, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def sysctl(self, path: str, value: int) -> None:
        """Set a kernel variable; ``path`` is below /proc/sys and begins with ``net/``."""
        with self._entered():
            Path("/proc/sys", path).write_text(str(value))

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket that belongs to the namespace, whatever this process is in."""
        with self._entered():
            return socket.socket(family, kind, protocol)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """Be in the namespace; what is done inside must not let another thread run."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(str(RUN_DIRECTORY / self.name), os.O_RDONLY)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)


class PhysicalNetwork:
    """A Linux bridge in a namespace of its own: nothing of the host is touched or met."""

    BRIDGE = "br0"

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace

    def add(self) -> None:
        """Create namespace and bridge."""
        self.namespace.add(ipv6=False)
        self.namespace.ip(f"link add {self.BRIDGE} type bridge", f"link set {self.BRIDGE} up")

    def connect(self, namespace: Namespace, port: str) -> None:
        """Give a namespace an ``eth0`` on the bridge, where the other end is called ``port``."""
        namespace.ip(
            f"link add eth0 type veth peer name {port} netns {self.namespace.name}",
            "link set eth0 up",
        )
        # A checksum left for the hardware is never filled in: OVS takes the packet raw.
        namespace.run("ethtool", "-K", "eth0", "tx", "off")
        self.namespace.ip(f"link set {port} master {self.BRIDGE} up")
