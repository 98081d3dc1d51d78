"""The simulated switch: what it is sent it tells again, as the real ones do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.cloud import Cloud as Layout
from bench.simulator import messages
from bench.simulator.openflow import Connection
from bench.simulator.schema import INSTALLED, Schema
from bench.simulator.switch import BRIDGE, VM, Switch
from bench.simulator.tables import Tables
from ryu_l2iso.openflow import wire
from ryu_l2iso.openflow.flow_entry import pack_flow, unpack_flow
from ryu_l2iso.pipelines.flow import Flow, Group, Match, Meter, Output, Piece, ToGroup
from ryu_l2iso.pipelines.gre import GrePipeline
from tests.unit.cloud import Cloud

FLOW = Flow(1, 20, Match(tunnel_id=5, eth_dst="fa:16:3e:00:00:01"), (Output(3),), 2, 0x6C32 << 48)
ALL = 0


@pytest.fixture(scope="module")
def schema() -> Schema:
    """Return the schema of Open vSwitch."""
    return Schema(INSTALLED.read_text(encoding="utf-8"))


class Controller:
    """The controller's end of a connection to a switch that holds nothing."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.counts: Counter[int] = Counter()
        self.commits = 0
        self.connection = Connection(1, {}, self.tables, self.counts, self._committed)

    def _committed(self) -> None:
        self.commits += 1

    def send(self, *sent: bytes) -> list[bytes]:
        """Send messages; return those that come back."""
        data, replies = self.connection.receive(b"".join(sent)), []
        while data:
            end = int.from_bytes(data[2:4], "big")
            replies.append(data[:end])
            data = data[end:]
        return replies

    def bundle(self, *mods: bytes) -> list[bytes]:
        """Send messages in a bundle; return what comes back after it was opened."""
        opened = self.send(wire.pack_bundle_control(1, wire.OPEN_REQUEST, 1))
        assert wire.unpack_bundle_control(opened[0]).kind == wire.OPEN_REPLY
        commit = wire.pack_bundle_control(1, wire.COMMIT_REQUEST, 9)
        return self.send(*(wire.pack_bundle_add(1, mod) for mod in mods), commit)

    def flows(self, cookie: int = 0, mask: int = ALL) -> list[Any]:
        """Return the flows that the switch tells."""
        replies = self.send(wire.pack_flow_stats_request(cookie, mask, 1))
        parts = [wire.unpack_flow_stats(reply) for reply in replies]
        assert [more for _, more in parts] == [True] * (len(parts) - 1) + [False]
        return [unpack_flow(flow) for flows, _ in parts for flow in flows]


def test_flows_are_told_as_they_were_sent() -> None:
    controller = Controller()
    state = Cloud()
    state.network("red", 7)
    for dpid in (1, 2):
        state.switch(dpid)
        state.plug(dpid, 1, "red", f"fa:16:3e:00:00:0{dpid}")
    state.update_tunnels()
    pipeline = GrePipeline(state.state)
    pieces = [p for s in pipeline.subjects(1) for p in pipeline.desired(1, s)]
    flows = [piece for piece in pieces if isinstance(piece, Flow)]
    replies = controller.bundle(*(wire.pack_flow_add(pack_flow(flow), 2) for flow in flows))
    assert [wire.unpack_bundle_control(reply).kind for reply in replies] == [wire.COMMIT_REPLY]
    assert sorted(map(str, controller.flows())) == sorted(map(str, flows))
    assert controller.counts[wire.FLOW_MOD] == len(flows)
    assert controller.commits == 1


def test_many_flows_come_in_several_replies() -> None:
    controller = Controller()
    flows = [FLOW._replace(priority=number) for number in range(2000)]
    controller.bundle(*(wire.pack_flow_add(pack_flow(flow), 2) for flow in flows))
    assert controller.flows() == flows


def test_a_flow_is_replaced_and_deleted_by_its_identity() -> None:
    controller = Controller()
    other = FLOW._replace(actions=(Output(4),))
    controller.send(wire.pack_flow_add(pack_flow(FLOW), 1), wire.pack_flow_add(pack_flow(other), 2))
    assert controller.flows() == [other]
    assert not controller.flows(1, 0xFF)
    controller.send(wire.pack_flow_delete_strict(pack_flow(FLOW), 3))
    assert not controller.flows()


