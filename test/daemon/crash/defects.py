"""Defects to plant, each of a kind that a crash brings to light."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from mosaico_ros.daemon import upload
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.store import folder
from mosaico_ros.daemon.store.folder import FolderStore
from mosaico_ros.durable import sync

__all__ = ['DEFECTS']

DEFECTS: dict[str, Callable[[], None]] = {}


def defect(plant: Callable[[], None]) -> Callable[[], None]:
    """Add a defect under its name."""
    DEFECTS[plant.__name__] = plant
    return plant


@defect
def names_are_not_synced() -> None:
    folder.sync = lambda path: None if path.is_dir() else sync(path)


@defect
def contents_are_not_synced() -> None:
    folder.sync = lambda path: sync(path) if path.is_dir() else None


@defect
def deletions_are_not_synced() -> None:
    def delete(store: FolderStore, *keys: str) -> None:
        for key in keys:
            store._path(key).unlink(missing_ok=True)

    FolderStore.delete = delete  # type: ignore[method-assign]


@defect
def rows_are_recorded_before_their_chunk_is_stored() -> None:
    create, write = FolderStore.create, Database.write
    waiting: list[Any] = []

    @contextmanager
    def collected(store: FolderStore, key: str) -> Iterator[pa.NativeFile]:
        if Path(key).suffix != '.parquet':
            with create(store, key) as file:
                yield file
            return
        sink = pa.BufferOutputStream()
        yield sink
        waiting.append((store, key, sink.getvalue()))

    @contextmanager
    def written(database: Database) -> Iterator[Any]:
        with write(database) as connection:
            yield connection
        while waiting:
            store, key, data = waiting.pop()
            with create(store, key) as file:
                file.write(data)

    FolderStore.create = collected  # type: ignore[method-assign]
    Database.write = written  # type: ignore[method-assign]


@defect
def topics_are_sealed_without_their_manifest() -> None:
    upload.write_topic_manifest = lambda *arguments, **options: None
