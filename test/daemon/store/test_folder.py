"""The store in a folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mosaico_ros.daemon.store.folder import FolderStore


def test_objects_and_folders_are_listed_apart(tmp_path):
    store = FolderStore(tmp_path)
    for key in ('a/b.c', 'a/deeper/x', 'a/deeper/still/x', 'a/other/x', 'ab/x'):
        store.put(key, b'x')
    assert list(store.keys('a')) == ['a/b.c']
    assert list(store.folders('a')) == ['a/deeper', 'a/other']
    assert list(store.keys('none')) == list(store.folders('none')) == []
    store.close()


def test_what_died_before_it_was_locked_is_a_leftover(tmp_path: Path) -> None:
    living, other = FolderStore(tmp_path), FolderStore(tmp_path)
    (tmp_path / 'tmp' / 'unlocked').mkdir()
    (tmp_path / 'tmp' / 'abandoned').mkdir()
    (tmp_path / 'tmp' / 'abandoned' / 'lock').touch()
    assert living.is_shared()
    living.remove_leftovers()
    assert sum(path.is_dir() for path in (tmp_path / 'tmp').iterdir()) == 2
    other.put('a', b'still works')
    other.close()
    assert not living.is_shared()
    living.close()


def test_looking_for_leftovers_disturbs_nobody_who_starts(tmp_path: Path) -> None:
    def come_and_go(_: int) -> None:
        store = FolderStore(tmp_path)
        store.remove_leftovers()
        store.put('a', b'x')
        store.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(200)))
    assert [path.name for path in (tmp_path / 'tmp').iterdir() if path.is_dir()] == []
