"""Queries against a real daemon: what is found, and when it held."""

from __future__ import annotations

import datetime
import math
import time
from urllib.request import urlopen

import numpy as np
import pytest

from mosaico_ros import (
    GPS,
    IMU,
    Boolean,
    Message,
    Query,
    QueryableNumeric,
    QueryOntologyCatalog,
    QueryResponse,
    QueryResponseItem,
    QueryResponseItemSequence,
    QuerySequence,
    QueryTopic,
    RobotJoint,
    Serializable,
    String,
    TimestampRange,
)
from mosaico_ros.client.query.text import parse
from mosaico_ros.models.core.expressions import QueryExpression
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
)


def spans(clusters) -> list[tuple[int, int]]:
    return [(cluster.timerange.start, cluster.timerange.end) for cluster in clusters]


def test_what_a_response_is(client, recorded):
    response = client.query(
        QuerySequence().with_user_metadata('site.hall', eq=recorded),
        QueryTopic().with_ontology_tag(IMU.ontology_tag()),
    )
    assert len(response) == 1
    assert response
    assert not response.is_empty()
    assert response[0].sequence.name == recorded
    assert [item.sequence.name for item in response] == [recorded]
    assert response[:1] == [response[0]]
    (topic,) = response[0].topics
    assert (topic.name, topic.locator) == ('/front/imu', f'{recorded}/front/imu')
    assert topic.ontology_tag == 'IMU'
    assert topic.timestamp_range is None
    nothing = client.query(QuerySequence().with_name(f'{recorded}-x'))
    assert nothing.is_empty()
    assert not nothing
    with pytest.raises(ValueError, match='Nothing was found'):
        nothing.to_query_sequence()


def test_values_with_their_time_range(client, recorded):
    response = client.query(
        QuerySequence().with_name(recorded),
        QueryTopic().with_name('front/imu'),
        QueryOntologyCatalog(include_timestamp_range=True)
        .with_expression(IMU.Q.acceleration.y.gt(8))
        .with_expression(IMU.Q.acceleration.x.between(110, 520)),
    )
    assert response[0].topics[0].timestamp_range == TimestampRange(110, 520)


def test_clusters(client, recorded):
    response = client.query(
        query=Query(
            QuerySequence().with_name(recorded),
            QueryOntologyCatalog(IMU.Q.acceleration.y.gt(8)),
        )
    )
    (topic,) = response[0].topics
    assert spans(topic.clusterize()) == [(100, 540)]
    assert spans(topic.clusterize(10)) == [(100, 120), (500, 540)]
    assert [cluster.id for cluster in topic.clusterize(np.int64(10))] == [0, 1]
    assert spans(topic.clusterize(10, TimestampRange(110, 520))) == [(110, 120), (500, 510)]
    assert topic.clusterize(10, TimestampRange(0, 100)) == []
    assert spans(response[0].clusterize_all({'IMU': 10})['/front/imu']) == [(100, 120), (500, 540)]
    assert spans(response[0].clusterize_all(override_clustering_dt_ns=1000)['/front/imu']) == [
        (100, 540)
    ]
    # The window feeds straight into a streamer.
    first = topic.clusterize(10)[0].timerange
    streamer = client.topic_handler(recorded, topic.name).get_data_streamer(
        first.start, first.end + 1
    )
    assert [message.timestamp_ns for message in streamer] == [100, 110, 120]


def test_intersections(client, recorded):
    response = client.query(
        QuerySequence().with_name(recorded),
        QueryOntologyCatalog(IMU.Q.acceleration.y.gt(8), GPS.Q.status.status.eq(2)),
    )
    (item,) = response
    imu, gps = item.topics
    expected = [(510, 540)]
    assert spans(item.intersect(clustering_map={'IMU': 10, 'GPS': 10})) == expected
    assert spans(imu.intersect(gps, override_clustering_dt_ns=10)) == expected
    assert spans(imu.intersect(gps)) == expected
    with pytest.raises(InvalidArgumentError, match='two topics'):
        imu.intersect()


def test_clusters_need_a_condition_on_the_topic(client, recorded):
    response = client.query(QuerySequence().with_name(recorded))
    assert len(response[0].topics) == 3
    with pytest.raises(FailedPreconditionError, match='no condition'):
        response[0].topics[0].clusterize()


def test_chaining(client, recorded):
    first = client.query(
        QuerySequence().with_user_metadata('site.hall', eq=recorded),
        QueryOntologyCatalog(GPS.Q.status.status.eq(2)),
    )
    second = client.query(
        first.to_query_sequence(),
        QueryTopic().with_name('/log'),
        QueryOntologyCatalog(String.Q.data.match('[ERR]')),
    )
    assert [topic.name for topic in second[0].topics] == ['/log']
    third = client.query(second.to_query_sequence(), first.to_query_topic())
    assert [topic.name for topic in third[0].topics] == ['/gps']


