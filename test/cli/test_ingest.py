"""``mosaico ingest`` as a user runs it: the real command, a real daemon, our SDK to read back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcap.writer import Writer as McapWriter

from mosaico_ros import MosaicoClient
from mosaico_ros.ros_bridge.definitions import typestore

SAMPLES = Path(__file__).parents[2] / '..' / 'shared' / 'samples' / 'bags'


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f'the sample recordings are not at {SAMPLES}')
    return SAMPLES.resolve()


@pytest.fixture
def client(daemon: Any) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        yield client


@pytest.fixture
def ingest(
    daemon: Any, run_command: Callable[..., subprocess.CompletedProcess[str]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        connection = ['--host', daemon.host, '--port', daemon.port]
        environment = {**os.environ, 'COLUMNS': '200'}
        return run_command('mosaico', 'ingest', *arguments, *connection, env=environment)

    return run


def rows(client: MosaicoClient, sequence: str, topic: str) -> list[dict[str, Any]]:
    handler = client.topic_handler(sequence, topic)
    assert handler is not None
    return handler.to_arrow().to_pylist()


def test_4695_messages_equal_what_rosbags_reads(samples, ingest, client):
    """Field by field, through catalog, Parquet and the wire, against rosbags' own reading."""
    from rosbags.rosbag2 import Reader

    bag = samples / 'rosbag2_test_sqlite3'
    done = ingest(bag)
    assert done.returncode == 0, done.stderr
    assert '4,695 messages' in done.stdout

    store = typestore('latest')
    expected: dict[str, list[tuple[int, Any]]] = {}
    with Reader(bag) as reader:
        for connection, time, raw in reader.messages():
            message = store.deserialize_cdr(raw, connection.msgtype)
            expected.setdefault(connection.topic, []).append((time, message))
    assert sum(map(len, expected.values())) == 4695

    checks = {'/imu': _check_imu, '/battery': _check_battery, '/pose': _check_pose}
    assert set(expected) == set(checks)
    for topic, check in checks.items():
        stored = rows(client, 'rosbag2_test_sqlite3', topic)
        assert len(stored) == len(expected[topic]) == 1565
        for row, (time, message) in zip(stored, expected[topic], strict=True):
            assert row['timestamp_ns'] == time
            _check_header(row['header'], message.header)
            check(row, message)


def _check_header(header, ros):
    assert header['frame_id'] == ros.frame_id
    assert header['timestamp'] == {
        'seconds': ros.stamp.sec,
        'nanoseconds': ros.stamp.nanosec,
    }


def _check_vector(row, ros, covariance=None, names='xyz'):
    assert [row[name] for name in names] == [getattr(ros, name) for name in names]
    known = covariance is not None and (covariance > 0).any()
    assert row['covariance'] == (covariance.tolist() if known else None)


def _check_imu(row, ros):
    _check_vector(row['acceleration'], ros.linear_acceleration, ros.linear_acceleration_covariance)
    _check_vector(row['angular_velocity'], ros.angular_velocity, ros.angular_velocity_covariance)
    _check_vector(row['orientation'], ros.orientation, ros.orientation_covariance, 'xyzw')


def _check_pose(row, ros):
    _check_vector(row['position'], ros.pose.position)
    _check_vector(row['orientation'], ros.pose.orientation, names='xyzw')


def _check_battery(row, ros):
    for name in (
        *('voltage', 'percentage', 'present', 'location', 'serial_number'),
        *('power_supply_status', 'power_supply_health', 'power_supply_technology'),
    ):
        assert row[name] == getattr(ros, name)
    for name in ('temperature', 'current', 'charge', 'capacity', 'design_capacity'):
        value = getattr(ros, name)
        assert row[name] == (value if value == value else None)
    for name in ('cell_voltage', 'cell_temperature'):
        assert row[name] == (getattr(ros, name).tolist() or None)


