"""Faults at random, one after the other, while VMs ping each other and everybody listens.

After each fault the fleet has to come back by itself to exactly what it should hold, to take a
new VM on every node, and to answer all pings.  No packet may reach a VM of another network at any
time, and no ping may be lost but of those whom the fault has touched.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ryu_l2iso.lab import demo, matrix, report
from ryu_l2iso.lab.faults import FAULTS
from ryu_l2iso.lab.moving import MovableVM
from ryu_l2iso.lab.node import INTEGRATION_BRIDGE, Node
from ryu_l2iso.lab.pings import INTERVAL, Loss
from ryu_l2iso.lab.scene import DEADLINE, Effect, Fault, Line, Scene, nobody
from ryu_l2iso.lab.shell import LabError, median, wait_until
from ryu_l2iso.lab.topology import Lab
from ryu_l2iso.lab.traffic import Traffic, lines_of
from ryu_l2iso.lab.vm import DEAD_VLAN, VM

OPTIONS = {"drift_interval": "1"}
"""The controller's, for a lab in which something is changed by hand: seconds."""

PING_INTERVAL = 0.02
"""Seconds; twice as long as elsewhere, so that a soak may share two cores with something else."""

IN_FLIGHT = 0.2
"""Seconds before a fault; a ping that was sent in them may still be on its way."""

JOLT = 3
"""Pings.  When a port comes or goes, OVS's userspace tunnels, which every lab has, now and
then drop a packet or two of others, whatever the controller does: 21 of 12,000 in one run without
a controller, none where VMs reach each other without tunnels."""

STALE = 5.0
"""Seconds after which OVS is looked at for a flow of its own that it should not have kept."""

PROBE = "probe"
"""Interface id and port of the VMs that are plugged to see that a node takes new ones."""


@dataclass(frozen=True)
class Outcome:
    """What came of one fault.

    ``seconds``: from when it was healed to when all was as it should be, None if that never was;
    ``excused``: pings lost that it may have cost; ``faults``: in words, what must not be.
    """

    name: str
    text: str
    seconds: float | None
    excused: int
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        after = "never again as it should be" if self.seconds is None else f"{self.seconds:.2f} s"
        lines = [f"{self.text}: {after}, {self.excused} pings lost that it may cost"]
        return "\n".join([*lines, *(f"  ! {fault}" for fault in self.faults)])


def movable_vms(lab: Lab) -> dict[str, MovableVM]:
    """Make the first VM of each network of a lab that was just entered movable: name → VM."""
    firsts = {vm.network: vm for vm in reversed(lab.vms)}
    movables = {vm.name: MovableVM(vm) for vm in firsts.values()}
    for movable in movables.values():
        movable.add()
    return movables


