"""Snapshots on the disk until the archive has them, and for a while after.

A snapshot is a file and an entry beside it. The entry says what the snapshot is, under which
name it goes into the archive, and whether it is there; it is written after the file is complete
and before the file gets its name, so that at any instant there is either nothing (a partial file,
thrown away at the next start) or a snapshot that will be delivered.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from mosaico_ros.durable import make_folder, sync
from mosaico_ros.protocol.errors import FailedPreconditionError

_log = logging.getLogger(__name__)

_PARTIAL = '.partial'
_ENTRY = '.json'

#: Kinds of snapshots, in the order in which they are delivered.
KINDS = ('fault', 'medkit', 'manual')


@dataclass(frozen=True)
class Entry:
    """A snapshot in the outbox.

    Attributes
    ----------
    snapshot_id
        Names the entry; the same snapshot has the same id.
    sequence_name
        Where it goes in the archive.
    file
        Name of the ``.mcap`` file, or of a rosbag2 folder, in the outbox.
    metadata
        User metadata of the sequence.
    stamp_ns
        When the fault happened.
    severity
        0 to 3.
    kind
        One of `KINDS`.
    size
        Bytes of the file.
    delivered_ns
        When the archive had it; None if it has not.
    problem
        Why the last attempt failed, or empty.
    complete
        False while a better file of the same snapshot is expected: it waits for that, unless the
        process ends first.
    """

    snapshot_id: str
    sequence_name: str
    file: str
    metadata: Mapping[str, Any]
    stamp_ns: int
    severity: int
    kind: str = 'fault'
    size: int = 0
    delivered_ns: int | None = None
    problem: str = ''
    complete: bool = True


@dataclass(frozen=True)
class Retention:
    """What stays on the disk.

    Attributes
    ----------
    keep_count, keep_bytes, keep_sec
        Delivered snapshots stay until there are more, they are more, or they are older.
    limit_bytes
        Of everything. Beyond it even what is not delivered goes, mildest and oldest first.
    """

    keep_count: int = 100
    keep_bytes: int = 2_000_000_000
    keep_sec: float = 30 * 86_400.0
    limit_bytes: int = 10_000_000_000


@dataclass
class OutboxState:
    """How the outbox is at one moment.

    ``waiting`` snapshots are not delivered, the oldest since ``oldest_sec``; ``discarded`` ones
    were deleted undelivered since the start; ``problem`` is why delivery does not go on.
    """

    waiting: int = 0
    waiting_bytes: int = 0
    delivered: int = 0
    kept_bytes: int = 0
    oldest_sec: float | None = None
    discarded: int = 0
    problem: str = ''
    stuck: list[str] = field(default_factory=list)


class Outbox:
    """The folder of snapshots. Safe to use from several threads.

    Parameters
    ----------
    folder
        Made if it is missing.
    retention
        What stays.
    tell
        Where to say what is lost: ``tell(text, warning=True)``.

    Raises
    ------
    FailedPreconditionError
        Another process uses the folder.
    """

    def __init__(
        self, folder: Path, retention: Retention, tell: Callable[..., None] | None = None
    ) -> None:
        self.folder = folder
        self._retention = retention
        self._tell = tell or (lambda text, warning=False: _log.info('%s', text))
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._discarded = 0
        make_folder(folder)
        self._lock_file = self._taken()
        self._recover()

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock_file.close()

    def _taken(self) -> IO[str]:
        """Keep other processes out; the lock goes with the process, however that ends."""
        file = (self.folder / '.lock').open('a')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise FailedPreconditionError(
                f'{self.folder} is used by another process',
                remedy='give each fault snapshot node its own snapshot_dir, or robot_id',
            ) from error
        return file

    def partial(self, file: str) -> Path:
        """Return where to write a file before :meth:`add` takes it in."""
        return self.folder / f'.{file}{_PARTIAL}'

    def add(self, entry: Entry) -> Entry:
        """Take in a complete file that lies under its partial name; return the entry.

        What the id names already stays as it is, unless it was not complete.

        Raises
        ------
        OSError
            The disk is full or gone.
        """
        with self._lock:
            known = self._entries.get(entry.snapshot_id)
            if known is not None and (known.complete or not entry.complete):
                _remove(self.partial(entry.file))
                return known
            entry = replace(entry, size=_size(self.partial(entry.file)))
            self._write(entry)
            self.partial(entry.file).rename(self.folder / entry.file)
            sync(self.folder)
            self._entries[entry.snapshot_id] = entry
            self.tidy()
            return entry

    def settle(self, snapshot_id: str) -> Entry | None:
        """Deliver the file that there is of a snapshot: no better one will come."""
        with self._lock:
            known = self._entries.get(snapshot_id)
            if known is not None and not known.complete:
                known = self._change(known, complete=True)
            return known

    def waiting(self) -> list[Entry]:
        """Return what is not delivered, in the order of delivery."""
        with self._lock:
            found = [e for e in self._entries.values() if e.delivered_ns is None and e.complete]
        return sorted(found, key=lambda entry: (KINDS.index(entry.kind), entry.stamp_ns))

    def entries(self) -> list[Entry]:
        """Return everything on the disk, oldest first."""
        with self._lock:
            return sorted(self._entries.values(), key=lambda entry: entry.stamp_ns)

    def delivered(self, entry: Entry) -> None:
        """Note that the archive has a snapshot."""
        self._change(entry, delivered_ns=time.time_ns(), problem='')

    def failed(self, entry: Entry, problem: str) -> None:
        """Note why a snapshot could not be delivered."""
        if entry.problem != problem:
            self._change(entry, problem=problem)

    def state(self) -> OutboxState:
        """Return how it is."""
        with self._lock:
            entries = list(self._entries.values())
        waiting = [entry for entry in entries if entry.delivered_ns is None]
        oldest = min((entry.stamp_ns for entry in waiting), default=None)
        return OutboxState(
            waiting=len(waiting),
            waiting_bytes=sum(entry.size for entry in waiting),
            delivered=len(entries) - len(waiting),
            kept_bytes=sum(entry.size for entry in entries),
            oldest_sec=None if oldest is None else (time.time_ns() - oldest) / 1e9,
            discarded=self._discarded,
            stuck=[
                f'{entry.sequence_name}: {entry.problem}' for entry in waiting if entry.problem
            ],
        )

    def tidy(self) -> None:
        """Delete what the retention does not keep."""
        keep = self._retention
        now = time.time_ns()
        with self._lock:
            done = [entry for entry in self.entries() if entry.delivered_ns is not None]
            size = sum(entry.size for entry in done)
            total = sum(entry.size for entry in self._entries.values())
            while done and (
                len(done) > keep.keep_count
                or size > keep.keep_bytes
                or total > keep.limit_bytes
                or now - done[0].delivered_ns > keep.keep_sec * 1e9  # type: ignore[operator]
            ):
                size -= done[0].size
                total -= done[0].size
                self._delete(done.pop(0))
            if total <= keep.limit_bytes:
                return
            for entry in sorted(self.waiting(), key=lambda each: (each.severity, each.stamp_ns)):
                if total <= keep.limit_bytes:
                    break
                total -= entry.size
                self._delete(entry)
                self._discarded += 1
                self._tell(
                    f'the snapshot {entry.sequence_name} is deleted before it was delivered: '
                    f'{self.folder} holds more than {keep.limit_bytes / 1e6:.0f} MB '
                    '(outbox_max_mb) while the daemon is away',
                    warning=True,
                )

    def make_room(self) -> bool:
        """Delete all that is delivered; tell whether there was anything."""
        with self._lock:
            done = [entry for entry in self.entries() if entry.delivered_ns is not None]
            for entry in done:
                self._delete(entry)
        return bool(done)

    def _change(self, entry: Entry, **values: Any) -> Entry:
        with self._lock:
            known = self._entries.get(entry.snapshot_id)
            if known is None:
                return entry
            changed = replace(known, **values)
            self._write(changed)
            self._entries[entry.snapshot_id] = changed
            return changed

    def _write(self, entry: Entry) -> None:
        path = self.folder / f'{entry.snapshot_id}{_ENTRY}'
        new = self.folder / f'.{path.name}{_PARTIAL}'
        with new.open('w', encoding='utf-8') as file:
            json.dump(asdict(entry), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        sync(self.folder)

    def _delete(self, entry: Entry) -> None:
        # The entry last: a file without one would never be found again.
        _remove(self.folder / entry.file)
        _remove(self.folder / f'{entry.snapshot_id}{_ENTRY}')
        del self._entries[entry.snapshot_id]

    def _recover(self) -> None:
        known = set(Entry.__dataclass_fields__)
        for path in sorted(self.folder.glob(f'*{_ENTRY}')):
            try:
                values = json.loads(path.read_text(encoding='utf-8'))
                entry = Entry(**{key: values[key] for key in known & set(values)})
            except (ValueError, TypeError, OSError) as error:
                self._tell(f'{path} is no entry of an outbox: {error}', warning=True)
                continue
            file, partial = self.folder / entry.file, self.partial(entry.file)
            whole = partial.exists() and _size(partial) == entry.size
            if whole and not (file.exists() and _size(file) == entry.size):
                partial.rename(file)
                sync(self.folder)
            if not file.exists():
                if entry.delivered_ns is None:
                    self._tell(
                        f'the file {file} of a snapshot that was not delivered is gone',
                        warning=True,
                    )
                _remove(path)
                continue
            self._entries[entry.snapshot_id] = entry
            if not entry.complete:
                self._tell(
                    f'{entry.sequence_name} ends with the process that wrote it', warning=True
                )
                self.settle(entry.snapshot_id)
        for path in self.folder.glob(f'.*{_PARTIAL}'):
            if not path.name.endswith(f'{_ENTRY}{_PARTIAL}'):
                self._tell(
                    f'{path.name} was cut off while it was written and is thrown away',
                    warning=True,
                )
            _remove(path)
        self.tidy()


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob('*') if each.is_file())
    return path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
