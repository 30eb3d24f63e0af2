"""Sending a query, and what of it only daemons with the extension ``query`` understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mosaico_ros.client.query.builders import Query
from mosaico_ros.protocol.errors import InvalidArgumentError, UnimplementedError
from mosaico_ros.protocol.query import Order
from mosaico_ros.protocol.server_info import EXTENSION_QUERY

if TYPE_CHECKING:
    from mosaico_ros.client.comm.connection import Connection
    from mosaico_ros.client.query.builders import QueryBuilder
    from mosaico_ros.models.core.combining import Combination

__all__ = ['ask', 'one_query']

_BEYOND_SECTIONS = {
    'where': 'a combination by | or ~',
    'order': 'order_by',
    'limit': 'limit',
    'cursor': 'cursor',
    'explain': 'explain',
}


def one_query(queries: tuple[QueryBuilder | Combination, ...], query: Query | None) -> Query:
    """Return the query that was given as builders, or as one object.

    Raises
    ------
    InvalidArgumentError
        Nothing given, both forms given, or a kind twice.

    """
    if (query is None) == (not queries):
        raise InvalidArgumentError(
            'query() needs builders', remedy='Give builders, or query=Query(...).'
        )
    return Query(*queries) if query is None else query


def ask(connection: Connection, query: Query, **how: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body that was sent and the answer.

    Parameters
    ----------
    connection
        To the daemon.
    query
        What is asked.
    **how
        ``order``, ``limit``, ``cursor`` and ``explain``, as they are sent; `None` is left out.

    Raises
    ------
    UnimplementedError
        The daemon lacks what the query needs; names the part.
    InvalidArgumentError
        The daemon refuses a condition.

    """
    if how.get('order') is not None:
        how['order'] = str(Order.parse(how['order']))
    body = query.to_dict() | {name: value for name, value in how.items() if value is not None}
    part = _beyond_published(body)
    if part is not None and not connection.offers(EXTENSION_QUERY):
        raise UnimplementedError(
            f'The daemon at {connection.endpoint} does not understand {part} in a query',
            remedy='Leave it out, or connect to a daemon of mosaico_ros.',
        )
    return body, connection.action('query', body) or {}


def _beyond_published(body: dict[str, Any]) -> str | None:
    """Name the first part of a query that a published daemon does not understand."""
    for name, part in _BEYOND_SECTIONS.items():
        if name in body:
            return part
    for section in ('sequence', 'topic', 'ontology'):
        conditions = body.get(section, {})
        for key, spelled in (conditions | conditions.get('user_metadata', {})).items():
            several = isinstance(spelled, list) or (isinstance(spelled, dict) and len(spelled) > 1)
            if several and key != 'user_metadata':
                return f'several conditions on {key}'
    return None
