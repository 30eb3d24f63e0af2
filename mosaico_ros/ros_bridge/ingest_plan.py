"""Which recordings to load, under which names, and what the archive has of them already."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.protocol.locators import SequenceLocator
from mosaico_ros.ros_bridge.bags import is_bag_file, loose_files

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.handlers.sequence_handler import SequenceHandler


@dataclass(frozen=True)
class Recording:
    """A bag file or rosbag2 folder, and the sequence that it becomes."""

    path: Path
    sequence_name: str


def plan(paths: Iterable[Path], name: str | None = None) -> list[Recording]:
    """Find and name the recordings behind some paths.

    A folder that is no recording itself is searched for them; their names are then made of the
    path below that folder. A path without any recording stays in the plan, so that loading it
    says what is wrong.

    Parameters
    ----------
    paths : iterable of Path
        Bag files and folders.
    name : str, optional
        Sequence name, if there is one recording only.

    Raises
    ------
    InvalidArgumentError
        If two recordings would become one sequence, `name` is given to several or is none, or a
        folder cannot be read.
    """
    found: dict[Path, Recording] = {}
    try:
        for path in paths:
            for recording in _recordings(path):
                found.setdefault(recording.path.resolve(), recording)
    except OSError as error:
        raise InvalidArgumentError(
            f'{error.filename} cannot be read ({error.strerror})'
        ) from error
    recordings = list(found.values())
    if name is not None:
        if len(recordings) > 1:
            raise InvalidArgumentError(
                f'one name is given to {len(recordings)} recordings',
                remedy='leave --name out, or give one recording with it',
            )
        SequenceLocator(name)
        return [Recording(recording.path, name) for recording in recordings]
    by_name: dict[str, list[str]] = {}
    for recording in recordings:
        by_name.setdefault(recording.sequence_name, []).append(str(recording.path))
    clashes = {name: paths for name, paths in by_name.items() if len(paths) > 1}
    if clashes:
        told = '; '.join(f'{name!r} ({" and ".join(paths)})' for name, paths in clashes.items())
        raise InvalidArgumentError(
            f'several recordings would become one sequence: {told}',
            remedy='rename a file, or load one alone with --name',
        )
    return recordings


def sequence_name_for(*parts: str) -> str:
    """Sequence name made of a bag's file name, or of several parts of its path."""
    mended = (re.sub(r'[^A-Za-z0-9_-]', '_', _stem(part)) for part in parts)
    return '-'.join(mended).lstrip('_-') or 'bag'


def is_recording(folder: Path) -> bool:
    """Whether rosbag2 wrote a folder, as opposed to a folder in which bags lie.

    Told by ``metadata.yaml``, which a recorder that died has not written; then by the names: all
    bag files in it are ``NAME_0``, ``NAME_1``, ... without a gap, or carry the folder's name.
    """
    metadata = folder / 'metadata.yaml'
    if metadata.is_file() and b'rosbag2_bagfile_information' in metadata.read_bytes():
        return True
    files = [file.name for file in loose_files(folder)]
    splits = [re.fullmatch(r'(.+)_(\d+)(\..+)', file) for file in files]
    names = {(split[1], split[3]) for split in splits if split}
    if None in splits or len(names) != 1:
        return False
    ((name, _),) = names
    if name == _absolute(folder).name:
        return True
    numbers = sorted(int(split[2]) for split in splits if split)
    return len(files) > 1 and numbers == list(range(len(files)))


def is_stored(client: MosaicoClient, sequence: SequenceHandler, bag: dict[str, Any]) -> bool:
    """Whether an earlier injection of the same bag ran to its end; False if it broke off.

    Parameters
    ----------
    client : MosaicoClient
        Connected to the archive.
    sequence : SequenceHandler
        The sequence that has the bag's name.
    bag : dict
        Facts about the bag, as injections leave them under ``_bag_`` in the metadata. Bags are
        the same if their sizes and checksums are (their sizes, where a checksum is missing), and
        were loaded alike if topics were chosen by the same patterns and raw bytes kept or not.

    Raises
    ------
    AlreadyExistsError
        If the sequence is something else, or the injection goes on.
    """
    known = sequence.user_metadata.get('_bag_')
    if not isinstance(known, dict) or not _same(known, bag):
        raise AlreadyExistsError(
            f'the sequence {sequence.name} exists, and was not made of this bag, or with other '
            'choices of topics or raw bytes',
            remedy='choose another name (--name)',
        )
    sessions = sorted(sequence.sessions, key=lambda session: session.created_timestamp)
    if sessions and sessions[0].locked:
        return True
    if len(sessions) > 1:
        raise AlreadyExistsError(
            f'the sequence {sequence.name} holds a part of this bag, and other uploads beside it',
            remedy='choose another name (--name)',
        )
    unlocked = [name for name in sequence.topics if not sequence.get_topic_handler(name).locked]
    # The daemon leaves a note with each topic whose upload broke off.
    if unlocked and not client.list_sequence_notifications(sequence.name, include_topics=True):
        raise AlreadyExistsError(
            f'the sequence {sequence.name} is being loaded from this bag right now',
            remedy='wait until that has ended; the daemon notices within a minute if it died',
        )
    return False


def _recordings(path: Path) -> Iterator[Recording]:
    if not path.is_dir() or is_recording(path):
        yield Recording(path, sequence_name_for(_absolute(path).name))
        return
    found = list(_search(path))
    for below in found:
        yield Recording(below, sequence_name_for(*below.relative_to(path).parts))
    if not found:
        yield Recording(path, sequence_name_for(_absolute(path).name))


def _search(folder: Path) -> Iterator[Path]:
    """Recordings below a folder, by name; neither hidden ones nor through links to folders."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith('.'):
            continue
        if entry.is_dir():
            if is_recording(entry):
                yield entry
            elif not entry.is_symlink():
                yield from _search(entry)
        elif is_bag_file(entry):
            yield entry


def _same(known: dict[str, Any], bag: dict[str, Any]) -> bool:
    keys = ['size_bytes', 'topics', 'keep_raw']
    if 'sha256' in known and 'sha256' in bag:
        keys.append('sha256')
    return all(known.get(key) == bag.get(key) for key in keys)


def _stem(name: str) -> str:
    for suffix in ('.zstd', '.mcap', '.db3', '.bag'):
        name = name.removesuffix(suffix)
    return name


def _absolute(path: Path) -> Path:
    """Path with a name of its own, which ``.`` lacks; links keep theirs."""
    return Path(os.path.abspath(path))
