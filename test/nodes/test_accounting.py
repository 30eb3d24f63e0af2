"""What the recorder says about every message."""

from __future__ import annotations

import pytest

from mosaico_ros.nodes.accounting import SequenceGaps, TopicAccount


def after(*arrivals: tuple[int | None, bytes | None], several: bool = False) -> int | None:
    gaps = SequenceGaps()
    if several:
        gaps.several_publishers()
    for number, publisher in arrivals:
        gaps.saw(number, publisher)
    return gaps.lost


@pytest.mark.parametrize(
    ('numbers', 'lost'),
    [
        ((1, 2, 3), 0),
        ((7, 8, 9), 0),  # what was published before the first one is no loss
        ((1, 2, 5), 2),
        ((1, 4, 8), 5),
        ((1, 2, 3, 1, 2, 3, 4), 0),  # latched messages repeated to a second subscription
    ],
)
def test_gaps_of_one_publisher(numbers: tuple[int, ...], lost: int) -> None:
    assert after(*((number, b'a') for number in numbers)) == lost


def test_publishers_are_counted_each_by_its_own_numbers() -> None:
    assert after((1, b'a'), (10, b'b'), (2, b'a'), (11, b'b')) == 0
    assert after((1, b'a'), (10, b'b'), (3, b'a'), (13, b'b')) == 3


def test_loss_is_unknown_without_numbers_never_zero() -> None:
    assert after((None, None), (None, None)) is None


def test_unnamed_publishers_count_only_while_there_is_one() -> None:
    assert after((1, None), (3, None)) == 1
    assert after((1, None), (3, None), several=True) is None
    assert after((1, b'a'), (3, b'a'), several=True) == 1


def test_a_report_is_complete_only_if_all_that_came_is_stored() -> None:
    account = TopicAccount('/imu', 'sensor_msgs/msg/Imu', received=3, stored=3)
    for number in (1, 2, 3):
        account.gaps.saw(number, b'a')
    assert account.report().complete
    account.gaps.saw(5, b'a')
    assert account.report().lost == 1
    assert not account.report().complete
    assert not TopicAccount('/imu', 'x', received=3, stored=2).report().complete
