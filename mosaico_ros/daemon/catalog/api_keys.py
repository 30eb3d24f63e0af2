"""Rows of API keys.

Functions here run inside a transaction of the caller and touch nothing but the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.tables import api_keys
from mosaico_ros.protocol.api_keys import Permission

__all__ = ['StoredKey', 'delete_keys', 'find_key', 'insert_key', 'list_keys']


@dataclass(frozen=True)
class StoredKey:
    """An API key as the catalog knows it: enough to recognise its token, not to make it.

    Parameters
    ----------
    fingerprint
        CRC-32 of the payload; the key's name.
    permission
        What the key may do.
    description
        What it is for.
    created_at_ns, expires_at_ns
        Nanoseconds since 1970; `None`: it never expires.
    salt, digest
        The salted hash of the payload.

    """

    fingerprint: str
    permission: Permission
    description: str
    created_at_ns: int
    expires_at_ns: int | None
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def expired(self, now_ns: int) -> bool:
        """Whether the key is no longer valid."""
        return self.expires_at_ns is not None and self.expires_at_ns <= now_ns


def insert_key(connection: Connection, key: StoredKey) -> None:
    """Insert a key; its fingerprint must be free."""
    connection.execute(
        api_keys.insert().values(
            fingerprint=key.fingerprint,
            permission=key.permission.value,
            description=key.description,
            created_at_ns=key.created_at_ns,
            expires_at_ns=key.expires_at_ns,
            salt=key.salt,
            digest=key.digest,
        )
    )


def find_key(connection: Connection, fingerprint: str) -> StoredKey | None:
    """Return the key of a fingerprint, if there is one."""
    row = connection.execute(
        sa.select(api_keys).where(api_keys.c.fingerprint == fingerprint)
    ).one_or_none()
    return None if row is None else _key(row)


def list_keys(connection: Connection) -> list[StoredKey]:
    """Return all keys in the order of creation."""
    return [_key(row) for row in connection.execute(sa.select(api_keys).order_by(api_keys.c.id))]


def delete_keys(connection: Connection, fingerprints: Iterable[str]) -> int:
    """Delete keys; return how many there were."""
    statement = api_keys.delete().where(api_keys.c.fingerprint == sa.bindparam('gone'))
    return sum(
        connection.execute(statement, {'gone': fingerprint}).rowcount
        for fingerprint in fingerprints
    )


def _key(row: Row[tuple[object, ...]]) -> StoredKey:
    return StoredKey(
        row.fingerprint,
        Permission(row.permission),
        row.description,
        row.created_at_ns,
        row.expires_at_ns,
        bytes(row.salt),
        bytes(row.digest),
    )
