"""Builders produce the bodies of the protocol, and refuse what cannot be meant."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from mosaico_ros import GPS, IMU, Query, QueryOntologyCatalog, QuerySequence, QueryTopic, String
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query import parse


def test_all_sections_together():
    query = Query(
        QuerySequence().with_name_match('drive').with_user_metadata('site.hall', eq='B'),
        QueryTopic().with_name('front/imu/').with_ontology_tag('IMU'),
        QueryOntologyCatalog(
            IMU.Q.acceleration.x.gt(5), include_timestamp_range=True
        ).with_expression(IMU.Q.acceleration.y.between(-1, 1)),
    )
    body = query.to_dict()
    assert body == {
        'sequence': {
            'name': {'$match': '*drive*'},
            'user_metadata': {'site.hall': {'$eq': 'B'}},
        },
        'topic': {'name': {'$eq': '/front/imu'}, 'ontology_tag': {'$eq': 'IMU'}},
        'ontology': {
            'IMU.acceleration.x': {'$gt': 5},
            'IMU.acceleration.y': {'$between': [-1, 1]},
            'include_timestamp_range': True,
        },
    }
    assert parse(body).include_timestamp_range  # the daemon's reader takes it as it is


@pytest.mark.parametrize(
    ('text', 'name', 'matches'),
    [
        ('imu', 'front/imu_raw', True),
        ('imu', 'front/gps', False),
        ('f*raw', 'front/imu_raw', True),
        ('f%raw', 'front/imu_raw', True),
        ('a#c', 'a1c', False),
        ('a?c', 'abc', False),
    ],
)
def test_name_match_means_substring_with_two_wildcards(text, name, matches):
    (condition,) = parse({'topic': QueryTopic().with_name_match(text).to_dict()}).topic.fields
    assert condition.matches_topic_name('run', name) is matches


def test_documented_error_marker_is_searched_literally():
    (condition,) = parse(
        {'ontology': QueryOntologyCatalog(String.Q.data.match('[ERR]')).to_dict()}
    ).ontology
    assert condition.condition.matches('12:00 [ERR] motor stalled')
    assert not condition.condition.matches('12:00 E motor')


@pytest.mark.parametrize(
    ('start', 'end', 'expected'),
    [
        (0, None, {'$geq': 0}),
        (None, 0, {'$leq': 0}),
        (0, 5, {'$between': [0, 5]}),
        (7, 7, {'$between': [7, 7]}),
        (np.int64(3), None, {'$geq': 3}),
        (datetime.datetime(1970, 1, 1, 0, 0, 1), None, {'$geq': 10**9}),
    ],
)
def test_creation_time_takes_zero_as_a_time(start, end, expected):
    body = QuerySequence().with_created_timestamp(start, end).to_dict()
    assert body == {'created_at_ns': expected}


@pytest.mark.parametrize(
    ('operator', 'expected'),
    [
        ({'eq': True}, {'$eq': True}),
        ({'neq': 'x'}, {'$neq': 'x'}),
        ({'lt': 50}, {'$lt': 50}),
        ({'between': [1, 2]}, {'$between': [1, 2]}),
        ({'outside': (1, 2)}, {'$outside': [1, 2]}),
        ({'in_': ['a', 'b']}, {'$in': ['a', 'b']}),
        ({'match': 'abc'}, {'$match': '*abc*'}),
        ({'ex': True}, {'$ex': None}),
        ({'ex': False}, {'$nex': None}),
        ({'eq': np.float32(0.5)}, {'$eq': 0.5}),
        ({'eq': np.True_}, {'$eq': True}),
        ({'in_': np.array([1, 2])}, {'$in': [1, 2]}),
        ({'geq': 1, 'lt': 2}, {'$geq': 1, '$lt': 2}),
    ],
)
def test_metadata_operators(operator, expected):
    body = {'sequence': QuerySequence().with_user_metadata('a.b', **operator).to_dict()}
    assert body['sequence']['user_metadata'] == {'a.b': expected}
    assert parse(body)


X, Y = IMU.Q.acceleration.x, IMU.Q.acceleration.y


def test_several_conditions_on_one_field_must_all_hold():
    sequence = (
        QuerySequence()
        .with_name('a')
        .with_name_match('b')
        .with_name_match('c')
        .with_user_metadata('k', gt=1)
        .with_user_metadata('k', lt=2)
    )
    assert sequence.to_dict() == {
        'name': [{'$eq': 'a'}, {'$match': '*b*'}, {'$match': '*c*'}],
        'user_metadata': {'k': {'$gt': 1, '$lt': 2}},
    }
    values = QueryOntologyCatalog(X > 1, X < 5).with_expression(X != 3).with_expression(X != 4)
    assert len(parse({'ontology': values.to_dict()}).ontology) == 4


def test_combined_values_stand_in_where():
    query = Query(QueryTopic().with_name('imu'), QueryOntologyCatalog((X > 1) | ~(Y > 1), X < 9))
    assert query.to_dict() == {
        'topic': {'name': {'$eq': '/imu'}},
        'ontology': {'IMU.acceleration.x': {'$lt': 9}},
        'where': {
            '$or': [
                {'ontology': {'IMU.acceleration.x': {'$gt': 1}}},
                {'$not': {'ontology': {'IMU.acceleration.y': {'$gt': 1}}}},
            ]
        },
    }
    assert parse(query.to_dict()).where is not None


def test_combined_builders_stand_in_where():
    a, b = QuerySequence().with_name('a'), QuerySequence().with_name('b')
    values = QueryOntologyCatalog(X > 1, (Y > 2) | (Y < 1), include_timestamp_range=True)
    body = Query((a & values) | ~b).to_dict()
    assert body == {
        'ontology': {'include_timestamp_range': True},
        'where': {'$or': [{'$and': [a.where(), values.where()]}, {'$not': b.where()}]},
    }
    assert parse(body).include_timestamp_range


def test_what_and_can_say_without_a_tree_is_said_without():
    """So published daemons understand it."""
    whole = (
        QuerySequence().with_name_match('a')
        & QueryTopic().with_name('b')
        & (QueryOntologyCatalog((X > 1) & (Y > 1)))
    )
    assert Query(whole).to_dict() == {
        'sequence': {'name': {'$match': '*a*'}},
        'topic': {'name': {'$eq': '/b'}},
        'ontology': {'IMU.acceleration.x': {'$gt': 1}, 'IMU.acceleration.y': {'$gt': 1}},
    }


def test_conditions_of_builders_can_be_read():
    sequence = QuerySequence().with_name('a').with_user_metadata('k', gt=1)
    assert repr(sequence) == "QuerySequence(sequence.name == 'a', sequence.user_metadata.k > 1)"
    values = QueryOntologyCatalog((X > 1) | (Y > 1), Y.between(1, 2))
    assert len(values.expressions()) == 2
    assert 'IMU.acceleration.y between 1 and 2' in repr(values)


@pytest.mark.parametrize(
    'build',
    [
        lambda: QuerySequence().with_created_timestamp(),
        lambda: QuerySequence().with_created_timestamp(5, 4),
        lambda: QuerySequence().with_user_metadata('a'),
        lambda: QuerySequence().with_user_metadata('a', like='x'),
        lambda: QuerySequence().with_user_metadata('a', between=[2, 1]),
        lambda: QuerySequence().with_user_metadata('a', in_=[]),
        lambda: QuerySequence().with_user_metadata('a', ex=1),
        lambda: QuerySequence().with_user_metadata('a', eq=object()),
        lambda: QuerySequence().with_user_metadata('a..b', eq=1),
        lambda: QuerySequence().with_user_metadata('a', gt=float('nan')),
        lambda: QuerySequence().with_user_metadata('a', match=''),
        lambda: QuerySequence().with_created_timestamp(True),
        lambda: QuerySequence().with_created_timestamp('2026-03-27'),
        lambda: QuerySequence().with_name('/'),
        lambda: QueryTopic().with_name_match(''),
        lambda: QueryOntologyCatalog('IMU.acceleration.x > 5'),
        lambda: QueryOntologyCatalog(QuerySequence().with_name('a') | QueryTopic().with_name('b')),
        lambda: QueryTopic().with_ontology_tag(IMU),
        lambda: Query(QueryTopic(), QueryTopic()),
        lambda: Query(GPS.Q.status.status.eq(2)),
        lambda: Query(GPS.Q.status.status.eq(2) | GPS.Q.status.status.eq(1)),
        lambda: Query(QuerySequence() | QueryTopic()).to_dict(),
        lambda: QuerySequence().with_name('a') | GPS.Q.status.status.eq(2),
    ],
)
def test_refused(build):
    with pytest.raises(InvalidArgumentError) as caught:
        build()
    assert caught.value.remedy
