"""Two seconds out of a long 200 Hz topic, inside the daemon.

    python test/benchmarks/daemon_slice.py [--hours 10] [--repeat 50]

Prints milliseconds warm (footers cached) and cold (nothing cached by the daemon), at the
beginning, the middle and the end of the topic.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from daemon_ingest import imu_like

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket


def read_slice(archive: Archive, locator: TopicLocator, topic_id: int, start: int) -> float:
    began = time.perf_counter()
    _, batches = archive.read(Ticket(locator, topic_id, start, start + 2 * 10**9))
    rows = sum(batch.num_rows for batch in batches)
    took = (time.perf_counter() - began) * 1000
    assert rows == 400, rows
    return took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--hours', type=float, default=10)
    arguments.add_argument('--repeat', type=int, default=50)
    given = arguments.parse_args()
    rows = int(given.hours * 3600 * 200)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        archive = Archive(settings)
        archive.start()
        sequence, locator = SequenceLocator('run'), TopicLocator('run', 'imu')
        archive.create_sequence(sequence, {})
        session, _ = archive.create_session(sequence)
        uuid = archive.create_topic(session, locator, 'IMU', SerializationFormat.Default, {})
        upload = archive.begin_upload(locator, uuid, imu_like(1, 0, rng).schema)
        began = time.perf_counter()
        for first in range(0, rows, 8192):
            upload.append(imu_like(min(8192, rows - first), first * 5_000_000, rng))
        upload.finish()
        described = archive.describe_topic(locator)
        print(
            f'{rows} rows in {described.chunks} chunks, {described.bytes / 1e6:.0f} MB, '
            f'made in {time.perf_counter() - began:.0f} s'
        )
        length = rows * 5_000_000
        for share in (0.001, 0.5, 0.99):
            start = int(length * share) // 5_000_000 * 5_000_000
            warm = [
                read_slice(archive, locator, described.topic_id, start)
                for _ in range(given.repeat)
            ]
            cold = []
            for _ in range(5):
                archive.close()
                archive = Archive(settings)
                archive.start()
                cold.append(read_slice(archive, locator, described.topic_id, start))
            print(
                f'at {share:.1%}: warm {statistics.median(warm[5:]):.1f} ms '
                f'(p95 {np.percentile(warm[5:], 95):.1f}), cold {statistics.median(cold):.1f} ms'
            )
        archive.close()


if __name__ == '__main__':
    main()
