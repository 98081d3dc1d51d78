"""Programming a real Open vSwitch (dummy datapath) over a real OpenFlow connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from ryu_l2iso.exceptions import SwitchError
from ryu_l2iso.openflow import connection as connection_module
from ryu_l2iso.openflow.connection import Connection
from ryu_l2iso.openflow.flow_entry import Entry, pack_flow, unpack_flow
from ryu_l2iso.openflow.plan import Plan
from ryu_l2iso.openflow.programmer import Programmer
from ryu_l2iso.pipelines.flow import (
    MULTICAST,
    UNTAGGED,
    Action,
    Flow,
    Group,
    Match,
    Meter,
    Output,
    PopVlan,
    PushVlan,
    SetTunnelId,
    SetVlan,
    ToGroup,
)
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PortSubject, SwitchSubject
from tests.functional.openflow import COOKIE, Controller
from tests.functional.ovs import OVS, wait_until
from tests.unit.openflow_shapes import SHAPES

DPID = 0x11
FOREIGN = "cookie=0x55, table=7, priority=9,in_port=1 actions=output:2"


@pytest.fixture
def controller() -> Iterator[Controller]:
    """Return a controller whose source is empty."""
    with Controller() as running:
        yield running


def mac(number: int) -> str:
    return (0x0016_3E00_0000 + number).to_bytes(6, "big").hex(":")


def flow(
    table: int,
    priority: int,
    match: Match,
    actions: tuple[Action, ...] = (),
    goto: int | None = None,
) -> Flow:
    return Flow(table, priority, match, actions, goto, COOKIE | table << 8 | 1)


def fill(controller: Controller, networks: int = 20, ports: int = 20) -> None:
    """Desire flows and groups of every shape: ``networks`` groups, some 40 flows with each."""
    table = controller.source.table
    untagged, tagged = (Match(in_port=7, vlan_vid=vid, eth_dst=mac(7)) for vid in (UNTAGGED, 5))
    table[SwitchSubject()] = [
        *(flow(number, 0, Match()) for number in range(3)),
        flow(0, 20, untagged, (Output(8), PushVlan(), SetVlan(5), Output(9))),
        flow(0, 20, tagged, (PopVlan(), Output(8))),
    ]
    for key in range(1, networks + 1):
        numbers = range(key * 100, key * 100 + ports)
        flood = Match(tunnel_id=key, eth_dst=MULTICAST)
        table[NetworkSubject(str(key))] = [
            Group(key, tuple(numbers)),
            flow(1, 5, flood, (ToGroup(key),), 2),
            flow(1, 1, Match(tunnel_id=key), (), 2),
            flow(2, 0x8000, flood, (Output(1), Output(2))),
        ]
        for port in numbers:
            source = Match(in_port=port, eth_src=mac(port))
            table[PortSubject(port)] = [
                flow(0, 10, source, (SetTunnelId(key),), 1),
                flow(0, 5, Match(in_port=port)),
            ]
            reach = Match(tunnel_id=key, metadata=3, eth_dst=mac(port))
            table[MacSubject(str(key), mac(port))] = [flow(2, 10, reach, (Output(port),))]


def lines(controller: Controller, kind: type) -> list[str]:
    found = controller.source.table.values()
    return sorted(str(p) for pieces in found for p in pieces if isinstance(p, kind))


def assert_installed(ovs: OVS, controller: Controller, extra: Sequence[str] = ()) -> None:
    assert ovs.flows("br0") == sorted([*lines(controller, Flow), *extra])
    assert ovs.groups("br0") == lines(controller, Group)


def sent(programmer: Programmer) -> tuple[int, int]:
    return programmer.counters.flow_mods, programmer.counters.group_mods


def test_everything_in_one_bundle_as_ovs_ofctl_prints_it(ovs: OVS, controller: Controller) -> None:
    fill(controller)
    ovs.add_bridge("br0", DPID, controller.target)
    programmer = controller.synced(DPID)
    assert_installed(ovs, controller)
    assert programmer.counters.bundles == 1
    assert sent(programmer) == (5 + 20 * 3 + 20 * 20 * 3, 20)


def test_changes_go_as_the_difference_only(ovs: OVS, controller: Controller) -> None:
    fill(controller)
    ovs.add_bridge("br0", DPID, controller.target)
    before = sent(controller.synced(DPID))
    table = controller.source.table
    group, *flows = table[NetworkSubject("1")]
    assert isinstance(group, Group)
    table[NetworkSubject("1")] = [group._replace(ports=group.ports[1:]), *flows]
    table[NetworkSubject("2")] = []
    changed = flow(0, 10, Match(in_port=300, eth_src=mac(300)), (SetTunnelId(4),), 1)
    table[PortSubject(300)] = [changed, flow(0, 5, Match(in_port=300))]
    for subject in (NetworkSubject("1"), NetworkSubject("2"), PortSubject(300), PortSubject(301)):
        controller.fleet.mark(DPID, subject)
    programmer = controller.synced(DPID)
    assert_installed(ovs, controller)
    assert sent(programmer) == (before[0] + 3 + 1, before[1] + 1 + 1)
    assert programmer.counters.bundles == 2
    assert programmer.counters.full_syncs == 1


def test_restart_with_the_same_state_sends_nothing(ovs: OVS, controller: Controller) -> None:
    fill(controller)
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    controller.restart_fleet()
    controller.fleet.ovsdb_read(DPID)
    programmer = controller.synced(DPID)
    assert programmer.counters.full_syncs == 1
    assert sent(programmer) == (0, 0)
    assert programmer.counters.bundles == 0
    assert_installed(ovs, controller)


def test_what_is_read_back_is_what_was_sent_byte_for_byte(
    ovs: OVS, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is looked into, which is what would take time."""

    def look_into(flow: Entry) -> Entry:
        raise AssertionError(f"{unpack_flow(flow)} is told in another way: {flow}")

    table = controller.source.table
    table[SwitchSubject()] = [Group(9, (1, 2)), Meter(7, 10, 20)]
    for number, shape in enumerate(SHAPES):
        ours = shape._replace(table=0, priority=number, cookie=COOKIE | number)
        table[PortSubject(number)] = [ours]
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    assert ovs.flows("br0") == lines(controller, Flow)
    monkeypatch.setattr(connection_module, "as_packed", look_into)
    controller.restart_fleet()
    assert sent(controller.synced(DPID)) == (0, 0)


