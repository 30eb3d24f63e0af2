"""``mosaicod rebuild`` and ``mosaicod check`` from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat


def run(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
    command = [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', *arguments]
    return subprocess.run(
        [*command, '--data-dir', str(data_dir)],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The folder of an archive with one topic."""
    archive = Archive(Settings(data_dir=tmp_path / 'data'))
    archive.start()
    archive.create_sequence(SequenceLocator('run'), {})
    session, _ = archive.create_session(SequenceLocator('run'))
    topic = TopicLocator('run', 'imu')
    uuid = archive.create_topic(session, topic, 'IMU', SerializationFormat.Default, {})
    schema = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])
    upload = archive.begin_upload(topic, uuid, schema)
    upload.append(pa.record_batch([pa.array([1, 2])], schema=schema))
    upload.finish()
    archive.finalize_session(session)
    archive.close()
    return tmp_path / 'data'


def test_a_lost_catalog_is_rebuilt(data_dir):
    clean = run(data_dir, 'check')
    assert clean.returncode == 0, clean.stderr
    assert '0 differences in 1 sequences, 1 topics, 1 chunks' in clean.stdout

    refused = run(data_dir, 'rebuild')
    assert refused.returncode == 1
    assert 'not empty' in refused.stderr
    assert '--db-url' in refused.stderr

    for file in data_dir.glob('catalog.db*'):
        file.unlink()
    done = run(data_dir, 'rebuild')
    assert done.returncode == 0, done.stderr
    assert '1 sequences, 1 sessions, 1 topics, 1 chunks' in done.stdout
    assert 'mosaicod api-key create' in done.stdout
    assert '1 of 1 topics' in done.stderr
    assert run(data_dir, 'check', '--deep').returncode == 0


def test_what_cannot_be_read_is_named(data_dir):
    (chunk,) = data_dir.glob('store/sequences/*/topics/*/*.parquet')
    chunk.unlink()
    found = run(data_dir, 'check', '--json')
    assert found.returncode == 1
    (difference,) = json.loads(found.stdout)['differences']
    assert difference['kind'] == 'missing'
    assert chunk.name in difference['where']
    assert f'missing  {chunk.relative_to(data_dir / "store")}' in run(data_dir, 'check').stdout

    for file in data_dir.glob('catalog.db*'):
        file.unlink()
    done = run(data_dir, 'rebuild', '--json')
    assert done.returncode == 1
    assert chunk.name in done.stderr
    report = json.loads(done.stdout)
    assert (report['topics'], report['chunks'], len(report['faults'])) == (1, 0, 1)


@pytest.mark.parametrize('verb', ['rebuild', 'check'])
def test_a_mistyped_folder_is_not_created(tmp_path, verb):
    missing = run(tmp_path / 'typo', verb)
    assert missing.returncode == 1
    assert 'store.json is missing' in missing.stderr
    assert not (tmp_path / 'typo').exists()
