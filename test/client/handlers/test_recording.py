"""Recordings in parts, read as one."""

from __future__ import annotations

import pytest

from mosaico_ros import GPS, IMU
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError


@pytest.fixture
def rotated(client, name, make_imu, make_gps):
    """Three parts; the second begins with the latched position that the first has, too."""
    parts = [
        (name, range(0, 100, 10), [5]),
        (f'{name}_0002', range(100, 200, 10), [5, 115]),
        (f'{name}_0003', range(200, 250, 10), []),
    ]
    # Made out of order: what counts is the number.
    for number, (part, imus, gpses) in reversed(list(enumerate(parts, 1))):
        metadata = {'recording_id': f'{name}-x', 'part': number, 'robot': 'r1'}
        with client.sequence_create(part, metadata) as sequence:
            for topic, times, kind, make in (
                ('/imu', imus, IMU, make_imu),
                ('/gps', gpses, GPS, make_gps),
            ):
                if times:
                    writer = sequence.topic_create(topic, {}, kind)
                    for time in times:
                        writer.push(make(time))
    return name


def test_parts_are_read_as_one(client, rotated):
    recording = client.recording_handler(rotated)
    assert [part.name for part in recording.parts] == [
        rotated,
        f'{rotated}_0002',
        f'{rotated}_0003',
    ]
    assert recording.user_metadata == {'recording_id': f'{rotated}-x', 'robot': 'r1'}
    assert (recording.timestamp_ns_min, recording.timestamp_ns_max) == (0, 240)
    assert sorted(recording.topics) == ['/gps', '/imu']
    imu = recording.get_topic_handler('imu')
    assert (imu.message_count, imu.timestamp_ns_min, imu.timestamp_ns_max) == (25, 0, 240)
    assert [m.timestamp_ns for m in imu.get_data_streamer()] == list(range(0, 250, 10))
    assert imu.to_arrow()['timestamp_ns'].to_pylist() == list(range(0, 250, 10))
    assert list(imu.to_numpy(columns=['acceleration.z'])['acceleration.z']) == [9.8] * 25
    assert len(imu.to_pandas()) == 25


def test_what_a_part_repeats_counts_once(client, rotated):
    recording = client.recording_handler(rotated)
    gps = recording.get_topic_handler('/gps')
    assert gps.message_count == 2
    assert [m.timestamp_ns for m in gps.get_data_streamer()] == [5, 115]
    merged = [(topic, m.timestamp_ns) for topic, m in recording.get_data_streamer()]
    assert [time for _, time in merged] == sorted([*range(0, 250, 10), 5, 115])
    assert [time for topic, time in merged if topic == '/gps'] == [5, 115]


@pytest.mark.parametrize(
    ('start', 'end', 'times'),
    [
        (None, 100, range(0, 100, 10)),
        (95, 105, [100]),
        (90, 101, [90, 100]),
        (150, 210, [150, 160, 170, 180, 190, 200]),
        (245, None, []),
        (None, 0, []),
    ],
)
def test_windows_reach_over_parts(client, rotated, start, end, times):
    recording = client.recording_handler(rotated)
    streamer = recording.get_topic_handler('imu').get_data_streamer(start, end)
    assert streamer.msg_count == len(times)
    assert [m.timestamp_ns for m in streamer] == list(times)
    merged = recording.get_data_streamer('imu', start, end)
    assert [m.timestamp_ns for _, m in merged] == list(times)


def test_a_later_part_and_any_other_sequence_stand_for_themselves(client, rotated, name):
    alone = client.recording_handler(f'{rotated}_0002')
    assert [part.name for part in alone.parts] == [f'{rotated}_0002']
    assert alone.get_topic_handler('gps').message_count == 2
    assert client.recording_handler(f'{name}-nothing') is None


def test_what_is_not_there_is_refused_by_name(client, rotated):
    recording = client.recording_handler(rotated)
    with pytest.raises(InvalidArgumentError, match=r'no topic /scan.*/imu'):
        recording.get_topic_handler('scan')
    with pytest.raises(InvalidArgumentError, match='window'):
        recording.get_topic_handler('imu').get_data_streamer(5, 5)


def test_a_type_that_changes_between_parts_is_read_as_messages(client, name, make_imu, make_gps):
    for number, (kind, make) in enumerate(((IMU, make_imu), (GPS, make_gps)), 1):
        part = name if number == 1 else f'{name}_0002'
        with client.sequence_create(part, {'recording_id': name, 'part': number}) as sequence:
            sequence.topic_create('/pose', {}, kind).push(make(number))
    topic = client.recording_handler(name).get_topic_handler('pose')
    assert [type(m.data) for m in topic.get_data_streamer()] == [IMU, GPS]
    with pytest.raises(FailedPreconditionError, match='parts before'):
        topic.to_arrow()
