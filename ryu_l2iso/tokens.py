"""Bearer tokens of the REST API: the file that says who may do what, read again when it changes.

A token is 256 bits from the system's random source.  That is why the file keeps a plain SHA-256:
slow hashes are for what people think up, and would cost each request what they cost an attacker.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ryu_l2iso.addresses import is_loopback
from ryu_l2iso.exceptions import InvalidValue, L2IsoError
from ryu_l2iso.state.values import dpid_to_str, parse_dpid

LOG = logging.getLogger(__name__)

PLUGIN = "plugin"
AGENT = "agent"
VIEWER = "viewer"
ROLES = (PLUGIN, AGENT, VIEWER)

MAX_TOKEN = 1024
"""Longest token that is looked at, in characters."""

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,1024}=*")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Holder:
    """Who has a token: ``dpids`` are the switches of an agent."""

    name: str
    role: str
    token_hash: str
    dpids: frozenset[int] = frozenset()


def hash_of(token: str) -> str:
    """Return what the file keeps of a token: 64 hex digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def new_token(name: str, role: str, dpids: Sequence[int] = ()) -> tuple[str, str]:
    """Return a new token and the line of the file that it is good by; raises InvalidValue."""
    token = secrets.token_urlsafe(32)
    words = [name, role, hash_of(token), *(dpid_to_str(dpid) for dpid in dpids)]
    line = " ".join(words)
    _parse_line(line)
    return token, line


def parse(text: str) -> list[Holder]:
    """Return the holders that the text of a file names; raises InvalidValue with the line."""
    holders: list[Holder] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0]
        if not words.strip():
            continue
        try:
            holder = _parse_line(words)
        except InvalidValue as error:
            raise InvalidValue(f"line {number}: {error.field}", error.rule) from None
        if any(other.token_hash == holder.token_hash for other in holders):
            raise InvalidValue(f"line {number}: SHA-256", "stands in another line too")
        holders.append(holder)
    return holders


def _parse_line(line: str) -> Holder:
    words = line.split()
    if len(words) < 3:
        raise InvalidValue("line", "must be NAME ROLE SHA256 [DPID ...]")
    name, role, token_hash, *dpids = words
    if not _NAME.fullmatch(name):
        raise InvalidValue("name", "must be 1 to 64 letters, digits, dots, @, _ or -")
    if role not in ROLES:
        raise InvalidValue("role", f"must be one of {', '.join(ROLES)}")
    if not _HASH.fullmatch(token_hash):
        raise InvalidValue("SHA-256", "must be 64 lower-case hex digits")
    if (role == AGENT) != bool(dpids):
        raise InvalidValue("dpid", "an agent has at least one, others have none")
    return Holder(name, role, token_hash, frozenset(parse_dpid(dpid) for dpid in dpids))


class Stamp(NamedTuple):
    """What of a file changes when it is written, replaced, or given other permissions."""

    inode: int
    size: int
    written: int
    changed: int
    mode: int


class TokenFile:
    """The holders that a file names now; raises L2IsoError when it cannot be used at first.

    It is looked at for each request.  Of a file that is broken later no new token is taken, and
    the tokens that do not stand in it any more stop working all the same; one that cannot be read
    changes nothing.  Why is logged once.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._logged = ""
        try:
            self._stamp: Stamp | None = _stamp(path)
            self._holders = _holders(self._stamp, _read(path))
        except (OSError, InvalidValue) as error:
            raise L2IsoError(f"token_file {path}: {_reason(error)}") from error

    def holder(self, token: str) -> Holder | None:
        """Return who has a token, or None; takes as long for each token, and for none."""
        self._update()
        presented = hash_of(token) if len(token) <= MAX_TOKEN else ""
        found = None
        for holder in self._holders:
            if hmac.compare_digest(holder.token_hash, presented):
                found = holder
        return found

    def _update(self) -> None:
        try:
            stamp, text = None, ""
            with contextlib.suppress(FileNotFoundError):
                stamp = _stamp(self._path)
                if stamp == self._stamp:
                    return
                text = _read(self._path)
        except OSError as error:
            self._log_once(f"{_reason(error)}; all tokens stay")
            return
        try:
            self._holders = _holders(stamp, text)
        except InvalidValue as error:
            self._holders = [holder for holder in self._holders if holder.token_hash in text]
            stay = f"{len(self._holders)} tokens that still stand in it stay"
            self._log_once(f"{error}; no new token is taken, {stay}")
        else:
            self._logged = ""
            LOG.info("token_file %s: read again, %d tokens", self._path, len(self._holders))
        self._stamp = stamp

    def _log_once(self, text: str) -> None:
        if text != self._logged:
            self._logged = text
            LOG.warning("token_file %s: %s", self._path, text)


def _stamp(path: str) -> Stamp:
    found = os.stat(path)
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _holders(stamp: Stamp | None, text: str) -> list[Holder]:
    if stamp is not None:
        check_private(stamp.mode)
    return parse(text)


def check_private(mode: int) -> None:
    """Raise InvalidValue when a file of this mode is open to others than owner and group."""
    if mode & stat.S_IRWXO:
        raise InvalidValue("mode", "must give others nothing (chmod o= FILE)")


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def read_token(path: str) -> str:
    """Return the token that stands in a file of its own, which none but its owner may read.

    Raises L2IsoError.
    """
    try:
        if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidValue("mode", "must give nobody but the owner anything (chmod 600 FILE)")
        token = _read(path).strip()
        if not _TOKEN.fullmatch(token):
            raise InvalidValue("token", "must be one word of the characters of RFC 6750, 2.1")
    except (OSError, InvalidValue) as error:
        raise L2IsoError(f"token_file {path}: {_reason(error)}") from error
    return token


def tokens_for(host: str, path: str | None) -> TokenFile | None:
    """Return the token file of a REST server on ``host``; None where it needs none.

    Raises L2IsoError when the file cannot be used, or is missing where others than this machine
    would be served.
    """
    if path is not None:
        return TokenFile(path)
    if not is_loopback(host):
        raise L2IsoError(
            f"wsapi_host {host or '(all addresses)'}: REST is served without tokens on loopback "
            "addresses only; set token_file in [l2iso]"
        )
    return None
