"""Queries and clusters over the wire: what a reader of the protocol may rely on."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

SCHEMA = pa.schema(
    [pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64()), ('y', pa.string())]
)
Rows = list[tuple[int, float | None, str | None]]


def write(wire, path: str, tag: str, rows: Rows, **metadata: Any) -> None:
    """Write a topic of a session of its own."""
    session = wire.remote.session()
    locator = f'{wire.sequence}/{path}'
    created = wire.remote.act(
        'topic_create',
        session_uuid=session['uuid'],
        locator=locator,
        serialization_format='default',
        ontology_tag=tag,
        user_metadata=metadata,
    )
    command = {'resource_locator': locator, 'topic_uuid': created['uuid']}
    named = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
    batch = pa.RecordBatch.from_pylist(named, SCHEMA)
    assert wire.put_raw(wire.frames(command, [batch], SCHEMA))[0] == 'OK'


def found(wire, **sections: Any) -> list[str]:
    """Locators of the topics that a query finds in this test's sequence."""
    here = {'name': {'$eq': wire.sequence}}
    sections['sequence'] = here | sections.get('sequence', {})
    items = wire.remote.act('query', **sections)['items']
    assert len(items) <= 1
    return [topic['locator'].partition('/')[2] for item in items for topic in item['topics']]


def test_a_sequence_needs_a_topic_of_every_tag(wire):
    write(wire, 'a', 'A', [(1, 5.0, 'p')])
    write(wire, 'a2', 'A', [(1, 0.0, 'p')])
    write(wire, 'b', 'B', [(1, 7.0, 'q')])
    big = {'$gt': 4}
    assert found(wire, ontology={'A.x': big}) == ['a']
    assert found(wire, ontology={'A.x': big, 'B.x': big}) == ['a', 'b']
    assert found(wire, ontology={'A.x': big, 'B.x': {'$gt': 8}}) == []
    assert found(wire, ontology={'A.x': big, 'C.x': big}) == []


def test_one_row_has_to_satisfy_all_conditions_on_a_tag(wire):
    write(wire, 't', 'A', [(1, 5.0, 'p'), (2, 0.0, 'q'), (3, None, 'r'), (4, 9.0, None)])
    assert found(wire, ontology={'A.x': {'$eq': 5}, 'A.y': {'$eq': 'p'}}) == ['t']
    assert found(wire, ontology={'A.x': {'$eq': 5}, 'A.y': {'$eq': 'q'}}) == []
    assert found(wire, ontology={'A.y': {'$eq': 'r'}, 'A.x': {'$neq': 1}}) == []  # null is nothing
    assert found(wire, ontology={'A.x': {'$eq': 9}, 'A.timestamp_ns': {'$geq': 4}}) == ['t']
    assert found(wire, ontology={'A.no_such': {'$neq': 1}}) == []
    assert found(wire, ontology={'A.x': {'$eq': '5'}}) == []


def test_names_are_asked_for_with_and_without_slashes(wire):
    write(wire, 'arm/imu', 'A', [(1, 1.0, 'p')])
    write(wire, 'base', 'A', [(1, 1.0, 'p')])
    for name in ('arm/imu', '/arm/imu', '//arm/imu'):
        assert found(wire, topic={'name': {'$eq': name}}) == ['arm/imu']
        assert found(wire, topic={'name': {'$in': [name, '/none']}}) == ['arm/imu']
    for pattern in ('/arm/*', 'arm/*', '*/imu', '/???/imu', '[ab]rm/im#*', 'arm/imu'):
        expected = [] if '#' in pattern else ['arm/imu']
        assert found(wire, topic={'name': {'$match': pattern}}) == expected
    # Releases before 0.6: a substring of the whole locator.
    assert found(wire, topic={'locator': {'$match': 'rm/im'}}) == ['arm/imu']
    assert found(wire, topic={'locator': {'$eq': f'{wire.sequence}/base'}}) == ['base']
    assert found(wire, sequence={'locator': {'$match': wire.sequence[2:6]}}) == ['arm/imu', 'base']


def test_times_of_creation_have_three_spellings(wire):
    write(wire, 't', 'A', [(1, 1.0, 'p')])
    for name in ('created_at_ns', 'created_at', 'created_timestamp'):
        assert found(wire, sequence={name: {'$geq': 1}}, topic={name: {'$leq': 2**62}}) == ['t']
        assert found(wire, topic={name: {'$between': [1, 2]}}) == []


