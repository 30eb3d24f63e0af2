"""Reading recordings: what other writers wrote, and what accidents left of it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from mcap.writer import CompressionType, IndexType, Writer as McapWriter

from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge.bags import BagTopic, bag_files, open_bag
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.definitions import find_definition, typestore

SAMPLES = Path(__file__).parents[2] / '..' / 'shared' / 'samples' / 'bags'
STRING = 'std_msgs/msg/String'


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f'the sample recordings are not at {SAMPLES}')
    return SAMPLES


def payload(text: str) -> bytes:
    raw = text.encode() + b'\0'
    return b'\0\1\0\0' + len(raw).to_bytes(4, 'little') + raw


def messages(path, wanted=lambda topic: True):
    """All messages by topic as (time, payload), and the bag's problems."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    with open_bag(path) as bag:
        for group in bag.groups(wanted):
            payloads = group.payloads
            if isinstance(payloads, Payloads):
                ends = payloads.offsets + payloads.lengths
                payloads = [
                    payloads.buffer[at:end].data
                    for at, end in zip(payloads.offsets.tolist(), ends.tolist(), strict=True)
                ]
            rows = zip(group.timestamps.tolist(), map(bytes, payloads), strict=True)
            found.setdefault(group.topic, []).extend(rows)
    return found, bag.problems


def write_mcap(path: Path, count: int = 500, **options) -> dict[str, list[tuple[int, bytes]]]:
    """A recording of two string topics, the second with some large messages."""
    expected: dict[str, list[tuple[int, bytes]]] = {'/a': [], '/b': []}
    with path.open('wb') as file:
        writer = McapWriter(file, chunk_size=options.pop('chunk_size', 4096), **options)
        writer.start(profile='ros2')
        schema = writer.register_schema(STRING, 'ros2msg', b'string data\n')
        channels = {name: writer.register_channel(name, 'cdr', schema) for name in expected}
        for i in range(count):
            name = '/a' if i % 3 else '/b'
            data = payload(f'{name} {i} ' + 'x' * (50_000 if i % 100 == 0 else i % 17))
            expected[name].append((1000 + i, data))
            writer.add_message(channels[name], 1000 + i, data, 900 + i)
        writer.finish()
    return expected


@pytest.mark.parametrize('compression', list(CompressionType))
@pytest.mark.parametrize('indexes', [IndexType.ALL, IndexType.NONE])
def test_mcap_chunks(tmp_path, compression, indexes):
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path, compression=compression, index_types=indexes)
    assert messages(path) == (expected, [])


def test_mcap_without_chunks(tmp_path):
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path, use_chunking=False)
    assert messages(path) == (expected, [])


def test_mcap_without_summary(tmp_path):
    """Topics are found in the chunks when nothing tells them beforehand."""
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path, use_statistics=False, repeat_channels=False, repeat_schemas=False)
    assert messages(path) == (expected, [])


def test_only_wanted_topics_are_read(tmp_path):
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path)
    assert messages(path, lambda topic: topic.name == '/b')[0] == {'/b': expected['/b']}


def test_counts_are_known_beforehand(tmp_path):
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path)
    with open_bag(path) as bag:
        assert {t.name: t.count for t in bag.topics.values()} == {
            name: len(rows) for name, rows in expected.items()
        }
        assert bag.message_count == 500


@pytest.mark.parametrize('compression', [CompressionType.NONE, CompressionType.ZSTD])
@pytest.mark.parametrize('part', [0.2, 0.5, 0.9, 0.999])
def test_mcap_cut_short(tmp_path, compression, part):
    """What lies before the cut is kept, and the cut is said."""
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path, compression=compression)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * part)])
    found, problems = messages(path)
    assert problems or found == expected  # the very end holds the summary only
    for name, rows in found.items():
        assert rows == expected[name][: len(rows)]
    kept = sum(map(len, found.values()))
    if compression is CompressionType.NONE:
        assert kept > 500 * (part - 0.25)


def _records(raw: bytes):
    """Opcode, content start and length of every top-level record."""
    at = 8
    while at < len(raw) - 8:
        opcode, length = struct.unpack_from('<BQ', raw, at)
        yield opcode, at + 9, length
        at += 9 + length