def test_chaining_many(client, recorded):
    found = client.query(QuerySequence().with_name(recorded))
    others = [
        QueryResponseItem(QueryResponseItemSequence(f'absent-{n}'), []) for n in range(20_000)
    ]
    for count in (2_000, 20_000):
        many = QueryResponse([*others[:count], *found])
        again = client.query(many.to_query_sequence(), QueryTopic().with_name('/gps'))
        assert [item.sequence.name for item in again] == [recorded]


def test_names_and_metadata(client, recorded):
    mine = QuerySequence().with_name_match(recorded[2:])
    assert recorded in [item.sequence.name for item in client.query(mine)]
    topics = client.query(
        QuerySequence().with_name(recorded), QueryTopic().with_name_match('front')
    )
    assert [topic.name for topic in topics[0].topics] == ['/front/imu']
    topics = client.query(
        QuerySequence().with_name(recorded), QueryTopic().with_user_metadata('mount', ex=True)
    )
    assert [topic.name for topic in topics[0].topics] == ['/front/imu']
    created = client.sequence_handler(recorded).created_timestamp
    assert (
        len(
            client.query(
                QuerySequence().with_name(recorded).with_created_timestamp(created, created)
            )
        )
        == 1
    )
    assert client.query(
        QuerySequence().with_name(recorded).with_created_timestamp(time_end=0)
    ).is_empty()


def test_texts_and_hand_made_paths(client, recorded):
    text = f"imu.acceleration.y > 8 and sequence.metadata.site.hall == '{recorded}'"
    (item,) = client.query(query=parse(text))
    assert spans(item.topics[0].clusterize(10)) == [(100, 120), (500, 540)]
    by_hand = QueryOntologyCatalog(QueryableNumeric('IMU.acceleration.y').gt(8))
    assert client.query(QuerySequence().with_name(recorded), by_hand)[0].topics == item.topics


X, Y = IMU.Q.acceleration.x, IMU.Q.acceleration.y


def test_or_and_not_on_values(client, recorded):
    mine = QuerySequence().with_name(recorded)

    def windows(*expressions) -> list[tuple[int, int]]:
        (item,) = client.query(mine, QueryOntologyCatalog(*expressions))
        return spans(item.topics[0].clusterize(10))

    assert windows((Y > 8) | (X == 300)) == [(100, 120), (300, 300), (500, 540)]
    assert windows((Y > 8) & ~(X > 300)) == [(100, 120)]
    assert windows(~((Y < 8) | X.between(510, 530))) == [(100, 120), (500, 500), (540, 540)]
    assert windows(X > 100, X < 140, X != 120) == [(110, 110), (130, 130)]
    assert windows((X > 970) | (X > 950) | (X < 20)) == [(0, 10), (960, 990)]


def test_each_topic_is_clustered_by_what_found_it(client, name, make_imu):
    for letter in 'ab':
        with client.sequence_create(f'{name}{letter}') as sequence:
            topic = sequence.topic_create('imu', {}, IMU)
            for time_ns in range(10):
                topic.push(make_imu(time_ns, x=float(time_ns)))
    one, other = QuerySequence().with_name(f'{name}a'), QuerySequence().with_name(f'{name}b')
    found = client.query(
        (one & QueryOntologyCatalog(X > 7, include_timestamp_range=True))
        | (other & QueryOntologyCatalog(X < 1))
    )
    assert [spans(item.topics[0].clusterize()) for item in found] == [[(8, 9)], [(0, 0)]]
    assert [item.topics[0].timestamp_range.start for item in found] == [8, 0]
    # Found by their names, not by their values.
    (item,) = client.query(one | (other & QueryOntologyCatalog(X > 99)))
    assert not item.topics[0].has_conditions
    with pytest.raises(FailedPreconditionError, match='no condition'):
        item.topics[0].clusterize()
    with pytest.raises(FailedPreconditionError, match='no condition'):
        item.clusterize_all()


def test_topics_found_by_their_names_alone_have_no_windows(client, recorded):
    gps = QueryTopic().with_name('/gps')
    (item,) = client.query(
        QuerySequence().with_name(recorded), gps | QueryOntologyCatalog((Y > 8) | (X == 700))
    )
    assert [topic.name for topic in item.topics] == ['/front/imu', '/gps']
    assert list(item.clusterize_all()) == ['/front/imu']
    with pytest.raises(InvalidArgumentError, match='two topics'):
        item.intersect()


def test_combined_conditions_can_be_intersected(client, recorded):
    (item,) = client.query(
        QuerySequence().with_name(recorded),
        QueryOntologyCatalog((Y > 8) | (X == 700), GPS.Q.status.status == 2),
    )
    assert spans(item.intersect(override_clustering_dt_ns=10)) == [(510, 540), (700, 700)]


