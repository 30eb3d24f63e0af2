"""Archives in a folder of the test, and short ways to fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.protocol.errors import AlreadyExistsError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket


@dataclass
class Filled:
    """An archive with short ways to write and read whole topics."""

    archive: Archive
    open_archive: Callable[..., Archive]

    def reopen(self, **changes: Any) -> None:
        """Close the archive and open it again."""
        self.archive.close()
        self.archive = self.open_archive(**changes)

    def session(self, sequence: str = 'run', metadata: dict[str, Any] | None = None) -> str:
        """Return the uuid of a new session; the sequence is made if need be."""
        try:
            self.archive.create_sequence(SequenceLocator(sequence), metadata or {})
        except AlreadyExistsError:
            pass
        return self.archive.create_session(SequenceLocator(sequence))[0]

    def create(
        self,
        name: str = 'run/imu',
        tag: str = 'IMU',
        session: str | None = None,
        fmt: str = 'default',
        metadata: dict[str, Any] | None = None,
    ) -> tuple[TopicLocator, str]:
        """Return locator and uuid of a new topic."""
        locator = TopicLocator.parse(name)
        uuid = self.archive.create_topic(
            session or self.session(locator.sequence),
            locator,
            tag,
            SerializationFormat(fmt),
            metadata or {},
        )
        return locator, uuid

    def write(
        self,
        data: pa.Table | list[pa.Table],
        name: str = 'run/imu',
        tag: str = 'IMU',
        **options: Any,
    ) -> TopicLocator:
        """Upload tables as one topic, each as a chunk of its own."""
        tables = data if isinstance(data, list) else [data]
        locator, uuid = self.create(name, tag, **options)
        upload = self.archive.begin_upload(locator, uuid, tables[0].schema)
        for table in tables:
            for batch in table.to_batches():
                upload.append(batch)
            upload.commit()
        upload.finish()
        return locator

    def read(
        self,
        locator: TopicLocator,
        start_ns: int | None = None,
        end_ns: int | None = None,
        sidecars: bool = False,
        columns: tuple[str, ...] = (),
    ) -> pa.Table:
        """Return what a reader gets; checks what holds for every stream."""
        topic_id = self.archive.describe_topic(locator).topic_id
        ticket = Ticket(locator, topic_id, start_ns, end_ns, sidecars, columns)
        described, batches = self.archive.read(ticket)
        schema, got = described.schema, list(batches)
        assert all(batch.num_rows for batch in got)
        assert all(batch.schema.equals(schema, check_metadata=True) for batch in got)
        return pa.Table.from_batches(got, schema)


@pytest.fixture(params=['sqlite+folder', 'postgres+s3'])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a new archive: every test runs on both kinds of storage."""
    storage: dict[str, Any] = {}
    if request.param == 'postgres+s3':
        storage = request.getfixturevalue('remote_storage')
    return Settings(data_dir=tmp_path / 'data', **storage)


@pytest.fixture
def stored(settings: Settings, request: pytest.FixtureRequest) -> Path:
    """The folder in which the objects of the archive are files, whoever serves them."""
    if settings.store_is_folder:
        return settings.store_dir
    server = request.getfixturevalue('s3_server')
    return Path(server.root / settings.store_bucket)


@pytest.fixture
def open_archive(settings: Settings) -> Iterator[Callable[..., Archive]]:
    """Return a function that opens the archive, with changed settings if any are given."""
    opened: list[Archive] = []

    def open_it(**changes: Any) -> Archive:
        archive = Archive(replace(settings, **changes))
        archive.start()
        opened.append(archive)
        return archive

    yield open_it
    for archive in opened:
        archive.close()


@pytest.fixture
def filled(open_archive: Callable[..., Archive]) -> Filled:
    """Return an empty archive with short ways to fill it."""
    return Filled(open_archive(), open_archive)
