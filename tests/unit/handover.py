"""A fleet whose switches are ``Contents``: late, lost, cut off; and a controller that is killed.

Everything is real but the bytes: `State`, pipelines, `Programmer` and the records.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Callable

from ryu_l2iso.exceptions import Conflict, NotFound, SwitchError
from ryu_l2iso.openflow.parties import Source, Watcher
from ryu_l2iso.openflow.plan import Contents, Plan
from ryu_l2iso.openflow.programmer import Programmer
from ryu_l2iso.state.interfaces import NETWORK_ID
from ryu_l2iso.state.ports import InterfaceFact, OFPort, PortId
from ryu_l2iso.state.records import Record, RecordId, Value
from ryu_l2iso.state.state import State
from ryu_l2iso.state.subjects import Subject
from ryu_l2iso.state.switches import TUNNEL_ADDR
from tests.unit.openflow_fakes import Switch

DPIDS = (1, 2, 3)


@dataclass(frozen=True)
class VM:
    """What is plugged at a port: the interface and its network."""

    iface_id: str
    network_id: str
    mac: str


@dataclass
class Real:
    """A switch as it is: what is plugged by port number, what it holds, and who hears of it."""

    dpid: int
    holds: Contents = field(default_factory=Contents)
    plugged: dict[int, VM] = field(default_factory=dict)
    uplinks: dict[int, InterfaceFact] = field(default_factory=dict)
    up: bool = True
    ovsdb_up: bool = True
    link: Switch | None = None
    # The registration was deleted: it is gone for good, or will be when it fails to answer
    gone: bool = False

    def end(self) -> None:
        """Be gone for good, if so."""
        if self.gone:
            self.holds.flows.clear()
            self.holds.groups.clear()
            self.holds.meters.clear()

    def of_ports(self) -> list[OFPort]:
        names = {no: vm.iface_id for no, vm in self.plugged.items()}
        names.update((no, row.name) for no, row in self.uplinks.items())
        return [OFPort(no, name, up=True) for no, name in sorted(names.items())]

    def rows(self) -> dict[str, InterfaceFact]:
        found = {
            vm.iface_id: InterfaceFact(vm.iface_id, no, vm.iface_id, vm.mac)
            for no, vm in self.plugged.items()
        }
        return {**found, **{row.name: row for row in self.uplinks.values()}}


class _Confirmations(Watcher):
    """As in the apps; the disk is ``world.disk``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._confirmations = world.state.confirmations

    def connected(self, dpid: int) -> None:
        self._confirmations.connected(dpid)

    def lost(self, dpid: int) -> None:
        self._confirmations.disconnected(dpid)
        self._world.commit()

    def failed(self, dpid: int) -> None:
        self._confirmations.failed(dpid)
        self._world.commit()

    def may_hold(self, dpid: int, filled: AbstractSet[Subject]) -> bool:
        unrecorded = self._confirmations.may_hold(dpid, filled)
        if unrecorded:
            self._world.commit()
            self._world.meanwhile()
            self._world.write()
            self._confirmations.recorded(unrecorded)
        return bool(unrecorded)

    def holds(self, dpid: int, filled: AbstractSet[Subject], empty: AbstractSet[Subject]) -> None:
        self._confirmations.holds(dpid, filled, empty)
        self._world.commit()

    def holds_only(self, dpid: int, filled: AbstractSet[Subject]) -> None:
        self._confirmations.holds_only(dpid, filled)
        self._world.commit()


class _Link(Switch):
    """A connection; what becomes of a plan is the world's ``fate``."""

    def __init__(self, world: World, real: Real) -> None:
        super().__init__(real.holds)
        self.datapath = SimpleNamespace(id=real.dpid)
        self._world = world

    def apply(self, plan: Plan, deadline: float) -> None:
        world, fate = self._world, self._world.fate
        world.fate = "ok"
        if fate == "lost":
            world.reals[self.datapath.id].end()
            raise SwitchError("no answer")
        self.holds.apply(plan)
        world.check()
        world.meanwhile()
        if fate == "unconfirmed" or self._closed:
            world.reals[self.datapath.id].end()
            raise SwitchError("no answer")


