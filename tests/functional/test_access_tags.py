"""Access tags on a real Open vSwitch: what is set, what is left alone, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Callable

import pytest

from ryu_l2iso.exceptions import OVSDBError, StoreError, SwitchError
from ryu_l2iso.ovsdb import BridgeRow, Connection, InterfaceRow, SetAccessTag
from ryu_l2iso.ovsdb.access_tags import AccessTags
from ryu_l2iso.ovsdb.facts import InterfaceFacts, interface_fact
from ryu_l2iso.pipelines.flow import Flow
from ryu_l2iso.pipelines.vlan import KEYS, VlanPipeline
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import OFPort, PortId, VMPort
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import PortSubject
from ryu_l2iso.state.vlans import DEAD_VLAN
from tests.functional.ovs import OVS, wait_until
from tests.functional.ovsdb_recorder import Recorder

DPID = 0x11
MAC = "fa:16:3e:00:00:01"
RED, BLUE = 10, 20


@pytest.fixture
def bridge(ovs: OVS) -> str:
    ovs.add_bridge("br0", DPID)
    return "br0"


def plug(ovs: OVS, name: str, iface_id: str, *port_settings: str) -> int:
    """Add a VM's port with columns of its Port row; return its OpenFlow number."""
    ids = (f"external_ids:iface-id={iface_id}", f'external_ids:attached-mac="{MAC}"')
    ovs.vsctl(
        *("add-port", "br0", name, *port_settings),
        *("--", "set", "interface", name, "type=dummy", *ids),
    )
    return int(ovs.vsctl("get", "interface", name, "ofport"))


def columns(ovs: OVS, name: str) -> str:
    """Return tag, vlan_mode and trunks of a port."""
    return " ".join(ovs.vsctl("get", "port", name, "tag", "vlan_mode", "trunks").split())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), "7 [] []"),
        (("tag=4095",), "7 [] []"),
        (("tag=3", "trunks=4,5"), "7 [] []"),
        (("trunks=4,5",), "7 [] []"),
        (("tag=7", "vlan_mode=native-untagged"), "7 access []"),
        (("vlan_mode=trunk",), "7 access []"),
        (("tag=3", "vlan_mode=access"), "7 access []"),
    ],
)
def test_a_port_becomes_a_plain_access_port(
    ovs: OVS, bridge: str, before: tuple[str, ...], after: str
) -> None:
    plug(ovs, "tap1", "a", *before)
    seen: Recorder[int] = Recorder()
    connection = Connection(DPID, ovs.db_address, seen)
    try:
        connection.transact([SetAccessTag("tap1", "a", 7)], wait_for_vswitchd=True)
        assert columns(ovs, "tap1") == after
        wait_until(lambda: seen.interfaces["tap1"].access_tag == 7, "the row to tell")
    finally:
        connection.close()


def test_a_port_that_is_not_the_one_meant_is_left_alone(ovs: OVS, bridge: str) -> None:
    plug(ovs, "tap1", "a", "tag=3")
    ovs.add_port("br0", "eth0")
    ovs.add_bridge("br1", 0x22)
    ovs.add_port("br1", "eth9")
    connection = Connection(DPID, ovs.db_address, Recorder[int]())
    try:
        others = [("tap1", "b"), ("tap1", None), ("eth0", "a"), ("gone", "a"), ("eth9", None)]
        connection.transact([SetAccessTag(name, iface_id, 7) for name, iface_id in others])
        found = [columns(ovs, name) for name in ("tap1", "eth0", "eth9")]
        assert found == ["3 [] []", "[] [] []", "[] [] []"]
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("row", "tag"),
    [
        (InterfaceRow("a"), None),
        (InterfaceRow("a", tag=7), 7),
        (InterfaceRow("a", tag=7, vlan_mode="access"), 7),
        (InterfaceRow("a", tag=7, vlan_mode="trunk"), None),
        (InterfaceRow("a", tag=7, vlan_mode="native-untagged"), None),
        (InterfaceRow("a", tag=7, trunks=(8,)), None),
    ],
)
def test_the_tag_of_a_plain_access_port_alone_counts(row: InterfaceRow, tag: int | None) -> None:
    assert interface_fact(row)[0].tag == tag


