"""Events: news posted to a subscriber, by one daemon, at least once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog import events as module
from mosaico_ros.daemon.catalog.events import NEWS, claim, complete, enqueue, postpone
from mosaico_ros.daemon.catalog.tables import events
from mosaico_ros.protocol.locators import SequenceLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
TABLE = pa.table([[1, 2], [0.5, 0.5]], schema=SCHEMA)


class Subscriber:
    """An HTTP server that remembers what was posted."""

    def __init__(self) -> None:
        self.news: list[dict[str, object]] = []
        self.statuses: list[int] = []
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers['Content-Length']))
                assert self.headers['Content-Type'] == 'application/json'
                subscriber.news.append(json.loads(body))
                self.send_response(subscriber.statuses.pop(0) if subscriber.statuses else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}/hook?secret=s3cret'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int) -> list[dict[str, object]]:
        deadline = time.monotonic() + 15
        while len(self.news) < count:
            assert time.monotonic() < deadline, self.news
            time.sleep(0.02)
        return self.news


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    made = Subscriber()
    yield made
    made.server.shutdown()
    made.server.server_close()


def waiting(archive) -> list[str]:
    with archive._database.read() as connection:
        return list(connection.execute(sa.select(events.c.kind)).scalars())


def test_news_of_what_happens_reach_the_subscriber(filled, subscriber):
    filled.reopen(webhook_url=subscriber.url)
    begin = time.time_ns()
    uuid, session = filled.archive.create_session(_sequence(filled))
    topic = filled.write(TABLE, 'run/imu', session=uuid)
    broken, broken_uuid = filled.create('run/gps', session=uuid)
    upload = filled.archive.begin_upload(broken, broken_uuid, SCHEMA)
    upload.abort('the cable broke')
    filled.archive.notify(SequenceLocator('run'), 'error', 'wrong sensor')
    filled.archive.finalize_session(uuid)
    got = subscriber.wait(5)
    told = {(news['event'], news['locator']): news for news in got}
    assert set(told) == {
        ('topic_sealed', str(topic)),
        ('topic_interrupted', str(broken)),
        ('notification', str(broken)),
        ('notification', 'run'),
        ('session_finalized', str(session)),
    }
    assert all(set(news) == {'id', 'event', 'locator', 'at_ns', 'message'} for news in got)
    assert len({news['id'] for news in got}) == 5
    assert all(begin <= int(str(news['at_ns'])) <= time.time_ns() for news in got)
    assert told['notification', 'run']['message'] == 'wrong sensor'
    assert 'the cable broke' in str(told['topic_interrupted', str(broken)]['message'])
    deadline = time.monotonic() + 5
    while waiting(filled.archive):
        assert time.monotonic() < deadline


def test_own_events_wake_the_daemon_at_once(filled, subscriber):
    filled.reopen(webhook_url=subscriber.url)
    _sequence(filled)
    pauses = []
    for number in range(5):
        begin = time.monotonic()
        filled.archive.notify(SequenceLocator('run'), 'error', str(number))
        subscriber.wait(number + 1)
        pauses.append(time.monotonic() - begin)
    assert sorted(pauses)[2] < 0.5  # half of what looking once a second would take


def test_what_the_subscriber_refuses_comes_again(filled, subscriber, caplog):
    subscriber.statuses = [503]
    filled.reopen(webhook_url=subscriber.url)
    _sequence(filled)
    filled.archive.notify(SequenceLocator('run'), 'error', 'x')
    first, second = subscriber.wait(2)
    assert first == second
    assert 'The webhook answered 503' in caplog.text
    assert 's3cret' not in caplog.text


def test_without_a_subscriber_nothing_is_kept(filled):
    _sequence(filled)
    filled.archive.notify(SequenceLocator('run'), 'error', 'x')
    filled.write(TABLE)
    assert waiting(filled.archive) == []


def test_news_of_what_was_rolled_back_are_none(filled, subscriber):
    filled.reopen(webhook_url=subscriber.url)
    _sequence(filled)

    def tell_then_break() -> None:
        with filled.archive._database.write() as connection:
            enqueue(connection, NEWS, 'key', {'message': 'never'})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        tell_then_break()
    filled.archive.notify(SequenceLocator('run'), 'error', 'x')
    assert [news['message'] for news in subscriber.wait(1)] == ['x']


def test_an_event_is_claimed_by_one_and_taken_over_when_that_one_is_dead(filled, open_archive):
    other = open_archive()
    with filled.archive._database.write() as connection:
        for _ in range(2):
            enqueue(connection, 'chore', 'one', {'number': 1})
    mine = claim(filled.archive._database, filled.archive._instance.id, ['chore'])
    assert mine is not None
    assert mine.payload == {'number': 1}
    assert claim(other._database, other._instance.id, ['chore']) is None
    filled.archive.close()
    theirs = claim(other._database, other._instance.id, ['chore'])
    assert theirs is not None
    assert theirs.attempts == 2
    complete(other._database, mine)  # by one that was dead for a while
    assert waiting(other) == ['chore']
    complete(other._database, theirs)
    assert waiting(other) == []


def test_failures_make_growing_pauses_and_are_dropped_in_the_end(filled, caplog):
    archive = filled.archive
    with archive._database.write() as connection:
        enqueue(connection, 'chore', 'one', {})
    pauses = []
    for _ in range(module._ATTEMPTS):
        with archive._database.write() as connection:
            connection.execute(events.update().values(due_at_ns=0))
        event = claim(archive._database, archive._instance.id, ['chore'])
        assert event is not None
        begin = time.time_ns()
        postpone(archive._database, event, 'no')
        assert claim(archive._database, archive._instance.id, ['chore']) is None
        with archive._database.read() as connection:
            due = connection.execute(sa.select(events.c.due_at_ns)).scalar_one_or_none()
        if due is not None:
            pauses.append(round((due - begin) / 1e9))
    assert pauses[:3] == [2, 4, 8]
    assert pauses[-1] == 2048
    assert waiting(archive) == []
    assert 'Given up after 12 attempts' in caplog.text


def _sequence(filled) -> SequenceLocator:
    filled.session('run')
    return SequenceLocator('run')
