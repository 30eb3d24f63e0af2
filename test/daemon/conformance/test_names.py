"""Names in every place where one can stand: unique, unknown, spelled oddly, hostile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

ULID = '01JB2M4T9QX7WZ3N5V8K6R1C0D'
UUID = '6f0b1c2e-51ab-4f0e-9c69-0d6b1f9d2a11'
CONDITION = {'T.x': {'$gt': 1}}

BAD_PARTS = [
    '..', '.', 'a.b', 'a b', 'a\\b', 'a:b', 'a%2e%2e', '%00', 'a\0b', 'a\nb', 'a*', 'a?b', '~',
    '$HOME', 'ü', 'a\u200b', '\u202eb', "a'", 'a"', 'a;b', 'con.', '\uff0e\uff0e', 'x' * 256,
]  # fmt: skip


def places(name: str) -> Iterator[tuple[str, Callable[[object], tuple[str, str]]]]:
    """Yield each place where a name can stand: label, and the call that puts it there."""
    info = {'timestamp_ns_start': 0}

    def act(action: str, **body: object) -> Callable[[object], tuple[str, str]]:
        return lambda wire: wire.act(action, **body)

    for action in ('sequence_create', 'sequence_delete', 'session_create'):
        yield action, act(action, locator=name)
    yield 'session_delete', act('session_delete', locator=f'{name}:{ULID}')
    for kind, locator in (('sequence', name), ('topic', f'{name}/t'), ('topic', f'x/{name}')):
        created = {'notification_type': 'error', 'msg': 'm'}
        yield locator, act(f'{kind}_notification_create', locator=locator, **created)
        yield locator, act(f'{kind}_notification_list', locator=locator)
        yield locator, act(f'{kind}_notification_purge', locator=locator)
    for locator in (f'{name}/t', f'x/{name}', f'x/a/{name}/b'):
        yield locator, act('topic_delete', locator=locator)
        yield (
            locator,
            act(
                'topic_create',
                session_uuid=UUID,
                locator=locator,
                serialization_format='default',
                ontology_tag='T',
            ),
        )
        cluster = {'locator': locator, 'clustering_dt_ns': 0, 'ontology': CONDITION}
        yield locator, act('topic_filter_clusterize', **cluster)
        yield locator, act('topic_filter_intersect', topics=[cluster, cluster])
        yield locator, lambda wire, at=locator: wire.describe('GetSchema', resource_locator=at)
        command = {'resource_locator': locator, 'topic_uuid': UUID}
        yield locator, lambda wire, at=command: wire.put(at, [1])
    for locator in (name, f'{name}/t', f'x/{name}'):
        yield (
            locator,
            lambda wire, at=locator: wire.describe('GetFlightInfo', resource_locator=at, **info),
        )
        text = locator.encode()
        length = bytes([len(text) & 127 | 128, len(text) >> 7])
        ticket = b'\x0a' + length + text + b'\x10\x05'
        yield f'ticket {locator}', lambda wire, at=ticket: wire.get(at)


@pytest.mark.parametrize('part', BAD_PARTS, ids=ascii)
def test_no_hostile_name_passes_anywhere(wire, part):
    for label, call in places(part):
        code, details = call(wire)
        # Two dots after a colon are no session; what has none is no topic.
        assert code == 'INVALID_ARGUMENT', (label, details)


def test_slashes_alone_name_nothing(wire):
    for name in ('', '/', '///'):
        for action in ('sequence_create', 'sequence_delete', 'session_create', 'topic_delete'):
            assert wire.act(action, locator=name)[0] == 'INVALID_ARGUMENT'
        assert wire.describe('GetFlightInfo', resource_locator=name)[0] == 'INVALID_ARGUMENT'


def test_hostile_names_in_queries_find_nothing(wire):
    wire.topic('t')
    for part in BAD_PARTS:
        if '\0' in part:  # text that one of the catalogs cannot hold is refused there
            continue
        for section in (
            {'sequence': {'name': {'$eq': part}}},
            {'topic': {'name': {'$in': [part, f'../{part}']}}},
            {'sequence': {'locator': {'$eq': f'{part}/{part}'}}},
        ):
            assert wire.remote.act('query', **section) == {'items': []}


@pytest.mark.parametrize(
    ('name', 'good'),
    [
        ('x' * 255, True),
        ('0', True),
        ('a-b_C', True),
        ('_a', False),
        ('-a', False),
        ('a/b', False),
        (f'a:{ULID}', False),
    ],
)
def test_sequence_names(wire, name, good):
    name = name.replace('x' * 255, wire.sequence.ljust(255, 'x'))
    code, _ = wire.act('sequence_create', locator=name)
    assert code == ('OK' if good else 'INVALID_ARGUMENT')
    if good:
        assert wire.remote.act('sequence_delete', locator=name) is None


def test_long_topic_names(wire):
    session = wire.remote.session()
    longest = '/'.join(['y' * 255] * 3)
    path = f'{longest}/{"y" * (1024 - len(wire.sequence) - len(longest) - 2)}'
    assert wire.put(wire.topic(path, session), [1, 2])[0] == 'OK'
    assert wire.remote.get(path).num_rows == 2
    code, details = wire.act(
        'topic_create',
        session_uuid=session['uuid'],
        locator=f'{wire.sequence}/{path}y',
        serialization_format='default',
        ontology_tag='T',
    )
    assert (code, '1025 characters' in details) == ('INVALID_ARGUMENT', True)


@pytest.mark.parametrize(
    ('tag', 'code'),
    [('x' * 255, 'OK'), ('\U0001f916' * 255, 'OK'), ('x' * 256, 'INVALID_ARGUMENT'),
     ('', 'INVALID_ARGUMENT'), ('a\0b', 'INVALID_ARGUMENT'), ('../x y;--', 'OK')],
)  # fmt: skip
def test_ontology_tags(wire, tag, code):
    session = wire.remote.session()
    body = {'session_uuid': session['uuid'], 'locator': f'{wire.sequence}/t'}
    got, _ = wire.act('topic_create', **body, serialization_format='default', ontology_tag=tag)
    assert got == code


def test_outer_slashes_do_not_count(wire):
    name = wire.sequence
    wire.remote.act('sequence_create', locator=f'/{name}/', user_metadata={'a': 1})
    assert wire.act('sequence_create', locator=name)[0] == 'ALREADY_EXISTS'
    session = wire.remote.act('session_create', locator=f'/{name}')
    assert session['locator'].startswith(f'{name}:')
    wire.put(wire.topic('arm/imu', session), [1, 2])
    info = wire.remote.topic_info('arm/imu')
    assert info['resource_locator'] == f'{name}/arm/imu'
    for spelled in (f'/{name}/arm/imu', f'{name}//arm///imu/', f'//{name}/arm/imu//'):
        assert wire.describe('GetFlightInfo', resource_locator=spelled)[0] == 'OK'
        listed = wire.remote.act('topic_notification_list', locator=spelled)
        assert listed == {'notifications': []}
    assert wire.remote.act('sequence_notification_list', locator=f'/{name}/') == listed
    assert wire.act('session_delete', locator=f'/{session["locator"]}/')[0] == 'OK'
    assert wire.act('sequence_delete', locator=f'/{name}')[0] == 'OK'


def test_taken_names(wire):
    first = wire.remote.session()
    assert wire.act('sequence_create', locator=wire.sequence)[0] == 'ALREADY_EXISTS'
    wire.put(wire.topic('t', first), [1])
    wire.remote.act('session_finalize', session_uuid=first['uuid'])
    second = wire.remote.session()  # a name is taken in the whole sequence
    again = {'serialization_format': 'default', 'ontology_tag': 'T'}
    for spelled in ('t', '/t', 't/'):
        code, _ = wire.act(
            'topic_create',
            session_uuid=second['uuid'],
            locator=f'{wire.sequence}/{spelled}',
            **again,
        )
        assert code == 'ALREADY_EXISTS'
    # A path may lead through another topic's name.
    assert wire.topic('t/deeper', second)


def test_unknown_names(wire):
    known = wire.sequence
    wire.remote.session()
    expected = {
        'sequence_create': 'OK',
        'sequence_delete': 'OK',
        'ticket no_such': 'INVALID_ARGUMENT',  # of a sequence there are none
    }
    for label, call in places('no_such'):
        code, details = call(wire)
        wanted = expected.get(label, 'NOT_FOUND')
        assert code == wanted, (label, details)
    for body in ({'locator': f'{known}:{ULID}'}, {'session_uuid': UUID}):
        assert wire.act('session_delete', **body)[0] == 'NOT_FOUND'
    assert wire.act('session_finalize', session_uuid=UUID)[0] == 'NOT_FOUND'
    assert wire.describe('GetFlightInfo', resource_locator=f'{known}/t')[0] == 'NOT_FOUND'
    for action in ('api_key_status', 'api_key_revoke'):
        assert wire.act(action, api_key_fingerprint='0a1b2c3d')[0] == 'NOT_FOUND'


def test_a_session_of_another_sequence_is_no_authority(wire):
    session = wire.remote.session()
    wire.remote.act('sequence_create', locator=f'{wire.sequence}_b')
    code, _ = wire.act(
        'topic_create',
        session_uuid=session['uuid'],
        locator=f'{wire.sequence}_b/t',
        serialization_format='default',
        ontology_tag='T',
    )
    assert code == 'PERMISSION_DENIED'
    foreign = session['locator'].replace(wire.sequence, f'{wire.sequence}_b')
    assert wire.act('session_delete', locator=foreign)[0] == 'NOT_FOUND'


def test_criteria_of_listings(wire):
    wire.remote.session()
    paths = [info.descriptor.path for info in wire.remote.client.list_flights()]
    assert [wire.sequence.encode()] in paths
    assert all(len(path) == 1 for path in paths)
    body = json.loads(wire.remote.info().app_metadata)
    assert body['resource_locator'] == wire.sequence
