"""Uploads whose client dies, cancels, or forgets to say that it has finished."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.frames import read_frame, write_frame
from mosaico_ros.daemon.transport.ipc import BatchWriter

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), False), pa.field('x', pa.float64())])

# Opens an upload per command on standard input, writes to each, and waits to be killed.
CLIENT = """
import sys, time
import pyarrow as pa
import pyarrow.flight as flight

url, rows, endless = sys.argv[1], int(sys.argv[2]), sys.argv[3] == 'endless'
schema = pa.schema([pa.field('timestamp_ns', pa.int64(), False), pa.field('x', pa.float64())])
batch = pa.record_batch([pa.array(range(rows)), pa.array([0.5] * rows)], schema=schema)
client = flight.connect(url)
writers = []
for command in sys.stdin.read().splitlines():
    writer, _ = client.do_put(flight.FlightDescriptor.for_command(command), schema)
    writer.write_batch(batch)
    writers.append(writer)
print('written', flush=True)
while endless:
    for writer in writers:
        writer.write_batch(batch)
time.sleep(600)
"""


def batch(*stamps: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(stamps), pa.array([0.0] * len(stamps))], schema=SCHEMA)


def eventually(what, seconds: float = 10.0):
    """Wait until `what()` is true; return its value."""
    deadline = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


@pytest.mark.parametrize(('rows', 'kind'), [(10, 'quiet'), (10, 'endless'), (300_000, 'endless')])
def test_killed_clients_never_complete_a_topic(remote, rows, kind):
    uploads = 12
    noticed = 0
    for round_ in range(3):
        session = remote.session()
        names = [f'r{round_}/t{i}' for i in range(uploads)]
        commands = [remote.topic(name, session).command.decode() for name in names]
        client = subprocess.Popen(
            [sys.executable, '-c', CLIENT, remote.url, str(rows), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        client.stdin.write('\n'.join(commands))
        client.stdin.close()
        assert client.stdout.readline() == 'written\n'
        time.sleep(0.1 * round_)
        client.kill()
        client.wait()
        client.stdout.close()

        def interrupted(names=names):
            listed = [
                remote.act('topic_notification_list', locator=f'{remote.sequence}/{name}')
                for name in names
            ]
            return sum(bool(item['notifications']) for item in listed)

        # Streams that had not reached the daemon leave no trace; the others are all noticed.
        noticed += eventually(interrupted, seconds=5.0)
        time.sleep(0.5)
        assert [remote.topic_info(name)['locked'] for name in names] == [False] * uploads
    assert noticed


def test_cancelled_uploads_are_not_complete(remote):
    descriptor = remote.topic('t')
    call = remote.channel.stream_stream('/arrow.flight.protocol.FlightService/DoPut')

    def sent():
        yield from opened(descriptor)
        yield from BatchWriter(SCHEMA).write(batch(1, 2))
        time.sleep(0.3)
        running.cancel()
        time.sleep(0.3)

    running = call(sent())
    with pytest.raises(grpc.RpcError):
        list(running)
    locator = f'{remote.sequence}/t'
    assert eventually(
        lambda: remote.act('topic_notification_list', locator=locator)['notifications']
    )
    assert remote.topic_info('t')['locked'] is False


def test_orderly_ends_are_complete_without_any_mark(remote):
    for number in range(10):
        remote.put(f't{number}', [batch(1, 2, 3)])
        assert remote.topic_info(f't{number}')['locked'] is True


# --- Acknowledged uploads ---------------------------------------------------------------------


def with_acks(descriptor: flight.FlightDescriptor) -> flight.FlightDescriptor:
    command = json.loads(descriptor.command) | {'acks': True}
    return flight.FlightDescriptor.for_command(json.dumps(command))


def opened(descriptor: flight.FlightDescriptor):
    first = descriptor.serialize()
    length = len(first)
    assert length < 1 << 14
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    yield b'\x0a' + varint + first + BatchWriter(SCHEMA).begin()


def marked(stamps: tuple[int, ...], mark: dict) -> bytes:
    (data,) = BatchWriter(SCHEMA).write(batch(*stamps))
    frame = read_frame(data)
    return write_frame(frame.header, [frame.body], json.dumps(mark).encode())


def durable(results: list[bytes]) -> list[int]:
    bodies = [json.loads(messages.PutResult.FromString(data).app_metadata) for data in results]
    assert all(set(body) == {'durable_rows'} for body in bodies)
    return [body['durable_rows'] for body in bodies]


def end(rows: int) -> bytes:
    return write_frame(b'', app_metadata=json.dumps({'end': True, 'rows': rows}).encode())


def test_commits_are_acknowledged_at_once(remote):
    descriptor = with_acks(remote.topic('t'))
    writer, results = remote.client.do_put(descriptor, SCHEMA)
    for rows in (2, 4):
        writer.write_with_metadata(batch(rows, rows + 1), b'{"commit": true}')
        # The stream stays open and nothing else is sent: the answer comes by itself.
        assert json.loads(results.read().to_pybytes()) == {'durable_rows': rows}
    writer.write_metadata(b'{"end": true, "rows": 4}')
    writer.close()
    assert remote.topic_info('t')['locked'] is True
    assert remote.get('t').num_rows == 4


def test_the_end_is_acknowledged(remote):
    descriptor = with_acks(remote.topic('t'))
    results = remote.raw_put([*opened(descriptor), marked((1, 2), {}), end(2)])
    assert durable(results) == [2]
    assert remote.topic_info('t')['locked'] is True


def test_without_its_end_marker_an_upload_is_interrupted(remote):
    descriptor = with_acks(remote.topic('t'))
    with pytest.raises(grpc.RpcError) as caught:
        remote.raw_put([*opened(descriptor), marked((1, 2), {'commit': True}), marked((3,), {})])
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert 'end marker' in caught.value.details()
    info = remote.topic_info('t')
    assert info['locked'] is False
    assert info['data_info']['total_row_count'] == 3


def test_a_wrong_row_count_is_an_interruption(remote):
    descriptor = with_acks(remote.topic('t'))
    with pytest.raises(grpc.RpcError) as caught:
        remote.raw_put([*opened(descriptor), marked((1, 2), {}), end(3)])
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert '3 rows' in caught.value.details()
    assert remote.topic_info('t')['locked'] is False


def test_nothing_may_follow_the_end(remote):
    descriptor = with_acks(remote.topic('t'))
    with pytest.raises(grpc.RpcError) as caught:
        remote.raw_put([*opened(descriptor), end(0), marked((1,), {})])
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_malformed_marks_are_refused(remote):
    descriptor = with_acks(remote.topic('t'))
    with pytest.raises(grpc.RpcError) as caught:
        remote.raw_put([*opened(descriptor), marked((1,), {'commit': 'yes'})])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert 'commit' in caught.value.details()
