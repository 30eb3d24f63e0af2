"""How the recorder subscribes to what publishers offer."""

from __future__ import annotations

import pytest

from mosaico_ros.nodes.qos_policy import MAX_DEPTH, MIN_DEPTH, Offer, choose

RELIABLE = Offer(reliable=True, transient_local=False)
LATCHED = Offer(reliable=True, transient_local=True)
BEST_EFFORT = Offer(reliable=False, transient_local=False)
IMU = 'sensor_msgs/msg/Imu'


@pytest.mark.parametrize(
    ('offers', 'reliable', 'transient_local', 'mixed'),
    [
        ([], True, False, False),
        ([RELIABLE], True, False, False),
        ([LATCHED, LATCHED], True, True, False),
        ([BEST_EFFORT], False, False, False),
        ([RELIABLE, BEST_EFFORT], False, False, True),
        ([RELIABLE, LATCHED], True, False, True),
    ],
)
def test_no_publisher_is_missed(
    offers: list[Offer], reliable: bool, transient_local: bool, mixed: bool
) -> None:
    choice = choose(offers, IMU)
    assert (choice.reliable, choice.transient_local, choice.mixed) == (
        reliable,
        transient_local,
        mixed,
    )


def test_a_publisher_that_offers_less_makes_the_choice_weaker() -> None:
    before = choose([LATCHED], IMU)
    assert choose([LATCHED, RELIABLE], IMU).weaker_than(before)
    assert choose([LATCHED, BEST_EFFORT], IMU).weaker_than(before)
    assert not choose([LATCHED, LATCHED], IMU).weaker_than(before)
    assert not before.weaker_than(choose([BEST_EFFORT], IMU))


def test_queues_are_deep_for_small_messages_and_bounded_for_bulky_ones() -> None:
    assert choose([RELIABLE], IMU).depth == MAX_DEPTH
    assert choose([RELIABLE], 'sensor_msgs/msg/Image').depth == MIN_DEPTH
    cloud = choose([RELIABLE], 'sensor_msgs/msg/PointCloud2').depth
    assert MIN_DEPTH <= cloud <= 100
