"""Every status that a caller can meet, from a real daemon, as gRPC and as pyarrow show it."""

from __future__ import annotations

import json
import random
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

import grpc
import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros.daemon.settings import variable
from mosaico_ros.daemon.transport import messages
from mosaico_ros.protocol.errors import ErrorCode

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])

# What published clients catch, by status.
CLASSES: dict[str, type[BaseException]] = {
    'INVALID_ARGUMENT': pa.ArrowInvalid,
    'FAILED_PRECONDITION': pa.ArrowInvalid,
    'RESOURCE_EXHAUSTED': pa.ArrowInvalid,
    'NOT_FOUND': KeyError,
    'ALREADY_EXISTS': pa.ArrowException,
    'PERMISSION_DENIED': flight.FlightUnauthorizedError,
    'UNIMPLEMENTED': NotImplementedError,
    'UNAVAILABLE': flight.FlightUnavailableError,
    'DEADLINE_EXCEEDED': flight.FlightTimedOutError,
    'INTERNAL': flight.FlightInternalError,
    'ABORTED': flight.FlightInternalError,
    'DATA_LOSS': flight.FlightInternalError,
}
# Whoever does not say who he is gets PERMISSION_DENIED, as clients expect; whoever cancels a call
# does not wait for its status.
NEVER_SEEN = {'UNAUTHENTICATED', 'CANCELLED'}
STORE_FAULTS = (flight.FlightInternalError, flight.FlightUnavailableError)
LISTING = '/arrow.flight.protocol.FlightService/ListFlights'


def caught(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as raised:
        call()
    return raised.value


def batch(*stamps: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(stamps), pa.array([0.5] * len(stamps))], schema=SCHEMA)


@pytest.fixture
def daemon(make_daemon: Callable[..., Any]) -> Any:
    """A daemon that a test may harm; quick to try again what has failed."""
    return make_daemon(MOSAICOD_LEASE_SECONDS='1')


@pytest.fixture
def own(daemon: Any, connect: Callable[[Any], Any]) -> Any:
    """The daemon that may be harmed."""
    return connect(daemon)


def test_all_statuses_are_told_of_here():
    assert set(CLASSES) | NEVER_SEEN == {code.name for code in ErrorCode}


def check(name: str, raw: grpc.RpcError | BaseException, arrow: BaseException) -> None:
    assert isinstance(raw, grpc.RpcError)
    assert raw.code().name == name
    assert isinstance(arrow, CLASSES[name]), arrow


def test_statuses_of_requests(remote):
    session = remote.session()
    remote.topic('t', session)
    for name, action, body in (
        ('INVALID_ARGUMENT', 'no_such_action', {}),
        ('INVALID_ARGUMENT', 'sequence_create', {'locator': 'a b'}),
        ('NOT_FOUND', 'sequence_delete', {'locator': 'no_such'}),
        ('ALREADY_EXISTS', 'sequence_create', {'locator': remote.sequence}),
        ('FAILED_PRECONDITION', 'session_finalize', {'session_uuid': session['uuid']}),
    ):
        data = json.dumps(body).encode()
        request = messages.Action(type=action, body=data).SerializeToString()
        check(
            name,
            caught(lambda request=request: remote.stream('DoAction', request)),
            caught(lambda action=action, body=body: remote.act(action, **body)),
        )


def test_permission_denied(keyed_daemon, connect):
    daemon, _ = keyed_daemon
    remote = connect(daemon)
    for call in (
        lambda: remote.act('info'),
        lambda: list(remote.client.list_flights()),
        lambda: remote.info(),
        lambda: remote.client.do_get(flight.Ticket(b'x')).read_all(),
    ):
        assert isinstance(caught(call), CLASSES['PERMISSION_DENIED'])
    check(
        'PERMISSION_DENIED',
        caught(lambda: remote.stream('ListFlights', b'')),
        caught(lambda: remote.act('info')),
    )


def test_unimplemented(remote):
    exchange = flight.FlightDescriptor.for_command(b'{}')

    def pyarrow_exchange() -> None:
        writer, reader = remote.client.do_exchange(exchange)
        writer.done_writing()
        reader.read_chunk()

    check(
        'UNIMPLEMENTED',
        caught(lambda: remote.stream('DoExchange', b'')),
        caught(pyarrow_exchange),
    )


def test_resource_exhausted(remote):
    limit = remote.act('info')['config']['grpc_max_decode_message_size']
    body = b'{"locator": "' + b'x' * limit + b'"}'
    request = messages.Action(type='sequence_create', body=body).SerializeToString()
    action = flight.Action('sequence_create', body)
    check(
        'RESOURCE_EXHAUSTED',
        caught(lambda: remote.stream('DoAction', request)),
        caught(lambda: list(remote.client.do_action(action))),
    )


