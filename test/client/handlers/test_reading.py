"""Handlers describe, streamers deliver: in order, inside the window, in bounded pieces."""

from __future__ import annotations

import heapq
import os
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from mosaico_ros import (
    GPS,
    IMU,
    CompressedImage,
    ImageFormat,
    Integer64,
    Message,
    MosaicoClient,
    SerializationFormat,
)
from mosaico_ros.models.core import columns
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)


@pytest.fixture
def recorded(client, name, make_imu, make_gps) -> str:
    """IMU at 0, 10, ..., 9990 and GPS at 5, 105, ..., and an empty topic."""
    with client.sequence_create(name, {'site': {'hall': 'B'}}) as sequence:
        imu = sequence.topic_create('/arm/imu', {'mount': 'wrist'}, IMU)
        gps = sequence.topic_create('/gps', {}, GPS)
        sequence.topic_create('/quiet', {}, GPS)
        for time_ns in range(0, 10_000, 10):
            imu.push(make_imu(time_ns, x=float(time_ns)))
        for time_ns in range(5, 10_000, 100):
            gps.push(make_gps(time_ns))
    return name


def test_what_handlers_know(client, recorded):
    handler = client.sequence_handler(recorded)
    assert handler.name == recorded
    assert handler.topics == ['/arm/imu', '/gps', '/quiet']
    assert handler.user_metadata == {'site': {'hall': 'B'}}
    assert (handler.timestamp_ns_min, handler.timestamp_ns_max) == (0, 9990)
    (session,) = handler.sessions
    assert session.locked
    assert session.topics == handler.topics
    assert handler.updated_timestamps == [session.created_timestamp]
    assert handler.created_timestamp <= session.created_timestamp <= session.completed_timestamp
    assert handler.created_datetime.timestamp() == pytest.approx(handler.created_timestamp / 1e9)
    imu = handler.get_topic_handler('arm/imu')
    assert handler.get_topic_handler('/arm/imu') is imu
    assert handler.get_topic_handler('/arm/imu', force_new_instance=True) is not imu
    assert (imu.name, imu.sequence_name, imu.ontology_tag) == ('/arm/imu', recorded, 'IMU')
    assert imu.user_metadata == {'mount': 'wrist'}
    assert imu.locked
    assert imu.message_count == 1000
    assert imu.chunks_number >= 1
    assert imu.serialization_format is SerializationFormat.Default
    assert (imu.timestamp_ns_min, imu.timestamp_ns_max) == (0, 9990)
    assert imu.ontology_schema == IMU.arrow_struct()
    sizes = [handler.get_topic_handler(topic).total_size_bytes for topic in handler.topics]
    assert handler.total_size_bytes == sum(sizes) > 0
    quiet = handler.get_topic_handler('quiet')
    assert (quiet.message_count, quiet.timestamp_ns_min, quiet.timestamp_ns_max) == (0, None, None)
    assert quiet.locked


def test_what_does_not_exist(client, recorded):
    assert client.sequence_handler(f'{recorded}-x') is None
    assert client.topic_handler(recorded, 'lidar') is None
    assert not client.sequence_exists(f'{recorded}-x')
    assert not client.topic_exists(recorded, 'lidar')
    assert client.topic_exists(f'/{recorded}', 'gps/')
    handler = client.sequence_handler(recorded)
    with pytest.raises(InvalidArgumentError, match='no topic /lidar'):
        handler.get_topic_handler('lidar')
    with pytest.raises(InvalidArgumentError, match='no topic /lidar'):
        handler.get_data_streamer(['gps', 'lidar'])


@pytest.mark.parametrize('offered', [True, False])
def test_notifications_of_the_topics_are_listed_with_those_of_the_sequence(
    client, name, make_imu, offered
):
    def fail() -> None:
        with client.sequence_create(name) as sequence:
            for topic in ('imu', 'other'):
                sequence.topic_create(topic, ontology_type=IMU).push(make_imu(1))
            raise ValueError('rain')

    with pytest.raises(ValueError, match='rain'):
        fail()
    if not offered:  # a daemon of another maker
        client._connection.server.extensions.remove('notifications')
    notes = client.list_sequence_notifications(name, include_topics=True)
    assert {note.topic_name for note in notes} == {None, '/imu', '/other'}
    assert sorted(notes, key=lambda note: note.created_datetime) == notes
    own = [note for note in notes if note.topic_name is None]
    assert client.list_sequence_notifications(name) == own


