"""Actions over the wire: shapes of answers that clients rely on."""

from __future__ import annotations

import json
import re
import uuid

import pyarrow as pa
import pyarrow.flight as flight
import pytest

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), False), pa.field('x', pa.float64())])


def batch(stamps: list[int], values: list[float]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(stamps), pa.array(values)], schema=SCHEMA)


def results(remote, name: str, **body: object) -> list[dict]:
    """Every result of an action, each a whole envelope."""
    action = flight.Action(name, json.dumps(body).encode())
    return [json.loads(r.body.to_pybytes()) for r in remote.client.do_action(action)]


def test_info_and_version_agree(remote):
    info, version = remote.act('info'), remote.act('version')
    assert {key: info[key] for key in ('version', 'semver')} == version
    announced = {'acks', 'sidecars', 'stripes', 'tokens', 'notifications', 'columns', 'query'}
    assert announced <= set(info['extensions'])
    assert all(isinstance(size, int) for size in info['config'].values())


def test_sizes_are_announced_as_set(make_daemon, connect):
    started = make_daemon(
        MOSAICOD_MAX_GRPC_MESSAGE_SIZE='8000000', MOSAICOD_TARGET_MESSAGE_SIZE='100000'
    )
    remote = connect(started)
    assert remote.act('info')['config'] == {
        'grpc_max_decode_message_size': 8_000_000,
        'grpc_max_encode_message_size': 8_000_000,
        'grpc_target_encode_message_size': 100_000,
    }
    remote.put('t', [batch(list(range(50_000)), [0.5] * 50_000)])
    ticket = remote.info('t').endpoints[0].ticket
    sizes = [chunk.data.nbytes for chunk in remote.client.do_get(ticket)]
    assert max(sizes) < 200_000
    assert sum(sizes) == 800_000


def test_creations_answer_exactly_what_published_clients_unpack(remote):
    session = remote.session()
    assert set(session) == {'uuid', 'locator'}
    assert re.fullmatch(rf'{remote.sequence}:[0-9A-HJKMNP-TV-Z]{{26}}', session['locator'])
    created = remote.act(
        'topic_create',
        session_uuid=session['uuid'],
        locator=f'/{remote.sequence}//a/b/',
        serialization_format='image',
        ontology_tag='Anything at all',
        user_metadata={'a': {'b': [1, None, 'ü']}},
    )
    assert set(created) == {'uuid'}
    info = remote.topic_info('a/b')
    assert info['ontology_tag'] == 'Anything at all'
    assert info['serialization_format'] == 'image'
    assert info['user_metadata'] == {'a': {'b': [1, None, 'ü']}}


def test_void_actions_answer_null(remote):
    (envelope,) = results(remote, 'sequence_create', locator=f'/{remote.sequence}/')
    assert envelope == {'action': 'sequence_create', 'response': None}


def test_creations_are_repeatable_with_their_tokens(remote):
    def twice(name: str, **body: object) -> dict:
        token = uuid.uuid4().hex
        first, second = (remote.act(name, client_token=token, **body) for _ in range(2))
        assert first == second
        with pytest.raises(pa.ArrowInvalid, match=token):
            remote.act(name, client_token=token, **body | {'locator': f'{body["locator"]}2'})
        return first

    here, topic = remote.sequence, f'{remote.sequence}/t'
    twice('sequence_create', locator=here)
    remote.act('sequence_create', locator=f'{here}2')
    opened = twice('session_create', locator=here)
    twice(
        'topic_create',
        session_uuid=opened['uuid'],
        locator=topic,
        serialization_format='default',
        ontology_tag='Custom',
    )
    remote.topic('t2', opened)
    for kind, target in (('sequence', here), ('topic', topic)):
        note = {'notification_type': 'error', 'msg': 'x'}
        twice(f'{kind}_notification_create', locator=target, **note)
        listed = remote.act(f'{kind}_notification_list', locator=target)['notifications']
        assert len(listed) == 1


@pytest.mark.parametrize('token', ['', 'x' * 256, 'a\0b', 5])
def test_tokens_that_no_catalog_should_hold_are_refused(remote, token):
    with pytest.raises(pa.ArrowInvalid, match='client_token'):
        remote.act('sequence_create', locator=remote.sequence, client_token=token)


@pytest.mark.parametrize('key', ['locator', 'session_uuid'])
def test_sessions_are_deleted_by_either_name(remote, key):
    session = remote.session()
    remote.topic('t', session)
    remote.act('session_delete', **{key: session['locator' if key == 'locator' else 'uuid']})
    with pytest.raises(KeyError):
        remote.info('t')
    assert json.loads(remote.info().app_metadata)['sessions'] == []