def test_the_sequence_knows_its_bag(samples, ingest, client):
    bag = samples / 'fake_joint_state' / 'fake_joint_state.bag'
    done = ingest(bag, '--name', 'arm', '--metadata', '{"site": "lab"}', '--json')
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told['sequence'], told['messages'], told['complete']) == ('arm', 2725, True)

    sequence = client.sequence_handler('arm')
    assert sequence is not None
    assert sequence.user_metadata == {
        'rosbag_injection': 'fake_joint_state.bag',
        'site': 'lab',
        '_bag_': {
            'name': 'fake_joint_state.bag',
            'size_bytes': bag.stat().st_size,
            'sha256': hashlib.sha256(bag.read_bytes()).hexdigest(),
            'ros_distro': 'noetic',
        },
    }
    topic = client.topic_handler('arm', '/fake_joints_state')
    assert topic is not None
    about = topic.user_metadata['_ros_']
    assert about['msgtype'] == 'sensor_msgs/msg/JointState'
    assert about['source_file'] == 'fake_joint_state.bag'
    assert 'float64[] position' in about['msgdef']
    # ROS 1 headers count their messages.
    counters = [row['header']['sample_counter'] for row in rows(client, 'arm', topic.name)]
    assert counters == list(range(counters[0], counters[0] + 2725))


def test_split_folder_becomes_one_sequence(samples, ingest, client):
    assert ingest(samples / 'split_mcap').returncode == 0
    stored = rows(client, 'split_mcap', '/chatter')
    assert len(stored) == 3177
    times = [row['timestamp_ns'] for row in stored]
    assert times == sorted(times)


def write_bag(path: Path, payloads: dict[str, list[bytes]]) -> Path:
    """Strings on several topics, 10 ms apart."""
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        for name, rows in payloads.items():
            channel = writer.register_channel(name, 'cdr', schema)
            for i, data in enumerate(rows):
                writer.add_message(channel, 10**18 + i * 10**7, data, 0)
        writer.finish()
    return path


def text(value: str) -> bytes:
    raw = value.encode() + b'\0'
    return b'\0\1\0\0' + len(raw).to_bytes(4, 'little') + raw


def test_broken_messages_are_counted_and_cost_only_themselves(tmp_path, ingest, client):
    bag = write_bag(tmp_path / 'worn.mcap', {'/talk': [text('a'), b'\0\1\0\0\xff', text('b')]})
    done = ingest(bag)
    assert done.returncode == 3
    assert '/talk: 1 messages left out, payload ends before its last field' in done.stderr
    assert [row['data'] for row in rows(client, 'worn', '/talk')] == ['a', 'b']


def test_a_channel_with_unreadable_definition_is_skipped_loudly(samples, ingest, client):
    done = ingest(samples / 'service_events_mcap')
    assert done.returncode == 3
    assert '/test_service1/_service_event: skipped' in done.stderr
    assert len(rows(client, 'service_events_mcap', '/test_topic1')) == 1


def test_topics_are_chosen_by_patterns_in_order(tmp_path, ingest, client):
    names = ['/arm/talk', '/arm/debug/talk', '/base/talk']
    bag = write_bag(tmp_path / 'many.mcap', {name: [text(name)] for name in names})
    done = ingest(bag, '--topics', '/arm/*', '--topics', '!*debug*')
    assert done.returncode == 0
    sequence = client.sequence_handler('many')
    assert sequence is not None
    assert [name.strip('/') for name in sequence.topics] == ['arm/talk']


def test_what_is_said_of_topics_that_there_are_not_is_told(tmp_path, ingest):
    bag = write_bag(tmp_path / 'told.mcap', {'/talk': [text('1')]})
    about = ('--topic-metadata', '{"/walk": {"gait": "trot"}}')
    done = ingest(bag, '--topics', '/talk', '--topics', '/tlak', *about)
    assert done.returncode == 0
    assert 'no topic loaded is /tlak' in done.stderr
    assert 'no topic loaded is /walk' in done.stderr
    told = json.loads(ingest(bag, '--topics', '/talk', '--topics', '/tlak', '--json').stdout)
    assert told['unused'] == ['/tlak']


def test_messages_that_the_bag_tells_of_and_has_not_are_a_loss(tmp_path, ingest, client):
    from rosbags.rosbag2 import StoragePlugin, Writer

    folder = tmp_path / 'short'
    store = typestore('latest')
    with Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection('/talk', 'std_msgs/msg/String', typestore=store)
        for i in range(5):
            writer.write(connection, i, text(str(i)))
    database = sqlite3.connect(next(folder.glob('*.db3')))
    with database:
        database.execute("UPDATE messages SET data = 'gone' WHERE timestamp = 2")
    database.close()
    done = ingest(folder)
    assert done.returncode == 3
    assert '/talk: the bag tells of 5 messages, and has 4' in done.stderr
    assert len(rows(client, 'short', '/talk')) == 4


