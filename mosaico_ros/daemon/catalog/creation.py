"""Inserting what a client asks for, once, however often its lost answer makes it ask.

A client that names its request by a token of its own may repeat it: the row that the first
one made is found again, and answers as then. It keeps its token as long as it lives.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.dialects import insert_ignore
from mosaico_ros.protocol.errors import InvalidArgumentError

__all__ = ['insert_once']


def insert_once(
    connection: Connection,
    table: sa.Table,
    asked: dict[str, Any],
    own: dict[str, Any],
    token: str | None,
) -> tuple[Row[Any] | None, bool]:
    """Insert a row unless its key is taken, or find the one of the same request.

    Of several such requests at once, one inserts; the others wait for its transaction.

    Parameters
    ----------
    connection
        A write transaction.
    table
        One with a column ``token``.
    asked
        Columns that the request determines.
    own
        The others, which are different at each request.
    token
        The client's name of the request, if it has one.

    Returns
    -------
    row : Row or None
        The whole row; `None` if something else has its key.
    is_new : bool
        Whether this call has inserted it.

    Raises
    ------
    InvalidArgumentError
        The token names another request.

    """
    added = insert_ignore(connection, table).values(**asked, **own, token=token)
    row = connection.execute(added.returning(*table.c)).one_or_none()
    if row is not None:
        return row, True
    if token is not None:
        known = sa.select(table).where(table.c.token == token)
        row = connection.execute(known).one_or_none()
    if row is not None and any(getattr(row, name) != value for name, value in asked.items()):
        raise InvalidArgumentError(
            f'The client token {token!r} was used for another request',
            remedy='Make a new token for each request, and repeat that one only.',
        )
    return row, False
