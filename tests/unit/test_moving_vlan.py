"""VLAN isolation while a VM moves: where its two switches send what is for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_l2iso.lab.frames import reverse_arp
from ryu_l2iso.pipelines.flow import Flow
from ryu_l2iso.pipelines.vlan import KEYS, VlanPipeline
from ryu_l2iso.state.locations import ACTIVATE, DUPLICATE
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, OFPort, PortId
from ryu_l2iso.state.subjects import PortSubject, Subject, SwitchSubject
from tests.unit.cloud import Cloud

COOKIE = "cookie=0x6c320002000000"
RED, MAC, UPLINK = 10, "fa:16:3e:00:00:02", 9
SOURCE, DESTINATION = PortId(1, 2), PortId(2, 2)
PLACES = [SOURCE, DESTINATION, PortId(3, 2), PortId(3, 3)]


class VlanCloud(Cloud):
    """Three switches, each with an uplink and a red VM at port 1; one more VM that moves."""

    def __init__(self, migration: str = ACTIVATE) -> None:
        super().__init__(migration, KEYS)
        self.state.ports.vlans.tell_apart()
        self.network("red", RED)
        for dpid in (1, 2, 3):
            self.plug(dpid, 1, "red", f"fa:16:3e:00:01:0{dpid}")
            self.tag(dpid, 1, RED)
            self.uplink(dpid)
        self.place(SOURCE)

    def uplink(self, dpid: int, port_no: int = UPLINK) -> None:
        """Add an external port."""
        name = f"eth{port_no}"
        self.state.ports.set_of_port(dpid, OFPort(port_no, name, up=True))
        self.state.ports.update_interfaces(dpid, {name: InterfaceFact(name, port_no)})
        self.state.ensure_port(NW_ID_EXTERNAL, PortId(dpid, port_no))

    def place(self, at: PortId) -> None:
        """Plug the VM that moves, and confirm its tag."""
        self.plug(*at, "red", MAC, "moving")
        self.tag(*at, RED)

    def moving(self, dpid: int) -> list[str]:
        """Return the flows of a switch that are there because a VM moves."""
        pipeline = VlanPipeline(self.state)
        pieces = [str(p) for s in pipeline.subjects(dpid) for p in pipeline.desired(dpid, s)]
        return sorted(p for p in pieces if p.startswith((f"{COOKIE}05", f"{COOKIE}06", "meter")))

    def announce(self, at: PortId) -> bool:
        """Have the guest send a reverse ARP at a place."""
        return self.state.guest_announced(at, reverse_arp(MAC))


def to_moving(*here: int) -> str:
    outputs = "".join(f"output:{port_no}," for port_no in here)
    return (
        f"{COOKIE}05, priority=25,in_port=1,vlan_tci=0x0000/0x1fff,dl_dst={MAC}"
        f" actions={outputs}push_vlan:0x8100,set_field:{0x1000 + RED}->vlan_vid,output:{UPLINK}"
    )


FROM_OUTSIDE = (
    f"{COOKIE}05, priority=25,in_port={UPLINK},dl_vlan={RED},dl_dst={MAC} actions=pop_vlan,output:2"
)
WAITING = [
    *(
        f"{COOKIE}06, priority=30,{kind} actions=meter:{meter},CONTROLLER:128,NORMAL"
        for kind, meter in (
            (f"arp,in_port=2,dl_src={MAC}", 65538),
            (f"icmp6,in_port=2,dl_src={MAC},icmp_type=136", 2),
            (f"rarp,in_port=2,dl_src={MAC}", 2),
        )
    ),
    "meter=2 pktps burst bands=type=drop rate=10 burst_size=10",
    "meter=65538 pktps burst bands=type=drop rate=10 burst_size=10",
]


def test_a_vm_that_is_on_one_switch_is_left_to_what_ovs_learns() -> None:
    cloud = VlanCloud()
    assert cloud.moving(1) == cloud.moving(2) == []


def test_the_source_sends_to_both_places_until_the_guest_is_announced() -> None:
    cloud = VlanCloud()
    cloud.place(DESTINATION)
    assert cloud.moving(1) == [to_moving(2), FROM_OUTSIDE]
    assert cloud.moving(2) == WAITING, "without a controller OVS sees the guest come"
    assert cloud.moving(3) == []
    assert cloud.announce(DESTINATION)
    assert cloud.moving(1) == sorted([to_moving(), *WAITING])
    assert cloud.moving(2) == [to_moving(2), FROM_OUTSIDE]
    assert not cloud.announce(DESTINATION)
    assert cloud.announce(SOURCE), "it goes back"
    assert cloud.moving(1) == [to_moving(2), FROM_OUTSIDE]
    cloud.unplug(*DESTINATION)
    assert cloud.moving(1) == cloud.moving(2) == []


def test_with_duplicate_both_switches_send_to_both_places() -> None:
    cloud = VlanCloud(DUPLICATE)
    cloud.place(DESTINATION)
    assert cloud.moving(1) == cloud.moving(2) == [to_moving(2), FROM_OUTSIDE]


def test_nothing_is_sent_to_a_place_that_is_not_confirmed_to_be_in_the_vlan() -> None:
    cloud = VlanCloud(DUPLICATE)
    cloud.place(DESTINATION)
    cloud.state.changes.take()
    cloud.tag(*DESTINATION, 4095)
    assert cloud.state.changes.take().subjects == {2: {PortSubject(1), PortSubject(2)}}
    assert cloud.moving(2) == []
    assert cloud.moving(1) == [to_moving(2), FROM_OUTSIDE]


@pytest.mark.parametrize("ports", [[], [UPLINK, UPLINK + 1]], ids=["none", "two"])
def test_without_an_uplink_or_with_several_ovs_has_to_know_the_way(ports: list[int]) -> None:
    cloud = VlanCloud(DUPLICATE)
    cloud.place(DESTINATION)
    cloud.state.changes.take()
    cloud.state.remove_port(NW_ID_EXTERNAL, PortId(1, UPLINK))
    for port_no in ports:
        cloud.uplink(1, port_no)
    assert cloud.state.changes.take().subjects[1] >= {PortSubject(1), PortSubject(2)}
    assert cloud.moving(1) == []


def test_of_two_places_on_one_switch_ovs_has_to_know_the_right_one() -> None:
    cloud = VlanCloud(DUPLICATE)
    for place in PLACES[2:]:
        cloud.place(place)
    assert cloud.moving(3) == []
    assert cloud.moving(1) == [to_moving(2), FROM_OUTSIDE]


class World(VlanCloud):
    """Such a cloud, and flows kept up to date from the marks alone."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = VlanPipeline(self.state)
        self.kept: dict[tuple[int, Subject], frozenset[str]] = {}

    def step(self, what: str, at: PortId) -> None:
        """Have something happen, if it can."""
        plugged = at.port_no in self.state.ports.facts(at.dpid).of_ports
        if what == "plug":
            self.place(at)
        elif what == "uplink":
            self.uplink(at.dpid)
        elif what == "no uplink":
            self.state.ports.remove_of_port(at.dpid, UPLINK)
        elif what == "shown":
            self.announce(at)
        elif plugged and what == "unplug":
            self.unplug(*at)
        elif plugged:
            self.tag(*at, int(what))

    def settle(self) -> None:
        """Look again at what was marked."""
        for dpid, subjects in self.state.changes.take().subjects.items():
            for subject in subjects:
                flows = frozenset(map(str, self.pipeline.desired(dpid, subject)))
                self.kept[dpid, subject] = flows

    def check(self) -> None:
        """Check that this is all, and that no flow is two subjects'."""
        for dpid in (1, 2, 3):
            kept = {f for (at, _), flows in self.kept.items() if at == dpid for f in flows}
            pieces = [
                piece
                for subject in self.pipeline.subjects(dpid)
                for piece in self.pipeline.desired(dpid, subject)
                if subject != SwitchSubject()
            ]
            flows = [(p.table, p.priority, p.match) for p in pieces if isinstance(p, Flow)]
            assert {k for k in kept if "priority=0 " not in k} == set(map(str, pieces))
            assert len(flows) == len(set(flows))


WORDS = ["plug", "unplug", "shown", "uplink", "no uplink", str(RED), "4095"]
STEPS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(PLACES)), max_size=30)


@settings(max_examples=150)
@given(steps=STEPS)
def test_any_history_of_a_move_is_kept_up_to_date_from_the_marks(
    steps: list[tuple[str, PortId]],
) -> None:
    world = World()
    for what, at in steps:
        world.step(what, at)
        world.settle()
        world.check()