def test_names_that_the_archive_forbids_are_mended_and_remembered(tmp_path, ingest, client):
    bag = write_bag(tmp_path / 'my bag (1).mcap', {'/cam.front/talk me': [text('x')]})
    assert ingest(bag).returncode == 0
    topic = client.topic_handler('my_bag__1_', 'cam_front/talk_me')
    assert topic is not None
    assert topic.user_metadata['_ros_']['topic'] == '/cam.front/talk me'


def test_update_adds_topics_to_a_sequence(tmp_path, ingest, client):
    first = write_bag(tmp_path / 'a.mcap', {'/a': [text('1')]})
    second = write_bag(tmp_path / 'b.mcap', {'/b': [text('2')]})
    assert ingest(first, '--name', 'both').returncode == 0
    refused = ingest(second, '--name', 'both')
    assert refused.returncode == 1
    assert 'both' in refused.stderr
    assert ingest(second, '--name', 'both', '--update-if-exists').returncode == 0
    sequence = client.sequence_handler('both')
    assert sequence is not None
    assert sorted(name.strip('/') for name in sequence.topics) == ['a', 'b']


def write_tree(folder: Path, bags: int, messages: int = 3) -> Path:
    for i in range(bags):
        path = folder / f'day{i % 2}' / f'run{i}.mcap'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bag(path, {'/talk': [text(f'{i}')] * messages})
    return folder


def test_a_tree_of_bags_can_be_loaded_again_and_again(tmp_path, ingest, client):
    tree = write_tree(tmp_path / 'tree', 3)
    (tree / 'broken.mcap').write_text('no bag')
    done = ingest(tree, '--jobs', '2')
    assert done.returncode == 1
    assert done.stderr.count('broken.mcap') == 1
    assert '4 bags:' in done.stdout
    assert '3 stored' in done.stdout
    assert sorted(client.list_sequences()) == ['day0-run0', 'day0-run2', 'day1-run1']

    (tree / 'broken.mcap').unlink()
    write_bag(tree / 'new.mcap', {'/talk': [text('a'), b'\0\1\0\0\xff']})
    told = [json.loads(line) for line in ingest(tree, '--json').stdout.splitlines()]
    assert {t['sequence']: (t['status'], t['messages']) for t in told} == {
        'day0-run0': ('present', 3),
        'day0-run2': ('present', 3),
        'day1-run1': ('present', 3),
        'new': ('completed', 1),
    }
    again = ingest(tree)
    assert again.returncode == 3, 'the message that is missing is still missing'
    assert '4 bags: 4 already there' in again.stdout
    alone = ingest(tree / 'day0' / 'run0.mcap', '--name', 'day0-run0')
    assert alone.returncode == 0
    assert 'in the archive already, with 3 messages' in alone.stdout


def test_clashing_names_are_refused_before_anything_is_sent(tmp_path, ingest, client):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        write_bag(tmp_path / folder / 'run.mcap', {'/talk': [text('x')]})
    done = ingest(tmp_path / 'a' / 'run.mcap', tmp_path / 'b' / 'run.mcap')
    assert done.returncode == 2
    assert "'run'" in done.stderr
    assert 'b/run.mcap' in done.stderr
    assert client.list_sequences() == []


