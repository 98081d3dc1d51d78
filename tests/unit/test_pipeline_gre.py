"""The GRE pipeline keeps its own declarations, and its flows read as ovs-ofctl prints them."""

from __future__ import annotations

import pytest

from ryu_l2iso.openflow.flow_entry import pack_flow
from ryu_l2iso.pipelines import gre
from ryu_l2iso.pipelines.flow import MOST_PORTS, Flow, Match, Output, outputs
from ryu_l2iso.pipelines.table import Pipeline, PipelineError, Table
from ryu_l2iso.pipelines.tunnels import MAX_INTERFACE_NAME, Spares, desired_tunnels, tunnel_name
from ryu_l2iso.state.locations import ACTIVATE, DUPLICATE
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId
from ryu_l2iso.state.records import OF_PORTS, SWITCHES, Record
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PeerSubject, PortSubject
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator, Packet

COOKIE = "cookie=0x6c320001000000"


@pytest.fixture
def cloud() -> Cloud:
    """Return what `wired` does."""
    return wired()


def wired(migration: str = ACTIVATE) -> Cloud:
    """Return a cloud with network "red" and a VM of it on each of two switches."""
    built = Cloud(migration)
    built.network("red", 0x2A)
    for dpid in (1, 2):
        built.switch(dpid)
        built.plug(dpid, dpid, "red", f"fa:16:3e:00:00:0{dpid}")
    built.update_tunnels()
    return built


def test_a_match_prints_its_fields_in_the_order_of_ovs_ofctl() -> None:
    match = Match(tunnel_id=1, metadata=2, in_port=3)
    assert str(match) == "tun_id=0x1,metadata=0x2,in_port=3"


def test_flows_of_a_switch_as_ovs_ofctl_prints_them(cloud: Cloud) -> None:
    assert Evaluator(cloud.state).flows(1) == sorted(
        f"{COOKIE}{line}"
        for line in """\
00, priority=0 actions=drop
00, table=1, priority=0 actions=drop
00, table=2, priority=0 actions=drop
01, priority=20,in_port=1,dl_src=fa:16:3e:00:00:01 actions=set_field:0x2a->tun_id,goto_table:1
02, priority=10,in_port=1 actions=drop
03, priority=20,tun_id=0x2a,in_port=1000 actions=goto_table:2
04, priority=10,in_port=1000 actions=drop
05, table=1, priority=20,tun_id=0x2a,dl_dst=fa:16:3e:00:00:02 actions=output:1000
06, table=1, priority=20,tun_id=0x2a,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 \
actions=group:84,goto_table:2
07, table=1, priority=10,tun_id=0x2a actions=goto_table:2
08, table=2, priority=20,tun_id=0x2a,dl_dst=fa:16:3e:00:00:01 actions=output:1
09, table=2, priority=20,tun_id=0x2a,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 \
actions=group:85
0a, table=2, priority=10,tun_id=0x2a actions=drop""".splitlines()
    )
    assert Evaluator(cloud.state).groups(1) == [
        "group_id=84,type=all,bucket=actions=output:1000",
        "group_id=85,type=all,bucket=actions=output:1",
    ]


def test_a_flood_to_more_ports_than_a_group_holds(cloud: Cloud) -> None:
    for port_no in range(2000, 2000 + MOST_PORTS):
        mac = (0x0200_0000_0000 + port_no).to_bytes(6, "big").hex(":")
        cloud.plug(1, port_no, "red", mac)
    found = Evaluator(cloud.state).groups(1)[1]
    assert found.count("bucket=") == MOST_PORTS
    (flow,) = (line for line in Evaluator(cloud.state).flows(1) if "group:85" in line)
    assert flow.endswith(f"actions=group:85,output:{2000 + MOST_PORTS - 1}")
    packet = Packet("fa:16:3e:00:00:01", "ff:ff:ff:ff:ff:ff")
    arrived = Evaluator(cloud.state).send(PortId(1, 1), packet)
    assert len(arrived) == MOST_PORTS + 1


def test_while_a_mac_is_here_and_there_it_goes_to_both() -> None:
    cloud = wired(DUPLICATE)
    cloud.plug(1, 9, "red", "fa:16:3e:00:00:02", "iface-2-2")
    line = "table=1, priority=20,tun_id=0x2a,dl_dst=fa:16:3e:00:00:02"
    flows = Evaluator(cloud.state).flows(1)
    assert f"{COOKIE}05, {line} actions=output:1000,goto_table:2" in flows


