"""What the demo's robot published, read from its archive by the published client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer
SECONDS = 3
NUMERIC = ('/imu', '/gps/fix', '/joint_states', '/odom')
CLASSES = {'/imu': 'IMU', '/gps/fix': 'GPS', '/joint_states': 'RobotJoint', '/odom': 'MotionState'}


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[dict[str, Any]]:
    """The demo's archive, served again, and the ledger that the robot kept."""
    data = tmp_path_factory.mktemp('demo') / 'data'
    done = subprocess.run(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'demo',
         '--seconds', str(SECONDS), '--data-dir', str(data)],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, 'ROS_LOG_DIR': str(data.parent / 'ros')},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (ledger,) = data.glob('demo/*/ledger.json')
    process = subprocess.Popen(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run',
         '--port', '0', '--data-dir', str(data)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    port = process.stdout.readline().split(' (')[0].rsplit(':', 1)[1]
    yield {
        'port': port,
        'sequence': ledger.parent.name,
        'ledger': json.loads(Path(ledger).read_text()),
    }
    process.terminate()
    assert process.wait(20) == 0


def test_handlers_return_every_property(archive: Any, peer: Callable[..., Any]) -> None:
    seen = peer('show', archive['port'], archive['sequence'])
    pages = archive['ledger']['topics']

    assert seen['name'] == archive['sequence']
    # Beside the recording: two snapshots, the replay, the bag.
    assert len(seen['sequences']) == 5
    assert all(name.startswith(archive['sequence']) for name in seen['sequences'])
    assert set(seen['topics']) == set(pages)
    assert seen['user_metadata']['demo'] == archive['sequence']
    assert [session['locked'] for session in seen['sessions']] == [True]
    assert sorted(seen['sessions'][0]['topics']) == sorted(pages)
    assert seen['total_size_bytes'] == sum(
        topic['total_size_bytes'] for topic in seen['topics'].values()
    )
    for name, topic in seen['topics'].items():
        assert topic['name'] == name
        assert topic['sequence_name'] == archive['sequence']
        assert topic['locked']
        assert topic['chunks_number'] >= 1
        assert topic['user_metadata']['_ros_']['msgtype'] == pages[name]['type']
        assert seen['timestamp_ns_min'] <= topic['timestamp_ns_min']
        assert topic['timestamp_ns_max'] <= seen['timestamp_ns_max']
        assert seen['created_timestamp'] <= topic['created_timestamp']
    for name, tag in CLASSES.items():
        assert seen['topics'][name]['ontology_tag'] == tag


def test_typed_messages_equal_what_was_published(archive: Any, peer: Callable[..., Any]) -> None:
    """Value by value: the robot's motion is a function of time, so it can be asked again."""
    pytest.importorskip('rclpy', reason='the robot publishes ROS messages')
    from mosaico_ros.demo.robot_messages import robot_topics

    seen = peer('messages', archive['port'], archive['sequence'], *NUMERIC)
    builds = {topic.name: topic for topic in robot_topics()}
    for name in NUMERIC:
        page = archive['ledger']['topics'][name]
        assert len(seen[name]) == page['count']
        period_ns = 10**9 // builds[name].rate_hz
        for index, message in enumerate(seen[name]):
            stamp_ns = page['first_stamp_ns'] + index * period_ns
            sent = builds[name].build(index * period_ns, SECONDS * 10**9, _time(stamp_ns))
            assert message['class'] == CLASSES[name]
            data = message['data']
            stamp = data['header']['timestamp']
            assert stamp['seconds'] * 10**9 + stamp['nanoseconds'] == stamp_ns
            assert (data['header']['frame_id'] or '') == sent.header.frame_id
            assert EXPECT[name](data) == ACTUAL[name](sent)

    merged = seen['merged']
    assert len(merged) == sum(len(seen[name]) for name in NUMERIC)
    stamps = [stamp for _, stamp in merged]
    assert stamps == sorted(stamps)


def _time(stamp_ns: int) -> Any:
    from builtin_interfaces.msg import Time

    return Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def _xyz(vector: Any) -> list[float]:
    return [vector['x'], vector['y'], vector['z']]


def _xyzw(rotation: Any) -> list[float]:
    return [*_xyz(rotation), rotation['w']]


def _ros_xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]


def _ros_xyzw(rotation: Any) -> list[float]:
    return [*_ros_xyz(rotation), rotation.w]


EXPECT: dict[str, Callable[[Any], Any]] = {
    '/imu': lambda data: [
        _xyz(data['acceleration']),
        data['acceleration']['covariance'],
        _xyz(data['angular_velocity']),
        data['angular_velocity']['covariance'],
        _xyzw(data['orientation']),
        data['orientation']['covariance'],
    ],
    '/gps/fix': lambda data: [
        _xyz(data['position']),
        data['position']['covariance'],
        data['position']['covariance_type'],
        data['status']['status'],
        data['status']['service'],
    ],
    '/joint_states': lambda data: [
        data['names'],
        data['positions'],
        data['velocities'],
        data['efforts'],
    ],
    '/odom': lambda data: [
        data['target_frame_id'],
        _xyz(data['pose']['position']),
        _xyzw(data['pose']['orientation']),
        data['pose']['covariance'],
        _xyz(data['velocity']['linear']),
        _xyz(data['velocity']['angular']),
        data['velocity']['covariance'],
    ],
}
ACTUAL: dict[str, Callable[[Any], Any]] = {
    '/imu': lambda sent: [
        _ros_xyz(sent.linear_acceleration),
        list(sent.linear_acceleration_covariance),
        _ros_xyz(sent.angular_velocity),
        list(sent.angular_velocity_covariance),
        _ros_xyzw(sent.orientation),
        list(sent.orientation_covariance),
    ],
    '/gps/fix': lambda sent: [
        [sent.latitude, sent.longitude, sent.altitude],
        list(sent.position_covariance),
        sent.position_covariance_type,
        sent.status.status,
        sent.status.service,
    ],
    '/joint_states': lambda sent: [
        list(sent.name),
        list(sent.position),
        list(sent.velocity),
        list(sent.effort),
    ],
    '/odom': lambda sent: [
        sent.child_frame_id,
        _ros_xyz(sent.pose.pose.position),
        _ros_xyzw(sent.pose.pose.orientation),
        list(sent.pose.covariance),
        _ros_xyz(sent.twist.twist.linear),
        _ros_xyz(sent.twist.twist.angular),
        list(sent.twist.covariance),
    ],
}