def test_existence_has_two_spellings(wire):
    write(wire, 't', 'A', [(1, 1.0, 'p')], site={'hall': 'B'})
    for there in ({'$ex': None}, '$ex'):
        assert found(wire, topic={'user_metadata': {'site.hall': there}}) == ['t']
    for missing in ({'$nex': None}, '$nex'):
        assert found(wire, topic={'user_metadata': {'site.room': missing}}) == ['t']
        assert found(wire, topic={'user_metadata': {'site.hall': missing}}) == []
    nested = {'site': {'hall': {'$eq': 'B'}}}
    assert found(wire, topic={'user_metadata': nested}) == ['t']


def test_paths_of_metadata(wire):
    metadata = {'a': {'b': {'c': 1}, 'list': [{'x': 1}, {'x': 2}, 3]}, 'c': 2, 'n': None}
    write(wire, 't', 'A', [(1, 1.0, 'p')], **metadata)
    for path, value, matches in (
        ('a.b.c', 1, True),
        ('*.b.c', 1, True),
        ('*.c', 1, False),
        ('**.c', 1, True),
        ('**.c', 2, True),
        ('a.**.c', 2, False),
        ('**.b.**.c', 1, True),
        ('a.list[*].x', 2, True),
        ('a.list[*]', 3, True),
        ('a.list', 3, True),
        ('**.x', 2, False),
        ('a.b', 1, False),
    ):
        hits = found(wire, topic={'user_metadata': {path: {'$eq': value}}})
        assert hits == (['t'] if matches else []), path
    for path, there in (('n', True), ('a.list[*]', True), ('**.d', False), ('**', True)):
        operator = '$ex' if there else '$nex'
        assert found(wire, topic={'user_metadata': {path: {operator: None}}}) == ['t'], path


def test_hostile_paths_of_metadata_stay_fast(wire):
    """Every further ``**`` would multiply the work, were the ways to a value counted."""
    deep: dict[str, Any] = {'b': 1}
    for _ in range(58):
        deep = {'a': deep}
    write(wire, 't', 'A', [(1, 1.0, 'p')], **deep)
    begin = time.monotonic()
    for last, hits in (('b', ['t']), ('c', [])):
        path = '**.a.' * 20 + f'**.{last}'
        assert found(wire, topic={'user_metadata': {path: {'$eq': 1}}}) == hits
    assert time.monotonic() - begin < 5


def test_times_of_matches_are_given_when_asked_for(wire):
    write(wire, 't', 'A', [(10, 5.0, 'p'), (20, 0.0, 'p'), (30, 6.0, 'p'), (40, 0.0, 'p')])
    here = {'name': {'$eq': wire.sequence}}
    conditions = {'A.x': {'$gt': 4}}
    (item,) = wire.remote.act('query', sequence=here, ontology=conditions)['items']
    assert 'timestamp_range' not in item['topics'][0]
    asked = conditions | {'include_timestamp_range': True}
    (item,) = wire.remote.act('query', sequence=here, ontology=asked)['items']
    assert item['topics'][0]['timestamp_range'] == [10, 30]
    assert item['topics'][0]['ontology_tag'] == 'A'


@pytest.mark.parametrize(
    'sections',
    [
        {'robots': {}},
        {'sequence': {'colour': {'$eq': 1}}},
        {'sequence': {'name': {'$almost': 'x'}}},
        {'sequence': {'name': 'x'}},
        {'sequence': []},
        {'topic': {'name': {'$in': []}}},
        {'topic': {'name': {'$in': ['a', 1]}}},
        {'topic': {'name': {'$match': ''}}},
        {'topic': {'name': {'$match': '[a'}}},
        {'topic': {'name': {'$match': '[]'}}},
        {'topic': {'name': {'$match': '[z-a]'}}},
        {'topic': {'name': {'$match': 'x' * 257}}},
        {'ontology': {'A.x': {'$between': [2, 1]}}},
        {'ontology': {'A.x': {'$between': [1]}}},
        {'ontology': {'A.x': {'$in': [[1]]}}},
        {'ontology': {'x': {'$eq': 1}}},
        {'ontology': {'A.x[?].y[?]': {'$eq': 1}}},
        {'topic': {'user_metadata': {'a"b': {'$eq': 1}}}},
    ],
)
def test_senseless_queries(wire, sections):
    code, details = wire.act('query', **sections)
    assert code == 'INVALID_ARGUMENT', details


STAMPS = [0, 10, 20, 100, 110, 300]


