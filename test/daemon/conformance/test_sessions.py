"""Sessions: layers of a sequence, isolated, finalized and deleted one by one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros.daemon.settings import variable

CREATION = {'serialization_format': 'default', 'ontology_tag': 'T'}


def layers(wire) -> dict[str, Any]:
    """The sequence's sessions as readers see them, by ULID."""
    body = json.loads(wire.remote.info().app_metadata)
    return {session['locator']: session for session in body['sessions']}


def test_finalizing_needs_topics_that_are_all_complete(wire):
    session = wire.remote.session()
    finalize = {'session_uuid': session['uuid']}
    code, details = wire.act('session_finalize', **finalize)
    assert (code, 'no topics' in details) == ('FAILED_PRECONDITION', True)
    first, second = wire.topic('a', session), wire.topic('b', session)
    wire.put(first, [1])
    code, details = wire.act('session_finalize', **finalize)
    assert (code, f'{wire.sequence}/b has no data' in details) == ('FAILED_PRECONDITION', True)
    descriptor = flight.FlightDescriptor.for_command(json.dumps(second))
    writer, _ = wire.remote.client.do_put(descriptor, wire.remote.get('a').schema)
    code, details = wire.act('session_finalize', **finalize)
    assert code == 'FAILED_PRECONDITION'
    writer.close()
    assert wire.act('session_finalize', **finalize)[0] == 'OK'
    code, details = wire.act('session_finalize', **finalize)
    assert (code, 'already finalized' in details) == ('FAILED_PRECONDITION', True)
    layer = layers(wire)[session['locator']]
    assert layer['locked'] is True
    assert layer['completed_at_ns'] >= layer['created_at_ns']


def test_a_finalized_session_takes_nothing_more(wire):
    session = wire.remote.session()
    wire.put(wire.topic('a', session), [1])
    wire.remote.act('session_finalize', session_uuid=session['uuid'])
    late = {'session_uuid': session['uuid'], 'locator': f'{wire.sequence}/late'} | CREATION
    assert wire.act('topic_create', **late)[0] == 'FAILED_PRECONDITION'
    code, _ = wire.act('topic_create', **(late | {'locator': f'{wire.sequence}/a'}))
    assert code == 'FAILED_PRECONDITION'


def test_open_sessions_side_by_side(wire):
    """Each is written, finalized and deleted without the others noticing."""
    remote = wire.remote
    sessions = [remote.session() for _ in range(4)]
    commands = [wire.topic(f't{i}', session) for i, session in enumerate(sessions)]
    for i in (2, 0, 3, 1):
        assert wire.put(commands[i], [i])[0] == 'OK'
        # Reading does not wait for the session, nor for anybody else's.
        assert remote.get(f't{i}').num_rows == 1
    remote.act('session_finalize', session_uuid=sessions[2]['uuid'])
    assert [layer['locked'] for layer in layers(wire).values()] == [False, False, True, False]
    for key, at in (('locator', 0), ('session_uuid', 2)):  # an open and a finalized one
        name = sessions[at]['locator' if key == 'locator' else 'uuid']
        assert wire.act('session_delete', **{key: name})[0] == 'OK'
        assert wire.act('session_delete', **{key: name})[0] == 'NOT_FOUND'
    assert [layer['topics'] for layer in layers(wire).values()] == [
        [f'{wire.sequence}/t1'],
        [f'{wire.sequence}/t3'],
    ]
    assert wire.put(wire.topic('t0', sessions[1]), [9])[0] == 'OK'  # the name is free again
    assert wire.put(commands[0], [9])[0] == 'NOT_FOUND'
    assert [endpoint['resource_locator'][-2:] for endpoint in endpoints(wire)] == [
        't1', 't0', 't3',
    ]  # fmt: skip


def endpoints(wire) -> list[dict[str, Any]]:
    return [json.loads(endpoint.app_metadata) for endpoint in wire.remote.info().endpoints]


