"""What is read from a switch's OVSDB, as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ryu_l2iso.exceptions import InvalidValue
from ryu_l2iso.state.values import parse_dpid

UUID = str
"""A row's UUID, as RFC 7047 writes it."""

Row = Mapping[str, Any]
"""Column → value (`ryu_l2iso.ovsdb.columns`); the row's UUID is in ``_uuid``."""

Tables = dict[str, dict[UUID, Row]]
"""Table → UUID → row."""

MARK = "ryu_l2iso"
"""Key in ``external_ids`` of everything that we created; what lacks it is never changed."""

OPENFLOW = "OpenFlow14"
"""The OpenFlow version that the controller speaks, as ``Bridge.protocols`` names it."""

MAX_BACKOFF_MS = 1000
"""How long a switch waits at most before it calls a lost controller again."""


def str_to_dpid(text: str) -> int | None:
    """Return the dpid that 16 hex digits stand for; None when ``text`` is something else."""
    try:
        return parse_dpid(text)
    except InvalidValue:
        return None


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True)
class InterfaceRow:
    """One Interface of the bridge, with what its Port says.

    ``ofport`` is the OpenFlow port number, None while there is none (``error`` may say why);
    ``tag``, ``vlan_mode``, ``trunks`` and ``port_external_ids`` are the Port's.  ``remote_dpid``
    follows from them: which switch this tunnel port of ours leads to; None for all other ports.
    """

    name: str
    ofport: int | None = None
    type: str = ""
    options: Mapping[str, str] = field(default_factory=_nothing)
    external_ids: Mapping[str, str] = field(default_factory=_nothing)
    tag: int | None = None
    vlan_mode: str | None = None
    trunks: tuple[int, ...] = ()
    port_external_ids: Mapping[str, str] = field(default_factory=_nothing)
    error: str = ""
    remote_dpid: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mark = self.port_external_ids.get(MARK)
        object.__setattr__(self, "remote_dpid", None if mark is None else str_to_dpid(mark))

    @property
    def access_tag(self) -> int | None:
        """Return the VLAN of a plain access port; None for a port of any other mode.

        A port with a tag is an access port unless ``vlan_mode`` makes it something else
        (ovs-vswitchd.conf.db(5), Port, "VLAN Configuration").
        """
        return self.tag if self.vlan_mode in (None, "access") and not self.trunks else None


@dataclass(frozen=True)
class ControllerRow:
    """One OpenFlow controller of the bridge; ``ours`` tells whether it carries our mark."""

    target: str
    ours: bool
    connection_mode: str | None = None
    max_backoff: int | None = None

    @property
    def is_set_up(self) -> bool:
        """Tell whether it is as ``EnsureControllers`` makes it."""
        return self.connection_mode == "out-of-band" and self.max_backoff == MAX_BACKOFF_MS


@dataclass(frozen=True)
class BridgeRow:
    """The bridge; ``dpid`` is None while ovs-vswitchd has not written it.

    ``protocols`` empty means the default of Open vSwitch, which has OpenFlow 1.4.
    """

    name: str
    dpid: int | None
    fail_mode: str | None
    protocols: tuple[str, ...]
    in_band_disabled: bool
    controllers: tuple[ControllerRow, ...]

    @property
    def secured(self) -> bool:
        """Tell whether a lost controller leaves the flows, and only them, in force."""
        return self.fail_mode == "secure" and self.in_band_disabled

    def is_set_up(self, targets: Collection[str]) -> bool:
        """Tell whether ``set_up_bridge`` with these targets has nothing to do."""
        ours = {c.target: c.is_set_up for c in self.controllers if c.ours}
        speaks = not self.protocols or OPENFLOW in self.protocols
        return self.secured and speaks and ours == dict.fromkeys(targets, True)
