"""The synthetic robot: a process of its own that publishes on real ROS 2 topics.

``python -m mosaico_ros.demo.robot --ledger FILE`` waits until everybody has subscribed to every
topic, publishes for the time asked for, waits until all of it is acknowledged, and writes its
ledger. Exit code 0 means that the ledger is complete.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mosaico_ros.demo import motion
from mosaico_ros.demo.ledger import Ledger, SpikeLedger, TopicLedger, ValueDigest

_SECOND = 1_000_000_000
# A match is known here first. What is sent before the other side knows it too, which can take it
# 2.6 s, is sent again later and stamped late there, out of the window of a snapshot.
_SETTLE = 3.0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='robot', description='Publish a synthetic robot.')
    parser.add_argument('--ledger', type=Path, required=True, help='file to write at the end')
    parser.add_argument('--seconds', type=float, default=10.0, help='length of the run')
    parser.add_argument('--suppress', metavar='TOPIC', help='withhold one message of this topic')
    parser.add_argument('--subscribers', type=int, default=1, help='to wait for, on each topic')
    parser.add_argument('--wait', type=float, default=30.0, help='seconds to wait for subscribers')
    return parser.parse_args(argv)


class _Channel:
    """One topic: its publisher and its page of the ledger."""

    def __init__(self, node: Any, topic: Any, duration_ns: int, suppress: bool) -> None:
        from rclpy.qos import QoSProfile, QoSReliabilityPolicy

        from mosaico_ros.demo.value_walk import topic_type

        self.topic = topic
        self.type = topic_type(topic.message_type)
        self.period_ns = _SECOND // topic.rate_hz
        self.total = max(1, duration_ns // self.period_ns)
        self.suppressed = self.total // 2 if suppress else -1
        self.digest = ValueDigest()
        # Depth of some seconds: a reader that is held up must not make the writer forget.
        depth = max(20, 5 * topic.rate_hz)
        self.publisher = node.create_publisher(
            topic.message_type,
            topic.name,
            QoSProfile(depth=depth, reliability=QoSReliabilityPolicy.RELIABLE),
        )

    def ledger(self, start_ns: int) -> TopicLedger:
        return TopicLedger(
            type=self.type,
            rate_hz=self.topic.rate_hz,
            count=self.digest.messages,
            sha256=self.digest.hexdigest(),
            first_stamp_ns=start_ns,
            last_stamp_ns=start_ns + (self.total - 1) * self.period_ns,
        )


def _wait_for(ready: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _publish(channels: Sequence[_Channel], start_ns: int, duration_ns: int) -> None:
    """Publish everything by absolute deadlines: a late message does not delay those after it."""
    from builtin_interfaces.msg import Time

    from mosaico_ros.demo.value_walk import digest_message

    began = time.monotonic_ns()
    due = [(0, number, 0) for number in range(len(channels))]
    heapq.heapify(due)
    while due:
        elapsed, number, index = heapq.heappop(due)
        channel = channels[number]
        stamp_ns = start_ns + elapsed
        message = channel.topic.build(
            elapsed, duration_ns, Time(sec=stamp_ns // _SECOND, nanosec=stamp_ns % _SECOND)
        )
        digest_message(channel.digest, message)
        pause = began + elapsed - time.monotonic_ns()
        if pause > 0:
            time.sleep(pause * 1e-9)
        if index != channel.suppressed:
            channel.publisher.publish(message)
        if index + 1 < channel.total:
            heapq.heappush(due, (elapsed + channel.period_ns, number, index + 1))


def _spikes(imu: _Channel, start_ns: int, duration_ns: int) -> list[SpikeLedger]:
    spikes = []
    for begin, end in motion.spike_windows(duration_ns):
        hits = [
            (start_ns + elapsed, y)
            for elapsed in (index * imu.period_ns for index in range(imu.total))
            if begin <= elapsed < end
            and (y := motion.acceleration(elapsed, duration_ns)[1]) > motion.SPIKE_THRESHOLD
        ]
        spikes.append(SpikeLedger(hits[0][0], hits[-1][0], len(hits), max(y for _, y in hits)))
    return spikes


def run(arguments: argparse.Namespace) -> int:
    """Publish one run; return the exit code."""
    import rclpy
    from rclpy.duration import Duration

    from mosaico_ros.demo.robot_messages import robot_topics

    duration_ns = int(arguments.seconds * _SECOND)
    topics = robot_topics()
    names = [topic.name for topic in topics]
    if arguments.suppress is not None and arguments.suppress not in names:
        print(f'the robot has no topic {arguments.suppress}; it has {", ".join(names)}')
        return 2
    rclpy.init(args=[])
    node = rclpy.create_node('synthetic_robot')
    channels = [
        _Channel(node, topic, duration_ns, topic.name == arguments.suppress) for topic in topics
    ]

    def unmatched() -> list[str]:
        return [
            channel.topic.name
            for channel in channels
            if channel.publisher.get_subscription_count() < arguments.subscribers
        ]

    if not _wait_for(lambda: not unmatched(), arguments.wait):
        missing = ', '.join(unmatched())
        print(f'nobody subscribed within {arguments.wait:g} s to {missing}', file=sys.stderr)
        return 1
    time.sleep(_SETTLE)
    print('publishing', flush=True)
    start_ns = time.time_ns()
    _publish(channels, start_ns, duration_ns)
    for channel in channels:
        if not channel.publisher.wait_for_all_acked(Duration(seconds=10)):
            print(f'{channel.topic.name}: not acknowledged within 10 s', file=sys.stderr)
            return 1
    Ledger(
        seconds=arguments.seconds,
        topics={channel.topic.name: channel.ledger(start_ns) for channel in channels},
        spikes=_spikes(channels[0], start_ns, duration_ns),
    ).write(arguments.ledger)
    print('done', flush=True)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the robot until its time is over or somebody interrupts it."""
    try:
        return run(_arguments(argv))
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
