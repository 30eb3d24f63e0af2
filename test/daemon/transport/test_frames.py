"""FlightData by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from mosaico_ros.daemon.transport.frames import read_frame, write_frame
from mosaico_ros.protocol.errors import InvalidArgumentError


@given(st.binary(min_size=1), st.lists(st.binary(max_size=300), max_size=4), st.binary())
def test_round_trip(header, body, app_metadata):
    frame = read_frame(write_frame(header, body, app_metadata))
    assert frame.header == header
    assert frame.body == b''.join(body)
    assert frame.app_metadata == app_metadata


def test_reading_copies_nothing():
    data = write_frame(b'head', [b'x' * 1000])
    assert read_frame(data).body.obj is data


def test_unknown_fields_are_skipped():
    extra = b'\x28\x96\x01' + b'\x31' + b'8' * 8 + b'\x3d' + b'4' * 4 + b'\x4a\x02hi'
    frame = read_frame(extra + write_frame(b'head', [b'body']) + extra)
    assert (frame.header, frame.body) == (b'head', b'body')


@pytest.mark.parametrize(
    'data',
    [
        b'\x12',
        b'\x12\x05abc',
        b'\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01',
        b'\x31abc',
        b'\x13',
        b'\xc2\x3e\xff\xff\xff\xff\x0f',
        b'\x28\x80',
    ],
)
def test_damage_is_reported(data):
    with pytest.raises(InvalidArgumentError, match='FlightData'):
        read_frame(data)


@given(st.binary(max_size=60))
def test_garbage_never_escapes_as_another_error(data):
    try:
        read_frame(data)
    except InvalidArgumentError:
        pass