def test_deleting_a_sequence_takes_its_open_sessions_too(wire):
    remote = wire.remote
    done, opened = remote.session(), remote.session()
    wire.put(wire.topic('done', done), [1])
    remote.act('session_finalize', session_uuid=done['uuid'])
    unused = wire.topic('unused', opened)
    schema = remote.get('done').schema
    writer, _ = remote.client.do_put(remote.topic('running', opened), schema)
    ticket = remote.info('done').endpoints[0].ticket.ticket
    notice = {'locator': wire.sequence, 'notification_type': 'error', 'msg': 'm'}
    remote.act('sequence_notification_create', **notice)

    assert wire.act('sequence_delete', locator=wire.sequence)[0] == 'OK'
    assert wire.act('sequence_delete', locator=wire.sequence)[0] == 'NOT_FOUND'
    assert wire.put(unused, [1])[0] == 'NOT_FOUND'
    assert wire.get(ticket)[0] == 'NOT_FOUND'
    assert wire.act('session_create', locator=wire.sequence)[0] == 'NOT_FOUND'
    for session in (done, opened):
        assert wire.act('session_finalize', session_uuid=session['uuid'])[0] == 'NOT_FOUND'
        assert wire.act('session_delete', locator=session['locator'])[0] == 'NOT_FOUND'
    with pytest.raises(Exception, match=wire.sequence):
        writer.close()
    assert remote.session()  # the name may be used again at once
    assert layers(wire).keys().isdisjoint({done['locator'], opened['locator']})
    listed = remote.act('sequence_notification_list', locator=wire.sequence)
    assert listed == {'notifications': []}


def test_topics_are_deleted_one_by_one(wire):
    session = wire.remote.session()
    for name in 'ab':
        wire.put(wire.topic(name, session), [1])
    locator = f'{wire.sequence}/a'
    assert wire.act('topic_delete', locator=locator)[0] == 'OK'
    assert wire.act('topic_delete', locator=locator)[0] == 'NOT_FOUND'
    assert [endpoint['resource_locator'] for endpoint in endpoints(wire)] == [f'{wire.sequence}/b']


def test_uuids_are_never_shown_to_readers(wire):
    session = wire.remote.session()
    command = wire.topic('t', session)
    wire.put(command, [1])
    shown = wire.remote.info().serialize() + wire.remote.info('t').serialize()
    shown += json.dumps(
        wire.remote.act('query', sequence={'name': {'$eq': wire.sequence}})
    ).encode()
    for info in wire.remote.client.list_flights():
        shown += info.serialize()
    for uuid in (session['uuid'], command['topic_uuid']):
        assert uuid.encode() not in shown


@pytest.fixture(params=['sqlite+folder', 'postgres+s3'])
def fleet(request: pytest.FixtureRequest, make_daemon: Any, connect: Any) -> list[Any]:
    """Two daemons of one archive."""
    storage: dict[str, Any] = {}
    if request.param == 'postgres+s3':
        storage = request.getfixturevalue('remote_storage')
    first = make_daemon(**{variable(name): value for name, value in storage.items()})
    if storage:
        second = make_daemon(**first.environment)
    else:  # on one host daemons may share a folder
        second = make_daemon('--data-dir', str(first.data_dir))
    remotes = [connect(first), connect(second)]
    remotes[1].sequence = remotes[0].sequence
    return remotes


def test_of_racing_names_one_wins_and_the_losers_know(fleet):
    name = fleet[0].sequence
    session = fleet[0].session()

    def attempt(number: int) -> str:
        remote = fleet[number % 2]
        try:
            if number % 4 < 2:
                remote.act('sequence_create', locator=f'{name}_{number // 8}')
            else:
                locator = f'{name}/t{number // 8}'
                remote.act(
                    'topic_create', session_uuid=session['uuid'], locator=locator, **CREATION
                )
        except Exception as error:
            return str(error)
        return 'won'

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(64)))
    for kind in (0, 2):
        for group in range(8):
            raced = [outcomes[group * 8 + at + kind] for at in (0, 1, 4, 5)]
            assert raced.count('won') == 1, raced
            assert all('already exists' in lost for lost in raced if lost != 'won')


def test_layers_are_written_through_both_daemons_at_once(fleet):
    schema = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])
    name = fleet[0].sequence
    fleet[0].session()

    def layer(number: int) -> None:
        one, other = fleet[number % 2], fleet[1 - number % 2]
        session = one.act('session_create', locator=name)
        descriptor = other.topic(f't{number}', session)
        writer, _ = one.client.do_put(descriptor, schema)
        writer.write_batch(pa.record_batch([pa.array([number])], schema=schema))
        writer.close()
        # Readable through the other daemon as soon as the stream has ended.
        assert other.get(f't{number}')['timestamp_ns'].to_pylist() == [number]
        other.act('session_finalize', session_uuid=session['uuid'])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(layer, range(12)))
    body = json.loads(fleet[0].info().app_metadata)
    assert [layer['locked'] for layer in body['sessions']] == [False] + [True] * 12
    assert len(fleet[1].info().endpoints) == 12
