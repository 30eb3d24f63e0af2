"""Value queries over many chunk statistics.

    python test/benchmarks/daemon_query.py [--stats 1000000] [--repeat 200] [--postgres]

The catalog is filled directly: topics with 100 chunks of 20 columns whose bounds scatter; every
chunk points at the rows of one real file, under a key of its own. Queries that a bound decides
open nothing; those on the edge of a chunk read it. Prints p50 and p95 in milliseconds, and the
chunks opened. ``--postgres`` runs a server of its own.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.tables import chunks, fields, stats, topics
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.query import parse
from mosaico_ros.protocol.serialization import SerializationFormat

COLUMNS = 20
CHUNKS = 100
ROWS = 8192
BATCH = 20  # topics written to the catalog at once


def fill(archive: Archive, root: Path, wanted: int, rng: np.random.Generator) -> None:
    """Make topics of 100 chunks; the statistics of a column say 0 to about 100."""
    schema = pa.schema(
        [
            pa.field('timestamp_ns', pa.int64(), nullable=False),
            *((f'c{at}', pa.float64()) for at in range(COLUMNS)),
        ]
    )
    columns = [np.arange(ROWS), *(rng.uniform(0, 100, ROWS) for _ in range(COLUMNS))]
    batch = pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=schema)
    archive.create_sequence(SequenceLocator('run'), {})
    session, _ = archive.create_session(SequenceLocator('run'))
    first = TopicLocator('run', 't')
    uuid = archive.create_topic(session, first, 'IMU', SerializationFormat.Default, {})
    upload = archive.begin_upload(first, uuid, schema)
    upload.append(batch)
    upload.finish()
    (folder,) = root.glob('store/sequences/run.*/topics/t.*')
    (made,) = folder.glob('*.parquet')
    for at in range(1, CHUNKS + 1):
        if not (folder / f'{at:08d}.parquet').exists():
            (folder / f'{at:08d}.parquet').hardlink_to(made)
    topic_id = archive.describe_topic(first).topic_id
    with archive._database.read() as connection:
        ids = dict(connection.execute(sa.select(fields.c.path, fields.c.id)).all())
        template = dict(
            connection.execute(sa.select(topics).where(topics.c.id == topic_id)).one()._mapping
        )
        chunk_id = connection.execute(sa.select(sa.func.max(chunks.c.id))).scalar_one()
    field_ids = [ids[f'c{at}'] for at in range(COLUMNS)]
    count = max(1, wanted // (COLUMNS * CHUNKS))
    for start in range(0, count, BATCH):
        topic_rows: list[Any] = []
        chunk_rows: list[Any] = []
        stat_rows: list[Any] = []
        for number in range(start, min(count, start + BATCH)):
            link = folder.with_name(f't{number}.link')
            link.symlink_to(folder)
            own = topic_id + 1 + number
            topic_rows.append(
                template
                | {
                    'id': own,
                    'path': f't{number}',
                    'uuid': f'{number:036d}',
                    'folder': f'{template["folder"].rpartition("/")[0]}/{link.name}',
                }
            )
            low = rng.uniform(0, 50, (CHUNKS, COLUMNS))
            high = low + rng.exponential(5, (CHUNKS, COLUMNS))
            for at in range(CHUNKS):
                chunk_id += 1
                chunk_rows.append((chunk_id, own, at + 1, 'parquet', ROWS, 1, 0, ROWS - 1))
                stat_rows += [
                    (chunk_id, field, a, b, True, 0)
                    for field, a, b in zip(
                        field_ids, low[at].tolist(), high[at].tolist(), strict=True
                    )
                ]
        with archive._database.write() as connection:
            connection.execute(topics.insert(), topic_rows)
            _copy(
                connection, chunks,
                ('id', 'topic_id', 'number', 'encoding', 'rows', 'bytes', 't_min', 't_max'),
                chunk_rows,
            )  # fmt: skip
            _copy(
                connection, stats,
                ('chunk_id', 'field_id', 'min_num', 'max_num', 'exact', 'nulls'), stat_rows,
            )  # fmt: skip
    with archive._database.write() as connection:
        if connection.dialect.name == 'postgresql':
            connection.exec_driver_sql('ANALYZE')


def _copy(connection: Any, table: sa.Table, names: tuple[str, ...], rows: list[Any]) -> None:
    raw = connection.connection.driver_connection
    quoted = ', '.join(f'"{name}"' for name in names)
    if connection.dialect.name == 'postgresql':
        with raw.cursor().copy(f'COPY {table.name} ({quoted}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)
    else:
        places = ', '.join('?' * len(names))
        raw.executemany(f'INSERT INTO {table.name} ({quoted}) VALUES ({places})', rows)


def measure(
    label: str, repeat: int, query: Callable[[int], dict[str, object]], archive: Archive
) -> None:
    times, cpu, hits, opened = [], [], [], []
    for at in range(repeat):
        parsed = parse({'ontology': query(at)})
        began, used = time.perf_counter(), time.process_time()
        found = archive.query(parsed)
        times.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        hits.append(sum(len(item.topics) for item in found))
        groups = [g for way in found.plan.to_json()['alternatives'] for g in way['groups']]
        opened.append(sum(group['chunks_opened'] for group in groups))
    print(
        f'{label}: p50 {np.percentile(times, 50):.1f} ms, p95 {np.percentile(times, 95):.1f} ms '
        f'(CPU p50 {np.percentile(cpu, 50):.1f}, p95 {np.percentile(cpu, 95):.1f}), '
        f'{np.mean(hits):.1f} topics, {np.mean(opened):.1f} chunks opened',
        flush=True,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--stats', type=int, default=1_000_000)
    arguments.add_argument('--repeat', type=int, default=200)
    arguments.add_argument('--postgres', action='store_true')
    given = arguments.parse_args()
    rng = np.random.default_rng(1)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = ''
        if given.postgres:
            import pgserver

            folder = tempfile.mkdtemp(prefix='mosaico-postgres-')
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            server = pgserver.get_server(folder)
            stack.callback(server.cleanup)
            url = server.get_uri()
        archive = Archive(Settings(data_dir=root, db_url=url))
        stack.callback(archive.close)
        archive.start()
        began = time.perf_counter()
        fill(archive, root, given.stats, rng)
        print(
            f'{given.stats} statistics, {"PostgreSQL" if given.postgres else "SQLite"}, '
            f'made in {time.perf_counter() - began:.0f} s',
            flush=True,
        )
        high = 75.0
        measure(
            'one condition, decided by bounds', given.repeat,
            lambda at: {f'IMU.c{at % COLUMNS}': {'$gt': high + at % 7}}, archive,
        )  # fmt: skip
        measure(
            'one condition, edge chunks read', given.repeat,
            lambda at: {f'IMU.c{at % COLUMNS}': {'$between': [high + 0.01, high + 0.02]}}, archive,
        )  # fmt: skip
        measure(
            'two conditions in one row', given.repeat,
            lambda at: {
                f'IMU.c{at % COLUMNS}': {'$gt': high},
                f'IMU.c{(at + 1) % COLUMNS}': {'$lt': 10.0},
            },
            archive,
        )  # fmt: skip
        measure(
            'nothing matches', given.repeat,
            lambda at: {f'IMU.c{at % COLUMNS}': {'$gt': 1000.0 + at}}, archive,
        )  # fmt: skip


if __name__ == '__main__':
    main()