class Watched:
    """A wired lab under continuous traffic, in which faults happen one by one.

    A context manager; the lab must be wired when it is entered.  ``interval``, in seconds, is
    that of the pings.
    """

    def __init__(self, scene: Scene, interval: float = INTERVAL) -> None:
        self.scene = scene
        vms = scene.lab.vms
        self._traffic = Traffic(vms, lines_of(vms), interval)
        self._since = 0.0
        self._leaked = 0
        self._purged = ""

    def __enter__(self) -> Watched:
        self._add_probes()
        self._probe()
        self._traffic.__enter__()
        try:
            self._wait_for_pings()
        except BaseException:
            self.__exit__()
            raise
        self._since = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self._traffic.__exit__(None, None, None)

    def strike(self, fault: Fault) -> Outcome:
        """Have one fault; return what came of it.

        The span that is looked at begins where that of the fault before ended, so that no ping
        is left out.
        """
        before = self._touchable()
        struck = time.monotonic() - IN_FLIGHT
        effect, seconds = Effect((fault.__doc__ or "").splitlines()[0], nobody), None
        faults = []
        self._purged = ""
        try:
            effect = fault(self.scene)
            seconds = self._settle()
        except LabError as error:
            faults.append(str(error))
        faults += effect.check()
        end = time.monotonic()
        quiet = self._losses(self._since, struck, before)
        during = self._losses(struck, end, before & self._touchable())
        self._since = end
        faults += [f"before it, {loss}" for loss in quiet if loss.lost]
        unexcused = [loss for loss in during if not effect.excused(_line(loss))]
        faults += [str(loss) for loss in unexcused if loss.lost > self._jolt(effect, loss)]
        faults += self._new_leaks()
        excused = sum(loss.lost for loss in during if effect.excused(_line(loss)))
        text = effect.text + self._purged
        return Outcome(fault.__name__, text, seconds, excused, faults)

    # -- helpers -----------------------------------------------------------------------------

    def _jolt(self, effect: Effect, loss: Loss) -> int:
        """Return how many pings of a line may be lost because ports came or went."""
        tunnelled = loss.source.node is not loss.destination.node
        gre = self.scene.lab.isolation.name == "gre"
        return JOLT if effect.ports_changed and tunnelled and gre else 0

    def _touchable(self) -> set[str]:
        """Return the names of the VMs that are to answer."""
        return {vm.name for vm in self.scene.plugged()}

    def _losses(self, begin: float, end: float, names: set[str]) -> list[Loss]:
        found = self._traffic.losses(begin, end)
        return [loss for loss in found if {loss.source.name, loss.destination.name} <= names]

    def _settle(self) -> float:
        """Wait until all is as it should be; return the seconds."""
        start = time.monotonic()
        self.scene.wait_as_expected()
        self._probe()
        self._wait_for_pings()
        return time.monotonic() - start

    def _wait_for_pings(self) -> None:
        """Wait until a ping that is sent from now on was answered along every line."""
        begin = time.monotonic()
        names = self._touchable()
        lines = {line for line in self._traffic.lines() if _names(line) <= names}
        waiting: set[tuple[VM, VM]] = set()

        def answered() -> bool:
            waiting.clear()
            waiting.update(lines - self._traffic.answered_since(begin))
            if time.monotonic() > begin + STALE and not self._purged:
                self._purge_stale_flows()
            return not waiting

        try:
            wait_until(answered, DEADLINE, "all VMs to answer", 0.05)
        except LabError as error:
            pairs = sorted(
                f"{source.name} -> {destination.name}" for source, destination in waiting
            )
            raise LabError(f"{error}: {', '.join(pairs)}") from None

    def _purge_stale_flows(self) -> None:
        nodes = [node for node in self.scene.lab.nodes if node.purge_stale_tunnel_flows()]
        self._purged = "".join(f"; OVS had a stale flow at {node.name}" for node in nodes)

    def _new_leaks(self) -> list[str]:
        traffic = self._traffic
        number, self._leaked = traffic.leaked - self._leaked, traffic.leaked
        if not number:
            return []
        shown = sorted({str(leak) for leak in traffic.leaks})
        return [f"{number} packets leaked", *shown[:8]]

    # -- the probe: every node takes a VM that becomes known, and lets it go -------------------

    def _add_probes(self) -> None:
        """Plug a port into each node that lacks nothing but its MAC to be a VM's."""
        lab, registered = self.scene.lab, self.scene.registered
        for node in lab.nodes:
            iface_id = f"{PROBE}-{node.name}"
            registered.interfaces[iface_id] = lab.networks[0].network_id
            lab.quantum.create_interface(iface_id, lab.networks[0].network_id)
            node.namespace.ip(
                f"link add {PROBE} type veth peer name {PROBE}-end",
                f"link set {PROBE} up",
                f"link set {PROBE}-end up",
            )

    def _probe(self) -> None:
        """Give the probes their MACs, and take them away: no port comes or goes by it."""
        lab = self.scene.lab
        for number, node in enumerate(lab.nodes, 1):
            self._plug_probe(node)
            mac = f"fa:16:3e:02:00:{number:02x}"
            node.vsctl("set", "Interface", PROBE, f'external_ids:attached-mac="{mac}"')
        self.scene.wait_as_expected()
        for node in lab.nodes:
            node.vsctl("remove", "Interface", PROBE, "external_ids", "attached-mac")
        self.scene.wait_as_expected()

    def _plug_probe(self, node: Node) -> None:
        tag = [f"tag={DEAD_VLAN}"] if self.scene.lab.isolation.dead_tag else []
        port = ["--may-exist", "add-port", INTEGRATION_BRIDGE, PROBE, *tag]
        ids = f"external_ids:iface-id={PROBE}-{node.name}"
        node.vsctl(*port, "--", "set", "Interface", PROBE, ids)


