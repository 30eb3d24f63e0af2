"""Value queries over many chunk statistics.

    python test/benchmarks/daemon_query.py [--stats 1000000] [--repeat 200]

The catalog is filled directly: topics with chunks of 20 columns whose bounds scatter; every
chunk points at the rows of one real file per topic. Queries that a bound decides open nothing;
those on the edge of a chunk read it. Prints p50 and p95 in milliseconds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.tables import chunks, fields, stats, topics
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.query import parse
from mosaico_ros.protocol.serialization import SerializationFormat

COLUMNS = 20
CHUNKS = 100
ROWS = 8192


def fill(archive: Archive, root: Path, wanted: int, rng: np.random.Generator) -> None:
    """Make topics of 100 chunks; the statistics of column c0 say 0 to about 100."""
    schema = pa.schema(
        [
            pa.field('timestamp_ns', pa.int64(), nullable=False),
            *((f'c{at}', pa.float64()) for at in range(COLUMNS)),
        ]
    )
    columns = [np.arange(ROWS), *(rng.uniform(0, 100, ROWS) for _ in range(COLUMNS))]
    batch = pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=schema)
    sequence = SequenceLocator('run')
    archive.create_sequence(sequence, {})
    session, _ = archive.create_session(sequence)
    made: Path | None = None
    for number in range(max(1, wanted // (COLUMNS * CHUNKS))):
        locator = TopicLocator('run', f't{number}')
        uuid = archive.create_topic(session, locator, 'IMU', SerializationFormat.Default, {})
        upload = archive.begin_upload(locator, uuid, schema)
        if made is None:
            upload.append(batch)
        upload.finish()
        topic_id = archive.describe_topic(locator).topic_id
        (folder,) = root.glob(f'store/sequences/run.*/topics/t{number}.*')
        if made is None:
            (made,) = folder.glob('*.parquet')
        for at in range(2, CHUNKS + 2):
            (folder / f'{at:08d}.parquet').hardlink_to(made)
        with archive._database.write() as connection:
            named = dict(
                connection.execute(
                    fields.select().with_only_columns(fields.c.path, fields.c.id)
                ).all()
            )
            values = []
            for at in range(2, CHUNKS + 2):
                chunk_id = connection.execute(
                    chunks.insert().values(
                        topic_id=topic_id, number=at, encoding='parquet', rows=ROWS, bytes=1,
                        t_min=0, t_max=ROWS - 1,
                    )
                ).inserted_primary_key[0]  # fmt: skip
                low = rng.uniform(0, 50, COLUMNS)
                high = low + rng.exponential(5, COLUMNS)
                values += [
                    {
                        'chunk_id': chunk_id, 'field_id': named[f'c{c}'], 'min_num': low[c],
                        'max_num': high[c], 'min_text': None, 'max_text': None, 'exact': True,
                        'nulls': 0,
                    }
                    for c in range(COLUMNS)
                ]  # fmt: skip
            connection.execute(stats.insert(), values)
            connection.execute(topics.update().where(topics.c.id == topic_id).values(rows=ROWS))


def measure(
    label: str, repeat: int, query: Callable[[int], dict[str, object]], archive: Archive
) -> None:
    times, cpu, hits = [], [], []
    for at in range(repeat):
        parsed = parse({'ontology': query(at)})
        began, used = time.perf_counter(), time.process_time()
        items = archive.query(parsed)
        times.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        hits.append(sum(len(item.topics) for item in items))
    print(
        f'{label}: p50 {np.percentile(times, 50):.1f} ms, p95 {np.percentile(times, 95):.1f} ms '
        f'(CPU p50 {np.percentile(cpu, 50):.1f}, p95 {np.percentile(cpu, 95):.1f}), '
        f'{np.mean(hits):.1f} topics'
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--stats', type=int, default=1_000_000)
    arguments.add_argument('--repeat', type=int, default=200)
    given = arguments.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        archive = Archive(Settings(data_dir=root))
        archive.start()
        began = time.perf_counter()
        fill(archive, root, given.stats, rng)
        size = (root / 'catalog.db').stat().st_size / 1e6
        print(
            f'{given.stats} statistics, {size:.0f} MB, made in {time.perf_counter() - began:.0f} s'
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
        archive.close()
        shutil.rmtree(root / 'store', ignore_errors=True)


if __name__ == '__main__':
    main()
