"""The publishers of a playback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from mosaico_ros.nodes.message_types import message_class
from mosaico_ros.nodes.qos_policy import queue_depth
from mosaico_ros.nodes.qos_profiles import profile
from mosaico_ros.protocol.errors import NotFoundError

if TYPE_CHECKING:
    from mosaico_ros.nodes.playback_source import Track

# Seconds that a reader may take to acknowledge at the end, or in the midst at full speed.
_PATIENCE = 2


class Publishers:
    """Publishers of tracks, under their recorded names, types and qualities of service.

    The node's remapping rules hold for the names, and its parameters
    ``qos_overrides.<topic>.publisher.*`` for the qualities.

    Parameters
    ----------
    node
        The rclpy node.
    tracks
        What is played.
    with_clock
        Also publish ``/clock``; a recorded one is left out then.
    overrides
        Qualities of service by topic name, instead of the recorded ones.

    Attributes
    ----------
    refused
        Why a track cannot be published, by name; the others are numbered without those.
    """

    def __init__(
        self,
        node: Any,
        tracks: Sequence[Track],
        *,
        with_clock: bool = False,
        overrides: Mapping[str, QoSProfile] | None = None,
    ) -> None:
        self._node = node
        self._overrides = overrides or {}
        self.refused: dict[str, str] = {}
        self._publishers: list[Any] = []
        # Messages that may be under way to reliable readers at full speed, and are.
        self._window: list[int] = []
        self._unacknowledged: list[int] = []
        self._clock = node.create_publisher(Clock, '/clock', 10) if with_clock else None
        for track in tracks:
            if with_clock and track.name == '/clock':
                self.refused[track.name] = 'the player tells the time itself (clock_hz)'
                continue
            try:
                self._advertise(track)
            except NotFoundError as error:
                self.refused[track.name] = str(error)

    def subscriptions(self) -> list[int]:
        """Return how many subscriptions each track has."""
        return [publisher.get_subscription_count() for publisher in self._publishers]

    def publish(self, track: int, payload: bytes) -> None:
        """Publish one message, serialized."""
        self._publishers[track].publish(payload)
        self._unacknowledged[track] += 1

    def keep_pace(self, track: int) -> None:
        """Wait for the reliable readers of a track if they have much to acknowledge."""
        if self._unacknowledged[track] >= self._window[track]:
            self._publishers[track].wait_for_all_acked(Duration(seconds=_PATIENCE))
            self._unacknowledged[track] = 0

    def tell_time(self, recorded_ns: int) -> None:
        """Publish what time it is in the recording."""
        if self._clock is not None:
            self._clock.publish(Clock(clock=Time(nanoseconds=recorded_ns).to_msg()))

    def wait_for_acknowledgement(self) -> None:
        """Wait until reliable readers have what was published, at most some seconds in all."""
        for publisher in self._publishers:
            if not publisher.wait_for_all_acked(Duration(seconds=_PATIENCE)):
                return  # a reader that hangs would take as long for each topic

    def close(self) -> None:
        """Take the topics back."""
        for publisher in (*self._publishers, *filter(None, (self._clock,))):
            self._node.destroy_publisher(publisher)

    def _advertise(self, track: Track) -> None:
        msgtype = track.definition.msgtype
        cls = message_class(msgtype)
        offer = track.offer
        offered = self._overrides.get(track.name) or profile(
            offer,
            queue_depth(msgtype),
            # 0 ns is unlimited.
            deadline=Duration(nanoseconds=offer.deadline_ns),
            lifespan=Duration(nanoseconds=offer.lifespan_ns),
        )
        publisher = self._node.create_publisher(
            cls,
            track.name,
            offered,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        installed = self._installed_hash(publisher.topic_name)
        recorded = track.definition.type_hash
        if installed and recorded and installed != recorded:
            self._node.destroy_publisher(publisher)
            raise NotFoundError(
                f'{msgtype} was recorded with another definition than the installed one has',
                remedy=f'install the version of {msgtype.partition("/")[0]} that was recorded',
            )
        self._publishers.append(publisher)
        self._window.append(max(1, offered.depth // 2))
        self._unacknowledged.append(0)

    def _installed_hash(self, topic: str) -> str:
        """Type hash of the installed message, as our own publisher tells it (Iron and newer)."""
        for info in self._node.get_publishers_info_by_topic(topic):
            if info.node_name == self._node.get_name():
                return str(getattr(info, 'topic_type_hash', None) or '')
        return ''
