"""Messages one by one, out of recordings and out of the archive."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer

from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge import (
    MosaicoToROSLoader,
    RosbagInjector,
    ROSExtractorConfig,
    ROSInjectionConfig,
    ROSLoader,
    ROSSequenceExtractor,
    TopicStatus,
)
from mosaico_ros.ros_bridge.adapters import IMUAdapter, LidarAdapter
from mosaico_ros.ros_bridge.bags import open_bag
from mosaico_ros.ros_bridge.definitions import typestore

_spec = importlib.util.spec_from_file_location('messages', Path(__file__).parent / 'messages.py')
assert _spec is not None
assert _spec.loader is not None
messages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(messages)

IMU_TYPE, POINTS = 'sensor_msgs/msg/Imu', 'demo_msgs/msg/Points'
PLAIN = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])


def imu(i: int) -> bytes:
    store = typestore('jazzy')
    made = messages.message(store, IMU_TYPE, header=messages.header(store, sec=i))
    made.linear_acceleration.x = float(i)
    return bytes(store.serialize_cdr(made, IMU_TYPE))


@pytest.fixture(scope='module')
def bag(tmp_path_factory) -> Path:
    """Two topics whose times mesh, one cloud, one broken message, a type nobody knows."""
    path = tmp_path_factory.mktemp('loader') / 'run.mcap'
    store = typestore('jazzy')
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=2000)
        writer.start(profile='ros2')

        def channel(topic, msgtype, text=None):
            text = text or store.generate_msgdef(msgtype, ros_version=2)[0]
            schema = writer.register_schema(msgtype, 'ros2msg', text.encode())
            return writer.register_channel(topic, 'cdr', schema)

        imus = channel('/imu', IMU_TYPE)
        counts = channel('/counts', POINTS, 'uint8 MOST=9\nuint32[] counts')
        clouds = channel('/lidar', messages.CLOUD)
        lost = channel('/lost', 'lost_msgs/msg/Lost', 'other_msgs/Nowhere nowhere')
        for i in range(40):
            writer.add_message(imus, 1000 + 10 * i, imu(i), 0)
            # The recorder got these late: they stand behind later ones.
            payload = b'\0\1\0\0\1\0\0\0' + i.to_bytes(4, 'little')
            writer.add_message(counts, 975 + 10 * i, payload if i != 7 else payload[:6], 0)
        points = np.zeros(6, PLAIN)
        points['x'] = range(6)
        writer.add_message(clouds, 1100, messages.cloud(points), 0)
        writer.add_message(lost, 1101, b'\0\1\0\0', 0)
        writer.finish()
    return path


def test_messages_come_in_the_order_of_their_times(bag):
    with ROSLoader(bag) as loader:
        read = list(loader)
        assert loader.topics == ['/imu', '/counts', '/lidar']
        assert loader.msg_types == [IMU_TYPE, POINTS, messages.CLOUD]
        assert loader.rejected_topics == [('/lost', TopicStatus.UNRESOLVED_ADAPTER)]
        assert loader.unresolved_adapter_topics == ['/lost']
        assert (loader.msg_count(), loader.msg_count('/imu')) == (81, 40)
        assert loader.duration == 1390 - 975
        assert loader.resolve_adapter('/imu') is IMUAdapter
        assert loader.resolve_adapter('/lost') is None
    times = [message.bag_timestamp_ns for message, _ in read]
    assert len(times) == 81
    assert times == sorted(times)
    broken = [(message, error) for message, error in read if error is not None]
    ((message, error),) = broken
    assert (message.topic, message.bag_timestamp_ns, message.data_field) == ('/counts', 1045, None)
    assert '/counts' in str(error)
    first = next(message for message, _ in read if message.topic == '/imu')
    assert first.header.frame_id == 'base'
    assert first.data_field['linear_acceleration'] == {'x': 0.0, 'y': 0.0, 'z': 0.0}
    counted = next(message for message, _ in read if message.topic == '/counts')
    assert (counted.data_field, counted.const_data) == ({'counts': [0]}, {'MOST': 9})


def test_derived_types_have_adapters_too(bag):
    with ROSLoader(bag, topics='/counts') as loader:
        message, _ = next(iter(loader))
        adapter = loader.resolve_adapter('/counts')
        made = adapter.translate(message)
        assert made.ontology_tag() == 'Points'
        assert loader.filtered_topics == ['/imu', '/lidar', '/lost']
        assert sorted(loader.resolved_topics) == ['/counts', '/imu', '/lidar', '/lost']


def test_a_type_store_defines_what_the_recording_does_not(tmp_path):
    from rosbags.typesys import get_types_from_msg
    from rosbags.typesys.store import Typestore

    path = tmp_path / 'bare.mcap'
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('mine_msgs/msg/Mine', '', b'')
        writer.add_message(writer.register_channel('/m', 'cdr', schema), 5, b'\0\1\0\0\3', 5)
        writer.finish()
    with pytest.raises(InvalidArgumentError, match='no topic to read'):
        ROSLoader(path, 'humble')
    store = Typestore()
    store.register(get_types_from_msg('uint8 a', 'mine_msgs/msg/Mine'))
    with ROSLoader(path, store) as loader:
        ((message, error),) = loader
    assert error is None
    assert message.data_field == {'a': 3}


def test_what_is_no_recording(tmp_path):
    with pytest.raises(NotFoundError):
        ROSLoader(tmp_path / 'none.mcap')


@pytest.fixture(scope='module')
def daemon(start_shared):
    return start_shared()


@pytest.fixture(scope='module')
def stored(daemon, bag) -> str:
    config = ROSInjectionConfig(
        bag,
        'loaded',
        host=daemon.host,
        port=daemon.port,
        log_level='ERROR',
        adapter_overrides={'/lidar': LidarAdapter},
    )
    RosbagInjector(config).run()
    return 'loaded'


def test_out_of_the_archive_back_to_ros(daemon, stored):
    from rosbags.typesys.store import Typestore

    store = Typestore()
    store.register(typestore('jazzy').fielddefs)
    with daemon.client() as client, MosaicoToROSLoader(client, store, stored, ['!/imu']) as loader:
        assert sorted(loader.topics) == ['/counts', '/lidar']
        assert loader.filtered_topics == ['/imu']
        assert (loader.msg_count(), loader.msg_count('/lidar')) == (40, 1)
        assert loader.duration == 1390 - 975
        assert dict(zip(loader.topics, loader.msg_types, strict=True)) == {
            '/counts': 'Points',
            '/lidar': 'Lidar',
        }
        assert loader.resolve_native_msg_type('/lidar') == messages.CLOUD
        assert loader.resolve_metadata('/counts').fields['enums'] == {'MOST': 9}
        assert loader.resolve_metadata('/imu') is None
        read = list(loader)
        times = [message.timestamp_ns for _, message in read]
        assert times == sorted(times)
        for topic, message in read:
            adapter = loader.resolve_adapter(topic)
            name = loader.resolve_native_msg_type(topic)
            native = adapter.to_native(message, typestore=store, ros_msg_type=name)
            if topic == '/lidar':
                assert native.width == 6
            else:
                assert native.counts.tolist() == [(message.timestamp_ns - 975) // 10]
        with pytest.raises(InvalidArgumentError, match='/imu is not read'):
            loader.msg_count('/imu')
    with daemon.client() as client:
        with pytest.raises(InvalidArgumentError, match='can become native messages'):
            MosaicoToROSLoader(client, store, stored, ['/nothing'])
        with pytest.raises(NotFoundError, match='nowhere'):
            MosaicoToROSLoader(client, store, 'nowhere')


def test_typed_clouds_are_exported_bit_for_bit(daemon, stored, bag, tmp_path):
    config = ROSExtractorConfig(
        tmp_path, stored, daemon.host, daemon.port, ['/lidar'], log_level='ERROR'
    )
    path = ROSSequenceExtractor(config).run().path

    def clouds(recording):
        with open_bag(recording) as opened:
            groups = list(opened.groups(lambda topic: topic.name == '/lidar'))
        return [bytes(payload) for group in groups for payload in group.payloads]

    assert clouds(path) == clouds(bag)
    with daemon.client() as client:
        topic = client.topic_handler(stored, 'lidar')
        assert topic.ontology_tag == 'Lidar'
        assert topic.to_arrow()['x'].to_pylist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]
