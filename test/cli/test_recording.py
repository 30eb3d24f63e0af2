"""A recording in parts, as the verbs that read show it: one, under the name of its first part."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from mosaico_ros import IMU, Message, Vector3d
from mosaico_ros.cli.mosaico import main

SECOND = 10**9


@pytest.fixture(scope='module')
def daemon(start_shared):
    daemon = start_shared()
    with daemon.client() as client:
        for number in (1, 2):
            metadata = {'recording_id': 'split-1', 'part': number}
            name = 'split' if number == 1 else 'split_0002'
            with client.sequence_create(name, metadata) as sequence:
                topic = sequence.topic_create('/imu', {}, IMU)
                for i in range(10 * (number - 1), 10 * number):
                    push = Vector3d(x=float(i), y=0, z=0)
                    data = IMU(acceleration=push, angular_velocity=Vector3d(x=0, y=0, z=0))
                    topic.push(Message(timestamp_ns=i * SECOND, data=data))

    return daemon


@pytest.fixture
def mosaico(daemon, capsys):
    def run(*arguments: str) -> str:
        code = main([*arguments, '--port', str(daemon.port)])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


def test_cat_goes_through_all_parts(mosaico):
    lines = [json.loads(line) for line in mosaico('cat', 'split/imu').splitlines()]
    assert [line['timestamp_ns'] for line in lines] == [i * SECOND for i in range(20)]
    assert len(mosaico('cat', 'split_0002/imu').splitlines()) == 10


def test_info_and_ls_count_it_once(mosaico):
    said = json.loads(mosaico('info', 'split', '--json'))
    assert said['parts'] == ['split', 'split_0002']
    assert [topic['count'] for topic in said['topics']] == [20]
    assert '2 parts' in mosaico('info', 'split')
    (row,) = [line for line in mosaico('ls').splitlines() if line.startswith('split')]
    assert row.split()[0] == 'split'
    assert '2 parts' in row


def test_export_writes_it_whole(mosaico, tmp_path):
    mosaico('export', 'split', '--format', 'parquet', '-o', str(tmp_path / 'all'))
    assert pq.read_table(tmp_path / 'all/split/imu.parquet').num_rows == 20
    where = ['--where', 'IMU.acceleration.x between 9 and 10', '--around', '1']
    mosaico('export', 'split', *where, '--format', 'parquet', '-o', str(tmp_path / 'some'))
    table = pq.read_table(tmp_path / 'some/split_0000/imu.parquet')
    assert table['timestamp_ns'].to_pylist() == [i * SECOND for i in range(8, 12)]
