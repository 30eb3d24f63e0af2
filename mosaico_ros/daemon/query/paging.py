"""Pages of a query's answer: order, limit, and the cursor between them.

A cursor holds the key of the last sequence of its page, not a count: sequences that come or go
meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import is_one_of
from mosaico_ros.daemon.catalog.tables import sequences, topics
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import INT64_MAX
from mosaico_ros.protocol.query import OrderKey, Query, to_json

__all__ = ['page']


def page(
    database: Database, query: Query, sequence_ids: Collection[int]
) -> tuple[list[int], str | None]:
    """Return the sequences of a query's page in order, and the cursor of the next page.

    Raises
    ------
    InvalidArgumentError
        If the cursor is of another query, or none at all.

    """
    after = None if query.cursor is None else _read(query, query.cursor)
    down = query.order.descending
    keys = _keys(database, query.order.key, sequence_ids)
    keyed = sorted(((keys[number], number) for number in sequence_ids), reverse=down)
    if after is not None:
        try:
            keyed = [entry for entry in keyed if (entry < after if down else entry > after)]
        except TypeError:
            raise _refused() from None
    if query.limit is None or len(keyed) <= query.limit:
        return [number for _, number in keyed], None
    keyed = keyed[: query.limit]
    return [number for _, number in keyed], _write(query, keyed[-1])


def _keys(
    database: Database, order: OrderKey, sequence_ids: Collection[int]
) -> dict[int, int | str]:
    if order is OrderKey.CREATED:
        return dict.fromkeys(sequence_ids, 0)  # ids ascend in the order of creation
    if order is OrderKey.NAME:
        selected = sa.select(sequences.c.id, sequences.c.name)
    else:
        selected = (
            sa.select(
                sequences.c.id,
                sa.func.coalesce(sa.func.min(topics.c.t_min), sa.literal(INT64_MAX)),
            )
            .outerjoin(topics, topics.c.sequence_id == sequences.c.id)
            .group_by(sequences.c.id)
        )
    with database.read() as connection:
        wanted = is_one_of(connection, sequences.c.id, list(sequence_ids))
        rows = connection.execute(selected.where(wanted))
        found = {row[0]: row[1] for row in rows}
    # What was deleted just now is in no order; last is as good a place as any.
    last: int | str = '\U0010ffff' if order is OrderKey.NAME else INT64_MAX
    return {number: found.get(number, last) for number in sequence_ids}


def _write(query: Query, entry: tuple[Any, int]) -> str:
    text = json.dumps([_digest(query), *entry], separators=(',', ':'))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')


def _read(query: Query, cursor: str) -> tuple[Any, int]:
    try:
        padded = cursor + '=' * (-len(cursor) % 4)
        digest, key, number = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, TypeError):
        raise _refused() from None
    if digest != _digest(query) or not isinstance(number, int):
        raise _refused()
    return key, number


def _digest(query: Query) -> str:
    """Tell queries apart; pages may differ in size and in what is explained."""
    same = replace(query, limit=None, cursor=None, explain=False, include_timestamp_range=False)
    text = json.dumps(to_json(same), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refused() -> InvalidArgumentError:
    return InvalidArgumentError(
        'The cursor is not one of this query',
        remedy='Send the same query with the next_cursor of its last answer.',
    )
