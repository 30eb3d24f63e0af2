"""Closing a client ends what its other threads wait for, and leaves nothing behind."""
# ruff: noqa: PT012 - a whole block is what fails here

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mosaico_ros import MosaicoClient, String
from mosaico_ros.protocol.errors import FailedPreconditionError, MosaicoError

ROWS = 60_000


def our_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith('mosaico-')]


def connections_to(port: int) -> int:
    """Established TCP connections of this process to a local port."""
    text = ''.join(Path(f'/proc/net/{kind}').read_text() for kind in ('tcp', 'tcp6'))
    rows = [line.split() for line in text.splitlines() if 'rem' not in line]
    targets = {row[9]: int(row[2].split(':')[1], 16) for row in rows if row[3] == '01'}
    count = 0
    for descriptor in os.listdir('/proc/self/fd'):
        try:
            target = os.readlink(f'/proc/self/fd/{descriptor}')
        except OSError:
            continue
        if target.startswith('socket:['):
            count += targets.get(target[8:-1]) == port
    return count


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


@pytest.fixture
def connected(shared_daemon):
    client = MosaicoClient.connect(
        shared_daemon.host, shared_daemon.port, call_timeout=30, silence_timeout=10
    )
    yield client
    client.close()


READS = {
    'messages': lambda client, name: [
        time.sleep(0) for _ in client.topic_handler(name, 'a').get_data_streamer()
    ],
    'merged': lambda client, name: list(client.sequence_handler(name).get_data_streamer()),
    'table': lambda client, name: client.sequence_handler(name).to_arrow(),
    'stripes': lambda client, name: client.topic_handler(name, 'a').to_arrow(),
    'forgotten handler': lambda client, name: list(
        client.sequence_handler(name).get_topic_handler('a', True).get_data_streamer()
    ),
}


@pytest.mark.parametrize('read', READS)
def test_closing_ends_a_read_in_another_thread(daemon, make_line, write, name, read):
    with MosaicoClient.connect(daemon.host, daemon.port) as writer:
        write(writer, name, a=np.arange(ROWS), b=np.arange(ROWS))
    line = make_line(daemon)
    line.rate = 4_000_000
    client = MosaicoClient.connect('127.0.0.1', line.port)
    thread, errors = in_thread(lambda: READS[read](client, name))
    time.sleep(1)
    assert thread.is_alive()
    client.close()
    thread.join(10)
    assert not thread.is_alive()
    (error,) = errors
    assert isinstance(error, FailedPreconditionError), error
    assert 'closed' in str(error)
    assert our_threads() == []


def test_closing_ends_waiting_for_a_daemon_that_is_away(daemon, write, name):
    client = MosaicoClient.connect(daemon.host, daemon.port)
    write(client, name, a=np.arange(ROWS))
    streamer = client.topic_handler(name, 'a').get_data_streamer()
    next(streamer)
    daemon.kill()
    reading, read_errors = in_thread(lambda: list(streamer))
    asking, ask_errors = in_thread(client.list_sequences)
    time.sleep(1)
    assert reading.is_alive()
    assert asking.is_alive()
    client.close()
    for thread, errors in ((reading, read_errors), (asking, ask_errors)):
        thread.join(10)
        (error,) = errors
        assert isinstance(error, FailedPreconditionError)
        assert 'closed' in str(error)
    assert our_threads() == []


def test_closing_gives_up_an_upload_of_another_thread(connected, client, rows_of, name):
    writers = []

    def record() -> None:
        with connected.sequence_create(name) as session:
            writers.append(session.topic_create('a', ontology_type=String))
            for first in range(0, 10**9, 1000):
                writers[0].push_batch(rows_of(np.arange(first, first + 1000), first))
                if first == 10_000:
                    writers[0].commit(wait=True, timeout=60)

    thread, errors = in_thread(record)
    deadline = time.monotonic() + 60
    while not (writers and writers[0].durable_rows > 10_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    connected.close()
    thread.join(30)
    assert not thread.is_alive()
    (error,) = errors
    assert isinstance(error, FailedPreconditionError)
    assert f'{name}/a was given up' in str(error)
    # The other client of this test may have its own.
    assert not any(name in thread or 'flush' in thread for thread in our_threads())
    while not client.list_topic_notifications(name, 'a'):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    table = client.topic_handler(name, 'a').to_arrow()
    rows = [int(text) for text in table['data'].to_pylist()]
    assert rows == list(range(len(rows)))
    assert len(rows) >= writers[0].durable_rows


def test_closing_waits_for_an_upload_that_has_ended(shared_daemon, client, rows_of, name):
    closing = MosaicoClient.connect(shared_daemon.host, shared_daemon.port)
    session = closing.sequence_create(name)
    with pytest.raises(FailedPreconditionError, match='closed'), session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(ROWS)))
        writer.end()
        closing.close()
        with pytest.raises(MosaicoError, match='closed'):
            session.topic_create('b', ontology_type=String)
        assert client.topic_handler(name, 'a').message_count == ROWS
        assert client.topic_handler(name, 'a').locked


def test_nothing_stays_of_a_client_that_was_used_for_everything(daemon, rows_of, name):
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        with client.sequence_create(name) as session:
            writer = session.topic_create('a', ontology_type=String)
            writer.push_batch(rows_of(np.arange(ROWS)))
        client.topic_handler(name, 'a').to_arrow()
        half_read = client.sequence_handler(name).get_data_streamer()
        next(half_read)
        assert our_threads()
        assert connections_to(daemon.port)
    assert our_threads() == []
    deadline = time.monotonic() + 5  # gRPC closes them in a thread of its own
    while connections_to(daemon.port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert connections_to(daemon.port) == 0
    with pytest.raises(FailedPreconditionError, match='closed'):
        next(half_read)
    with pytest.raises(FailedPreconditionError, match='closed'):
        client.topic_exists(name, 'a')
