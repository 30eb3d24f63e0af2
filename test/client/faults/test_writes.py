"""Uploads of which daemon or line get lost: one error, and what was acknowledged stays."""
# ruff: noqa: PT012 - whole blocks are what fails here

from __future__ import annotations

import contextlib
import re
import resource
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros import (
    MosaicoClient,
    SessionLevelErrorPolicy,
    SessionStatus,
    String,
    TopicWriterStatus,
)
from mosaico_ros.protocol.errors import ResourceExhaustedError, UnavailableError

ROWS = 2000


def push_until_it_fails(writer, rows_of, first: int, pause: float = 0) -> None:
    """Push for a minute at most."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        writer.push_batch(rows_of(np.arange(first, first + ROWS), first))
        first += ROWS
        time.sleep(pause)


def stored(client: MosaicoClient, sequence: str) -> list[int]:
    """Return the numbers of the rows."""
    return [
        int(text) for text in client.topic_handler(sequence, 'a').to_arrow()['data'].to_pylist()
    ]


def settled(client: MosaicoClient, sequence: str) -> None:
    """Wait until the daemon has noticed that the upload is over."""
    deadline = time.monotonic() + 60
    while not client.list_topic_notifications(sequence, 'a'):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize('policy', list(SessionLevelErrorPolicy))
def test_a_daemon_that_is_killed_and_does_not_come_back(
    daemon, connect_to, rows_of, name, policy, caplog
):
    client = connect_to(daemon)
    session = client.sequence_create(name, on_error=policy)
    begin = 0.0
    with pytest.raises(UnavailableError) as caught, session:
        writer = session.topic_create('a', ontology_type=String)
        session.topic_create('b', ontology_type=String).push_batch(rows_of(np.arange(ROWS)))
        writer.push_batch(rows_of(np.arange(ROWS)))
        writer.commit(wait=True, timeout=60)
        daemon.kill()
        begin = time.monotonic()
        push_until_it_fails(writer, rows_of, ROWS)
    assert time.monotonic() - begin < 20
    told = re.search(r'(\d+) of (\d+) rows', str(caught.value))
    assert f'{name}/a' in str(caught.value)
    assert ROWS == int(told[1]) == writer.durable_rows <= int(told[2]) <= writer.rows_pushed
    assert session.status is SessionStatus.Error
    assert writer.status is TopicWriterStatus.FinalizedWithError
    assert 'stays open' in caplog.text
    daemon.start()
    settled(client, name)
    rows = stored(client, name)
    assert rows == list(range(len(rows)))
    assert ROWS <= len(rows) <= writer.rows_pushed


@pytest.mark.parametrize('policy', list(SessionLevelErrorPolicy))
def test_a_daemon_that_is_killed_and_comes_back(daemon, connect_to, rows_of, name, policy):
    client = connect_to(daemon)
    session = client.sequence_create(name, on_error=policy)
    with pytest.raises(UnavailableError, match=f'{name}/a broke off'), session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(ROWS)))
        writer.commit(wait=True, timeout=60)
        daemon.kill()
        daemon.start()
        push_until_it_fails(writer, rows_of, ROWS)
    if policy is SessionLevelErrorPolicy.Delete:
        assert not client.sequence_exists(name)
    else:
        assert [session.locked for session in client.sequence_handler(name).sessions] == [True]
        assert 'broke off' in client.list_sequence_notifications(name)[0].message
        assert stored(client, name)[:ROWS] == list(range(ROWS))


@pytest.mark.parametrize('wait', [False, True])
def test_a_daemon_that_hangs(daemon, connect_to, rows_of, hung, name, wait):
    client = connect_to(daemon)
    session = client.sequence_create(name)
    writer = None
    with contextlib.ExitStack() as hanging:
        begin = time.monotonic()
        with pytest.raises(UnavailableError, match=f'{name}/a .*no sign of life'), session:
            writer = session.topic_create('a', ontology_type=String)
            writer.push_batch(rows_of(np.arange(ROWS)))
            writer.commit(wait=True, timeout=60)
            hanging.enter_context(hung(daemon))
            begin = time.monotonic()
            if wait:
                writer.push_batch(rows_of(np.arange(ROWS, 2 * ROWS), ROWS))
                writer.commit(wait=True)
            else:
                push_until_it_fails(writer, rows_of, ROWS)
        assert time.monotonic() - begin < 30
    settled(client, name)
    rows = stored(client, name)
    assert rows == list(range(len(rows)))
    assert writer.durable_rows <= len(rows) <= writer.rows_pushed


def test_the_end_of_a_block_does_not_wait_for_ever(daemon, connect_to, rows_of, hung, name):
    client = connect_to(daemon)
    with contextlib.ExitStack() as hanging:
        begin = time.monotonic()
        with pytest.raises(UnavailableError), client.sequence_create(name) as session:
            writer = session.topic_create('a', ontology_type=String)
            writer.push_batch(rows_of(np.arange(ROWS)))
            hanging.enter_context(hung(daemon))
            begin = time.monotonic()
        assert time.monotonic() - begin < 30


def test_the_first_error_is_the_one_that_is_told(daemon, connect_to, rows_of, name):
    client = connect_to(daemon)
    with pytest.raises(KeyError, match='smoke'), client.sequence_create(name) as session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(ROWS)))
        daemon.kill()
        raise KeyError('smoke')


def test_a_daemon_in_fits_and_starts_is_only_slow(
    daemon, connect_to, rows_of, hung, name, silence
):
    client = connect_to(daemon)

    def record() -> None:
        with client.sequence_create(name) as session:
            writer = session.topic_create('a', ontology_type=String)
            for first in range(0, 50 * ROWS, ROWS):
                writer.push_batch(rows_of(np.arange(first, first + ROWS), first))

    recording = threading.Thread(target=record)
    recording.start()
    while recording.is_alive():
        with hung(daemon):
            time.sleep(silence / 8)
        time.sleep(0.05)
    assert stored(client, name) == list(range(50 * ROWS))


def test_an_upload_that_pauses_is_no_fault(shared_daemon, connect_to, rows_of, name, silence):
    client = connect_to(shared_daemon)
    with client.sequence_create(name) as session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(ROWS)))
        time.sleep(5 * silence)
        writer.push_batch(rows_of(np.arange(ROWS, 2 * ROWS), ROWS))
    assert stored(client, name) == list(range(2 * ROWS))


@pytest.mark.parametrize('fault', ['cut', 'go_dead'])
def test_a_line_that_is_lost(shared_daemon, make_line, connect_to, rows_of, name, fault):
    line = make_line(shared_daemon)
    client = connect_to(line)
    session = client.sequence_create(name)
    with pytest.raises(UnavailableError, match=f'{name}/a broke off'), session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(ROWS)))
        writer.commit(wait=True, timeout=60)
        getattr(line, fault)()
        begin = time.monotonic()
        push_until_it_fails(writer, rows_of, ROWS, 0.01)
    assert time.monotonic() - begin < 30
    line.cut()
    near = connect_to(shared_daemon)
    settled(near, name)
    rows = stored(near, name)
    assert rows == list(range(len(rows)))
    assert ROWS <= len(rows) <= writer.rows_pushed


@pytest.mark.parametrize('lost', ['request', 'answer'])
def test_a_line_that_breaks_at_the_end_of_a_session(
    shared_daemon, make_line, connect_to, rows_of, name, lost
):
    line = make_line(shared_daemon)
    client, near = connect_to(line), connect_to(shared_daemon)

    def locked() -> list[bool]:
        near.clear_sequence_handlers_cache()
        return [session.locked for session in near.sequence_handler(name).sessions]

    def break_in_the_middle() -> None:
        if lost == 'answer':
            while locked() != [True]:
                time.sleep(0.01)
        else:
            time.sleep(0.2)
            assert locked() == [False]
        line.cut()
        line.revive()

    with client.sequence_create(name) as session:
        writer = session.topic_create('a', ontology_type=String)
        writer.push_batch(rows_of(np.arange(ROWS)))
        writer.close()
        line.lose_answers() if lost == 'answer' else line.go_dead()
        breaking = threading.Thread(target=break_in_the_middle)
        breaking.start()
    breaking.join()
    assert session.status is SessionStatus.Finalized
    assert locked() == [True]


def test_a_full_disk(daemon, connect_to, rows_of, name):
    """A limit on the size of files stands for the disk; the notification still fits."""
    client = connect_to(daemon)
    session = client.sequence_create(name)
    random = np.random.default_rng(1)
    noise = pa.array([random.bytes(50).hex() for _ in range(200_000)])
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (4 << 20, -1))
    with pytest.raises(ResourceExhaustedError, match=f'{name}/a .*No space left'), session:
        writer = session.topic_create('a', ontology_type=String)
        batch = rows_of(np.arange(len(noise))).set_column(1, writer.schema.field(1), noise)
        writer.push_batch(batch)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, before)
    assert session.status is SessionStatus.Error
    assert 'No space left' in client.list_topic_notifications(name, 'a')[0].message
    assert [session.locked for session in client.sequence_handler(name).sessions] == [True]
    with client.sequence_update(name) as more:
        more.topic_create('b', ontology_type=String).push_batch(batch)
    assert client.topic_handler(name, 'b').message_count == len(noise)
