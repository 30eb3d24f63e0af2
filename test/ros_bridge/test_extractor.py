"""Recordings into the archive and out again: equal topics, types, times and bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter

from mosaico_ros import (
    IMU,
    Message,
    MosaicoClient,
    MosaicoField,
    MosaicoType,
    Serializable,
    Vector3d,
)
from mosaico_ros.models import String
from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge import (
    BagFormat,
    ROSAdapterBase,
    RosbagInjector,
    ROSExtractorConfig,
    ROSInjectionConfig,
    ROSSequenceExtractor,
    register_default_adapter,
)
from mosaico_ros.ros_bridge.attachments import AttachmentPiece
from mosaico_ros.ros_bridge.bags import open_bag
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.definitions import find_definition, typestore
from mosaico_ros.ros_bridge.verification import TopicDigest, verify

SAMPLES = Path(__file__).parents[2] / '..' / 'shared' / 'samples' / 'bags'
RECORDINGS = [
    'cdr_test_mcap',
    'fake_joint_state',
    'rosbag2_test_sqlite3',
    'service_events_mcap',
    'split_mcap',
    'talker_mcap',
    'talker_sqlite3',
]
#: Their writer left garbage in padding.
PADDED = {'talker_mcap', 'talker_sqlite3'}
#: Its definition cannot be parsed: the request of a service without a response.
UNREADABLE = '/_service_event'


@pytest.fixture(scope='module')
def daemon(start_shared):
    return start_shared()


def ingest(daemon, path: Path, name: str, **options) -> None:
    config = ROSInjectionConfig(
        path, name, host=daemon.host, port=daemon.port, log_level='ERROR', **options
    )
    RosbagInjector(config).run()


def extraction(daemon, folder: Path, name: str, **options) -> ROSSequenceExtractor:
    config = ROSExtractorConfig(
        folder, name, daemon.host, daemon.port, log_level='ERROR', **options
    )
    return ROSSequenceExtractor(config)


def messages(path: Path) -> dict[tuple[str, str], list[tuple[int, bytes]]]:
    """All messages by topic and type, in recorded order."""
    found: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    with open_bag(path) as bag:
        for group in bag.groups(lambda topic: True):
            key = group.topic, bag.topics[group.topic].msgtype
            payloads = group.payloads
            if isinstance(payloads, Payloads):
                payloads = [payloads[i] for i in range(len(payloads))]
            times = group.timestamps.tolist()
            found.setdefault(key, []).extend(zip(times, map(bytes, payloads), strict=True))
    return found


def by_rosbags(path: Path) -> dict[tuple[str, str], list[tuple[int, bytes]]]:
    from rosbags.highlevel import AnyReader

    found: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    with AnyReader([path]) as reader:
        for connection, time, data in reader.messages():
            key = connection.topic, connection.msgtype
            found.setdefault(key, []).append((time, bytes(data)))
    return found


def sample(name: str) -> Path:
    folder = SAMPLES / name
    if not folder.is_dir():
        pytest.skip(f'the sample recordings are not at {SAMPLES}')
    return next(folder.glob('*.bag'), folder)


@pytest.mark.parametrize('name', RECORDINGS)
def test_samples_come_back_bit_for_bit(daemon, tmp_path, name):
    source = sample(name)
    ingest(daemon, source, name, keep_raw=name in PADDED)
    form = BagFormat.ROS1 if source.suffix == '.bag' else BagFormat.MCAP
    report = extraction(daemon, tmp_path, name, storage_plugin=form).run()
    assert report.complete
    expected = messages(source)
    for topic, msgtype in list(expected):
        if topic.endswith(UNREADABLE):
            del expected[topic, msgtype]
    assert by_rosbags(report.path) == expected
    assert messages(report.path) == expected


#: Name, type and definition of topics; what the archive forbids, and what it would mix up.
ODD_TOPICS = [
    ('/a.b', 'std_msgs/msg/String', b'string data\n'),
    ('/a_b', 'std_msgs/msg/String', b'string data\n'),
    ('/a b', 'std_msgs/msg/String', b'string data\n'),
    ('relative', 'std_msgs/msg/String', b'string data\n'),
    ('/trailing//slash/', 'std_msgs/msg/String', b'string data\n'),
    ('/', 'std_msgs/msg/String', b'string data\n'),
    ('/[red]' + 'x' * 300, 'std_msgs/msg/String', b'string data\n'),
    ('/../µ', 'std_msgs/msg/String', b'string data\n'),
    ('/x', 'pkg/msg/Pair', b'int32 a\n'),
    ('/x', 'pkg/msg/Pair', b'int32 a\nint32 b\n'),
    ('/x', 'std_msgs/msg/String', b'string data\n'),
    ('/x_2', 'pkg/msg/Pair', b'int32 a\n'),
    ('/silent', 'pkg/msg/Pair', b'int32 a\n'),
]


def write_odd_topics(path: Path) -> None:
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for i, (name, msgtype, text) in enumerate(ODD_TOPICS):
            schema = writer.register_schema(msgtype, 'ros2msg', text)
            channel = writer.register_channel(name, 'cdr', schema)
            words = b'\4\0\0\0abc\0' if msgtype.endswith('String') else bytes([i, 0, 0, 0] * 2)
            data = b'\0\1\0\0' + (words[:4] if text == b'int32 a\n' else words)
            for time in range(0 if name == '/silent' else 3):
                writer.add_message(channel, i + 100 * time, data, i + 100 * time)
        writer.finish()


def recorded_topics(path: Path) -> list[tuple[str, str, str, int | None]]:
    with open_bag(path) as bag:
        return sorted(
            (topic.name, topic.msgtype, (topic.definition or '').strip(), topic.count)
            for topic in bag.topics.values()
        )


def test_topics_of_any_name_and_several_of_one_name_come_back(daemon, tmp_path):
    bag = tmp_path / 'odd.mcap'
    write_odd_topics(bag)
    ingest(daemon, bag, 'odd')
    report = extraction(daemon, tmp_path, 'odd').run()
    assert report.complete
    assert recorded_topics(report.path) == recorded_topics(bag)
    assert len(recorded_topics(bag)) == len(ODD_TOPICS)
    by_key = messages(report.path)
    assert sorted(by_key.values()) == sorted(messages(bag).values())
    verdict = verify(bag, ROSExtractorConfig(tmp_path, 'odd', daemon.host, daemon.port))
    assert verdict.equal_bytes
    assert len(verdict.topics) == len(ODD_TOPICS)
    # A database has one place for the definition of a type.
    report = extraction(daemon, tmp_path / 'db3', 'odd', storage_plugin=BagFormat.SQLITE3).run()
    (skipped,) = (topic for topic in report.topics.values() if topic.skipped)
    assert skipped.skipped is not None
    assert 'another definition of pkg/msg/Pair' in skipped.skipped
    assert report.messages == 3 * (len(ODD_TOPICS) - 2)


@pytest.mark.parametrize(
    ('when', 'times'),
    [('before', [-5, -2]), ('around', [-1, 0, 1]), ('end', [2**63 - 2, 2**63 - 1])],
)
@pytest.mark.parametrize('form', [BagFormat.SQLITE3, BagFormat.MCAP])
def test_times_before_the_epoch_and_at_the_end_of_time(daemon, tmp_path, when, times, form):
    bag, name = tmp_path / 'times.mcap', f'times_{when}_{form.value}'
    with bag.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        channel = writer.register_channel('/x', 'cdr', schema)
        for time in times:
            writer.add_message(channel, time % 2**64, GARBAGE[0], time % 2**64)
        writer.finish()
    ingest(daemon, bag, name, keep_raw=True)
    report = extraction(daemon, tmp_path, name, storage_plugin=form).run()
    rows = [(time, GARBAGE[0]) for time in times]
    assert messages(report.path) == {('/x', 'std_msgs/msg/String'): rows}


def write_with_extras(path: Path, size: int = 1000) -> None:
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        channel = writer.register_channel('/x', 'cdr', schema)
        writer.add_message(channel, 5, GARBAGE[0], 5)
        writer.add_attachment(7, 6, 'camera.yaml', 'text/yaml', b'focus: 1\n')
        writer.add_attachment(9, 8, 'map.bin', '', bytes(range(250)) * (size // 250))
        writer.add_metadata('robot', {'serial': 'R2', 'site': 'lab'})
        writer.add_metadata('robot', {'shift': 'late'})
        custom = 'rosbag2_bagfile_information:\n  ros_distro: jazzy\n  custom_data: {by: me}\n'
        writer.add_metadata('rosbag2', {'serialized_metadata': custom})
        writer.finish()


def test_more_topics_than_a_daemon_serves_at_once(start_shared, tmp_path):
    narrow = start_shared(
        MOSAICOD_MAX_CONCURRENT_RPCS='140', MOSAICOD_MAX_GRPC_MESSAGE_SIZE=str(4 << 20)
    )
    bag = tmp_path / 'wide.mcap'
    with bag.open('wb') as file:
        writer = McapWriter(file, chunk_size=3000)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        channels = [writer.register_channel(f'/t{i}', 'cdr', schema) for i in range(150)]
        for time in range(300):
            writer.add_message(channels[time % 140], time, GARBAGE[0], time)
        large = b'x' * 5_000_000 + b'\0'
        data = b'\0\1\0\0' + len(large).to_bytes(4, 'little') + large
        writer.add_message(channels[0], 999, data, 999)
        writer.finish()
    there = {'host': narrow.host, 'port': narrow.port}
    config = ROSInjectionConfig(bag, 'wide', **there, log_level='ERROR', streams=120)
    injector = RosbagInjector(config)
    injector.run()
    report = injector.report
    assert (report.stored, len(report.topics), report.problems) == (300, 150, [])
    assert not report.complete
    ((reason, count),) = report.topics['/t0'].malformed.items()
    assert (count, 'larger than the daemon accepts' in reason) == (1, True)
    assert all(topic.read == topic.stored for topic in list(report.topics.values())[1:])
    written = extraction(narrow, tmp_path, 'wide', streams=120).run()
    assert {t.name: t.count for t in open_bag(written.path).topics.values()} == {
        f'/t{i}': (300 - i + 139) // 140 if i < 140 else 0 for i in range(150)
    }


def extras_of(path: Path):
    """Attachments, sorted, and metadata records, as the ``mcap`` library reads them."""
    from mcap.reader import make_reader

    with path.open('rb') as opened:
        reader = make_reader(opened, validate_crcs=True)
        attached = [vars(one) for one in reader.iter_attachments()]
        records = [(m.name, m.metadata) for m in reader.iter_metadata()]
    attached.sort(key=lambda one: (one['name'], one['data']))
    return attached, [record for record in records if record[0] != 'rosbag2']


def test_metadata_and_attachments_of_a_recording_come_back(daemon, tmp_path):
    bag = tmp_path / 'extras.mcap'
    write_with_extras(bag)
    ingest(daemon, bag, 'extras', keep_raw=True)
    report = extraction(daemon, tmp_path / 'out', 'extras').run()
    (file,) = report.path.glob('*.mcap')
    assert extras_of(file) == extras_of(bag)
    assert len(extras_of(bag)[0]) == report.attachments == 2
    with open_bag(report.path) as opened:
        assert (opened.extras.custom_data, opened.distro) == ({'by': 'me'}, 'jazzy')
    assert verify(
        bag, ROSExtractorConfig(tmp_path, 'extras', daemon.host, daemon.port)
    ).equal_bytes
    write_with_extras(bag, 2000)
    verdict = verify(bag, ROSExtractorConfig(tmp_path, 'extras', daemon.host, daemon.port))
    assert 'keep the file (its metadata and attachments differ)' in str(verdict)


def write_with_attachments(path: Path, files: list[tuple[int, int, str, str, bytes]]) -> None:
    """A recording of two messages with attachments: log and create time, name, type, bytes."""
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        for name in ('/x', '/attachments'):
            channel = writer.register_channel(name, 'cdr', schema)
            writer.add_message(channel, 1000, GARBAGE[0], 1000)
        for one in files:
            writer.add_attachment(*one)
        writer.finish()


#: More than a sequence's metadata takes; several at one time, empty, at the end of time.
ATTACHED = [
    (1000, 1, 'map.bin', 'application/octet-stream', random.Random(5).randbytes(20_000_001)),
    (1000, 2, 'map.bin', '', b'another of the name'),
    (1000, 3, 'empty', 'text/plain', b''),
    (7, 2**64 - 1, 'exactly.bin', '', bytes(2 << 20)),
    (2**64 - 1, 0, 'camera.yaml', 'text/yaml', b'focus: 1\n'),
]


def test_large_attachments_come_back_bit_for_bit(daemon, tmp_path):
    bag = tmp_path / 'large.mcap'
    write_with_attachments(bag, ATTACHED)
    config = ROSInjectionConfig(
        bag,
        'large',
        host=daemon.host,
        port=daemon.port,
        log_level='ERROR',
        keep_raw=True,
        topics=['/x', '/attachments'],
    )
    injector = RosbagInjector(config)
    injector.run()
    assert injector.report.complete
    assert injector.report.stored == 2
    size = sum(len(one[-1]) for one in ATTACHED)
    assert (injector.report.attachments, injector.report.attached_bytes) == (5, size)
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        sequence = client.sequence_handler('large')
        assert sequence is not None
        assert set(sequence.user_metadata['_bag_']['attached_files']) == {
            name for _, _, name, _, _ in ATTACHED
        }
        pieces = client.topic_handler('large', 'attachments_2').get_data_streamer()
        told = [message.get_data(AttachmentPiece) for message in pieces]
    assert max(len(piece.data) for piece in told) == 1 << 20
    data = b''.join(p.data for p in told if p.media_type == 'application/octet-stream')
    assert data == ATTACHED[0][-1]
    for name, topics in (('all', None), ('some', ['/x']), ('none', ['!/attachments*'])):
        report = extraction(daemon, tmp_path / name, 'large', topics=topics).run()
        assert report.complete
        assert not any('attachments_2' in topic for topic in report.topics)
        assert report.attachments == len(ATTACHED)
        (file,) = report.path.glob('*.mcap')
        assert extras_of(file) == extras_of(bag)
        assert {topic for topic, _ in by_rosbags(report.path)} == (
            {'/x', '/attachments'} if topics is None else {'/x'}
        )
    there = ROSExtractorConfig(tmp_path, 'large', daemon.host, daemon.port)
    assert verify(bag, there).equal_bytes
    changed = bytearray(ATTACHED[0][-1])
    changed[-1] ^= 1
    write_with_attachments(bag, [(*ATTACHED[0][:-1], bytes(changed)), *ATTACHED[1:]])
    verdict = verify(bag, there)
    assert verdict.problems == ['its metadata and attachments differ']
    assert not verdict.equal_values


def test_formats_without_attachments_say_so(daemon, tmp_path):
    bag = tmp_path / 'some.mcap'
    write_with_attachments(bag, ATTACHED[1:3])
    ingest(daemon, bag, 'some')
    report = extraction(daemon, tmp_path / 'out', 'some', storage_plugin='sqlite3').run()
    assert (report.messages, report.attachments) == (2, 0)
    (problem,) = report.problems
    assert problem.startswith('2 attachment(s) left out, sqlite3 has no place for them')
    assert not report.complete


def test_attachments_that_are_there_in_part_are_named(daemon, tmp_path):
    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        client.sequence_create('cut') as sequence,
    ):
        texts = sequence.topic_create('x', {}, String)
        texts.push(Message(timestamp_ns=5, data=String(data='x')))
        pieces = sequence.topic_create('attachments', {}, AttachmentPiece)
        for time, number, of, name in ((1, 0, 1, 'whole'), (2, 0, 3, 'cut'), (3, 1, 3, 'cut')):
            piece = AttachmentPiece(
                name=name,
                media_type='',
                log_time_ns=time,
                create_time_ns=0,
                size=of,
                piece=number,
                pieces=of,
                data=b'x',
            )
            pieces.push(Message(timestamp_ns=time, data=piece))
    report = extraction(daemon, tmp_path, 'cut').run()
    assert report.problems == [
        "the attachment 'cut' is in the archive in part only: 2 of 3 pieces"
    ]
    assert not report.complete
    (file,) = report.path.glob('*.mcap')
    assert [one['name'] for one in extras_of(file)[0]] == ['whole']


def test_attachments_of_bags_that_become_one_sequence(daemon, tmp_path):
    bag = tmp_path / 'part.mcap'
    for topic, files in (('/attachments', ATTACHED[:1]), ('/x', ATTACHED[4:])):
        write_with_attachments(bag, files)
        ingest(daemon, bag, 'joint', topics=[topic], update_if_exists=True)
    report = extraction(daemon, tmp_path / 'out', 'joint').run()
    assert (report.messages, report.attachments) == (2, 2)


MEMORY = """
import resource, sys
from pathlib import Path
from mosaico_ros.ros_bridge import (
    RosbagInjector, ROSExtractorConfig, ROSInjectionConfig, ROSSequenceExtractor
)
from mosaico_ros.ros_bridge.verification import verify

