"""What the middleware delivered: recorded here, ingested with every byte, and exported."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mosaico_ros.ros_bridge import (
    RosbagInjector,
    ROSExtractorConfig,
    ROSInjectionConfig,
    ROSSequenceExtractor,
)
from mosaico_ros.ros_bridge.bags import open_bag
from mosaico_ros.ros_bridge.definitions import find_definition
from mosaico_ros.ros_bridge.verification import verify

pytest.importorskip('rclpy')

MESSAGES = 60


class RawRecorder:
    """A subscriber that keeps payloads as they come."""

    def __init__(self, domain: int, topics: dict[str, type[Any]]) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        self.received: dict[str, list[tuple[int, int, bytes]]] = {name: [] for name in topics}
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self._node = rclpy.create_node('raw_recorder', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        for name, kind in topics.items():

            def keep(payload: bytes, info: Any, name: str = name) -> None:
                sent = int(info['source_timestamp'])
                self.received[name].append((time.time_ns(), sent, bytes(payload)))

            self._node.create_subscription(kind, name, keep, 1000, raw=True)

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        import rclpy

        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)


def messages() -> dict[str, tuple[type[Any], list[Any]]]:
    """Messages whose members leave gaps of every size, large ones before small ones."""
    from geometry_msgs.msg import PoseArray
    from sensor_msgs.msg import BatteryState, JointState, PointCloud2, PointField
    from std_msgs.msg import Bool, String

    joints, clouds, batteries, poses = [], [], [], []
    for i in range(MESSAGES):
        names = ['x' * (1 + (i + k) % 5) for k in range(1 + i % 3)]
        joint = JointState(name=names, position=[0.5] * len(names))
        joint.header.frame_id = 'f' * (i % 7)
        joints.append(joint)
        fields = [PointField(name='x' * (1 + i % 4), datatype=7, count=1)]
        clouds.append(PointCloud2(fields=fields, data=bytes(range(i % 11)), is_dense=True))
        batteries.append(BatteryState(present=bool(i % 2), cell_voltage=[1.0] * (i % 3)))
        poses.append(PoseArray())
    texts = [String(data='word' * (20 - i % 20) + 'x' * (i % 4)) for i in range(MESSAGES)]
    return {
        '/live/text': (String, texts),
        '/live/joints': (JointState, joints),
        '/live/cloud': (PointCloud2, clouds),
        '/live/battery': (BatteryState, batteries),
        '/live/poses': (PoseArray, poses),
        '/live/on': (Bool, [Bool(data=bool(i % 2)) for i in range(MESSAGES)]),
    }


def with_garbage(message: Any) -> bytes:
    """The message as a publisher in C++ may send it: what was in its buffer shows in the gaps."""
    from rclpy.serialization import serialize_message

    payload = bytearray(serialize_message(message))
    if not hasattr(message, 'header'):
        return bytes(payload) + b'\xee\xef'
    end = 16 + len(message.header.frame_id) + 1  # then a 32-bit number follows
    gap = -end % 4
    payload[end : end + gap] = b'\xaa\xab\xac'[:gap]
    return bytes(payload)


def write(path: Path, topics: dict[str, type[Any]], received: dict[str, Any]) -> None:
    from mcap.writer import Writer

    with path.open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        for name, kind in topics.items():
            msgtype = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
            text = find_definition(msgtype).text.encode()
            schema = writer.register_schema(msgtype, 'ros2msg', text)
            channel = writer.register_channel(name, 'cdr', schema)
            for stamp, sent, payload in received[name]:
                writer.add_message(channel, stamp, payload, sent)
        writer.finish()


def contents(path: Path) -> dict[str, list[tuple[int, int, bytes]]]:
    found: dict[str, list[tuple[int, int, bytes]]] = {}
    with open_bag(path) as bag:
        for group in bag.groups(lambda topic: True):
            rows = zip(
                group.timestamps.tolist(),
                group.published.tolist(),
                map(bytes, group.payloads),
                strict=True,
            )
            found.setdefault(group.topic, []).extend(rows)
    return found


def test_a_bag_recorded_live_comes_back_bit_for_bit(daemon, robot, domain, wait_for, tmp_path):
    published = messages()
    topics = {name: kind for name, (kind, _) in published.items()}
    recorder = RawRecorder(domain, topics)
    try:
        publishers = {name: robot.publisher(kind, name) for name, kind in topics.items()}

        def spun(ready):
            recorder.spin()
            return ready()

        for publisher in publishers.values():
            wait_for(
                lambda p=publisher: spun(p.get_subscription_count),
                f'a reader of {publisher.topic}',
            )
        for name, (_, made) in published.items():
            for i, message in enumerate(made):
                garbled = i % 2 and name in ('/live/text', '/live/joints')
                publishers[name].publish(with_garbage(message) if garbled else message)
            wait_for(
                lambda name=name: spun(lambda: len(recorder.received[name]) == MESSAGES),
                f'{MESSAGES} messages on {name}',
            )
    finally:
        recorder.close()
    assert any(payload.endswith(b'\xee\xef') for _, _, payload in recorder.received['/live/text'])
    assert any(b'\xaa' in payload for _, _, payload in recorder.received['/live/joints'])
    bag = tmp_path / 'live.mcap'
    write(bag, topics, recorder.received)
    name = f'live_{domain}_{time.time_ns()}'
    address = {'host': daemon.host, 'port': daemon.port, 'log_level': 'ERROR'}
    injector = RosbagInjector(ROSInjectionConfig(bag, name, keep_raw=True, **address))
    injector.run()
    assert injector.report.complete
    assert injector.report.stored == MESSAGES * len(topics)
    config = ROSExtractorConfig(tmp_path, name, **address)
    path = ROSSequenceExtractor(config).run().path
    assert contents(path) == contents(bag) == recorder.received
    assert verify(bag, config).equal_bytes
