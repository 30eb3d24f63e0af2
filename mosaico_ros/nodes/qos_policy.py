"""How to subscribe to what the publishers of a topic offer.

A subscription that asks for more than a publisher offers receives nothing from it, one that
asks for less loses guarantees. Where publishers disagree, or nothing is known of them, one
subscription for each kind of offer hears every publisher with all that it offers; what several
of them deliver is kept once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# What one message of a bulky type weighs, in bytes, as a first guess: the queue must be chosen
# before the first message arrives. Anything else is taken for a small message.
_BULKY_TYPES = {
    'sensor_msgs/msg/Image': 2_000_000,
    'sensor_msgs/msg/PointCloud2': 1_000_000,
    'sensor_msgs/msg/CompressedImage': 200_000,
    'nav_msgs/msg/OccupancyGrid': 200_000,
    'sensor_msgs/msg/PointCloud': 500_000,
    'sensor_msgs/msg/LaserScan': 10_000,
}
_SMALL_MESSAGE = 1_000

# The middleware's queue of one topic may hold this much (bytes) while the drain loop is held up.
QUEUE_BYTES = 64_000_000
# 50 messages of 1 MB survive a stall of 0.1 s at the highest rate that publishers reach; 2000
# small ones one of 0.2 s at 10 000 messages a second.
MIN_DEPTH = 50
MAX_DEPTH = 2000


@dataclass(frozen=True)
class Offer:
    """What a publisher offers or a subscription asks for, as far as it decides whether they match.

    Latched messages only reach reliable subscriptions.
    """

    reliable: bool
    transient_local: bool

    @property
    def rank(self) -> int:
        """0 for the strongest; the stronger hears a publisher in order and without loss."""
        return (not self.reliable) + (not self.transient_local)

    def __str__(self) -> str:
        reliability = 'reliable' if self.reliable else 'best effort'
        durability = 'transient local' if self.transient_local else 'volatile'
        return f'{reliability}, {durability}'


LATCHED = Offer(reliable=True, transient_local=True)
RELIABLE = Offer(reliable=True, transient_local=False)
BEST_EFFORT = Offer(reliable=False, transient_local=False)

#: Where no publisher is known: one for the strongest and one that any publisher matches.
UNKNOWN = (LATCHED, BEST_EFFORT)


def queue_depth(topic_type: str) -> int:
    """Return how many messages of a type to queue between two rounds of the drain loop.

    Discovery never tells a publisher's depth or rate (Fast DDS reports 0), so the size of the
    type decides. A rate that outruns the depth is met by the drain loop, which comes back at
    once to a topic whose queue was found well filled.
    """
    return max(MIN_DEPTH, min(MAX_DEPTH, QUEUE_BYTES // bytes_per_message(topic_type)))


def bytes_per_message(topic_type: str) -> int:
    """Return the expected size of a message, in bytes, before any has been seen."""
    return _BULKY_TYPES.get(topic_type, _SMALL_MESSAGE)


def choose(offers: Sequence[Offer]) -> tuple[Offer, ...]:
    """Choose the subscriptions for the publishers seen so far, the strongest first.

    One where all offer the same; without any publisher, `UNKNOWN`.
    """
    if not offers:
        return UNKNOWN
    kinds = {offer if offer.reliable else BEST_EFFORT for offer in offers}
    return tuple(sorted(kinds, key=lambda offer: offer.rank))
