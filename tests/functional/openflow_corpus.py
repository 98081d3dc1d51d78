"""OpenFlow messages that break something, found by hand and by fuzzing; each stays refused.

``after`` is what has been said before on the connection: nothing, HELLO, or the whole handshake;
or what the controller asks for then, which the message answers with the xid of the question.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.functional.fake_switch import (
    BARRIER_REPLY,
    BUNDLE_CONTROL,
    ECHO_REQUEST,
    ERROR,
    FEATURES_REPLY,
    FLOW_STATS,
    GROUP_DESC,
    HELLO,
    METER_CONFIG,
    MULTIPART_REPLY,
    PACKET_IN,
    PORT_DESC,
    PORT_STATUS,
    message,
    multipart,
    packet_in,
    port,
    port_status,
)

NOTHING, GREETED, CONNECTED, ASKED_FLOWS = "nothing", "HELLO", "the handshake", "a flow request"


class Case(NamedTuple):
    """A message that the controller closes the connection for."""

    what: str
    after: str
    data: bytes


def element(kind: int, length: int, rest: bytes = b"") -> bytes:
    """Return an element of a HELLO."""
    return struct.pack("!HH", kind, length) + rest


CASES = (
    # The first one stopped all of os-ken 4.2.2 and Ryu 4.34.
    Case("a HELLO element of length 0", NOTHING, message(HELLO, element(1, 0, bytes(4)))),
    Case("a HELLO element of length 3", NOTHING, message(HELLO, element(1, 3, bytes(4)))),
    Case("a HELLO element that is too long", NOTHING, message(HELLO, element(1, 12, bytes(4)))),
    Case("half a HELLO element", NOTHING, message(HELLO, b"\0\1")),
    Case("a long HELLO", NOTHING, message(HELLO, bytes(2000))),
    Case("a message of length 0", NOTHING, struct.pack("!BBHI", 5, HELLO, 0, 1)),
    Case("a message of length 7", NOTHING, struct.pack("!BBHI", 5, HELLO, 7, 1)),
    Case("HTTP", NOTHING, b"GET / HTTP/1.1\r\n\r\n"),
    Case("TLS", NOTHING, bytes.fromhex("1603010200010001fc0303") + bytes(64)),
    Case("64 KiB before a HELLO", NOTHING, struct.pack("!BBHI", 5, ECHO_REQUEST, 65535, 1)),
    Case("an error for our HELLO", NOTHING, message(ERROR, bytes(4) + b"\xff\xfe", version=1)),
    Case("features before a HELLO", NOTHING, message(FEATURES_REPLY, bytes(24))),
    Case("features that are too long", GREETED, message(FEATURES_REPLY, bytes(64))),
    Case("features that are too short", GREETED, message(FEATURES_REPLY, bytes(8))),
    Case("a reply to nothing", GREETED, message(BARRIER_REPLY)),
    Case("another version", GREETED, message(FEATURES_REPLY, bytes(24), version=4)),
    Case("a second HELLO element", GREETED, message(34, bytes(8))),
    Case("a flow-mod", CONNECTED, message(14, bytes(48))),
    Case("type 255", CONNECTED, message(255)),
    Case("a long echo", CONNECTED, message(ECHO_REQUEST, bytes(60000))),
    Case("a short barrier", CONNECTED, struct.pack("!BBHI", 5, BARRIER_REPLY, 4, 1)),
    Case("a short port status", CONNECTED, message(PORT_STATUS, bytes(8))),
    Case("two ports in a port status", CONNECTED, port_status(port(1) + port(2))),
    Case("a port of length 0", CONNECTED, port_status(port(1, length=0))),
    Case("a port that is too long", CONNECTED, port_status(port(1, length=65535))),
    Case("a short packet-in", CONNECTED, message(PACKET_IN, bytes(8))),
    Case(
        "a match that is too long", CONNECTED, message(PACKET_IN, bytes(16) + b"\0\1\xff\xff" * 4)
    ),
    Case("a match of length 0", CONNECTED, message(PACKET_IN, bytes(16) + b"\0\1\0\0" * 4)),
    Case("a field that is too long", CONNECTED, packet_in(1, oxm=b"\x80\0\0\xff\0\0\0\1")),
    Case("half a field", CONNECTED, packet_in(1, oxm=b"\x80\0")),
    Case("a flow of length 0", ASKED_FLOWS, multipart(FLOW_STATS, bytes(56))),
    Case("a flow that is too long", ASKED_FLOWS, multipart(FLOW_STATS, b"\xff\xff" + bytes(54))),
    Case("another reply", ASKED_FLOWS, multipart(GROUP_DESC, bytes(16))),
    Case("half a multipart reply", ASKED_FLOWS, message(MULTIPART_REPLY, b"\0\1")),
    Case("ports instead of flows", ASKED_FLOWS, multipart(PORT_DESC, port(1))),
    Case("a bundle that is too short", ASKED_FLOWS, message(BUNDLE_CONTROL, bytes(2))),
    Case("an error that is too short", ASKED_FLOWS, message(ERROR, bytes(1))),
)

GROUP_OF_LENGTH_0 = multipart(GROUP_DESC, bytes(16))
METER_OF_LENGTH_0 = multipart(METER_CONFIG, bytes(16))
BUCKET_OF_LENGTH_0 = multipart(GROUP_DESC, struct.pack("!HBxI", 24, 0, 1) + bytes(16))
BAND_OF_LENGTH_0 = multipart(METER_CONFIG, struct.pack("!HHI", 24, 0, 1) + bytes(16))
"""Answers to what is asked after the flows."""

ACCEPTED = (
    Case(
        "a port with a property of length 0",
        CONNECTED,
        port_status(port(3, b"eth0", struct.pack("!HHI", 0, 0, 0))),
    ),
    Case("a port whose name is no text", CONNECTED, port_status(port(3, b"\xff" * 16))),
    Case("fields that nobody knows", CONNECTED, packet_in(1, oxm=b"\0\x09\x10\x03abc")),
    Case("a field that is too short", CONNECTED, packet_in(1, oxm=b"\x80\0\0\1\1")),
    Case("an unknown message of a switch", CONNECTED, message(4, b"\0\0\0\0")),
    Case("flows that nobody asked for", CONNECTED, multipart(FLOW_STATS, bytes(56), xid=77777)),
)
"""Messages that are odd, and harmless as they are treated here: the connection stays."""
