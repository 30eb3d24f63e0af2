"""Ending a session as it stands, for a writer that lost sight of its uploads.

A writer whose connection broke cannot know which of its rows are durable: acknowledgements may
have been lost, and a daemon that still believes in the old stream may make more rows durable
while the writer asks. So it asks and fences in one transaction: what it is told then is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog import resources
from mosaico_ros.daemon.catalog.chunks import Lease
from mosaico_ros.daemon.catalog.resources import TopicState
from mosaico_ros.daemon.catalog.tables import topics
from mosaico_ros.daemon.layouts import notify_new_layouts
from mosaico_ros.daemon.leases import seal_interrupted
from mosaico_ros.daemon.manifests import Tombstone, write_session_manifest
from mosaico_ros.daemon.removal import schedule
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['SealedSession', 'seal_session']


@dataclass(frozen=True)
class SealedSession:
    """What became of a session.

    `rows` are the durable ones of each topic that is left, `interrupted` the ids of the topics
    whose upload was under way, `buried` the folders of those without a row, to be settled.
    """

    rows: Mapping[TopicLocator, int]
    finalized: bool
    interrupted: list[int]
    buried: Mapping[str, Tombstone]


def seal_session(
    connection: Connection, store: Store, session: Row[Any], now_ns: int
) -> SealedSession:
    """Interrupt every upload of a session, and finalize it with what is durable.

    Parameters
    ----------
    connection
        A write transaction that has the session's sequence alone.
    store
        Of the archive.
    session
        The session's row; finalized ones stay as they are.
    now_ns
        The time.

    """
    own = topics.c.session_id == session.id
    found = connection.execute(
        sa.select(topics).where(own).order_by(topics.c.id).with_for_update()
    ).all()
    interrupted: list[int] = []
    buried: dict[str, Tombstone] = {}
    rows: dict[TopicLocator, int] = {}
    for topic in found:
        locator = TopicLocator(session.sequence, topic.path)
        if session.completed_at_ns is None and topic.state != TopicState.LOCKED:
            if not topic.rows:
                connection.execute(topics.delete().where(topics.c.id == topic.id))
                buried[topic.folder] = Tombstone(
                    str(locator), topic.folder, now_ns, {'topics': topic.id}
                )
                continue
            lease = Lease(topic.id, topic.instance_id, topic.fence)
            if seal_interrupted(connection, store, lease, 'Its writer has ended the session'):
                interrupted.append(topic.id)
        rows[locator] = topic.rows
    schedule(connection, buried)
    finalized = session.completed_at_ns is not None
    if rows and not finalized:
        resources.finalize_session(connection, session, now_ns)
        write_session_manifest(connection, store, session, now_ns)
        notify_new_layouts(connection, store, session, now_ns)
        finalized = True
    return SealedSession(rows, finalized, interrupted, buried)
