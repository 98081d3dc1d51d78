"""OVSDB rows as facts."""

from __future__ import annotations

import pytest

from ryu_l2iso.ovsdb import MARK, InterfaceRow
from ryu_l2iso.ovsdb.facts import InterfaceFacts, interface_fact
from ryu_l2iso.state.ports import InterfaceFact

MAC = "fa:16:3e:00:00:01"
OURS = {MARK: "0000000000000002"}


def vm_row(**external_ids: str) -> InterfaceRow:
    """Return the row of a port; ``_`` in the names of ``external_ids`` stands for ``-``."""
    ids = {name.replace("_", "-"): value for name, value in external_ids.items()}
    return InterfaceRow("tap0", 5, external_ids=ids)


def tunnel_row(mark: str = OURS[MARK], **options: str) -> InterfaceRow:
    """Return the row of a tunnel port that carries our mark."""
    return InterfaceRow("gre0", 5, "gre", options, port_external_ids={MARK: mark})


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        (InterfaceRow("tap0"), InterfaceFact("tap0")),
        (InterfaceRow("tap0", 5), InterfaceFact("tap0", 5)),
        (vm_row(vm_uuid="v"), InterfaceFact("tap0", 5)),
        (vm_row(iface_id="vif"), InterfaceFact("tap0", 5, "vif")),
        (vm_row(iface_id="vif", attached_mac=MAC), InterfaceFact("tap0", 5, "vif", MAC)),
        (vm_row(iface_id="vif", attached_mac=MAC.upper()), InterfaceFact("tap0", 5, "vif", MAC)),
        (vm_row(attached_mac=MAC), InterfaceFact("tap0", 5)),
        (vm_row(attached_mac="nonsense"), InterfaceFact("tap0", 5)),
        (vm_row(iface_id="x" * 255), InterfaceFact("tap0", 5, "x" * 255)),
        (
            InterfaceRow("tap0", None, external_ids={"iface-id": "v", "attached-mac": MAC}),
            InterfaceFact("tap0", None, "v", MAC),
        ),
        (
            tunnel_row(remote_ip="192.0.2.2", local_ip="192.0.2.1"),
            InterfaceFact("gre0", 5, tunnel_remote="192.0.2.2"),
        ),
        (
            tunnel_row(remote_ip="2001:DB8:0::2"),
            InterfaceFact("gre0", 5, tunnel_remote="2001:db8::2"),
        ),
        (tunnel_row("no dpid", remote_ip="192.0.2.2"), InterfaceFact("gre0", 5)),
        (
            InterfaceRow("gre0", 5, "gre", {"remote_ip": "192.0.2.2"}, external_ids=OURS),
            InterfaceFact("gre0", 5),
        ),
    ],
)
def test_what_a_row_says(row: InterfaceRow, fact: InterfaceFact) -> None:
    assert interface_fact(row) == (fact, "")


def test_a_tag_that_is_no_vlan_id_is_none() -> None:
    """A server may send any integer, and the store keeps 63 bits."""
    assert [
        interface_fact(InterfaceRow("tap", 1, tag=tag))[0].tag for tag in (-1, 4095, 2**63)
    ] == [
        None,
        4095,
        None,
    ]


def test_a_tunnel_of_ours_is_no_vm_whatever_it_carries() -> None:
    row = InterfaceRow(
        "gre0",
        5,
        "gre",
        {"remote_ip": "192.0.2.2"},
        {"iface-id": "vif", "attached-mac": MAC},
        port_external_ids=OURS,
    )
    assert interface_fact(row) == (InterfaceFact("gre0", 5, tunnel_remote="192.0.2.2"), "")


@pytest.mark.parametrize("text", ["", "nonsense", "fa:16:3e:00:00", f"{MAC}:00", f" {MAC}"])
def test_an_attached_mac_that_is_none_leaves_the_interface(text: str) -> None:
    fact = InterfaceFact("tap0", 5, "vif")
    row = vm_row(iface_id="vif", attached_mac=text)
    assert interface_fact(row) == (fact, "mac: must be xx:xx:xx:xx:xx:xx")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ff:ff:ff:ff:ff:ff", "mac: must not be multicast or broadcast"),
        ("33:33:00:00:00:01", "mac: must not be multicast or broadcast"),
        ("00:00:00:00:00:00", "mac: must not be zero"),
    ],
)
def test_an_attached_mac_of_no_station_is_left_out(text: str, fault: str) -> None:
    row = vm_row(iface_id="vif", attached_mac=text)
    assert interface_fact(row) == (InterfaceFact("tap0", 5, "vif"), fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "iface-id: must be 1 to 255 bytes"),
        ("x" * 256, "iface-id: must be 1 to 255 bytes"),
        ("a/b", "iface-id: must not hold a slash"),
    ],
)
def test_an_iface_id_that_rest_cannot_name_leaves_the_port_alone(text: str, fault: str) -> None:
    row = vm_row(iface_id=text, attached_mac=MAC)
    assert interface_fact(row) == (InterfaceFact("tap0", 5), fault)


@pytest.mark.parametrize(
    "options",
    [{}, {"remote_ip": "flow"}, {"remote_ip": "192.0.2"}, {"remote_ip": "224.0.0.1"}],
)
def test_a_tunnel_without_a_remote_host_leads_nowhere(options: dict[str, str]) -> None:
    fact, fault = interface_fact(tunnel_row(**options))
    assert fact == InterfaceFact("gre0", 5)
    assert fault.startswith("ovs_tunnel_addr: must be ")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_rows_are_read_by_name_and_gone_ones_are_none() -> None:
    rows = {"tap0": vm_row(iface_id="vif"), "tap1": None}
    facts = InterfaceFacts().read(1, rows)
    assert facts == {"tap0": InterfaceFact("tap0", 5, "vif"), "tap1": None}


def test_a_fault_is_logged_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    facts = InterfaceFacts()
    bad, worse = vm_row(iface_id="v", attached_mac="bad"), vm_row(iface_id="", attached_mac="bad")
    for row in (bad, bad, worse, bad):
        facts.read(0xAB, {"tap0": row})
    line = "switch 00000000000000ab: interface tap0: "
    mac, iface = f"{line}mac: must be xx:xx:xx:xx:xx:xx", f"{line}iface-id: must be 1 to 255 bytes"
    assert warnings(caplog) == [mac, iface, mac]


@pytest.mark.parametrize("between", [None, vm_row(iface_id="v", attached_mac=MAC)])
def test_a_fault_that_comes_back_is_logged_again(
    between: InterfaceRow | None, caplog: pytest.LogCaptureFixture
) -> None:
    facts = InterfaceFacts()
    for row in (vm_row(iface_id=""), between, vm_row(iface_id="")):
        facts.read(1, {"tap0": row})
    assert len(warnings(caplog)) == 2


def test_the_same_fault_elsewhere_is_another(caplog: pytest.LogCaptureFixture) -> None:
    facts = InterfaceFacts()
    bad = vm_row(iface_id="")
    facts.read(1, {"tap0": bad, "tap1": bad})
    facts.read(2, {"tap0": bad})
    assert len(warnings(caplog)) == 3


def test_nothing_is_kept_of_a_switch_that_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    facts = InterfaceFacts()
    for _ in range(2):
        facts.read(1, {"tap0": vm_row(iface_id="")})
        facts.forget(1)
    assert len(warnings(caplog)) == 2
    assert not facts._logged
