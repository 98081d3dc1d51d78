"""Rows as values, and their differences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_l2iso.ovsdb.reader import difference
from ryu_l2iso.ovsdb.rows import BridgeRow, ControllerRow, InterfaceRow, str_to_dpid

OURS = ControllerRow("tcp:10.0.0.1:6653", True, "out-of-band", 1000)
OTHERS = ControllerRow("tcp:10.0.0.9:6653", ours=False)
BRIDGE = BridgeRow("br-int", 0x11, "secure", (), True, (OURS, OTHERS))


def test_a_bridge_with_our_controllers_is_set_up_whatever_others_it_has() -> None:
    assert BRIDGE.is_set_up([OURS.target])
    assert replace(BRIDGE, protocols=("OpenFlow10", "OpenFlow14")).is_set_up([OURS.target])


@pytest.mark.parametrize(
    "change",
    [
        {"fail_mode": None},
        {"fail_mode": "standalone"},
        {"in_band_disabled": False},
        {"protocols": ("OpenFlow10", "OpenFlow13")},
        {"controllers": (OTHERS,)},
        {"controllers": (OURS, replace(OURS, target="tcp:10.0.0.2:6653"))},
        {"controllers": (replace(OURS, connection_mode=None),)},
        {"controllers": (replace(OURS, max_backoff=8000),)},
        {"controllers": (replace(OURS, ours=False),)},
    ],
)
def test_a_bridge_that_lacks_anything_is_not_set_up(change: dict[str, object]) -> None:
    assert not replace(BRIDGE, **change).is_set_up([OURS.target])  # type: ignore[arg-type]


def test_only_a_marked_port_leads_to_a_remote_switch() -> None:
    assert InterfaceRow("a").remote_dpid is None
    assert InterfaceRow("a", port_external_ids={"ryu_l2iso": "rubbish"}).remote_dpid is None
    marked = InterfaceRow("a", port_external_ids={"ryu_l2iso": "00000000000000ff"})
    assert marked.remote_dpid == 0xFF


def test_dpids_are_sixteen_hex_digits() -> None:
    assert str_to_dpid("ffffffffffffffff") == 2**64 - 1
    assert str_to_dpid("") is None
    assert str_to_dpid("11") is None


def test_the_difference_holds_what_came_changed_and_went_and_nothing_else() -> None:
    same, old, new = InterfaceRow("same"), InterfaceRow("x", 1), InterfaceRow("x", 2)
    gone, come = InterfaceRow("gone"), InterfaceRow("come")
    before = {"same": same, "x": old, "gone": gone}
    after = {"same": InterfaceRow("same"), "x": new, "come": come}
    assert difference(before, after) == {"x": new, "come": come, "gone": None}
    assert difference(after, after) == {}
