"""Sockets in the VMs' namespaces: ping from a VM, send any frame, record all that arrives."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Callable

from ryu_l2iso.lab.frames import (
    ANYBODY,
    GREPacket,
    Kind,
    Seen,
    Token,
    echo_request4,
    echo_request6,
    find_token,
    parse_gre,
    recognise,
)
from ryu_l2iso.lab.netns import Namespace, PhysicalNetwork
from ryu_l2iso.lab.shell import LabError
from ryu_l2iso.lab.vm import VM

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4
"""Numbers of packet(7) and socket(7) that the standard library does not name."""

RECEIVE_BUFFER = 4 << 20
"""Bytes; the kernel's default holds some 250 small frames and a run brings more."""


def packet_socket(namespace: Namespace, port: str) -> socket.socket:
    """Return a packet(7) socket, not blocking, with every frame that comes in by a port."""
    opened = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    opened.bind((port, 0))
    opened.setblocking(False)
    return opened


def read_frames(opened: socket.socket) -> list[bytes]:
    """Return the frames that have arrived at a packet socket."""
    frames: list[bytes] = []
    while True:
        try:
            frames.append(opened.recv(65535))
        except BlockingIOError:
            return frames


class Station:
    """The sockets of one VM; ``number`` is its place in the list of VMs."""

    def __init__(self, number: int, vm: VM) -> None:
        self.number = number
        self.vm = vm
        self.frames = packet_socket(vm.namespace, "eth0")
        self.icmp4 = vm.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.icmp6 = vm.namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.icmp4.setblocking(False)
        self.icmp6.setblocking(False)

    def close(self) -> None:
        """Close the sockets."""
        for opened in (self.frames, self.icmp4, self.icmp6):
            opened.close()

    def send_frame(self, frame: bytes) -> None:
        """Send an Ethernet frame out of the VM's eth0 as it is."""
        self.frames.send(frame)

    def ping(self, address: str, token: Token) -> None:
        """Send an ICMP echo request with a token in it to an IPv4 or IPv6 address."""
        # An address that nobody has answered for is reported at the next send.
        with contextlib.suppress(OSError):
            if ":" in address:
                self.icmp6.sendto(echo_request6(token), (address, 0))
            else:
                self.icmp4.sendto(echo_request4(token), (address, 0))

    def answers(self) -> list[Token]:
        """Return the tokens of the echo replies that the VM's own IP stack has taken."""
        found: list[Token] = []
        for opened, reply_type, offset in ((self.icmp4, 0, 20), (self.icmp6, 129, 0)):
            for packet in _read_packets(opened):
                token = find_token(packet)
                if token is not None and packet[offset] == reply_type:
                    found.append(token)
        return found

    def seen(self) -> list[Seen]:
        """Return every token that has arrived at the VM's eth0, for whomever it was."""
        recognised = (recognise(frame) for frame in read_frames(self.frames))
        return [seen for seen in recognised if seen is not None]


def _read_packets(opened: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(opened.recv(65535))
        except BlockingIOError:
            return packets
        except OSError:
            continue


class Stations:
    """The stations of several VMs, read together; a context manager that closes them."""

    def __init__(self, vms: Sequence[VM]) -> None:
        self.all = [Station(number, vm) for number, vm in enumerate(vms)]
        self.seen: dict[tuple[int, Seen], int] = {}
        """(number of the VM that saw it, what) → how often."""
        self.answered: dict[Token, int] = {}
        """token of an echo request → how many replies the VM that sent it has had."""

    def __enter__(self) -> Stations:
        return self

    def __exit__(self, *_: object) -> None:
        for station in self.all:
            station.close()

    def read(self, seconds: float) -> bool:
        """Record what has arrived, waiting up to ``seconds`` for it; False if nothing did."""
        opened = [s for station in self.all for s in (station.frames, station.icmp4, station.icmp6)]
        ready = bool(select.select(opened, [], [], seconds)[0])
        for station in self.all if ready else ():
            for seen in station.seen():
                key = (station.number, seen)
                self.seen[key] = self.seen.get(key, 0) + 1
            for token in station.answers():
                self.answered[token] = self.answered.get(token, 0) + 1
        return ready

    def read_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Record until ``condition()`` holds; False when ``deadline`` seconds pass first."""
        end = time.monotonic() + deadline
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.read(min(left, 0.05))
        return True


def first_ping(vm: VM, peer: VM, deadline: float = 10.0, interval: float = 0.005) -> float:
    """Ping ``peer`` every ``interval`` seconds; return the seconds from plugging to an answer.

    Counted from the moment at which the VM's plugging was begun, so ovs-vsctl's own time is
    in it.  Raises LabError when there is no answer within ``deadline`` seconds.
    """
    if vm.plugged_at is None:
        raise LabError(f"{vm.name} is not plugged")
    with Stations([vm]) as stations:
        station = stations.all[0]
        for number in range(int(deadline / interval)):
            station.ping(peer.address.ipv4, Token(number, Kind.PING4, 0, ANYBODY))
            if stations.read_until(lambda: bool(stations.answered), interval):
                return time.monotonic() - vm.plugged_at
    raise LabError(f"{vm.name} had no answer from {peer.name} within {deadline:g} s")


def read_vlan_frames(opened: socket.socket) -> list[tuple[int | None, bytes]]:
    """Return VLAN and frame, without its tag, of all that has arrived; None for no tag.

    The kernel takes the tag off and tells it beside the frame, if PACKET_AUXDATA is set.
    """
    frames: list[tuple[int | None, bytes]] = []
    while True:
        try:
            frame, ancillary, _, _ = opened.recvmsg(65535, 64)
        except BlockingIOError:
            return frames
        status, tci = struct.unpack_from("=I12xH", ancillary[0][2])
        frames.append((tci & 0xFFF if status & TP_STATUS_VLAN_VALID else None, frame))


class Capture:
    """What passes on the physical network at one port of its bridge, from when it is made."""

    def __init__(self, physical: PhysicalNetwork, port: str) -> None:
        self._socket = packet_socket(physical.namespace, port)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def close(self) -> None:
        """Stop."""
        self._socket.close()

    def gre_packets(self) -> list[GREPacket]:
        """Return the GRE packets that came in at the port since the last call."""
        parsed = (parse_gre(frame) for frame in read_frames(self._socket))
        return [packet for packet in parsed if packet is not None]

    def vlan_frames(self) -> list[tuple[int | None, bytes]]:
        """Return VLAN, or None, and frame of all that came in at the port since the last call."""
        return read_vlan_frames(self._socket)