def test_a_location_that_waits_as_ovs_ofctl_prints_it_and_when_its_guest_was_shown(
    cloud: Cloud,
) -> None:
    cloud.plug(1, 9, "red", "fa:16:3e:00:00:02", "iface-2-2")
    to_controller, questions = (f"actions=meter:{n},CONTROLLER:128" for n in (9, 65545))
    waits = [
        f"0b, priority=20,rarp,in_port=9,dl_src=fa:16:3e:00:00:02 {to_controller}",
        f"0b, priority=20,arp,in_port=9,dl_src=fa:16:3e:00:00:02 {questions}",
        f"0b, priority=20,icmp6,in_port=9,dl_src=fa:16:3e:00:00:02,icmp_type=136 {to_controller}",
        "0c, priority=10,in_port=9 actions=drop",
        "05, table=1, priority=20,tun_id=0x2a,dl_dst=fa:16:3e:00:00:02 actions=output:1000",
    ]
    runs = [
        "01, priority=20,in_port=9,dl_src=fa:16:3e:00:00:02"
        " actions=set_field:0x2a->tun_id,goto_table:1",
        "02, priority=10,in_port=9 actions=drop",
        "05, table=1, priority=20,tun_id=0x2a,dl_dst=fa:16:3e:00:00:02"
        " actions=output:1000,goto_table:2",
        "08, table=2, priority=20,tun_id=0x2a,dl_dst=fa:16:3e:00:00:02 actions=output:9",
    ]
    local = "group_id=85,type=all,bucket=actions=output:1"
    before, groups = set(Evaluator(cloud.state).flows(1)), Evaluator(cloud.state).groups(1)
    cloud.state.guest_shown(PortId(1, 9))
    after = set(Evaluator(cloud.state).flows(1))
    assert before - after == {f"{COOKIE}{line}" for line in waits}
    assert after - before == {f"{COOKIE}{line}" for line in runs}
    assert local in groups
    assert f"{local},bucket=actions=output:9" in Evaluator(cloud.state).groups(1)


def test_a_network_whose_only_port_on_a_switch_waits_has_no_local_group(cloud: Cloud) -> None:
    cloud.switch(3)
    cloud.plug(3, 9, "red", "fa:16:3e:00:00:02", "iface-2-2")
    cloud.update_tunnels()
    evaluator = Evaluator(cloud.state)
    assert [group for group in evaluator.groups(3) if "group_id=85" in group] == []
    assert not [flow for flow in evaluator.flows(3) if "group:85" in flow]


def numbers(state: State) -> set[int]:
    """Return the numbers of the ports that switch 1 has had for as long as its flows."""
    ports = gre.GrePipeline(state).ports(1)
    return {number for number in range(10) if number in ports}


def test_the_ports_of_a_switch_are_those_that_have_had_their_numbers_all_the_time() -> None:
    """What flows of before say of others may be about a port that is gone."""
    state, tap1, tap2, tap3 = State(), *(OFPort(n, f"tap{n}", up=True) for n in (1, 2, 3))
    ports = state.ports
    assert numbers(state) == set()
    ports.replace_of_ports(1, [tap1, tap2])
    assert numbers(state) == {1, 2}
    ports.set_of_port(1, tap3)
    ports.set_of_port(1, tap1._replace(up=False))
    ports.replace_of_ports(1, [tap1, tap2._replace(name="other"), tap3])
    assert numbers(state) == {1}
    ports.remove_of_port(1, 1)
    ports.set_of_port(1, tap1)
    assert numbers(state) == set()


def test_after_a_restart_those_that_have_another_name_or_came_are_not_among_them() -> None:
    state = State()
    ports = [Record(OF_PORTS, (1, n), (f"tap{n}", 1, 0, 0)) for n in (1, 2)]
    state.apply([Record(SWITCHES, (1,), ()), *ports])
    assert numbers(state) == {1, 2}
    names = {1: "tap1", 2: "other", 3: "tap3"}
    found = [OFPort(n, name, up=True) for n, name in names.items()]
    state.ports.replace_of_ports(1, found)
    assert numbers(state) == {1}


