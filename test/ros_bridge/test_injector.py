"""`RosbagInjector` as a program uses it, against a real daemon."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mcap.writer import Writer as McapWriter

from mosaico_ros import (
    MosaicoClient,
    MosaicoField,
    MosaicoType,
    Serializable,
    SessionLevelErrorPolicy,
    TopicLevelErrorPolicy,
)
from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.ros_bridge import (
    InjectionStatus,
    ROSAdapterBase,
    RosbagInjector,
    ROSInjectionConfig,
)
from mosaico_ros.ros_bridge.definitions import typestore

_numbers = count()


@pytest.fixture
def client(shared_daemon: Any) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect(shared_daemon.host, shared_daemon.port) as client:
        yield client


@pytest.fixture
def config(shared_daemon: Any, tmp_path: Path) -> Any:
    """``config(topics, **options)`` writes a bag of strings and describes its injection."""

    def make(topics: dict[str, int], **options: Any) -> ROSInjectionConfig:
        options.setdefault('sequence_name', f'bag-{os.getpid()}-{next(_numbers)}')
        path = tmp_path / f'{options["sequence_name"]}.mcap'
        write_bag(path, topics, options.pop('msgtype', 'std_msgs/msg/String'), options)
        return ROSInjectionConfig(
            path, host=shared_daemon.host, port=shared_daemon.port, log_level='ERROR', **options
        )

    return make


def write_bag(path: Path, topics: dict[str, int], msgtype: str, options: dict[str, Any]) -> None:
    text = options.pop('definition', b'string data\n')
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=2000)
        writer.start(profile='ros2')
        schema = writer.register_schema(msgtype, 'ros2msg' if text else '', text)
        for name, amount in topics.items():
            channel = writer.register_channel(name, 'cdr', schema)
            for i in range(amount):
                raw = f'{name} {i}'.encode() + b'\0'
                data = b'\0\1\0\0' + len(raw).to_bytes(4, 'little') + raw
                writer.add_message(channel, 1000 + i, data, 0)
        writer.finish()


def stored(client: MosaicoClient, sequence: str, topic: str) -> list[str]:
    handler = client.topic_handler(sequence, topic)
    assert handler is not None
    return handler.to_arrow()['data'].to_pylist()


def test_many_topics_side_by_side_keep_their_order(config, client):
    topics = {f'/t{i}/chat': 300 + i for i in range(11)}
    told: list[int] = []
    setup = config(topics)
    injector = RosbagInjector(setup, lambda report: told.append(report.stored))
    assert injector.run() is InjectionStatus.COMPLETED
    for name, amount in topics.items():
        expected = [f'{name} {i}' for i in range(amount)]
        assert stored(client, setup.sequence_name, name) == expected
        assert injector.report.topics[name].stored == amount
    assert injector.report.complete
    assert injector.report.expected == injector.report.stored == sum(topics.values())
    assert told == sorted(told)


def test_reading_waits_for_sending_however_little_may_wait(config, client):
    setup = replace(config({'/t0/chat': 300, '/t1/chat': 200}), read_ahead_bytes=1)
    RosbagInjector(setup).run()
    for name, amount in (('/t0/chat', 300), ('/t1/chat', 200)):
        expected = [f'{name} {i}' for i in range(amount)]
        assert stored(client, setup.sequence_name, name) == expected


@pytest.mark.parametrize('policy', list(SessionLevelErrorPolicy))
def test_interrupted(config, client, policy):
    def interrupt(report: Any) -> None:
        raise KeyboardInterrupt

    setup = config({'/a': 50, '/b': 50}, on_error=policy)
    assert RosbagInjector(setup, interrupt).run() is InjectionStatus.CANCELLED
    kept = policy is SessionLevelErrorPolicy.Report
    assert client.sequence_exists(setup.sequence_name) is kept


def test_ctrl_c_while_the_last_groups_are_sent(config, client):
    """The main thread waits for those that send by then."""

    def interrupt(report: Any) -> None:
        if not told:
            time.sleep(2)  # the bag is read meanwhile
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(2)
        told.append(report.stored)

    told: list[int] = []
    setup = config({f'/t{i}': 12_000 for i in range(8)}, on_error=SessionLevelErrorPolicy.Delete)
    assert RosbagInjector(setup, interrupt).run() is InjectionStatus.CANCELLED
    assert not [t for t in threading.enumerate() if t.name.startswith('bag-lane')]
    assert len(told) < 8, 'what waited was sent all the same'
    assert not client.sequence_exists(setup.sequence_name)


def test_an_existing_sequence_is_not_touched(config, client):
    setup = config({'/a': 3})
    RosbagInjector(setup).run()
    with pytest.raises(AlreadyExistsError, match=setup.sequence_name):
        RosbagInjector(setup).run()
    assert len(stored(client, setup.sequence_name, '/a')) == 3


def test_resuming_leaves_alone_what_is_there(config, client):
    setup = config({'/a': 3, '/b': 4}, resume=True)
    assert RosbagInjector(setup).run() is InjectionStatus.COMPLETED
    before = client.sequence_handler(setup.sequence_name)
    assert before is not None
    injector = RosbagInjector(setup)
    assert injector.run() is InjectionStatus.PRESENT
    assert injector.report.complete
    assert injector.report.stored == 7
    assert injector.report.topics['/b'].stored == 4
    created = before.created_timestamp
    assert before.reload()
    assert before.created_timestamp == created


def test_resuming_tells_what_is_missing(config, client):
    """Kept by the session's policy, and finalized: a user's decision, not half an injection."""

    def interrupt(report: Any) -> None:
        raise KeyboardInterrupt

    setup = config({'/a': 20_000}, resume=True)
    assert RosbagInjector(setup, interrupt).run() is InjectionStatus.CANCELLED
    injector = RosbagInjector(setup)
    assert injector.run() is InjectionStatus.PRESENT
    assert not injector.report.complete
    assert injector.report.topics['/a'].read == 20_000
    assert injector.report.stored == len(stored(client, setup.sequence_name, '/a')) < 20_000


@pytest.mark.parametrize('checksum', [True, False])
def test_resuming_refuses_what_is_another_bag(config, client, checksum):
    first = config({'/a': 30}, resume=True, checksum=checksum)
    RosbagInjector(first).run()
    other = {'/b': 30} if checksum else {'/b': 31}  # of one size, and not
    second = config(other, resume=True, checksum=checksum)
    chosen = replace(first, topics=['/a'])
    for setup in (replace(second, sequence_name=first.sequence_name), chosen):
        with pytest.raises(AlreadyExistsError, match=f'{first.sequence_name} exists'):
            RosbagInjector(setup).run()
    assert len(stored(client, first.sequence_name, '/a')) == 30


def test_half_an_injection_is_stored_anew_once_it_is_dead(config, client, tmp_path):
    setup = config({'/a': 20_000, '/b': 20_000}, resume=True)
    (tmp_path / 'setup').write_bytes(pickle.dumps(setup))
    script = (
        'import pickle, pathlib, sys, time; from mosaico_ros.ros_bridge import RosbagInjector; '
        'setup = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()); '
        'wait = lambda report: (print(report.stored, flush=True), time.sleep(60)); '
        'RosbagInjector(setup, wait).run()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', script, tmp_path / 'setup'], stdout=subprocess.PIPE
    ) as half:
        assert half.stdout is not None
        assert int(half.stdout.readline()) > 0
        with pytest.raises(AlreadyExistsError, match='is being loaded'):
            RosbagInjector(setup).run()
        half.kill()
    deadline = time.monotonic() + 60
    while not client.list_sequence_notifications(setup.sequence_name, include_topics=True):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    injector = RosbagInjector(setup)
    assert injector.run() is InjectionStatus.COMPLETED
    assert injector.report.replaced
    for name in ('/a', '/b'):
        assert len(stored(client, setup.sequence_name, name)) == 20_000


def test_a_failing_topic_follows_its_policy(config, client):
    """Two bags into one sequence: what the first has brought is refused of the second."""
    first = config({'/cam': 3})
    RosbagInjector(first).run()
    more = {'sequence_name': first.sequence_name, 'update_if_exists': True}
    topics = {'/cam': 5, '/other': 3}
    with pytest.raises(AlreadyExistsError):
        RosbagInjector(config(topics, **more, on_error=SessionLevelErrorPolicy.Delete)).run()
    setup = config(topics, **more, topics_on_error=TopicLevelErrorPolicy.Ignore)
    injector = RosbagInjector(setup)
    assert injector.run() is InjectionStatus.COMPLETED
    assert {t.name: t.stored for t in injector.report.topics.values()} == {'/cam': 0, '/other': 3}
    assert injector.report.topics['/cam'].skipped
    assert not injector.report.complete
    assert len(stored(client, setup.sequence_name, '/other')) == 3


class BridgeShout(Serializable):
    data: MosaicoType.string = MosaicoField(description='In capitals.')


class ShoutAdapter(ROSAdapterBase[BridgeShout]):
    ros_msgtype = 'std_msgs/msg/String'
    __mosaico_ontology_type__ = BridgeShout

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> BridgeShout:
        return BridgeShout(data=ros_data['data'].upper())


def test_an_adapter_for_one_topic(config, client):
    setup = config({'/a': 2, '/b': 2}, adapter_overrides={'/a': ShoutAdapter})
    RosbagInjector(setup).run()
    assert stored(client, setup.sequence_name, '/a') == ['/A 0', '/A 1']
    assert stored(client, setup.sequence_name, '/b') == ['/b 0', '/b 1']
    topic = client.topic_handler(setup.sequence_name, '/a')
    assert topic is not None
    assert topic.ontology_tag == 'BridgeShout'


def test_definitions_from_the_user(config, client, tmp_path):
    """A bag without definitions, of a package that nobody has installed."""
    folder = tmp_path / 'msg'
    folder.mkdir()
    (folder / 'Note.msg').write_text('string data\n')
    options = {'msgtype': 'own_msgs/msg/Note', 'definition': b''}
    with pytest.raises(InvalidArgumentError, match='no definition of message type own_msgs'):
        RosbagInjector(config({'/a': 2}, **options)).run()
    setup = config({'/a': 2}, custom_msgs=[('own_msgs', folder, None)], **options)
    RosbagInjector(setup).run()
    assert stored(client, setup.sequence_name, '/a') == ['/a 0', '/a 1']


def test_the_log_level_lasts_as_long_as_the_run(config):
    logger = logging.getLogger('mosaico_ros')
    before = logger.level
    seen = []
    setup = config({'/a': 1})
    RosbagInjector(setup, lambda report: seen.append(logger.level)).run()
    assert seen == [logging.ERROR]
    assert logger.level == before


def test_metadata_of_topics(config, client):
    setup = config({'/a': 1}, topic_metadata={'/a': {'mount': 'roof'}}, checksum=False)
    RosbagInjector(setup).run()
    topic = client.topic_handler(setup.sequence_name, '/a')
    assert topic is not None
    assert topic.user_metadata['mount'] == 'roof'
    assert topic.user_metadata['_ros_']['msgtype'] == 'std_msgs/msg/String'
    sequence = client.sequence_handler(setup.sequence_name)
    assert sequence is not None
    assert 'sha256' not in sequence.user_metadata['_bag_']


def test_bags_are_loaded_without_pandas(shared_daemon, tmp_path):
    """Arrow imports it whenever it may, which takes longer than loading a small bag."""
    store = typestore('jazzy')
    path = tmp_path / 'robot.mcap'
    sensors = ['Imu', 'JointState', 'NavSatFix', 'Image', 'CompressedImage', 'PointCloud2']
    names = [f'sensor_msgs/msg/{name}' for name in [*sensors, 'LaserScan', 'Range']]
    names += ['nav_msgs/msg/Odometry', 'tf2_msgs/msg/TFMessage', 'sensor_msgs/msg/CameraInfo']
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for name in names:
            text, _ = store.generate_msgdef(name, ros_version=2)
            schema = writer.register_schema(name, 'ros2msg', text.encode())
            channel = writer.register_channel(f'/{name}', 'cdr', schema)
            # Every member zero or empty, which the ontology often has as null; a long tail.
            writer.add_message(channel, 1000, b'\0\1\0\0' + bytes(1000), 900)
        writer.finish()
    code = f"""
import sys
from pathlib import Path
from mosaico_ros.ros_bridge import RosbagInjector, ROSInjectionConfig
config = ROSInjectionConfig(Path({str(path)!r}), 'without-pandas-{os.getpid()}')
config.host, config.port = {shared_daemon.host!r}, {shared_daemon.port}
injector = RosbagInjector(config)
injector.run()
assert injector.report.stored == {len(names)}, injector.report
assert 'pandas' not in sys.modules
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
