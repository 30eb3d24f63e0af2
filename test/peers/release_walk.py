"""What every release of the published client does with a daemon, step by step.

Runs in the release's own environment and knows nothing of mosaico_ros. Prints one JSON object:
each step with ``ok``, ``-`` where the release has no such call, or what went wrong.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator

from mosaicolabs import (
    IMU,
    Message,
    MosaicoClient,
    Query,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    SessionLevelErrorPolicy,
    Vector3d,
)

START = 1_700_000_000_000_000_000
STEP = 5_000_000
ROWS = 400
NAME, FAILING = 'walk', 'walk_failing'


class Absent(Exception):
    """The release has no such call."""


def imu(number: int) -> Message:
    return Message(
        timestamp_ns=START + number * STEP,
        data=IMU(
            acceleration=Vector3d(x=number / 10, y=-0.5, z=9.81),
            angular_velocity=Vector3d(x=0.0, y=0.0, z=1.0),
        ),
    )


def create(client: MosaicoClient) -> None:
    """A sequence with metadata, a topic with rows and one without."""
    with client.sequence_create(NAME, {'site': {'hall': 'B'}, 'trial': 4}) as sequence:
        full = sequence.topic_create('arm/imu', {'mount': 'wrist'}, IMU)
        assert sequence.topic_create('empty', {}, IMU) is not None
        for number in range(ROWS):
            full.push(imu(number))


def update(client: MosaicoClient) -> None:
    """A second session on the same sequence."""
    handler = client.sequence_handler(NAME)
    with handler.update() as more:
        topic = more.topic_create('base/imu', {}, IMU)
        for number in range(0, ROWS, 4):
            topic.push(imu(number))
    assert handler.reload()


def fail_and_delete(client: MosaicoClient) -> None:
    """A block that fails under the policy Delete leaves nothing behind."""
    try:
        with client.sequence_create(
            FAILING, {}, on_error=SessionLevelErrorPolicy.Delete
        ) as sequence:
            sequence.topic_create('t', {}, IMU).push(imu(0))
            raise RuntimeError('on purpose')
    except RuntimeError:
        pass
    assert FAILING not in client.list_sequences()


def list_sequences(client: MosaicoClient) -> None:
    assert client.list_sequences() == [NAME]


def sequence_handler(client: MosaicoClient) -> None:
    handler = client.sequence_handler(NAME)
    assert sorted(handler.topics) == ['/arm/imu', '/base/imu', '/empty'], handler.topics
    assert handler.user_metadata == {'site': {'hall': 'B'}, 'trial': 4}
    assert (handler.timestamp_ns_min, handler.timestamp_ns_max) == (
        START,
        START + (ROWS - 1) * STEP,
    )
    assert len(handler.sessions) == len(handler.updated_timestamps) == 2
    assert handler.total_size_bytes > 0
    assert client.sequence_handler('no_such') is None


def topic_handler(client: MosaicoClient) -> None:
    topic = client.topic_handler(NAME, 'arm/imu')
    assert topic.user_metadata == {'mount': 'wrist'}
    assert topic.ontology_tag in ('IMU', 'imu')
    assert topic.locked
    assert topic.chunks_number == 1
    assert topic.timestamp_ns_max == START + (ROWS - 1) * STEP
    assert client.topic_handler(NAME, 'empty').locked


def merged_stream(client: MosaicoClient) -> None:
    got = list(client.sequence_handler(NAME).get_data_streamer(topics=['/arm/imu', '/base/imu']))
    stamps = [message.timestamp_ns for _, message in got]
    assert len(got) == ROWS + ROWS // 4
    assert stamps == sorted(stamps)


def single_stream(client: MosaicoClient) -> None:
    got = list(client.topic_handler(NAME, 'arm/imu').get_data_streamer())
    assert len(got) == ROWS
    assert all(type(message.data) is IMU for message in got)
    assert [message.data.acceleration.x for message in got] == [n / 10 for n in range(ROWS)]


def window_stream(client: MosaicoClient) -> None:
    window = {
        'start_timestamp_ns': START + 100 * STEP,
        'end_timestamp_ns': START + 110 * STEP,
    }
    got = client.topic_handler(NAME, 'arm/imu').get_data_streamer(**window)
    assert [m.timestamp_ns for m in got] == [START + n * STEP for n in range(100, 110)]
    merged = list(client.sequence_handler(NAME).get_data_streamer(**window))
    assert len(merged) == 10 + 3
    assert {topic for topic, _ in merged} == {'/arm/imu', '/base/imu'}


def found(answer: object) -> list[tuple[str, list[str]]]:
    return [(item.sequence.name, sorted(topic.name for topic in item.topics)) for item in answer]


def query(client: MosaicoClient) -> None:
    """By value, and what was found as the start of the next question."""
    both = [(NAME, ['/arm/imu', '/base/imu'])]
    first = client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(39.55)))
    assert found(first) == both, found(first)
    second = client.query(
        query=Query(
            first.to_query_topic(),
            QueryOntologyCatalog(IMU.Q.acceleration.x.between([39.85, 39.95])),
        )
    )
    assert found(second) == [(NAME, ['/arm/imu'])], found(second)
    third = client.query(second.to_query_sequence())
    assert found(third) == [(NAME, ['/arm/imu', '/base/imu', '/empty'])], found(third)
    meta = client.query(QuerySequence().with_user_metadata('site.hall', eq='B'))
    assert found(meta) == found(third)
    assert client.query(QueryTopic().with_user_metadata('mount', eq='ankle')).is_empty()


def clusters(client: MosaicoClient) -> None:
    answer = client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(39.55)))
    topics = [topic for item in answer for topic in item.topics]
    if not hasattr(topics[0], 'clusterize'):
        raise Absent
    spans = [(c.timerange.start, c.timerange.end) for topic in topics for c in topic.clusterize(0)]
    assert (START + 396 * STEP, START + 399 * STEP) in spans, spans


def notifications(client: MosaicoClient) -> None:
    """Report attaches what went wrong; it is listed and cleared."""
    try:
        with client.sequence_create(FAILING, {}) as sequence:
            sequence.topic_create('t', {}, IMU).push(imu(0))
            raise RuntimeError('on purpose')
    except RuntimeError:
        pass
    for listed, clear in (
        (
            lambda: client.list_sequence_notifications(FAILING),
            lambda: client.clear_sequence_notifications(FAILING),
        ),
        (
            lambda: client.list_topic_notifications(FAILING, 't'),
            lambda: client.clear_topic_notifications(FAILING, 't'),
        ),
    ):
        assert 'on purpose' in ' '.join(str(note) for note in listed())
        clear()
        assert listed() == []
    client.sequence_delete(FAILING)


def keys(client: MosaicoClient) -> None:
    if not hasattr(client, 'api_key_create'):
        raise Absent
    from mosaicolabs.enum.api_key_permission import APIKeyPermissionEnum

    token = client.api_key_create(APIKeyPermissionEnum.Read, 'a walk')
    fingerprint = token.rpartition('_')[2]
    assert client.api_key_status(fingerprint).description == 'a walk'
    client.api_key_revoke(fingerprint)


def delete(client: MosaicoClient) -> None:
    client.sequence_delete(NAME)
    assert client.list_sequences() == []
    assert client.sequence_handler(NAME) is None


STEPS: tuple[Callable[[MosaicoClient], None], ...] = (
    create,
    update,
    fail_and_delete,
    list_sequences,
    sequence_handler,
    topic_handler,
    merged_stream,
    single_stream,
    window_stream,
    query,
    clusters,
    notifications,
    keys,
    delete,
)


def walk(port: int, api_key: str) -> Iterator[tuple[str, str]]:
    try:
        client = MosaicoClient.connect('127.0.0.1', port, api_key=api_key)
    except Exception as error:
        yield 'connect', repr(error)
        return
    yield 'connect', 'ok'
    with client:
        for step in STEPS:
            try:
                step(client)
            except Absent:
                yield step.__name__, '-'
            except Exception as error:
                traceback.print_exc()
                yield step.__name__, repr(error)[:300]
            else:
                yield step.__name__, 'ok'


if __name__ == '__main__':
    logging.disable(logging.CRITICAL)
    json.dump(dict(walk(int(sys.argv[1]), sys.argv[2])), sys.stdout)
