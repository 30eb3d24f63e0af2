"""What gives way when memory is tight."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from mosaico_ros.nodes.budget import Budget, Fate, Stage


def test_a_camera_never_evicts_the_rest() -> None:
    """Nothing is ever released, and still the small topic has room for a long time."""
    budget = Budget(1_000_000)
    camera, imu = budget.open('/camera'), budget.open('/imu')
    kept = {'/camera': 0, '/imu': 0}
    for _ in range(500):
        budget.review()
        for holding, size in ((camera, 20_000), (imu, 100)):
            budget.charge(holding, size)
            fate = budget.fate(holding, size)
            if fate is Fate.KEEP:
                kept[holding.name] += 1
            else:
                budget.charge(holding, -size if fate is Fate.DROP else -size // 2)
    assert kept['/imu'] == 500
    assert budget.stage is Stage.SHED
    assert budget.peak <= 1_000_000
    told = [text for text, worse in budget.changes if worse]
    assert len(told) == 2
    assert 'every second message' in told[0]
    assert '/camera' in told[0]


def test_the_lowest_priority_is_shed_first() -> None:
    budget = Budget(1000)
    important, other = budget.open('/imu', 10), budget.open('/debug', 0)
    budget.charge(important, 460)
    budget.charge(other, 460)
    budget.review()
    assert budget.stage is Stage.SHED
    assert (budget.fate(important, 0), budget.fate(other, 0)) == (Fate.KEEP, Fate.DROP)


def test_without_priorities_nobody_within_its_share_is_shed() -> None:
    budget = Budget(1000)
    holdings = [budget.open(f'/t{number}') for number in range(2)]
    for holding in holdings:
        budget.charge(holding, 460)
    budget.review()
    assert [budget.fate(holding, 0) for holding in holdings] == [Fate.KEEP, Fate.KEEP]


def test_a_full_memory_takes_nothing_and_an_emptied_one_everything() -> None:
    budget = Budget(1000)
    holding = budget.open('/imu')
    budget.charge(holding, 1000)
    budget.handed(holding, 1000)
    budget.review()
    assert budget.fate(holding, 0) is Fate.DROP
    budget.release(15)
    budget.review()
    assert budget.stage is Stage.FULL  # not back at once: no flapping at the edge
    budget.release(135)
    budget.review()
    assert budget.stage is Stage.SHED
    budget.release(850)
    budget.review()
    assert (budget.stage, budget.fate(holding, 0), budget.pending) == (Stage.ROOMY, Fate.KEEP, 0)
    assert [worse for _, worse in budget.changes] == [True, False, False]
    assert budget.peak == 1000


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 100)), max_size=50), st.data())
def test_releases_of_any_size_free_the_topics_in_order(
    parcels: list[tuple[int, int]], data: st.DataObject
) -> None:
    budget = Budget(10_000)
    holdings = [budget.open(f'/t{number}') for number in range(3)]
    for topic, size in parcels:
        budget.charge(holdings[topic], size)
        budget.handed(holdings[topic], size)
    left = sum(size for _, size in parcels)
    while left:
        size = data.draw(st.integers(1, left))
        budget.release(size)
        left -= size
        assert budget.pending == left == sum(holding.bytes for holding in holdings)
    assert all(holding.bytes == 0 for holding in holdings)


@pytest.mark.parametrize('sizes', [(100, 900), (500, 500)])
def test_what_is_dropped_again_is_not_charged(sizes: tuple[int, int]) -> None:
    budget = Budget(10_000)
    holding = budget.open('/imu')
    budget.charge(holding, sum(sizes))
    budget.charge(holding, -sizes[0])
    budget.review()
    assert (budget.pending, holding.bytes, budget.peak) == (sizes[1], sizes[1], sizes[1])