def test_groups_and_meters_are_told_as_they_were_sent() -> None:
    controller = Controller()
    group, meter = Group(7, (1, 2)), Meter(3, 10, 20)
    assert not controller.send(wire.pack_group_add(group, 1), wire.pack_meter_add(meter, 2))
    [groups] = controller.send(wire.pack_group_desc_request(3))
    [meters] = controller.send(wire.pack_meter_config_request(4))
    assert wire.unpack_group_desc(groups) == ([group], False)
    assert wire.unpack_meter_config(meters) == ([meter], False)


def test_a_bundle_with_a_refused_message_changes_nothing() -> None:
    controller = Controller()
    group = Group(7, (1,))
    controller.send(wire.pack_group_add(group, 1))
    mods = wire.pack_group_add(Group(8, ()), 2), wire.pack_group_add(group, 3)
    replies = controller.bundle(*mods, wire.pack_flow_add(pack_flow(FLOW), 4))
    assert [reply[1] for reply in replies] == [wire.ERROR, wire.ERROR]
    assert list(controller.tables.groups) == [7]
    assert not controller.flows()


def test_a_group_takes_its_flows_along() -> None:
    controller = Controller()
    flow = FLOW._replace(actions=(ToGroup(7),))
    controller.send(wire.pack_group_add(Group(7, ()), 1), wire.pack_flow_add(pack_flow(flow), 2))
    controller.send(wire.pack_group_delete(7, 3))
    assert not controller.flows()


def test_a_message_may_come_in_pieces() -> None:
    controller = Controller()
    request = messages.message(messages.ECHO_REQUEST, 5, b"x")
    assert not controller.connection.receive(request[:6])
    assert controller.connection.receive(request[6:]) == messages.message(3, 5, b"x")


def test_what_is_plugged_is_told(schema: Schema) -> None:
    switch, sent = Switch(5, schema), list[bytes]()
    switch.send = sent.append
    switch.plug([VM("tap1", "iface", "fa:16:3e:00:00:01")])
    [row] = [r for r in switch.database.tables["Interface"].values() if r["name"] == "tap1"]
    assert row["external_ids"] == {"iface-id": "iface", "attached-mac": "fa:16:3e:00:00:01"}
    assert row["ofport"] == {1}
    switch.unplug(["tap1"])
    assert [message[1] for message in sent] == [messages.PORT_STATUS] * 2
    assert [row["name"] for row in switch.database.tables["Interface"].values()] == [BRIDGE]
    assert [row["name"] for row in switch.database.tables["Port"].values()] == [BRIDGE]


def test_a_transaction_that_is_refused_changes_nothing(schema: Schema) -> None:
    switch = Switch(5, schema)
    where = [["name", "==", BRIDGE]]
    update = {"op": "update", "table": "Bridge", "where": where, "row": {"fail_mode": "standalone"}}
    rows = [{"fail_mode": "secure"}]
    wait = {"op": "wait", "table": "Bridge", "where": where, "columns": ["fail_mode"]}
    results = switch.transact([update, {**wait, "until": "==", "rows": rows}])
    assert results[1] == {"error": "timed out"}
    [bridge] = switch.database.tables["Bridge"].values()
    assert bridge["fail_mode"] == {"secure"}


@pytest.mark.parametrize(("switches", "networks", "ports"), [(1, 2, 5), (4, 3, 20), (5, 1, 5)])
def test_the_number_of_flows_is_that_of_the_pipeline(
    switches: int, networks: int, ports: int
) -> None:
    layout, cloud = Layout(switches, networks, ports), Cloud()
    for dpid in layout.switches:
        cloud.switch(dpid)
    for network in layout.networks:
        cloud.network(f"network-{network}", network + 1)
    for vm in layout.vms:
        cloud.plug(vm.switch, vm.number + 1, f"network-{vm.network}", vm.mac)
    cloud.update_tunnels()
    pipeline = GrePipeline(cloud.state)
    for dpid in layout.switches:
        pieces: list[Piece] = []
        for subject in pipeline.subjects(dpid):
            pieces += pipeline.desired(dpid, subject)
        assert layout.flows(dpid) == sum(isinstance(piece, Flow) for piece in pieces)
