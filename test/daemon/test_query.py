"""Queries: every operator on every kind of value, against rows evaluated one by one."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from thoroughness import examples

from mosaico_ros.daemon.query.windows import ClusterRequest
from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.query import parse, parse_ontology

TIME = pa.field('timestamp_ns', pa.int64(), nullable=False)
SCHEMA = pa.schema(
    [
        TIME,
        ('i', pa.int8()),
        ('big', pa.int64()),
        ('u', pa.uint64()),
        ('f', pa.float32()),
        ('d', pa.float64()),
        ('t', pa.string()),
        ('b', pa.bool_()),
        ('s', pa.struct([('x', pa.float64()), ('in', pa.struct([('y', pa.int16())]))])),
        ('l', pa.list_(pa.float64())),
        ('v', pa.list_(pa.int32(), 2)),
        ('p', pa.list_(pa.struct([('x', pa.int32()), ('n', pa.string())]))),
        ('blob', pa.binary()),
    ]
)


def found(filled: Any, query: dict[str, Any]) -> list[str]:
    items = filled.archive.query(parse(query))
    assert all(item.topics for item in items)
    return [str(topic.locator) for item in items for topic in item.topics]


# -- catalog sections ----------------------------------------------------------------------------


@pytest.fixture
def fleet(filled):
    rows = pa.table([[1], [0.5]], schema=pa.schema([TIME, ('x', pa.float64())]))
    for number in (1, 2, 3):
        session = filled.session(
            f'dock_0{number}',
            {'site': {'hall': 'ABC'[number - 1], 'floor': number}, 'tags': ['x', number]},
        )
        for path, tag in (('arm/imu', 'IMU'), ('gps', 'GPS')):
            filled.write(
                rows,
                f'dock_0{number}/{path}',
                tag,
                session=session,
                metadata={'mount': path[0], 'ok': True} if number < 3 else {},
            )
    filled.session('empty')
    return filled


@pytest.mark.parametrize(
    ('query', 'expected'),
    [
        ({'sequence': {'name': {'$eq': 'dock_02'}}}, ['2a', '2g']),
        ({'sequence': {'name': {'$eq': '/dock_02/'}}}, ['2a', '2g']),
        ({'sequence': {'name': {'$in': ['dock_03', 'dock_01', 'no']}}}, ['1a', '1g', '3a', '3g']),
        ({'sequence': {'name': {'$match': 'dock_#[1-2]'}}}, ['1a', '1g', '2a', '2g']),
        ({'sequence': {'name': {'$match': '*'}}}, ['1a', '1g', '2a', '2g', '3a', '3g']),
        ({'sequence': {'name': {'$match': 'ock'}}}, []),
        ({'sequence': {'locator': {'$match': 'ck_03'}}}, ['3a', '3g']),
        ({'topic': {'name': {'$eq': '/arm/imu'}}}, ['1a', '2a', '3a']),
        ({'topic': {'name': {'$match': '/arm/*'}}}, ['1a', '2a', '3a']),
        ({'topic': {'name': {'$match': 'arm/*'}}}, ['1a', '2a', '3a']),
        ({'topic': {'locator': {'$match': '02/arm'}}}, ['2a']),
        ({'topic': {'ontology_tag': {'$eq': 'GPS'}}}, ['1g', '2g', '3g']),
        ({'topic': {'ontology_tag': {'$eq': 'gps'}}}, ['1g', '2g', '3g']),
        ({'topic': {'ontology_tag': {'$eq': 'Gps'}}}, []),
        ({'topic': {'serialization_format': {'$eq': 'DEFAULT'}, 'name': {'$eq': 'gps'}}},
         ['1g', '2g', '3g']),
        ({'sequence': {'created_at_ns': {'$gt': 0}}, 'topic': {'name': {'$eq': 'gps'}}},
         ['1g', '2g', '3g']),
        ({'sequence': {'created_at_ns': {'$lt': 5}}}, []),
        ({'topic': {'created_at_ns': {'$between': [0, 5]}}}, []),
        ({'sequence': {'user_metadata': {'site.hall': {'$eq': 'B'}}}}, ['2a', '2g']),
        ({'sequence': {'user_metadata': {'site.floor': {'$geq': 2.0}}}}, ['2a', '2g', '3a', '3g']),
        ({'sequence': {'user_metadata': {'site.floor': {'$eq': '2'}}}}, []),
        ({'sequence': {'user_metadata': {'site.*': {'$eq': 'C'}}}}, ['3a', '3g']),
        ({'sequence': {'user_metadata': {'**.hall': {'$in': ['A', 'C']}}}},
         ['1a', '1g', '3a', '3g']),
        ({'sequence': {'user_metadata': {'tags': {'$eq': 3}}}}, ['3a', '3g']),
        ({'sequence': {'user_metadata': {'tags[*]': {'$match': 'x'}}, 'name': {'$match': '*1'}}},
         ['1a', '1g']),
        ({'sequence': {'user_metadata': {'site.hall': {'$neq': 'B'}}}}, ['1a', '1g', '3a', '3g']),
        ({'topic': {'user_metadata': {'mount': {'$ex': None}}}}, ['1a', '1g', '2a', '2g']),
        ({'topic': {'user_metadata': {'mount': '$nex'}}}, ['3a', '3g']),
        ({'topic': {'user_metadata': {'ok': {'$eq': True}}, 'name': {'$eq': 'gps'}}},
         ['1g', '2g']),
        ({'topic': {'user_metadata': {'ok': {'$eq': 1}}}}, []),
        ({}, []),
        ({'sequence': {}, 'topic': {}, 'ontology': {}}, []),
    ],
)  # fmt: skip
def test_catalog_sections(fleet, query, expected):
    names = {'a': 'arm/imu', 'g': 'gps'}
    assert found(fleet, query) == [f'dock_0{e[0]}/{names[e[1]]}' for e in expected]


def test_a_chunk_is_opened_once_and_no_more_if_bounds_decide(filled, monkeypatch):
    locator = filled.write(chunks_of_x([[0.0, 9.0], [1.0, 8.0], [20.0, 30.0]]))
    filled.reopen()  # footers are not known any more
    store = type(filled.archive._store)
    opened: list[str] = []
    opens = store.open

    def counting(self: Any, key: str, *args: Any, **options: Any) -> Any:
        opened.append(key)
        return opens(self, key, *args, **options)

    monkeypatch.setattr(store, 'open', counting)
    assert found(filled, {'ontology': {'IMU.x': {'$between': [4, 5]}}}) == []
    assert len(opened) == len(set(opened)) == 2
    filled.reopen()
    opened.clear()
    assert filled.read(locator).num_rows == 6
    assert len([key for key in opened if key.endswith('.parquet')]) == 3
    opened.clear()
    assert found(filled, {'ontology': {'IMU.x': {'$gt': 10}}}) == ['run/imu']
    assert not opened


def chunks_of_x(values: list[list[float]]) -> list[pa.Table]:
    schema = pa.schema([TIME, ('x', pa.float64())])
    return [
        pa.table([[2 * at, 2 * at + 1], pair], schema=schema) for at, pair in enumerate(values)
    ]


def test_there_are_more_conditions_than_a_database_joins_tables(filled):
    names = [f'c{at}' for at in range(80)]
    schema = pa.schema([TIME, *((name, pa.float64()) for name in names)])
    for path, last in ('run/a', 4.0), ('run/b', 6.0):
        rows = pa.table([[1, 2], *([0.0, 4.0] for _ in names[1:]), [0.0, last]], schema=schema)
        filled.write(rows, path)
    inside = {f'IMU.{name}': {'$between': [3, 5]} for name in names}
    assert found(filled, {'ontology': inside}) == ['run/a']
    assert found(filled, {'ontology': inside | {'IMU.c79': {'$gt': 5}}}) == ['run/b']
    several = [{'$neq': at} for at in range(100, 200)]
    assert found(filled, {'ontology': {'IMU.c79': [*several, {'$gt': 5}]}}) == ['run/b']


@pytest.mark.parametrize('key', ['sequence', 'topic'])
def test_nothing_has_a_name_with_nul_and_everything_another_one(fleet, key):
    """One of the catalogs cannot hold it, and cannot be asked for it either."""
    everything = found(fleet, {key: {'name': {'$match': '*'}}})
    assert found(fleet, {key: {'name': {'$eq': 'gps\0'}}}) == []
    assert found(fleet, {key: {'name': {'$match': 'g\0*'}}}) == []
    assert found(fleet, {key: {'name': {'$in': ['\0', 'gps', 'dock_01']}}}) != []
    assert found(fleet, {key: {'name': {'$neq': 'gps\0'}}}) == everything
    assert found(fleet, {key: {'user_metadata': {'**': {'$eq': '\0'}}}}) == []
    assert found(fleet, {'topic': {'ontology_tag': {'$eq': 'GPS\0'}}}) == []
    assert found(fleet, {'ontology': {'GPS\0.x': {'$gt': 0}}}) == []
    assert found(fleet, {'ontology': {'GPS.x\0': {'$gt': 0}}}) == []


def test_one_item_per_sequence_in_the_order_of_creation(fleet):
    items = fleet.archive.query(parse({'topic': {'name': {'$match': '*'}}}))
    assert [str(item.sequence) for item in items] == ['dock_01', 'dock_02', 'dock_03']
    assert items[0].topics[0].ontology_tag == 'IMU'


# -- rows ----------------------------------------------------------------------------------------

small = st.integers(-3, 3)
# Values around the places where a careless comparison rounds.
big = st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 0])
unsigned = st.sampled_from([0, 1, 2**53 + 1, 2**64 - 1])
floats = st.sampled_from([0.0, -0.0, 0.1, 1.0, 2.5, -3.0, math.inf, -math.inf, math.nan, 2.0**53])
texts = st.sampled_from(
    [
        '',
        'a',
        'ab',
        'abc',
        'b',
        'ü',
        '😀',
        'a\0b',
        'p' * 64,
        'p' * 64 + 'q',
        'p' * 80,
        '\U0010ffff' * 70,
    ]
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


row_values = st.fixed_dictionaries(
    {
        'timestamp_ns': st.integers(0, 9),
        'i': maybe(small),
        'big': maybe(big),
        'u': maybe(unsigned),
        'f': maybe(floats),
        'd': maybe(floats),
        't': maybe(texts),
        'b': maybe(st.booleans()),
        's': maybe(
            st.fixed_dictionaries(
                {'x': maybe(floats), 'in': maybe(st.fixed_dictionaries({'y': maybe(small)}))}
            )
        ),
        'l': maybe(st.lists(maybe(floats), max_size=3)),
        'v': maybe(st.lists(maybe(small), min_size=2, max_size=2)),
        'p': maybe(
            st.lists(
                maybe(st.fixed_dictionaries({'x': maybe(small), 'n': maybe(texts)})), max_size=3
            )
        ),
        'blob': maybe(st.binary(max_size=3)),
    }
)

numbers = st.one_of(
    small,
    st.sampled_from(
        [
            0.1,
            0.5,
            -0.0,
            1.0,
            2**53,
            2**53 + 1,
            2**63 - 1,
            2**64,
            -(2**63),
            1e300,
            2.0**63,
            10**400,
        ]
    ),
)
PATHS = {
    'timestamp_ns': numbers,
    'i': numbers,
    'big': numbers,
    'u': numbers,
    'f': numbers,
    'd': numbers,
    't': texts,
    'b': st.booleans(),
    's.x': numbers,
    's.in.y': numbers,
    'l[0]': numbers,
    'l[1]': numbers,
    'l[?]': numbers,
    'l[!]': numbers,
    'v[1]': numbers,
    'v[!]': numbers,
    'p[?].x': numbers,
    'p[!].n': texts,
    'p[0].n': texts,
    'blob': texts,
    'nope': numbers,
    's.nope': numbers,
    's': numbers,
    'l.x': numbers,
}


@st.composite
def conditions(draw: Any) -> tuple[str, dict[str, Any]]:
    path = draw(st.sampled_from(list(PATHS)))
    values = PATHS[path]
    if path == 'l' or draw(st.integers(0, 9)) == 0:
        values = draw(st.sampled_from([texts, st.booleans(), numbers]))  # another kind
    kind = draw(st.sampled_from(['one', 'pair', 'in', 'match', 'list', 'exists']))
    if kind == 'exists':
        return path, {draw(st.sampled_from(['$ex', '$nex'])): None}
    if kind == 'list':
        operand = draw(st.lists(floats.filter(math.isfinite), max_size=3))
        return 'l', {draw(st.sampled_from(['$eq', '$neq'])): operand}
    if kind == 'match':
        pattern = draw(st.sampled_from(['a', 'a*', '?', '*b*', '[ab]', 'p*q', 'a%', 'ü']))
        return draw(st.sampled_from(['t', 'p[?].n', 'i'])), {'$match': pattern}
    first = draw(values)
    if kind == 'in':
        return path, {'$in': draw(st.lists(st.just(first) | values, min_size=1, max_size=4))}
    if isinstance(first, bool):
        return path, {draw(st.sampled_from(['$eq', '$neq'])): first}
    if kind == 'pair':
        low, high = sorted([first, draw(values.filter(lambda v: not isinstance(v, bool)))])
        return path, {draw(st.sampled_from(['$between', '$outside'])): [low, high]}
    return path, {draw(st.sampled_from(['$eq', '$neq', '$lt', '$leq', '$gt', '$geq'])): first}


def row_matches(row: dict[str, Any], condition: Any) -> bool:
    """Evaluate a condition on one row, the slow and obvious way."""
    operator = condition.condition.operator.value
    exists = str(condition.key).partition('.')[2] not in ('nope', 's.nope', 'l.x')
    if operator in ('$ex', '$nex'):
        return exists is (operator == '$ex')
    if not exists:
        return False

    def at(value: Any, steps: Any) -> bool:
        if not steps:
            if isinstance(value, (dict, bytes)):
                return False
            if isinstance(value, list) and not isinstance(condition.condition.value, tuple):
                return False
            whole = operator in ('$eq', '$neq') and isinstance(condition.condition.value, tuple)
            if whole and not isinstance(value, list):
                return False
            return value is not None and condition.condition.matches(value)
        step, rest = steps[0], steps[1:]
        value = None if value is None else value[step.name]
        if step.specifier is None:
            return at(value, rest)
        elements = value or []
        if step.specifier.value == 'index':
            return step.index < len(elements) and at(elements[step.index], rest)
        hits = [at(element, rest) for element in elements]
        return any(hits) if step.specifier.value == '?' else bool(hits) and all(hits)

    return at(row, condition.path)


def as_stored(row: dict[str, Any]) -> dict[str, Any]:
    narrow = dict(row)
    if narrow['f'] is not None:
        narrow['f'] = pa.scalar(narrow['f'], pa.float32()).as_py()
    return narrow


asked_of_chunks = given(
    chunks=st.lists(st.lists(row_values, min_size=1, max_size=5), min_size=1, max_size=3),
    asked=st.lists(conditions(), min_size=1, max_size=3, unique_by=lambda c: c[0]),
)
UNHURRIED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
@settings(UNHURRIED, max_examples=examples(60))
@asked_of_chunks
def test_rows_are_found_as_if_evaluated_one_by_one(filled, chunks, asked):
    compare_with_each_row(filled, chunks, asked)


@pytest.mark.parametrize('settings', ['postgres+s3'], indirect=True)
@settings(UNHURRIED, max_examples=examples(30))
@asked_of_chunks
def test_rows_are_found_so_on_postgresql_too(filled, chunks, asked):
    compare_with_each_row(filled, chunks, asked)


def compare_with_each_row(filled: Any, chunks: Any, asked: Any) -> None:
    tables = [pa.Table.from_pylist(rows, schema=SCHEMA) for rows in chunks]
    locator = filled.write(tables, 'run/t', 'IMU')
    try:
        body = {f'IMU.{path}': condition for path, condition in asked}
        try:
            parsed = parse({'ontology': {**body, 'include_timestamp_range': True}})
        except InvalidArgumentError:
            return
        times = sorted(
            row['timestamp_ns']
            for rows in chunks
            for row in map(as_stored, rows)
            if all(row_matches(row, condition) for condition in parsed.ontology)
        )
        items = filled.archive.query(parsed)
        assert [topic.timestamp_range for item in items for topic in item.topics] == (
            [(times[0], times[-1])] if times else []
        )
        assert bool(filled.archive.query(parse({'ontology': body}))) is bool(times)
        clusters = list(filled.archive.clusterize(ClusterRequest(locator, parsed.ontology, 1)))
        assert clusters == naive_clusters(times, 1)
    finally:
        filled.archive.delete_topic(locator)


def naive_clusters(times: list[int], pause: int) -> list[Any]:
    from mosaico_ros.daemon.query.windows import Cluster

    groups: list[list[int]] = []
    for time in times:
        if groups and time - groups[-1][-1] <= pause:
            groups[-1].append(time)
        else:
            groups.append([time])
    return [Cluster(group[0], group[-1], at) for at, group in enumerate(groups)]


def test_conditions_must_hold_in_one_row(filled):
    schema = pa.schema([TIME, ('x', pa.float64()), ('y', pa.float64())])
    filled.write(pa.table([[1, 2], [9.0, 0.0], [0.0, 9.0]], schema=schema), 'run/a')
    filled.write(pa.table([[1, 2], [9.0, 0.0], [9.0, 0.0]], schema=schema), 'run/b')
    query = {'ontology': {'IMU.x': {'$gt': 5}, 'IMU.y': {'$gt': 5}}}
    assert found(filled, query) == ['run/b']


def test_a_sequence_must_satisfy_every_tag(filled):
    schema = pa.schema([TIME, ('x', pa.float64())])
    for sequence, gps in (('one', 9.0), ('two', 0.0)):
        session = filled.session(sequence)
        filled.write(pa.table([[1], [9.0]], schema=schema), f'{sequence}/imu', session=session)
        filled.write(
            pa.table([[1], [gps]], schema=schema), f'{sequence}/gps', 'GPS', session=session
        )
    query = {'ontology': {'IMU.x': {'$gt': 5}, 'GPS.x': {'$gt': 5}}}
    assert found(filled, query) == ['one/imu', 'one/gps']
    query['sequence'] = {'name': {'$eq': 'two'}}
    assert found(filled, query) == []


def test_tags_are_found_in_either_spelling_and_unknown_ones_not_at_all(filled):
    schema = pa.schema([TIME, ('x', pa.float64())])
    filled.write(pa.table([[1], [9.0]], schema=schema), 'run/new', 'RobotJoint')
    filled.write(pa.table([[1], [9.0]], schema=schema), 'run/old', 'robot_joint')
    for tag in ('RobotJoint', 'robot_joint'):
        assert found(filled, {'ontology': {f'{tag}.x': {'$gt': 5}}}) == ['run/new', 'run/old']
    assert found(filled, {'ontology': {'Nobody.x': {'$gt': 5}}}) == []


def test_rows_of_an_open_upload_are_not_seen(filled):
    schema = pa.schema([TIME, ('x', pa.float64())])
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, schema)
    upload.append(pa.record_batch([[1], [9.0]], schema=schema))
    upload.commit()
    query = {'ontology': {'IMU.x': {'$gt': 5}}}
    assert found(filled, query) == []
    assert found(filled, {'topic': {'name': {'$match': '*'}}}) == ['run/imu']
    upload.abort('test')
    assert found(filled, query) == ['run/imu']  # sealed: its durable rows are data


@pytest.mark.parametrize(
    ('column', 'operator', 'operand', 'hit'),
    [
        (pa.array([1_700_000_000_000_000_123], pa.timestamp('ns')), '$eq',
         '2023-11-14T22:13:20.000000123Z', True),
        (pa.array([1_700_000_000], pa.timestamp('s')), '$gt', '2023-11-14 22:13:19.999', True),
        (pa.array([1_700_000_000], pa.timestamp('s')), '$gt', '2023-11-14 22:13:20', False),
        (pa.array([1_700_000_000], pa.timestamp('s')), '$eq', '2023-11-14T23:13:20+01:00', True),
        (pa.array([19_675], pa.date32()), '$between', ['2023-11-14', '2023-11-15'], True),
        (pa.array([19_675], pa.date32()), '$in', ['2023-11-15'], False),
        (pa.array([3_600_000], pa.time32('ms')), '$leq', '01:00', True),
        (pa.array([3_600_000], pa.time32('ms')), '$lt', '01:00:00.0', False),
        (pa.array([5], pa.duration('s')), '$geq', 5, True),
        (pa.array([1], pa.timestamp('ns')), '$eq', 'yesterday', False),
    ],
)  # fmt: skip
def test_times_compare_with_iso_text(filled, column, operator, operand, hit):
    schema = pa.schema([TIME, ('c', column.type)])
    filled.write(pa.table([[1], column], schema=schema))
    assert bool(found(filled, {'ontology': {'IMU.c': {operator: operand}}})) is hit


def test_sidecar_columns_cannot_be_queried(filled):
    sidecar = pa.field('ros_seq', pa.int64(), metadata={'mosaico:sidecar': 'true'})
    filled.write(pa.table([[1], [5]], schema=pa.schema([TIME, sidecar])))
    assert found(filled, {'ontology': {'IMU.ros_seq': {'$eq': 5}}}) == []


def test_most_topics_are_decided_without_opening_a_file(filled, stored):
    schema = pa.schema([TIME, ('x', pa.float64())])
    for number in range(20):
        filled.write(pa.table([[1], [float(number)]], schema=schema), f'run/t{number}')
    filled.reopen()
    for path in stored.rglob('*.parquet'):
        path.unlink()
    expected = [f'run/t{number}' for number in range(15, 20)]
    assert found(filled, {'ontology': {'IMU.x': {'$gt': 14.5}}}) == expected
    assert found(filled, {'ontology': {'IMU.x': {'$eq': 3}}}) == ['run/t3']


# -- clusters ------------------------------------------------------------------------------------


def series(filled: Any, name: str, times: list[int], tag: str = 'IMU') -> TopicLocator:
    schema = pa.schema([TIME, ('x', pa.float64())])
    table = pa.table([times, [1.0] * len(times)], schema=schema)
    return filled.write([table.slice(0, 1), table.slice(1)], name, tag)


@pytest.mark.parametrize(
    ('pause', 'expected'),
    [(0, [(0, 45)]), (9, [(0, 0), (10, 20), (45, 45)]), (10, [(0, 20), (45, 45)]),
     (25, [(0, 45)]), (24, [(0, 20), (45, 45)])],
)  # fmt: skip
def test_clusters_split_at_pauses(filled, pause, expected):
    locator = series(filled, 'run/a', [45, 0, 10, 14, 20])
    request = ClusterRequest(locator, parse_ontology({'IMU.x': {'$eq': 1}}), pause)
    got = list(filled.archive.clusterize(request))
    assert [(c.start_ns, c.end_ns) for c in got] == expected
    assert [c.id for c in got] == list(range(len(expected)))


def test_cluster_window_is_half_open(filled):
    locator = series(filled, 'run/a', [10, 20, 30])
    request = ClusterRequest(locator, parse_ontology({'imu.x': {'$eq': 1}}), 0, 10, 30)
    assert [(c.start_ns, c.end_ns) for c in filled.archive.clusterize(request)] == [(10, 20)]


def test_clusters_need_a_topic_and_conditions_of_its_tag(filled):
    locator = series(filled, 'run/a', [1, 2])
    good = ClusterRequest(locator, parse_ontology({'IMU.x': {'$eq': 1}}))
    missing = ClusterRequest(TopicLocator('run', 'no'), good.conditions)
    strange = ClusterRequest(locator, parse_ontology({'GPS.x': {'$eq': 1}}))
    for request, error in (missing, NotFoundError), (strange, InvalidArgumentError):
        with pytest.raises(error):
            filled.archive.clusterize(request)
        with pytest.raises(error):
            filled.archive.intersect([good, request])


@pytest.mark.parametrize(
    ('first', 'second', 'tolerance', 'expected'),
    [
        ([100, 110, 500, 510], [105, 115, 495, 505], 0, [(105, 110), (500, 505)]),
        ([100, 140], [155, 200], 20, [(145, 150)]),
        ([100, 140], [155, 200], 10, []),
    ],
)
def test_intersections(filled, first, second, tolerance, expected):
    conditions = parse_ontology({'IMU.x': {'$eq': 1}})
    requests = [
        ClusterRequest(series(filled, f'run/{name}', times), conditions, 50)
        for name, times in (('a', first), ('b', second))
    ]
    got = list(filled.archive.intersect(requests, tolerance))
    assert [(c.start_ns, c.end_ns) for c in got] == expected


def test_intersection_with_a_topic_without_matches_is_empty(filled):
    a, b = series(filled, 'run/a', [1, 2]), series(filled, 'run/b', [1, 2])
    nothing = parse_ontology({'IMU.x': {'$gt': 5}})
    requests = [
        ClusterRequest(a, parse_ontology({'IMU.x': {'$eq': 1}})),
        ClusterRequest(b, nothing),
    ]
    assert list(filled.archive.intersect(requests)) == []