def test_mcap_with_a_lying_index(tmp_path):
    """Offsets that point nowhere, and an index that forgets messages: all are still found."""
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path, compression=CompressionType.NONE)
    raw = bytearray(path.read_bytes())
    indexes = [(at, n) for opcode, at, n in _records(raw) if opcode == 0x07 and n >= 6 + 32]
    at, _ = indexes[0]
    raw[at + 14 : at + 22] = struct.pack('<Q', 1 << 62)
    at, _ = indexes[5]
    raw[at + 14 : at + 22] = struct.pack('<Q', (1 << 63) - 1)
    at, _ = indexes[3]
    raw[at + 14 : at + 22] = struct.pack('<Q', 5)
    at, _ = indexes[-1]
    raw[at + 14 : at + 22] = raw[at + 30 : at + 38]  # the second message twice, the first never
    path.write_bytes(raw)
    found, problems = messages(path)
    assert found == expected
    assert len(problems) == 3


def test_mcap_with_a_spoiled_chunk(tmp_path):
    path = tmp_path / 'bag.mcap'
    expected = write_mcap(path, compression=CompressionType.ZSTD)
    raw = bytearray(path.read_bytes())
    chunks = [(at, n) for opcode, at, n in _records(raw) if opcode == 0x06]
    at, n = chunks[2]
    raw[at + n // 2 : at + n // 2 + 8] = b'\xff' * 8
    path.write_bytes(raw)
    found, problems = messages(path)
    assert any('chunk' in problem for problem in problems)
    stored = {row for rows in found.values() for row in rows}
    intact = {row for rows in expected.values() for row in rows}
    assert len(stored & intact) >= len(intact) - len(intact) // 4


def test_channels_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / 'bag.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start()
        schema = writer.register_schema(STRING, 'ros2msg', b'string data\n')
        channel = writer.register_channel('/ros', 'cdr', schema)
        other = writer.register_channel('/web', 'cbor', schema)
        bare = writer.register_channel('/bare', 'cdr', 0)
        for key in (channel, other, bare):
            writer.add_message(key, 1, payload('x'), 1)
        writer.finish()
    found, problems = messages(path)
    assert list(found) == ['/ros']
    assert [problem.split(':')[0] for problem in problems] == ['/web', '/bare']


# --- several things under one name ---------------------------------------------------------------

PAIR, LARGER = 'pkg/msg/Pair', b'int32 a\nint32 b\n'
#: Type and definition of what is recorded on one topic: the second differs in comments only.
ON_ONE_TOPIC = [
    (PAIR, b'int32 a\n'),
    (PAIR, b'# metres\nint32 a  # signed\n'),
    (PAIR, LARGER),
    (STRING, b'string data\n'),
]


def write_variants(path: Path, which: list[int]) -> None:
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        for i in which:
            msgtype, text = ON_ONE_TOPIC[i]
            schema = writer.register_schema(msgtype, 'ros2msg', text)
            channel = writer.register_channel('/x', 'cdr', schema, {'publisher': str(i)})
            writer.add_message(channel, i, bytes([i]) * 8, i)
        writer.finish()


def test_other_messages_under_one_name_are_variants_of_the_topic(tmp_path):
    write_variants(tmp_path / 'bag.mcap', [0, 1, 2, 3])
    found, problems = messages(tmp_path / 'bag.mcap')
    assert not problems
    assert {key: [time for time, _ in rows] for key, rows in found.items()} == {
        '/x': [0, 1],
        '/x (2)': [2],
        '/x (3)': [3],
    }
    with open_bag(tmp_path / 'bag.mcap') as bag:
        assert {key: (t.name, t.msgtype, t.count) for key, t in bag.topics.items()} == {
            '/x': ('/x', PAIR, 2),
            '/x (2)': ('/x', PAIR, 1),
            '/x (3)': ('/x', STRING, 1),
        }
        assert bag.topics['/x (2)'].definition == LARGER.decode()


def test_files_of_one_recording_agree_on_variants(tmp_path):
    """Whatever the order in which each file has them."""
    write_variants(tmp_path / 'bag_0.mcap', [2, 0])
    write_variants(tmp_path / 'bag_1.mcap', [1, 3, 2])
    found, problems = messages(tmp_path)
    assert not problems
    assert {key: [time for time, _ in rows] for key, rows in found.items()} == {
        '/x': [2, 2],
        '/x (2)': [0, 1],
        '/x (3)': [3],
    }
    with open_bag(tmp_path) as bag:
        assert {key: topic.count for key, topic in bag.topics.items()} == {
            '/x': 2,
            '/x (2)': 2,
            '/x (3)': 1,
        }


def test_a_database_in_a_folder_that_cannot_be_written(tmp_path):
    """One in write-ahead mode, as rosbag2's `resilient` preset leaves it."""
    import sqlite3

    rows = write_rosbag2(tmp_path / 'talk')
    (file,) = bag_files(tmp_path / 'talk')
    database = sqlite3.connect(file)
    database.execute('PRAGMA journal_mode=WAL')
    database.close()
    before = sorted(tmp_path.rglob('*'))
    assert messages(file) == ({'/chat': rows}, [])
    assert sorted(tmp_path.rglob('*')) == before
    # What a recorder that died has left in the journal is read too.
    database = sqlite3.connect(file)
    database.execute('INSERT INTO messages VALUES (999, 1, 999, ?)', [payload('last')])
    database.commit()
    found, _ = messages(file)
    assert found['/chat'][-1] == (999, payload('last'))
    database.close()


def test_bags_of_older_ros1_versions_are_named(tmp_path):
    (tmp_path / 'old.bag').write_bytes(b'#ROSBAG V1.2\n' + bytes(99))
    with pytest.raises(InvalidArgumentError, match=r'version 1\.2, and only 2\.0.*rosbag fix'):
        open_bag(tmp_path / 'old.bag')


def test_metadata_and_attachments_are_found_without_a_summary(tmp_path):
    path = tmp_path / 'bag.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        writer.add_metadata('robot', {'serial': 'R2'})
        writer.add_attachment(1, 2, 'a.txt', 'text/plain', b'abc')
        writer.add_attachment(3, 4, 'b.txt', 'text/plain', b'b' * 3_000_000)
        writer.finish()
    raw = path.read_bytes()
    end = raw.index(b'\x0f' + (4).to_bytes(8, 'little'))
    cut = end - 1_000_000
    for stop, names in ((None, ['a.txt', 'b.txt']), (end, ['a.txt', 'b.txt']), (cut, ['a.txt'])):
        path.write_bytes(raw[:stop] + bytes(0 if stop is None else 50))
        with open_bag(path) as bag:
            assert bag.extras.metadata == [('robot', {'serial': 'R2'})]
            assert [file.name for file in bag.extras.attachments] == names
            assert b''.join(bag.extras.attachments[0].pieces) == b'abc'
        told = messages(path)[1]
        assert any('ends inside a record of 3000' in one for one in told) is (stop == cut)
    path.write_bytes(raw[: raw.index(b'b.txt')])
    assert [file.name for file in open_bag(path).extras.attachments] == ['a.txt']


def test_attachments_of_all_files_of_a_folder(tmp_path):
    for number in range(2):
        with (tmp_path / f'{tmp_path.name}_{number}.mcap').open('wb') as file:
            writer = McapWriter(file)
            writer.start(profile='ros2')
            writer.add_attachment(1, 2, f'{number}.bin', '', bytes(700_000))
            writer.finish()
    with open_bag(tmp_path) as bag:
        assert [file.name for file in bag.extras.attachments] == ['0.bin', '1.bin']
        # Together they are too large for metadata.
        assert bag.extras.to_dict() == {'attached_files': ['0.bin', '1.bin']}


def test_damaged_attachments_are_named(tmp_path):
    path = tmp_path / 'bag.mcap'
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        writer.add_attachment(1, 2, 'a.txt', 'text/plain', b'abc')
        writer.finish()
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'\3\0\0\0\0\0\0\0abc', b'\3\1\0\0\0\0\0\0abc'))
    with open_bag(path) as bag:
        assert bag.problems == ['an attachment is damaged (it ends early)']


