"""The optimizer: the same rows in fewer chunks, whatever happens meanwhile."""

from __future__ import annotations

import json
import threading
import time
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog import chunks as chunk_rows
from mosaico_ros.daemon.catalog.tables import chunks, events, stats, topics
from mosaico_ros.daemon.query.windows import ClusterRequest
from mosaico_ros.daemon.removal import strays, sweep
from mosaico_ros.daemon.routines.optimizer import Optimized, Optimizer
from mosaico_ros.protocol.errors import AbortedError, NotFoundError
from mosaico_ros.protocol.query import parse, parse_ontology
from mosaico_ros.protocol.ticket import Ticket

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


@pytest.fixture
def quiet(filled):
    """An archive whose daemon does not optimize by itself."""
    filled.reopen(optimizer_time_interval=0)
    return filled


def optimizer(archive, size: int = 1 << 20) -> Optimizer:
    return Optimizer(
        archive._database, archive._store, archive._instance.id, size, threading.Event()
    )


def pieces(count: int, rows: int = 5, step: int = 1, overlap: int = 0) -> list[pa.Table]:
    """Tables of rows whose `x` tells the order of arrival; `step` < 1 would tie them."""
    made = []
    for number in range(count):
        arrival = np.arange(number * rows, (number + 1) * rows)
        times = np.maximum(arrival * step - overlap * (number % 2) * rows, 0)
        made.append(pa.table([times, arrival.astype(float)], schema=SCHEMA))
    return made


