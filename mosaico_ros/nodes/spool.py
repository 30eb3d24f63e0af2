"""The spool of one recording: what was captured and is not yet durable in the archive.

``<spool_dir>/<recording id>/`` holds the log of rows (`spool_log`), a journal, the latched
messages of before (`latched_file`), and a lock that ends with the process that holds it: a spool
without an owner was left by a recorder that died.

The journal says what the log does not: the recording, its topics, which sequence is being
written, and *positions*. A position of a topic ties the archive to the log: the rows decoded from
row `row` of the log on are the rows from `stored` on of the topic in the present sequence; those
with a negative number are in sequences before. In front of the rows from the log, a sequence may
have `repeated` latched messages of before. A position holds for good, so that an old one is as
right as a new one, only further back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mosaico_ros.nodes.latched_file import LatchedFile
from mosaico_ros.nodes.spool_journal import Journal
from mosaico_ros.nodes.spool_log import SpoolLog, sync_folder

_JOURNAL = 'journal'
_LOCK = 'lock'
# Seconds after which a folder that is not yet, or no more, a spool is taken for dead.
_HALF_MADE = 60.0


@dataclass(frozen=True)
class Recording:
    """What is to be recorded, where.

    Attributes
    ----------
    id
        Unique; what the parts of the recording have in common.
    name
        Sequence of the first part.
    metadata
        User metadata of every part.
    address
        The daemon, as ``host:port``.
    """

    id: str
    name: str
    metadata: dict[str, Any]
    address: str

    @classmethod
    def new(cls, name: str, metadata: Mapping[str, Any], address: str) -> Recording:
        """Describe a recording that begins now."""
        return cls(f'{name}-{uuid.uuid4().hex[:12]}', name, dict(metadata), address)


@dataclass(frozen=True)
class SpooledTopic:
    """A topic of the log; `details` are what the graph said of its publishers.

    `definition` is the text of the type, as soon as somebody has looked for it.
    """

    number: int
    name: str
    type: str
    details: dict[str, Any]
    definition: str = ''


@dataclass(frozen=True)
class Position:
    """Where a topic stands: row `row` of the log is row `stored` of the present sequence.

    Those `repeated` are not counted in `stored`.
    """

    row: int = 0
    stored: int = 0
    repeated: int = 0


@dataclass(frozen=True)
class Part:
    """A sequence that was opened for the recording.

    Attributes
    ----------
    number
        From 1.
    sequence
        Its name.
    session_uuid
        The authority to write to it.
    splits
        How many marks of the log lie in front of it.
    largest_row
        Bytes above which the daemon takes no row.
    closed
        Whether nothing more goes into it.
    """

    number: int
    sequence: str
    session_uuid: str
    splits: int
    largest_row: int
    closed: bool = False


@dataclass
class Progress:
    """What the journal says of the way into the archive; `name` is that of the first part."""

    name: str = ''
    part: Part | None = None
    positions: dict[int, Position] = field(default_factory=dict)

    def position(self, topic: int) -> Position:
        """Return where a topic stands."""
        return self.positions.get(topic, Position())


class Spool:
    """Log and journal of one recording, owned by this process.

    Made by :meth:`create` and :meth:`take_over`.

    Attributes
    ----------
    recording
        What is recorded.
    topics
        By number.
    progress
        As the journal has it.
    log
        The rows.
    latched
        The latched messages in front of the positions.
    """

    def __init__(self, folder: Path, lock: int, **limits: int) -> None:
        self.folder = folder
        self._lock = lock
        self.topics: dict[int, SpooledTopic] = {}
        self.progress = Progress()
        self._journal = Journal(folder / _JOURNAL)
        first, *others = self._journal.entries
        self.recording = Recording(**first)
        for entry in others:
            self._apply(entry)
        self.latched = LatchedFile(folder)
        self.log = SpoolLog(folder, before_sync=self._journal.sync, **limits)

    @classmethod
    def create(cls, root: Path, recording: Recording, **limits: int) -> Spool:
        """Begin the spool of a new recording below a folder, which is made if need be.

        Other arguments go to `SpoolLog`.
        """
        folder = root / recording.id
        # Nobody may find a spool that has no owner yet: it gets its name last.
        hidden = root / f'.{recording.id}'
        hidden.mkdir(parents=True, mode=0o700)
        try:
            lock = _lock(hidden)
            assert lock is not None
            Journal.create(hidden / _JOURNAL, asdict(recording))
        except OSError:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        hidden.rename(folder)
        sync_folder(root)
        return cls(folder, lock, **limits)

    @classmethod
    def take_over(cls, folder: Path, **limits: int) -> Spool | None:
        """Own a spool that a dead process has left; None if its owner lives."""
        lock = _lock(folder)
        if lock is None:
            return None
        try:
            return cls(folder, lock, **limits)
        except BaseException:
            os.close(lock)
            raise

    def add_topic(self, topic: SpooledTopic) -> None:
        """Remember a topic before its first rows are appended, or more of it later."""
        self._write({'topic': asdict(topic)})

    def open_part(self, part: Part, positions: Mapping[int, Position]) -> None:
        """Remember durably which sequence is being written, and where each topic stands."""
        self.latched.save()
        self._write({'part': asdict(part), **_positions(positions)})
        self._journal.sync()

    def acknowledge(self, positions: Mapping[int, Position]) -> None:
        """Let go of files whose rows are durable in the archive."""
        rows = {topic: position.row for topic, position in positions.items()}
        noted = False
        for _ in self.log.discard(rows):
            if not noted:
                noted = True
                self.latched.save()
                self._write(_positions(positions))
                self._journal.sync()

    def sync(self) -> None:
        """Make everything written so far survive a power cut: the one call per flush period."""
        self.log.sync()

    def close(self, *, remove: bool) -> None:
        """Give up the spool; with `remove` it goes, as everything in it is in the archive."""
        self.log.close()
        self._journal.close()
        if remove:
            # Renamed first: what a crash leaves half removed is no spool any more.
            gone = self.folder.with_name(f'.{self.folder.name}')
            self.folder.rename(gone)
            shutil.rmtree(gone)
        os.close(self._lock)

    def _apply(self, entry: dict[str, Any]) -> None:
        if 'topic' in entry:
            topic = SpooledTopic(**entry['topic'])
            self.topics[topic.number] = topic
        if 'part' in entry:
            self.progress.part = part = Part(**entry['part'])
            if part.number == 1:
                self.progress.name = part.sequence
        for topic, position in entry.get('positions', {}).items():
            self.progress.positions[int(topic)] = Position(*position)

    def _write(self, entry: dict[str, Any]) -> None:
        self._journal.append(entry)
        self._apply(entry)


def left_behind(root: Path) -> list[Path]:
    """Return the folders of spools below a folder, oldest first, whoever owns them."""
    if not root.is_dir():
        return []
    for path in root.glob('.*'):
        # Half made or half removed, unless somebody is at it.
        with contextlib.suppress(OSError):
            old = path.is_dir() and time.time() - path.stat().st_mtime > _HALF_MADE
            lock = _lock(path) if old else None
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
    found = [path.parent for path in root.glob(f'*/{_JOURNAL}') if path.parent.name[0] != '.']
    return sorted(found, key=lambda folder: (folder / _LOCK).stat().st_mtime)


def _positions(positions: Mapping[int, Position]) -> dict[str, Any]:
    return {
        'positions': {
            str(topic): [position.row, position.stored, position.repeated]
            for topic, position in positions.items()
        }
    }


def _lock(folder: Path) -> int | None:
    """Lock a folder for as long as this process lives; None if another does."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
