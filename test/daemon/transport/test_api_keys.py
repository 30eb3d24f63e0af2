"""API keys at a real daemon: every call, every kind of key."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.ipc import BatchWriter
from mosaico_ros.protocol.api_keys import API_KEY_HEADER, ApiKeyToken, Permission

SERVICE = '/arrow.flight.protocol.FlightService/'
SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])
LADDER = [permission.value for permission in Permission]

# What each action needs.
ACTIONS = {
    'info': 'read',
    'version': 'read',
    'query': 'read',
    'topic_filter_clusterize': 'read',
    'topic_filter_intersect': 'read',
    'sequence_notification_list': 'read',
    'topic_notification_list': 'read',
    'no_such_action': 'read',
    'sequence_create': 'write',
    'session_create': 'write',
    'session_finalize': 'write',
    'session_seal': 'write',
    'session_annotate': 'write',
    'topic_create': 'write',
    'sequence_notification_create': 'write',
    'topic_notification_create': 'write',
    'sequence_delete': 'delete',
    'session_delete': 'delete',
    'topic_delete': 'delete',
    'sequence_notification_purge': 'delete',
    'topic_notification_purge': 'delete',
    'api_key_create': 'manage',
    'api_key_status': 'manage',
    'api_key_revoke': 'manage',
}
CALLS = {
    'ListActions': 'read',
    'ListFlights': 'read',
    'GetFlightInfo': 'read',
    'GetSchema': 'read',
    'DoGet': 'read',
    'DoPut': 'write',
} | {f'DoAction {name}': needed for name, needed in ACTIONS.items()}


def upload(descriptor: dict[str, Any], stamps: list[list[int]]) -> list[bytes]:
    """Serialized FlightData of an upload: descriptor and schema, then one message per batch."""
    named = flight.FlightDescriptor.for_command(json.dumps(descriptor)).serialize()
    writer = BatchWriter(SCHEMA)
    length = bytes([len(named) & 127 | 128, len(named) >> 7])
    frames = [b'\x0a' + length + named + writer.begin()]
    for batch in stamps:
        frames += writer.write(pa.record_batch([pa.array(batch)], schema=SCHEMA))
    return frames


@dataclass
class Caller:
    """The daemon over bare gRPC."""

    channel: grpc.Channel

    def call(self, kind: str, key: str | None, request: Any = b'') -> list[bytes]:
        """Perform a call with a key; `DoAction NAME` takes the body as request."""
        metadata = [] if key is None else [(API_KEY_HEADER, key)]
        method, _, action = kind.partition(' ')
        if action:
            request = messages.Action(type=action, body=request).SerializeToString()
        options: dict[str, Any] = {'timeout': 20, 'metadata': metadata}
        path = SERVICE + method
        if method == 'DoPut':
            return list(self.channel.stream_stream(path)(iter(request), **options))
        if method in ('GetFlightInfo', 'GetSchema'):
            return [self.channel.unary_unary(path)(request, **options)]
        return list(self.channel.unary_stream(path)(request, **options))

    def status(self, kind: str, key: str | None, request: Any = b'') -> tuple[str, str]:
        """Return status and details of a call."""
        try:
            self.call(kind, key, request)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return 'OK', ''

    def act(self, name: str, key: str, **body: Any) -> Any:
        results = self.call(f'DoAction {name}', key, json.dumps(body).encode())
        answer = b''.join(messages.Result.FromString(result).body for result in results)
        return json.loads(answer)['response'] if answer else None


@pytest.fixture
def keys(keyed_daemon):
    return keyed_daemon[1]


@pytest.fixture
def caller(keyed_daemon):
    with grpc.insecure_channel(f'127.0.0.1:{keyed_daemon[0].port}') as channel:
        yield Caller(channel)


@pytest.fixture
def new_topic(caller, keys, request):
    """``new_topic()`` makes a topic and returns the descriptor to upload it with."""
    sequence = f's{abs(hash(request.node.name)):x}'
    key = keys['write']
    caller.act('sequence_create', key, locator=sequence, user_metadata={})
    session = caller.act('session_create', key, locator=sequence)
    count = 0

    def make() -> dict[str, str]:
        nonlocal count
        count += 1
        locator = f'{sequence}/t{count}'
        created = caller.act(
            'topic_create',
            key,
            session_uuid=session['uuid'],
            locator=locator,
            serialization_format='default',
            ontology_tag='T',
            user_metadata={},
        )
        return {'resource_locator': locator, 'topic_uuid': created['uuid']}

    return make


@pytest.fixture
def requests(caller, keys, new_topic):
    """A request for each call that succeeds with a sufficient key, where one is harmless."""
    stored = new_topic()
    caller.call('DoPut', keys['write'], upload(stored, [[1, 2]]))
    described = flight.FlightDescriptor.for_command(
        json.dumps({'resource_locator': stored['resource_locator']})
    ).serialize()
    (info,) = caller.call('GetFlightInfo', keys['read'], described)
    ticket = messages.FlightInfo.FromString(info).endpoint[0].ticket
    return {
        'GetFlightInfo': described,
        'GetSchema': described,
        'DoGet': ticket.SerializeToString(),
        'DoAction info': b'{}',
        'DoAction version': b'{}',
    }


def test_every_call_with_every_kind_of_key(caller, keys, requests, new_topic):
    for kind, needed in CALLS.items():
        text = f'needs a valid API key with the permission {needed!r}'
        at_least_read = "needs a valid API key with the permission 'read'"
        for invalid in ('none', 'malformed', 'unknown', 'expired', 'revoked'):
            key = {'none': None, 'malformed': 'open sesame'}.get(invalid, keys.get(invalid))
            status, details = caller.status(kind, key, requests.get(kind, b''))
            assert status == 'PERMISSION_DENIED', (kind, invalid, details)
            assert at_least_read in details
        for held in LADDER:
            request = requests.get(kind, b'')
            if kind == 'DoPut':
                request = upload(new_topic(), [[1]])
            status, details = caller.status(kind, keys[held], request)
            if LADDER.index(held) < LADDER.index(needed):
                assert (status, text in details) == ('PERMISSION_DENIED', True), (kind, held)
            elif kind in requests or not kind.startswith('DoAction'):
                assert status == 'OK', (kind, held, details)
            else:  # let through; the body is empty
                assert status in ('INVALID_ARGUMENT', 'OK'), (kind, held, details)


def test_the_table_above_is_complete(caller, keys):
    listed = caller.call('ListActions', keys['read'])
    names = {messages.ActionType.FromString(one).type for one in listed}
    assert names == set(ACTIONS) - {'no_such_action'}


def test_two_keys_are_none(caller, keys):
    twice = [(API_KEY_HEADER, keys['manage'])] * 2
    call = caller.channel.unary_stream(SERVICE + 'ListActions')
    with pytest.raises(grpc.RpcError) as caught:
        list(call(b'', metadata=twice, timeout=20))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_keys_are_managed_by_actions(caller, keys):
    manage = keys['manage']
    expiry = time.time_ns() + 10**12
    created = caller.act(
        'api_key_create',
        manage,
        permissions=['read', 'write'],
        description='lab',
        expires_at_ns=expiry,
    )
    assert set(created) == {'api_key_token'}
    token = ApiKeyToken.parse(created['api_key_token'])
    caller.act('session_create', token.reveal(), locator=sequence_of(caller, manage))

    status = caller.act('api_key_status', manage, api_key_fingerprint=token.fingerprint)
    assert abs(status.pop('created_at_ns') - time.time_ns()) < 60e9
    assert status == {
        'api_key_fingerprint': token.fingerprint,
        'expires_at_ns': expiry,
        'description': 'lab',
    }
    forever = caller.act('api_key_create', manage, permissions='read', description='')
    fingerprint = ApiKeyToken.parse(forever['api_key_token']).fingerprint
    shown = caller.act('api_key_status', manage, api_key_fingerprint=fingerprint)
    assert shown['expires_at_ns'] is None

    for key in (token.fingerprint, fingerprint):
        assert caller.act('api_key_revoke', manage, api_key_fingerprint=key) is None
        gone = json.dumps({'api_key_fingerprint': key}).encode()
        assert caller.status('DoAction api_key_revoke', manage, gone)[0] == 'NOT_FOUND'
        assert caller.status('DoAction api_key_status', manage, gone)[0] == 'NOT_FOUND'


def sequence_of(caller: Caller, key: str) -> str:
    name = f's{time.time_ns():x}'
    caller.act('sequence_create', key, locator=name, user_metadata={})
    return name


@pytest.mark.parametrize(
    'body',
    [
        {},
        {'permissions': 'admin'},
        {'permissions': []},
        {'permissions': ['read', 'admin']},
        {'permissions': ['read', 3]},
        {'permissions': 'read', 'expires_at_ns': 1},
        {'permissions': 'read', 'expires_at_ns': 'tomorrow'},
    ],
)
def test_unusable_requests_for_keys(caller, keys, body):
    request = json.dumps(body).encode()
    status, _ = caller.status('DoAction api_key_create', keys['manage'], request)
    assert status == 'INVALID_ARGUMENT'


def test_a_token_sent_as_fingerprint_is_not_repeated(caller, keys):
    token = keys['read']
    request = json.dumps({'api_key_fingerprint': token}).encode()
    status, details = caller.status('DoAction api_key_status', keys['manage'], request)
    assert status == 'INVALID_ARGUMENT'
    assert ApiKeyToken.parse(token).payload not in details


def test_revocation_stops_new_calls_and_running_ones(caller, keys, new_topic):
    manage = keys['manage']
    made = caller.act('api_key_create', manage, permissions='write')['api_key_token']
    fingerprint = ApiKeyToken.parse(made).fingerprint
    descriptor = new_topic()
    first, *batches = upload(descriptor, [[i] for i in range(400)])
    revoked_at = sent_at = 0.0

    def slowly():
        nonlocal revoked_at, sent_at
        yield first
        for i, batch in enumerate(batches):
            if i == 10:
                caller.act('api_key_revoke', manage, api_key_fingerprint=fingerprint)
                revoked_at = time.monotonic()
            yield batch
            sent_at = time.monotonic()
            time.sleep(0.02)

    status, details = caller.status('DoPut', made, slowly())
    assert (status, 'DoPut needs a valid API key' in details) == ('PERMISSION_DENIED', True)
    assert sent_at - revoked_at < 5
    assert caller.status('ListFlights', made)[0] == 'PERMISSION_DENIED'
    # What had arrived is kept; what the key could no longer send is not there.
    locator = descriptor['resource_locator']
    described = flight.FlightDescriptor.for_command(json.dumps({'resource_locator': locator}))
    (info,) = caller.call('GetFlightInfo', manage, described.serialize())
    rows = json.loads(messages.FlightInfo.FromString(info).endpoint[0].app_metadata)
    assert 10 <= rows['data_info']['total_row_count'] < 400


def test_revocation_stops_a_running_read(caller, keys, new_topic):
    made = caller.act('api_key_create', keys['manage'], permissions='read')['api_key_token']
    descriptor = new_topic()
    stamps = [list(range(i, i + 50_000)) for i in range(0, 2_000_000, 50_000)]
    caller.call('DoPut', keys['write'], upload(descriptor, stamps))
    locator = {'resource_locator': descriptor['resource_locator']}
    named = flight.FlightDescriptor.for_command(json.dumps(locator)).serialize()
    (info,) = caller.call('GetFlightInfo', made, named)
    ticket = messages.FlightInfo.FromString(info).endpoint[0].ticket.SerializeToString()

    everything = len(caller.call('DoGet', made, ticket))
    reading = caller.channel.unary_stream(SERVICE + 'DoGet')(
        ticket, metadata=[(API_KEY_HEADER, made)], timeout=30
    )
    assert next(reading)
    fingerprint = ApiKeyToken.parse(made).fingerprint
    caller.act('api_key_revoke', keys['manage'], api_key_fingerprint=fingerprint)
    time.sleep(1.5)
    got = 1
    with pytest.raises(grpc.RpcError) as caught:  # noqa: PT012
        for _ in reading:
            got += 1
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert got < everything


def test_no_secret_reaches_the_debug_log(caller, keys, keyed_daemon):
    manage = keys['manage']
    made = caller.act('api_key_create', manage, permissions='read')['api_key_token']
    token = ApiKeyToken.parse(made)
    for sent in (made, made[:-1], made.upper(), f'Bearer {made}', token.payload):
        caller.status('DoAction sequence_delete', sent, b'{"locator": "x"}')
        body = json.dumps({'api_key_fingerprint': sent}).encode()
        caller.status('DoAction api_key_status', manage, body)
    # Sent as something else, it would be quoted as that.
    misplaced = json.dumps({'permissions': made, 'locator': made}).encode()
    for action in ('api_key_create', 'sequence_create', 'sequence_delete', made):
        _, details = caller.status(f'DoAction {action}', manage, misplaced)
        assert token.payload not in details
    caller.act('api_key_revoke', manage, api_key_fingerprint=token.fingerprint)
    caller.status('ListFlights', made)
    log = keyed_daemon[0].log.read_text()
    assert token.fingerprint in log  # the log does speak of the key
    for key in [made, *keys.values()]:
        assert key.split('_')[1] not in log.lower()
