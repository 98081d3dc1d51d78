"""Who a request is of, and what each role may call."""

from __future__ import annotations

import re
from typing import Any

from ryu_l2iso.audit import NOBODY
from ryu_l2iso.rest.call import Call
from ryu_l2iso.rest.errors import Refused
from ryu_l2iso.state.ports import NW_ID_EXTERNAL
from ryu_l2iso.tokens import AGENT, PLUGIN, Holder, TokenFile

_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
"""RFC 6750, 2.1."""

# What a plugin may change: all below these.
_PLUGINS = ("/v1.0/networks/", "/v1.0/tunnels/", "/v1.0/quantum/ports/")

# What an agent may read besides its own switches: no more than the numbers of switches and ports.
_AGENT_READS = ("/openapi.json", "/v1.0/conf/switches")
_AGENTS = "/v1.0/conf/switches/{dpid}"
_BATCH = "/v1.0/batch"
_NETWORK = "/v1.0/networks/{network_id}"
_PORT = "/v1.0/networks/{network_id}/{port}"


class Unauthorized(Refused):
    """No token, or none that is good; the answer does not tell which."""

    def __init__(self) -> None:
        super().__init__(401, "Authorization: must be Bearer and a token that is good", closes=True)


class Access:
    """Tells who a request is of, and refuses what that one may not call.

    Without a token file everybody may do everything.
    """

    def __init__(self, tokens: TokenFile | None = None) -> None:
        self._tokens = tokens

    def holder(self, environ: dict[str, Any]) -> Holder | None:
        """Return who sent a request, None where there is no token file; raises Unauthorized."""
        if self._tokens is None:
            return None
        found = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        holder = self._tokens.holder(found["token"] if found else "")
        if holder is None:
            raise Unauthorized
        return holder


def check_may(holder: Holder | None, reads: bool, route: str, call: Call) -> None:
    """Raise Refused (403) unless the holder of a token may make a call; None may make any.

    ``route`` is the path with its fields, ``reads`` tells GET and HEAD from all others.
    """
    if holder is not None and not _may(holder, reads, route, call):
        raise Refused(403, f"role: {holder.role} {holder.name} may not call this")


def _may(holder: Holder, reads: bool, route: str, call: Call) -> bool:
    if route == _BATCH:
        # Each of its orders is looked at by itself.
        return True
    if holder.role == AGENT:
        return _agent_may(holder.dpids, reads, route, call)
    return reads or (holder.role == PLUGIN and route.startswith(_PLUGINS))


def _agent_may(dpids: frozenset[int], reads: bool, route: str, call: Call) -> bool:
    """Tell whether a call is one about these switches, or reads what every agent needs."""
    if reads and route in _AGENT_READS:
        return True
    if route == _AGENTS or route.startswith(f"{_AGENTS}/"):
        return call.dpid() in dpids
    if reads and route == _NETWORK:
        return call.id("network_id") == NW_ID_EXTERNAL
    if not reads and route == _PORT:
        return call.id("network_id") == NW_ID_EXTERNAL and call.port().dpid in dpids
    return False


def who_is(holder: Holder | None) -> str:
    """Return what the audit log calls the holder of a token."""
    return NOBODY if holder is None else f"{holder.role} {holder.name}"
