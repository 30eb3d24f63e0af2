"""The demo's proof: digests of what was published and of what an archive returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message

from mosaico_ros.demo.ledger import ValueDigest
from mosaico_ros.demo.readback import FEEDS
from mosaico_ros.demo.robot_messages import RobotTopic, robot_topics
from mosaico_ros.demo.value_walk import digest_message, topic_type
from mosaico_ros.models.core.columns import decode
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

SECOND = 1_000_000_000
TOPICS = robot_topics()


def messages(topic: RobotTopic, count: int = 3) -> list[Any]:
    return [
        topic.build(index * 100_000_000, 10 * SECOND, Time(sec=1_700_000_000 + index, nanosec=7))
        for index in range(count)
    ]


def published(batch: list[Any]) -> str:
    digest = ValueDigest()
    for message in batch:
        digest_message(digest, message)
    return digest.hexdigest()


def stored(kind: str, batch: list[Any]) -> str:
    """The digest after a way through CDR bytes, columns and ontology objects."""
    decoder = TopicDecoder(kind)
    payloads = [serialize_message(message) for message in batch]
    rows = decoder.decode(np.arange(len(payloads), dtype=np.int64), payloads)
    digest = ValueDigest()
    for message in decode(decoder.ontology_type, rows):
        FEEDS[kind](digest, message.data)
    return digest.hexdigest()


@pytest.mark.parametrize('topic', TOPICS, ids=lambda topic: topic.name)
def test_equal_values_have_equal_digests(topic: RobotTopic) -> None:
    batch = messages(topic)
    assert stored(topic_type(topic.message_type), batch) == published(batch)


def altered(topic: RobotTopic) -> list[Any]:
    """Batches that differ from the published one in the smallest way, one leaf each."""
    batches = []
    for path in LEAVES[topic.name]:
        batch = messages(topic)
        target = batch[1]
        *way, last = path
        for step in way:
            target = target[step] if isinstance(step, int) else getattr(target, step)
        if isinstance(last, int):
            target[last] = other(target[last])
        else:
            setattr(target, last, other(getattr(target, last)))
        batches.append(batch)
    return batches


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return float(np.nextafter(value, np.inf))
    if isinstance(value, bytes):
        return bytes([value[0] + 1])
    if isinstance(value, str):
        return value + 'x'
    return value ^ 1


LEAVES: dict[str, list[tuple[Any, ...]]] = {
    '/imu': [
        ('header', 'stamp', 'nanosec'),
        ('header', 'frame_id'),
        ('orientation', 'w'),
        ('orientation_covariance', 4),
        ('angular_velocity', 'z'),
        ('linear_acceleration', 'y'),
        ('linear_acceleration_covariance', 8),
    ],
    '/joint_states': [('name', 2), ('position', 0), ('velocity', 6), ('effort', 3)],
    '/odom': [
        ('child_frame_id',),
        ('pose', 'pose', 'position', 'x'),
        ('pose', 'covariance', 35),
        ('twist', 'twist', 'angular', 'z'),
        ('twist', 'covariance', 0),
    ],
    '/gps/fix': [('status', 'service'), ('latitude',), ('position_covariance', 4)],
    '/camera/image/compressed': [('data', 30_000)],
    '/lidar/points': [('width',), ('fields', 3, 'name'), ('data', 524_287), ('is_dense',)],
    '/diagnostics': [
        ('status', 1, 'level'),
        ('status', 0, 'hardware_id'),
        ('status', 0, 'values', 1, 'value'),
    ],
    '/tf_stamped': [('transform', 'rotation', 'z'), ('header', 'stamp', 'sec')],
}


@pytest.mark.parametrize(
    'topic', [topic for topic in TOPICS if topic.name in LEAVES], ids=lambda topic: topic.name
)
def test_any_changed_leaf_changes_the_digest(topic: RobotTopic) -> None:
    kind = topic_type(topic.message_type)
    reference = published(messages(topic))
    for batch in altered(topic):
        assert stored(kind, batch) != reference


def test_order_and_number_of_messages_matter() -> None:
    batch = messages(TOPICS[0])
    assert published(batch[::-1]) != published(batch)
    assert published(batch[:2]) != published(batch)
