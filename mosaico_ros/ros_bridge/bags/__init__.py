"""Recordings as groups of payloads per topic: ``.mcap``, ``.db3``, ``.bag``, rosbag2 folders."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge.bags import mcap, ros1, sqlite
from mosaico_ros.ros_bridge.bags.metadata import read_metadata
from mosaico_ros.ros_bridge.bags.records import (
    Bag as Bag,
    BagTopic as BagTopic,
    MessageGroup as MessageGroup,
)

_BAG_FILE = re.compile(r'\.(mcap|db3|bag)(\.zstd)?$')


def open_bag(path: str | Path) -> Bag:
    """Open a recording.

    Parameters
    ----------
    path : str or Path
        A file (``.mcap``, ``.db3``, ``.bag``, or one of these with ``.zstd`` behind it), or a
        folder that rosbag2 wrote, with or without ``metadata.yaml``, split or not. What a file is
        is decided by its first bytes, not by its name.

    Raises
    ------
    NotFoundError
        If nothing is there.
    InvalidArgumentError
        If it is not a bag.
    """
    path = Path(path)
    if path.is_dir():
        return _FolderBag(path)
    if not path.is_file():
        raise NotFoundError(f'there is no file or folder {path}')
    return _open_file(path)


def bag_files(path: Path) -> list[Path]:
    """Files that make up a recording, in order."""
    if path.is_file():
        return [path]
    metadata = path / 'metadata.yaml'
    if metadata.is_file():
        # Older versions of rosbag2 wrote the folder's own name into the paths.
        names = [Path(name).name for name in read_metadata(metadata).files]
        missing = [name for name in names if not (path / name).is_file()]
        if missing:
            raise NotFoundError(f'{metadata} names {missing[0]}, which is not there')
        return [path / name for name in names]
    return loose_files(path)


def loose_files(folder: Path) -> list[Path]:
    """Bag files that lie in a folder, in the order of their numbers.

    A compressed one beside which it lies unpacked, as rosbag2 leaves them after playing, is not
    there twice.
    """
    found = {path.name: path for path in filter(is_bag_file, folder.iterdir())}
    packed = {f'{name}.zstd' for name in found}
    return sorted((path for name, path in found.items() if name not in packed), key=_natural)


def is_bag_file(path: Path) -> bool:
    """Whether there is a file that is named as bags are."""
    return _BAG_FILE.search(path.name) is not None and path.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which ``bag_10`` follows ``bag_9``."""
    parts = re.split(r'(\d+)', path.name)
    return [(int(part), '') if part.isdigit() else (-1, part) for part in parts]


def _open_file(path: Path) -> Bag:
    try:
        with path.open('rb') as file:
            magic = file.read(16)
    except OSError as error:
        raise InvalidArgumentError(f'{path} cannot be read ({error.strerror})') from error
    if magic.startswith(mcap.MAGIC):
        return mcap.McapBag(path)
    if magic == sqlite.MAGIC:
        return sqlite.SqliteBag(path)
    if magic.startswith(ros1.MAGIC):
        return ros1.Ros1Bag(path)
    if magic.startswith(b'\x28\xb5\x2f\xfd'):
        return _PackedBag(path)
    raise InvalidArgumentError(
        f'{path} is not a bag', remedy='expected an .mcap, .db3 or .bag file, or a rosbag2 folder'
    )


class _PackedBag(Bag):
    """A file compressed as a whole; unpacked beside the system's temporary files while open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import pyarrow as pa

        self._folder = tempfile.TemporaryDirectory(prefix='mosaico_bag_')
        try:
            plain = Path(self._folder.name) / path.stem
            with pa.input_stream(str(path), compression='zstd') as source, plain.open('wb') as out:
                while block := source.read(1 << 22):
                    out.write(block)
            self._inner = _open_file(plain)
        except OSError as error:
            self._folder.cleanup()
            raise InvalidArgumentError(f'{path} cannot be unpacked ({error})') from error
        except BaseException:
            self._folder.cleanup()
            raise
        self.topics = self._inner.topics
        self.problems = self._inner.problems
        self.distro = self._inner.distro
        self.extras = self._inner.extras

    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        return self._inner.groups(wanted)

    def close(self) -> None:
        self._inner.close()
        self._folder.cleanup()


class _FolderBag(Bag):
    """A folder that rosbag2 wrote: one file after the other as one recording."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        files = bag_files(path)
        if not files:
            raise InvalidArgumentError(
                f'{path} is not a bag: it holds no .mcap, .db3 or .bag file'
            )
        metadata = path / 'metadata.yaml'
        described = read_metadata(metadata) if metadata.is_file() else None
        self._bags: list[Bag] = []
        try:
            for file in files:
                self._bags.append(_open_file(file))
                self._merge(self._bags[-1])
        except BaseException:
            self.close()
            raise
        if described is not None:
            self.distro = described.distro or self.distro
            self.extras.custom_data |= described.custom_data

    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        for bag in self._bags:
            told = len(bag.problems)
            keys: dict[str, str] = {}
            for group in bag.groups(self._asking(wanted, keys)):
                yield replace(group, topic=keys[group.topic])
            self._tell(bag, told)

    def close(self) -> None:
        for bag in self._bags:
            bag.close()

    def _asking(
        self, wanted: Callable[[BagTopic], bool], keys: dict[str, str]
    ) -> Callable[[BagTopic], bool]:
        """``wanted`` for topics of one file; ``keys`` learns what theirs are in the folder."""

        def asked(topic: BagTopic) -> bool:
            # An unfinished file tells its topics only while it is read.
            known = self._admit(topic)
            keys[topic.key] = known.key
            return wanted(known)

        return asked

    def _tell(self, bag: Bag, since: int) -> None:
        self.problems += [f'{bag.path.name}: {problem}' for problem in bag.problems[since:]]

    def _merge(self, bag: Bag) -> None:
        self.distro = self.distro or bag.distro
        self.extras.merge(bag.extras)
        self._tell(bag, 0)
        for topic in bag.topics.values():
            self._add(topic)