def test_subjects_that_a_switch_does_not_have_have_no_flows(cloud: Cloud) -> None:
    pipeline = gre.GrePipeline(cloud.state)
    assert pipeline.desired(1, PortSubject(77)) == []
    assert pipeline.desired(1, NetworkSubject("blue")) == []
    assert pipeline.desired(1, MacSubject("blue", "fa:16:3e::")) == []
    assert pipeline.desired(3, NetworkSubject("red")) == []
    assert pipeline.desired(3, PeerSubject("red", 1)) == []
    assert pipeline.desired(3, MacSubject("red", "fa:16:3e::")) == []
    assert pipeline.desired(1, PeerSubject("red", 3)) == []
    cloud.state.ensure_port("__NW_ID_EXTERNAL__", PortId(1, 1))
    assert pipeline.desired(1, PortSubject(1)) == []


def test_two_ports_to_one_remote_receive_but_only_one_sends(cloud: Cloud) -> None:
    cloud.state.ports.set_of_port(1, OFPort(2000, "extra", up=True))
    row = InterfaceFact("extra", 2000, tunnel_remote="10.0.0.2")
    cloud.state.ports.update_interfaces(1, {"extra": row})
    flows = Evaluator(cloud.state).flows(1)
    assert sum("in_port=2000 actions=drop" in flow for flow in flows) == 1
    assert sum("tun_id=0x2a,in_port=2000 actions=goto_table:2" in flow for flow in flows) == 1
    assert not any("output:2000" in flow for flow in flows)


def test_what_is_the_same_on_many_switches_is_in_memory_once(cloud: Cloud) -> None:
    pipeline = gre.GrePipeline(cloud.state)
    for dpid in (3, 4):
        cloud.switch(dpid)
        cloud.plug(dpid, dpid, "red", f"fa:16:3e:00:00:0{dpid}")
    cloud.update_tunnels()
    to_mac = [pipeline.desired(dpid, MacSubject("red", "fa:16:3e:00:00:04")) for dpid in (1, 2, 3)]
    first, *others = [flow for (flow,) in to_mac if isinstance(flow, Flow)]
    assert len(others) == 2
    assert all(flow.match is first.match for flow in others)
    assert all(pack_flow(flow)[0] is pack_flow(first)[0] for flow in others)
    assert outputs([7]) == (Output(7),)
    assert outputs([7])[0] is outputs([7, 8])[0]


def test_a_flow_must_keep_to_the_declaration_of_its_table() -> None:
    flow = gre.PIPELINE.flow
    with pytest.raises(PipelineError, match="table local_out does not match in_port=1"):
        flow(gre.LOCAL_OUT, 1, Match(in_port=1), gre.Reason.MISS)
    with pytest.raises(PipelineError, match="table local_out does not send packets to source"):
        flow(gre.LOCAL_OUT, 1, Match(), gre.Reason.MISS, [Output(1)], gre.SOURCE)


def table(number: int, name: str, *goto: str) -> Table:
    return Table(number, name, "", frozenset(), frozenset(goto), "")


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ([table(0, "a"), table(0, "b")], "one number"),
        ([table(0, "a"), table(1, "a")], "one name"),
        ([table(0, "a"), table(1, "b", "a")], "table b sends packets back to a"),
        ([table(0, "a", "a")], "table a sends packets back to a"),
    ],
)
def test_a_pipeline_refuses_a_wrong_declaration(tables: list[Table], error: str) -> None:
    with pytest.raises(PipelineError, match=error):
        Pipeline(1, gre.Reason, tables)


def test_a_cookie_tells_the_reason_and_foreign_ones_tell_none() -> None:
    flow = gre.PIPELINE.flow(gre.SOURCE, 1, Match(), gre.Reason.SPOOFED_SOURCE)
    assert gre.PIPELINE.reason(flow.cookie) is gre.Reason.SPOOFED_SOURCE
    assert gre.PIPELINE.table_name(flow.table) == "source"
    for cookie in (0, 2, flow.cookie + (1 << 32), flow.cookie + (1 << 48)):
        with pytest.raises(ValueError, match="not a cookie of this pipeline"):
            gre.PIPELINE.reason(cookie)


def test_tunnels_are_named_from_their_remote_and_never_collide() -> None:
    assert tunnel_name("gre", 1, "10.0.0.2").startswith("gre0a000002")
    names = {
        tunnel_name(kind, dpid, remote)
        for kind in ("gre", "vxlan", "geneve")
        for dpid in (1, 2)
        for remote in ("10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2")
    }
    assert len(names) == 24
    assert all(len(name) <= MAX_INTERFACE_NAME for name in names)


