"""What `.Q` builds and what it refuses."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.models import (
    GPS,
    IMU,
    Boolean,
    FrameTransform,
    Image,
    MosaicoType,
    MultiEchoLaserScan,
    RobotJoint,
    Serializable,
    String,
)
from mosaico_ros.models.core.expressions import (
    QueryableBool,
    QueryableNumeric,
    QueryableString,
    QueryExpression,
    substring_pattern,
)
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query import Pattern


def test_expression_parts():
    expression = IMU.Q.acceleration.x.gt(4.5)
    assert expression == QueryExpression('IMU', 'acceleration.x', '$gt', 4.5)
    assert expression.to_dict() == {'IMU.acceleration.x': {'$gt': 4.5}}


@pytest.mark.parametrize(
    ('expression', 'wire'),
    [
        (IMU.Q.timestamp_ns.between(1, 2), {'IMU.timestamp_ns': {'$between': [1, 2]}}),
        (IMU.Q.timestamp_ns.outside([1, 2]), {'IMU.timestamp_ns': {'$outside': [1, 2]}}),
        (GPS.Q.status.status.in_(1, 2), {'GPS.status.status': {'$in': [1, 2]}}),
        (GPS.Q.status.status.in_(np.array([1, 2])), {'GPS.status.status': {'$in': [1, 2]}}),
        (GPS.Q.position.x.neq(np.float32(0.5)), {'GPS.position.x': {'$neq': 0.5}}),
        (GPS.Q.header.frame_id.eq('a'), {'GPS.header.frame_id': {'$eq': 'a'}}),
        (GPS.Q.header.frame_id.geq('a'), {'GPS.header.frame_id': {'$geq': 'a'}}),
        (Boolean.Q.data.eq(True), {'Boolean.data': {'$eq': True}}),
        (RobotJoint.Q.positions[3].leq(1), {'RobotJoint.positions[3]': {'$leq': 1}}),
        (RobotJoint.Q.names.any().eq('j'), {'RobotJoint.names[?]': {'$eq': 'j'}}),
        (RobotJoint.Q.efforts.all().lt(9), {'RobotJoint.efforts[!]': {'$lt': 9}}),
        (
            FrameTransform.Q.transforms.any().translation.x.gt(1),
            {'FrameTransform.transforms[?].translation.x': {'$gt': 1}},
        ),
        (QueryableNumeric('Odd.a.b').gt(1), {'Odd.a.b': {'$gt': 1}}),
        (QueryableString('Odd.s').eq('x'), {'Odd.s': {'$eq': 'x'}}),
        (QueryableBool('Odd.f').eq(np.bool_(False)), {'Odd.f': {'$eq': False}}),
    ],
)
def test_wire_form(expression, wire):
    assert expression.to_dict() == wire


def test_operands_are_what_json_has():
    value = IMU.Q.acceleration.x.gt(np.float64(1)).value
    assert type(value) is float


@pytest.mark.parametrize(
    'attempt',
    [
        lambda: IMU.Q.acceleration.x.gt('5'),
        lambda: IMU.Q.acceleration.x.gt(True),
        lambda: IMU.Q.acceleration.x.gt(None),
        lambda: String.Q.data.eq(5),
        lambda: Boolean.Q.data.eq(1),
        lambda: RobotJoint.Q.positions['a'],
    ],
)
def test_wrong_kind_of_operand(attempt):
    with pytest.raises(TypeError):
        attempt()


@pytest.mark.parametrize(
    'attempt',
    [
        lambda: IMU.Q.acceleration.x.gt(float('nan')),
        lambda: IMU.Q.acceleration.x.between(2, 1),
        lambda: IMU.Q.acceleration.x.between(1),
        lambda: IMU.Q.acceleration.x.in_(),
        lambda: IMU.Q.acceleration.x.in_([]),
        lambda: RobotJoint.Q.positions[-1],
        lambda: QueryableNumeric('IMU'),
    ],
)
def test_wrong_operand(attempt):
    with pytest.raises(InvalidArgumentError):
        attempt()


@pytest.mark.parametrize(
    ('attempt', 'told'),
    [
        (lambda: IMU.Q.speed, 'angular_velocity'),
        (lambda: IMU.Q.acceleration.a, 'covariance_type'),
        (lambda: String.Q.data.neq('a'), 'match'),
        (lambda: Boolean.Q.data.gt(True), 'eq'),
        (lambda: RobotJoint.Q.positions.gt(1), 'any'),
        (lambda: Image.Q.data.eq(b''), 'nothing comparable'),
        (lambda: MultiEchoLaserScan.Q.ranges.any(), 'nothing comparable'),
    ],
)
def test_what_is_not_there_is_told(attempt, told):
    with pytest.raises(AttributeError, match=told):
        attempt()


def test_members_are_listed_for_completion():
    assert 'acceleration' in dir(IMU.Q)
    assert dir(IMU.Q.header.timestamp) == ['nanoseconds', 'seconds']


def test_time_columns():
    class Shift(Serializable):
        day: datetime.date
        start: MosaicoType.annotate(datetime.datetime, pa.timestamp('us', 'UTC'))

    assert Shift.Q.day.gt(datetime.date(2026, 1, 2)).value == '2026-01-02'
    assert Shift.Q.start.lt(17).value == '17'


@pytest.mark.parametrize(
    ('search', 'text', 'found'),
    [
        ('[ERR]', 'log [ERR] disk', True),
        ('[ERR]', 'log ERR disk', False),
        ('50%of', '50 percent of', True),
        ('a*d', 'xx abcd yy', True),
        ('a?', 'ab', False),
        ('#1', 'is #1 now', True),
        ('#1', 'is 21 now', False),
    ],
)
def test_match_searches_for_text(search, text, found):
    assert Pattern.parse(String.Q.data.match(search).value).matches(text) is found


def test_substring_pattern_keeps_plain_text():
    assert substring_pattern('door') == '*door*'
