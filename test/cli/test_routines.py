"""``mosaicod cleanup`` and ``mosaicod store-optimizer``, beside a running daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mosaico_ros import IMU, Message, MosaicoClient, Vector3d

COMMAND = [sys.executable, '-m', 'mosaico_ros.cli.mosaicod']


def run(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments, '--data-dir', str(data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def archive(make_daemon):
    """A daemon with one topic in ten chunks and one deleted sequence."""
    daemon = make_daemon(
        MOSAICOD_OPTIMIZER_TIME_INTERVAL='0', MOSAICOD_MAX_CHUNK_SIZE_IN_BYTES='200'
    )
    still = Vector3d(x=0.0, y=0.0, z=0.0)
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        for name in ('kept', 'doomed'):
            with client.sequence_create(name, {}) as writer:
                topic = writer.topic_create('imu', {}, IMU)
                for at in range(10):
                    imu = IMU(acceleration=still, angular_velocity=still)
                    topic.push(Message(timestamp_ns=at, data=imu))
                    topic.flush()
        client.sequence_delete('doomed')
    return daemon


def test_cleanup_by_hand(archive, monkeypatch):
    folder = archive.data_dir
    monkeypatch.setenv('MOSAICOD_CLEANUP_RETENTION_DURATION', '0')
    dry = run(folder, 'cleanup', '--dry-run', '--json')
    assert dry.returncode == 0, dry.stderr
    found = json.loads(dry.stdout)
    assert found['dry_run']
    assert [name.split('.')[0] for name in found['purged']] == ['sequences/doomed']
    assert len(list((folder / 'store' / 'sequences').iterdir())) == 2
    done = run(folder, 'cleanup')
    assert done.stdout.splitlines()[-1] == (
        '1 removed, 0 marked, 0 chunks swept, 0 small files mended, 0 unexplained.'
    )
    assert done.stdout.startswith('purged       sequences/doomed.')
    assert len(list((folder / 'store' / 'sequences').iterdir())) == 1
    with MosaicoClient.connect(archive.host, archive.port) as client:
        assert client.topic_handler('kept', 'imu').to_arrow().num_rows == 10


def test_store_optimizer_by_hand(archive):
    done = run(archive.data_dir, 'store-optimizer', '--max-chunk-size', '1000000', '--json')
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found['topics'] == 1
    assert found['before'] >= 2
    assert found['after'] == 1
    with MosaicoClient.connect(archive.host, archive.port) as client:
        times = client.topic_handler('kept', 'imu').to_arrow()['timestamp_ns'].to_pylist()
        assert times == list(range(10))
    again = run(archive.data_dir, 'store-optimizer')
    assert again.stdout == '0 topics optimized: 0 chunks became 0.\n'


def test_store_optimizer_goes_on_with_an_interval(archive):
    with subprocess.Popen(
        [
            *(*COMMAND, 'store-optimizer', '--time-interval', '1s', '--json'),
            *('--max-chunk-size', '1000000'),
            *('--data-dir', str(archive.data_dir)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        counts = [json.loads(process.stdout.readline())['topics'] for _ in range(3)]
        process.terminate()
    assert counts == [1, 0, 0]


@pytest.mark.parametrize('verb', ['cleanup', 'store-optimizer'])
def test_an_archive_that_does_not_exist_is_refused_not_made(tmp_path, verb):
    done = run(tmp_path / 'mistyped', verb)
    assert done.returncode == 1
    assert 'There is no catalog' in done.stderr
    assert not (tmp_path / 'mistyped').exists()


def test_a_wrong_interval_is_wrong_use(tmp_path):
    done = run(tmp_path, 'store-optimizer', '--time-interval', 'soon')
    assert done.returncode == 2
    assert "'soon' is not a number" in done.stderr
