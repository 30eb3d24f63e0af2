"""With which quality of service a recorded topic is published again.

What was offered is offered again. Where several publishers offered different things, the stronger
guarantee is taken, as that one reaches every subscription that any of them reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Topics that are useless without latching, where nothing was recorded about it.
_LATCHED = ('/tf_static', '/robot_description')
# What DDS calls infinite is a little less than 2**63 ns in any of its spellings.
_FOREVER_NS = 9_000_000_000_000_000_000


@dataclass(frozen=True)
class PublishedOffer:
    """What a publisher offers; times in ns, 0 is none."""

    reliable: bool = True
    transient_local: bool = False
    deadline_ns: int = 0
    lifespan_ns: int = 0

    def join(self, other: PublishedOffer) -> PublishedOffer:
        """Return what serves subscriptions of both; times only where they are the same."""
        return PublishedOffer(
            self.reliable or other.reliable,
            self.transient_local or other.transient_local,
            self.deadline_ns if self.deadline_ns == other.deadline_ns else 0,
            self.lifespan_ns if self.lifespan_ns == other.lifespan_ns else 0,
        )


def recorded_offer(topic: str, about: Mapping[str, Any]) -> PublishedOffer:
    """Return what to offer for a topic.

    Parameters
    ----------
    topic
        Its ROS name.
    about
        Its ``_ros_`` metadata: ``offered_qos`` of our recorder, ``offered_qos_profiles`` of bags.
    """
    offers = [
        PublishedOffer(
            offer.get('reliability') != 'best_effort',
            offer.get('durability') == 'transient_local',
            _time(offer.get('deadline_ns', 0)),
            _time(offer.get('lifespan_ns', 0)),
        )
        for offer in about.get('offered_qos') or ()
    ] or _of_bag(about.get('offered_qos_profiles') or '')
    if not offers:
        return PublishedOffer(transient_local=topic.endswith(_LATCHED))
    joined = offers[0]
    for offer in offers[1:]:
        joined = joined.join(offer)
    return joined


def _of_bag(text: str) -> list[PublishedOffer]:
    from mosaico_ros.ros_bridge.bags.metadata import parse_qos

    return [
        PublishedOffer(
            qos.reliability.name != 'BEST_EFFORT',
            qos.durability.name == 'TRANSIENT_LOCAL',
            _time(qos.deadline.sec * 1_000_000_000 + qos.deadline.nsec),
            _time(qos.lifespan.sec * 1_000_000_000 + qos.lifespan.nsec),
        )
        for qos in parse_qos(text)
    ]


def _time(nanoseconds: int) -> int:
    return nanoseconds if 0 < nanoseconds < _FOREVER_NS else 0
