"""Calls to a daemon that is away or hangs: each ends in time, and what is safe is repeated."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mosaico_ros import MosaicoClient, QueryOntologyCatalog, QuerySequence, String
from mosaico_ros.protocol.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)

READING = {
    'list_sequences': lambda client, name: client.list_sequences(),
    'sequence_exists': lambda client, name: client.sequence_exists(name),
    'topic_exists': lambda client, name: client.topic_exists(name, 'a'),
    'sequence_handler': lambda client, name: client.sequence_handler(name).topics,
    'schema': lambda client, name: client.topic_handler(name, 'a').ontology_schema,
    'query': lambda client, name: len(client.query(QuerySequence().with_name(name))),
    'clusterize': lambda client, name: [
        topic.clusterize()
        for item in client.query(
            QuerySequence().with_name(name), QueryOntologyCatalog(String.Q.data.gt(''))
        )
        for topic in item.topics
    ],
    'list_sequence_notifications': lambda client, name: client.list_sequence_notifications(name),
    'list_topic_notifications': lambda client, name: client.list_topic_notifications(name, 'a'),
}
CHANGING = {
    'sequence_delete': lambda client, name: client.sequence_delete(name),
    'session_delete': lambda client, name: client.session_delete(
        f'{name}:01ARZ3NDEKTSV4RRFFQ69G5FAV'
    ),
    'clear_sequence_notifications': lambda client, name: client.clear_sequence_notifications(name),
    'clear_topic_notifications': lambda client, name: client.clear_topic_notifications(name, 'a'),
}


def test_a_daemon_is_found_over_a_line_that_takes_its_time(shared_daemon, make_line, connect_to):
    line = make_line(shared_daemon)
    line.delay = 0.2  # as over the air, or across an ocean and back
    assert isinstance(connect_to(line).list_sequences(), list)


def test_no_call_to_a_hung_daemon_lasts_longer_than_it_may(daemon, connect_to, write, hung, name):
    # Silence is noticed later here, so that it is the deadline that ends the calls.
    write(connect_to(daemon), name, a=np.arange(10))
    client = connect_to(daemon, 60, call_timeout=0.5)
    with hung(daemon):
        for what, call in {**READING, **CHANGING, 'info': lambda c, n: c.info()}.items():
            begin = time.monotonic()
            with pytest.raises(DeadlineExceededError, match=r'call_timeout') as caught:
                call(client, name)
            assert time.monotonic() - begin < 20, what
            assert isinstance(caught.value, TimeoutError)
            assert f'{daemon.port} within 0.5 s' in str(caught.value)
            assert ('carried out all the same' in str(caught.value)) is (what not in READING), what
    assert client.sequence_exists(name) in (True, False)


def test_a_deadline_names_the_call(daemon, connect_to, hung, name):
    client = connect_to(daemon, 60, call_timeout=0.3)
    with hung(daemon):
        with pytest.raises(TimeoutError, match="The action 'sequence_delete'"):
            client.sequence_delete(name)
        with pytest.raises(TimeoutError, match=f'The description of {name}'):
            client.sequence_handler(name)
        with pytest.raises(TimeoutError, match='The list of sequences'):
            client.list_sequences()


def test_reading_calls_are_repeated_until_the_daemon_is_back(daemon, connect_to, write, name):
    client = connect_to(daemon)
    write(client, name, a=np.arange(10))
    wanted = {what: call(client, name) for what, call in READING.items()}
    assert wanted['clusterize']
    client.clear_sequence_handlers_cache()
    client.clear_topic_handlers_cache()
    daemon.kill()
    restarting = threading.Timer(1, daemon.start)
    restarting.start()
    got = {}
    calling = [
        threading.Thread(target=lambda w=what, c=call: got.update({w: c(client, name)}))
        for what, call in READING.items()
    ]
    for thread in calling:
        thread.start()
    for thread in [*calling, restarting]:
        thread.join()
    assert got == wanted


def test_a_cluster_stream_begins_when_the_daemon_is_back(daemon, connect_to, write, name):
    client = connect_to(daemon)
    write(client, name, a=np.arange(10))
    (item,) = client.query(QueryOntologyCatalog(String.Q.data.gt('')))
    wanted = item.topics[0].clusterize()
    daemon.kill()
    restarting = threading.Timer(1, daemon.start)
    restarting.start()
    assert item.topics[0].clusterize() == wanted != []
    restarting.join()


def test_a_daemon_that_stays_away_is_told_with_what_was_tried(daemon, connect_to, name):
    client = connect_to(daemon, call_timeout=1)
    daemon.kill()
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match=rf'{daemon.port} cannot .* \(tried for 1 s\)'):
        client.list_sequences()
    assert time.monotonic() - begin < 20


def test_what_changes_the_archive_is_not_repeated(daemon, connect_to, write, name):
    client = connect_to(daemon)
    write(client, name, a=np.arange(10))
    daemon.kill()
    for what, call in {**CHANGING, 'info': lambda c, n: c.info()}.items():
        begin = time.monotonic()
        with pytest.raises(UnavailableError, match='cannot be reached'):
            call(client, name)
        assert time.monotonic() - begin < 20, what


def test_refusals_are_not_repeated(shared_daemon, connect_to, name, caplog):
    client = connect_to(shared_daemon)
    with pytest.raises(NotFoundError):
        client.list_sequence_notifications(name)
    with pytest.raises(InvalidArgumentError):
        client.query(QuerySequence().with_user_metadata('a..b', eq=1))
    assert not caplog.records


@pytest.mark.parametrize(
    ('option', 'value'),
    [('call_timeout', 0), ('call_timeout', float('nan')), ('silence_timeout', 0.5)],
)
def test_times_that_make_no_sense_are_refused(option, value):
    with pytest.raises(InvalidArgumentError, match=option):
        MosaicoClient.connect('localhost', **{option: value})
