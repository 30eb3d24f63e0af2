"""Comparing a catalog with its store, and naming every difference.

Nothing is changed. Daemons may go on working meanwhile: what differs is looked at again in the
end, as creations and deletions are under way at any time, and named if it still does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields as fields_of, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.events import topics_to_sweep
from mosaico_ros.daemon.catalog.resources import TopicState, find_topic_by
from mosaico_ros.daemon.catalog.tables import (
    archive,
    chunks,
    fields,
    notices,
    removals,
    sequences,
    sessions,
    stats,
    topics,
)
from mosaico_ros.daemon.chunk_files import ChunkFiles
from mosaico_ros.daemon.descriptions import stored_schema
from mosaico_ros.daemon.inspection import inspect_chunk, read_chunk
from mosaico_ros.daemon.leases import chunk_key
from mosaico_ros.daemon.manifests import StoredSequence, as_in_catalog, topic_manifest
from mosaico_ros.daemon.routines.scanning import (
    WORKERS,
    Buried,
    FoundSequence,
    FoundTopic,
    ahead,
    chunk_of_key,
)
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.statistics import LeafStatistics
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.daemon.store.opening import open_existing_store
from mosaico_ros.protocol.errors import DataLossError, FailedPreconditionError, NotFoundError

__all__ = ['CheckReport', 'Difference', 'check']

#: Told how many sequences are done, and of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Difference:
    """Something that catalog and store disagree about.

    Parameters
    ----------
    kind
        ``unknown`` to the catalog, ``missing`` in the store, ``differs``, ``damaged``, or
        ``buried``: it has a tombstone, but is in the catalog.
    where
        Key or folder in the store.
    message
        What is wrong.

    """

    kind: str
    where: str
    message: str


@dataclass
class CheckReport:
    """What was compared, what differs, and how many folders, small files and replaced chunks
    wait for their removal."""

    sequences: int = 0
    topics: int = 0
    chunks: int = 0
    waiting: int = 0
    differences: list[Difference] = field(default_factory=list)


def check(settings: Settings, progress: Progress, *, deep: bool = False) -> CheckReport:
    """Compare the catalog with the store.

    Parameters
    ----------
    settings
        Where they are.
    progress
        Told how far it is.
    deep
        Read every chunk too: checksums, rows, times, statistics.

    Raises
    ------
    FailedPreconditionError
        They are not of one archive, or the catalog is being rebuilt.

    """
    store = open_existing_store(settings)
    try:
        database = Database(settings.database_url, settings.max_db_connections)
        try:
            _require_one_archive(database, store)
            return _Check(database, store, deep, progress).run()
        finally:
            database.close()
    finally:
        store.close()


def _require_one_archive(database: Database, store: Store) -> None:
    with database.read() as connection:
        row = connection.execute(sa.select(archive)).one_or_none()
    if row is None or row.store_id != store.id:
        known = 'no store yet' if row is None else f'the store {row.store_id}'
        raise FailedPreconditionError(
            f'The catalog belongs to {known}, not to {store.id}',
            remedy='Check the settings of catalog and store; they must be of one archive.',
        )
    if row.rebuild_began_ns is not None:
        raise FailedPreconditionError(
            'The catalog is being rebuilt from its store, or that was broken off',
            remedy='Wait for its end, or run "mosaicod rebuild" again.',
        )


class _Check:
    """One check, under way."""

    def __init__(self, database: Database, store: Store, deep: bool, progress: Progress) -> None:
        self._database = database
        self._store = store
        self._files = ChunkFiles(store, cache_bytes=1 << 20)
        self._deep = deep
        self._progress = progress
        self._report = CheckReport()

    def run(self) -> CheckReport:
        """Compare everything; return what was found."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix='check') as pool:
            self._pool = pool
            folders = set(self._store.folders('sequences'))
            with self._database.read() as connection:
                folders |= set(connection.execute(sa.select(sequences.c.folder)).scalars())
            suspicious = self._pass(sorted(folders))
            if suspicious:
                first, self._report = self._report, CheckReport()
                again = self._pass(sorted(suspicious))
                first.differences = [found for known in again.values() for found in known]
                self._report = first
        return self._report

    def _pass(self, folders: Sequence[str]) -> dict[str, list[Difference]]:
        """Compare some sequences; return what differs, by folder."""
        self._buried = Buried(self._store, self._pool)
        with self._database.read() as connection:
            self._removals = set(connection.execute(sa.select(removals.c.folder)).scalars())
            self._to_sweep = topics_to_sweep(connection)
        found: dict[str, list[Difference]] = {}
        if self._buried.faults:
            found[''] = [Difference('damaged', '', fault) for fault in self._buried.faults]
        for done, folder in enumerate(folders):
            self._progress(done, len(folders))
            differences = list(self._sequence(folder)) if folder else []
            if differences:
                found[folder] = differences
        self._progress(len(folders), len(folders))
        return found

    def _sequence(self, folder: str) -> Iterator[Difference]:
        found = FoundSequence.read(self._store, folder, self._buried)
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(sequences).where(sequences.c.folder == folder)
            ).one_or_none()
            known = (
                []
                if row is None
                else connection.execute(
                    sa.select(sessions).where(sessions.c.sequence_id == row.id)
                ).all()
            )
            known_topics = (
                set()
                if row is None
                else set(
                    connection.execute(
                        sa.select(topics.c.folder).where(topics.c.sequence_id == row.id)
                    ).scalars()
                )
            )
        if row is None:
            yield from self._without_row(folder, found.marked, bool(self._all_keys(folder)))
            return
        self._report.sequences += 1
        if self._buried.holds(folder):
            yield _buried(folder, row.name)
        yield from (Difference('damaged', folder, fault) for fault in found.faults)
        said = StoredSequence(row.id, row.name, row.created_at_ns, json.loads(row.user_metadata))
        key = f'{folder}/sequence.json'
        if found.manifest is None and not found.faults:
            yield _missing(key, f'the manifest of {row.name}')
        elif found.manifest is not None:
            yield from _differing(key, found.manifest, said)
        yield from self._sessions(folder, found, known)
        yield from self._notices(folder, [n.ulid for n in found.notices], row.id, None)
        present = set(self._store.folders(f'{folder}/topics'))
        yield from self._topics(sorted(present | known_topics))

    def _sessions(
        self, folder: str, found: FoundSequence, known: Sequence[Row[Any]]
    ) -> Iterator[Difference]:
        stored = {session.locator.ulid: session for session in found.sessions}
        for row in known:
            key = f'{folder}/sessions/{row.ulid}.json'
            session = stored.pop(row.ulid, None)
            if session is None:
                yield _missing(key, 'the manifest of a session, or it cannot be read')
                continue
            yield from _differing(key, session, as_in_catalog(session, row))
            if self._buried.holds(key.removesuffix('.json')):
                yield _buried(key, str(session.locator))
        for session in stored.values():
            key = f'{folder}/sessions/{session.locator.ulid}.json'
            yield from self._unknown_file(key, 'a session')

    def _topics(self, folders: Sequence[str]) -> Iterator[Difference]:
        def read(folder: str) -> tuple[FoundTopic, dict[str, int]]:
            found = FoundTopic.read(self._store, folder)
            return found, dict(self._store.sizes(folder))

        for found, sizes in ahead(self._pool, read, folders):
            # After the store: what it holds is in the catalog by now, if it is to be.
            with self._database.read() as connection:
                topic = find_topic_by(connection, topics.c.folder == found.folder)
                if topic is not None:
                    differences = list(self._topic(connection, topic, found, sizes))
            if topic is None:
                yield from self._without_row(found.folder, found.marked, bool(sizes))
                continue
            yield from differences
            yield from self._notices(
                found.folder, [n.ulid for n in found.notices], topic.sequence_id, topic.id
            )

    def _topic(
        self, connection: Connection, topic: Row[Any], found: FoundTopic, sizes: dict[str, int]
    ) -> Iterator[Difference]:
        self._report.topics += 1
        name, folder = f'{topic.sequence}/{topic.path}', found.folder
        if self._buried.holds(folder):
            yield _buried(folder, name)
        yield from (Difference('damaged', folder, fault) for fault in found.faults)
        uploading = topic.state == TopicState.UPLOADING
        key = f'{folder}/topic.json'
        if found.manifest is None:
            if not found.faults:
                yield _missing(key, f'the manifest of {name}')
        else:
            said = topic_manifest(
                connection, topic, TopicState(topic.state), topic.completed_at_ns
            )
            if uploading:  # it says more only once chunks are merged
                said = replace(said, state=found.manifest.state, chunks=found.manifest.chunks)
            yield from _differing(key, found.manifest, said)
        schema = stored_schema(topic)
        if schema is not None and found.schema is None:
            yield _missing(f'{folder}/schema.arrow', f'the schema of {name}, or it is damaged')
        elif schema is not None and not schema.equals(found.schema, check_metadata=True):
            yield Difference('differs', f'{folder}/schema.arrow', 'is another schema')
        rows = connection.execute(
            sa.select(chunks).where(chunks.c.topic_id == topic.id).order_by(chunks.c.number)
        ).all()
        self._report.chunks += len(rows)
        yield from _totals(topic, name, rows)
        readable = []
        for row in rows:
            key = chunk_key(folder, row.number, row.encoding)
            size = sizes.pop(key, None)
            if size is None:
                yield _missing(key, f'{row.rows} rows of {name}')
            elif size != row.bytes:
                yield Difference('differs', key, f'has {size} bytes, not {row.bytes}')
            else:
                readable.append(row)
        if topic.id in self._to_sweep:  # replaced chunks, kept for their readers
            self._report.waiting += sum(chunk_of_key(key) is not None for key in sizes)
        elif not uploading:
            yield from (_unknown(key, f'a chunk of {name}') for key in sizes if chunk_of_key(key))
        if self._deep and schema is not None:
            inspect = partial(self._deep_difference, folder, schema)
            for row, problem in zip(readable, ahead(self._pool, inspect, readable), strict=True):
                key = chunk_key(folder, row.number, row.encoding)
                if isinstance(problem, Exception):
                    yield Difference('damaged', key, str(problem))
                    continue
                if set(problem.statistics) != _statistics(connection, row.id):
                    yield Difference('differs', key, 'has other statistics than the catalog')
                for part in ('rows', 't_min', 't_max'):
                    mine, theirs = getattr(problem, part), getattr(row, part)
                    if mine != theirs:
                        yield Difference('differs', key, f'has {part} {mine}, not {theirs}')

    def _deep_difference(self, folder: str, schema: Any, row: Row[Any]) -> Any:
        key = chunk_key(folder, row.number, row.encoding)
        try:
            read_chunk(self._files, key, row.encoding, schema)
            return inspect_chunk(self._files, key, row.number, row.encoding, schema)
        except (DataLossError, NotFoundError) as error:
            return error

    def _notices(
        self, folder: str, stored: list[str], sequence_id: int, topic_id: int | None
    ) -> Iterator[Difference]:
        with self._database.read() as connection:
            known = set(
                connection.execute(
                    sa.select(notices.c.ulid).where(
                        notices.c.sequence_id == sequence_id, notices.c.topic_id == topic_id
                    )
                ).scalars()
            )
        for ulid in sorted(known.symmetric_difference(stored)):
            where = f'{folder}/notices/{ulid}.json'
            if ulid in known:
                yield _missing(where, 'a notification')
            else:
                yield from self._unknown_file(where, 'a notification')

    def _without_row(self, folder: str, marked: bool, exists: bool) -> Iterator[Difference]:
        if marked or self._buried.holds(folder) or folder in self._removals:
            self._report.waiting += exists
        elif exists:
            yield _unknown(folder, 'a folder')

    def _unknown_file(self, key: str, what: str) -> Iterator[Difference]:
        if key.removesuffix('.json') in self._removals:
            self._report.waiting += 1
        else:
            yield _unknown(key, what)

    def _all_keys(self, folder: str) -> list[str]:
        return [*self._store.keys(folder), *self._store.folders(folder)]


