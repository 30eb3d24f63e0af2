"""A store in a folder of a local file system."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pyarrow as pa

from mosaico_ros.daemon.store.base import checked_key, describe_store, store_id_of
from mosaico_ros.daemon.store.ranges import ReadPlan
from mosaico_ros.durable import make_folder, sync
from mosaico_ros.protocol.errors import (
    InternalError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)

__all__ = ['FolderStore']

_FULL_DISK = {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}


class FolderStore:
    """Objects as files below one folder.

    An object is written under a temporary name, synced, renamed and its folder synced: after
    a crash it is there as a whole or not at all. Temporary files live in a folder per running
    process, which holds a lock on it, so that leftovers are told from work in progress.

    Parameters
    ----------
    root
        The folder; created if it does not exist.

    Raises
    ------
    UnavailableError
        If the folder cannot be created, read or written.
    FailedPreconditionError
        If it was laid out by a newer release.

    """

    waits = False

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).expanduser().absolute()
        self._count = itertools.count()
        self._synced: set[Path] = set()
        try:
            self._make_folder(self._root)
            self._work, self._work_lock = self._new_work_folder()
            self._id = self._read_or_make_id()
        except OSError as error:
            raise UnavailableError(
                f'The data folder {self._root} cannot be used: {error.strerror or error}',
                remedy='Choose a folder that this user may read and write.',
            ) from error

    @property
    def id(self) -> str:
        """Identity of the store, equal to the catalog's."""
        return self._id

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """Store an object; when this returns it is complete and survives a crash."""
        with self.create(key) as file:
            file.write(data)

    @contextmanager
    def create(self, key: str) -> Iterator[pa.NativeFile]:
        """Store an object as it is written; as :meth:`put` when the block ends without error.

        After an error nothing is stored.
        """
        path = self._path(key)
        temporary = self._work / str(next(self._count))
        try:
            self._make_folder(path.parent)
            with pa.OSFile(str(temporary), 'wb') as file:
                yield file
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        except FileNotFoundError as error:
            raise NotFoundError(f'{key} cannot be stored: its folder was deleted') from error
        except OSError as error:
            if error.errno in _FULL_DISK:
                raise ResourceExhaustedError(
                    f'No space left to store {key}', remedy='Free space in the data folder.'
                ) from error
            raise InternalError(f'{key} cannot be stored: {error}') from error
        finally:
            temporary.unlink(missing_ok=True)

    def open(
        self, key: str, plan: ReadPlan | None = None, *, partly: bool = False
    ) -> pa.NativeFile:
        """Open an object for random reads."""
        # What is mapped into memory is not copied, but to map a file takes longer than to read
        # a small part of it.
        opened = pa.OSFile if partly else pa.memory_map
        try:
            return opened(f'{self._root}/{checked_key(key)}')
        except FileNotFoundError as error:
            raise NotFoundError(f'{key} is not in the store (any more)') from error

    def keys(self, folder: str) -> Iterator[str]:
        """Yield the keys directly inside a folder; nothing if there is none."""
        return self._inside(folder, Path.is_file)

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield key and bytes of each object directly inside a folder."""
        for key in self.keys(folder):
            try:
                yield key, self._path(key).stat().st_size
            except FileNotFoundError:  # removed meanwhile
                continue

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the folders directly inside a folder; nothing if there is none."""
        return self._inside(folder, Path.is_dir)

    def delete(self, *keys: str) -> None:
        """Remove objects, if they exist; when this returns none comes back after a crash."""
        paths = [self._path(key) for key in keys]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            with suppress(FileNotFoundError):
                sync(folder)

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with everything inside; nothing happens if it does not exist."""
        path = self._path(folder)
        # Renamed first: a reader finds a whole object or none, and a crash leaves a leftover.
        doomed = self._work / f'{next(self._count)}.deleted'
        try:
            os.rename(path, doomed)
        except FileNotFoundError:
            return
        self._synced = {known for known in self._synced if not known.is_relative_to(path)}
        sync(path.parent)
        shutil.rmtree(doomed, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Remove the temporary files of processes that have ended."""
        with self._one_at_a_time():
            for folder in self._others():
                with _unowned(folder) as left:
                    if left:
                        shutil.rmtree(folder, ignore_errors=True)

    def is_shared(self) -> bool:
        """Whether another process of this host has the store open."""
        with self._one_at_a_time():
            for folder in self._others():
                with _unowned(folder) as left:
                    if not left:
                        return True
        return False

    def close(self) -> None:
        """Remove this process's temporary folder."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work_lock.close()

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*checked_key(key).split('/'))

    def _others(self) -> Iterator[Path]:
        for folder in (self._root / 'tmp').iterdir():
            if folder != self._work and folder.is_dir():
                yield folder

    def _inside(self, folder: str, wanted: Callable[[Path], bool]) -> Iterator[str]:
        try:
            names = sorted(entry.name for entry in self._path(folder).iterdir() if wanted(entry))
        except FileNotFoundError:
            return
        for name in names:
            yield f'{folder}/{name}'

    def _make_folder(self, folder: Path) -> None:
        if folder in self._synced:
            return
        make_folder(folder)
        if len(self._synced) > 10_000:
            self._synced.clear()
        self._synced.add(folder)

    def _new_work_folder(self) -> tuple[Path, IO[bytes]]:
        work = self._root / 'tmp' / uuid.uuid4().hex
        work.parent.mkdir(exist_ok=True)
        # Nobody looks for leftovers between the making of a folder and its lock.
        with self._one_at_a_time():
            work.mkdir()
            lock = open(work / 'lock', 'wb')  # noqa: SIM115 - held until close
            fcntl.flock(lock, fcntl.LOCK_EX)
        return work, lock

    def _read_or_make_id(self) -> str:
        path = self._root / 'store.json'
        with self._one_at_a_time():
            if not path.exists():
                self.put('store.json', describe_store(str(uuid.uuid4())))
            return store_id_of(path.read_bytes(), f'The data folder {self._root}')

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Let one process of this host pass at a time."""
        with open(self._root / 'tmp' / '.lock', 'wb') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _unowned(work: Path) -> Iterator[bool]:
    """Tell whether a process's temporary folder has outlived it."""
    try:
        lock = open(work / 'lock', 'rb')  # noqa: SIM115 - closed below
    except FileNotFoundError:  # it died before it could lock it, or is just removing it
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