def test_a_database_may_list_a_topic_twice(tmp_path):
    import sqlite3

    write_rosbag2(tmp_path / 'talk')
    (file,) = bag_files(tmp_path / 'talk')
    with sqlite3.connect(file) as database:
        columns = 'name, type, serialization_format, offered_qos_profiles, type_description_hash'
        database.executemany(
            f'INSERT INTO topics (id, {columns}) VALUES (?, ?, ?, ?, ?, ?)',
            [(8, '/chat', STRING, 'cdr', '', ''), (9, '/chat', PAIR, 'cdr', '', '')],
        )
        database.executemany(
            'INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)',
            [(8, 900, payload('more')), (9, 901, b'\0\1\0\0\1\0\0\0')],
        )
    database.close()
    found, _ = messages(file)
    assert {key: len(rows) for key, rows in found.items()} == {'/chat': 301, '/chat (2)': 1}
    with open_bag(file) as bag:
        assert bag.topics['/chat'].count == 301
        assert bag.topics['/chat (2)'].msgtype == PAIR


def test_connections_of_a_ros1_bag_on_one_topic(tmp_path):
    from rosbags.rosbag1 import Writer

    store = typestore('noetic')
    with Writer(tmp_path / 'old.bag') as writer:
        kinds = [STRING, 'std_msgs/msg/Int32', STRING]
        for i, kind in enumerate(kinds):
            connection = writer.add_connection('/x', kind, typestore=store, callerid=f'/node{i}')
            value = 'text' if kind == STRING else 5
            writer.write(connection, i, store.serialize_ros1(store.types[kind](value), kind))
    found, problems = messages(tmp_path / 'old.bag')
    assert not problems
    assert {key: [time for time, _ in rows] for key, rows in found.items()} == {
        '/x': [0, 2],
        '/x (2)': [1],
    }