def test_handlers_are_kept_until_forgotten(client, recorded):
    handler = client.sequence_handler(recorded)
    assert client.sequence_handler(f'/{recorded}') is handler
    topic = client.topic_handler(recorded, 'gps')
    assert client.topic_handler(recorded, '/gps') is topic
    client.clear_sequence_handlers_cache()
    client.clear_topic_handlers_cache()
    assert client.sequence_handler(recorded) is not handler
    assert client.topic_handler(recorded, 'gps') is not topic
    client.sequence_delete(recorded)
    assert client.sequence_handler(recorded) is None
    assert not handler.reload()
    assert not topic.reload()
    with pytest.raises(NotFoundError):
        topic.get_data_streamer()


def test_topics_merge_in_order_of_time(client, recorded):
    handler = client.sequence_handler(recorded)
    streamer = handler.get_data_streamer()
    assert streamer.msg_count == 1100
    assert (streamer.timestamp_ns_min, streamer.timestamp_ns_max) == (0, 9990)
    items = list(streamer)
    times = [message.timestamp_ns for _, message in items]
    assert times == sorted([*range(0, 10_000, 10), *range(5, 10_000, 100)])
    assert {topic for topic, _ in items} == {'/arm/imu', '/gps'}
    assert all(isinstance(m.data, GPS) == (topic == '/gps') for topic, m in items)
    assert streamer.next_timestamp() is None
    assert list(streamer) == []


def test_many_topics_merge_as_heapq_would(client, name):
    random.seed(5)
    wanted = []
    with client.sequence_create(name) as sequence:
        for number in range(20):
            writer = sequence.topic_create(f'n{number:02}', ontology_type=Integer64)
            times = sorted(random.choices(range(3000), k=random.choice((1, 7, 2500))))
            messages = [Message(timestamp_ns=t, data=Integer64(data=number)) for t in times]
            writer.push_batch(columns.encode(Integer64, messages))
            wanted.append([(t, number) for t in times])
    got = [
        (message.timestamp_ns, message.data.data)
        for _, message in client.sequence_handler(name).get_data_streamer()
    ]
    assert got == list(heapq.merge(*wanted))  # ties in order of creation


@pytest.mark.parametrize(
    ('start', 'end', 'imus', 'gpses'),
    [
        (0, 1, 1, 0),
        (0, None, 1000, 100),
        (None, 0, 0, 0),
        (10, 20, 1, 0),
        (5, 106, 10, 2),
        (9990, None, 1, 0),
        (20_000, 30_000, 0, 0),
        (-5, 5, 1, 0),
    ],
)
def test_windows_are_half_open_and_take_zero(client, recorded, start, end, imus, gpses):
    handler = client.sequence_handler(recorded)
    for topic, count in (('/arm/imu', imus), ('/gps', gpses)):
        single = handler.get_topic_handler(topic)
        streamer = single.get_data_streamer(start, end)
        assert streamer.msg_count == count
        assert len(list(streamer)) == count
        assert single.to_arrow(start, end).num_rows == count
        assert single.to_arrow(start, end).schema == single.to_arrow().schema
    merged = handler.get_data_streamer(start_timestamp_ns=start, end_timestamp_ns=end)
    assert len(list(merged)) == imus + gpses
    only = handler.get_data_streamer(['gps'], start, end)
    assert len(list(only)) == gpses


def test_an_empty_window_is_refused(client, recorded):
    with pytest.raises(InvalidArgumentError, match='window'):
        client.topic_handler(recorded, 'gps').get_data_streamer(5, 5)


def test_the_next_time_is_told_without_taking_the_message(client, recorded):
    single = client.topic_handler(recorded, 'arm/imu').get_data_streamer(0, 30)
    assert [single.next_timestamp(), single.next_timestamp()] == [0, 0]
    assert [next(single).timestamp_ns, single.next_timestamp()] == [0, 10]
    assert [m.timestamp_ns for m in single] == [10, 20]
    assert single.next_timestamp() is None
    merged = client.sequence_handler(recorded).get_data_streamer([], 0, 20)
    assert [merged.next_timestamp(), merged.next_timestamp()] == [0, 0]
    assert [next(merged)[1].timestamp_ns, merged.next_timestamp()] == [0, 5]
    assert [m.timestamp_ns for _, m in merged] == [5, 10]


def test_columns_begin_where_messages_stopped(client, recorded):
    streamer = client.topic_handler(recorded, 'arm/imu').get_data_streamer()
    first = [next(streamer) for _ in range(7)]
    rest = streamer.to_arrow()
    assert first[-1].timestamp_ns == 60
    assert rest['timestamp_ns'].to_pylist() == list(range(70, 10_000, 10))
    assert streamer.next_timestamp() is None
    assert rest.schema.metadata is None
    assert rest.schema.equals(columns.writer_schema(IMU))


