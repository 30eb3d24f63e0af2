"""Cleanup: files that the catalog does not know are marked, kept for a while, and removed.

Small files that crashes have left ahead of the catalog are put right. A wrong, old or empty
catalog must never cost an archive. Therefore:

- catalog and store must carry the same id, looked up anew by every run;
- an empty catalog over a store that holds data is refused;
- a folder with data that was never deleted (it has no tombstone) is not marked: the catalog is
  the one that has lost something, and a rebuild brings it back;
- as long as there is such a folder, or a finalized session, small files are left alone, too;
- a run that would mark too large a share of all folders marks none;
- nothing is marked and removed by the same run, and what is removed is looked up once more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import sqlalchemy as sa

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import now_ns
from mosaico_ros.daemon.catalog.events import forget_old, topics_to_sweep
from mosaico_ros.daemon.catalog.resources import SEALED
from mosaico_ros.daemon.catalog.tables import sequences, topics
from mosaico_ros.daemon.catalog.ulid import ulid_time_ns
from mosaico_ros.daemon.identity import recheck_identity
from mosaico_ros.daemon.removal import (
    Removal,
    batched,
    holds_chunks,
    known_folders,
    scheduled,
    strays,
    sweep,
    was_deleted,
)
from mosaico_ros.daemon.routines.scanning import WORKERS
from mosaico_ros.daemon.routines.small_files import Compared, SmallFiles
from mosaico_ros.daemon.store.base import Store
from mosaico_ros.protocol.errors import CancelledError, FailedPreconditionError

__all__ = ['CLEANUP', 'Cleaned', 'Cleanup']

_log = logging.getLogger(__name__)
_T = TypeVar('_T')

#: Name of the routine.
CLEANUP = 'cleanup'

_BATCH = 500
# A folder is made before its row is durable; clocks of daemons may differ by less.
_YOUNG_NS = 3600 * 10**9


@dataclass(frozen=True)
class Cleaned:
    """What a cleanup has done, or would do.

    Parameters
    ----------
    purged
        Folders that were removed with everything inside. Here and below, sessions and
        notifications stand by the keys of their objects without the ending.
    marked
        What has no entry in the catalog, marked by this run.
    swept
        Chunks removed from living topics, which had other ones.
    mended
        Keys of manifests and notifications that say again what the catalog says.
    unexplained
        Folders that hold data, and finalized sessions, that were never deleted and have no
        entry in the catalog.

    """

    purged: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f'{len(self.purged)} removed, {len(self.marked)} marked, '
            f'{len(self.swept)} chunks swept, {len(self.mended)} small files mended, '
            f'{len(self.unexplained)} unexplained'
        )


@dataclass
class _Orphans:
    """Folders without an entry in the catalog, and how many folders there are in all."""

    folders: int = 0
    #: Without data: a creation was cut short.
    leftovers: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    #: Differences of small files, by the folder of their sequence.
    small: dict[str, Compared] = field(default_factory=dict)


class Cleanup:
    """Cleans up an archive.

    Parameters
    ----------
    database, store
        The archive.
    instance_id
        This daemon.
    retention_s
        Seconds for which marked folders are kept.
    max_share
        Share of all folders that a run marks at most.
    stop
        Ends a run early when it is set.

    """

    def __init__(
        self,
        database: Database,
        store: Store,
        instance_id: int,
        retention_s: float,
        max_share: float,
        stop: threading.Event,
    ) -> None:
        self._database = database
        self._store = store
        self._instance_id = instance_id
        self._removal = Removal(database, store, retention_s)
        self._max_share = max_share
        self._stop = stop

    def run(self, *, force: bool = False, dry_run: bool = False) -> Cleaned:
        """Clean up once.

        Parameters
        ----------
        force
            Mark whatever has no entry in the catalog, data that was never deleted included,
            and however much it is.
        dry_run
            Only find out what would be done.

        Raises
        ------
        FailedPreconditionError
            If this catalog may be the wrong one; then nothing was done.

        """
        recheck_identity(self._database, self._store)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix='cleanup') as pool:
            small_files = SmallFiles(self._database, self._store, pool)
            found = self._find_orphans(small_files)
            self._check(found, force)
            marked = found.leftovers + found.deleted
            unexplained = found.unexplained + [
                session for small in found.small.values() for session in small.unexplained
            ]
            if force:
                marked, unexplained = marked + unexplained, []
            if unexplained:
                _log.warning(
                    'The catalog does not know %d folders with data or finalized sessions that '
                    'were never deleted, the first is %s; `mosaicod rebuild` brings them back, '
                    '`mosaicod cleanup --force` gives them up',
                    len(unexplained),
                    unexplained[0],
                )
                found.small.clear()
            for small in found.small.values():
                marked += small.abandoned
            return Cleaned(
                self._purge(dry_run),
                self._mark(marked, dry_run),
                self._sweep_topics(dry_run),
                self._mend(small_files, found.small, dry_run),
                unexplained,
            )

    def _purge(self, dry_run: bool) -> list[str]:
        if not dry_run:
            self._removal.bury()
        return [
            folder
            for folder in self._going_on(self._removal.due())
            if dry_run or self._removal.purge(folder)
        ]

    def _mark(self, folders: list[str], dry_run: bool) -> list[str]:
        if not dry_run:
            for folder in self._going_on(folders):
                self._removal.mark(folder)
            with self._database.write() as connection:
                forget_old(connection)
        return folders

    def _mend(
        self, small_files: SmallFiles, found: dict[str, Compared], dry_run: bool
    ) -> list[str]:
        mended: list[str] = []
        for folder in self._going_on(list(found)):
            keys = found[folder].outdated
            if keys:
                mended += keys if dry_run else small_files.mend(folder, keys)
        return mended

    # -- folders -----------------------------------------------------------------------------

    def _find_orphans(self, small_files: SmallFiles) -> _Orphans:
        found = _Orphans()
        for listed in batched(self._store.folders('sequences'), _BATCH):
            found.folders += len(listed)
            known = self._sort_out(listed, found)
            for folder in self._going_on(known):
                known_topics: list[str] = []
                for inside in batched(self._store.folders(f'{folder}/topics'), _BATCH):
                    found.folders += len(inside)
                    known_topics += self._sort_out(inside, found)
                small = small_files.compare(folder, known_topics, _YOUNG_NS)
                if small != Compared():
                    found.small[folder] = small
        return found

    def _sort_out(self, listed: Sequence[str], found: _Orphans) -> list[str]:
        """Add the orphans among some folders; return those that the catalog knows.

        The folders were listed before, so one that is not known now never was, or is deleted.
        """
        with self._database.read() as connection:
            young = now_ns(connection) - _YOUNG_NS
            known = known_folders(connection, listed)
            waiting = scheduled(connection, listed)
        for folder in self._going_on(listed):
            if folder in known or folder in waiting:
                continue
            made = ulid_time_ns(folder.rpartition('.')[2])
            if made is None or made > young:  # not ours, or perhaps about to be known
                continue
            if was_deleted(self._store, folder):
                found.deleted.append(folder)
            elif self._holds_data(folder):
                found.unexplained.append(folder)
            else:
                found.leftovers.append(folder)
        return [folder for folder in listed if folder in known]

    def _holds_data(self, folder: str) -> bool:
        return holds_chunks(self._store, folder) or any(
            holds_chunks(self._store, topic) and not was_deleted(self._store, topic)
            for topic in self._store.folders(f'{folder}/topics')
        )

    def _check(self, found: _Orphans, force: bool) -> None:
        with self._database.read() as connection:
            empty = connection.execute(sa.select(sequences.c.id).limit(1)).first() is None
        if empty and found.unexplained:
            raise FailedPreconditionError(
                f'The catalog is empty, but the store holds data in {len(found.unexplained)} '
                'folders; nothing was cleaned up',
                remedy='Check MOSAICOD_DB_URL; `mosaicod rebuild` makes a catalog from the store.',
            )
        # What never held data costs nobody anything.
        count = len(found.deleted) + len(found.unexplained)
        if count > self._max_share * found.folders and not force:
            raise FailedPreconditionError(
                f'{count} of {found.folders} folders have no entry in the catalog, more than '
                f'the share of {self._max_share} that one cleanup may mark; nothing was done',
                remedy='Check that this is the right catalog and that it is up to date; '
                '`mosaicod cleanup --force` marks them.',
            )

    # -- chunks ------------------------------------------------------------------------------

    def _sweep_topics(self, dry_run: bool) -> list[str]:
        with self._database.read() as connection:
            waiting = topics_to_sweep(connection)
        swept: list[str] = []
        for topic_id in self._going_on(self._sealed_topics()):
            if topic_id in waiting:
                continue
            if dry_run:
                swept += strays(self._database, self._store, topic_id)
            else:
                swept += sweep(self._database, self._store, topic_id, self._instance_id)
        return swept

    def _sealed_topics(self) -> Iterator[int]:
        last = 0
        while True:
            with self._database.read() as connection:
                page = list(
                    connection.execute(
                        sa.select(topics.c.id)
                        .where(topics.c.id > last, topics.c.state.in_(SEALED))
                        .order_by(topics.c.id)
                        .limit(_BATCH)
                    ).scalars()
                )
            yield from page
            if len(page) < _BATCH:
                return
            last = page[-1]

    def _going_on(self, items: Iterator[_T] | Sequence[_T]) -> Iterator[_T]:
        for item in items:
            if self._stop.is_set():
                raise CancelledError('The cleanup was stopped')
            yield item
