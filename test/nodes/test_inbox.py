"""The order and the stamps of messages on their way to the archive."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

import itertools

from hypothesis import given, strategies as st

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.drain import Inbox


def inbox_with(*stamps: int) -> Inbox:
    inbox = Inbox(TopicAccount('/imu', 'sensor_msgs/msg/Imu'))
    for number, stamp in enumerate(stamps):
        inbox.put(stamp, bytes([number % 256]), {})
    return inbox


def test_stamps_in_order_stay_as_they_are() -> None:
    assert inbox_with(10, 20, 30).stamps == [10, 20, 30]


def test_a_sample_sent_again_is_stamped_before_its_successor() -> None:
    assert inbox_with(10, 1300, 20, 30).stamps == [10, 19, 20, 30]


def test_several_sent_again_keep_their_order() -> None:
    assert inbox_with(10, 1300, 1301, 20, 30).stamps == [10, 18, 19, 20, 30]


def test_what_was_handed_over_is_not_overtaken() -> None:
    inbox = inbox_with(10, 1300)
    parcel = inbox.swap()
    assert (parcel.stamps, parcel.payloads, parcel.size) == ([10, 1300], [b'\x00', b'\x01'], 2)
    for stamp in (20, 30, 1400):
        inbox.put(stamp, b'x', {})
    assert inbox.stamps == [1301, 1302, 1400]
    inbox.swap()
    assert (inbox.account.first_stamp_ns, inbox.account.last_stamp_ns) == (10, 1400)


@given(st.lists(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), max_size=5))
def test_time_order_is_always_the_order_of_delivery(rounds: list[list[int]]) -> None:
    inbox = inbox_with()
    out: list[int] = []
    for stamps in rounds:
        for stamp in stamps:
            inbox.put(stamp, b'', {})
        out += inbox.swap().stamps
    assert all(before < after for before, after in itertools.pairwise(out))
    assert len(out) == sum(map(len, rounds))
