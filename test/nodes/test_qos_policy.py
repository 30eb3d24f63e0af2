"""How topics are subscribed to by what their publishers offer."""

from __future__ import annotations

import itertools

import pytest

from mosaico_ros.nodes.qos_policy import (
    BEST_EFFORT,
    LATCHED,
    MAX_DEPTH,
    MIN_DEPTH,
    RELIABLE,
    UNKNOWN,
    Offer,
    choose,
    queue_depth,
)

ODD = Offer(reliable=False, transient_local=True)
ALL = (LATCHED, RELIABLE, BEST_EFFORT, ODD)


@pytest.mark.parametrize(
    ('offers', 'chosen'),
    [
        ([], UNKNOWN),
        ([RELIABLE], (RELIABLE,)),
        ([LATCHED, LATCHED], (LATCHED,)),
        ([BEST_EFFORT], (BEST_EFFORT,)),
        ([BEST_EFFORT, LATCHED], (LATCHED, BEST_EFFORT)),
        ([RELIABLE, LATCHED], (LATCHED, RELIABLE)),
        ([BEST_EFFORT, RELIABLE, LATCHED], (LATCHED, RELIABLE, BEST_EFFORT)),
    ],
)
def test_one_subscription_for_each_kind_of_offer(
    offers: list[Offer], chosen: tuple[Offer, ...]
) -> None:
    assert choose(offers) == chosen


@pytest.mark.parametrize('offers', list(itertools.product(ALL, repeat=3)), ids=lambda _: '')
def test_every_publisher_is_heard_with_all_that_it_offers(offers: tuple[Offer, ...]) -> None:
    for offer in offers:
        heard_by = [
            asked
            for asked in choose(offers)
            if asked.reliable <= offer.reliable and asked.transient_local <= offer.transient_local
        ]
        assert any(asked.reliable == offer.reliable for asked in heard_by)
        if offer.reliable:
            assert any(asked.transient_local == offer.transient_local for asked in heard_by)


def test_queues_are_deep_for_small_messages_and_bounded_for_bulky_ones() -> None:
    assert queue_depth('sensor_msgs/msg/Imu') == MAX_DEPTH
    assert queue_depth('sensor_msgs/msg/Image') == MIN_DEPTH
    assert MIN_DEPTH <= queue_depth('sensor_msgs/msg/PointCloud2') <= 100
