"""Conversions that models offer beside their fields."""

import datetime

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mosaico_ros.models import (
    Duration,
    Pressure,
    Quaternion,
    Range,
    Temperature,
    Time,
    Vector2d,
    Vector3d,
)
from mosaico_ros.models.futures.depth_camera import pack_rgb, unpack_rgb
from mosaico_ros.models.platform import Sequence, Session
from mosaico_ros.protocol.errors import InvalidArgumentError

NANOSECONDS = st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1)


@given(NANOSECONDS)
def test_nanoseconds_are_exact(total):
    for kind in (Time, Duration):
        moment = kind.from_nanoseconds(total)
        assert moment.to_nanoseconds() == total
        assert 0 <= moment.nanoseconds < 10**9
        assert moment.to_milliseconds() == total // 10**6


@given(st.integers(-(2**31) * 1000, 2**31 * 1000 - 1))
def test_milliseconds_are_exact(total):
    assert Time.from_milliseconds(total).to_milliseconds() == total


@given(st.integers(0, 4 * 10**15))
def test_seconds_as_floats_round_to_the_nearest(total):
    assert Time.from_float(Time.from_nanoseconds(total).to_float()).to_nanoseconds() == total


def test_negative_spans():
    span = Duration.from_float(-0.5)
    assert (span.seconds, span.nanoseconds) == (-1, 500_000_000)
    assert span.to_float() == -0.5


@given(st.datetimes(datetime.datetime(1902, 1, 1), datetime.datetime(2037, 12, 31)))
def test_datetimes_are_exact(moment):
    aware = moment.replace(tzinfo=datetime.timezone.utc)
    assert Time.from_datetime(aware).to_datetime() == aware


def test_now_is_now():
    before = datetime.datetime.now(datetime.timezone.utc)
    assert abs(Time.now().to_datetime() - before) < datetime.timedelta(seconds=5)


@pytest.mark.parametrize(
    'make',
    [
        lambda: Time.from_nanoseconds(2**31 * 10**9),
        lambda: Time(seconds=0, nanoseconds=10**9),
        lambda: Time(seconds=0, nanoseconds=-1),
    ],
)
def test_times_out_of_range(make):
    with pytest.raises(ValueError, match='validation error'):
        make()


def test_vectors_from_lists():
    assert Vector3d.from_list([1, 2, 3]) == Vector3d(x=1, y=2, z=3)
    assert Quaternion.from_list(np.array([0, 0, 0, 1.0])).w == 1
    with pytest.raises(InvalidArgumentError, match='Vector2d has 2 components, got 3'):
        Vector2d.from_list([1, 2, 3])


@pytest.mark.parametrize(('unit', 'pascal'), [('atm', 101325), ('bar', 1e5), ('psi', 6894.757)])
def test_pressure_units(unit, pascal):
    pressure = getattr(Pressure, f'from_{unit}')(value=2, variance=0.1, variance_type=1)
    assert pressure.value == pytest.approx(2 * pascal)
    assert (pressure.variance, pressure.variance_type) == (0.1, 1)
    assert getattr(pressure, f'to_{unit}')() == pytest.approx(2)


def test_temperature_units():
    assert Temperature.from_celsius(value=25).value == pytest.approx(298.15)
    assert Temperature.from_fahrenheit(value=212).to_celsius() == pytest.approx(100)
    assert Temperature(value=0).to_fahrenheit() == pytest.approx(-459.67)


@given(*[st.integers(0, 255)] * 3)
def test_packed_colours(r, g, b):
    assert unpack_rgb(pack_rgb(r, g, b)) == (r, g, b)


def test_packed_colours_out_of_range():
    with pytest.raises(InvalidArgumentError, match='256'):
        pack_rgb(0, 256, 0)


@pytest.mark.parametrize(
    ('limits', 'distance', 'told'),
    [((2, 1), 1.5, 'exceeds'), ((1, 2), 3, 'outside'), ((1, 2), 0.5, 'outside')],
)
def test_ranges_lie_within_their_limits(limits, distance, told):
    with pytest.raises(ValueError, match=told):
        echo(limits, distance)


def test_ranges_that_saw_nothing():
    assert echo((1, 2), float('inf')).range == float('inf')
    assert echo((1, 2), float('nan')).range != 0


def echo(limits, distance):
    return Range(
        radiation_type=0,
        field_of_view=0.1,
        min_range=limits[0],
        max_range=limits[1],
        range=distance,
    )


def test_sequences_sum_up_their_sessions():
    first = Session('s:1', 10, True, 20, ['imu', 'gps'])
    second = Session('s:2', 30, False, None, ['joints'])
    sequence = Sequence({'robot': 'r1'}, 10, 's', 1000, [first, second])
    assert sequence.topics == ['imu', 'gps', 'joints']
    assert sequence.updated_timestamps == [10, 30]