def _differing(where: str, stored: Any, said: Any) -> Iterator[Difference]:
    """Yield the fields in which a manifest differs from what the catalog would write."""
    for part in fields_of(said):
        mine, theirs = getattr(stored, part.name), getattr(said, part.name)
        if mine != theirs:
            shown = '' if part.name == 'chunks' else f': {mine!r}, not {theirs!r}'
            yield Difference('differs', where, f'says something else about {part.name}{shown}')


def _totals(topic: Row[Any], name: str, rows: Sequence[Row[Any]]) -> Iterator[Difference]:
    counted = {
        'rows': sum(row.rows for row in rows),
        'bytes': sum(row.bytes for row in rows),
        'chunks': len(rows),
        't_min': min((row.t_min for row in rows), default=None),
        't_max': max((row.t_max for row in rows), default=None),
    }
    for part, value in counted.items():
        if getattr(topic, part) != value:
            message = f'{name} has {part} {getattr(topic, part)}, its chunks give {value}'
            yield Difference('differs', topic.folder, message)


def _statistics(connection: Connection, chunk_id: int) -> set[LeafStatistics]:
    rows = connection.execute(
        sa.select(fields.c.path, stats)
        .join(fields, fields.c.id == stats.c.field_id)
        .where(stats.c.chunk_id == chunk_id)
    )
    parts = [part.name for part in fields_of(LeafStatistics)]
    return {LeafStatistics(**{part: getattr(row, part) for part in parts}) for row in rows}


def _unknown(where: str, what: str) -> Difference:
    return Difference('unknown', where, f'{what} that the catalog does not know')


def _missing(where: str, what: str) -> Difference:
    return Difference('missing', where, what)


def _buried(where: str, name: str) -> Difference:
    return Difference('buried', where, f'{name} has a tombstone, but is in the catalog')
