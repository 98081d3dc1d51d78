"""One OpenFlow connection of a simulated switch: bytes of the controller in, bytes out."""

from __future__ import annotations

import time
from collections import Counter
from struct import Struct
from typing import Callable

from bench.simulator import messages
from bench.simulator.messages import Port
from bench.simulator.tables import Tables

_BAD_REQUEST, _BAD_VERSION, _BAD_TYPE, _BAD_MULTIPART = 1, 0, 1, 2
_BUNDLE_FAILED, _BAD_ID, _BUNDLE_EXIST, _MSG_UNSUP, _MSG_FAILED = 17, 2, 3, 10, 13
"""Types and codes of errors (7.5.4)."""

_HEADER = Struct("!BBHI")
_BUNDLE = Struct("!IHH")
_U16 = Struct("!H")
_CONFIG = Struct("!HH")


class Connection:
    """Answers a controller; ``committed`` is called when flows may have changed."""

    def __init__(
        self,
        dpid: int,
        ports: dict[int, Port],
        tables: Tables,
        counts: Counter[int],
        committed: Callable[[], None],
    ) -> None:
        """Take ``counts``, the messages that came by their type, those in bundles too.

        ``flows_read_at`` and ``last_mod_at`` tell when the controller first asked for flows, and
        when it last changed something (monotonic); 0 where it did not.
        """
        self._dpid = dpid
        self._ports = ports
        self._tables = tables
        self.counts = counts
        self._committed = committed
        self.flows_read_at = 0.0
        self.last_mod_at = 0.0
        self._rest = b""
        self._bundles: dict[int, list[bytes]] = {}
        self._answers: dict[int, Callable[[bytes, int], bytes]] = {
            messages.HELLO: lambda msg, xid: b"",
            messages.ERROR: lambda msg, xid: b"",
            messages.ECHO_REPLY: lambda msg, xid: b"",
            messages.SET_CONFIG: lambda msg, xid: b"",
            messages.PACKET_OUT: lambda msg, xid: b"",
            messages.ECHO_REQUEST: lambda msg, xid: messages.message(3, xid, msg[8:]),
            messages.BARRIER_REQUEST: lambda msg, xid: messages.message(21, xid),
            messages.FEATURES_REQUEST: lambda msg, xid: messages.features(self._dpid, xid),
            messages.GET_CONFIG_REQUEST: self._config,
            messages.MULTIPART_REQUEST: self._multipart,
            messages.BUNDLE_CONTROL: self._bundle,
            messages.FLOW_MOD: self._mod,
            messages.GROUP_MOD: self._mod,
            messages.METER_MOD: self._mod,
        }

    @staticmethod
    def hello() -> bytes:
        """Return what the switch says first."""
        return messages.message(messages.HELLO, 0)

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the controller; return what is to be sent to it."""
        data = self._rest + data if self._rest else data
        end, pos = len(data), 0
        replies: list[bytes] = []
        counts = self.counts
        while end - pos >= 8:
            stop = pos + (data[pos + 2] << 8 | data[pos + 3])
            if stop > end:
                break
            kind = data[pos + 1]
            counts[kind] += 1
            if kind == messages.BUNDLE_ADD:
                self._add(data, pos, stop, replies)
            else:
                replies.append(self._answer(data[pos:stop]))
            pos = stop
        self._rest = data[pos:]
        return b"".join(replies)

    def _add(self, data: bytes, pos: int, stop: int, replies: list[bytes]) -> None:
        """Put a message into its bundle; this is what most of the messages are."""
        bundle = self._bundles.get(int.from_bytes(data[pos + 8 : pos + 12], "big"))
        if bundle is None or data[pos + 17] not in (messages.FLOW_MOD, messages.GROUP_MOD):
            code = _BAD_ID if bundle is None else _MSG_UNSUP
            replies.append(messages.error(_BUNDLE_FAILED, code, data[pos:stop]))
            return
        self.counts[data[pos + 17]] += 1
        bundle.append(data[pos + 16 : stop])

    def _answer(self, msg: bytes) -> bytes:
        version, kind, _, xid = _HEADER.unpack_from(msg)
        if version != 5 and kind != messages.HELLO:
            return messages.error(_BAD_REQUEST, _BAD_VERSION, msg)
        answer = self._answers.get(kind)
        return answer(msg, xid) if answer else messages.error(_BAD_REQUEST, _BAD_TYPE, msg)

    def _config(self, msg: bytes, xid: int) -> bytes:
        return messages.message(messages.GET_CONFIG_REPLY, xid, _CONFIG.pack(0, 128))

    def _mod(self, msg: bytes, xid: int) -> bytes:
        refused = self._tables.apply(msg)
        self._changed()
        return messages.error(*refused, msg) if refused else b""

    def _multipart(self, msg: bytes, xid: int) -> bytes:
        (kind,) = _U16.unpack_from(msg, 8)
        if kind == messages.FLOW_STATS:
            self.flows_read_at = self.flows_read_at or time.monotonic()
            return self._tables.dump_flows(msg, xid)
        if kind == messages.AGGREGATE:
            return self._tables.aggregate(msg, xid)
        if kind == messages.GROUP_DESC:
            return self._tables.dump_groups(xid)
        if kind == messages.METER_CONFIG:
            return self._tables.dump_meters(xid)
        if kind == messages.PORT_DESC:
            return messages.port_descriptions(xid, list(self._ports.values()))
        return messages.error(_BAD_REQUEST, _BAD_MULTIPART, msg)

    def _bundle(self, msg: bytes, xid: int) -> bytes:
        bundle_id, kind, flags = _BUNDLE.unpack_from(msg, 8)
        if kind == messages.OPEN_REQUEST:
            if bundle_id in self._bundles:
                return messages.error(_BUNDLE_FAILED, _BUNDLE_EXIST, msg)
            self._bundles[bundle_id] = []
        else:
            bundle = self._bundles.pop(bundle_id, None)
            if bundle is None:
                return messages.error(_BUNDLE_FAILED, _BAD_ID, msg)
            if kind == messages.COMMIT_REQUEST:
                refused = self._tables.commit(bundle)
                if refused is not None:
                    mod, why = refused
                    failed = messages.error(_BUNDLE_FAILED, _MSG_FAILED, msg)
                    return messages.error(*why, mod) + failed
                self._changed()
        body = _BUNDLE.pack(bundle_id, kind + 1, flags)
        return messages.message(messages.BUNDLE_CONTROL, xid, body)

    def _changed(self) -> None:
        self.last_mod_at = time.monotonic()
        self._committed()