def test_notifications_keep_order_and_text(remote):
    remote.topic('t')
    for target in (remote.sequence, f'{remote.sequence}/t'):
        kind = 'topic' if '/' in target else 'sequence'
        texts = ['first\nsecond line', 'grün \U0001f916', '']
        for text in texts:
            remote.act(
                f'{kind}_notification_create', locator=target, notification_type='error', msg=text
            )
        listed = remote.act(f'{kind}_notification_list', locator=f'/{target}/')['notifications']
        assert [item['msg'] for item in listed] == texts
        for item in listed:
            assert item['name'] == target
            assert item['notification_type'] == 'error'
            stamp = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} UTC'
            assert re.fullmatch(stamp, item['created_datetime'])
        for _ in range(2):
            remote.act(f'{kind}_notification_purge', locator=target)
        assert remote.act(f'{kind}_notification_list', locator=target) == {'notifications': []}
    with pytest.raises(pa.ArrowInvalid, match='notification_type'):
        remote.act(
            'sequence_notification_create',
            locator=remote.sequence,
            notification_type='info',
            msg='x',
        )


def test_notifications_of_a_sequence_and_its_topics_come_in_one_list(remote):
    remote.topic('t')
    topic = f'{remote.sequence}/t'
    sent = [(topic, 'a'), (remote.sequence, 'b'), (topic, 'c')]
    for target, text in sent:
        kind = 'topic' if '/' in target else 'sequence'
        remote.act(
            f'{kind}_notification_create', locator=target, notification_type='error', msg=text
        )

    def listed(**options: bool) -> list[tuple[str, str]]:
        answer = remote.act('sequence_notification_list', locator=remote.sequence, **options)
        return [(note['name'], note['msg']) for note in answer['notifications']]

    assert listed(include_topics=True) == sent
    assert listed(include_topics=False) == listed() == sent[1:2]
    remote.act('sequence_notification_purge', locator=remote.sequence)
    assert listed(include_topics=True) == [sent[0], sent[2]]


def test_query_answers_by_sequence(remote):
    remote.put('a', [batch([1, 2, 3], [0.0, 5.0, 0.0])])
    remote.put('b', [batch([1], [0.0])])
    here = {'name': {'$eq': remote.sequence}}
    (item,) = remote.act('query', sequence=here)['items']
    assert item['sequence'] == remote.sequence
    assert [t['locator'] for t in item['topics']] == [f'{remote.sequence}/{n}' for n in 'ab']
    assert {t['ontology_tag'] for t in item['topics']} == {'Custom'}
    found = remote.act(
        'query',
        sequence=here,
        ontology={'Custom.x': {'$gt': 1}, 'include_timestamp_range': True},
    )
    assert found['items'] == [
        {
            'sequence': remote.sequence,
            'topics': [
                {
                    'locator': f'{remote.sequence}/a',
                    'ontology_tag': 'Custom',
                    'timestamp_range': [2, 2],
                }
            ],
        }
    ]
    for empty in ({}, {'sequence': {}, 'topic': {}, 'ontology': {}}):
        assert remote.act('query', **empty) == {'items': []}


def test_long_answers_are_joined_from_several_results(remote):
    metadata = {'text': 'x' * 3_000_000}
    remote.act('sequence_create', locator=remote.sequence, user_metadata=metadata)
    message = 'y' * 1_500_000
    for _ in range(2):
        remote.act(
            'sequence_notification_create',
            locator=remote.sequence,
            notification_type='error',
            msg=message,
        )
    action = flight.Action(
        'sequence_notification_list', json.dumps({'locator': remote.sequence}).encode()
    )
    bodies = [r.body.to_pybytes() for r in remote.client.do_action(action)]
    assert len(bodies) > 1
    listed = json.loads(b''.join(bodies))['response']['notifications']
    assert [item['msg'] for item in listed] == [message, message]
    assert json.loads(remote.info().app_metadata)['user_metadata'] == metadata


