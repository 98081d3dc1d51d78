"""What is known of what one switch holds, and what it should hold for some of its subjects."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from ryu_l2iso.openflow.flow_entry import REMEMBERED
from ryu_l2iso.openflow.plan import Contents, Key, Plan, compare, is_stale
from ryu_l2iso.pipelines.flow import Piece
from ryu_l2iso.state.subjects import Subject

_shared: dict[tuple[Key, ...], tuple[Key, ...]] = {}
"""Names of what is desired for a subject, in memory once: most switches hold the same for it."""


class Desired:
    """What a switch should hold for some subjects, or for all that it has.

    ``contents`` is that of all of them together; ``names`` is subject → what names its part,
    nothing for one that is left out; ``empty`` are the subjects for which nothing is wanted.
    """

    def __init__(self) -> None:
        self.contents = Contents()
        self.names: dict[Subject, tuple[Key, ...]] = {}
        self.empty: set[Subject] = set()

    def put(self, subject: Subject, pieces: Sequence[Piece], is_filled: bool) -> None:
        """Add what is to be sent for a subject, which is not here.

        ``is_filled`` says whether anything is wanted for it, if it is left out as well.
        """
        if is_filled:
            names = tuple(map(self.contents.add, pieces))
            if len(_shared) >= REMEMBERED and names not in _shared:
                _shared.clear()
            self.names[subject] = _shared.setdefault(names, names)
        else:
            self.empty.add(subject)

    def forget(self, subjects: Iterable[Subject]) -> None:
        """Remove all that is here of some subjects."""
        for subject in subjects:
            self.contents.discard(self.names.pop(subject, ()))
            self.empty.discard(subject)


class Picture:
    """What a switch holds, by its own account, and what of it is ours.

    ``installed`` is read back when the switch connects, and after that changed only when the
    switch has confirmed something.  ``strays`` names what of it nobody here has ever desired:
    flows under our cookie, and groups and meters of anybody.
    """

    def __init__(self) -> None:
        self.installed = Contents()
        self.strays: set[Key] = set()
        # subject → names of the pieces that were last confirmed for it
        self._names: dict[Subject, tuple[Key, ...]] = {}
        # Names of what was sent and not confirmed, and may be there all the same
        self._sent: set[Key] = set()

    def read(self, installed: Contents, desired: Contents) -> None:
        """Take what was read back; what is ``desired`` of it is no stray flow."""
        before, flows = self.installed, installed.flows.keys()
        new: set[Key] = {
            *(flows - before.flows.keys() - desired.flows.keys()),
            *(installed.groups.keys() - before.groups.keys()),
            *(installed.meters.keys() - before.meters.keys()),
        }
        left = {key for key in self.strays if key in installed.of_kind(key)}
        self.strays = (new | left) - self._sent
        self.installed = installed

    def plan_all(self, desired: Desired, delete_strays: bool, ports: Container[int]) -> Plan:
        """Return what to send so that the switch holds what is ``desired`` and nothing else.

        Strays stay unless ``delete_strays``, or they are flows about ports not among ``ports``.
        """
        goes = {
            key
            for key in self.strays
            if isinstance(key, bytes) and (delete_strays or is_stale(key, self.installed, ports))
        }
        return compare(desired.contents, self.installed, self.strays - goes)

    def plan_some(self, desired: Desired) -> Plan:
        """Return what to send so that the switch holds what is ``desired`` of its subjects."""
        subjects = (*desired.names, *desired.empty)
        before = {key for subject in subjects for key in self._names.get(subject, ())}
        installed = self.installed.part(before.union(desired.contents.keys()))
        return compare(desired.contents, installed, self.strays)

    def send(self, plan: Plan) -> None:
        """Record that a plan is about to be sent."""
        self._sent.update(plan.additions())

    def refused(self, keys: Iterable[Key]) -> None:
        """Record that what these name was refused, and is not there by what was sent."""
        self._sent.difference_update(keys)

    def confirmed(self, plan: Plan, desired: Desired, of_all: bool) -> None:
        """Record that a plan is carried out, and that it was about some subjects, or all."""
        self._sent.clear()
        self.installed.apply(plan)
        self.strays.difference_update(desired.contents.keys())
        self.strays.difference_update(plan.deletions())
        if of_all:
            self._names = desired.names
        else:
            self._names.update(desired.names)
            for subject in desired.empty:
                self._names.pop(subject, None)
