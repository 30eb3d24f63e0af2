"""The store in a folder."""

from __future__ import annotations

from mosaico_ros.daemon.store.folder import FolderStore


def test_objects_and_folders_are_listed_apart(tmp_path):
    store = FolderStore(tmp_path)
    for key in ('a/b.c', 'a/deeper/x', 'a/deeper/still/x', 'a/other/x', 'ab/x'):
        store.put(key, b'x')
    assert list(store.keys('a')) == ['a/b.c']
    assert list(store.folders('a')) == ['a/deeper', 'a/other']
    assert list(store.keys('none')) == list(store.folders('none')) == []
    store.close()
