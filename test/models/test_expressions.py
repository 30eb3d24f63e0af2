"""What `.Q` builds and what it refuses."""

import copy
import datetime
import enum
import pickle

import numpy as np
import pandas as pd
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
        (String.Q.data.neq('a'), {'String.data': {'$neq': 'a'}}),
        (Boolean.Q.data.neq(True), {'Boolean.data': {'$neq': True}}),
        (RobotJoint.Q.names.eq(['a', 'b']), {'RobotJoint.names': {'$eq': ['a', 'b']}}),
        (RobotJoint.Q.positions.neq(np.arange(2)), {'RobotJoint.positions': {'$neq': [0, 1]}}),
    ],
)
def test_wire_form(expression, wire):
    assert expression.to_dict() == wire


X = IMU.Q.acceleration.x


@pytest.mark.parametrize(
    ('by_sign', 'by_name'),
    [
        (X > 5, X.gt(5)),
        (X >= 5, X.geq(5)),
        (X < 5, X.lt(5)),
        (X <= 5, X.leq(5)),
        (X == 5, X.eq(5)),
        (X != 5, X.neq(5)),
        (5 < X, X.gt(5)),  # noqa: SIM300
        (np.float64(5) >= X, X.leq(5.0)),
        (String.Q.data == 'a', String.Q.data.eq('a')),
        (Boolean.Q.data != True, Boolean.Q.data.neq(True)),  # noqa: E712
        (RobotJoint.Q.names == ['a'], RobotJoint.Q.names.eq(['a'])),
    ],
)
def test_signs_mean_the_methods(by_sign, by_name):
    assert by_sign == by_name


def test_combinations():
    a, b, c = X > 1, X < 5, X == 3
    assert (a & b & c).where() == {'$and': [a.where(), b.where(), c.where()]}
    assert (a | b & ~c).where() == {'$or': [a.where(), {'$and': [b.where(), {'$not': c.where()}]}]}
    assert ((a & b) | c).parts[0] == a & b
    assert str((a | b) & ~c) == (
        '((IMU.acceleration.x > 1) | (IMU.acceleration.x < 5)) & (~(IMU.acceleration.x == 3))'
    )


@pytest.mark.parametrize(
    ('mistake', 'told'),
    [
        (lambda: X > 1 | X, 'parenthes|write'),
        (lambda: (X > 1) | 5, 'no condition'),
        (lambda: True & (X > 1), 'no condition'),
        (lambda: ~X, 'no condition yet'),
        (lambda: 1 < X < 5, '&'),
        (lambda: (X > 1) and (X < 5), '&'),
        (lambda: not (X > 1), '~'),
        (lambda: bool((X > 1) | (X < 0)), r'\|'),
    ],
)
def test_what_python_would_misread_is_refused(mistake, told):
    with pytest.raises(TypeError, match=told):
        mistake()


class Gear(enum.IntEnum):
    FIRST = 1


class Colour(str, enum.Enum):
    RED = 'red'


class Ratio(enum.Enum):
    HALF = 0.5


@pytest.mark.parametrize(
    ('expression', 'value'),
    [
        (X.gt(np.float64(1)), 1.0),
        (X.gt(np.int64(1)), 1),
        (X.gt(np.uint8(255)), 255),
        (X.gt(np.array(3)), 3),
        (X.gt(pa.scalar(2.5)), 2.5),
        (X.gt(Gear.FIRST), 1),
        (X.gt(Ratio.HALF), 0.5),
        (X.in_(range(3)), [0, 1, 2]),
        (X.in_((1, 2)), [1, 2]),
        (X.in_({1}), [1]),
        (X.in_(np.array([1.5, 2.5])), [1.5, 2.5]),
        (X.in_(pd.Series([1, 2])), [1, 2]),
        (X.in_(pa.array([1, 2])), [1, 2]),
        (X.in_(n for n in (1, 2)), [1, 2]),
        (X.in_(Gear), [1]),
        (X.between(np.array([1, 2])), [1, 2]),
        (String.Q.data.eq(np.str_('a')), 'a'),
        (String.Q.data.eq(Colour.RED), 'red'),
        (String.Q.data.in_(Colour), ['red']),
        (String.Q.data.in_('ab'), ['ab']),
        (Boolean.Q.data.eq(np.True_), True),
    ],
)
def test_operands_are_what_json_has(expression, value):
    assert expression.value == value
    given = expression.value if isinstance(value, list) else [expression.value]
    assert {type(one) for one in given} <= {int, float, str, bool}


MOMENT = datetime.datetime(2026, 3, 27, 12, 20, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ('moment', 'ns'),
    [
        (MOMENT, 1774614000_000000000),
        (MOMENT.replace(tzinfo=None), 1774614000_000000000),
        (MOMENT.astimezone(datetime.timezone(datetime.timedelta(hours=2))), 1774614000_000000000),
        (MOMENT + datetime.timedelta(microseconds=1), 1774614000_000001000),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), -1000),
        (np.datetime64('2026-03-27T12:20:00.000000001'), 1774614000_000000001),
        (np.datetime64('2026-03-27'), 1774569600_000000000),
        (np.datetime64('9999-01-01', 's'), 253370764800_000000000),
        (pd.Timestamp(1774614000_000000007), 1774614000_000000007),
        (np.int64(7), 7),
    ],
)
def test_message_times_compare_with_datetimes(moment, ns):
    value = IMU.Q.timestamp_ns.geq(moment).value
    assert (value, type(value)) == (ns, int)