class World:
    """The controller's life, and what is there whether it lives or not."""

    def __init__(
        self,
        make: Callable[[], State],
        pipeline: Callable[[State], Source],
        claims: Callable[[World], dict[object, set[str]]],
    ) -> None:
        """Take ``claims``: what switches use → the networks that it is used for."""
        self._make, self._pipeline, self._claims = make, pipeline, claims
        self.reals = {dpid: Real(dpid) for dpid in DPIDS}
        self.disk: dict[RecordId, Value] = {}
        self._unwritten: list[dict[RecordId, Value | None]] = []
        self.fate = "ok"
        self._meanwhile: list[Callable[[], None]] = []
        self._start()

    def _start(self) -> None:
        self.state = self._make()
        self.state.apply([Record(*record_id, value) for record_id, value in self.disk.items()])
        self.state.changes.take()
        self.source = self._pipeline(self.state)
        watcher = _Confirmations(self)
        self.programmers = {d: Programmer(d, self.source, watcher=watcher) for d in DPIDS}

    def commit(self) -> None:
        changes = self.state.changes.take()
        self._unwritten.append({i: change.new for i, change in changes.records.items()})
        for dpid, subjects in changes.subjects.items():
            for subject in subjects:
                self.programmers[dpid].mark(subject)

    def write(self, transactions: int | None = None) -> None:
        """Have what was committed on disk, all of it or the first transactions."""
        written = self._unwritten[:transactions]
        del self._unwritten[: len(written)]
        for changes in written:
            for record_id, value in changes.items():
                if value is None:
                    self.disk.pop(record_id, None)
                else:
                    self.disk[record_id] = value

    def meanwhile(self) -> None:
        """Do what happens while something is under way."""
        happens, self._meanwhile = self._meanwhile, []
        for happen in happens:
            happen()

    def check(self) -> None:
        """Check that what is one network's is not another's by what any switches hold."""
        shared = {what: names for what, names in self._claims(self).items() if len(names) > 1}
        assert not shared, shared

    # -- what happens ------------------------------------------------------------------------

    def order(self, call: Callable[[], None]) -> None:
        """Do what REST asks for, unless it is refused; it is answered when it is on disk."""
        try:
            call()
        except (Conflict, NotFound):
            return
        self.commit()
        self.write()

    def interface(self, vm: VM) -> None:
        name = vm.iface_id
        self.order(lambda: self.state.ensure_interface_value(name, NETWORK_ID, vm.network_id))

    def register(self, dpid: int) -> None:
        self.reals[dpid].gone = False
        self.order(lambda: self.state.set_switch_value(dpid, TUNNEL_ADDR, f"10.0.0.{dpid}"))

    def deregister(self, dpid: int) -> None:
        """Delete a registration: the switch is gone, or will be when it fails to answer."""
        self.order(lambda: self.state.remove_switch(dpid))
        self.programmers[dpid].ovsdb_read()
        real = self.reals[dpid]
        real.gone = True
        if real.link is None:
            real.end()
        self.state.confirmations.dismissal_recorded(dpid)
        self.commit()

    def give_up(self) -> None:
        """Let those be gone that were to be and have not come back after a restart."""
        for dpid in self.state.confirmations.missing():
            self.reals[dpid].end()
            self.state.confirmations.failed(dpid)
        self.commit()

    def plug(self, dpid: int, port_no: int, vm: VM) -> None:
        self.unplug(dpid, port_no)
        real = self.reals[dpid]
        real.plugged[port_no] = vm
        if real.ovsdb_up:
            self.state.ports.update_interfaces(dpid, {vm.iface_id: real.rows()[vm.iface_id]})
        if real.link is not None:
            self.state.ports.set_of_port(dpid, OFPort(port_no, vm.iface_id, up=True))
        self.commit()

    def unplug(self, dpid: int, port_no: int) -> None:
        real = self.reals[dpid]
        vm = real.plugged.pop(port_no, None)
        if vm is not None and real.link is not None:
            self.state.ports.remove_of_port(dpid, port_no)
        if vm is not None and real.ovsdb_up:
            self.state.ports.update_interfaces(dpid, {vm.iface_id: None})
        self.commit()

    def learn(self, dpid: int, port_no: int, mac: str) -> None:
        self.state.macs.learn(PortId(dpid, port_no), mac)
        self.commit()

    def connect(self, dpid: int) -> None:
        real = self.reals[dpid]
        if real.link is None:
            real.link = _Link(self, real)
            self.state.ports.replace_of_ports(dpid, real.of_ports())
            self.commit()
            self.programmers[dpid].connected(real.link)
            if self.state.confirmations.is_dismissed(dpid):
                self.programmers[dpid].ovsdb_read()

    def disconnect(self, dpid: int) -> None:
        real = self.reals[dpid]
        if real.link is not None:
            self.programmers[dpid].disconnected(real.link.datapath)
            real.link = None
            real.end()

    def cut_ovsdb(self, dpid: int) -> None:
        self.reals[dpid].ovsdb_up = False

    def read_ovsdb(self, dpid: int) -> None:
        real = self.reals[dpid]
        real.ovsdb_up = True
        rows = real.rows()
        self.state.ports.update_interfaces(dpid, rows)
        self.state.ports.keep_interfaces(dpid, rows)
        self.commit()
        self.programmers[dpid].ovsdb_read()

    def work(self, dpid: int, fate: str = "ok", *meanwhile: Callable[[], None]) -> None:
        """Have a switch's worker do one step; something may happen while it is under way."""
        self.fate, self._meanwhile = fate, list(meanwhile)
        self.programmers[dpid].step()
        self.meanwhile()
        self.check()

    def kill(self, transactions: int | None = None) -> None:
        """Kill the controller and start it again; not all that was committed is on disk."""
        self.write(transactions)
        self._unwritten.clear()
        for real in self.reals.values():
            if real.link is not None:
                real.link.close()
                real.link = None
            real.ovsdb_up = False
        self._start()

    def settle(self) -> None:
        """Let all be reached, and work until nothing is left to do."""
        for dpid in DPIDS:
            self.connect(dpid)
            self.read_ovsdb(dpid)
        while not all(programmer.synced for programmer in self.programmers.values()):
            for dpid in DPIDS:
                self.work(dpid)

    def desired(self, dpid: int) -> Contents:
        """Return what a switch should hold, by the whole state."""
        pieces = (self.source.desired(dpid, s) for s in self.source.subjects(dpid))
        return Contents.of(piece for of_one in pieces for piece in of_one)