@pytest.mark.parametrize(
    ('dt', 'expected'),
    [
        (0, [(0, 300)]),
        (5, [(at, at) for at in STAMPS]),
        (9, [(at, at) for at in STAMPS]),
        (10, [(0, 20), (100, 110), (300, 300)]),
        (79, [(0, 20), (100, 110), (300, 300)]),
        (80, [(0, 110), (300, 300)]),
        (2**62, [(0, 300)]),
    ],
)
def test_clusters(wire, dt, expected):
    write(wire, 't', 'A', [(at, 1.0, 'p') for at in STAMPS] + [(50, 0.0, 'p')])
    assert clusters(wire, 't', dt) == expected


def request(wire, path: str, dt: int) -> dict[str, Any]:
    return {
        'locator': f'{wire.sequence}/{path}',
        'clustering_dt_ns': dt,
        'ontology': {'A.x': {'$gt': 0.5}},
    }


def clusters(wire, path: str, dt: int, **more: Any) -> list[tuple[int, int]]:
    return spans(wire, 'topic_filter_clusterize', **request(wire, path, dt), **more)


def spans(wire, action: str, **body: Any) -> list[tuple[int, int]]:
    results = wire.remote.client.do_action(flight.Action(action, json.dumps(body).encode()))
    pages = [json.loads(result.body.to_pybytes()) for result in results]
    assert [page['response']['id'] for page in pages] == list(range(len(pages)))
    return [tuple(page['response']['ts'].values()) for page in pages]


def test_clusters_inside_a_window(wire):
    write(wire, 't', 'A', [(at, 1.0, 'p') for at in STAMPS])
    window = {'start_ns': 10, 'end_ns': 110}
    assert clusters(wire, 't', 10, timestamp_range=window) == [(10, 20), (100, 100)]
    assert clusters(wire, 't', 0, timestamp_range={'start_ns': 111, 'end_ns': 300}) == []
    assert clusters(wire, 't', 0, timestamp_range=None) == [(0, 300)]


@pytest.mark.parametrize(
    ('a', 'b', 'dt', 'expected'),
    [
        ([100, 110, 500, 510], [105, 115, 495, 505], 0, [(105, 110), (500, 505)]),
        ([100, 140], [155, 200], 20, [(145, 150)]),
        ([100, 140], [155, 200], 15, [(148, 148)]),
        ([100, 140], [155, 200], 10, []),
        ([100, 140], [140, 200], 0, [(140, 140)]),
        ([100, 140], [], 1000, []),
    ],
)
def test_intersections(wire, a, b, dt, expected):
    write(wire, 'a', 'A', [(at, 1.0, 'p') for at in a])
    write(wire, 'b', 'A', [(at, 1.0, 'p') for at in b] + [(0, 0.0, 'p')])
    topics = [request(wire, path, 45) for path in 'ab']
    got = spans(wire, 'topic_filter_intersect', topics=topics, intersect_dt_ns=dt)
    assert got == expected


@pytest.mark.parametrize(
    ('change', 'code'),
    [
        ({'clustering_dt_ns': -1}, 'INVALID_ARGUMENT'),
        ({'ontology': {}}, 'INVALID_ARGUMENT'),
        ({'ontology': {'B.x': {'$eq': 1}}}, 'INVALID_ARGUMENT'),
        ({'timestamp_range': {'start_ns': 2, 'end_ns': 2}}, 'INVALID_ARGUMENT'),
        ({'timestamp_range': {'start_ns': 2}}, 'INVALID_ARGUMENT'),
        ({'locator': 'no_such/t'}, 'NOT_FOUND'),
    ],
)
def test_senseless_clusters(wire, change, code):
    write(wire, 't', 'A', [(1, 1.0, 'p')])
    write(wire, 'u', 'A', [(1, 1.0, 'p')])
    changed = request(wire, 't', 0) | change
    got, details = wire.act('topic_filter_clusterize', **changed)
    assert got == code, details
    topics = [changed, request(wire, 'u', 0)]
    got, details = wire.act('topic_filter_intersect', topics=topics, intersect_dt_ns=0)
    # Topics of different sequences are refused before any is looked for.
    assert got == 'INVALID_ARGUMENT', details
    for few in ([], [request(wire, 't', 0)]):
        assert wire.act('topic_filter_intersect', topics=few)[0] == 'INVALID_ARGUMENT'
    both = [request(wire, path, 0) for path in 'tu']
    code, _ = wire.act('topic_filter_intersect', topics=both, intersect_dt_ns=-1)
    assert code == 'INVALID_ARGUMENT'