@pytest.mark.parametrize(
    'attempt',
    [
        lambda: IMU.Q.acceleration.x.gt('5'),
        lambda: IMU.Q.acceleration.x.gt(True),
        lambda: IMU.Q.acceleration.x.gt(None),
        lambda: String.Q.data.eq(5),
        lambda: Boolean.Q.data.eq(1),
        lambda: RobotJoint.Q.positions['a'],
        lambda: RobotJoint.Q.positions.eq(5),
        lambda: RobotJoint.Q.names.eq('a'),
        lambda: RobotJoint.Q.names.eq([1]),
        lambda: FrameTransform.Q.transforms.eq([1]),
        lambda: X.gt(np.array([1, 2])),
        lambda: np.array([1, 2]) < X,
        lambda: X.in_([[1]]),
        lambda: X.gt(Colour.RED),
        lambda: X.gt(np.bool_(True)),
        lambda: X.gt(1j),
        lambda: IMU.Q.timestamp_ns.gt(pd.NaT),
        lambda: IMU.Q.timestamp_ns.gt(np.datetime64('NaT')),
        lambda: IMU.Q.timestamp_ns.gt('2026-03-27'),
    ],
)
def test_wrong_kind_of_operand(attempt):
    with pytest.raises(TypeError):
        attempt()


@pytest.mark.parametrize(
    'attempt',
    [
        lambda: IMU.Q.acceleration.x.gt(float('nan')),
        lambda: IMU.Q.acceleration.x.neq(np.float32('nan')),
        lambda: IMU.Q.acceleration.x.lt(np.inf),
        lambda: IMU.Q.acceleration.x.in_(1, float('nan')),
        lambda: IMU.Q.acceleration.x.in_(range(10**12)),
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
        (lambda: IMU.Q.accel, 'did you mean acceleration[?] It has'),
        (lambda: IMU.Q.Acceleration, 'did you mean acceleration'),
        (lambda: IMU.Q.acceleration.covariancetype, 'did you mean covariance_type'),
        (lambda: IMU.Q.frame_id, 'did you mean header.frame_id'),
        (lambda: IMU.Q.qqq, "no field 'qqq'; it has timestamp_ns"),
        (lambda: IMU.Q.acceleration > 5, 'it has.* x, y, z'),
        (lambda: String.Q.data.like('a'), 'match'),
        (lambda: Boolean.Q.data.gt(True), 'eq'),
        (lambda: RobotJoint.Q.positions.gt(1), 'any'),
        (lambda: Image.Q.data.eq(b''), 'binary'),
        (lambda: MultiEchoLaserScan.Q.ranges.any(), 'lists of lists'),
        (lambda: NamedCounts.Q.by_name.eq({}), 'maps'),
    ],
)
def test_what_is_not_there_is_told(attempt, told):
    with pytest.raises(AttributeError, match=told):
        attempt()


class NamedCounts(Serializable):
    by_name: dict[str, int]


def test_what_there_is_is_listed_for_completion():
    assert 'acceleration' in dir(IMU.Q)
    assert 'timestamp_ns' in dir(IMU.Q)
    assert dir(IMU.Q.header.timestamp) == ['nanoseconds', 'seconds']
    assert dir(RobotJoint.Q.positions) == ['all', 'any', 'eq', 'neq']
    assert dir(Boolean.Q.data) == ['eq', 'neq']
    for name in dir(String.Q.data):
        assert callable(getattr(String.Q.data, name))


def test_proxies_can_be_copied_and_pickled():
    for field in (X, copy.deepcopy(X), pickle.loads(pickle.dumps(X))):
        assert field.gt(1) == QueryExpression('IMU', 'acceleration.x', '$gt', 1)
    assert 'acceleration' in dir(copy.copy(IMU.Q))


class Shift(Serializable):
    day: datetime.date
    begin: datetime.time
    start: MosaicoType.annotate(datetime.datetime, pa.timestamp('us', 'UTC'))
    length: datetime.timedelta
    seconds: MosaicoType.annotate(int, pa.duration('s'))


@pytest.mark.parametrize(
    ('expression', 'value'),
    [
        (Shift.Q.day.gt(datetime.date(2026, 1, 2)), '2026-01-02'),
        (Shift.Q.day.gt(np.datetime64('2026-01')), '2026-01-01T00:00:00'),
        (Shift.Q.begin.gt(datetime.time(9, 30)), '09:30:00'),
        (Shift.Q.start.gt(MOMENT.replace(tzinfo=None)), '2026-03-27T12:20:00+00:00'),
        (Shift.Q.start.gt(pd.Timestamp(MOMENT)), '2026-03-27T12:20:00+00:00'),
        (Shift.Q.start.lt(17), 17),
        (Shift.Q.start.between(9, 17), [9, 17]),
        (Shift.Q.length.gt(datetime.timedelta(seconds=1)), 10**6),
        (Shift.Q.length.gt(np.timedelta64(2, 'ms')), 2000),
        (Shift.Q.length.gt(pd.Timedelta(1500, 'ns')), 1.5),
        (Shift.Q.seconds.gt(datetime.timedelta(milliseconds=1500)), 1.5),
        (Shift.Q.seconds.in_(1, datetime.timedelta(minutes=1)), [1, 60]),
    ],
)
def test_time_columns(expression, value):
    assert expression.value == value


@pytest.mark.parametrize(
    'attempt',
    [
        lambda: Shift.Q.start.gt('now'),
        lambda: Shift.Q.start.gt(True),
        lambda: Shift.Q.start.gt(pd.NaT),
        lambda: Shift.Q.length.gt(np.timedelta64('NaT')),
        lambda: Shift.Q.start.between(1, MOMENT),
    ],
)
def test_times_that_cannot_be_compared(attempt):
    with pytest.raises(InvalidArgumentError):
        attempt()


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