def test_random_damage_never_raises(tmp_path):
    path = tmp_path / 'bag.mcap'
    write_mcap(path, count=60, compression=CompressionType.NONE, chunk_size=512)
    raw = path.read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(150):
        damaged = bytearray(raw)
        for at in rng.integers(8, len(raw), rng.integers(1, 6)).tolist():
            damaged[at] = int(rng.integers(256))
        path.write_bytes(damaged)
        messages(path)


# --- other kinds --------------------------------------------------------------------------------


def write_rosbag2(folder: Path) -> list[tuple[int, bytes]]:
    from rosbags.rosbag2 import Writer

    rows = [(5 + i, payload(f'text {i}')) for i in range(300)]
    with Writer(folder, version=9) as writer:
        connection = writer.add_connection('/chat', STRING, typestore=typestore('jazzy'))
        for time, data in rows:
            writer.write(connection, time, data)
    return rows


def test_sqlite_folder_and_file(tmp_path):
    rows = write_rosbag2(tmp_path / 'talk')
    assert messages(tmp_path / 'talk') == ({'/chat': rows}, [])
    (file,) = bag_files(tmp_path / 'talk')
    assert file.suffix == '.db3'
    assert messages(file) == ({'/chat': rows}, [])


@pytest.mark.parametrize('storage', ['SQLITE3', 'MCAP'])
@pytest.mark.parametrize('mode', ['FILE', 'MESSAGE'])
def test_compressed_by_the_recorder(tmp_path, storage, mode):
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    rows = [(5 + i, payload(f'text {i}' + 'x' * (40_000 if i % 9 == 0 else 0))) for i in range(50)]
    writer = Writer(tmp_path / 'talk', version=9, storage_plugin=StoragePlugin[storage])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/chat', STRING, typestore=typestore('jazzy'))
        for time, data in rows:
            writer.write(connection, time, data)
    assert messages(tmp_path / 'talk') == ({'/chat': rows}, [])


@pytest.mark.parametrize('codec', ['zstd', 'lz4'])
def test_messages_compressed_one_by_one_need_no_metadata(tmp_path, codec):
    """A file that was copied out of its folder; one message is damaged."""
    with (tmp_path / 'lone.mcap').open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema(STRING, 'ros2msg', b'string data\n')
        channel = writer.register_channel('/chat', 'cdr', schema)
        for i in range(9):
            with pa.BufferOutputStream() as plain:
                with pa.CompressedOutputStream(plain, codec) as packed:
                    packed.write(payload(f'text {i}' * 50))
                data = plain.getvalue().to_pybytes()
            writer.add_message(channel, i, data[:20] if i == 4 else data, i)
        writer.finish()
    found, problems = messages(tmp_path / 'lone.mcap')
    assert found == {'/chat': [(i, payload(f'text {i}' * 50)) for i in range(9) if i != 4]}
    (problem,) = problems
    assert problem.startswith('/chat: a message cannot be unpacked')


def test_split_folder_without_metadata_is_read_in_natural_order(tmp_path):
    for part in range(11):
        with (tmp_path / f'talk_{part}.mcap').open('wb') as file:
            writer = McapWriter(file)
            writer.start(profile='ros2')
            schema = writer.register_schema(STRING, 'ros2msg', b'string data\n')
            channel = writer.register_channel('/chat', 'cdr', schema)
            writer.add_message(channel, part, payload(str(part)), part)
            writer.finish()
    found, problems = messages(tmp_path)
    assert found == {'/chat': [(part, payload(str(part))) for part in range(11)]}
    assert not problems
    with open_bag(tmp_path) as bag:
        assert bag.message_count == 11


