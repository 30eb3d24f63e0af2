"""What lies in a store, folder by folder, read ahead."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from mosaico_ros.daemon.encoding import ENCODINGS
from mosaico_ros.daemon.manifests import (
    StoredNotice,
    StoredSequence,
    StoredSession,
    StoredTopic,
    Tombstone,
    read_manifest,
    read_schema,
)
from mosaico_ros.daemon.store.base import MARKER, Store, tombstone_key
from mosaico_ros.protocol.errors import DataLossError, NotFoundError

__all__ = ['WORKERS', 'Buried', 'FoundSequence', 'FoundTopic', 'ahead', 'chunk_of_key']

#: Requests to a store under way at once; it is latency that is waited for.
WORKERS = 16

_S = TypeVar('_S')
_T = TypeVar('_T')
_CHUNK = re.compile(rf'(\d{{8,}})\.({"|".join(ENCODINGS.values())})', re.ASCII)
_ENCODING_OF = {ending: encoding for encoding, ending in ENCODINGS.items()}


def ahead(pool: Executor, function: Callable[[_S], _T], items: Iterable[_S]) -> Iterator[_T]:
    """Yield a function's results in order, some of them computed ahead."""
    waiting: deque[Future[_T]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= 2 * WORKERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def chunk_of_key(key: str) -> tuple[int, str] | None:
    """Return number and encoding of the chunk at a key; `None` if it is something else."""
    found = _CHUNK.fullmatch(key.rsplit('/', 1)[-1])
    return None if found is None else (int(found[1]), _ENCODING_OF[found[2]])


class Buried:
    """What the tombstones of a store say."""

    def __init__(self, store: Store, pool: Executor) -> None:
        self.faults: list[str] = []
        self.ids: dict[str, int] = {}
        self._keys: set[str] = set()

        def read(key: str) -> tuple[str, Tombstone | DataLossError]:
            try:
                return key, read_manifest(store, key, Tombstone)
            except DataLossError as error:
                return key, error

        for key, found in ahead(pool, read, store.keys('tombstones')):
            self._keys.add(key)
            if isinstance(found, DataLossError):
                self.faults.append(str(found))
                continue
            for table, highest in found.ids.items():
                self.ids[table] = max(self.ids.get(table, 0), int(highest))

    def holds(self, folder: str) -> bool:
        """Whether a folder (of a session: its manifest's key without the ending) is deleted."""
        return tombstone_key(folder) in self._keys


@dataclass
class FoundSequence:
    """A folder of a sequence; `manifest` is `None` if it cannot be read."""

    folder: str
    manifest: StoredSequence | None
    marked: bool
    sessions: list[StoredSession]
    topics: list[str]
    notices: list[StoredNotice]
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, store: Store, folder: str, buried: Buried) -> FoundSequence:
        """Read everything in the folder but what is in those of its topics."""
        faults: list[str] = []
        topics = [name for name in store.folders(f'{folder}/topics') if not buried.holds(name)]
        sessions = []
        for key in store.keys(f'{folder}/sessions'):
            if not buried.holds(key.removesuffix('.json')):
                session = _readable(store, key, StoredSession, faults)
                if session is not None:
                    sessions.append(session)
        manifest = None
        keys = set(store.keys(folder))
        if f'{folder}/sequence.json' in keys:
            manifest = _readable(store, f'{folder}/sequence.json', StoredSequence, faults)
        elif topics:
            faults.append(f'{folder}/sequence.json is missing')
        return cls(
            folder,
            manifest,
            f'{folder}/{MARKER}' in keys,
            sorted(sessions, key=lambda session: session.id),
            topics,
            _notices(store, folder, faults),
            faults,
        )


@dataclass
class FoundTopic:
    """A folder of a topic; `manifest` is `None` if it cannot be read.

    `chunks` are number and encoding of the chunks that are the topic's.
    """

    folder: str
    manifest: StoredTopic | None
    marked: bool
    schema: pa.Schema | None
    chunks: list[tuple[int, str]]
    notices: list[StoredNotice]
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, store: Store, folder: str) -> FoundTopic:
        """Read everything in the folder but the chunks."""
        faults: list[str] = []
        manifest, schema, marked, announced = None, None, False, False
        chunks: list[tuple[int, str]] = []
        for key in store.keys(folder):
            name = key.rsplit('/', 1)[-1]
            chunk = chunk_of_key(key)
            if chunk is not None:
                chunks.append(chunk)
            elif name == MARKER:
                marked = True
            elif name == 'topic.json':
                manifest = _readable(store, key, StoredTopic, faults)
            elif name == 'schema.arrow':
                announced = True
                try:
                    schema = read_schema(store, folder)
                except DataLossError as error:
                    faults.append(str(error))
        chunks.sort()
        if manifest is None and chunks and not faults:
            faults.append(f'{folder}/topic.json is missing')
        if manifest is not None and chunks and not announced:
            faults.append(f'{folder}/schema.arrow is missing')
        if manifest is not None and manifest.chunks is not None:
            chunks = [(chunk.number, chunk.encoding) for chunk in manifest.chunks]
        else:
            # Of an upload they became durable in order; what follows a gap never did.
            chunks = [chunk for at, chunk in enumerate(chunks, 1) if chunk[0] == at]
        return cls(
            folder, manifest, marked, schema, chunks, _notices(store, folder, faults), faults
        )


def _notices(store: Store, folder: str, faults: list[str]) -> list[StoredNotice]:
    read = (_readable(store, key, StoredNotice, faults) for key in store.keys(f'{folder}/notices'))
    return [notice for notice in read if notice is not None]


def _readable(store: Store, key: str, kind: type[_T], faults: list[str]) -> _T | None:
    try:
        return read_manifest(store, key, kind)
    except (DataLossError, NotFoundError) as error:
        faults.append(str(error))
        return None
