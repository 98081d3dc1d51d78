"""The one compare function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ryu_l2iso.openflow.plan import Contents, Key, MeterKey, Plan, compare, is_stale, referred
from ryu_l2iso.openflow.wire import OpaqueGroup, OpaqueMeter
from ryu_l2iso.pipelines.flow import NORMAL, Flow, Group, Match, Meter, Output, Piece, ToGroup
from tests.unit.openflow_fakes import key, opaque, packed

COOKIE = 1


def flow(port: int, output: int = 1, group: int = 0) -> Flow:
    """Return a flow whose identity is ``port`` alone."""
    does = ToGroup(group) if group else Output(output)
    return Flow(0, 10, Match(in_port=port), (does,), None, COOKIE)


NOTHING = Contents()


def with_edited(pieces: list[Piece], *edited: Flow) -> Contents:
    """Return contents of these, and flows that somebody gave a shape of his own."""
    contents = Contents.of(pieces)
    for one in edited:
        contents.flows.update(opaque(one))
    return contents


def test_nothing_differs() -> None:
    same = Contents.of([flow(1, group=5), Group(5, (1, 2))])
    plan = compare(same, same, set())
    assert plan == Plan()
    assert not plan


def test_all_is_added() -> None:
    desired = Contents.of([flow(1, group=5), Group(5, (1, 2)), flow(2)])
    plan = compare(desired, NOTHING, set())
    added = packed(flow(1, group=5), flow(2))
    assert plan == Plan(groups_to_add=(Group(5, (1, 2)),), flows_to_add=added)
    assert (plan.flow_mods, plan.group_mods) == (2, 1)
    assert set(plan.additions()) == set(desired.keys())


def test_changed_flow_is_one_add_and_no_delete() -> None:
    plan = compare(Contents.of([flow(1, 7)]), Contents.of([flow(1, 8)]), set())
    assert plan == Plan(flows_to_add=packed(flow(1, 7)))


def test_flow_that_somebody_edited_is_one_add_and_no_delete() -> None:
    plan = compare(Contents.of([flow(1)]), with_edited([], flow(1)), set())
    assert plan == Plan(flows_to_add=packed(flow(1)))


def test_changed_group_is_modified_whatever_it_is_now() -> None:
    desired, installed = (
        Contents.of([Group(5, (1,)), Group(6, (1,))]),
        Contents.of([Group(5, (2,))]),
    )
    installed.groups[6] = OpaqueGroup(6)
    plan = compare(desired, installed, set())
    assert plan == Plan(groups_to_modify=(Group(5, (1,)), Group(6, (1,))))


def test_stray_flow_and_its_group_are_held_until_strays_may_go() -> None:
    stray = with_edited([flow(1, group=5), Group(5, (1,))], flow(2))
    assert compare(NOTHING, stray, set(stray.keys())) == Plan(held=2)
    gone = Plan(
        flows_to_delete={**packed(flow(1, group=5)), **opaque(flow(2))}, groups_to_delete=(5,)
    )
    assert compare(NOTHING, stray, {5}) == gone
    assert set(gone.deletions()) == set(stray.keys())


def test_what_was_desired_before_goes_at_once() -> None:
    installed = Contents.of([flow(1, group=5), Group(5, (1,)), Group(6, (1,)), flow(2)])
    plan = compare(NOTHING, installed, {key(flow(2))})
    gone = packed(flow(1, group=5))
    assert plan == Plan(flows_to_delete=gone, groups_to_delete=(5, 6), held=1)


def test_group_that_a_stray_refers_to_stays() -> None:
    installed = Contents.of([flow(1, group=5), flow(2, group=5), Group(5, (1,))])
    plan = compare(NOTHING, installed, {key(flow(2, group=5))})
    assert plan == Plan(flows_to_delete=packed(flow(1, group=5)), held=1)


def test_meters_are_handled_as_groups_are() -> None:
    metered = flow(1)._replace(meter=5)
    desired = Contents.of([metered, Meter(5, 10, 20)])
    plan = compare(desired, NOTHING, set())
    assert plan == Plan(meters_to_add=(Meter(5, 10, 20),), flows_to_add=packed(metered))
    assert (plan.meter_mods, bool(plan)) == (1, True)
    assert set(plan.additions()) == set(desired.keys())
    others: set[Key] = {MeterKey(5), MeterKey(6)}
    for other in (Meter(5, 1, 1), OpaqueMeter(5)):
        installed = Contents.of([metered, Meter(6, 1, 1)])
        installed.meters[MeterKey(5)] = other
        plan = compare(desired, installed, others)
        assert plan == Plan(meters_to_modify=(Meter(5, 10, 20),))
        installed.apply(plan)
        assert installed == Contents.of([metered, Meter(5, 10, 20), Meter(6, 1, 1)])
    plan = compare(NOTHING, installed, others)
    assert plan == Plan(flows_to_delete=packed(metered), meters_to_delete=(MeterKey(5),))
    installed.apply(plan)
    assert installed == Contents.of([Meter(6, 1, 1)])
    part = desired.part([MeterKey(5), MeterKey(6)])
    assert part == Contents.of([Meter(5, 10, 20)])


def test_groups_of_others_are_never_deleted() -> None:
    foreign = Contents.of([Group(5, (1,))])
    foreign.groups[6] = OpaqueGroup(6)
    assert compare(NOTHING, foreign, {5, 6}) == Plan()


def test_what_a_flow_of_others_does_counts_for_nothing() -> None:
    """What is no shape of ours refers to no group of ours."""
    installed = with_edited([Group(5, (1,))], flow(1, group=5))
    assert compare(NOTHING, installed, {5}) == Plan(flows_to_delete=opaque(flow(1, group=5)))


def test_part_has_what_is_there_of_the_keys() -> None:
    contents = Contents.of([flow(1), flow(2), Group(5, ()), Group(6, ())])
    part = contents.part([key(flow(1)), key(flow(9)), 5, 7])
    assert part == Contents.of([flow(1), Group(5, ())])
    assert set(contents.keys()) == {key(flow(1)), key(flow(2)), 5, 6}
    contents.discard([key(flow(1)), 5, 7, MeterKey(8)])
    assert contents == Contents.of([flow(2), Group(6, ())])


ports = st.integers(1, 6)
pieces = st.lists(
    st.one_of(
        st.builds(flow, ports, ports),
        st.builds(flow, ports, group=ports),
        st.builds(Group, ports, st.lists(ports, unique=True).map(tuple)),
    )
)


@given(pieces, pieces, pieces)
def test_applying_a_plan_leaves_nothing_to_do(
    wanted: list[Piece], there: list[Piece], before: list[Piece]
) -> None:
    desired, installed = Contents.of(wanted), Contents.of(there)
    strays = set(installed.keys()).difference(Contents.of(before).keys())
    for some in (strays, {name for name in strays if isinstance(name, int)}):
        plan = compare(desired, installed, some)
        installed.apply(plan)
        assert not compare(desired, installed, some)
        assert {k: installed.flows[k] for k in desired.flows} == desired.flows
        assert {k: installed.groups[k] for k in desired.groups} == desired.groups
    assert installed.flows == desired.flows


@given(pieces, pieces)
def test_change_and_revert_gives_equal_contents(first: list[Piece], second: list[Piece]) -> None:
    one, other, installed = with_groups(first), with_groups(second), with_groups(first)
    installed.apply(compare(other, installed, set()))
    assert installed == other
    installed.apply(compare(one, installed, set()))
    assert installed == one


@given(pieces, pieces)
def test_no_flow_ever_refers_to_a_group_that_is_not_there(
    wanted: list[Piece], there: list[Piece]
) -> None:
    desired, installed = with_groups(wanted), with_groups(there)
    installed.apply(compare(desired, installed, set(installed.keys())))
    assert referred(installed.flows.values()) <= installed.groups.keys()


def with_groups(some: list[Piece]) -> Contents:
    """Return the pieces, and every group that a flow of them refers to."""
    return Contents.of([*(Group(number, (1,)) for number in range(1, 7)), *some])


def test_a_flow_is_stale_that_names_a_port_which_is_gone() -> None:
    """The learning switch is a port by its number only, and always there."""
    flows = [flow(1, 2), flow(2, 9), flow(3, group=5), flow(4, group=6), flow(5, NORMAL), flow(9)]
    everywhere = Flow(0, 10, Match(), (), None, COOKIE)
    installed = with_edited([*flows, everywhere, Group(5, (1, 9))], flow(10))
    installed.groups[6] = OpaqueGroup(6)
    stale = {name for name in installed.flows if is_stale(name, installed, range(1, 6))}
    assert stale == {key(flow(2)), key(flow(3)), key(flow(9))}
