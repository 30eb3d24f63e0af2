"""The Flight service of a real daemon: round trips, statuses, limits."""

from __future__ import annotations

import json
import threading
import time

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.frames import Frame, read_frame, write_frame
from mosaico_ros.daemon.transport.ipc import BatchWriter

MIB = 1 << 20
STAMPS = pa.field('timestamp_ns', pa.int64(), nullable=False)


def rows(count: int, **columns: pa.Array) -> pa.RecordBatch:
    """A batch with `count` ascending stamps and further columns."""
    schema = pa.schema([STAMPS, *(pa.field(name, a.type) for name, a in columns.items())])
    return pa.record_batch([pa.array(range(count)), *columns.values()], schema=schema)


def frames(batch: pa.RecordBatch, descriptor: flight.FlightDescriptor) -> list[bytes]:
    """What a client sends to upload one batch."""
    writer = BatchWriter(batch.schema)
    first = descriptor.serialize()
    return [b'\x0a' + _varint(len(first)) + first + writer.begin(), *writer.write(batch)]


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def status(call, *args, **options):
    """The gRPC status a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **options)
    return caught.value.code(), caught.value.details()


# --- Round trips ------------------------------------------------------------------------------


def test_odd_schemas_come_back_exactly(remote):
    stamps = pa.array([1, 2, 3])
    columns = {
        'nested': pa.array([[[1, None], []], None, [[2]]], pa.list_(pa.list_(pa.int16()))),
        'fixed': pa.array([[1.0, 2.0], [None, 0.5], [3.0, None]], pa.list_(pa.float32(), 2)),
        'map': pa.array([[('k', 1)], None, []], pa.map_(pa.string(), pa.int32())),
        'struct': pa.array([{'a': 1}, None, {'a': None}], pa.struct([('a', pa.int8())])),
        'code': pa.array(['x', None, 'y']).dictionary_encode(),
        'halves': pa.array(np.array([1.5, 0, -2], np.float16)),
    }
    schema = pa.schema(
        [STAMPS.with_metadata({b'description': b'when'})]
        + [pa.field(name, array.type) for name, array in columns.items()],
        {b'made by': b'a test'},
    )
    batch = pa.record_batch([stamps, *columns.values()], schema=schema)
    remote.put('odd', [batch])
    table = remote.get('odd')
    assert table.schema.remove_metadata().equals(schema.remove_metadata())
    assert table.schema.field(0).metadata == {b'description': b'when'}
    assert table.schema.metadata[b'made by'] == b'a test'
    assert table.schema.metadata[b'mosaico:context'] == b'topic'
    assert table.to_pylist() == batch.to_pylist()
    described = remote.info('odd')
    assert described.schema.equals(table.schema, check_metadata=True)
    same = remote.client.get_schema(described.descriptor).schema
    assert same.equals(table.schema, check_metadata=True)


def test_a_batch_near_the_limit_is_taken(remote):
    limit = remote.act('info')['config']['grpc_max_decode_message_size']
    size = int(0.9 * limit) // 10
    blobs = pa.array([bytes([i]) * size for i in range(10)], pa.binary())
    remote.put('big', [rows(10, data=blobs)])
    assert remote.get('big').column('data').to_pylist() == blobs.to_pylist()
    batches = list(remote.client.do_get(remote.info('big').endpoints[0].ticket))
    assert max(chunk.data.nbytes for chunk in batches) < 10 * MIB


def test_gzip_and_deflate_requests_are_decoded(remote):
    batch = rows(1000, text=pa.array(['same'] * 1000))
    for name, algorithm in (('gzip', grpc.Compression.Gzip), ('zip', grpc.Compression.Deflate)):
        remote.raw_put(frames(batch, remote.topic(name)), compression=algorithm)
        assert remote.get(name).num_rows == 1000


def test_batches_without_rows_do_no_harm(remote):
    batch = rows(5)
    remote.put('gaps', [batch.slice(0, 0), batch, batch.slice(0, 0)])
    assert remote.get('gaps').num_rows == 5


def test_sequences_are_listed_by_one_path_component(remote):
    remote.session()
    for criteria in (b'', b'/'):
        paths = [info.descriptor.path for info in remote.client.list_flights(criteria)]
        assert [remote.sequence.encode()] in paths
    with pytest.raises(pa.ArrowInvalid, match='criteria'):
        list(remote.client.list_flights(b'robots'))


def test_sequence_info_has_everything_that_readers_need(remote):
    session = remote.session()
    remote.topic('a', session)
    remote.put('b', [rows(3)])
    info = remote.info()
    body = json.loads(info.app_metadata)
    assert body['resource_locator'] == remote.sequence
    assert [len(s['topics']) for s in body['sessions']] == [1, 1]
    assert body['sessions'][0]['locator'] == session['locator']
    assert all('uuid' not in s for s in body['sessions'])
    topics = [json.loads(endpoint.app_metadata) for endpoint in info.endpoints]
    assert [t['resource_locator'] for t in topics] == [f'{remote.sequence}/{n}' for n in 'ab']
    required = {'created_at_ns', 'locked', 'ontology_tag', 'serialization_format', 'user_metadata'}
    assert all(required <= set(t) and t['info']['chunks_number'] >= 0 for t in topics)
    assert info.schema.metadata[b'mosaico:user_metadata'] == b'{}'
    assert all(not endpoint.locations for endpoint in info.endpoints)


# --- Statuses ---------------------------------------------------------------------------------


def action(name: str, body: bytes = b'{}') -> bytes:
    return messages.Action(type=name, body=body).SerializeToString()


def command(**body: object) -> bytes:
    return messages.FlightDescriptor(
        type=messages.DESCRIPTOR_CMD, cmd=json.dumps(body).encode()
    ).SerializeToString()


INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ('name', 'body', 'code', 'named'),
    [
        ('nix', b'{}', INVALID, "'nix' is unknown"),
        ('query', b'{', INVALID, 'the body of query is not JSON'),
        ('query', b'[]', INVALID, 'array'),
        ('query', b'{"sequence": {"user_metadata": {"a": {"$eq": NaN}}}}', INVALID, 'NaN'),
        ('sequence_create', b'{}', INVALID, "'locator' of sequence_create is missing"),
        ('sequence_create', b'{"locator": "a b"}', INVALID, "' '"),
        ('sequence_create', b'{"locator": "a", "user_metadata": 5}', INVALID, 'JSON object'),
        ('sequence_delete', b'{"locator": "no_such"}', NOT_FOUND, 'no_such'),
        ('session_create', b'{"locator": "no_such"}', NOT_FOUND, 'no_such'),
        ('session_finalize', b'{"session_uuid": "xyz"}', INVALID, 'session_uuid'),
        (
            'session_finalize',
            b'{"session_uuid": "6f0b1c2e-51ab-4f0e-9c69-0d6b1f9d2a11"}',
            NOT_FOUND,
            'session',
        ),
        ('topic_notification_list', b'{"locator": "no/such"}', NOT_FOUND, 'no/such'),
    ],
)
def test_actions_fail_with_the_right_status(remote, name, body, code, named):
    got, details = status(remote.stream, 'DoAction', action(name, body))
    assert got is code
    assert named in details


@pytest.mark.parametrize(
    ('request_bytes', 'code'),
    [
        (command(resource_locator='no_such'), NOT_FOUND),
        (command(resource_locator='no/such'), NOT_FOUND),
        (command(resource_locator='s:01JB2M4T9QX7WZ3N5V8K6R1C0D'), INVALID),
        (command(resource_locator='a/b', timestamp_ns_start=5, timestamp_ns_end=5), INVALID),
        (command(resource_locator='a/b', timestamp_ns_end=2**70), INVALID),
        (command(), INVALID),
        (messages.FlightDescriptor(type=1, path=['a']).SerializeToString(), INVALID),
        (messages.FlightDescriptor(type=2, cmd=b'\xff').SerializeToString(), INVALID),
        (b'', INVALID),
        (b'\xff\xff', INVALID),
    ],
)
def test_descriptors_fail_with_the_right_status(remote, request_bytes, code):
    assert status(remote.unary, 'GetFlightInfo', request_bytes)[0] is code
    if b'no_such' not in request_bytes:  # a sequence has no schema, known or not
        assert status(remote.unary, 'GetSchema', request_bytes)[0] is code


@pytest.mark.parametrize(
    'ticket', [b'', b'garbage', b'{"a": 1}', b'\x0a\x03a/b', b'\x0a\xff\x01x']
)
def test_garbage_tickets_are_invalid(remote, ticket):
    code, details = status(remote.stream, 'DoGet', flight.Ticket(ticket).serialize())
    assert code is INVALID
    assert 'ticket' in details


def test_tickets_do_not_read_a_successor(remote):
    remote.put('t', [rows(3)])
    ticket = remote.info('t').endpoints[0].ticket
    remote.act('sequence_delete', locator=remote.sequence)
    remote.put('t', [rows(5)])
    assert status(remote.stream, 'DoGet', ticket.serialize())[0] is NOT_FOUND


def test_unknown_methods_are_unimplemented(remote):
    for method in ('Handshake', 'DoExchange', 'PollFlightInfo', 'Nonsense'):
        code, _ = status(remote.stream, method, b'')
        assert code is grpc.StatusCode.UNIMPLEMENTED


def test_long_details_still_arrive(remote):
    body = json.dumps({'locator': 'x' * 200 + '!' * 50_000}).encode()
    code, details = status(remote.stream, 'DoAction', action('sequence_delete', body))
    assert code is INVALID
    assert len(details) <= 2000


# --- Limits and hostile streams ---------------------------------------------------------------


def test_oversize_messages_are_resource_exhausted(remote):
    limit = remote.act('info')['config']['grpc_max_decode_message_size']
    descriptor = remote.topic('huge')
    batch = rows(1, data=pa.array([b'x' * (limit + MIB)], pa.binary()))
    code, _ = status(remote.raw_put, frames(batch, descriptor))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert remote.topic_info('huge')['locked'] is False
    body = b'{"locator": "' + b'x' * (limit + MIB) + b'"}'
    code, _ = status(remote.stream, 'DoAction', action('sequence_create', body))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_decompressed_messages_are_bounded_too(remote):
    limit = remote.act('info')['config']['grpc_max_decode_message_size']
    batch = rows(1, data=pa.array([b'x' * (3 * limit)], pa.binary()))
    code, _ = status(
        remote.raw_put, frames(batch, remote.topic('bomb')), compression=grpc.Compression.Gzip
    )
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_pyarrow_clients_see_oversize_as_an_error(remote):
    limit = remote.act('info')['config']['grpc_max_decode_message_size']
    with pytest.raises(pa.ArrowException):
        remote.put('huge', [rows(1, data=pa.array([b'x' * (limit + MIB)], pa.binary()))])


def put_errors(remote, change):
    """Upload a small batch with its frames changed; return status code and details."""
    descriptor = remote.topic(f't{time.monotonic_ns()}')
    sent = change(frames(rows(3, text=pa.array(['a', 'b', 'c'])), descriptor))
    return status(remote.raw_put, sent)


def reheaded(data: bytes, change) -> bytes:
    frame: Frame = read_frame(data)
    return write_frame(change(bytes(frame.header)), [frame.body])


@pytest.mark.parametrize(
    'change',
    [
        lambda sent: [],
        lambda sent: sent[1:],  # no schema, no descriptor
        lambda sent: [sent[0], b'\xff\xff\xff'],
        lambda sent: [sent[0], sent[1][:-20]],
        lambda sent: [sent[0], sent[0]],
        lambda sent: [sent[0], b'\xc2\x3e' + _varint(len(sent[1])) + sent[1]],
        lambda sent: [sent[0], reheaded(sent[1], lambda h: h[: len(h) // 2])],
        lambda sent: [sent[0], reheaded(sent[1], lambda h: b'\xff' * len(h))],
        lambda sent: [sent[0], reheaded(sent[1], lambda h: b'\0' * len(h))],
        lambda sent: [sent[0], write_frame(b'\xff\xff\xff\xff\0\0\0\x7f', [b'x'])],
    ],
)
def test_damaged_streams_are_invalid(remote, change):
    code, details = put_errors(remote, change)
    assert code is INVALID, details


def test_hostile_offsets_do_not_reach_native_code(remote):
    def poison(sent):
        frame = read_frame(sent[1])
        body = bytearray(frame.body)
        at = bytes(body).index(b'\x01\0\0\0\x02\0\0\0\x03\0\0\0')
        body[at + 8 : at + 12] = b'\xff\xff\xff\x7f'
        return [sent[0], write_frame(frame.header, [bytes(body)])]

    code, details = put_errors(remote, poison)
    assert code is INVALID
    assert 'unusable' in details


def test_reading_clients_may_leave_early(remote):
    data = pa.array([bytes(MIB) for _ in range(40)], pa.binary())
    remote.put('long', [rows(40, data=data)])
    ticket = remote.info('long').endpoints[0].ticket
    for _ in range(5):
        reader = remote.client.do_get(ticket)
        reader.read_chunk()
        reader.cancel()
    assert remote.get('long').num_rows == 40


def test_many_uploads_interleave(remote):
    session = remote.session()
    descriptors = [remote.topic(f't{i}', session) for i in range(8)]
    failures = []

    def upload(number: int) -> None:
        try:
            writer, _ = remote.client.do_put(descriptors[number], rows(1).schema)
            for _ in range(20):
                writer.write_batch(rows(number + 1))
            writer.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=upload, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [remote.get(f't{n}').num_rows for n in range(8)] == [20 * (n + 1) for n in range(8)]
