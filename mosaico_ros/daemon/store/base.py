"""What the daemon needs from a place that holds objects.

Layout, readable by a person and enough to rebuild the catalog::

    store.json                                   id of the archive, layout version
    sequences/dock_07.<ULID>/
        sequence.json                            name, creation time, user metadata
        sessions/<ULID>.json                     creation and completion time, its topics
        topics/arm.imu.<ULID>/
            topic.json                           tag, format, user metadata; when sealed, chunks
            schema.arrow                         the announced schema, Arrow IPC
            00000001.parquet                     a chunk; rows sorted by timestamp_ns
            notices/<ULID>.json                  a notification; those of the sequence are above
    tombstones/<folder name>.json                deleted: a rebuild must not bring it back

If ``topic.json`` lists chunks, exactly those are the topic's; else every one that is there.
Folder names hold the user's name for people and a ULID for uniqueness; a ``.`` parts them,
which no name contains.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa

from mosaico_ros.daemon.catalog.ulid import new_ulid
from mosaico_ros.daemon.store.ranges import ReadPlan
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)

__all__ = [
    'LAYOUT',
    'MARKER',
    'Store',
    'checked_key',
    'describe_store',
    'folder_ulid',
    'is_stored',
    'put_json',
    'sequence_folder',
    'store_id_of',
    'tombstone_key',
    'topic_folder',
]

#: Name of an object that says that the folder is to be removed when it is time.
MARKER = 'TO_DELETE'
#: Version of the layout above.
LAYOUT = 1

_NAME_LENGTH = 120


class Store(Protocol):
    """Objects by key; a key is a relative path of plain components."""

    #: Whether reading waits for a network, so that several reads at once pay.
    waits: bool

    @property
    def id(self) -> str:
        """Identity of the store, equal to the catalog's; a new one gets it when first asked.

        Daemons that may ask a new store at the same time queue on their catalog before.
        """

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """Store an object; when this returns it is complete and survives a crash."""

    def create(self, key: str) -> AbstractContextManager[pa.NativeFile]:
        """Store an object as it is written; as :meth:`put` when the block ends without error.

        After an error nothing is stored.
        """

    def open(
        self, key: str, plan: ReadPlan | None = None, *, partly: bool = False
    ) -> pa.NativeFile:
        """Open an object for random reads.

        Parameters
        ----------
        key
            The object.
        plan
            Gives what will be read, as far as it is known: a store that pays for each request
            fetches it in few, ahead of the reads; others do not ask. Anything else can be read
            too.
        partly
            Whether a small part of it will be read.

        Raises
        ------
        NotFoundError
            If it does not exist (any more).

        """

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys directly inside a folder; nothing if there is none."""

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield key and bytes of each object directly inside a folder."""

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the folders directly inside a folder; nothing if there is none."""

    def delete(self, *keys: str) -> None:
        """Remove objects, if they exist; when this returns none comes back after a crash."""

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with everything inside; nothing happens if it does not exist."""

    def remove_leftovers(self) -> None:
        """Remove what writers that are gone have left half written."""

    def is_shared(self) -> bool:
        """Whether another process has the store open, as far as that can be known."""

    def close(self) -> None:
        """Let go of the store."""


def checked_key(key: str) -> str:
    """Return a key.

    Raises
    ------
    InvalidArgumentError
        If one of its components is none.

    """
    parts = key.split('/')
    if any(part in ('', '.', '..') or '\0' in part or '\\' in part for part in parts):
        raise InvalidArgumentError(f'{key!r} is not a key of the store')
    return key


def describe_store(store_id: str) -> bytes:
    """Return the content of ``store.json``."""
    return json.dumps({'layout': LAYOUT, 'store_id': store_id}, indent=1).encode() + b'\n'


def store_id_of(description: bytes, where: str) -> str:
    """Return the id in ``store.json``.

    Raises
    ------
    FailedPreconditionError
        If it is damaged, or a newer release has laid out the store.

    """
    try:
        found = json.loads(description)
        layout, store_id = int(found['layout']), str(found['store_id'])
    except (ValueError, KeyError, TypeError) as error:
        raise FailedPreconditionError(
            f'{where} holds a store.json that does not describe a Mosaico store',
            remedy='Choose another place, or restore the file.',
        ) from error
    if layout > LAYOUT:
        raise FailedPreconditionError(
            f'{where} has layout {layout}, this release knows {LAYOUT}',
            remedy='Use the newer release that wrote it.',
        )
    return store_id


def is_stored(store: Store, key: str) -> bool:
    """Whether an object exists."""
    try:
        store.open(key).close()
    except NotFoundError:
        return False
    return True


def put_json(store: Store, key: str, value: dict[str, Any]) -> None:
    """Store a JSON object, indented for people."""
    store.put(key, json.dumps(value, indent=1, sort_keys=False).encode() + b'\n')


def sequence_folder(name: str) -> str:
    """Return a new folder for a sequence."""
    return f'sequences/{name[:_NAME_LENGTH]}.{new_ulid()}'


def topic_folder(sequence: str, path: str) -> str:
    """Return a new folder for a topic, inside its sequence's folder."""
    readable = path.replace('/', '.')[:_NAME_LENGTH]
    return f'{sequence}/topics/{readable}.{new_ulid()}'


def tombstone_key(folder: str) -> str:
    """Return the key of the tombstone of a folder; its last component is unique."""
    return f'tombstones/{folder.rsplit("/", 1)[-1]}.json'


def folder_ulid(folder: str) -> str:
    """Return the ULID in the name of a folder: when it was made."""
    return folder.rsplit('.', 1)[-1]
