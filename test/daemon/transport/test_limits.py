"""What a daemon holds for its clients, and for how long: slow, silent and lost ones."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), False), ('x', pa.float64())])
MIB = 1 << 20


def rows(count: int, start: int = 0) -> pa.RecordBatch:
    times = start + np.arange(count)
    return pa.record_batch([times, times * 0.5], schema=SCHEMA)


def eventually(what, seconds: float = 15.0):
    """Wait until `what()` is true; return its value."""
    deadline = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def batches(remote, path: str) -> list[pa.RecordBatch]:
    (endpoint,) = remote.info(path).endpoints
    return [chunk.data for chunk in remote.client.do_get(endpoint.ticket)]


def test_target_message_size(make_daemon, connect):
    remote = connect(make_daemon(MOSAICOD_TARGET_MESSAGE_SIZE='65536'))
    remote.put('t', [rows(50_000)])
    sizes = [batch.nbytes for batch in batches(remote, 't')]
    assert max(sizes) <= 65_536
    assert sum(sizes) == 800_000


def test_max_batch_size(make_daemon, connect):
    remote = connect(make_daemon(MOSAICOD_MAX_BATCH_SIZE='1000'))
    remote.put('t', [rows(10_000)])
    assert max(batch.num_rows for batch in batches(remote, 't')) <= 1000
    assert remote.get('t').num_rows == 10_000


# --- Silent clients ---------------------------------------------------------------------------


@pytest.mark.parametrize('acks', [False, True])
def test_a_silent_upload_is_ended_with_what_arrived(make_daemon, connect, acks):
    remote = connect(make_daemon(MOSAICOD_IDLE_TIMEOUT='1'))
    descriptor = remote.topic('t')
    if acks:
        descriptor = flight.FlightDescriptor.for_command(
            descriptor.command[:-1] + b',"acks":true}'
        )

    writer, _ = remote.client.do_put(descriptor, SCHEMA)
    for start in range(0, 50, 10):  # longer in all than a pause may be
        writer.write_batch(rows(10, start))
        time.sleep(0.3)
    assert remote.topic_info('t')['locked'] is False
    time.sleep(2.5)
    with pytest.raises(flight.FlightTimedOutError, match='sent nothing for 1 s'):
        writer.close()
    info = remote.topic_info('t')
    assert (info['locked'], info['data_info']['total_row_count']) == (False, 50)
    (notice,) = remote.act('topic_notification_list', locator=f'{remote.sequence}/t')[
        'notifications'
    ]
    assert 'sent nothing' in notice['msg']


def open_files(pid: int) -> list[str]:
    """Return the chunks that a process has open or mapped."""
    folder = Path(f'/proc/{pid}/fd')
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(folder / name))
        except FileNotFoundError:  # closed meanwhile
            continue
    found += Path(f'/proc/{pid}/maps').read_text().split()
    return [path for path in found if path.endswith('.parquet')]


def threads(pid: int) -> int:
    return len(os.listdir(f'/proc/{pid}/task'))


def test_a_reader_that_takes_nothing_is_cancelled(make_daemon, connect):
    daemon = make_daemon(MOSAICOD_IDLE_TIMEOUT='1')
    remote = connect(daemon)
    remote.put('t', blobs(40))
    reader = remote.client.do_get(remote.info('t').endpoints[0].ticket)
    reader.read_chunk()
    assert open_files(daemon.process.pid)
    assert eventually(lambda: not open_files(daemon.process.pid))
    with pytest.raises(flight.FlightCancelledError):
        list(reader)
    assert remote.get('t').num_rows == 40 * 4  # those who take what is sent are served


# --- What clients leave behind ----------------------------------------------------------------


def blobs(megabytes: int) -> list[pa.RecordBatch]:
    """Batches of 1 MiB that do not compress."""
    schema = pa.schema([SCHEMA.field(0), ('data', pa.binary())])
    noise = np.random.default_rng(1)
    return [
        pa.record_batch(
            [np.arange(4) + 4 * at, [noise.bytes(MIB // 4) for _ in range(4)]], schema=schema
        )
        for at in range(megabytes)
    ]


def test_lost_clients_leave_nothing_behind(make_daemon, connect):
    daemon = make_daemon()
    pid = daemon.process.pid
    remote = connect(daemon)
    remote.put('t', blobs(40))
    ticket = remote.info('t').endpoints[0].ticket
    assert remote.get('t').num_rows
    before = threads(pid)

    def leave(number: int) -> None:
        client = flight.connect(daemon.url)
        if number % 4 == 3:  # an upload
            writer, _ = client.do_put(uploads[number // 4], SCHEMA)
            writer.write_batch(rows(1000))
        else:
            options = flight.FlightCallOptions(timeout=3 if number % 4 == 0 else 60)
            reader = client.do_get(ticket, options)
            reader.read_chunk()
            if number % 4 == 0:
                time.sleep(3.5)  # the deadline passes
            elif number % 4 == 1:
                reader.cancel()
        client.close()

    session = remote.session()
    uploads = [remote.topic(f'u{number}', session) for number in range(6)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave, range(24)))
    assert eventually(lambda: not open_files(pid)), open_files(pid)
    # gRPC's threads and the pool's stay for the next calls; those of uploads do not.
    assert eventually(lambda: threads(pid) <= before + 24)
    assert not list((daemon.data_dir / 'store' / 'tmp').glob('*/[0-9]*'))
    remote.act('session_delete', locator=session['locator'])


# --- Memory -----------------------------------------------------------------------------------


def anonymous_mib(pid: int) -> float:
    """Return the memory of a process that is not a file's."""
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('RssAnon'):
            return int(line.split()[1]) / 1024
    raise AssertionError('no RssAnon')


