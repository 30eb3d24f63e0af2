"""The example programs, each a process of its own on one archive, and what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mosaico_ros.cli.examples import catalog

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_738_508_778_000_000_000


def run(name: str, folder: Path, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, '-m', f'mosaico_ros.examples.{name}'],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope='module')
def address(start_shared) -> dict[str, str]:
    daemon = start_shared()
    return {'MOSAICO_HOST': daemon.host, 'MOSAICO_PORT': str(daemon.port)}


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('examples')
    assert 'mission_data.mcap' in run('sample_files', folder)[-1]
    return folder


@pytest.fixture(scope='module')
def filled(address, folder) -> dict[str, str]:
    """Address of a daemon with the sample archive."""
    run('sample_archive', folder, **address)
    return address


@pytest.fixture
def client(address):
    from mosaico_ros import MosaicoClient

    with MosaicoClient.connect(address['MOSAICO_HOST'], int(address['MOSAICO_PORT'])) as client:
        yield client


def counts(client, sequence: str) -> dict[str, int]:
    handler = client.sequence_handler(sequence)
    return {name: handler.get_topic_handler(name).message_count for name in handler.topics}


def test_writing_single_topic(address, folder, client):
    skipped, done = run('writing_single_topic', folder, **address)
    assert skipped.startswith('IMU message skipped with error: could not convert string to float')
    assert done == 'Successfully injected data from CSV into Mosaico!'
    assert counts(client, 'csv_ingestion_test') == {'/sensors/imu': 2499}
    (told,) = client.list_topic_notifications('csv_ingestion_test', 'sensors/imu')
    assert 'could not convert' in told.message


def test_writing_multiple_topics(address, folder, client):
    skipped, done = run('writing_multiple_topics', folder, **address)
    assert skipped.startswith('sensors/imu: message skipped')
    assert done == 'Successfully injected multi-sensor data from CSV into Mosaico!'
    assert counts(client, 'multi_sensor_ingestion') == {
        '/sensors/imu': 2499,
        '/sensors/gps': 25,
        '/sensors/pressure': 250,
    }
    handler = client.sequence_handler('multi_sensor_ingestion')
    assert handler.user_metadata == {'mission': 'alpha_test', 'environment': 'laboratory'}


def test_writing_interleaved_topics(address, folder, client):
    assert run('writing_interleaved_topics', folder, **address) == ['MCAP ingestion complete!']
    assert counts(client, 'mcap_ingestion') == {
        '/sensors/imu': 10,
        '/sensors/gps': 10,
        '/sensors/baro': 10,
    }
    last = list(client.topic_handler('mcap_ingestion', '/sensors/baro').get_data_streamer())[-1]
    assert last.timestamp_ns == START_NS + 900_000_000
    assert last.data.value == 98_510.0


def test_data_inspection(filled, folder):
    lines = run('data_inspection', folder, **filled)
    at = lines.index('Sequence: test_drive_fog')
    assert lines[at + 1].startswith('  Remote Size: 0.')
    assert lines[at + 3] == f'  Time Span: {START_NS} to {START_NS + 9_950_000_000} ns'
    assert '  [IMU] /front/camera/imu: 9.95s' in lines[at:]
    assert '  [RobotJoint] /arm/joint_states: 9.00s' in lines[at:]


def test_streaming_data(filled, folder):
    lines = run('streaming_data', folder, **filled)
    assert lines[0] == f'Streaming starts at: {START_NS}'
    merged = [line for line in lines if line.startswith('[')]
    assert len(merged) == 33
    assert sum('GPS' in line for line in merged) == 3
    times = [int(line.split()[2].rstrip(':')) for line in merged]
    assert times == sorted(times)
    single = lines[lines.index(f'First sample at: {START_NS}') + 1 :]
    assert len(single) == 5
    assert single[-1] == f'{START_NS + 400_000_000}: 9.81 m/s^2 upwards'


def test_query_sequences(filled, folder):
    matched, topics = run('query_sequences', folder, **filled)
    assert matched == 'Matched Sequence: test_drive_fog'
    assert topics.count('/') >= 6
    assert "'/localization/log_string'" in topics


def test_query_topics(filled, folder):
    lines = run('query_topics', folder, **filled)
    assert sorted(lines) == sorted(
        [
            'Matched Sequence: test_drive_fog',
            'Matched Sequence: test_drive_clear',
            *["  Topics: ['/front/camera/imu']"] * 2,
        ]
    )


def test_multi_domain_query(filled, folder):
    assert run('multi_domain_query', folder, **filled) == [
        'Sequence: test_drive_fog',
        '  Match in Topic: /front/camera/imu',
        f'  Event Window: {START_NS + 4_000_000_000} to {START_NS + 6_000_000_000} ns',
    ]


def test_chained_queries(filled, folder):
    precise, found = run('chained_queries', folder, **filled)
    assert 'test_drive_fog' in precise
    assert 'mission_alpha' in precise
    assert 'test_drive_clear' not in precise
    assert found == 'Error found in: test_drive_fog'


def test_query_catalogs(filled, folder):
    lines = run('query_catalogs', folder, **filled)
    assert lines.count('  /front/camera/image_raw') == 2
    assert lines[-1] == '80 messages around the event in test_drive_fog'


def test_custom_ontology(address, folder):
    registered, first, second = run('custom_ontology', folder, **address)
    assert registered == 'Registration successful.'
    assert first.startswith('encoder_run/ticks at 98000000: EncoderTicks(left_ticks=980')
    assert 'right_ticks=1089' in second


def test_secure_connection(make_daemon, tls_files, folder):
    daemon = make_daemon('--tls', '--api-key', **tls_files.settings())
    environment = {
        'MOSAICO_HOST': 'localhost',
        'MOSAICO_PORT': str(daemon.port),
        'MOSAICO_API_KEY': daemon.make_keys()['read'],
        'MOSAICO_CERT_PATH': str(tls_files.ca),
    }
    version, sequences = run('secure_connection', folder, **environment)
    assert version.startswith('Connected to version: ')
    assert sequences == 'Sequences: []'


def test_the_command_lists_and_runs_them(filled, folder):
    def mosaico(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'examples', *arguments],
            cwd=folder,
            env={**os.environ, 'PYTHONPATH': str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    listed = mosaico()
    assert listed.returncode == 0, listed.stderr
    for name, says in catalog().items():
        assert f'{name} ' in listed.stdout
        assert says in listed.stdout
    done = mosaico('query_topics', '--port', filled['MOSAICO_PORT'])
    assert 'Matched Sequence: test_drive_fog' in done.stdout
    unknown = mosaico('query_everything')
    assert unknown.returncode == 2
    assert 'query_everything' in unknown.stderr


def test_every_program_is_run_here():
    tests = Path(__file__).read_text()
    for name in catalog():
        assert f"run('{name}'" in tests
