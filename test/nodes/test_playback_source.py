"""What is played, read from a real daemon: slices, parts, merged sequences, query results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from mosaico_ros import IMU, Message, Vector3d
from mosaico_ros.models import String
from mosaico_ros.nodes.playback_source import PlaybackSource, PlayRequest
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from mosaico_ros.ros_bridge.attachments import AttachmentPiece
from mosaico_ros.ros_bridge.definitions import find_definition

S = 1_000_000_000
BEGIN = 1_700_000_000 * S
LATCHED = {'_ros_': {'msgtype': 'std_msgs/msg/String', 'offered_qos': [
    {'reliability': 'reliable', 'durability': 'transient_local'},
]}}  # fmt: skip


def imu(y: float) -> IMU:
    y = float(y)
    zero = Vector3d(x=0.0, y=0.0, z=0.0)
    return IMU(acceleration=Vector3d(x=0.0, y=y, z=0.0), angular_velocity=zero)


@pytest.fixture
def store(daemon: Any) -> Callable[..., str]:
    """``store({'/imu': [(seconds, value), ...]})`` makes a sequence and returns its name.

    Numbers become IMU messages, texts strings; a topic whose name ends with ``static`` is latched.
    """

    def make(
        topics: dict[str, Sequence[tuple[float, float | str]]],
        name: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        name = name or f'source_{uuid4().hex}'
        with daemon.client() as client, client.sequence_create(name, metadata or {}) as sequence:
            for topic, rows in topics.items():
                texts = isinstance(rows[0][1], str)
                about = LATCHED if topic.endswith('static') else {}
                writer = sequence.topic_create(topic, about, String if texts else IMU)
                for seconds, value in rows:
                    data = String(data=value) if isinstance(value, str) else imu(value)
                    time = BEGIN + round(seconds * S)
                    writer.push(Message(timestamp_ns=time, data=data))
        return name

    return make


def played(source: PlaybackSource, position: int = 0) -> list[tuple[float, str, Any]]:
    """Everything from a position on: position in seconds, topic, value."""
    types = {
        name: find_definition(name).messages
        for name in ('sensor_msgs/msg/Imu', 'std_msgs/msg/String')
    }
    found = []
    for batch in source.read(position):
        for at, track, payload in zip(
            batch.positions.tolist(), batch.tracks.tolist(), batch.payloads, strict=True
        ):
            topic = source.tracks[track]
            msgtype = topic.definition.msgtype
            message: Any = types[msgtype].deserialize_cdr(payload, msgtype)
            value = message.data if 'String' in msgtype else message.linear_acceleration.y
            found.append((at / S, topic.name, value))
    return found


def test_a_sequence_is_played_whole_and_from_anywhere(daemon: Any, store: Any) -> None:
    name = store({'/imu': [(i / 10, i) for i in range(40)], '/talk': [(0.05, 'a'), (2.05, 'b')]})
    with daemon.client() as client:
        source = PlaybackSource(client, PlayRequest([name]))
        whole = played(source)
        assert source.timeline.duration_ns == 3.9 * S + 1
        assert [value for _, topic, value in whole if topic == '/imu'] == list(range(40))
        assert whole == sorted(whole, key=lambda each: each[0])
        assert [each for each in whole if each[1] == '/talk'] == [
            (0.05, '/talk', 'a'), (2.05, '/talk', 'b')
        ]  # fmt: skip
        assert played(source, 2 * S) == [each for each in whole if each[0] >= 2]


def test_slices_and_topics_narrow_it(daemon: Any, store: Any) -> None:
    rows = [(float(i), i) for i in range(10)]
    name = store({'/imu': rows, '/front/imu': rows, '/rear/imu': rows})
    with daemon.client() as client:
        request = PlayRequest(
            [name],
            topics=('*/imu', '!/rear/*'),
            start_ns=BEGIN + 2 * S,
            end_ns=BEGIN + 7 * S + 1,
            offset_ns=1 * S,
            duration_ns=3 * S,
        )
        found = played(PlaybackSource(client, request))
    assert [(at, value) for at, topic, value in found if topic == '/imu'] == [
        (0, 3), (1, 4), (2, 5)
    ]  # fmt: skip
    assert {topic for _, topic, _ in found} == {'/imu', '/front/imu'}


def test_a_recording_in_parts_is_played_as_one(daemon: Any, store: Any) -> None:
    name = f'parts_{uuid4().hex}'
    latched = (0.5, 'the map')
    for part, begin in ((1, 0), (2, 5), (3, 10)):
        rows = [(begin + i, begin + i) for i in range(5)]
        store(
            {'/imu': rows, '/map_static': [latched]},
            f'{name}_{part:04}',
            {'recording_id': name, 'part': part},
        )
    with daemon.client() as client:
        found = played(PlaybackSource(client, PlayRequest([f'{name}_0001'])))
        alone = played(PlaybackSource(client, PlayRequest([f'{name}_0003'])))
    assert [value for _, topic, value in found if topic == '/imu'] == list(range(15))
    # Each part repeats what is latched; it was published once.
    assert [each for each in found if each[1] == '/map_static'] == [
        (0.5, '/map_static', 'the map')
    ]
    assert [value for _, topic, value in alone if topic == '/imu'] == list(range(10, 15))


def test_a_recording_that_goes_on_is_played_up_to_its_last_complete_part(
    daemon: Any, store: Any
) -> None:
    name = f'live_{uuid4().hex}'
    store({'/imu': [(0, 0), (1, 1)]}, f'{name}_0001', {'recording_id': name, 'part': 1})
    with (
        daemon.client() as client,
        client.sequence_create(f'{name}_0002', {'recording_id': name, 'part': 2}) as sequence,
    ):
        writer = sequence.topic_create('/imu', {}, IMU)
        writer.push(Message(timestamp_ns=BEGIN + 2 * S, data=imu(2)))
        writer.flush()
        source = PlaybackSource(client, PlayRequest([f'{name}_0001']))
        assert [value for _, _, value in played(source)] == [0, 1]
        assert source.left_out == {'/imu of the last part': 'it is still being recorded'}


def test_several_sequences_are_merged_by_time(daemon: Any, store: Any) -> None:
    one = store({'/imu': [(0, 0), (2, 2), (4, 4)], '/one': [(1, 'one')]})
    two = store({'/imu': [(1, 1), (3, 3)], '/two': [(3.5, 'two')]})
    with daemon.client() as client:
        found = played(PlaybackSource(client, PlayRequest([one, two])))
    assert [value for _, topic, value in found if topic == '/imu'] == [0, 1, 2, 3, 4]
    assert [(at, value) for at, topic, value in found if topic != '/imu'] == [
        (1, 'one'), (3.5, 'two')
    ]  # fmt: skip


def test_windows_of_a_condition_follow_each_other_without_the_time_between(
    daemon: Any, store: Any
) -> None:
    rows = [(float(i), 9.0 if i in (10, 11, 50) else 0.0) for i in range(60)]
    name = store({'/imu': rows, '/count': [(float(i), str(i)) for i in range(60)]})
    where = 'IMU.acceleration.y > 8'
    request = PlayRequest([name], where=where, around_ns=2 * S)
    late = PlayRequest([name], where=where, start_ns=BEGIN + 20 * S)
    with daemon.client() as client:
        found = played(PlaybackSource(client, request))
        cut = played(PlaybackSource(client, late))
        with pytest.raises(InvalidArgumentError, match='holds nowhere'):
            PlaybackSource(client, PlayRequest([name], where='IMU.acceleration.y > 80'))
    counts = [(round(at), int(value)) for at, topic, value in found if topic == '/count']
    assert counts == [
        *((i - 8, i) for i in range(8, 14)), *((i - 48 + 5, i) for i in range(48, 53))
    ]  # fmt: skip
    assert [value for _, topic, value in cut if topic == '/imu'] == [9.0]


def test_a_query_over_the_archive_is_played(daemon: Any, store: Any) -> None:
    site = uuid4().hex
    for number, peak in ((1, 9.0), (2, 0.0), (3, 9.5)):
        store(
            {'/imu': [(number * 100 + i, peak if i == 5 else 0.0) for i in range(10)]},
            metadata={'site': site},
        )
    where = f"IMU.acceleration.y > 8 and sequence.metadata.site == '{site}'"
    with daemon.client() as client:
        found = played(PlaybackSource(client, PlayRequest(where=where, around_ns=1 * S)))
        whole = PlaybackSource(client, PlayRequest(where=f"sequence.metadata.site == '{site}'"))
        assert len(played(whole)) == 30
    assert [value for _, _, value in found] == [0, 9.0, 0, 0, 9.5, 0]
    assert found[-1][0] < 5


def test_what_was_latched_before_comes_first(daemon: Any, store: Any) -> None:
    name = store(
        {
            '/imu': [(float(i), i) for i in range(10)],
            '/tf_static': [(0.5, 'base'), (1.5, 'arm'), (8.5, 'tool')],
            '/talk': [(0.5, 'a')],
        }
    )
    with daemon.client() as client:
        source = PlaybackSource(client, PlayRequest([name], start_ns=BEGIN + 5 * S))
        assert played(source)[:3] == [
            (0, '/tf_static', 'base'), (0, '/tf_static', 'arm'), (0, '/imu', 5)
        ]  # fmt: skip
        sought = played(source, round(3.7 * S))
    assert [(at, value) for at, _, value in sought] == [
        (3.7, 'base'), (3.7, 'arm'), (3.7, 'tool'), (4.0, 9)
    ]  # fmt: skip


def test_of_a_large_latched_topic_the_last_message_comes_first(daemon: Any, store: Any) -> None:
    name = store({'/many_static': [(i / 10, str(i)) for i in range(2000)], '/imu': [(300, 1)]})
    with daemon.client() as client:
        source = PlaybackSource(client, PlayRequest([name], start_ns=BEGIN + 250 * S))
        assert played(source) == [(0, '/many_static', '1999'), (50, '/imu', 1)]


def test_what_is_not_there_is_said(daemon: Any, store: Any) -> None:
    name = store({'/imu': [(0, 0.0)]})
    with daemon.client() as client:
        with pytest.raises(NotFoundError, match='no_such'):
            PlaybackSource(client, PlayRequest([name, 'no_such']))
        with pytest.raises(InvalidArgumentError, match='no topic'):
            PlaybackSource(client, PlayRequest([name], topics=('/camera/*',)))
        with pytest.raises(InvalidArgumentError, match='no message'):
            PlaybackSource(client, PlayRequest([name], start_ns=BEGIN + S))


def test_attachments_are_none_of_the_topics(daemon: Any, store: Any) -> None:
    name = store({'/imu': [(0, 0.0)]})
    with daemon.client() as client:
        with client.sequence_handler(name).update() as session:
            writer = session.topic_create('/attachments', {}, AttachmentPiece)
            told = {'log_time_ns': 1, 'create_time_ns': 1, 'size': 1, 'piece': 0, 'pieces': 1}
            piece = AttachmentPiece(name='map', media_type='', data=b'x', **told)
            writer.push(Message(timestamp_ns=1, data=piece))
        source = PlaybackSource(client, PlayRequest([name]))
    assert [track.name for track in source.tracks] == ['/imu']
    assert source.left_out == {}


def test_what_cannot_be_played_says_why(daemon: Any) -> None:
    name = f'odd_{uuid4().hex}'
    about = {'_ros_': {'msgtype': 'acme_msgs/msg/Text'}}
    with daemon.client() as client:
        with client.sequence_create(name, {}) as sequence:
            writer = sequence.topic_create('/odd', about, String)
            writer.push(Message(timestamp_ns=BEGIN, data=String(data='x')))
            with pytest.raises(FailedPreconditionError, match=r'/odd: .*acme_msgs'):
                PlaybackSource(client, PlayRequest([name]))
        with client.sequence_handler(name).update() as session:
            writer = session.topic_create('/live', {}, String)
            writer.push(Message(timestamp_ns=BEGIN, data=String(data='x')))
            writer.flush()
            with pytest.raises(FailedPreconditionError, match='/live: it is still being recorded'):
                PlaybackSource(client, PlayRequest([name], topics=('/live',)))