def _line(loss: Loss) -> Line:
    return Line(loss.source, loss.destination)


def _names(line: Iterable[VM]) -> set[str]:
    return {vm.name for vm in line}


def start(lab: Lab, seed: int, away: float, outages: Mapping[str, float] | None = None) -> Scene:
    """Start and wire a lab that was just entered, for faults."""
    movables = movable_vms(lab)
    demo.start(lab)
    demo.wire(lab)
    return Scene(lab, random.Random(seed), movables, away, outages or {})


def order(faults: Iterable[Fault], chance: random.Random) -> Iterator[Fault]:
    """Yield faults for ever: all of them in a random order, then again in another."""
    every = list(faults)
    while True:
        yield from chance.sample(every, len(every))


def run(lab: Lab, seconds: float, seed: int, away: float) -> bool:
    """Soak a lab that was just entered, and print what came of it; return whether all was well."""
    scene = start(lab, seed, away)
    outcomes: list[Outcome] = []
    print(report.title(f"Faults for {seconds:g} s, isolation {lab.isolation.name}, seed {seed}"))
    begin = time.monotonic()
    with Watched(scene, PING_INTERVAL) as watched:
        for fault in order(FAULTS[lab.isolation.name], scene.random):
            if time.monotonic() - begin > seconds:
                break
            outcomes.append(watched.strike(fault))
            print(f"{time.monotonic() - begin:6.1f} s  {outcomes[-1]}", flush=True)
            if outcomes[-1].seconds is None:
                break
    wrong = faults_between(scene.plugged())
    for text in lines(outcomes, wrong):
        print(text, flush=True)
    ok = not wrong and not any(outcome.faults for outcome in outcomes)
    if not ok:
        print(f"NOT as it must be; the seed is {seed}", flush=True)
    return ok


def faults_between(vms: Sequence[VM]) -> list[str]:
    """Return what of the isolation matrix is not as it must be, in words.

    All VMs first learn each other's addresses: what waits for one may be dropped on a busy machine.
    """
    # The matrix then says who is not reached.
    with contextlib.suppress(LabError):
        matrix.wait_until_wired(vms)
    return matrix.measure(vms).faults()


def lines(outcomes: list[Outcome], wrong: list[str]) -> Iterator[str]:
    """Yield a table of what happened how often and how long it took, and what was wrong."""
    yield report.title("What happened")
    yield f"{'fault':<34} {'times':>5} {'median':>8} {'longest':>8} {'lost':>6} {'wrong':>6}"
    for name in dict.fromkeys(outcome.name for outcome in outcomes):
        of_one = [outcome for outcome in outcomes if outcome.name == name]
        took = [outcome.seconds for outcome in of_one if outcome.seconds is not None] or [-1.0]
        excused = sum(outcome.excused for outcome in of_one)
        faults = sum(len(outcome.faults) for outcome in of_one)
        yield (
            f"{name.replace('_', ' '):<34} {len(of_one):>5} {median(took):>6.2f} s"
            f" {max(took):>6.2f} s {excused:>6} {faults:>6}"
        )
    yield "lost: pings of those whom the fault touched; of all others none may be lost"
    yield f"isolation matrix at the end: {'as it must be' if not wrong else 'NOT as it must be'}"
    yield from (f"  ! {fault}" for fault in wrong)
