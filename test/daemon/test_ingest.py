"""Uploads: checks, chunks, durability, back-pressure, interruption."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog import chunks as chunks_module
from mosaico_ros.daemon.store.folder import FolderStore
from mosaico_ros.protocol.errors import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    MosaicoError,
    NotFoundError,
)
from mosaico_ros.protocol.locators import SequenceLocator
from mosaico_ros.protocol.ticket import Ticket

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


def batch(first: int, rows: int) -> pa.RecordBatch:
    times = np.arange(first, first + rows)
    return pa.record_batch([pa.array(times), pa.array(times * 0.5)], schema=SCHEMA)


@pytest.mark.parametrize(
    ('schema', 'why'),
    [
        (pa.schema([('x', pa.float64())]), 'timestamp_ns'),
        (pa.schema([('timestamp_ns', pa.float64())]), 'int64'),
        (pa.schema([('timestamp_ns', pa.timestamp('ns'))]), 'int64'),
        (
            pa.schema([('timestamp_ns', pa.int64()), ('a', pa.int8()), ('a', pa.int8())]),
            "'a' occurs twice",
        ),
        (
            pa.schema(
                [
                    ('timestamp_ns', pa.int64()),
                    ('s', pa.struct([('b', pa.int8()), ('b', pa.int8())])),
                ]
            ),
            "'b' occurs twice",
        ),
    ],
)
def test_unusable_schema_is_refused_and_the_topic_stays_free(filled, schema, why):
    locator, uuid = filled.create()
    with pytest.raises(InvalidArgumentError, match=why):
        filled.archive.begin_upload(locator, uuid, schema)
    filled.archive.begin_upload(locator, uuid, SCHEMA).finish()


def test_batches_must_have_the_announced_schema(filled):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    other = pa.record_batch({'timestamp_ns': [1], 'x': pa.array([1], pa.float32())})
    with pytest.raises(InvalidArgumentError, match=r'x is .*float'):
        upload.append(other.cast(pa.schema([SCHEMA.field(0), ('x', pa.float32())])))
    with pytest.raises(InvalidArgumentError, match='columns'):
        upload.append(batch(0, 1).select(['timestamp_ns']))
    with pytest.raises(InvalidArgumentError, match='without timestamp_ns'):
        upload.append(
            pa.RecordBatch.from_arrays(
                [pa.array([None], pa.int64()), pa.array([1.0])], schema=SCHEMA
            )
        )
    upload.append(batch(0, 3))
    upload.finish()
    assert filled.archive.describe_topic(locator).rows == 3


def test_upload_without_batches_is_complete(filled):
    session = filled.session()
    locator, uuid = filled.create(session=session)
    filled.archive.begin_upload(locator, uuid, SCHEMA).finish()
    described = filled.archive.describe_topic(locator, 0, 10)
    assert described.locked
    assert (described.rows, described.interval, described.window_rows) == (0, None, 0)
    assert described.schema.equals(SCHEMA, check_metadata=True)
    assert filled.read(locator).num_rows == 0
    filled.archive.finalize_session(session)


def test_topic_cannot_be_read_before_its_upload_has_ended(filled):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(batch(0, 10))
    upload.commit()
    with pytest.raises(FailedPreconditionError, match='not complete'):
        filled.read(locator)
    upload.finish()
    assert filled.read(locator).num_rows == 10


def test_durable_rows_are_reported_as_they_grow(filled):
    locator, uuid = filled.create()
    reported: list[int] = []
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA, reported.append)
    for first in range(0, 50, 10):
        upload.append(batch(first, 10))
        assert upload.commit() == first + 10
        assert filled.archive.describe_topic(locator).rows == first + 10
    upload.finish(50)
    assert reported == [10, 20, 30, 40, 50]


def test_chunks_are_cut_by_size(open_archive, filled):
    filled.reopen(max_chunk_size_in_bytes=100_000)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(batch(0, 50_000))  # one large batch is parted too
    for first in range(50_000, 60_000, 500):
        upload.append(batch(first, 500))
    upload.finish()
    described = filled.archive.describe_topic(locator)
    assert 8 <= described.chunks <= 12
    assert filled.read(locator)['timestamp_ns'].to_pylist() == list(range(60_000))


def test_chunk_size_of_zero_means_no_limit(filled):
    filled.reopen(max_chunk_size_in_bytes=0)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    for first in range(0, 100_000, 10_000):
        upload.append(batch(first, 10_000))
    upload.finish()
    assert filled.archive.describe_topic(locator).chunks == 1


def test_slow_stream_becomes_durable_by_age(filled):
    filled.reopen(max_chunk_age_seconds=0.2)
    locator, uuid = filled.create()
    durable = threading.Event()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA, lambda _: durable.set())
    upload.append(batch(0, 1))
    assert durable.wait(10)
    assert upload.durable_rows == 1
    upload.finish()


def test_wrong_row_count_leaves_the_topic_incomplete(filled):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(batch(0, 10))
    with pytest.raises(AbortedError, match='counted 11'):
        upload.finish(expected_rows=11)
    assert not filled.archive.describe_topic(locator).locked


def test_interrupted_upload_keeps_what_is_durable_and_says_so(filled, stored):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(batch(0, 10))
    upload.commit()
    upload.append(batch(10, 10))
    upload.abort('the connection was lost')
    described = filled.archive.describe_topic(locator)
    assert not described.locked
    assert described.interrupted
    assert described.completed_at_ns is None
    assert (described.rows, described.interval) == (10, (0, 9))
    (note,) = filled.archive.notifications(locator)
    assert note.type == 'error'
    assert 'the connection was lost' in note.message
    assert '10 rows are durable' in note.message
    assert filled.read(locator).num_rows == 10
    with pytest.raises(MosaicoError, match='interrupted'):
        upload.append(batch(20, 1))
    with pytest.raises(FailedPreconditionError, match='interrupted'):
        filled.archive.begin_upload(locator, uuid, SCHEMA)
    (manifest,) = stored.rglob('topic.json')
    written = json.loads(manifest.read_text())
    assert written['state'] == 'interrupted'
    assert [chunk['rows'] for chunk in written['chunks']] == [10]


def test_shutdown_keeps_what_was_received(filled):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(batch(0, 25))
    filled.reopen()
    described = filled.archive.describe_topic(locator)
    assert described.interrupted
    assert described.rows == 25
    assert 'shutting down' in filled.archive.notifications(locator)[0].message


def test_store_is_readable_without_the_catalog(filled, stored):
    session = filled.session(metadata={'site': 'B'})
    schema = pa.schema(list(SCHEMA), metadata={'k': 'v'})
    filled.write(pa.table([[2, 1], [1.0, 2.0]], schema=schema), session=session, metadata={'m': 1})
    filled.archive.finalize_session(session)
    root = stored / 'sequences'
    (sequence,) = root.glob('run.*/sequence.json')
    assert json.loads(sequence.read_text())['user_metadata'] == {'site': 'B'}
    (topic,) = root.glob('run.*/topics/imu.*/topic.json')
    manifest = json.loads(topic.read_text())
    assert manifest['locator'] == 'run/imu'
    assert (manifest['ontology_tag'], manifest['state']) == ('IMU', 'locked')
    assert manifest['user_metadata'] == {'m': 1}
    assert [(c['rows'], c['t_min'], c['t_max']) for c in manifest['chunks']] == [(2, 1, 2)]
    announced = pa.ipc.read_schema(pa.py_buffer((topic.parent / 'schema.arrow').read_bytes()))
    assert announced.equals(schema, check_metadata=True)
    (written,) = root.glob('run.*/sessions/*.json')
    assert json.loads(written.read_text())['topics'][0]['path'] == 'imu'
    everything = b''.join(path.read_bytes() for path in stored.rglob('*.json'))
    assert session.encode() not in everything  # authority to write stays in the catalog


def test_sidecar_columns_are_served_on_request_only(filled):
    sidecar = pa.field('ros_seq', pa.int64(), metadata={'mosaico:sidecar': 'true'})
    schema = pa.schema([SCHEMA.field(0), sidecar, SCHEMA.field(1)])
    table = pa.table([[1, 2], [10, 20], [0.1, 0.2]], schema=schema)
    locator = filled.write(table)
    assert filled.read(locator).schema.equals(SCHEMA, check_metadata=True)
    assert filled.archive.describe_topic(locator).schema.names == ['timestamp_ns', 'x']
    assert filled.read(locator, sidecars=True).equals(table, check_metadata=True)


def test_memory_stays_within_the_budget(filled, monkeypatch):
    """Appending blocks while the store is behind, however many uploads there are."""
    budget, size = 2_000_000, 160_000  # one batch of 10 000 rows
    put = FolderStore.put

    def slow_put(self: FolderStore, key: str, data: bytes | pa.Buffer) -> None:
        time.sleep(0.02 if key.endswith('.parquet') else 0)
        put(self, key, data)

    monkeypatch.setattr(FolderStore, 'put', slow_put)
    filled.reopen(max_buffered_size_in_bytes=budget, max_chunk_size_in_bytes=0)
    ingest = filled.archive._ingest
    topics = [filled.create(f'run/t{at}') for at in range(4)]
    highest = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not stop.wait(0.001):
            highest = max(highest, ingest._buffered)

    def send(at: int) -> None:
        upload = filled.archive.begin_upload(*topics[at], SCHEMA)
        for first in range(0, 400_000, 10_000):
            upload.append(batch(first, 10_000))
        upload.finish(400_000)

    watcher = threading.Thread(target=watch)
    watcher.start()
    senders = [threading.Thread(target=send, args=(at,)) for at in range(4)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join(60)
    stop.set()
    watcher.join()
    assert highest <= budget + size
    assert highest > budget // 2  # it did fill up
    assert ingest._buffered == 0
    for locator, _ in topics:
        assert filled.archive.describe_topic(locator).rows == 400_000


def test_uploads_in_parallel_do_not_mix(filled):
    session = filled.session()
    topics = [filled.create(f'run/t{i}', session=session) for i in range(6)]

    def send(at: int) -> None:
        locator, uuid = topics[at]
        upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
        for first in range(0, 3000, 100):
            upload.append(batch(first + at * 10_000, 100))
            if first % 500 == 0:
                upload.commit()
        upload.finish(3000)

    senders = [threading.Thread(target=send, args=(at,)) for at in range(6)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join(60)
    for at, (locator, _) in enumerate(topics):
        times = filled.read(locator)['timestamp_ns'].to_pylist()
        assert times == list(range(at * 10_000, at * 10_000 + 3000))
    assert SequenceLocator('run') in filled.archive.list_sequences()


@pytest.mark.parametrize('settings', ['postgres+s3'], indirect=True)
def test_a_deletion_between_chunks_of_one_transaction_waits_for_it(filled, monkeypatch):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    ingest, database = filled.archive._ingest, filled.archive._database
    group: list = []
    with monkeypatch.context() as gathering:
        gathering.setattr(upload, 'hand_over', lambda chunk, put: group.append(chunk))
        for first in (0, 5):
            upload.append(batch(first, 5))
            upload.cut()
        while not all(chunk.encoded for chunk in group) or len(group) < 2:
            time.sleep(0.01)
    group.sort(key=lambda chunk: chunk.number)
    ingest.forget(upload)  # its chunks were taken away
    insert = chunks_module._insert
    deletions: list[Future] = []

    def wait_for_deletion(*given) -> None:
        if not deletions:
            delete = filled.archive.delete_sequence
            deletions.append(pool.submit(delete, SequenceLocator(locator.sequence)))
            waiting = sa.text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            found = None
            while not found:
                time.sleep(0.01)
                with database.read() as connection:
                    found = connection.execute(waiting).first()
        insert(*given)

    monkeypatch.setattr(chunks_module, '_insert', wait_for_deletion)
    with ThreadPoolExecutor(1) as pool:
        assert ingest._recorded(group) == group
        deletions[0].result()
    assert filled.archive.list_sequences() == []


def test_deletion_while_reading_ends_the_reader(filled):
    filled.reopen(max_chunk_size_in_bytes=20_000)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(batch(0, 20_000))
    upload.finish()
    ticket = Ticket(locator, filled.archive.describe_topic(locator).topic_id)
    _, batches = filled.archive.read(ticket)
    next(batches)
    filled.archive.delete_topic(locator)
    time.sleep(1.1)
    with pytest.raises(NotFoundError, match='deleted'):
        for _ in batches:
            pass
