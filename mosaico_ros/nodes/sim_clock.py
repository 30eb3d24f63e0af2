"""The simulated time of ``/clock``, read by the thread that takes the messages."""

from __future__ import annotations

import struct
import threading
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock

_HEADER = 4
_FORMATS = {0: '>iI', 1: '<iI'}


class SimClock:
    """The last time said on ``/clock``.

    The node's own clock follows only when its executor runs, which here is seldom.

    Parameters
    ----------
    group
        Callback group that no executor runs, if `read` is to take the messages; else callbacks
        of the node's executor do.
    """

    def __init__(self, node: Node, group: CallbackGroup | None) -> None:
        self._node = node
        self._parked = group is not None
        self._started = threading.Event()
        self._now = 0
        self._subscription = node.create_subscription(
            Clock,
            '/clock',
            self._heard,
            QoSProfile(depth=10, reliability=QoSReliabilityPolicy.BEST_EFFORT),
            raw=True,
            callback_group=group,
        )

    @property
    def started(self) -> bool:
        """Tell whether any time has been said."""
        return self._started.is_set()

    def read(self) -> int:
        """Return the time, ns; 0 before the first ``/clock``."""
        if self._parked:
            last: Any = None
            while (taken := self._subscription.handle.take_message(Clock, True)) is not None:
                last = taken
            if last is not None:
                self._heard(last[0])
        return self._now

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _heard(self, payload: bytes) -> None:
        seconds, nanoseconds = struct.unpack_from(_FORMATS[payload[1] & 1], payload, _HEADER)
        self._now = seconds * 1_000_000_000 + nanoseconds
        self._started.set()
