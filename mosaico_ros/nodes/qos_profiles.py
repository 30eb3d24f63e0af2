"""Qualities of service as rclpy wants them, of what was offered or is to be asked for."""

from __future__ import annotations

from typing import Any, Protocol

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy


class Offered(Protocol):
    """What decides whether publisher and subscription match."""

    @property
    def reliable(self) -> bool: ...

    @property
    def transient_local(self) -> bool: ...


def profile(offer: Offered, depth: int, **others: Any) -> QoSProfile:
    """Return the profile of an offer that keeps the last `depth` messages.

    `others` are further policies, as `rclpy.qos.QoSProfile` takes them.
    """
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=(
            QoSReliabilityPolicy.RELIABLE if offer.reliable else QoSReliabilityPolicy.BEST_EFFORT
        ),
        durability=(
            QoSDurabilityPolicy.TRANSIENT_LOCAL
            if offer.transient_local
            else QoSDurabilityPolicy.VOLATILE
        ),
        **others,
    )
