"""The OpenFlow server: who may connect, how many, and for how long without saying who he is."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ryu_l2iso import audit, tls
from ryu_l2iso.exceptions import L2IsoError
from ryu_l2iso.framework import CONF, Datapath, call_later, hub
from ryu_l2iso.listener import listen
from ryu_l2iso.openflow.claims import Authorize, Claims, anybody
from ryu_l2iso.openflow.peer import Peer
from ryu_l2iso.state.values import dpid_to_str

LOG = logging.getLogger(__name__)

PURPOSE = "OpenFlow server"

MAX_UNIDENTIFIED = 256
"""Connections that may be in their handshake at a time; the oldest makes room for one more."""

ACCEPTED_IN_A_TURN = 8
"""Connections that are accepted before others have their turn; after a restart all switches call,
while there is most to do, and a turn takes long."""

TICKS = 6
"""How often a switch is asked for an echo within the time that it has to answer."""

_PAUSE = 0.1
"""Seconds without accepting when there are no more descriptors: the listener stays readable."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Accepts switches; called by the framework in a green thread, like its own server.

    Every connection has a thread of its own, in which the framework's datapath serves it.
    """

    def __init__(self, authorize: Authorize = anybody) -> None:
        """Raise L2IsoError when there is no listening at what the options say."""
        if CONF.ofp_switch_address_list:
            raise L2IsoError("ofp-switch-address-list: switches connect to us, not we to them")
        options = CONF.l2iso
        self._most = options.openflow_max_connections
        self._most_of_one = options.openflow_max_per_address
        self._handshake = options.openflow_handshake_timeout
        # Two such waits are within what the second one has for its handshake.
        self._claims = Claims(authorize, self._handshake / 4)
        self._tick = options.openflow_timeout / TICKS
        self._refusals = tls.Refusals(PURPOSE)
        # Connections and their threads, the oldest first; those in their handshake; how many are
        # from an address.
        self._peers: dict[Peer, Any] = {}
        self._unidentified: dict[Peer, None] = {}
        self._of_host: Counter[str] = Counter()
        self._listeners = [
            (listen(CONF.ofp_listen_host, port, PURPOSE), credentials)
            for port, credentials in tls.openflow_listeners(CONF)
        ]

    def __call__(self) -> None:
        """Serve until the thread is killed."""
        accepting = [hub.spawn(self._accept, *each) for each in self._listeners]
        try:
            while True:
                hub.sleep(self._tick)
                for peer in list(self._peers):
                    peer.tick(TICKS)
        finally:
            for thread in [*accepting, *self._peers.values()]:
                hub.kill(thread)
            for listener, _ in self._listeners:
                listener.close()

    def _accept(self, listener: Any, credentials: tls.Credentials | None) -> None:
        for count in itertools.count(1):
            try:
                sock, address = listener.accept()
            except OSError as error:
                hub.sleep(self._pause_after(error))
                continue
            self._admit(sock, address, credentials)
            if count % ACCEPTED_IN_A_TURN == 0:
                hub.sleep(0)

    def _pause_after(self, error: OSError) -> float:
        """Return for how many seconds not to accept; make room first where there is none."""
        LOG.debug("%s: %s", PURPOSE, error)
        if error.errno not in _EXHAUSTED:
            return 0.0
        self._refusals.log("every new peer", str(error.strerror))
        return 0.0 if self._drop_oldest(self._unidentified) else _PAUSE

    def _admit(self, sock: Any, address: Any, credentials: tls.Credentials | None) -> None:
        host = address[0]
        if not self._has_room(host):
            self._refusals.log(host, "there are as many connections as there may be")
            sock.close()
            return
        peer = Peer(sock, address[:2], self._claim)
        self._unidentified[peer] = None
        self._of_host[host] += 1
        self._peers[peer] = hub.spawn(self._serve, peer, credentials)

    def _has_room(self, host: str) -> bool:
        """Tell whether one more may connect; one that has not said who it is makes room."""
        if self._of_host[host] >= self._most_of_one:
            return self._drop_oldest(p for p in self._unidentified if p.address[0] == host)
        if len(self._peers) < self._most and len(self._unidentified) < MAX_UNIDENTIFIED:
            return True
        return self._drop_oldest(self._unidentified)

    def _drop_oldest(self, unidentified: Iterable[Peer]) -> bool:
        """End the first of these; False if there is none."""
        peer = next(iter(unidentified), None)
        if peer is None:
            return False
        peer.fault = "it has not said who it is, and others want to connect"
        hub.kill(self._peers[peer])
        # A thread that had not begun does nothing at its end either.
        self._over(peer)
        return True

    def _claim(self, peer: Peer, dpid: int) -> None:
        self._claims.claim(peer, dpid)
        self._unidentified.pop(peer, None)

    def _over(self, peer: Peer) -> None:
        """Forget a connection that has ended; harmless when repeated."""
        peer.close()
        self._claims.release(peer)
        self._unidentified.pop(peer, None)
        if self._peers.pop(peer, None) is None:
            return
        host = peer.address[0]
        self._of_host[host] -= 1
        if not self._of_host[host]:
            del self._of_host[host]
        self._report(peer)

    def _serve(self, peer: Peer, credentials: tls.Credentials | None) -> None:
        deadline = call_later(self._handshake, self._expire, peer)
        try:
            if credentials is not None:
                peer.secure(credentials)
            self._run_datapath(peer)
        except tls.HandshakeError as error:
            peer.fault = str(error)
        except Exception:
            LOG.exception("%s: the connection of %s failed", PURPOSE, peer.address[0])
        finally:
            deadline.cancel()
            self._over(peer)

    def _run_datapath(self, peer: Peer) -> None:
        with contextlib.closing(Datapath(peer, peer.address)) as datapath:
            datapath.serve()

    def _expire(self, peer: Peer) -> None:
        if not peer.identified:
            peer.close_for(f"it has not said who it is in {self._handshake:g} s")

    def _report(self, peer: Peer) -> None:
        if peer.fault and self._refusals.log(peer.address[0], peer.fault, peer.detail):
            who = audit.NOBODY if peer.dpid is None else f"switch {dpid_to_str(peer.dpid)}"
            what = ": ".join(filter(None, ("OpenFlow", peer.fault, peer.detail)))
            audit.record(who, "{} port {}".format(*peer.address), what, "refused")