folder, port = Path(sys.argv[1]), int(sys.argv[2])
for name in ('modest', 'huge'):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bag = folder / f'{name}.mcap'
    config = ROSInjectionConfig(bag, name, host='127.0.0.1', port=port, log_level='ERROR')
    RosbagInjector(config).run()
    there = ROSExtractorConfig(folder / 'out', name, '127.0.0.1', port, log_level='ERROR')
    assert ROSSequenceExtractor(there).run().attachments == 1
    assert verify(bag, there).equal_values
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) / 1024)
"""


def test_memory_does_not_grow_with_attachments(daemon, tmp_path):
    noise = random.Random(6).randbytes(1 << 20)
    for name, size in (('modest', 12), ('huge', 100)):
        write_with_attachments(tmp_path / f'{name}.mcap', [(1, 1, 'a', '', noise * size)])
    done = subprocess.run(
        [sys.executable, '-c', MEMORY, str(tmp_path), str(daemon.port)],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert float(done.stdout) < 30  # MB


def test_what_was_latched_in_ros1_stays_so(daemon, tmp_path):
    from rosbags.rosbag1 import Reader, Writer

    store = typestore('noetic')
    with Writer(tmp_path / 'latched.bag') as writer:
        for name, latching in (('/map', 1), ('/chat', None)):
            connection = writer.add_connection(
                name, 'std_msgs/msg/String', typestore=store, latching=latching
            )
            message = store.types['std_msgs/msg/String']('x')
            writer.write(connection, 5, store.serialize_ros1(message, 'std_msgs/msg/String'))
    ingest(daemon, tmp_path / 'latched.bag', 'latched')
    old = extraction(daemon, tmp_path / 'out', 'latched', storage_plugin=BagFormat.ROS1).run()
    with Reader(old.path) as reader:
        assert {c.topic: c.ext.latching for c in reader.connections} == {'/map': 1, '/chat': None}
    new = extraction(daemon, tmp_path / 'out', 'latched').run()
    with open_bag(new.path) as opened:
        assert 'transient_local' in (opened.topics['/map'].qos or '')
        assert not opened.topics['/chat'].qos


def test_a_topic_without_messages_is_missed_if_it_is_not_there(daemon, tmp_path):
    bag = tmp_path / 'odd.mcap'
    write_odd_topics(bag)
    ingest(daemon, bag, 'not_silent', topics=['!/silent'])
    verdict = verify(bag, ROSExtractorConfig(tmp_path, 'not_silent', daemon.host, daemon.port))
    assert 'NOT all of it comes back; keep the file (/silent is not in' in str(verdict)


@pytest.mark.parametrize('form', [BagFormat.SQLITE3, BagFormat.MCAP])
def test_the_storage_makes_no_difference(daemon, tmp_path, form):
    source = sample('cdr_test_mcap')
    name = f'storage_{form.value}'
    ingest(daemon, source, name)
    path = extraction(daemon, tmp_path, name, storage_plugin=form).run().path
    assert by_rosbags(path) == messages(source)
    with open_bag(source) as recorded, open_bag(path) as restored:
        assert {t.name: t.count for t in restored.topics.values()} == {
            t.name: t.count for t in recorded.topics.values()
        }


def write_bag(path: Path, payloads: dict[str, list[bytes]], msgtype: str, text: str) -> Path:
    from mcap.writer import Writer

    with path.open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        schema = writer.register_schema(msgtype, 'ros2msg', text.encode())
        for topic, items in payloads.items():
            channel = writer.register_channel(topic, 'cdr', schema)
            for i, payload in enumerate(items):
                writer.add_message(channel, 1000 + i, payload, 1000 + i)
        writer.finish()
    return path


GARBAGE = [b'\0\1\7\7\x05\0\0\0word\0' + bytes([i, 255 - i, 3]) for i in range(50)]


def test_garbage_in_padding_needs_keep_raw(daemon, tmp_path):
    bag = write_bag(tmp_path / 'g.mcap', {'/talk': GARBAGE}, 'std_msgs/msg/String', 'string data')
    ingest(daemon, bag, 'plain')
    ingest(daemon, bag, 'kept', keep_raw=True)
    plain = messages(extraction(daemon, tmp_path, 'plain').run().path)
    kept = messages(extraction(daemon, tmp_path, 'kept').run().path)
    assert kept == messages(bag)
    assert [p[:13] for _, p in plain['/talk', 'std_msgs/msg/String']] == [
        b'\0\1\0\0\x05\0\0\0word\0'
    ] * 50


def test_the_verdict_of_a_verification(daemon, tmp_path):
    bag = write_bag(tmp_path / 'v.mcap', {'/talk': GARBAGE}, 'std_msgs/msg/String', 'string data')
    more = write_bag(
        tmp_path / 'w.mcap',
        {'/talk': [*GARBAGE, GARBAGE[0]]},
        'std_msgs/msg/String',
        'string data',
    )
    ingest(daemon, bag, 'v_plain')
    ingest(daemon, bag, 'v_kept', keep_raw=True)

    def verdict(path: Path, name: str):
        return verify(path, ROSExtractorConfig(tmp_path, name, daemon.host, daemon.port))

    exact, equal, missing = (
        verdict(bag, 'v_kept'),
        verdict(bag, 'v_plain'),
        verdict(more, 'v_kept'),
    )
    assert (exact.equal_bytes, equal.equal_bytes, equal.equal_values) == (True, False, True)
    assert 'all 50 messages on 1 topics come back bit for bit; the file may be deleted' in str(
        exact
    )
    assert 'equal values' in str(equal)
    assert not missing.equal_values
    assert 'NOT all of it comes back; keep the file (/talk)' in str(missing)
    assert not exact.topics['/talk'].different
    (chunk,) = missing.topics['/talk'].different
    assert (chunk.start_ns, chunk.end_ns, chunk.recorded, chunk.restored) == (0, 10**10, 51, 50)


@pytest.mark.parametrize(
    ('recorded', 'restored', 'equal'),
    [
        (b'abc\0', b'abc\0\0', True),
        (b'abc\0\7\7\7', b'abc\0', True),
        (b'abc\0\1\0\0\0', b'abc\0', False),
        (b'ab\xff\0', 'ab\ufffd\0'.encode(), False),
    ],
)
def test_only_padding_may_differ_in_equal_values(recorded, restored, equal):
    definition = find_definition('std_msgs/msg/String', 'string data\n')
    digests = []
    for rest in (recorded, restored):
        size = rest.index(b'\0') + 1
        payload = b'\0\1\0\0' + size.to_bytes(4, 'little') + rest
        digests.append(TopicDigest(definition))
        digests[-1].add(np.array([5]), np.array([5]), [memoryview(payload)])
    one, other = (digest.chunks[0] for digest in digests)
    assert one.raw != other.raw
    assert (one.canonical == other.canonical) is equal


def test_the_chunks_that_differ_are_named(daemon, tmp_path):
    """Ten seconds of record time are a chunk."""
    source = sample('rosbag2_test_sqlite3')
    ingest(daemon, source, 'chunks')
    rows = messages(source)['/imu', 'sensor_msgs/msg/Imu']
    middle = rows[len(rows) // 2][0]
    config = ROSExtractorConfig(tmp_path, 'chunks', daemon.host, daemon.port, log_level='ERROR')
    config.end_timestamp_ns = middle
    verdict = verify(source, config)
    imu = verdict.topics['/imu']
    assert not verdict.equal_values
    assert imu.restored < imu.recorded == len(rows)
    assert imu.different[0].start_ns <= middle < imu.different[0].end_ns
    assert len(imu.different) < imu.chunks or imu.chunks == 1
    assert f'/imu: {len(imu.different)} of {imu.chunks} chunks differ' in str(imu)


def test_topics_and_times_are_chosen(daemon, tmp_path):
    source = sample('rosbag2_test_sqlite3')
    ingest(daemon, source, 'choice')
    everything = messages(source)
    times = sorted(t for t, _ in everything['/imu', 'sensor_msgs/msg/Imu'])
    start, end = times[100], times[200]
    path = (
        extraction(
            daemon,
            tmp_path,
            'choice',
            topics=['/imu', '/pose'],
            start_timestamp_ns=start,
            end_timestamp_ns=end,
        )
        .run()
        .path
    )
    got = messages(path)
    assert {topic for topic, _ in got} == {'/imu', '/pose'}
    for key, found in got.items():
        assert found == [(t, p) for t, p in everything[key] if start <= t < end]
    in_file = [t for group in by_rosbags(path).values() for t, _ in group]
    assert min(in_file) == start


def test_messages_are_in_time_order_over_all_topics(daemon, tmp_path):
    from mcap.stream_reader import StreamReader

    source = sample('rosbag2_test_sqlite3')
    ingest(daemon, source, 'order')
    path = extraction(daemon, tmp_path, 'order').run().path
    with next(path.glob('*.mcap')).open('rb') as file:
        records = StreamReader(file, validate_crcs=True).records
        times = [r.log_time for r in records if type(r).__name__ == 'Message']
    assert len(times) == 4695
    assert times == sorted(times)


def test_rows_that_no_ros_message_made(daemon, tmp_path):
    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        client.sequence_create('by_hand') as sequence,
    ):
        imu = sequence.topic_create('imu', {}, IMU)
        vector = Vector3d(x=1.0, y=2.0, z=3.0)
        imu.push(Message(timestamp_ns=5, data=IMU(acceleration=vector, angular_velocity=vector)))
    path = extraction(daemon, tmp_path, 'by_hand').run().path
    from rosbags.highlevel import AnyReader

    with AnyReader([path]) as reader:
        ((connection, time, data),) = reader.messages()
        message = reader.deserialize(data, connection.msgtype)
    assert (connection.topic, connection.msgtype, time) == ('/imu', 'sensor_msgs/msg/Imu', 5)
    assert message.linear_acceleration.y == 2.0
    assert message.orientation_covariance[0] == -1  # no orientation is known


def test_ros1_and_ros2_are_translated(daemon, tmp_path):
    source = sample('fake_joint_state')
    ingest(daemon, source, 'joints')
    path = extraction(daemon, tmp_path, 'joints', storage_plugin='mcap').run().path
    from rosbags.highlevel import AnyReader

    with AnyReader([source]) as one, AnyReader([path]) as two:
        pairs = zip(one.messages(), two.messages(), strict=True)
        for (old, old_time, before), (new, new_time, after) in pairs:
            a, b = one.deserialize(before, old.msgtype), two.deserialize(after, new.msgtype)
            assert (old.topic, old_time) == (new.topic, new_time)
            assert a.name == b.name
            assert np.array_equal(a.position, b.position)
            assert a.header.stamp == b.header.stamp
    back = extraction(daemon, tmp_path, 'joints', storage_plugin='ros1').run().path
    assert messages(back) == messages(source)


def test_translated_messages_have_their_values_whatever_the_ontology_keeps(daemon, tmp_path):
    from rosbags.highlevel import AnyReader

    store = typestore('jazzy')
    stamp = store.types['builtin_interfaces/msg/Time'](1, 2)
    header = store.types['std_msgs/msg/Header'](stamp, 'eye')
    picture = store.types['sensor_msgs/msg/CompressedImage'](
        header, 'bgr8; jpeg compressed bgr8', np.arange(9, dtype=np.uint8)
    )
    echo = store.types['sensor_msgs/msg/Range'](header, 0, 0.1, 0.2, 4.0, 1.5, 0.25)
    bag = tmp_path / 'values.mcap'
    with bag.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for topic, message in (('/picture', picture), ('/echo', echo)):
            text = store.generate_msgdef(message.__msgtype__, ros_version=2)[0]
            schema = writer.register_schema(message.__msgtype__, 'ros2msg', text.encode())
            channel = writer.register_channel(topic, 'cdr', schema)
            writer.add_message(
                channel, 5, bytes(store.serialize_cdr(message, message.__msgtype__)), 5
            )
        writer.finish()
    ingest(daemon, bag, 'values')
    report = extraction(daemon, tmp_path, 'values', storage_plugin='ros1').run()
    assert report.topics['/picture'].lost == []
    assert report.topics['/echo'].lost == ['variance']
    assert not report.complete
    with AnyReader([report.path]) as reader:
        made = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    assert made['/picture'].format == 'bgr8; jpeg compressed bgr8'
    assert made['/picture'].data.tolist() == list(range(9))
    assert made['/echo'].range == 1.5


@pytest.mark.parametrize('time', [-1, 2**32 * 10**9])
def test_ros1_refuses_times_that_it_cannot_hold(daemon, tmp_path, time):
    name = f'times{time}'.replace('-', '_')
    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        client.sequence_create(name) as sequence,
    ):
        vector = Vector3d(x=1.0, y=2.0, z=3.0)
        imu = IMU(acceleration=vector, angular_velocity=vector)
        sequence.topic_create('imu', {}, IMU).push(Message(timestamp_ns=time, data=imu))
    with pytest.raises(InvalidArgumentError, match=f'/imu has a message of {time} ns'):
        extraction(daemon, tmp_path, name, storage_plugin='ros1').run()
    assert list(tmp_path.iterdir()) == []
    assert extraction(daemon, tmp_path, name).run().messages == 1


def test_what_is_there_is_not_overwritten_unasked(daemon, tmp_path):
    bag = write_bag(tmp_path / 'o.mcap', {'/talk': GARBAGE}, 'std_msgs/msg/String', 'string data')
    ingest(daemon, bag, 'once')
    path = extraction(daemon, tmp_path, 'once').run().path
    with pytest.raises(AlreadyExistsError, match='once'):
        extraction(daemon, tmp_path, 'once').run()
    assert extraction(daemon, tmp_path, 'once', overwrite=True).run().path == path
    assert {p.name for p in tmp_path.iterdir()} == {'o.mcap', 'once'}


def test_what_cannot_be_written_is_told(daemon, tmp_path):
    with pytest.raises(NotFoundError, match='nowhere'):
        extraction(daemon, tmp_path, 'nowhere').run()
    bag = write_bag(tmp_path / 'n.mcap', {'/talk': GARBAGE}, 'std_msgs/msg/String', 'string data')
    ingest(daemon, bag, 'nothing')
    with pytest.raises(InvalidArgumentError, match='no topic that can be written'):
        extraction(daemon, tmp_path, 'nothing', topics=['/other']).run()
    assert not (tmp_path / 'nothing').exists()


class ExtractedTicks(Serializable):
    left_ticks: MosaicoType.uint32 = MosaicoField(description='Of the left wheel.')


class TicksAdapter(ROSAdapterBase[ExtractedTicks]):
    """One way only."""

    ros_msgtype = 'demo_msgs/msg/Ticks'
    __mosaico_ontology_type__ = ExtractedTicks

    @classmethod
    def from_dict(cls, ros_data):
        return ExtractedTicks(left_ticks=ros_data['left'])


@register_default_adapter
class TwoWayAdapter(TicksAdapter):
    ros_msgtype = 'demo_msgs/msg/Wheel'

    @classmethod
    def to_ros(cls, data, typestore, ros_msg_type=None):
        return typestore.types[ros_msg_type](left=data.left_ticks)


def test_custom_adapters_have_a_way_back(daemon, tmp_path):
    payloads = [b'\0\1\0\0' + i.to_bytes(4, 'little') for i in range(20)]
    topics = {'/wheel': payloads}
    bag = write_bag(tmp_path / 'a.mcap', topics, 'demo_msgs/msg/Wheel', 'uint32 left')
    ingest(daemon, bag, 'wheels')
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        assert client.topic_handler('wheels', 'wheel').ontology_tag == 'ExtractedTicks'
    assert messages(extraction(daemon, tmp_path, 'wheels').run().path) == messages(bag)


def test_adapters_without_a_way_back_are_told(daemon, tmp_path):
    """By-name matching would have written zeros."""
    topics = {'/wheel': [b'\0\1\0\0\7\0\0\0']}
    bag = write_bag(tmp_path / 'b.mcap', topics, 'demo_msgs/msg/Ticks', 'uint32 left')
    ingest(daemon, bag, 'one_way', adapter_overrides={'/wheel': TicksAdapter})
    with pytest.raises(InvalidArgumentError, match='by an adapter that is not registered'):
        extraction(daemon, tmp_path, 'one_way').run()


def test_times_of_publication_come_back(daemon, tmp_path):
    """Those that differ from the record time are kept, those that nobody knew are not made up."""
    from mcap.reader import make_reader
    from mcap.writer import Writer

    def times(path: Path) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        with path.open('rb') as file:
            for _, channel, message in make_reader(file).iter_messages():
                found.setdefault(channel.topic, []).append(
                    (message.log_time, message.publish_time)
                )
        return found

    big = b'\0\1\0\0' + (70_000).to_bytes(4, 'little') + b'x' * 69_999 + b'\0'
    small = b'\0\1\0\0\5\0\0\0word\0'
    bag = tmp_path / 'p.mcap'
    with bag.open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data')
        channels = {
            name: writer.register_channel(name, 'cdr', schema)
            for name in ('/early', '/equal', '/large', '/unknown')
        }
        for i in range(40):
            at = 1_000_000 + i * 10
            writer.add_message(channels['/early'], at, small, at - 7 * (i % 3))
            writer.add_message(channels['/equal'], at, small, at)
            writer.add_message(channels['/large'], at, big, at - 5)
            writer.add_message(channels['/unknown'], at, small, 0)
        writer.finish()
    ingest(daemon, bag, 'published')
    path = extraction(daemon, tmp_path, 'published').run().path
    expected = times(bag)
    expected['/unknown'] = [(log, log) for log, _ in expected['/unknown']]
    assert times(next(path.glob('*.mcap'))) == expected
    assert messages(path) == messages(bag)
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        topic = client.topic_handler('published', 'early')
        assert 'ros_source_ns' not in topic.to_arrow().column_names  # on request only
        with topic.get_data_streamer(sidecars=True) as streamer:
            kept = [v for b in streamer.batches() for v in b.column('ros_source_ns').to_pylist()]
    assert kept == [
        None if log == published else published for log, published in expected['/early']
    ]
    verdict = verify(bag, ROSExtractorConfig(tmp_path, 'published', daemon.host, daemon.port))
    assert verdict.equal_bytes
