"""How queries are asked: order, pages, plans, and daemons that do not understand them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pyarrow import flight

from mosaico_ros import IMU, MosaicoClient, Query, QueryOntologyCatalog, QuerySequence, QueryTopic
from mosaico_ros.protocol.errors import InvalidArgumentError, UnimplementedError

X, Y = IMU.Q.acceleration.x, IMU.Q.acceleration.y


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
    first = client.query(mine, order_by='name', limit=np.int32(3))
    assert letters(first) == 'abc'
    last = client.query(mine, order_by='name', limit=3, cursor=first.next_cursor)
    assert letters(last) == 'de'
    assert last.next_cursor is None
    assert list(client.query_pages(QuerySequence().with_name(f'{five}-x'))) == []
    with pytest.raises(InvalidArgumentError, match='start_time'):
        client.query(mine, order_by='age')
    with pytest.raises(InvalidArgumentError, match='limit'):
        client.query(mine, limit=0)


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