def test_a_tunnel_is_there_while_a_network_is_on_both_ends(cloud: Cloud) -> None:
    def remotes(dpid: int) -> list[str]:
        return [t.remote_ip for t in desired_tunnels(cloud.state, dpid, "gre").values()]

    assert (remotes(1), remotes(2), remotes(3)) == (["10.0.0.2"], ["10.0.0.1"], [])
    cloud.unplug(2, 2)
    assert (remotes(1), remotes(2)) == ([], [])
    cloud.plug(2, 2, "red", "fa:16:3e:00:00:02")
    cloud.state.set_switch_value(2, "ovs_tunnel_addr", "fd00::2")
    assert (remotes(1), remotes(2)) == ([], [])
    cloud.state.remove_switch_value(2, "ovs_tunnel_addr")
    assert (remotes(1), remotes(2)) == ([], [])


def test_a_switch_that_joins_costs_the_others_one_flow_and_one_group() -> None:
    """Whatever the number of the switches and VMs that the network has."""
    cloud = wired()
    for dpid in range(3, 9):
        cloud.switch(dpid)
        cloud.network(f"other-{dpid}", dpid)
        cloud.plug(dpid, 1, "red", f"fa:16:3e:00:01:0{dpid}")
        for end in (1, dpid):
            cloud.plug(end, 100 + dpid, f"other-{dpid}", f"fa:16:3e:00:02:{end:02x}")
    cloud.unplug(8, 1)
    cloud.update_tunnels()
    before, groups = Evaluator(cloud.state).flows(1), Evaluator(cloud.state).groups(1)
    cloud.state.changes.take()
    cloud.plug(8, 1, "red", "fa:16:3e:00:01:08")
    changes = cloud.state.changes.take()
    joined = {NetworkSubject("red"), PeerSubject("red", 8), MacSubject("red", "fa:16:3e:00:01:08")}
    assert changes.subjects[1] == joined
    assert 2 not in changes.subjects, "it has no tunnel yet"
    assert changes.tunnels == {**{n: {8} for n in range(2, 8)}, 8: set(range(2, 8))}
    after = Evaluator(cloud.state).flows(1)
    assert len(set(after) - set(before)) == 2, "where it comes in, and its MAC"
    assert len(set(Evaluator(cloud.state).groups(1)) - set(groups)) == 1


def test_a_tunnel_to_the_switch_itself_is_of_no_use(cloud: Cloud) -> None:
    before = Evaluator(cloud.state).groups(1)
    cloud.state.add_tunnel(PortId(1, 50), 1)
    cloud.state.ports.set_of_port(1, OFPort(50, "loop", up=True))
    assert Evaluator(cloud.state).groups(1) == before
    assert not any(
        "output:50" in flow or "tun_id=0x2a,in_port=50" in flow
        for flow in Evaluator(cloud.state).flows(1)
    )
    cloud.state.ports.remove_of_port(1, 50)
    assert Evaluator(cloud.state).groups(1) == before


def test_no_tunnel_is_made_beside_one_that_rest_named(cloud: Cloud) -> None:
    cloud.state.ports.replace_of_ports(1, [])
    cloud.plug(1, 1, "red", "fa:16:3e:00:00:01")
    cloud.state.add_tunnel(PortId(1, 50), 2)
    assert desired_tunnels(cloud.state, 1, "gre") == {}
    assert len(desired_tunnels(cloud.state, 2, "gre")) == 1
    cloud.state.changes.take()
    cloud.state.ports.set_of_port(1, OFPort(50, "of this name", up=True))
    cloud.state.ports.set_of_port(1, OFPort(50, "and then another", up=True))
    assert len(desired_tunnels(cloud.state, 1, "gre")) == 1
    assert cloud.state.changes.tunnels == {1: {2}}


def test_a_tunnel_port_that_nothing_needs_stays_for_a_while() -> None:
    spares, old, new = Spares(5), (2, "gre2"), (3, "gre3")
    assert spares.end() is None
    assert spares.leaving({2}, {old}, 10) == set()
    assert spares.leaving({3}, {new}, 12) == set()
    assert (spares.end(), spares.remotes(14.9), spares.remotes(15)) == (15, set(), {2})
    assert spares.leaving({2, 3}, {old, new}, 15) == {"gre2"}
    assert spares.leaving({2}, set(), 16) == set()
    assert (spares.end(), spares.remotes(17)) == (17, {3})
    assert spares.leaving({3}, {new}, 17) == {"gre3"}
    assert spares.leaving({3}, {new}, 18) == set(), "who asks again at once has not removed it"
    assert spares.leaving({3}, {new}, 22) == {"gre3"}