def test_clusters_come_one_per_result(remote):
    remote.put('a', [batch([0, 10, 20, 100, 110], [9.0] * 5)])
    remote.put('b', [batch([15, 105, 300], [9.0] * 3)])

    def topic(name: str) -> dict:
        return {
            'locator': f'{remote.sequence}/{name}',
            'clustering_dt_ns': 50,
            'ontology': {'Custom.x': {'$gt': 1}},
        }

    def spans(name: str, **body: object) -> list[tuple[int, int]]:
        pages = results(remote, name, **body)
        assert [page['response']['id'] for page in pages] == list(range(len(pages)))
        assert {page['action'] for page in pages} <= {name}
        return [tuple(page['response']['ts'].values()) for page in pages]

    clusterize, intersect = 'topic_filter_clusterize', 'topic_filter_intersect'
    assert spans(clusterize, **topic('a'), timestamp_range=None) == [(0, 20), (100, 110)]
    window = {'start_ns': 10, 'end_ns': 110}
    assert spans(clusterize, **topic('a'), timestamp_range=window) == [(10, 20), (100, 100)]
    nothing = topic('a') | {'ontology': {'Custom.x': {'$gt': 10}}}
    assert spans(clusterize, **nothing) == []
    both = [topic('a'), topic('b')]
    assert spans(intersect, topics=both, intersect_dt_ns=0) == [(15, 15), (105, 105)]
    with pytest.raises(pa.ArrowInvalid, match='condition'):
        results(remote, clusterize, **(topic('a') | {'ontology': {}}))


def test_clusters_of_a_tree_are_those_of_the_rows_that_an_answer_names(remote):
    for path in 'ab':
        remote.put(path, [batch([0, 10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0, 5.0])])
    x = 'Custom.x'
    ends = {'$or': [{'ontology': {x: {'$lt': 2}}}, {'$not': {'ontology': {x: {'$lt': 5}}}}]}
    of_a = {'$and': [{'topic': {'name': {'$eq': 'a'}}}, ends]}
    middle_of_b = {'topic': {'name': {'$eq': 'b'}}, 'ontology': {x: {'$eq': 3}}}
    here = {'name': {'$eq': remote.sequence}}
    found = remote.act('query', sequence=here, where={'$or': [of_a, middle_of_b]})
    a, b = (
        {
            'locator': topic['locator'],
            'clustering_dt_ns': 5,
            'ontology': {},
            'where': topic['rows'],
        }
        for topic in found['items'][0]['topics']
    )

    def spans(name, **body):
        return [tuple(page['response']['ts'].values()) for page in results(remote, name, **body)]

    clusterize = 'topic_filter_clusterize'
    assert spans(clusterize, **a) == [(0, 0), (40, 40)]
    assert spans(clusterize, **b) == [(20, 20)]
    assert spans(clusterize, **(a | {'clustering_dt_ns': 40})) == [(0, 40)]
    assert spans(clusterize, **(a | {'clustering_dt_ns': 0})) == [(0, 40)]
    assert spans(clusterize, **(a | {'ontology': {x: {'$gt': 1}}})) == [(40, 40)]
    whole = [one | {'clustering_dt_ns': 0} for one in (a, b)]
    assert spans('topic_filter_intersect', topics=whole, intersect_dt_ns=0) == [(20, 20)]
    with pytest.raises(pa.ArrowInvalid, match='sequences or topics'):
        results(remote, clusterize, **(a | {'where': of_a}))
    plain = remote.act('query', sequence=here, ontology={x: {'$gt': 1}})
    assert 'rows' not in plain['items'][0]['topics'][0]


def test_all_actions_are_listed(remote):
    listed = {action.type: action.description for action in remote.client.list_actions()}
    assert {'info', 'query', 'topic_filter_intersect', 'topic_notification_purge'} <= set(listed)
    assert all(listed.values())


def test_extended_queries_page_and_explain(remote):
    for path, value in (('a', 1.0), ('b', 9.0)):
        remote.put(path, [batch([1, 2], [0.0, value])])
    here = {'name': {'$eq': remote.sequence}}
    either = {'$or': [{'ontology': {'Custom.x': {'$gt': 5}}}, {'topic': {'name': {'$eq': 'a'}}}]}
    body = {'sequence': here, 'where': either, 'order': '-name', 'limit': 1}
    found = remote.act('query', **body)
    assert [topic['locator'] for topic in found['items'][0]['topics']] == [
        f'{remote.sequence}/a',
        f'{remote.sequence}/b',
    ]
    assert set(found) == {'items'}
    explained = remote.act('query', **body, explain=True)
    assert explained['items'] == found['items']
    first, second = explained['plan']['alternatives']
    assert first['groups'][0]['chunks_opened'] == 0
    assert second['groups'] == []
    assert set(explained['plan']['milliseconds']) == {'sections', 'statistics', 'rows', 'page'}
