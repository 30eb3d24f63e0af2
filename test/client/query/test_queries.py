"""Queries against a real daemon: what is found, and when it held."""

from __future__ import annotations

import pytest

from mosaico_ros import (
    GPS,
    IMU,
    Message,
    Query,
    QueryableNumeric,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    String,
    TimestampRange,
)
from mosaico_ros.client.query.text import parse
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError


@pytest.fixture
def recorded(client, name, make_imu, make_gps) -> str:
    """Two bursts of acceleration, at 100..120 and 500..540, and a GPS fix from 510 on."""
    with client.sequence_create(name, {'site': {'hall': name}, 'trial': 4}) as sequence:
        imu = sequence.topic_create('/front/imu', {'mount': 'wrist'}, IMU)
        gps = sequence.topic_create('/gps', {}, GPS)
        text = sequence.topic_create('/log', {}, String)
        for time_ns in range(0, 1000, 10):
            burst = 100 <= time_ns <= 120 or 500 <= time_ns <= 540
            imu.push(make_imu(time_ns, y=9.0 if burst else 0.1, x=float(time_ns)))
            gps.push(make_gps(time_ns, status=2 if time_ns >= 510 else 0))
        text.push(Message(timestamp_ns=5, data=String(data='[ERR] motor stalled')))
    return name


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
    assert [cluster.id for cluster in topic.clusterize(10)] == [0, 1]
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


def test_what_a_query_needs(client):
    with pytest.raises(InvalidArgumentError, match='builders'):
        client.query()
    with pytest.raises(InvalidArgumentError, match='builders'):
        client.query(QueryTopic(), query=Query(QueryTopic()))
    with pytest.raises(ValueError, match='two builders'):
        client.query(QueryTopic(), QueryTopic())
