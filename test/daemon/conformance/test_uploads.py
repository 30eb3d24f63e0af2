"""DoPut: what is taken, what is refused, and what a broken stream leaves."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyarrow import flight

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
SERVICE = '/arrow.flight.protocol.FlightService/'
UUID = '6f0b1c2e-51ab-4f0e-9c69-0d6b1f9d2a11'


def batch(*stamps: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(stamps), pa.array([float(s) for s in stamps])], SCHEMA)


def begin(remote, command: flight.FlightDescriptor, *batches: pa.RecordBatch):
    """Begin an upload that stays open; return its writer when the daemon has begun it."""
    writer, _ = remote.client.do_put(command, SCHEMA)
    for rows in batches:
        writer.write_batch(rows)
    return writer


def eventually(what, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def test_a_schema_alone_is_a_complete_upload(wire):
    assert wire.put(wire.topic('t'))[0] == 'OK'
    info = wire.remote.topic_info('t')
    assert info['locked'] is True
    assert info['completed_at_ns'] >= info['created_at_ns']
    assert info['data_info'] == {
        'interval': None,
        'total_row_count': 0,
        'total_bytes': 0,
        'total_chunks_count': 0,
    }
    assert wire.remote.get('t').num_rows == 0


def test_order_and_duplicates_of_stamps_do_not_matter(wire):
    rng = random.Random(1)
    stamps = [rng.randrange(-50, 50) for _ in range(500)]
    batches = [stamps[i : i + 60] for i in range(0, 500, 60)]
    remote = wire.remote
    writer = begin(remote, remote.topic('t'), *(batch(*some) for some in batches))
    writer.close()
    table = remote.get('t')
    assert table['timestamp_ns'].to_pylist() == sorted(stamps)
    assert table['x'].to_pylist() == [float(at) for at in sorted(stamps)]
    interval = remote.topic_info('t')['data_info']['interval']
    assert interval == {'start_ns': min(stamps), 'end_ns': max(stamps)}


def test_rows_with_equal_stamps_keep_their_order(wire):
    remote = wire.remote
    rows = pa.record_batch([pa.array([7] * 100), pa.array([float(i) for i in range(100)])], SCHEMA)
    begin(remote, remote.topic('t'), rows, rows).close()
    assert remote.get('t')['x'].to_pylist() == [float(i) for i in range(100)] * 2


def test_the_widest_stamps_are_kept(wire):
    stamps = [-(2**63), -1, 0, 2**63 - 1]
    assert wire.put(wire.topic('t'), stamps)[0] == 'OK'
    assert wire.remote.get('t')['timestamp_ns'].to_pylist() == stamps
    info = wire.remote.topic_info('t')
    assert info['data_info']['interval'] == {'start_ns': stamps[0], 'end_ns': stamps[-1]}
    got = wire.remote.get('t', timestamp_ns_start=-1, timestamp_ns_end=2**63 - 1)
    assert got['timestamp_ns'].to_pylist() == [-1, 0]


def test_two_uploads_interleave_on_one_channel(wire):
    remote = wire.remote
    session = remote.session()
    writers = [begin(remote, remote.topic(name, session)) for name in 'ab']
    for at in range(20):
        writers[at % 2].write_batch(batch(at))
    for writer in writers:
        writer.close()
    assert remote.get('a')['timestamp_ns'].to_pylist() == list(range(0, 20, 2))
    assert remote.get('b')['timestamp_ns'].to_pylist() == list(range(1, 20, 2))


def test_a_topic_is_uploaded_once_and_a_second_upload_leaves_the_first_alone(wire):
    remote = wire.remote
    session = remote.session()
    descriptor = remote.topic('t', session)
    writer = begin(remote, descriptor, batch(1))
    finalize = {'session_uuid': session['uuid']}
    assert eventually(
        lambda: 'still being uploaded' in wire.act('session_finalize', **finalize)[1]
    )
    for _ in range(3):
        assert wire.put(descriptor.command, [9])[0] == 'FAILED_PRECONDITION'
    writer.write_batch(batch(2))
    writer.close()
    assert wire.put(descriptor.command, [9])[0] == 'FAILED_PRECONDITION'
    assert remote.get('t')['timestamp_ns'].to_pylist() == [1, 2]
    noted = remote.act('topic_notification_list', locator=f'{wire.sequence}/t')
    assert noted == {'notifications': []}


def test_uploads_need_the_uuid_of_their_topic(wire):
    first, second = wire.topic('a'), wire.topic('b')
    assert wire.put(first | {'topic_uuid': UUID}, [1])[0] == 'NOT_FOUND'
    assert wire.put(first | {'topic_uuid': second['topic_uuid']}, [1])[0] == 'PERMISSION_DENIED'
    unknown = {'resource_locator': f'{wire.sequence}/no_such'}
    assert wire.put(first | unknown, [1])[0] == 'PERMISSION_DENIED'
    for command in (first, second):  # nothing of that has used them up
        assert wire.put(command, [1])[0] == 'OK'


@pytest.mark.parametrize('uuid', ['', 'x', UUID.replace('-', ''), f'{{{UUID}}}', UUID[:-1]])
def test_only_canonical_uuids_are_read(wire, uuid):
    assert wire.put(wire.topic('t') | {'topic_uuid': uuid}, [1])[0] == 'INVALID_ARGUMENT'
    assert wire.act('session_finalize', session_uuid=uuid)[0] == 'INVALID_ARGUMENT'


def test_uuids_may_be_written_in_capitals(wire):
    command = wire.topic('t')
    command['topic_uuid'] = command['topic_uuid'].upper()
    assert wire.put(command, [1])[0] == 'OK'


@pytest.mark.parametrize(
    'fields',
    [
        [],
        [('x', pa.int64())],
        [('timestamp_ns', pa.int32())],
        [('timestamp_ns', pa.timestamp('ns'))],
        [('timestamp_ns', pa.uint64())],
        [('timestamp_ns', pa.int64()), ('timestamp_ns', pa.int64())],
        [('timestamp_ns', pa.int64()), ('s', pa.struct([('a', pa.int8()), ('a', pa.int8())]))],
        [('timestamp_ns', pa.int64()), ('a\0b', pa.int8())],
        [('timestamp_ns', pa.int64()), ('s', pa.struct([('\0', pa.int8())]))],
        [('timestamp_ns', pa.int64()), ('x' * 1025, pa.int8())],
        [('timestamp_ns', pa.int64()), ('x' * 600, pa.struct([('y' * 600, pa.int8())]))],
    ],
)
def test_unusable_schemas_leave_the_topic_free(wire, fields):
    command = wire.topic('t')
    assert wire.put(command, schema=pa.schema(fields))[0] == 'INVALID_ARGUMENT'
    assert wire.put(command, [1])[0] == 'OK'


def test_names_of_columns_are_text(wire):
    schema = pa.schema([SCHEMA.field(0), ('name', pa.int8())])
    command = wire.topic('t')
    sent = wire.frames(command, [], schema)
    code, details = wire.put_raw([frame.replace(b'name', b'na\xffe') for frame in sent])
    assert (code, 'not UTF-8' in details) == ('INVALID_ARGUMENT', True)
    longest = pa.schema([SCHEMA.field(0), ('ä' * 512, pa.int8())])
    assert wire.put(command, [1], schema=longest)[0] == 'OK'


def test_stamps_may_stand_anywhere_and_be_nullable_but_not_null(wire):
    schema = pa.schema([('x', pa.float64()), ('timestamp_ns', pa.int64())])
    assert wire.put(wire.topic('t'), [2, 1], schema=schema)[0] == 'OK'
    assert wire.remote.get('t').schema.remove_metadata() == schema
    code, details = wire.put(wire.topic('u'), [1, None], schema=schema)
    assert (code, 'without timestamp_ns' in details) == ('INVALID_ARGUMENT', True)


def test_a_cancelled_upload_is_never_complete(wire):
    remote = wire.remote
    session = remote.session()
    sent = wire.frames(remote.topic('t', session).command, [batch(1, 2)], SCHEMA)
    over = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield from sent
        over.wait(20)

    call = remote.channel.stream_stream(SERVICE + 'DoPut')(slowly())
    locator, uuid = f'{wire.sequence}/t', session['uuid']
    assert eventually(
        lambda: 'still being uploaded' in wire.act('session_finalize', session_uuid=uuid)[1]
    )
    call.cancel()
    (note,) = eventually(
        lambda: remote.act('topic_notification_list', locator=locator)['notifications']
    )
    over.set()
    assert 'the client cancelled the upload or went away' in note['msg']
    assert remote.topic_info('t')['locked'] is False
    assert wire.act('session_delete', locator=session['locator'])[0] == 'OK'
    assert wire.describe('GetFlightInfo', resource_locator=locator)[0] == 'NOT_FOUND'


def test_a_batch_that_contradicts_the_schema_ends_the_upload_with_a_note(wire):
    remote = wire.remote
    strange = pa.record_batch([pa.array([3])], schema=pa.schema([SCHEMA.field(0)]))
    sent = wire.frames(remote.topic('t').command, [batch(1, 2)], SCHEMA)
    sent += wire.frames(b'{}', [strange], strange.schema)[1:]
    assert wire.put_raw(sent)[0] == 'INVALID_ARGUMENT'
    locator = f'{wire.sequence}/t'
    (note,) = remote.act('topic_notification_list', locator=locator)['notifications']
    assert 'was interrupted' in note['msg']
    assert '2 rows are durable' in note['msg']
    assert remote.topic_info('t')['locked'] is False
    remote.act('topic_notification_purge', locator=locator)
    assert remote.act('topic_notification_list', locator=locator) == {'notifications': []}