class Switch:
    """A state that a real switch's OVSDB tells of, and what an updater makes of it.

    ``log``: each time that the flows are waited for, the tag that ``tap1`` has then.
    ``confirms``: whether the switch's flows are confirmed when they are waited for.
    """

    def __init__(self, ovs: OVS) -> None:
        self.ovs = ovs
        self.state = State(KEYS)
        for network_id, key in (("red", RED), ("blue", BLUE)):
            self.state.add_network(network_id)
            self.state.add_key(network_id, key)
        self.log: list[str] = []
        self._facts = InterfaceFacts()
        self.confirms = True
        self.synced_once = False
        self.recorded: Callable[[], None] = lambda: None
        self.tags = AccessTags(
            self.state, self._commit, lambda: self.recorded(), self._flows_confirmed, 2.0
        )
        self.connection = Connection(DPID, ovs.db_address, self)

    def bridge_changed(self, key: int, bridge: BridgeRow | None) -> None:
        pass

    def interfaces_changed(self, key: int, changed: Mapping[str, InterfaceRow | None]) -> None:
        self.state.ports.update_interfaces(DPID, self._facts.read(DPID, changed))

    def synced(self, key: int) -> None:
        self.synced_once = True

    def plug(self, name: str, network_id: str, *settings: str) -> int:
        """Plug a VM that is registered, and wait until the state has all of it."""
        self.state.ensure_interface_value(f"if-{name}", NETWORK_ID, network_id)
        port_no = plug(self.ovs, name, f"if-{name}", *settings)
        self.state.ports.set_of_port(DPID, OFPort(port_no, name, up=True))
        wait_until(lambda: self.state.ports.get(PortId(DPID, port_no)), "the port to be joined")
        return port_no

    def sync(self) -> None:
        self.tags.sync(DPID, self.connection)

    def flows(self, port_no: int) -> list[Flow]:
        pieces = VlanPipeline(self.state).desired(DPID, PortSubject(port_no))
        return [piece for piece in pieces if isinstance(piece, Flow)]

    def tag(self, name: str) -> str:
        return self.ovs.vsctl("get", "port", name, "tag")

    def _commit(self) -> None:
        self.state.changes.take()

    def _flows_confirmed(self, dpid: int) -> None:
        self.log.append(self.tag("tap1"))
        if not self.confirms:
            raise SwitchError("the switch has not confirmed that flows are gone")


@pytest.fixture
def switch(ovs: OVS, bridge: str) -> Iterator[Switch]:
    made = Switch(ovs)
    wait_until(lambda: made.synced_once, "the database to be read")
    yield made
    made.connection.close()


@pytest.mark.parametrize("settings", [(), ("tag=4095",), ("trunks=5,6",)])
def test_a_new_port_gets_its_tag_at_once_and_then_its_flow(
    switch: Switch, settings: tuple[str, ...]
) -> None:
    port_no = switch.plug("tap1", "red", *settings)
    assert switch.flows(port_no) == []
    switch.sync()
    assert switch.tag("tap1") == str(RED)
    assert len(switch.flows(port_no)) == 1
    assert switch.log == []


def test_a_tag_is_set_only_when_it_is_on_disk_that_it_may_be(switch: Switch) -> None:
    port_no = switch.plug("tap1", "red", "tag=4095")

    def fail() -> None:
        port = switch.state.ports.get(PortId(DPID, port_no))
        assert isinstance(port, VMPort)
        assert port.vlans == {RED, DEAD_VLAN}
        raise StoreError("the disk is full")

    switch.recorded = fail
    with pytest.raises(StoreError):
        switch.sync()
    assert switch.tag("tap1") == str(DEAD_VLAN)
    # What has changed meanwhile is not set as it was.
    switch.recorded = lambda: switch.state.remove_key("red")
    switch.sync()
    assert switch.tag("tap1") == str(DEAD_VLAN)
    switch.recorded = lambda: None
    switch.state.add_key("red", RED)
    switch.sync()
    assert switch.tag("tap1") == str(RED)


