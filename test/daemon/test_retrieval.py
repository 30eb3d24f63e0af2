"""Reading: time order, windows, pruning, bounded batches."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from thoroughness import examples

from mosaico_ros.daemon.chunk_files import ChunkFiles, OpenChunk
from mosaico_ros.daemon.encoding import ROW_GROUP_ROWS
from mosaico_ros.daemon.retrieval import scan
from mosaico_ros.daemon.time_order import Window
from mosaico_ros.protocol.errors import DataLossError, InvalidArgumentError
from mosaico_ros.protocol.limits import INT64_MAX, INT64_MIN
from mosaico_ros.protocol.query import parse
from mosaico_ros.protocol.ticket import Ticket

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('arrival', pa.int64())])


def table(times: list[int], first: int = 0) -> pa.Table:
    return pa.table([times, list(range(first, first + len(times)))], schema=SCHEMA)


def chunks_of(parts: list[list[int]]) -> list[pa.Table]:
    tables, first = [], 0
    for times in parts:
        tables.append(table(times, first))
        first += len(times)
    return tables


times = st.one_of(st.integers(0, 12), st.sampled_from([INT64_MIN, INT64_MAX]))


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(st.lists(times, min_size=1, max_size=6), min_size=1, max_size=6),
    start=st.none() | times,
    end=st.none() | times,
)
def test_rows_come_in_time_order_and_ties_in_order_of_arrival(filled, parts, start, end):
    locator = filled.write(chunks_of(parts))
    try:
        if start is not None and end is not None and start >= end:
            with pytest.raises(InvalidArgumentError, match='empty'):
                filled.read(locator, start, end)
            return
        rows = [(time, at) for at, time in enumerate(t for part in parts for t in part)]
        wanted = sorted(
            row
            for row in rows
            if (start is None or row[0] >= start) and (end is None or row[0] < end)
        )
        got = filled.read(locator, start, end)
        assert list(zip(*(c.to_pylist() for c in got.columns), strict=True)) == wanted
        described = filled.archive.describe_topic(locator, start, end)
        assert described.interval == (min(rows)[0], max(rows)[0])
        if start is not None or end is not None:
            assert described.window_rows == len(wanted)
            assert described.window_interval == ((wanted[0][0], wanted[-1][0]) if wanted else None)
    finally:
        filled.archive.delete_topic(locator)


@pytest.mark.parametrize('window', [(None, None), (5_000, 61_000), (20_000, 20_001)])
def test_long_overlapping_chunks_merge(filled, window):
    """Several row groups in each chunk, all interleaved, with equal times across chunks."""
    rng = random.Random(3)
    parts = [[rng.randrange(60_000) for _ in range(20_000)] for _ in range(5)]
    parts.append([30_000] * 20_000)  # one time over whole row groups
    locator = filled.write(chunks_of(parts))
    every = np.array([time for part in parts for time in part])
    start, end = window
    inside = np.flatnonzero((every >= (start or 0)) & (every < (end or 10**9)))
    order = inside[np.argsort(every[inside], kind='stable')]
    got = filled.read(locator, start, end)
    assert np.array_equal(got['arrival'].to_numpy(), order)
    assert filled.archive.describe_topic(locator, 5_000, 61_000).window_rows == int(
        ((every >= 5_000) & (every < 61_000)).sum()
    )


def test_sealing_bounds_how_many_chunks_overlap(filled, stored):
    """300 chunks over the same times, with ties: merged 16 at a time, in two passes."""
    filled.reopen(max_chunk_size_in_bytes=4_000)
    rng = random.Random(5)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    every: list[int] = []
    for _ in range(300):
        part = [rng.randrange(1000) for _ in range(50)]
        upload.append(table(part, len(every)).to_batches()[0])
        upload.cut()
        every += part
    upload.finish(len(every))
    got = filled.read(locator)
    order = np.argsort(np.array(every), kind='stable')
    assert np.array_equal(got['arrival'].to_numpy(), order)
    described = filled.archive.describe_topic(locator)
    assert described.rows == len(every)
    files = list(stored.rglob('*.parquet'))
    assert len(files) == described.chunks
    assert sum(path.stat().st_size for path in files) == described.bytes
    bounds = sorted((c['t_min'], c['t_max']) for c in chunks_in_manifest(stored))
    assert max(sum(low <= at <= high for low, high in bounds) for at in range(1000)) <= 16
    assert filled.archive.query(parse({'ontology': {'IMU.arrival': {'$eq': 14_999}}}))


def chunks_in_manifest(stored: Path) -> list[dict[str, Any]]:
    (manifest,) = stored.rglob('topic.json')
    chunks: list[dict[str, Any]] = json.loads(manifest.read_text())['chunks']
    return chunks


def test_window_reads_only_its_row_groups(filled, monkeypatch):
    locator = filled.write(table(list(range(100_000))))
    read: list[int] = []
    batches = OpenChunk.batches

    def counting(self: OpenChunk, groups: Any, columns: Any) -> Any:
        for batch in batches(self, groups, columns):
            read.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(OpenChunk, 'batches', counting)
    assert filled.read(locator, 50_000, 50_400).num_rows == 400
    assert sum(read) <= ROW_GROUP_ROWS
    read.clear()
    assert filled.archive.describe_topic(locator, 10, 99_990).window_rows == 99_980
    assert sum(read) <= 2 * ROW_GROUP_ROWS  # the edges


def test_damaged_chunk_is_data_loss_not_wrong_rows(filled, stored):
    noise = np.random.default_rng(1).integers(0, 2**62, 50_000)
    locator = filled.write(pa.table([list(range(50_000)), noise], schema=SCHEMA))
    filled.reopen()
    (chunk,) = stored.rglob('*.parquet')
    content = bytearray(chunk.read_bytes())
    for at in range(2000, 20_000, 500):
        content[at] ^= 0x55
    filled.archive._store.put(str(chunk.relative_to(stored)), bytes(content))
    with pytest.raises(DataLossError, match='damaged'):
        filled.read(locator)


def test_reader_that_stops_early_leaves_nothing_behind(filled, settings):
    locator = filled.write(table(list(range(200_000))))
    ticket = Ticket(locator, filled.archive.describe_topic(locator).topic_id)
    _, batches = filled.archive.read(ticket)
    next(batches)
    batches.close()
    import os

    open_files = [
        os.readlink(f'/proc/self/fd/{fd}')
        for fd in os.listdir('/proc/self/fd')
        if os.path.exists(f'/proc/self/fd/{fd}')
    ]
    assert not [name for name in open_files if name.endswith('.parquet')]


def test_footer_cache_is_bounded(filled):
    locator = filled.write(chunks_of([[time] for time in range(30)]))
    files = ChunkFiles(filled.archive._store, cache_bytes=10_000)
    database = filled.archive._database
    with database.read() as connection:
        from mosaico_ros.daemon.catalog.resources import find_topic

        topic = find_topic(connection, locator)
    got = list(scan(database, files, topic, Window()))
    assert sum(batch.num_rows for batch in got) == 30
    assert files._size <= 10_000 + max(size for _, size in files._footers.values())
    assert len(files._footers) < 30


def test_arrow_chunks_are_pruned_too(filled):
    schema = pa.schema([SCHEMA.field(0), ('s', pa.timestamp('s'))])
    rows = 20_000
    locator = filled.write(pa.table([list(range(rows)), list(range(rows))], schema=schema))
    got = filled.read(locator, 9_000, 9_010)
    assert got['timestamp_ns'].to_pylist() == list(range(9_000, 9_010))
    assert json.dumps(got['s'].cast(pa.int64()).to_pylist()) == json.dumps(
        list(range(9_000, 9_010))
    )