def alive(group: int) -> list[str]:
    """Command lines of the processes of a group, but for those that nobody has buried yet."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            state, _, their_group = (folder / 'stat').read_text().rpartition(')')[2].split()[:3]
            if int(their_group) == group and state != 'Z':
                found.append((folder / 'cmdline').read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@contextlib.contextmanager
def ingesting(tree: Path, daemon: Any, jobs: int) -> Iterator[subprocess.Popen[str]]:
    """The command, in a session of its own, with its first bag loaded."""
    command = (sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'ingest', str(tree), '--json')
    connection = ('--host', daemon.host, '--port', str(daemon.port), '--jobs', str(jobs))
    with subprocess.Popen(
        [*command, *connection],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())['status'] == 'completed'
        yield process


def await_end(group: int) -> None:
    deadline = time.monotonic() + 30
    while alive(group):
        assert time.monotonic() < deadline, alive(group)
        time.sleep(0.05)


@pytest.mark.parametrize('jobs', [1, 2])
def test_ctrl_c_and_the_same_command_again(tmp_path, ingest, daemon, client, jobs):
    """As a terminal sends it: to every process of the command."""
    tree = write_tree(tmp_path / 'tree', 24, messages=3000)
    with ingesting(tree, daemon, jobs) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert 'Traceback' not in said
    assert 'goes on with what is missing' in said
    await_end(process.pid)
    kept = client.list_sequences()
    assert 0 < len(kept) < 24
    assert all(len(rows(client, name, 'talk')) == 3000 for name in kept)

    told = [json.loads(line) for line in ingest(tree, '--json').stdout.splitlines()]
    assert {t['sequence'] for t in told if t['status'] == 'present'} == set(kept)
    assert sum(t['messages'] for t in told) == 24 * 3000


def test_the_processes_of_a_killed_command_end_by_themselves(tmp_path, daemon, client):
    tree = write_tree(tmp_path / 'tree', 24, messages=3000)
    with ingesting(tree, daemon, jobs=2) as process:
        process.kill()
    await_end(process.pid)
    kept = client.list_sequences()
    assert 0 < len(kept) < 24
    assert all(len(rows(client, name, 'talk')) == 3000 for name in kept)


def test_a_terminal_shows_a_bar_per_bag(tmp_path, daemon):
    tree = write_tree(tmp_path / 'tree', 2, messages=3000)
    connection = ('--host', daemon.host, '--port', str(daemon.port))
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'ingest', str(tree), *connection],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, 'TERM': 'xterm', 'COLUMNS': '120'},
    ) as process:
        os.close(theirs)
        shown = b''
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(terminal, 1 << 16):
                shown += part
    os.close(terminal)
    assert process.returncode == 0
    for name in ('day0-run0', 'day1-run1'):
        assert re.search(rf'{name} .* messages, .*B/s', shown.decode())
    assert b'2 of 2' in shown


def test_the_ros_command_is_the_same(tmp_path, daemon):
    """With its exit code, and with processes that import a script."""
    tree = write_tree(tmp_path / 'tree', 3)
    (tree / 'broken.mcap').write_text('no bag')
    script = Path(__file__).parents[2] / 'scripts' / 'ingest'
    connection = ('--host', daemon.host, '--port', str(daemon.port), '--jobs', '2')
    done = subprocess.run(
        [sys.executable, script, tree, *connection], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert '3 stored' in done.stdout


@pytest.mark.parametrize(
    ('arguments', 'code', 'said'),
    [
        (['notes.txt'], 1, 'is not a bag'),
        (['missing.mcap'], 1, 'there is no file'),
        ([], 2, 'PATHS'),
        (['a.mcap', 'b.mcap', '--name', 'one'], 2, '--name'),
        (['a.mcap', '--metadata', '[1]'], 2, 'JSON object'),
        (['a.mcap', '--topic-metadata', '{"/a": 1}'], 2, '{"/imu": {"mount": "wrist"}}'),
        (['a.mcap', '--name', 'no/name'], 2, 'forbidden characters'),
        (['a.mcap', '--topics', '/nothing'], 1, 'no topic to load'),
    ],
)
def test_mistakes_have_one_clear_error(tmp_path, ingest, arguments, code, said):
    (tmp_path / 'notes.txt').write_text('remember the milk')
    write_bag(tmp_path / 'a.mcap', {'/a': [text('1')]})
    done = ingest(*(tmp_path / a if '.' in a else a for a in arguments))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert 'Traceback' not in done.stderr


def test_no_daemon_is_said_plainly(tmp_path):
    bag = write_bag(tmp_path / 'a.mcap', {'/a': [text('1')]})
    done = subprocess.run(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'ingest', str(bag), '--port', '1'],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert '127.0.0.1:1' in done.stderr


def test_dry_run_connects_to_nothing(samples):
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'ingest', '--dry-run'),
            *('--port', '1', '--json', str(samples / 'rosbag2_test_sqlite3')),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = {topic['name']: topic for topic in json.loads(done.stdout)['topics']}
    assert told['/imu']['ontology'] == 'IMU'
    assert told['/imu']['expected'] == 1565
