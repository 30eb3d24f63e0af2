"""A daemon's inside in a process of its own, to be killed: appends rows until then.

Usage: appending.py TOPICS, with a daemon's settings in the environment. Every acknowledged
count goes to standard output as ``<topic> <durable rows>``, written before the next chunk can
be.
"""

from __future__ import annotations

import os
import random
import sys
import threading

import numpy as np
import pyarrow as pa

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import load
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


def main() -> None:
    archive = Archive(load(os.environ))
    archive.start()
    sequence = SequenceLocator(f'run_{os.getpid()}')
    archive.create_sequence(sequence, {})
    session, _ = archive.create_session(sequence)

    def append(number: int) -> None:
        locator = TopicLocator(sequence.name, f't{number}')
        uuid = archive.create_topic(session, locator, 'IMU', SerializationFormat.Default, {})
        upload = archive.begin_upload(
            locator,
            uuid,
            SCHEMA,
            lambda rows: os.write(1, f'{locator} {rows}\n'.encode()) and None,
        )
        rng = random.Random(number)
        row = 0
        while True:
            rows = rng.randrange(1, 400)
            times = np.arange(row, row + rows)
            upload.append(pa.record_batch([times, times * 0.5], schema=SCHEMA))
            row += rows
            if rng.random() < 0.5:
                upload.cut()

    for number in range(int(sys.argv[1])):
        threading.Thread(target=append, args=(number,), daemon=True).start()
    threading.Event().wait()


if __name__ == '__main__':
    main()