def test_ros1_bag(tmp_path):
    from rosbags.rosbag1 import Writer

    store = typestore('noetic')
    with Writer(tmp_path / 'old.bag') as writer:
        connection = writer.add_connection('/chat', STRING, typestore=store)
        for i in range(20):
            raw = store.serialize_ros1(store.types[STRING](f'text {i}'), STRING)
            writer.write(connection, 7 + i, raw)
    found, _ = messages(tmp_path / 'old.bag')
    assert [time for time, _ in found['/chat']] == list(range(7, 27))
    with open_bag(tmp_path / 'old.bag') as bag:
        assert bag.topics['/chat'].ros1
        assert bag.distro == 'noetic'


def test_what_is_not_a_bag(tmp_path):
    (tmp_path / 'notes.mcap').write_text('not at all')
    (tmp_path / 'other.db3').write_bytes(b'SQLite format 3\0' + b'\0' * 200)
    (tmp_path / 'empty').mkdir()
    for name in ('notes.mcap', 'other.db3', 'empty'):
        with pytest.raises(InvalidArgumentError, match=name):
            open_bag(tmp_path / name)
    with pytest.raises(NotFoundError, match=r'nothing\.bag'):
        open_bag(tmp_path / 'nothing.bag')
    (tmp_path / 'zipped.mcap.zstd').write_bytes(
        pa.Codec('zstd').compress(b'just text', asbytes=True)
    )
    with pytest.raises(InvalidArgumentError):
        open_bag(tmp_path / 'zipped.mcap.zstd')


def test_samples_of_other_writers(samples):
    """Every message that rosbags reads, in the same order, byte by byte."""
    from rosbags.rosbag2 import Reader

    for name in ('cdr_test_mcap', 'rosbag2_test_sqlite3'):
        expected: dict[str, list[tuple[int, bytes]]] = {}
        with Reader(samples / name) as reader:
            for connection, time, data in reader.messages():
                expected.setdefault(connection.topic, []).append((time, bytes(data)))
        assert messages(samples / name) == (expected, []), name
    # rosbags yields nothing for these two, which hold the same data in different storages.
    talk, problems = messages(samples / 'talker_mcap')
    assert (talk, problems) == messages(samples / 'talker_sqlite3')
    assert {name: len(rows) for name, rows in talk.items()} == {'/rosout': 10, '/topic': 10}
    assert sum(map(len, messages(samples / 'rosbag2_test_sqlite3')[0].values())) == 4695
    assert len(messages(samples / 'split_mcap')[0]['/chatter']) == 3177
    assert len(messages(samples / 'fake_joint_state')[0]['/fake_joints_state']) == 2725


def test_a_definition_that_does_not_parse_costs_its_channel_only(samples):
    with open_bag(samples / 'service_events_mcap') as bag:
        parsed, refused = [], []
        for topic in bag.topics.values():
            try:
                find_definition(topic.msgtype, topic.definition)
                parsed.append(topic.name)
            except InvalidArgumentError:
                refused.append(topic.name)
    assert '/test_topic1' in parsed
    assert '/test_service1/_service_event' in refused


def test_a_file_that_lies_packed_and_unpacked_in_a_folder_is_read_once(tmp_path):
    folder = tmp_path / 'drive'
    folder.mkdir()
    expected = write_mcap(folder / 'drive_0.mcap', 20)
    with pa.CompressedOutputStream(folder / 'drive_0.mcap.zstd', 'zstd') as packed:
        packed.write((folder / 'drive_0.mcap').read_bytes())
    assert messages(folder) == (expected, [])
    (folder / 'drive_0.mcap').unlink()
    assert messages(folder) == (expected, [])


@pytest.mark.parametrize('found', [0, 4])
def test_a_topic_knows_how_many_of_its_messages_are_missing(found):
    topic = BagTopic('/talk', STRING, count=5)
    assert topic.shortfall(found) == f'/talk: the bag tells of 5 messages, and has {found}'
    assert topic.shortfall(5) is None
    assert BagTopic('/talk', STRING).shortfall(found) is None
