"""Queries as the command line takes them."""

from __future__ import annotations

import pytest

from mosaico_ros.client.query.text import QueryTextError, parse


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('IMU.acceleration.y > 8', {'ontology': {'IMU.acceleration.y': {'$gt': 8}}}),
        ('IMU.acceleration.y>=-8.5e3', {'ontology': {'IMU.acceleration.y': {'$geq': -8500.0}}}),
        ('imu.acceleration.y < .5', {'ontology': {'IMU.acceleration.y': {'$lt': 0.5}}}),
        ('GPS.status.status != 2', {'ontology': {'GPS.status.status': {'$neq': 2}}}),
        (
            'GPS.position.z between 10 and 20 AND GPS.status.status == 2',
            {
                'ontology': {
                    'GPS.position.z': {'$between': [10, 20]},
                    'GPS.status.status': {'$eq': 2},
                }
            },
        ),
        (
            'IMU.timestamp_ns outside 1 and 2',
            {'ontology': {'IMU.timestamp_ns': {'$outside': [1, 2]}}},
        ),
        ('GPS.status.status in [1, 2]', {'ontology': {'GPS.status.status': {'$in': [1, 2]}}}),
        ('String.data in (\'a\', "b")', {'ontology': {'String.data': {'$in': ['a', 'b']}}}),
        ("String.data match 'it\\'s'", {'ontology': {'String.data': {'$match': "*it's*"}}}),
        ('RobotJoint.positions[?] > 1', {'ontology': {'RobotJoint.positions[?]': {'$gt': 1}}}),
        ('RobotJoint.positions[!] > 1', {'ontology': {'RobotJoint.positions[!]': {'$gt': 1}}}),
        ('RobotJoint.positions[3] > 1', {'ontology': {'RobotJoint.positions[3]': {'$gt': 1}}}),
        ('Boolean.data == true', {'ontology': {'Boolean.data': {'$eq': True}}}),
        ('Foreign.some.field <= 3', {'ontology': {'Foreign.some.field': {'$leq': 3}}}),
        (
            "sequence.name match 'demo*' and topic.ontology_tag == 'IMU'",
            {
                'sequence': {'name': {'$match': '*demo**'}},
                'topic': {'ontology_tag': {'$eq': 'IMU'}},
            },
        ),
        ("topic.name ~ 'front'", {'topic': {'name': {'$match': '*front*'}}}),
        ("topic.name == 'front/imu'", {'topic': {'name': {'$eq': '/front/imu'}}}),
        (
            "sequence.metadata.site.hall == 'B' and topic.metadata.mount in ['wrist']",
            {
                'sequence': {'user_metadata': {'site.hall': {'$eq': 'B'}}},
                'topic': {'user_metadata': {'mount': {'$in': ['wrist']}}},
            },
        ),
        ('sequence.created_at_ns >= 5', {'sequence': {'created_at_ns': {'$geq': 5}}}),
        (
            'sequence.created_at_ns between 1 and 2',
            {'sequence': {'created_at_ns': {'$between': [1, 2]}}},
        ),
        (
            "sequence.created_at_ns >= '1970-01-01T00:00:01Z'",
            {'sequence': {'created_at_ns': {'$geq': 10**9}}},
        ),
        (
            "IMU.timestamp_ns between '1970-01-01T00:00:00Z' and '1970-01-01T01:00:01+01:00'",
            {'ontology': {'IMU.timestamp_ns': {'$between': [0, 10**9]}}},
        ),
        (
            'IMU.acceleration.y > 1 and IMU.acceleration.y < 2',
            {'ontology': {'IMU.acceleration.y': {'$gt': 1, '$lt': 2}}},
        ),
        (
            "Own.a > 1 or Own.b > 2 and not (sequence.name == 'x' or Own.c between 1 and 2)",
            {
                'where': {
                    '$or': [
                        {'ontology': {'Own.a': {'$gt': 1}}},
                        {
                            '$and': [
                                {'ontology': {'Own.b': {'$gt': 2}}},
                                {
                                    '$not': {
                                        '$or': [
                                            {'sequence': {'name': {'$eq': 'x'}}},
                                            {'ontology': {'Own.c': {'$between': [1, 2]}}},
                                        ]
                                    }
                                },
                            ]
                        },
                    ]
                }
            },
        ),
        (
            "(sequence.name == 'x') and not not (topic.name == 'y')",
            {
                'sequence': {'name': {'$eq': 'x'}},
                'where': {'$not': {'$not': {'topic': {'name': {'$eq': '/y'}}}}},
            },
        ),
    ],
)
def test_understood(text, expected):
    assert parse(text).to_dict() == expected


@pytest.mark.parametrize(
    ('text', 'marked', 'says'),
    [
        ('', '', 'field'),
        ('x > 8', 'x', 'field'),
        ('IMU.acceleration.q > 1', 'IMU', "no field 'q'"),
        ('IMU.acceleration > 1', 'IMU', 'parts'),
        ('RobotJoint.positions > 1', 'RobotJoint', 'list'),
        ('IMU.acceleration.y >', '', 'ends'),
        ('IMU.acceleration.y >> 8', '> 8', 'number'),
        ('IMU.acceleration.y near 8', 'near', 'operator'),
        ("IMU.acceleration.y > 'fast'", 'IMU', 'numbers'),
        ('IMU.acceleration.y > 8 or', '', 'field'),
        ('or IMU.acceleration.y > 8', 'or', 'field'),
        ('IMU.acceleration.y > 8 not IMU.acceleration.x > 2', 'not', '"and" or "or"'),
        ('(IMU.acceleration.y > 8', '', '")"'),
        ('IMU.acceleration.y > 8)', ')', '"and" or "or"'),
        ('not ' * 60 + 'IMU.acceleration.y > 8', 'not ' * 10 + 'IMU', '50 levels'),
        ('(' * 60, '(' * 10, '50 levels'),
        ('IMU.acceleration.y > 8, IMU.acceleration.x > 2', ',', '"and"'),
        ("IMU.timestamp_ns > 'noon'", 'IMU', 'no instant'),
        ("topic.name ~ 'imu", "'imu", 'quote'),
        ('IMU.acceleration.y > 8 ;', ';', 'character'),
        ('GPS.status.status in 3', '3', 'list'),
        ('GPS.status.status in [1 2]', '2', '","'),
        ('GPS.position.z between 20 and 10', 'GPS', 'lower'),
        ('GPS.position.z between 20', '', '"and"'),
        ('topic.size > 3', 'topic', 'Not offered'),
        ('sequence.ontology_tag == 3', 'sequence', 'Not offered'),
        ('IMU.acceleration..y > 1', '.', 'character'),
    ],
)
def test_the_caret_stands_under_the_fault(text, marked, says):
    with pytest.raises(QueryTextError) as caught:
        parse(text)
    message, shown, caret = str(caught.value).rsplit('\n', 2)
    assert says in message
    assert shown[2:] == text
    at = caught.value.position
    assert caret == ' ' * (2 + at) + '^'
    assert text[at:].startswith(marked)
    assert marked or at == len(text)
