"""What would be left of a folder after a loss of power: a model of a file system's promises.

Content of a file is durable as it was when the file was last synced, the names in a folder as
they were when the folder was. Everything else may be gone; here it is. SQLite keeps its own
promises and is trusted: its files are taken as they are.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

__all__ = ['Disk', 'copy_living']

_CATALOG = 'catalog.db'


class Disk:
    """The durable state of a folder, beginning with everything in it.

    Inodes are told apart by number, so each that was ever seen is held open: a number must not
    come back for another file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._held: dict[int, int] = {}
        for folder, _, files in os.walk(root):
            for path in (Path(folder), *(Path(folder, name) for name in files)):
                descriptor = os.open(path, os.O_RDONLY)
                self.synced(descriptor)
                os.close(descriptor)

    def synced(self, descriptor: int) -> None:
        """Note what an fsync of a file or folder has made durable."""
        found = os.fstat(descriptor)
        self._hold(found.st_ino, os.dup(descriptor))
        if stat.S_ISDIR(found.st_mode):
            names = self._names[found.st_ino] = {}
            for name in os.listdir(descriptor):
                entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=descriptor)
                names[name] = os.fstat(entry).st_ino
                self._hold(names[name], entry)
        else:
            self._content[found.st_ino] = os.pread(descriptor, found.st_size, 0)

    def write_durable(self, target: Path) -> None:
        """Make a folder with what a loss of power would leave."""
        self._write(self._root.stat().st_ino, self._root, target)

    def _write(self, inode: int, living: Path, target: Path) -> None:
        target.mkdir()
        for name, entry in self._names.get(inode, {}).items():
            if name.startswith(_CATALOG):
                continue
            if stat.S_ISDIR(os.fstat(self._held[entry]).st_mode):
                self._write(entry, living / name, target / name)
            else:
                (target / name).write_bytes(self._content.get(entry, b''))
        _copy_catalog(living, target)

    def _hold(self, inode: int, descriptor: int) -> None:
        if inode in self._held:
            os.close(descriptor)
        else:
            self._held[inode] = descriptor


def copy_living(root: Path, target: Path) -> None:
    """Copy a folder as the end of all processes would leave it."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns(f'{_CATALOG}*'))
    for database in root.rglob(_CATALOG):
        _copy_catalog(database.parent, target / database.parent.relative_to(root))


def _copy_catalog(living: Path, target: Path) -> None:
    # The log after the database: pages that move from one to the other are in both. The index
    # of the log is made anew whenever nobody has it open.
    for name in (_CATALOG, f'{_CATALOG}-wal'):
        if (living / name).exists():
            shutil.copy2(living / name, target / name)
