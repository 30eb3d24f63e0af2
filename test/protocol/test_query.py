"""The query language: spellings, refusals, and what conditions mean."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, strategies as st

from mosaico_ros.protocol import query
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query import (
    CatalogField,
    Condition,
    MatchFlavour,
    Operator,
    PathStep,
    Pattern,
    Specifier,
    StepKind,
)


def condition(spelled):
    return query.parse_ontology({'T.x': spelled})[0].condition


def test_documented_query_is_read_whole():
    parsed = query.parse(
        {
            'sequence': {
                'name': {'$match': 'test_run_%'},
                'user_metadata': {'driver': {'$eq': 'Alice'}},
            },
            'topic': {'ontology_tag': {'$eq': 'imu'}},
            'ontology': {
                'imu.acceleration.x': {'$gt': 5.0},
                'imu.acceleration.y': {'$between': [-2.0, 2.0]},
                'include_timestamp_range': True,
            },
        }
    )
    assert parsed.sequence.fields[0].matches_sequence_name('test_run_7')
    assert not parsed.sequence.fields[0].matches_sequence_name('a_test_run_7')
    assert str(parsed.sequence.user_metadata[0].path[0]) == 'driver'
    assert parsed.topic.fields[0].field is CatalogField.ONTOLOGY_TAG
    assert [c.key for c in parsed.ontology] == ['imu.acceleration.x', 'imu.acceleration.y']
    assert parsed.ontology[1].condition == Condition(Operator.BETWEEN, (-2.0, 2.0))
    assert parsed.include_timestamp_range
    assert query.parse(query.to_json(parsed)) == parsed


@pytest.mark.parametrize('body', [{}, {'sequence': {}}, {'topic': None, 'ontology': {}}])
def test_no_condition_is_falsy(body):
    assert not query.parse(body)


@pytest.mark.parametrize('key', ['created_at_ns', 'created_at', 'created_timestamp'])
def test_creation_time_spellings(key):
    (item,) = query.parse({'sequence': {key: {'$geq': 5}}}).sequence.fields
    assert item.field is CatalogField.CREATED_AT_NS


@pytest.mark.parametrize(
    'metadata',
    [
        {'user_metadata': {'site.hall': {'$eq': 'B'}}},
        {'user_metadata': {'site': {'hall': {'$eq': 'B'}}}},
        {'user_metadata.site.hall': {'$eq': 'B'}},
    ],
)
def test_metadata_spellings(metadata):
    (item,) = query.parse({'topic': metadata}).topic.user_metadata
    assert [step.name for step in item.path] == ['site', 'hall']


@pytest.mark.parametrize('spelled', ['$ex', {'$ex': None}])
def test_existence_spellings(spelled):
    (item,) = query.parse({'topic': {'user_metadata': {'a': spelled}}}).topic.user_metadata
    assert item.condition == Condition(Operator.EX, None)


def test_metadata_wildcards():
    path = query.metadata_path('a.*.**.list[*].x y')
    kinds = [StepKind.KEY, StepKind.ANY_KEY, StepKind.ANY_DEPTH, StepKind.KEY, StepKind.KEY]
    assert [step.kind for step in path] == kinds
    assert path[3].elements
    assert '.'.join(map(str, path)) == 'a.*.**.list[*].x y'


@pytest.mark.parametrize('key', ['', 'a..b', 'a.', "a'b", 'a/b', 'ä', '**[*]', 'a[0]', 'a*'])
def test_unqueryable_metadata_keys_are_refused(key):
    with pytest.raises(InvalidArgumentError, match='cannot be queried'):
        query.metadata_path(key)


def test_ontology_paths():
    tag, path = query.ontology_path('PointCloud.points[?].x')
    assert tag == 'PointCloud'
    assert path == (PathStep('points', Specifier.ANY), PathStep('x'))
    assert query.ontology_path('J.p[12]')[1] == (PathStep('p', Specifier.INDEX, 12),)
    assert query.ontology_path('J.p[!]')[1] == (PathStep('p', Specifier.ALL),)
    assert query.ontology_key('J', query.ontology_path('J.p[12].x')[1]) == 'J.p[12].x'


@pytest.mark.parametrize(
    'key', ['IMU', 'IMU.', '.x', 'A.x..y', 'A.x[', 'A.x[-1]', 'A.x[*]', 'A.x[1][2]', 'A.x[?].y[1]']
)
def test_bad_ontology_keys_are_refused(key):
    with pytest.raises(InvalidArgumentError, match=r'ontology key'):
        query.ontology_path(key)


@pytest.mark.parametrize(
    ('body', 'named'),
    [
        ({'sequences': {}}, 'sequences'),
        ({'sequence': []}, 'sequence'),
        ({'sequence': {'size': {'$eq': 1}}}, 'sequence.size'),
        ({'sequence': {'ontology_tag': {'$eq': 'IMU'}}}, 'sequence.ontology_tag'),
        ({'sequence': {'name': 'x'}}, 'sequence.name'),
        ({'sequence': {'name': {'$like': 'x'}}}, '$like'),
        ({'sequence': {'name': {}}}, 'sequence.name'),
        ({'sequence': {'name': []}}, 'sequence.name'),
        ({'sequence': {'name': {'$eq': 5}}}, 'compares with text, not number'),
        ({'sequence': {'name': {'$ex': None}}}, 'always exists'),
        ({'topic': {'created_at_ns': {'$geq': '2026'}}}, 'compares with number'),
        ({'topic': {'created_at_ns': {'$match': '2*'}}}, 'compares with number'),
        ({'ontology': {'A.x': {'$between': [2, 1]}}}, 'above'),
        ({'ontology': {'A.x': {'$between': [1]}}}, '[min, max]'),
        ({'ontology': {'A.x': {'$in': []}}}, 'at least one'),
        ({'ontology': {'A.x': {'$in': [1, 'a']}}}, 'mixes kinds'),
        ({'ontology': {'A.x': {'$in': [1, True]}}}, 'mixes kinds'),
        ({'ontology': {'A.x': {'$in': [[1]]}}}, 'a list'),
        ({'ontology': {'A.x': {'$in': list(range(1025))}}}, '1025'),
        ({'ontology': {'A.x': {'$gt': [1]}}}, 'a list'),
        ({'ontology': {'A.x': {'$gt': True}}}, 'no order'),
        ({'ontology': {'A.x': {'$eq': None}}}, '$nex'),
        ({'ontology': {'A.x': {'$ex': 1}}}, 'takes null'),
        ({'ontology': {'A.x': {'$match': 3}}}, 'takes text'),
        ({'ontology': {'A.x': {'$match': ''}}}, 'empty'),
        ({'ontology': {'A.x': {'$match': 'x' * 257}}}, '257'),
        ({'ontology': {'A.x': {'$match': '[ab'}}}, 'not closed'),
        ({'ontology': {'A.x': {'$match': 'ab]'}}}, 'not opened'),
        ({'ontology': {'A.x': {'$match': '[]'}}}, 'empty'),
        ({'ontology': {'A.x': {'$match': '[z-a]'}}}, 'reversed'),
        ({'ontology': {'include_timestamp_range': 1}}, 'include_timestamp_range'),
    ],
)
def test_refusals_name_the_fault(body, named):
    with pytest.raises(InvalidArgumentError) as caught:
        query.parse(body)
    assert named in str(caught.value)


def test_topic_names_match_with_and_without_slash():
    def field(spelled, key='name'):
        return query.parse({'topic': {key: spelled}}).topic.fields[0]

    for spelled in ({'$eq': '/arm/imu'}, {'$in': ['x', 'arm/imu']}, {'$match': '/arm/*'}):
        assert field(spelled).matches_topic_name('dock', 'arm/imu')
    assert field({'$match': 'arm/?mu'}).matches_topic_name('dock', 'arm/imu')
    assert not field({'$match': 'imu'}).matches_topic_name('dock', 'arm/imu')
    assert not field({'$neq': '/arm/imu'}).matches_topic_name('dock', 'arm/imu')
    # The old key searches the whole locator for a substring.
    assert field({'$match': 'ck/ar'}, 'locator').matches_topic_name('dock', 'arm/imu')
    assert not field({'$match': 'ck*ar'}, 'locator').matches_topic_name('dock', 'arm/imu')
    assert field({'$eq': 'dock/arm/imu'}, 'locator').matches_topic_name('dock', 'arm/imu')
    assert field({'$eq': '/arm/imu'}, 'locator').matches_topic_name('dock', 'arm/imu')


@pytest.mark.parametrize(
    ('pattern', 'hits', 'misses'),
    [
        ('dock_*', ['dock_', 'dock_a b/c\nd'], ['dock', 'a dock_1', 'Dock_1']),
        ('run_#?', ['run_1x'], ['run_x1', 'run_1', 'run_٣x']),
        ('[a-cx]z', ['az', 'xz'], ['dz', 'abz']),
        ('[^a]', ['^', 'a'], ['b']),
        ('[a-]', ['a', '-'], ['b']),
        ('[[]ERR*', ['[ERR] disk'], ['ERR']),
        ('a.+(b)*', ['a.+(b)', 'a.+(b)c'], ['aab', 'a.+b']),
        ('a*b*c', ['abc', 'a1b2c', 'abcbc'], ['acb', 'ab', 'abcd']),
        ('*', ['', 'x'], []),
        ('a**', ['a', 'ab'], ['b']),
        ('plain', ['plain'], ['plain ', 'xplain']),
        ('%run_1%', ['a run_1 b', 'runx1'], ['run__1']),
        ('50%', ['50', '50 percent'], ['150']),
        ('*50%', ['at 50%'], ['50']),
    ],
)
def test_patterns(pattern, hits, misses):
    parsed = Pattern.parse(pattern)
    reference = re.compile(parsed.regex_source, re.DOTALL)
    for text in hits:
        assert parsed.matches(text), text
        assert reference.fullmatch(text), text
        assert text.startswith(parsed.literal_prefix)
    for text in misses:
        assert not parsed.matches(text), text
        assert not reference.fullmatch(text), text


@given(st.text('ab*?', min_size=1, max_size=8), st.text('ab', max_size=10))
def test_matching_agrees_with_the_regular_expression(pattern, text):
    parsed = Pattern.parse(pattern)
    assert parsed.matches(text) is bool(re.fullmatch(parsed.regex_source, text, re.DOTALL))


def test_hostile_patterns_stay_fast():
    parsed = Pattern.parse('*a' * 127 + 'b')
    begin = time.perf_counter()
    assert not parsed.matches('a' * 20_000)
    assert time.perf_counter() - begin < 5.0


def test_flavours():
    assert Pattern.parse('a%[b]').flavour is MatchFlavour.WILDCARD
    assert Pattern.parse('a%').flavour is MatchFlavour.LIKE
    assert Pattern.parse('a_b').flavour is MatchFlavour.EXACT
    assert Pattern.parse('a*', substring=True).flavour is MatchFlavour.SUBSTRING
    assert Pattern.parse('a*', substring=True).matches('xa*y')


@pytest.mark.parametrize(
    ('spelled', 'hits', 'misses'),
    [
        ({'$eq': 1}, [1, 1.0], [True, '1', None, 2, [1]]),
        ({'$neq': 1}, [2, float('nan'), 'x', True], [1, 1.0, None]),
        ({'$eq': True}, [True], [1, False, 'true', None]),
        ({'$lt': 5}, [4, -1e300], [5, None, '4', float('nan'), True]),
        ({'$geq': 2**53 + 1}, [2**53 + 1], [2.0**53, 2**53]),
        ({'$geq': 'b'}, ['b', 'ba'], ['a', 5, None]),
        ({'$between': [1, 3]}, [1, 2.5, 3], [0.99, 3.01, None, float('nan')]),
        ({'$outside': [1, 3]}, [0, 4], [1, 3, 2, None, float('nan')]),
        ({'$in': ['a', 'b']}, ['a'], ['c', None, 1]),
        ({'$in': [1, 2]}, [1.0], [True, '1', 3]),
        ({'$match': 'a*'}, ['abc'], ['ba', None, 5]),
        ({'$eq': [1, 2]}, [[1, 2], [1.0, 2.0]], [[2, 1], [1], 1, None, [True, 2]]),
        ({'$neq': [1, 2]}, [[2, 1]], [[1, 2], None]),
        ({'$ex': None}, [1, None], []),
        ({'$nex': None}, [], [1]),
    ],
)
def test_conditions(spelled, hits, misses):
    parsed = condition(spelled)
    assert [v for v in hits if not parsed.matches(v)] == []
    assert [v for v in misses if parsed.matches(v)] == []
    assert condition(parsed.to_json()) == parsed


EXTENDED = {
    'sequence': {'name': {'$match': 'run_*', '$neq': 'run_3'}},
    'topic': {'user_metadata': {'a.b': [{'$neq': 1}, {'$neq': 2}]}},
    'ontology': {'A.x': {'$gt': 1, '$lt': 5}, 'include_timestamp_range': True},
    'where': {
        '$or': [
            {'$not': {'sequence': {'name': {'$eq': 'a'}}, 'ontology': {'A.y': {'$gt': 1}}}},
            {'$and': [{'topic': {'name': {'$eq': 'b'}}}, {'ontology': {'B.x': {'$ex': None}}}]},
        ]
    },
    'order': '-start_time',
    'limit': 7,
    'cursor': 'abc',
    'explain': True,
}


def test_extensions_are_read_and_written():
    parsed = query.parse(EXTENDED)
    assert query.to_json(parsed) == EXTENDED
    assert [c.condition.operator.value for c in parsed.ontology] == ['$gt', '$lt']
    assert (parsed.order.key.value, parsed.order.descending) == ('start_time', True)


def spelled(way):
    """Return an alternative as short texts."""
    named = [('s', item) for item in way.sequence.fields]
    named += [('t', item) for item in way.topic.fields]
    named += [('o', item) for item in way.ontology]
    return [f'{"!" * item.negated}{kind}{item.condition.value}' for kind, item in named]


def name(text):
    return {'sequence': {'name': {'$eq': text}}}


def row(value):
    return {'ontology': {'A.x': {'$eq': value}}}


@pytest.mark.parametrize(
    ('where', 'expected'),
    [
        (name('a'), [['sa']]),
        ({'$and': [name('a'), row(1)]}, [['sa', 'o1']]),
        ({'$or': [name('a'), row(1)]}, [['sa'], ['o1']]),
        ({'$not': name('a') | row(1)}, [['!sa'], ['!o1']]),
        ({'$not': {'$or': [name('a'), row(1)]}}, [['!sa', '!o1']]),
        ({'$not': {'$not': row(1)}}, [['o1']]),
        ({'$and': [{'$or': [row(1), row(2)]}, {'$or': [row(3), row(4)]}]},
         [['o1', 'o3'], ['o1', 'o4'], ['o2', 'o3'], ['o2', 'o4']]),
        ({'$not': {'$and': [row(1), {'$or': [row(2), row(3)]}]}}, [['!o1'], ['!o2', '!o3']]),
        ({'$or': [row(1), row(1)]}, [['o1']]),
    ],
)  # fmt: skip
def test_a_tree_is_taken_apart_into_alternatives(where, expected):
    found = query.alternatives(query.parse({'where': where}))
    assert list(map(spelled, found)) == expected


def test_the_plain_sections_hold_in_every_alternative():
    body = row(9) | {'where': {'$or': [row(1), row(2)]}}
    found = query.alternatives(query.parse(body))
    assert list(map(spelled, found)) == [['o9', 'o1'], ['o9', 'o2']]


def test_alternatives_of_rows_can_be_written_as_a_tree():
    body = {'$or': [{'$not': {'ontology': {'T.x': {'$gt': 1}, 'T.y': {'$lt': 2}}}},
                    {'ontology': {'T.x': {'$eq': 1}, 'T.z': {'$eq': 2}}}]}  # fmt: skip
    ways = query.row_alternatives(
        query.parse_ontology({'T.a': {'$eq': 0}}), query.parse_where(body)
    )
    assert [len(way) for way in ways] == [2, 2, 3]
    written = query.where_json(query.rows_tree(ways))
    assert query.row_alternatives((), query.parse_where(written)) == ways
    with pytest.raises(InvalidArgumentError, match='topics'):
        query.row_alternatives((), query.parse_where({'topic': {'name': {'$eq': 'a'}}}))


def test_too_many_alternatives_are_refused():
    pair = {'$or': [row(1), row(2)]}
    assert len(query.alternatives(query.parse({'where': {'$and': [pair] * 2}}))) == 4
    with pytest.raises(InvalidArgumentError, match='128 alternatives'):
        query.alternatives(query.parse({'where': {'$and': [pair] * 7}}))


@pytest.mark.parametrize(
    ('body', 'named'),
    [
        ({'where': []}, 'not a JSON object'),
        ({'where': {}}, 'no condition'),
        ({'where': {'sequence': {}}}, 'no condition'),
        ({'where': {'$and': []}}, r'$and'),
        ({'where': {'$or': row(1)}}, r'$or'),
        ({'where': {'$xor': [row(1)]}}, 'part of where'),
        ({'where': {'$and': [row(1)], '$or': [row(2)]}}, 'part of where'),
        ({'where': {'ontology': {'include_timestamp_range': True}}}, 'include_timestamp_range'),
        ({'order': 'size'}, 'order'),
        ({'order': 1}, 'order'),
        ({'limit': 0}, 'limit'),
        ({'limit': True}, 'limit'),
        ({'cursor': 1}, 'cursor'),
        ({'explain': 'yes'}, 'explain'),
    ],
)
def test_refusals_of_extensions_name_the_fault(body, named):
    with pytest.raises(InvalidArgumentError, match=re.escape(named)):
        query.parse(body)
