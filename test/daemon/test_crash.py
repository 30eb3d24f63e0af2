"""Processes killed at random moments, and daemons that disappear."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog.tables import instances, topics
from mosaico_ros.daemon.settings import Settings, variable
from mosaico_ros.protocol.errors import AbortedError, MosaicoError
from mosaico_ros.protocol.locators import TopicLocator

APPENDING = Path(__file__).with_name('appending.py')
SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that give these settings."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {variable(name): str(value) for name, value in values.items()}


def kill_while_appending(settings: Settings, seconds: float, count: int) -> dict[str, int]:
    """Return what was acknowledged before the process was killed."""
    process = subprocess.Popen(
        [sys.executable, str(APPENDING), str(count)],
        stdout=subprocess.PIPE,
        env=os.environ
        | environment_of(replace(settings, max_chunk_age_seconds=1, optimizer_time_interval=0)),
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline()]  # the first acknowledgement: it is at work
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    acknowledged: dict[str, int] = {}
    for line in lines:
        if line.endswith('\n'):  # the last one may be cut off
            topic, rows = line.split()
            assert int(rows) > acknowledged.get(topic, 0)
            acknowledged[topic] = int(rows)
    return acknowledged


@pytest.mark.parametrize('seed', range(4))
def test_every_acknowledged_row_survives_a_kill(settings, stored, filled, seed):
    rng = random.Random(f'{seed} {time.time_ns()}')
    filled.archive.close()
    rounds = [
        kill_while_appending(settings, rng.uniform(0, 0.4), rng.choice([1, 3])) for _ in range(2)
    ]
    # On the same host: known to be dead without waiting for the lease.
    filled.reopen(optimizer_time_interval=0)
    assert len(filled.archive.list_sequences()) == 2
    for acknowledged in rounds:
        assert acknowledged
        for name, rows in acknowledged.items():
            locator = TopicLocator.parse(name)
            described = filled.archive.describe_topic(locator)
            assert described.interrupted
            assert not described.locked
            assert described.rows >= rows
            table = filled.read(locator)
            # In order, each once, without a gap.
            assert np.array_equal(table['timestamp_ns'].to_numpy(), np.arange(described.rows))
            assert np.array_equal(table['x'].to_numpy(), np.arange(described.rows) * 0.5)
            (note,) = filled.archive.notifications(locator)
            assert f'{described.rows} rows are durable' in note.message
    # Nothing is left over: neither temporary files nor chunks that nobody knows.
    if settings.store_is_folder:
        work = [path for path in (stored / 'tmp').iterdir() if path.is_dir()]
        assert len(work) == 1
    for sequence in filled.archive.list_sequences():
        known = sum(t.chunks for t in filled.archive.describe_sequence(sequence).topics)
        (folder,) = (stored / 'sequences').glob(f'{sequence}.*')
        assert len(list(folder.rglob('*.parquet'))) == known


def as_if_elsewhere(filled, heartbeat_ns: int) -> None:
    """Make this daemon look like one on another host."""
    with filled.archive._database.write() as connection:
        connection.execute(
            instances.update().values(host='another host', heartbeat_ns=heartbeat_ns)
        )


def test_upload_of_a_silent_daemon_is_taken_over_and_fenced_off(filled, open_archive):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(pa.record_batch([[1], [0.5]], schema=SCHEMA))
    upload.commit()

    as_if_elsewhere(filled, time.time_ns())
    other = open_archive()
    assert not other.describe_topic(locator).interrupted  # it beats: it lives

    as_if_elsewhere(filled, time.time_ns() - int(31e9))
    another = open_archive()
    assert another.describe_topic(locator).interrupted
    # The silent daemon comes back: what it adds is refused, and nothing is lost or doubled.
    upload.append(pa.record_batch([[2], [0.5]], schema=SCHEMA))
    with pytest.raises(AbortedError, match='lease'):
        upload.commit()
    upload.abort('lost')
    assert another.describe_topic(locator).rows == 1
    assert len(another.notifications(locator)) == 1


def test_daemon_of_a_reused_process_id_is_dead(filled, open_archive):
    locator, uuid = filled.create()
    filled.archive.begin_upload(locator, uuid, SCHEMA)
    with filled.archive._database.write() as connection:
        connection.execute(instances.update().values(started='12345'))
    assert open_archive().describe_topic(locator).interrupted


def test_living_daemons_keep_their_uploads(filled, open_archive):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    other = open_archive()  # a second daemon on the same catalog and store
    upload.append(pa.record_batch([[1], [0.5]], schema=SCHEMA))
    upload.finish()
    assert other.describe_topic(locator).locked
    with other._database.read() as connection:
        assert connection.execute(sa.select(topics.c.state)).scalar_one() == 'locked'
        assert len(connection.execute(sa.select(instances)).all()) == 2


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
def test_topic_that_cannot_be_sealed_is_sealed_when_the_store_is_back(filled, stored):
    filled.reopen(lease_seconds=1)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(pa.record_batch([[1], [0.5]], schema=SCHEMA))
    upload.commit()
    (folder,) = stored.glob('sequences/*/topics/*')
    away = stored.parent / 'away'
    folder.rename(away)
    folder.write_text('in the way')
    upload.append(pa.record_batch([[2], [0.5]], schema=SCHEMA))
    with pytest.raises(MosaicoError):
        upload.finish()
    assert not filled.archive.describe_topic(locator).interrupted
    folder.unlink()
    away.rename(folder)
    deadline = time.monotonic() + 10
    while not filled.archive.describe_topic(locator).interrupted:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert filled.read(locator).num_rows == 1
    assert len(filled.archive.notifications(locator)) == 1