def test_or_between_sequences_topics_and_metadata(client, recorded):
    mine = QuerySequence().with_name(recorded)
    found = client.query(mine, QueryTopic().with_name('/gps') | QueryTopic().with_name_match('lo'))
    assert [topic.name for topic in found[0].topics] == ['/gps', '/log']
    found = client.query(mine & ~QueryTopic().with_user_metadata('mount', ex=True))
    assert [topic.name for topic in found[0].topics] == ['/gps', '/log']
    assert client.query(mine & QuerySequence().with_user_metadata('trial', gt=3, lt=5))
    assert not client.query(mine & QuerySequence().with_user_metadata('trial', gt=4, lt=6))


def test_clusters_come_one_by_one_and_can_be_given_up(make_daemon, free_port):
    daemon = make_daemon(MOSAICOD_METRICS_PORT=str(free_port))
    with daemon.client() as client:
        with client.sequence_create('run') as sequence:
            topic = sequence.topic_create('blink', {}, Boolean)
            for time_ns in range(60_000):
                topic.push(Message(timestamp_ns=time_ns, data=Boolean(data=time_ns % 2 == 1)))
        (item,) = client.query(QueryOntologyCatalog(Boolean.Q.data == True))  # noqa: E712
        clusters = item.topics[0].iter_clusters(1)
        assert spans([next(clusters), next(clusters)]) == [(1, 1), (3, 3)]
        clusters.close()
        deadline = time.monotonic() + 10
        while 'rpc="DoAction",code="CANCELLED"} 1' not in (
            urlopen(f'http://127.0.0.1:{free_port}/metrics').read().decode()
        ):
            assert time.monotonic() < deadline, 'the daemon goes on'


class Duty(Serializable):
    start: datetime.datetime
    length: datetime.timedelta


def test_time_columns_are_found_by_datetimes_and_counts(client, name):
    begin = datetime.datetime(2026, 3, 27, 12, tzinfo=datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    with client.sequence_create(name) as sequence:
        topic = sequence.topic_create('shift', {}, Duty)
        for number in range(4):
            topic.push(
                Message(
                    timestamp_ns=number,
                    data=Duty(start=begin + number * hour, length=number * hour),
                )
            )
    one = int(begin.timestamp()) * 10**6

    def found(*expressions) -> list[tuple[int, int]]:
        (item,) = client.query(QuerySequence().with_name(name), QueryOntologyCatalog(*expressions))
        return spans(item.topics[0].clusterize(1))

    assert found(Duty.Q.start >= begin + 2 * hour) == [(2, 3)]
    assert found(Duty.Q.start < (begin + hour).replace(tzinfo=None)) == [(0, 0)]
    assert found(Duty.Q.start == np.datetime64('2026-03-27T13:00')) == [(1, 1)]
    assert found(Duty.Q.start > one) == [(1, 3)]
    assert found(Duty.Q.start.between(9, one)) == [(0, 0)]
    assert found(Duty.Q.length.between(hour, np.timedelta64(2, 'h'))) == [(1, 2)]
    assert found(Duty.Q.length != 2 * hour, Duty.Q.length != 0) == [(1, 1), (3, 3)]


def test_not_finds_what_compares_with_nothing(client, name, make_imu):
    with client.sequence_create(name) as sequence:
        topic = sequence.topic_create('imu', {}, IMU)
        for time_ns, x in enumerate([1.0, math.nan, -1.0]):
            topic.push(make_imu(time_ns, x=x))
    by_hand = QueryExpression('IMU', 'acceleration.x', '$gt', math.nan)
    with pytest.raises(InvalidArgumentError):
        client.query(QueryOntologyCatalog(by_hand))
    nan = QueryOntologyCatalog(~((X <= 0) | (X > 0)), include_timestamp_range=True)
    (item,) = client.query(QuerySequence().with_name(name), nan)
    assert item.topics[0].timestamp_range == TimestampRange(1, 1)


def test_whole_lists_and_texts_that_differ(client, name):
    with client.sequence_create(name) as sequence:
        topic = sequence.topic_create('joints', {}, RobotJoint)
        for time_ns, names in enumerate([['a'], ['a', 'b'], ['b', 'a']]):
            numbers = [float(time_ns)] * len(names)
            topic.push(
                Message(
                    timestamp_ns=time_ns,
                    data=RobotJoint(
                        names=names, positions=numbers, velocities=numbers, efforts=numbers
                    ),
                )
            )

    def found(expression) -> list[tuple[int, int]]:
        (item,) = client.query(QuerySequence().with_name(name), QueryOntologyCatalog(expression))
        return spans(item.topics[0].clusterize(1))

    assert found(RobotJoint.Q.names == ['a', 'b']) == [(1, 1)]
    assert found(RobotJoint.Q.names != ['a', 'b']) == [(0, 0), (2, 2)]
    assert found(RobotJoint.Q.positions == np.array([2, 2])) == [(2, 2)]
    assert found(RobotJoint.Q.names[0] != 'a') == [(2, 2)]