def test_a_key_that_changes_has_the_tag_follow_after_the_flow(switch: Switch) -> None:
    port_no = switch.plug("tap1", "red")
    switch.sync()
    switch.state.remove_key("red")
    switch.state.add_key("red", 11)
    assert switch.flows(port_no) == []
    switch.confirms = False
    with pytest.raises(SwitchError, match="not confirmed"):
        switch.sync()
    assert switch.tag("tap1") == str(RED)
    switch.confirms = True
    switch.sync()
    assert switch.log == [str(RED), str(RED)]
    assert switch.tag("tap1") == "11"
    assert len(switch.flows(port_no)) == 1


def test_a_key_that_goes_has_the_port_put_into_the_dead_vlan_after_the_flow(
    switch: Switch,
) -> None:
    port_no = switch.plug("tap1", "red")
    switch.sync()
    switch.state.remove_key("red")
    switch.sync()
    assert switch.log == [str(RED)]
    assert switch.tag("tap1") == str(DEAD_VLAN)
    assert switch.flows(port_no) == []


def test_a_port_that_waits_for_its_flows_holds_up_no_other(switch: Switch) -> None:
    switch.plug("tap1", "red")
    switch.sync()
    switch.state.remove_key("red")
    switch.plug("tap2", "blue")
    switch.confirms = False
    with pytest.raises(SwitchError):
        switch.sync()
    assert switch.tag("tap2") == str(BLUE)


def test_a_tag_that_was_changed_by_hand_is_put_right(switch: Switch, ovs: OVS) -> None:
    port_no = switch.plug("tap1", "red")
    switch.sync()
    for settings in (("tag=99",), ("tag=10", "vlan_mode=native-tagged")):
        ovs.vsctl("set", "port", "tap1", *settings)
        wait_until(lambda: switch.flows(port_no) == [], "the flow to go")
        switch.sync()
        assert len(switch.flows(port_no)) == 1
    assert columns(ovs, "tap1") == "10 access []"


def test_while_vswitchd_has_not_applied_the_tag_there_is_no_flow(switch: Switch, ovs: OVS) -> None:
    port_no = switch.plug("tap1", "red", "tag=4095")
    ovs.kill_vswitchd()
    with pytest.raises(OVSDBError, match="did not apply the change in time"):
        switch.sync()
    assert ovs.vsctl("--no-wait", "get", "port", "tap1", "tag") == str(RED)
    assert switch.flows(port_no) == []
    ovs.start_vswitchd()
    switch.sync()
    assert len(switch.flows(port_no)) == 1


def test_a_key_that_moves_waits_and_says_for_whom(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    switch.plug("tap1", "red")
    switch.sync()
    switch.state.remove_key("red")
    switch.state.remove_key("blue")
    switch.state.add_key("blue", RED)
    switch.confirms = False
    port_no = switch.plug("tap2", "blue")
    for _ in range(2):
        with pytest.raises(SwitchError):
            switch.sync()
    assert switch.tag("tap2") == str(DEAD_VLAN)
    told = [r.getMessage() for r in caplog.records if "has not left" in r.getMessage()]
    assert len(told) == 1
    assert "port tap2 waits for its VLAN, which port 1 of switch" in told[0]
    switch.confirms = True
    switch.sync()
    switch.sync()
    assert (switch.tag("tap1"), switch.tag("tap2")) == (str(DEAD_VLAN), str(RED))
    assert len(switch.flows(port_no)) == 1


def test_a_port_that_cannot_take_its_tag_is_logged_once_and_holds_up_no_other(
    switch: Switch, ovs: OVS, caplog: pytest.LogCaptureFixture
) -> None:
    types = ["--", "set", "interface", "e1", "type=dummy", "external_ids:iface-id=a"]
    types += ["--", "set", "interface", "e2", "type=dummy"]
    for times in (1, 2):
        ovs.vsctl("add-bond", "br0", "bond0", "e1", "e2", *types)
        wait_until(lambda: "e1" in known(switch), "the bond to be read")
        switch.sync()
        switch.plug("tap1", "red")
        switch.sync()
        assert switch.tag("tap1") == str(RED)
        assert caplog.text.count("port e1 has not taken tag 4095") == times
        ovs.vsctl("del-port", "bond0", "--", "del-port", "tap1")
        wait_until(lambda: not {"e1", "tap1"} & known(switch), "both to be gone")
        switch.sync()


def known(switch: Switch) -> set[str]:
    return set(switch.state.ports.facts(DPID).interfaces)
