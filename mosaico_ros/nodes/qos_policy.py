"""How to subscribe to what the publishers of a topic offer.

A subscription that asks for more than a publisher offers receives nothing from it, one that
asks for less loses guarantees. So the rule of ``ros2 bag record`` holds: ask for reliability
and for latched samples only where every publisher offers them.
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
    """What one publisher offers, as far as it decides whether a subscription matches it."""

    reliable: bool
    transient_local: bool


@dataclass(frozen=True)
class QosChoice:
    """The subscription to make.

    ``mixed`` is true if the publishers disagree, so that the choice gives up a guarantee some
    of them offer; that deserves a warning.
    """

    reliable: bool
    transient_local: bool
    depth: int
    mixed: bool

    def weaker_than(self, other: QosChoice) -> bool:
        """Tell whether a publisher that matches this choice could be missed by `other`."""
        return (other.reliable and not self.reliable) or (
            other.transient_local and not self.transient_local
        )

    def __str__(self) -> str:
        reliability = 'reliable' if self.reliable else 'best effort'
        durability = 'transient local' if self.transient_local else 'volatile'
        return f'{reliability}, {durability}, depth {self.depth}'


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


def choose(offers: Sequence[Offer], topic_type: str) -> QosChoice:
    """Choose the subscription for the publishers seen so far.

    Without a publisher the ROS default is taken: reliable and volatile.
    """
    reliable = all(offer.reliable for offer in offers)
    transient_local = bool(offers) and all(offer.transient_local for offer in offers)
    mixed = bool(offers) and (
        (not reliable and any(offer.reliable for offer in offers))
        or (not transient_local and any(offer.transient_local for offer in offers))
    )
    return QosChoice(reliable, transient_local, queue_depth(topic_type), mixed)
