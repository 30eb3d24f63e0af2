"""Queries against a real daemon: what is found, and when it held."""

from __future__ import annotations

import datetime
import json
import math

import numpy as np
import pytest
from pyarrow import flight

from mosaico_ros import (
    GPS,
    IMU,
    Message,
    MosaicoClient,
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
    UnimplementedError,
)


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


@pytest.fixture
def five(client, name, make_imu) -> str:
    for letter in 'dbeac':
        with client.sequence_create(f'{name}{letter}') as sequence:
            sequence.topic_create('imu', {}, IMU).push(make_imu(1000 - ord(letter)))
    return name


def test_order_limit_and_pages(client, five):
    mine = QuerySequence().with_name_match(five)

    def letters(items) -> str:
        return ''.join(item.sequence.name[-1] for item in items)

    for order, expected in (
        (None, 'dbeac'),
        ('-created', 'caebd'),
        ('name', 'abcde'),
        ('start_time', 'edcba'),
    ):
        assert letters(client.query(mine, order_by=order)) == expected
        assert [letters(p) for p in client.query_pages(mine, order_by=order, page_size=2)] == [
            expected[:2],
            expected[2:4],
            expected[4:],
        ]
    first = client.query(mine, order_by='name', limit=3)
    assert letters(first) == 'abc'
    last = client.query(mine, order_by='name', limit=3, cursor=first.next_cursor)
    assert letters(last) == 'de'
    assert last.next_cursor is None
    assert list(client.query_pages(QuerySequence().with_name(f'{five}-x'))) == []
    with pytest.raises(InvalidArgumentError, match='start_time'):
        client.query(mine, order_by='age')
    with pytest.raises(InvalidArgumentError, match='limit'):
        client.query(mine, limit=0)


def test_clusters_can_be_taken_one_by_one(client, recorded):
    (item,) = client.query(QuerySequence().with_name(recorded), QueryOntologyCatalog(Y > 8))
    clusters = item.topics[0].iter_clusters(10)
    assert spans([next(clusters)]) == [(100, 120)]
    clusters.close()
    with pytest.raises(StopIteration):
        next(clusters)


def test_the_plan_can_be_read(client, recorded):
    values = QueryOntologyCatalog(X.between(245, 255) | ~(X > 10))
    query = Query(QuerySequence().with_name(recorded), values)
    plan = client.explain(query=query)
    first, second = (group for way in plan.alternatives for group in way.groups)
    assert first.conditions == [{'IMU.acceleration.x': {'$between': [245, 255]}}]
    assert (first.topics, first.chunks, first.chunks_opened) == (1, 1, 1)
    assert first.rows_evaluated == 100
    assert second.chunks_decided_by_bounds == 1
    assert set(plan.milliseconds) == {'sections', 'statistics', 'rows', 'page'}
    shown = str(plan)
    assert 'alternative 2\n  not (IMU.acceleration.x > 10)\n' in shown
    assert 'chunks: 1, of them 0 pruned by statistics, 0 decided by bounds, 1 opened' in shown
    assert 'by the catalog alone' in str(client.explain(QuerySequence().with_name(recorded)))


def test_responses_are_shown_and_become_frames(client, five):
    mine = QuerySequence().with_name_match(five)
    response = client.query(mine, QueryOntologyCatalog(X == 0, include_timestamp_range=True))
    shown = repr(response).splitlines()
    assert shown[0] == '<QueryResponse: 5 sequences, 5 topics>'
    assert shown[1] == f'  {five}d: /imu (IMU)'
    frame = response.to_pandas()
    assert list(frame.columns) == ['sequence', 'topic', 'ontology_tag', 'start_ns', 'end_ns']
    assert frame.start_ns.tolist() == [1000 - ord(letter) for letter in 'dbeac']
    assert 'start_ns' not in client.query(mine).to_pandas()
    response.items *= 3
    assert repr(response).endswith('\n  and 5 more')


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


class PublishedDaemon(flight.FlightServerBase):
    """Answers as daemons do that know no extension."""

    def do_action(self, context, action):
        answers = {'info': {'version': '0.7.0', **INFO}, 'query': {'items': []}}
        body = {'action': action.type, 'response': answers[action.type]}
        yield flight.Result(json.dumps(body).encode())


INFO = {
    'semver': {'major': 0, 'minor': 7, 'patch': 0, 'pre': ''},
    'config': dict.fromkeys(
        (
            'grpc_max_decode_message_size',
            'grpc_max_encode_message_size',
            'grpc_target_encode_message_size',
        ),
        2**24,
    ),
}


def test_published_daemons_are_asked_what_they_understand():
    topic = QueryTopic().with_name('a')
    with (
        PublishedDaemon('grpc://127.0.0.1:0') as daemon,
        MosaicoClient.connect('127.0.0.1', daemon.port) as client,
    ):
        whole = QuerySequence().with_user_metadata('a', eq=1).with_user_metadata('b', eq=1) & topic
        assert client.query(whole, QueryOntologyCatalog((X > 1) & (Y > 1))).is_empty()
        for part, ask in (
            (r'\|', lambda: client.query(topic | topic)),
            ('~', lambda: client.query(QueryOntologyCatalog(~(X > 1)))),
            ('IMU.acceleration.x', lambda: client.query(QueryOntologyCatalog(X > 1, X < 5))),
            ('name', lambda: client.query(QueryTopic().with_name('a').with_name_match('b'))),
            ('on k', lambda: client.query(QueryTopic().with_user_metadata('k', gt=1, lt=2))),
            ('order_by', lambda: client.query(topic, order_by='name')),
            ('limit', lambda: client.query(topic, limit=5)),
            ('limit', lambda: next(client.query_pages(topic))),
            ('explain', lambda: client.explain(topic)),
        ):
            with pytest.raises(UnimplementedError, match=f'does not understand .*{part}'):
                ask()


def test_what_a_query_needs(client):
    with pytest.raises(InvalidArgumentError, match='builders'):
        client.query()
    with pytest.raises(InvalidArgumentError, match='builders'):
        client.query(QueryTopic(), query=Query(QueryTopic()))
    with pytest.raises(ValueError, match='two builders'):
        client.query(QueryTopic(), QueryTopic())