def tied(count: int) -> list[pa.Table]:
    """Tables whose times are equal within and across tables."""
    return [
        pa.table([[number // 4] * 3, [number * 3.0, number * 3 + 1.0, number * 3 + 2.0]], SCHEMA)
        for number in range(count)
    ]


def topic_id(filled, locator) -> int:
    return int(filled.archive.describe_topic(locator).topic_id)


def swept(filled, locator) -> list[str]:
    archive = filled.archive
    return sweep(
        archive._database, archive._store, topic_id(filled, locator), archive._instance.id
    )


@pytest.mark.parametrize(
    'tables',
    [pieces(20), pieces(20, overlap=3), tied(20)],
    ids=['in order', 'overlapping', 'equal times'],
)
def test_rows_stay_as_they_are_in_fewer_chunks(quiet, stored, tables):
    locator = quiet.write(tables)
    expected = quiet.read(locator)
    before = quiet.archive.describe_topic(locator)
    assert before.chunks == 20
    assert optimizer(quiet.archive).run() == Optimized(1, 20, 1)
    after = quiet.archive.describe_topic(locator)
    assert (after.chunks, after.rows, after.locked) == (1, before.rows, True)
    assert after.interval == before.interval
    assert quiet.read(locator).equals(expected)
    assert quiet.read(locator, 3, 7).equals(
        expected.filter(
            (pa.compute.field('timestamp_ns') >= 3) & (pa.compute.field('timestamp_ns') < 7)
        )
    )
    # Statistics and totals are those of the new chunk, and the manifest names it alone.
    with quiet.archive._database.read() as connection:
        (row,) = connection.execute(sa.select(chunks)).all()
        bounds = connection.execute(
            sa.select(stats.c.min_num, stats.c.max_num).where(stats.c.max_num == 99.0)
        ).all()
        size = connection.execute(sa.select(topics.c.bytes)).scalar_one()
    assert size == row.bytes
    if len(expected) == 100:
        assert [tuple(bound) for bound in bounds if bound.min_num == 0.0]
    (manifest,) = stored.glob('sequences/*/topics/*/topic.json')
    assert [chunk['number'] for chunk in json.loads(manifest.read_text())['chunks']] == [
        row.number
    ]
    assert optimizer(quiet.archive).run() == Optimized()
    assert len(swept(quiet, locator)) == 20
    assert quiet.read(locator).equals(expected)
    assert len(list(stored.rglob('*.parquet'))) == 1


def test_chunks_are_cut_at_the_size_and_good_ones_left_alone(quiet):
    times = np.arange(20_000)
    large = pa.table([times, times * 0.5], schema=SCHEMA)
    tables = [large.slice(at, 400) for at in range(0, 20_000, 400)]
    locator = quiet.write(tables)
    done = optimizer(quiet.archive, 40_000).run()
    assert done.before == 50
    assert 8 <= done.after <= 16
    assert quiet.read(locator).equals(large)
    other = quiet.write([large.slice(at, 2500) for at in range(0, 20_000, 2500)], 'run/good')
    assert optimizer(quiet.archive, 40_000).run(again=True) == Optimized()
    assert quiet.read(other).equals(large)


@pytest.mark.parametrize('tables', [pieces(30), pieces(30, overlap=3), tied(30)])
def test_a_reader_goes_on_in_the_new_chunks(quiet, monkeypatch, tables):
    """The switch comes between pages of the old list, and the old chunks are gone at once."""
    monkeypatch.setattr(chunk_rows, '_PAGE', 7)
    locator = quiet.write(tables)
    expected = quiet.read(locator)
    ticket = Ticket(locator, topic_id(quiet, locator), 1, 2**40)
    window = quiet.read(locator, 1)
    for after in (0, 5):
        _, whole = quiet.archive.read(Ticket(locator, topic_id(quiet, locator)))
        _, part = quiet.archive.read(ticket)
        got, cut = [next(whole) for _ in range(after)], [next(part) for _ in range(after)]
        optimizer(quiet.archive, 2000 if after else 300).run(again=True)
        swept(quiet, locator)
        assert pa.Table.from_batches([*got, *whole]).equals(expected)
        assert pa.Table.from_batches([*cut, *part]).equals(window)
        quiet.archive.delete_topic(locator)
        locator = quiet.write(tables)
        ticket = Ticket(locator, topic_id(quiet, locator), 1, 2**40)


def test_readers_queries_and_counts_never_see_a_switch(quiet, monkeypatch):
    monkeypatch.setattr(chunk_rows, '_PAGE', 5)
    tables = pieces(12)
    expected = pa.concat_tables(tables)
    topics_ = [quiet.write(tables, f'run/t{number}') for number in range(3)]
    query = parse({'ontology': {'IMU.x': {'$gt': 58.0}}})
    ended = threading.Event()
    faults: list[object] = []

    def watch() -> None:
        while not ended.is_set():
            for locator in topics_:
                try:
                    if not quiet.read(locator).equals(expected):
                        faults.append('rows')
                    if quiet.archive.describe_topic(locator, 3, 50).window_rows != 47:
                        faults.append('count')
                except Exception as error:
                    faults.append(error)
            if len(quiet.archive.query(query)[0].topics) != 3:
                faults.append('query')

    thread = threading.Thread(target=watch)
    thread.start()
    for size in (200, 500, 1 << 20):
        optimizer(quiet.archive, size).run(again=True)
        time.sleep(0.1)
    ended.set()
    thread.join()
    assert faults == []


def test_clusters_go_on_over_a_switch(quiet, monkeypatch):
    monkeypatch.setattr(chunk_rows, '_PAGE', 5)
    locator = quiet.write(pieces(30, rows=4, step=10))
    conditions = parse_ontology({'IMU.x': {'$geq': 2.0}})
    request = ClusterRequest(locator, tuple(conditions), 5)
    expected = list(quiet.archive.clusterize(request))
    found = quiet.archive.clusterize(request)
    got = [next(found) for _ in range(3)]
    optimizer(quiet.archive).run()
    swept(quiet, locator)
    assert got + list(found) == expected
    assert len(expected) == 118


def test_of_two_optimizers_at_one_topic_one_gives_way(quiet, stored, monkeypatch):
    locator = quiet.write(pieces(20))
    expected = quiet.read(locator)
    slow, fast = optimizer(quiet.archive), optimizer(quiet.archive)
    rewrite = slow._rewrite

    def outrun(*arguments):
        made = rewrite(*arguments)
        assert fast.optimize(topic_id(quiet, locator)) == Optimized(1, 20, 1)
        return made

    monkeypatch.setattr(slow, '_rewrite', outrun)
    with pytest.raises(AbortedError, match='meanwhile'):
        slow.optimize(topic_id(quiet, locator))
    assert quiet.read(locator).equals(expected)
    swept(quiet, locator)
    assert len(list(stored.rglob('*.parquet'))) == 1
    assert quiet.read(locator).equals(expected)


def test_a_deletion_meanwhile_wins(quiet, stored, monkeypatch):
    quiet.reopen(optimizer_time_interval=0, cleanup_retention_duration=0)
    locator = quiet.write(pieces(20))
    slow = optimizer(quiet.archive)
    rewrite, number = slow._rewrite, topic_id(quiet, locator)

    def outrun(*arguments):
        quiet.archive.delete_topic(locator)
        return rewrite(*arguments)

    monkeypatch.setattr(slow, '_rewrite', outrun)
    with pytest.raises((AbortedError, NotFoundError)):
        slow.optimize(number)
    assert not list(stored.rglob('*.parquet'))
    assert slow.run() == Optimized()


def test_rows_survive_a_fault_at_any_step(quiet, stored, reaches_end):
    archive = quiet.archive
    watched = (archive._store, 'put', 'create', 'delete'), (archive._database, 'read', 'write')
    tables = pieces(10, overlap=3)
    steps = 0
    while True:
        locator = quiet.write(tables)
        expected = quiet.read(locator)
        optimize = partial(optimizer(archive, 350).optimize, topic_id(quiet, locator))
        done = reaches_end(optimize, steps, *watched)
        assert quiet.read(locator).equals(expected)
        optimizer(archive, 350).run()
        swept(quiet, locator)
        assert quiet.read(locator).equals(expected)
        assert len(list(stored.rglob('*.parquet'))) == archive.describe_topic(locator).chunks < 6
        archive.delete_topic(locator)
        for path in [*stored.rglob('*.parquet')]:
            path.unlink()
        if done:
            break
        steps += 1
    assert steps > 8


def test_interrupted_topics_whose_chunks_all_overlap_come_into_order(quiet):
    locator, uuid = quiet.create()
    upload = quiet.archive.begin_upload(locator, uuid, SCHEMA)
    for number in range(40):
        times = np.arange(number, 400, 40)
        upload.append(pa.record_batch([times, times * 0.5], schema=SCHEMA))
        upload.commit()
    upload.abort('enough')
    expected = quiet.read(locator)
    assert optimizer(quiet.archive).run() == Optimized(1, 40, 1)
    described = quiet.archive.describe_topic(locator)
    assert (described.chunks, described.interrupted, described.rows) == (1, True, 400)
    assert quiet.read(locator).equals(expected)
    swept(quiet, locator)
    archive = quiet.archive
    assert strays(archive._database, archive._store, topic_id(quiet, locator)) == {}


def test_a_daemon_optimizes_what_was_sealed_with_many_small_chunks(filled, stored):
    locator = filled.write(pieces(20))
    deadline = time.monotonic() + 20
    while filled.archive.describe_topic(locator).chunks > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert filled.read(locator).equals(pa.concat_tables(pieces(20)))
    # The old ones are kept for their readers, and their removal is not forgotten.
    with filled.archive._database.read() as connection:
        (event,) = connection.execute(sa.select(events).where(events.c.kind == 'sweep')).all()
    assert event.due_at_ns - event.created_at_ns == 600 * 10**9
    assert len(list(stored.rglob('*.parquet'))) == 21
    with filled.archive._database.write() as connection:
        connection.execute(events.update().values(due_at_ns=0))
    while len(list(stored.rglob('*.parquet'))) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_interval_finds_topics_nobody_asked_about(quiet):
    locator = quiet.write(pieces(4))  # too few for a request
    quiet.reopen(optimizer_time_interval=0.2)
    deadline = time.monotonic() + 20
    while quiet.archive.describe_topic(locator).chunks > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_size_of_new_chunks_is_a_setting(quiet):
    locator = quiet.write(pieces(12, rows=100))
    quiet.reopen(optimizer_time_interval=0.2, optimizer_max_chunk_size=4000)
    deadline = time.monotonic() + 20
    while (count := quiet.archive.describe_topic(locator).chunks) == 12:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert 2 <= count <= 6
