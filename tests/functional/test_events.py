"""The example app, loaded in a real manager, prints what becomes of ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ryu_l2iso.state.values import dpid_to_str
from tests.functional.controller import ROOT, Controller
from tests.functional.ovs import OVS, wait_until
from tests.functional.real_cloud import BRIDGE, Node, RealCloud

EXAMPLE = str(ROOT / "examples" / "print_ports.py")
KINDS = ("VM port ", "tunnel port ", "external port ")
MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


class Printed:
    """The lines of the example in a controller's log."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._read = 0

    def _new(self) -> list[str]:
        lines = [x for x in self._controller.log().splitlines() if x.startswith(KINDS)]
        return lines[self._read :]

    def next(self, count: int) -> list[str]:
        """Wait for ``count`` more lines, or more; return them."""
        wait_until(lambda: len(self._new()) >= count, f"{count} lines after {self._read}")
        new = self._new()
        self._read += len(new)
        print(*new, sep="\n")
        return new


@pytest.fixture
def real() -> Iterator[RealCloud]:
    """Return a cloud of two registered nodes whose controller runs the example."""
    with OVS() as first, OVS() as second:
        apps = ("tunnel_port_updater", "gre_tunnel", "rest", EXAMPLE)
        with Controller(*apps) as controller:
            controller.wait_for_log("REST server listens")
            cloud = RealCloud(controller, (Node(first, 1), Node(second, 2)))
            for node in cloud.nodes:
                cloud.register(node)
            cloud.network("red", 42)
            cloud.settle()
            yield cloud


def test_the_example_prints_vm_and_tunnel_ports(real: RealCloud) -> None:
    printed, (first, second) = Printed(real.controller), real.nodes
    real.tell_interface("iface-1-101", "red")
    real.plug(first, 101, "red", MAC_A)
    assert printed.next(1) == [f"VM port added: tap101 of red, MAC {MAC_A}"]
    second.ovs.add_port(BRIDGE, "tap101")
    second.describe("tap101", iface_id="vif", attached_mac=MAC_B)
    assert printed.next(1) == [f"VM port added: tap101 of None, MAC {MAC_B}"]
    real.tell_interface("vif", "red")
    changed, *tunnels = printed.next(3)
    assert changed == f"VM port changed: tap101 of red, MAC {MAC_B}"
    assert sorted(tunnels) == [f"tunnel port added: to switch {dpid:016x}" for dpid in (1, 2)]
    second.ovs.appctl("netdev-dummy/set-admin-state", "tap101", "down")
    changed, *tunnels = printed.next(3)
    assert changed == f"VM port changed: tap101 of red, MAC {MAC_B}"
    assert sorted(tunnels) == [f"tunnel port removed: to switch {dpid:016x}" for dpid in (1, 2)]
    second.ovs.vsctl("del-port", "tap101")
    assert printed.next(1) == [f"VM port removed: tap101 of red, MAC {MAC_B}"]


def test_the_example_prints_external_ports(real: RealCloud) -> None:
    printed, node = Printed(real.controller), real.nodes[0]
    uplink = node.ovs.add_port(BRIDGE, "uplink0")
    path = f"/networks/__NW_ID_EXTERNAL__/{dpid_to_str(node.dpid)}_{uplink}"
    real.rest("POST", path)
    assert printed.next(1) == ["external port added: uplink0"]
    real.rest("DELETE", path)
    assert printed.next(1) == ["external port removed: uplink0"]
    real.rest("POST", path)
    node.describe("uplink0", iface_id="vif", attached_mac=MAC_A)
    assert printed.next(1) == ["external port added: uplink0"]
    real.rest("DELETE", path)
    assert printed.next(2) == [
        "external port removed: uplink0",
        f"VM port added: uplink0 of None, MAC {MAC_A}",
    ]
    # REST alone speaks of the next one: it goes by OpenFlow's word.
    uplink = node.ovs.add_port(BRIDGE, "uplink1")
    real.rest("POST", f"/networks/__NW_ID_EXTERNAL__/{dpid_to_str(node.dpid)}_{uplink}")
    assert printed.next(1) == ["external port added: uplink1"]
    node.ovs.vsctl("del-port", "uplink1")
    assert printed.next(1) == ["external port removed: uplink1"]


DEAF = """
from ryu_l2iso import events
from ryu_l2iso.framework import BaseApp, hub, set_ev_cls

class Deaf(BaseApp):
    @set_ev_cls([events.EventVMPort, events.EventExternalPort])
    def never_ends(self, ev):
        print("deaf from now on", flush=True)
        hub.Event().wait()
"""


def test_an_app_that_takes_no_events_holds_up_no_flow(tmp_path: Path, ovs: OVS) -> None:
    app = tmp_path / "deaf.py"
    app.write_text(DEAF, encoding="utf-8")
    with Controller("gre_tunnel", "rest", str(app)) as controller:
        controller.wait_for_log("REST server listens")
        real = RealCloud(controller, [Node(ovs, 1)])
        real.register(real.nodes[0])
        real.network("red", 42)
        real.plug(real.nodes[0], 101, "red", MAC_A)
        controller.wait_for_log("deaf from now on")
        uplinks = [ovs.add_port(BRIDGE, f"uplink{number}") for number in range(3)]
        for _ in range(30):
            for method in ("POST", "DELETE"):
                for uplink in uplinks:
                    path = f"/networks/__NW_ID_EXTERNAL__/{dpid_to_str(1)}_{uplink}"
                    real.rest(method, path)
        real.plug(real.nodes[0], 102, "red", MAC_B)
        real.settle()


OTHER_APP = """
from ryu_l2iso.framework import MAIN_DISPATCHER, BaseApp, ofp_event, set_ev_cls


class Hears(BaseApp):
    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def told(self, ev):
        name = ev.msg.desc.name.rstrip(b"\\0").decode()
        print(f"told of {name}, which is known: {ev.msg.desc.port_no in ev.msg.datapath.ports}")
"""


def test_an_app_of_others_hears_of_ports_as_the_framework_tells_it(tmp_path: Path) -> None:
    """Ours takes what becomes of ports past the framework only where nobody else wants it."""
    app = tmp_path / "hears.py"
    app.write_text(OTHER_APP)
    with OVS() as ovs, Controller("gre_tunnel", "rest", str(app)) as controller:
        controller.wait_for_log("REST server listens")
        cloud = RealCloud(controller, (Node(ovs, 1),))
        cloud.register(cloud.nodes[0])
        cloud.settle()
        ovs.add_port(BRIDGE, "tap7")
        controller.wait_for_log("told of tap7, which is known: True")
