"""The file of a snapshot, read by others: the mcap library and rosbags."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader

sys.path.insert(0, str(Path(__file__).parent))
from rosmessages import captured, message

from mosaico_ros.nodes.freeze_frame import freeze_frame
from mosaico_ros.nodes.snapshot_file import SnapshotTopic, offered_profiles, write_snapshot
from mosaico_ros.ros_bridge.definitions import find_definition

IMU = 'sensor_msgs/msg/Imu'
TF = 'tf2_msgs/msg/TFMessage'
FOREVER = 2**63 - 1


def details(durability: str = 'volatile', reliability: str = 'reliable') -> dict[str, Any]:
    offer = {
        'node': '/robot',
        'reliability': reliability,
        'durability': durability,
        'deadline_ns': FOREVER,
        'lifespan_ns': 1_500_000_000,
        'liveliness': 'automatic',
    }
    return {'offered_qos': [offer], 'type_hash': find_definition(IMU).type_hash}


def imu(index: int) -> bytes:
    return message(IMU, {'linear_acceleration': {'x': float(index)}})


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A static transform of an hour ago and 5000 readings from 10 s on, every millisecond."""
    stamps = [10**10 + i * 10**6 for i in range(5000)]
    sources = [stamp - 250 for stamp in stamps]
    rows = captured(stamps, [imu(i) for i in range(5000)], ros_source_ns=sources)
    transforms = message(TF, {'transforms': [{'child_frame_id': 'camera'}]})
    static = captured([5, 6], [transforms, message(TF, {})], ros_source_ns=[3, None])
    topics = [
        SnapshotTopic('/imu', IMU, [rows.slice(0, 3000), rows.slice(3000)], [], details()),
        SnapshotTopic('/tf_static', TF, [], [static], details('transient_local')),
    ]
    path = tmp_path / '.snapshot.mcap.partial'
    records = {'fault': {'fault_code': 'DROP'}, 'robot': {'robot_id': 'r1'}, 'capture': {}}
    frozen = freeze_frame(10**10 + 500, {'/imu': (IMU, rows.slice(0, 1))})
    attachments = {'freeze_frame.json': frozen}
    size = write_snapshot(path, 'snapshot.mcap', topics, 10**10, records, attachments, 'jazzy')
    assert size == path.stat().st_size
    return path.rename(tmp_path / 'snapshot.mcap')


def test_the_mcap_library_finds_messages_records_and_the_freeze_frame(snapshot: Path) -> None:
    with snapshot.open('rb') as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == 'ros2'
        messages = list(reader.iter_decoded_messages())
        types = {each.channel.topic: each.channel.metadata['topic_type_hash'] for each in messages}
        assert types['/imu'] == find_definition(IMU).type_hash
        topics = [each.channel.topic for each in messages[:3]]
        assert topics == ['/tf_static', '/imu', '/tf_static']
        latched = [each for each in messages if each.channel.topic == '/tf_static']
        # In force from the beginning of the file, published when it was.
        assert [each.message.log_time for each in latched] == [10**10, 10**10 + 1]
        assert [each.message.publish_time for each in latched] == [3, 6]
        assert latched[0].decoded_message.transforms[0].child_frame_id == 'camera'
        readings = [each for each in messages if each.channel.topic == '/imu']
        values = [each.decoded_message.linear_acceleration.x for each in readings]
        assert values == list(map(float, range(5000)))
        assert [each.message.publish_time for each in readings[:2]] == [
            10**10 - 250,
            10**10 + 10**6 - 250,
        ]
        records = {record.name: record.metadata for record in reader.iter_metadata()}
        assert records['fault'] == {'fault_code': 'DROP'}
        assert records['robot'] == {'robot_id': 'r1'}
        assert {'capture', 'rosbag2'} <= set(records)
        (attachment,) = reader.iter_attachments()
        frozen = json.loads(attachment.data)
    assert (attachment.name, attachment.media_type) == ('freeze_frame.json', 'application/json')
    assert frozen['topics']['/imu']['message']['linear_acceleration'] == {
        'x': 0.0,
        'y': 0.0,
        'z': 0.0,
    }


def test_rosbags_opens_it_with_types_and_qualities_of_service(snapshot: Path) -> None:
    with Reader(snapshot) as reader:
        by_topic = {connection.topic: connection for connection in reader.connections}
        (profile,) = by_topic['/tf_static'].ext.offered_qos_profiles
        assert profile.durability.name == 'TRANSIENT_LOCAL'
        assert (profile.lifespan.sec, profile.lifespan.nsec) == (1, 500_000_000)
        payloads = [bytes(data) for connection, _, data in reader.messages([by_topic['/imu']])]
        assert payloads == [imu(i) for i in range(5000)]
        assert reader.start_time == 10**10
        assert reader.duration == 4999 * 10**6 + 1


def test_nobody_publishing_offers_nothing() -> None:
    assert offered_profiles({}) == ''


def test_a_freeze_frame_shows_what_a_person_can_read() -> None:
    image = message('sensor_msgs/msg/Image', {'data': list(bytes(10_000)), 'encoding': 'rgb8'})
    scan = message('sensor_msgs/msg/LaserScan', {'ranges': [float('inf')] * 1000})
    rows = {
        '/image': ('sensor_msgs/msg/Image', captured([7], [image])),
        '/scan': ('sensor_msgs/msg/LaserScan', captured([8], [scan])),
        '/broken': (IMU, captured([9], [b'\0\1\0\0'])),
        '/unknown': ('no_msgs/msg/Thing', captured([9], [b''])),
    }
    document = freeze_frame(1_000_000_007, rows)
    assert len(document) < 5000
    topics = json.loads(document)['topics']
    assert topics['/image']['message']['data'] == {'bytes': 10_000}
    assert topics['/image']['age_sec'] == 1.0
    ranges = topics['/scan']['message']['ranges']
    assert (ranges['length'], ranges['first'][0]) == (1000, 'inf')
    assert 'do not fit' in topics['/broken']['message']['unreadable']
    assert 'no_msgs' in topics['/unknown']['message']['unreadable']
