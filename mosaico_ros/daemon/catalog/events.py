"""Work that somebody has still to do: rows of the table ``events``.

An event is enqueued by the transaction that causes it, so it exists if and only if its cause
does. One daemon claims it; it is deleted when the work is done, comes back after a growing
pause when it fails, and passes on to another daemon when the one that claimed it is dead. Work
is therefore done at least once.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import insert_ignore, now_ns
from mosaico_ros.daemon.catalog.tables import events, instances, sequences, sessions, topics

__all__ = [
    'NEWS',
    'OPTIMIZE',
    'SWEEP',
    'Event',
    'claim',
    'complete',
    'enqueue',
    'forget_old',
    'postpone',
    'request_optimization',
    'tell',
    'topics_to_sweep',
]

_log = logging.getLogger(__name__)

#: Post to subscribers; the payload is what they get.
NEWS = 'news'
#: Rewrite the chunks of a topic, whose id is the key.
OPTIMIZE = 'optimize'
#: Remove from a topic's folder the chunks that were replaced.
SWEEP = 'sweep'

#: About three hours of trying, with the pauses below.
_ATTEMPTS = 12
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2, 3600

_NEWS_KEPT_NS = 7 * 86_400 * 10**9

# What makes a topic worth a closer look by the optimizer as soon as it is sealed.
_MANY_CHUNKS = 16
_SMALL_BYTES = 2 << 20


@dataclass(frozen=True)
class Event:
    """An event that this daemon has claimed.

    Parameters
    ----------
    id
        Its row.
    kind
        One of :data:`NEWS`, :data:`OPTIMIZE`, :data:`SWEEP`.
    payload
        What the work is about.
    attempts
        How many times it was claimed, this one included.

    """

    id: int
    kind: str
    payload: dict[str, Any]
    attempts: int


def enqueue(
    connection: Connection, kind: str, key: str, payload: dict[str, Any], delay_ns: int = 0
) -> None:
    """Leave work for the routines; of equal keys of one kind only one waits.

    Parameters
    ----------
    connection
        The transaction that causes the work.
    kind, key, payload
        What is to be done.
    delay_ns
        How long it waits at least.

    """
    now = now_ns(connection)
    connection.execute(
        insert_ignore(connection, events).values(
            kind=kind,
            key=key,
            payload=json.dumps(payload),
            created_at_ns=now,
            due_at_ns=now + delay_ns,
            attempts=0,
        )
    )
    connection.info['has_events'] = True


def tell(
    connection: Connection,
    event: str,
    at_ns: int,
    message: str | None = None,
    *,
    sequence_id: int | None = None,
    session_id: int | None = None,
    topic_id: int | None = None,
) -> None:
    """Enqueue news of a sequence, session or topic, if anybody wants to hear them."""
    if not connection.get_execution_options().get('tells_news'):
        return
    name = sequences.c.name
    if topic_id is not None:
        named = sa.select(name + '/' + topics.c.path).select_from(sequences.join(topics))
        named = named.where(topics.c.id == topic_id)
    elif session_id is not None:
        named = sa.select(name + ':' + sessions.c.ulid).select_from(sequences.join(sessions))
        named = named.where(sessions.c.id == session_id)
    else:
        named = sa.select(name).where(sequences.c.id == sequence_id)
    key = str(uuid.uuid4())
    news = {
        'id': key,
        'event': event,
        'locator': connection.execute(named).scalar_one(),
        'at_ns': at_ns,
        'message': message,
    }
    enqueue(connection, NEWS, key, news)


def request_optimization(connection: Connection, topic: Any) -> None:
    """Ask for the chunks of a topic to be rewritten, if there are many small ones."""
    if topic.chunks >= _MANY_CHUNKS and topic.bytes < topic.chunks * _SMALL_BYTES:
        enqueue(connection, OPTIMIZE, str(topic.id), {'topic_id': topic.id})


def claim(database: Database, instance_id: int, kinds: Iterable[str]) -> Event | None:
    """Claim the oldest event that is due and that no living daemon is at, if there is one."""
    living = sa.select(instances.c.id).where(instances.c.id == events.c.instance_id)
    free = sa.or_(events.c.instance_id.is_(None), ~living.exists())
    while True:
        with database.read() as connection:
            row = connection.execute(
                sa.select(events)
                .where(
                    events.c.kind.in_(list(kinds)),
                    events.c.due_at_ns <= now_ns(connection),
                    free,
                )
                .order_by(events.c.due_at_ns, events.c.id)
                .limit(1)
            ).one_or_none()
        if row is None:
            return None
        with database.write() as connection:
            taken = connection.execute(
                events.update()
                .where(events.c.id == row.id, events.c.attempts == row.attempts, free)
                .values(instance_id=instance_id, attempts=row.attempts + 1)
            )
        if taken.rowcount == 1:
            return Event(row.id, row.kind, json.loads(row.payload), row.attempts + 1)


def complete(database: Database, event: Event) -> None:
    """Forget an event whose work is done."""
    with database.write() as connection:
        connection.execute(events.delete().where(_claimed(event)))


def postpone(database: Database, event: Event, reason: str) -> None:
    """Have an event come back whose work has failed; after many times it is dropped."""
    if event.attempts >= _ATTEMPTS:
        _log.error('Given up after %d attempts: %s %s', event.attempts, event.kind, event.payload)
        complete(database, event)
        return
    pause = min(_FIRST_PAUSE_S * 2 ** (event.attempts - 1), _LONGEST_PAUSE_S)
    _log.warning('The work %r failed and is tried again in %d s: %s', event.kind, pause, reason)
    with database.write() as connection:
        connection.execute(
            events.update()
            .where(_claimed(event))
            .values(instance_id=None, due_at_ns=now_ns(connection) + pause * 10**9)
        )


def forget_old(connection: Connection) -> None:
    """Drop news that nobody has posted for a week: their subscriber is gone."""
    oldest = now_ns(connection) - _NEWS_KEPT_NS
    connection.execute(
        events.delete().where(events.c.kind == NEWS, events.c.created_at_ns < oldest)
    )


def topics_to_sweep(connection: Connection) -> set[int]:
    """Return the ids of topics whose replaced chunks are still kept for their readers."""
    found = connection.execute(sa.select(events.c.payload).where(events.c.kind == SWEEP))
    return {json.loads(payload)['topic_id'] for payload in found.scalars()}


def _claimed(event: Event) -> sa.ColumnElement[bool]:
    # Somebody who took it over has counted on.
    return sa.and_(events.c.id == event.id, events.c.attempts == event.attempts)