def test_strays_are_kept_until_the_ovsdb_is_read(ovs: OVS, controller: Controller) -> None:
    fill(controller, networks=2)
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    full = lines(controller, Flow), lines(controller, Group)
    controller.source.table.clear()
    controller.restart_fleet()
    assert sent(controller.synced(DPID)) == (0, 0)
    assert (ovs.flows("br0"), ovs.groups("br0")) == full
    controller.fleet.ovsdb_read(DPID)
    assert sent(controller.synced(DPID)) == (len(full[0]), len(full[1]))
    assert (ovs.flows("br0"), ovs.groups("br0")) == ([], [])


def test_flows_and_groups_of_others_survive(ovs: OVS, controller: Controller) -> None:
    fill(controller, networks=1)
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    ovs.ofctl("add-flow", "br0", FOREIGN)
    foreign = "group_id=4000,type=all,bucket=actions=output:9"
    ovs.ofctl("add-group", "br0", foreign)
    controller.source.table.clear()
    controller.restart_fleet()
    controller.fleet.ovsdb_read(DPID)
    controller.synced(DPID)
    assert ovs.flows("br0") == [FOREIGN]
    assert ovs.groups("br0") == [foreign]


def test_what_somebody_edited_is_put_right(ovs: OVS, controller: Controller) -> None:
    fill(controller, networks=1)
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    cookie = f"cookie=0x{COOKIE:x}"
    ovs.ofctl("mod-flows", "br0", "table=2,tun_id=1,actions=set_queue:1,NORMAL")
    ovs.ofctl("mod-group", "br0", "group_id=1,type=select,bucket=actions=output:1")
    ovs.ofctl("add-flow", "br0", f"{cookie},table=3,priority=4,tcp,reg3=0/0x7 actions=resubmit(,9)")
    ovs.ofctl("add-flow", "br0", f"{cookie},table=3,dl_vlan=5,idle_timeout=600 actions=drop")
    controller.restart_fleet()
    controller.fleet.ovsdb_read(DPID)
    controller.synced(DPID)
    assert_installed(ovs, controller)


def test_restarted_switch_is_filled_again(ovs: OVS, controller: Controller) -> None:
    fill(controller, networks=2)
    ovs.add_bridge("br0", DPID, controller.target)
    controller.synced(DPID)
    ovs.restart_vswitchd()
    # A change returns when ovs-vswitchd has the bridge, and listens where it is asked for flows.
    ovs.vsctl("set", "bridge", "br0", "external_ids:restarted=true")
    wait_until(lambda: ovs.flows("br0") == lines(controller, Flow), "all flows, back again")
    controller.synced(DPID)
    assert_installed(ovs, controller)


def test_message_that_cannot_be_decoded_is_an_error(ovs: OVS, controller: Controller) -> None:
    good = flow(1, 5, Match(in_port=1), (Output(2),))
    bad = flow(1, 6, Match(in_port=1), (Output(0x10000),))
    controller.source.table[PortSubject(1)] = [good]
    ovs.add_bridge("br0", DPID, controller.target)
    programmer = controller.synced(DPID)
    connection = programmer._connection
    assert isinstance(connection, Connection)
    with pytest.raises(SwitchError, match=r"OFPBAC_BAD_OUT_PORT.* adding .*output:65536"):
        connection.apply(Plan(flows_to_add=dict([pack_flow(bad)])), 5.0)
    assert_installed(ovs, controller)