def test_frames(client, recorded):
    frame = client.topic_handler(recorded, 'gps').to_pandas(0, 1000)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame['timestamp_ns']) == list(range(5, 1000, 100))
    assert frame['status.status'][0] == 1
    handler = client.sequence_handler(recorded)
    assert {k: len(v) for k, v in handler.to_pandas().items()} == {'/arm/imu': 1000, '/gps': 100}
    tables = handler.to_arrow(['gps'])
    assert list(tables) == ['/gps']
    assert isinstance(tables['/gps'], pa.Table)
    begun = handler.get_data_streamer()
    next(begun)
    with pytest.raises(FailedPreconditionError, match='iterated'):
        begun.to_arrow()


def test_streamers_of_one_handler_live_side_by_side_until_it_is_closed(client, recorded):
    handler = client.sequence_handler(recorded)
    one, two = handler.get_data_streamer(), handler.get_data_streamer()
    assert [next(one), next(one)] == [next(two), next(two)]
    single = handler.get_topic_handler('gps').get_data_streamer()
    handler.close()
    handler.close()
    for streamer in (one, two, single):
        with pytest.raises(FailedPreconditionError, match='closed'):
            next(streamer)
        with pytest.raises(FailedPreconditionError, match='closed'):
            streamer.next_timestamp()


def test_a_long_topic_is_read_in_pieces(client, name):
    rows = 200_000
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('n', ontology_type=Integer64)
        writer.push_batch(
            pa.record_batch(
                [pa.array(range(rows)), pa.array(range(rows))],
                schema=columns.writer_schema(Integer64),
            )
        )
    with client.topic_handler(name, 'n').get_data_streamer() as streamer:
        sizes = [batch.num_rows for batch in streamer.batches()]
    assert sum(sizes) == rows
    assert len(sizes) > 1
    total = 0
    for message in client.topic_handler(name, 'n').get_data_streamer(0, 50_000):
        assert message.timestamp_ns == message.data.data == total
        total += 1
    assert total == 50_000


STREAM = """
import resource, sys
from mosaico_ros import MosaicoClient

def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

with MosaicoClient.connect('127.0.0.1', int(sys.argv[1])) as client:
    handler = client.sequence_handler(sys.argv[2])
    next(handler.get_data_streamer(end_timestamp_ns=1))
    idle, size = peak(), 0
    for _, message in handler.get_data_streamer():
        size += len(message.data.data)
    for batch in client.topic_handler(sys.argv[2], 'camera').get_data_streamer().batches():
        size += batch.nbytes
    print(size >> 20, peak() - idle)
"""


def test_streaming_takes_no_more_memory_than_a_few_batches(client, shared_daemon, name):
    images, image_bytes = 300, 1 << 20
    noise = os.urandom(2 * image_bytes)
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('camera', ontology_type=CompressedImage)
        for number in range(images):
            data = noise[number * 999 :][:image_bytes]
            image = CompressedImage(data=data, format=ImageFormat.JPEG)
            writer.push(Message(timestamp_ns=number, data=image))
    done = subprocess.run(
        [sys.executable, '-c', STREAM, str(shared_daemon.port), name],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    read, grown = map(float, done.stdout.split())
    assert read >= 2 * images
    assert grown < 80  # megabytes, whatever the length


def test_a_running_upload_is_left_out_of_everything_and_refused_by_name(
    client, name, make_imu, make_gps
):
    with client.sequence_create(name) as sequence:
        done = sequence.topic_create('gps', ontology_type=GPS)
        done.push(make_gps(1))
        done.close()
        running = sequence.topic_create('imu', ontology_type=IMU)
        running.push(make_imu(1))
        running.commit(wait=True, timeout=20)
        handler = client.sequence_handler(name)
        assert handler.topics == ['/gps', '/imu']
        assert [topic for topic, _ in handler.get_data_streamer()] == ['/gps']
        assert not handler.get_topic_handler('imu').locked
        with pytest.raises(FailedPreconditionError, match='imu'):
            next(handler.get_data_streamer(['imu']))


def test_a_daemon_that_dies_ends_a_stream_with_an_error(daemon, name):
    rows = 500_000
    with MosaicoClient.connect(daemon.host, daemon.port, call_timeout=1) as client:
        with client.sequence_create(name) as sequence:
            sequence.topic_create('n', ontology_type=Integer64).push_batch(
                pa.record_batch(
                    [pa.array(range(rows)), pa.array(range(rows))],
                    schema=columns.writer_schema(Integer64),
                )
            )
        streamer = client.topic_handler(name, 'n').get_data_streamer()
        next(streamer)
        daemon.kill()
        with pytest.raises(ConnectionError, match='/n'):
            list(streamer)


def test_a_closed_client_says_so(shared_daemon):
    client = MosaicoClient.connect(shared_daemon.host, shared_daemon.port)
    client.close()
    client.close()
    with pytest.raises(FailedPreconditionError, match='closed'):
        client.list_sequences()