def test_deadline_exceeded(own, daemon):
    assert own.act('info')
    daemon.process.send_signal(signal.SIGSTOP)
    info, options = flight.Action('info', b'{}'), flight.FlightCallOptions(timeout=0.2)
    try:
        check(
            'DEADLINE_EXCEEDED',
            caught(lambda: own.channel.unary_stream(LISTING)(b'', timeout=0.2).__next__()),
            caught(lambda: list(own.client.do_action(info, options))),
        )
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert own.act('info')


def test_unavailable(own, daemon):
    assert own.act('info')
    daemon.kill()
    check(
        'UNAVAILABLE',
        caught(lambda: own.stream('ListFlights', b'')),
        caught(lambda: own.act('info')),
    )


def test_aborted(remote):
    """An upload that asked for acknowledgements and ends without its end marker."""
    errors = []
    for name in 'ab':
        descriptor = remote.topic(name)
        command = json.loads(descriptor.command) | {'acks': True}
        writer, _ = remote.client.do_put(
            flight.FlightDescriptor.for_command(json.dumps(command)), SCHEMA
        )
        writer.write_batch(batch(1))
        errors.append(caught(writer.close))
    assert all(isinstance(error, CLASSES['ABORTED']) for error in errors)
    assert 'end marker' in str(errors[0])


def test_data_loss(own, daemon):
    own.put('t', [batch(1, 2, 3)])
    ticket = own.info('t').endpoints[0].ticket
    (chunk,) = daemon.data_dir.glob('store/sequences/*/topics/*/*.parquet')
    chunk.write_bytes(b'PAR1' + bytes(chunk.stat().st_size - 8) + b'PAR1')
    check(
        'DATA_LOSS',
        caught(lambda: own.stream('DoGet', ticket.serialize())),
        caught(lambda: own.client.do_get(ticket).read_all()),
    )


@pytest.mark.parametrize('storage', ['sqlite+folder', 'postgres+s3'])
def test_a_broken_store_ends_uploads_with_a_note(storage, request, make_daemon, connect):
    """A file where the store keeps its sequences."""
    given: dict[str, Any] = {}
    if storage == 'postgres+s3':
        given = request.getfixturevalue('remote_storage')
    variables = {variable(name): value for name, value in given.items()}
    daemon = make_daemon(MOSAICOD_LEASE_SECONDS='1', **variables)
    own = connect(daemon)
    store = daemon.data_dir / 'store'
    if given:
        store = request.getfixturevalue('s3_server').root / given['store_bucket']
    session = own.session()
    writer, _ = own.client.do_put(own.topic('t', session), SCHEMA)
    writer.write_batch(batch(1, 2))
    finalize = messages.Action(
        type='session_finalize', body=json.dumps({'session_uuid': session['uuid']}).encode()
    ).SerializeToString()
    while 'still being uploaded' not in str(caught(lambda: own.stream('DoAction', finalize))):
        time.sleep(0.02)

    folder = store / 'sequences'
    away = folder.rename(folder.with_name('away'))
    folder.write_text('in the way')
    assert isinstance(caught(lambda: own.act('sequence_create', locator='x')), STORE_FAULTS)
    assert isinstance(caught(writer.close), STORE_FAULTS)
    # What could not be stored is not in the catalog either.
    assert own.act('query', sequence={'name': {'$eq': 'x'}}) == {'items': []}
    assert names(own) == [[own.sequence.encode()]]

    folder.unlink()
    away.rename(folder)
    locator = f'{own.sequence}/t'
    deadline = time.monotonic() + 30
    while not (notes := own.act('topic_notification_list', locator=locator)['notifications']):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert '0 rows are durable' in notes[0]['msg']
    assert own.act('sequence_create', locator='x') is None


def names(remote: Any) -> list[list[bytes]]:
    return [info.descriptor.path for info in remote.client.list_flights()]


def test_a_full_disk_is_resource_exhausted_and_ends_the_upload_with_a_note(own, daemon):
    """A limit on the size of files stands for the disk; the notification still fits."""
    pid = daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4 << 20, -1))
    noise = random.Random(1)
    column = pa.array([noise.random() for _ in range(1_000_000)])
    large = pa.record_batch([pa.array(range(1_000_000)), column], schema=SCHEMA)
    error = caught(lambda: own.put('t', [large]))
    assert isinstance(error, CLASSES['RESOURCE_EXHAUSTED'])
    assert 'No space left' in str(error)
    listed = own.act('topic_notification_list', locator=f'{own.sequence}/t')['notifications']
    assert 'No space left' in listed[0]['msg']
    assert '0 rows are durable' in listed[0]['msg']
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    own.put('u', [large])
    assert own.get('u').num_rows == 1_000_000
    assert not list(daemon.data_dir.glob('store/tmp/*/[0-9]*'))