def test_slow_readers_hold_a_bounded_amount(make_daemon, connect):
    daemon = make_daemon(MOSAICOD_MAX_BUFFERED_SIZE_IN_BYTES=str(32 * MIB))
    pid = daemon.process.pid
    idle = anonymous_mib(pid)
    remote = connect(daemon)
    remote.put('t', blobs(400))
    assert anonymous_mib(pid) < idle + 32 + 150
    ticket = remote.info('t').endpoints[0].ticket
    clients = [flight.connect(daemon.url) for _ in range(64)]
    readers = [clients[0].do_get(ticket)]
    for _ in range(5):
        readers[0].read_chunk()
        time.sleep(0.1)
    assert anonymous_mib(pid) < idle + 32 + 150
    readers += [client.do_get(ticket) for client in clients[1:]]
    for reader in readers[1:]:
        reader.read_chunk()
    time.sleep(1)
    # Of 400 MiB each holds the rows at hand and a message on its way, twice in gRPC.
    assert anonymous_mib(pid) < idle + 32 + 150 + 64 * 2
    for reader in readers:
        reader.cancel()


def test_open_uploads_hold_a_bounded_amount(make_daemon, connect):
    daemon = make_daemon(MOSAICOD_MAX_BUFFERED_SIZE_IN_BYTES=str(32 * MIB))
    pid = daemon.process.pid
    idle = anonymous_mib(pid)
    remote = connect(daemon)
    session = remote.session()
    writers = []
    for number in range(64):
        writer, _ = remote.client.do_put(remote.topic(f't{number}', session), SCHEMA)
        writer.write_batch(rows(100))
        writers.append(writer)
    time.sleep(1)
    assert anonymous_mib(pid) < idle + 32 + 150
    for writer in writers:
        writer.close()
    assert remote.get('t63').num_rows == 100


def test_uploads_of_large_messages_hold_a_bounded_amount(make_daemon, connect):
    daemon = make_daemon(MOSAICOD_MAX_BUFFERED_SIZE_IN_BYTES=str(32 * MIB))
    pid = daemon.process.pid
    idle = anonymous_mib(pid)
    remote = connect(daemon)
    session = remote.session()
    sent = blobs(4)
    uploads = [remote.topic(f't{number}', session) for number in range(64)]

    def put(descriptor: flight.FlightDescriptor) -> None:
        writer, _ = flight.connect(daemon.url).do_put(descriptor, sent[0].schema)
        for batch in sent:
            writer.write_batch(batch)
        writer.close()

    peak = idle
    with ThreadPoolExecutor(64) as pool:
        puts = [pool.submit(put, descriptor) for descriptor in uploads]
        while not all(done.done() for done in puts):
            peak = max(peak, anonymous_mib(pid))
            time.sleep(0.01)
    for done in puts:
        done.result()
    # Each holds a message that is not counted yet, and what gRPC has of the next.
    assert peak < idle + 32 + 150 + 64 * 4
    assert remote.get('t63').num_rows == 16
