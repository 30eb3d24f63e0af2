"""`mosaico export` and `mosaico verify`, as a user types them."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mosaico_ros import IMU, Message, MosaicoClient, RobotJoint, Vector3d
from mosaico_ros.ros_bridge.bags.mcap_writer import McapWriter

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def daemon(start_shared):
    daemon = start_shared()
    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        client.sequence_create('drive') as sequence,
    ):
        imu = sequence.topic_create('imu', {}, IMU)
        joints = sequence.topic_create('arm/joints', {}, RobotJoint)
        for i in range(100):
            shaken = 9.0 if i in (20, 21, 70) else 0.1
            vector = Vector3d(x=shaken, y=0.0, z=9.81)
            data = IMU(acceleration=vector, angular_velocity=vector)
            imu.push(Message(timestamp_ns=i * SECOND // 10, data=data))
            state = RobotJoint(names=['a'], positions=[i * 1.0], velocities=[], efforts=[])
            joints.push(Message(timestamp_ns=i * SECOND // 10, data=state))
    return daemon


@pytest.fixture
def mosaico(daemon, tmp_path, run_command):
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, 'MOSAICO_PORT': str(daemon.port)}
        return run_command('mosaico', *arguments, cwd=tmp_path, env=environment)

    return run


def counts(path: Path) -> dict[str, int]:
    from rosbags.highlevel import AnyReader

    with AnyReader([path]) as reader:
        return {topic: info.msgcount for topic, info in reader.topics.items()}


@pytest.mark.parametrize('form', ['mcap', 'sqlite3'])
def test_a_recording(mosaico, tmp_path, form):
    done = mosaico('export', 'drive', '--format', form)
    assert done.returncode == 0, done.stderr
    assert 'sensor_msgs/msg/JointState' in done.stdout
    assert '200 messages' in done.stdout
    assert counts(tmp_path / 'drive') == {'/imu': 100, '/arm/joints': 100}


def test_ros1(mosaico, tmp_path):
    done = mosaico('export', 'drive', '--format', 'ros1', '--topics', '/imu', '--json')
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts['messages'], facts['complete']) == (100, True)
    assert counts(tmp_path / 'drive.bag') == {'/imu': 100}


def test_windows_where_a_condition_holds(mosaico, tmp_path):
    where = ('--where', 'IMU.acceleration.x > 8', '--around', '0.5')
    done = mosaico('export', 'drive', '-o', 'events', *where)
    assert done.returncode == 0, done.stderr
    found = sorted((tmp_path / 'events').iterdir())
    assert [path.name for path in found] == ['drive_0000', 'drive_0001']
    assert counts(found[0]) == {'/imu': 12, '/arm/joints': 12}
    assert counts(found[1]) == {'/imu': 11, '/arm/joints': 11}
    nowhere = mosaico('export', 'drive', '--where', 'IMU.acceleration.x > 80')
    assert nowhere.returncode == 0
    assert 'holds nowhere' in nowhere.stderr


def test_tables(mosaico, tmp_path):
    done = mosaico(
        'export', 'drive', '--format', 'parquet', '--start', SECOND, '--end', 2 * SECOND
    )
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / 'drive' / 'imu.parquet')
    assert table.num_rows == 11
    assert table['acceleration'][0].as_py()['z'] == 9.81
    done = mosaico('export', 'drive', '--format', 'csv', '--overwrite')
    assert done.returncode == 0, done.stderr
    with (tmp_path / 'drive' / 'arm' / 'joints.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert json.loads(rows[7]['positions']) == [7.0]
    with (tmp_path / 'drive' / 'imu.csv').open() as file:
        assert next(csv.DictReader(file))['acceleration.z'] == '9.81'


def test_bad_use(mosaico, tmp_path):
    missing = mosaico('export', 'nowhere')
    assert missing.returncode == 1
    assert "no sequence 'nowhere'" in missing.stderr
    mosaico('export', 'drive')
    again = mosaico('export', 'drive')
    assert again.returncode == 1
    assert 'is there already' in again.stderr
    assert mosaico('export', 'drive', '--where', 'IMU.acceleration.x >').returncode == 1


def test_a_folder_that_cannot_be_written_is_said_plainly(mosaico, tmp_path):
    (tmp_path / 'notes').write_text('remember the milk')
    for form in ('mcap', 'csv'):
        done = mosaico('export', 'drive', '--format', form, '-o', 'notes/below')
        assert done.returncode == 1
        said = 'drive cannot be written into notes/below (Not a directory)'
        assert done.stderr == f'mosaico: {said}\n'


def test_tables_take_the_place_of_those_before_them(mosaico, tmp_path):
    mosaico('export', 'drive', '--format', 'csv')
    done = mosaico('export', 'drive', '--format', 'csv', '--topics', '/imu', '--overwrite')
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['drive']
    assert [path.name for path in (tmp_path / 'drive').iterdir()] == ['imu.csv']


@pytest.mark.parametrize('form', ['mcap', 'csv'])
def test_patterns_that_match_nothing_are_told(mosaico, tmp_path, form):
    none = mosaico('export', 'drive', '--format', form, '--topics', '/arm')
    assert none.returncode == 1
    assert 'it has /arm/joints, /imu' in none.stderr
    assert not (tmp_path / 'drive').exists()
    some = mosaico('export', 'drive', '--format', form, '--topics', '/arm', '--topics', '/imu')
    assert some.returncode == 0
    assert 'no topic of the sequence is /arm' in some.stderr
    assert '100 messages' in some.stdout


def test_the_last_time_that_there_is_may_be_asked_for(mosaico):
    end = 2**63 - 1
    assert mosaico('export', 'drive', '--start', 9 * SECOND, '--end', end).returncode == 0
    last = mosaico('cat', 'drive/imu', '--start', 9_900_000_000, '--end', end)
    assert json.loads(last.stdout)['timestamp_ns'] == 9_900_000_000


def test_verify(mosaico, tmp_path):
    mosaico('export', 'drive', '--topics', '/imu')
    bag = tmp_path / 'drive'
    mosaico('ingest', bag, '--name', 'again')
    exact = mosaico('verify', bag, 'again')
    assert exact.returncode == 0, exact.stdout + exact.stderr
    assert exact.stdout.startswith('drive: all 100 messages on 1 topics come back bit for bit')
    other = mosaico('verify', bag, 'drive', '--json')
    assert other.returncode == 0
    partly = mosaico('ingest', bag, '--name', 'none', '--topics', '!/imu')
    assert partly.returncode == 1
    missing = mosaico('verify', bag, 'none')
    assert missing.returncode == 1
    assert 'none' in missing.stderr


def test_attachments(mosaico, tmp_path):
    bag = tmp_path / 'mapped.mcap'
    with McapWriter(bag) as writer:
        channel = writer.add_ros_channel('/x', 'std_msgs/msg/Bool', 'bool data', '', '')
        writer.write(np.array([channel]), np.array([SECOND]), [b'\0\1\0\0\1'])
        writer.add_attachment('site.map', '', 3_000_000, [b'abc' * 1_000_000], 2 * SECOND)
    done = mosaico('ingest', bag)
    assert done.returncode == 0, done.stderr
    assert ', 1 attachment(s) of 3.0 MB' in done.stdout
    done = mosaico('info', 'mapped')
    assert '_bag_.attached_files: ["site.map"]' in done.stdout
    assert re.search(r'/attachments +AttachmentPiece +3 +- ', done.stdout)
    done = mosaico('export', 'mapped', '--format', 'ros1')
    assert done.returncode == 3
    assert '1 attachment(s) left out, ros1 has no place for them' in done.stderr
    done = mosaico('export', 'mapped', '--topics', '/x')
    assert (done.returncode, done.stderr) == (0, '')
    assert ', 1 attachment(s)' in done.stdout
    assert mosaico('verify', bag, 'mapped').returncode == 0


@pytest.mark.parametrize('form', ['mcap', 'parquet'])
def test_a_terminal_shows_a_bar_per_topic(daemon, tmp_path, form):
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'export', 'drive', '--format', form],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={
            **os.environ,
            'PYTHONPATH': str(ROOT),
            'MOSAICO_PORT': str(daemon.port),
            'TERM': 'xterm',
            'COLUMNS': '120',
        },
    ) as process:
        os.close(theirs)
        shown = b''
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(terminal, 1 << 16):
                shown += part
    os.close(terminal)
    assert process.returncode == 0
    assert re.search(r'all topics .* 200 messages', shown.decode())


def test_bars_follow_the_topics_under_way():
    from mosaico_ros.cli.export_bars import ExportBars
    from mosaico_ros.ros_bridge.extractor import ExtractedTopic, ExtractionReport

    report = ExtractionReport(Path())
    for name, expected, done in (('/a', 9, 9), ('/b', 9, 4), ('/c', None, 2), ('/d', 5, 0)):
        report.topics[name] = ExtractedTopic(name, 'T', expected=expected, messages=done)
    report.topics['/e'] = ExtractedTopic('/e', 'T', skipped='of no type')
    bars = ExportBars(shown=True)
    bars.advance(report)
    shown = {task.description: (task.completed, task.total) for task in bars._progress.tasks}
    assert shown == {'all topics': (15, None), '/b': (4, 9), '/c': (2, None)}
    report.topics['/b'].messages = 9
    bars.advance(report)
    assert {task.description for task in bars._progress.tasks} == {'all topics', '/c'}
