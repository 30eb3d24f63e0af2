"""Batches to durable rows, against plain Parquet writing of the same data in the same run.

The plain writer uses the same codecs and encodings and the same disk, without statistics in a
catalog, ordering guarantees or acknowledgements. Rounds are interleaved; CPU time (all
threads) tells more than wall time on a machine that others use.

    python test/benchmarks/daemon_ingest.py [--mb 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat

TIME = pa.field('timestamp_ns', pa.int64(), nullable=False)


def imu_like(rows: int, start: int, rng: np.random.Generator) -> pa.RecordBatch:
    """11 quantised and 9 constant doubles, as an IMU with 16 bit converters gives."""
    columns = [pa.array(start + np.arange(rows) * 5_000_000)]
    columns += [pa.array(np.round(rng.normal(0, 300, rows)) / 1024) for _ in range(11)]
    columns += [pa.array(np.full(rows, 0.01 * at)) for at in range(9)]
    names = ['timestamp_ns', *(f'c{at}' for at in range(20))]
    return pa.RecordBatch.from_arrays(
        columns, schema=pa.schema([TIME, *((name, pa.float64()) for name in names[1:])])
    )


def image_like(rows: int, start: int, rng: np.random.Generator) -> pa.RecordBatch:
    """Compressed images of 50 kB."""
    blobs = [rng.bytes(50_000) for _ in range(rows)]
    times = start + np.arange(rows) * 66_000_000
    return pa.RecordBatch.from_arrays(
        [pa.array(times), pa.array(blobs, pa.binary())],
        schema=pa.schema([TIME, ('data', pa.binary())]),
    )


def through_archive(
    archive: Archive, batches: list[pa.RecordBatch], fmt: str, name: str
) -> tuple[float, float]:
    sequence = SequenceLocator(name)
    archive.create_sequence(sequence, {})
    session, _ = archive.create_session(sequence)
    locator = TopicLocator(name, 'topic')
    uuid = archive.create_topic(session, locator, 'IMU', SerializationFormat(fmt), {})
    start, cpu = time.perf_counter(), time.process_time()
    upload = archive.begin_upload(locator, uuid, batches[0].schema)
    for batch in batches:
        upload.append(batch)
    upload.finish()
    took = time.perf_counter() - start, time.process_time() - cpu
    archive.delete_sequence(sequence)
    return took


def plainly(
    path: Path, batches: list[pa.RecordBatch], options: dict[str, object]
) -> tuple[float, float]:
    start, cpu = time.perf_counter(), time.process_time()
    with pq.ParquetWriter(path, batches[0].schema, **options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    took = time.perf_counter() - start, time.process_time() - cpu
    path.unlink()
    return took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--mb', type=int, default=128)
    arguments.add_argument('--rounds', type=int, default=5)
    given = arguments.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Settings(data_dir=Path(folder) / 'data'))
        archive.start()
        for kind, make, rows, fmt in (
            ('imu', imu_like, 8192, 'default'),
            ('images', image_like, 20, 'image'),
        ):
            first = make(rows, 0, rng)
            count = max(1, given.mb * 1_000_000 // first.nbytes)
            batches = [make(rows, at * 10**10, rng) for at in range(count)]
            encoder = ChunkEncoder(first.schema, SerializationFormat(fmt))
            encoder.encode(batches[:4], pa.BufferOutputStream())
            assert encoder._choice is not None
            options = {**encoder._choice.options, 'write_page_checksum': True}
            size = sum(batch.nbytes for batch in batches) / 1e6
            ours, plain = [], []
            for number in range(given.rounds):
                ours.append(through_archive(archive, batches, fmt, f'{kind}{number}'))
                plain.append(plainly(Path(folder) / 'plain.parquet', batches, options))
            for what, at in (('wall', 0), ('CPU', 1)):
                ratio = statistics.median(p[at] / o[at] for p, o in zip(plain, ours, strict=True))
                print(
                    f'{kind}, {what} time: {size / statistics.median(o[at] for o in ours):.0f} '
                    'MB/s durable, plain ParquetWriter '
                    f'{size / statistics.median(p[at] for p in plain):.0f} MB/s, ratio {ratio:.2f}'
                )
        archive.close()


if __name__ == '__main__':
    main()
