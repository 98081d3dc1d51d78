"""The MAC pipeline keeps its own declarations, and its pieces read as ovs-ofctl prints them."""

from __future__ import annotations

import pytest

from ryu_l2iso.pipelines import mac
from ryu_l2iso.pipelines.flow import Meter
from ryu_l2iso.state.subjects import MacSubject, NetworkSubject, PortSubject
from tests.unit.mac_cloud import RATE, MacCloud

COOKIE = "cookie=0x6c320003000000"
RED = f"0x{mac.network_metadata('red'):x}"


@pytest.fixture
def cloud() -> MacCloud:
    """Network "red" with a VM on each of two switches, and an uplink on each."""
    built = MacCloud()
    built.networks("red")
    for dpid in (1, 2):
        built.uplink(dpid)
        built.plug(dpid, dpid, "red", f"fa:16:3e:00:00:0{dpid}")
    return built


def test_flows_of_a_switch_as_ovs_ofctl_prints_them(cloud: MacCloud) -> None:
    evaluator = cloud.evaluator()
    assert evaluator.flows(1) == sorted(
        f"{COOKIE}{line}"
        for line in f"""\
00, priority=0 actions=drop
00, table=1, priority=0 actions=drop
00, table=2, priority=0 actions=drop
01, priority=10,in_port=1 actions=write_metadata:{RED},goto_table:1
02, priority=10,in_port=500 actions=write_metadata:0x8000000000000000,goto_table:1
05, table=1, priority=20,metadata={RED},in_port=1,dl_src=fa:16:3e:00:00:01 actions=goto_table:2
06, table=1, priority=20,metadata=0x8000000000000000,dl_src=fa:16:3e:00:00:02 \
actions=write_metadata:{RED},goto_table:2
07, table=1, priority=10,metadata={RED},in_port=1 actions=meter:1,CONTROLLER:128
08, table=1, priority=10,metadata=0x8000000000000000 actions=drop
09, table=2, priority=20,metadata={RED},dl_dst=fa:16:3e:00:00:01 actions=output:1
09, table=2, priority=20,metadata={RED},dl_dst=fa:16:3e:00:00:02 actions=group:1
0a, table=2, priority=20,metadata={RED},dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 \
actions=output:1,group:1
0b, table=2, priority=10,metadata={RED} actions=drop""".splitlines()
    )
    assert evaluator.groups(1) == ["group_id=1,type=all,bucket=actions=output:500"]


def test_a_port_has_a_meter_for_what_it_sends_to_the_controller(cloud: MacCloud) -> None:
    pieces = mac.MacPipeline(cloud.state, RATE).desired(1, PortSubject(1))
    assert [p for p in pieces if isinstance(p, Meter)] == [Meter(1, RATE, 64)]
    pieces = mac.MacPipeline(cloud.state, 1000).desired(1, PortSubject(1))
    assert str(next(p for p in pieces if isinstance(p, Meter))) == (
        "meter=1 pktps burst bands=type=drop rate=1000 burst_size=1000"
    )


def test_while_a_mac_is_here_and_there_it_goes_to_both(cloud: MacCloud) -> None:
    cloud.plug(1, 9, "red", "fa:16:3e:00:00:02", "another")
    line = f"table=2, priority=20,metadata={RED},dl_dst=fa:16:3e:00:00:02"
    assert f"{COOKIE}09, {line} actions=output:9,group:1" in cloud.evaluator().flows(1)


def test_subjects_that_a_switch_does_not_have_have_no_flows(cloud: MacCloud) -> None:
    pipeline = mac.MacPipeline(cloud.state, RATE)
    for subject in (PortSubject(77), NetworkSubject("blue"), MacSubject("blue", "fa:16:3e::")):
        assert pipeline.desired(1, subject) == []
    for subject in (NetworkSubject("red"), MacSubject("red", "fa:16:3e:00:00:01")):
        assert pipeline.desired(3, subject) == []
    assert pipeline.desired(1, MacSubject("red", "fa:16:3e:00:00:77")) == []


def test_metadata_of_networks_differ_from_each_other_and_from_outside() -> None:
    found = {mac.network_metadata(f"network-{number}") for number in range(1000)}
    assert len(found) == 1000
    assert all(0 < metadata < mac.OUTSIDE for metadata in found)
    assert mac.network_metadata("\udcff") in range(mac.OUTSIDE)


def test_only_packets_from_unknown_sources_are_learned_from() -> None:
    cookies = {reason: mac.PIPELINE.cookie | reason for reason in mac.Reason}
    learned_from = [reason for reason, cookie in cookies.items() if mac.is_learned_from(cookie)]
    assert learned_from == [mac.Reason.UNKNOWN_VM_SOURCE]
    assert not mac.is_learned_from(mac.Reason.UNKNOWN_VM_SOURCE)
