"""``check`` names every way in which catalog and store can differ, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog.tables import archive, chunks, notices, sessions, stats, topics
from mosaico_ros.daemon.manifests import Tombstone
from mosaico_ros.daemon.removal import Removal
from mosaico_ros.daemon.routines.check import CheckReport, check
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.store.base import put_json, tombstone_key
from mosaico_ros.protocol.errors import FailedPreconditionError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.shapes import to_json

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
RUN, IMU = SequenceLocator('run'), TopicLocator('run', 'imu')


def rows(*times: int) -> pa.Table:
    return pa.table([list(times), [float(time) for time in times]], schema=SCHEMA)


@pytest.fixture
def compare(settings: Settings) -> Callable[..., CheckReport]:
    """``compare()`` checks the archive of this test."""
    return lambda **options: check(settings, lambda done, total: None, **options)


@pytest.fixture
def whole(filled: Any) -> Any:
    """An archive in which everything has happened once."""
    session = filled.session('run', {'site': 'ü'})
    filled.write([rows(1, 2), rows(3)], 'run/imu', session=session)
    filled.archive.finalize_session(session)
    filled.archive.notify(RUN, 'error', 'x')
    filled.archive.notify(IMU, 'error', 'y')
    filled.create('run/created')
    return filled


class Harm:
    """Ways to damage an archive behind its back."""

    def __init__(self, filled: Any, stored: Path) -> None:
        self.store = filled.archive._store
        self._database = filled.archive._database
        self._stored = stored

    def key(self, pattern: str) -> str:
        (found,) = self._stored.glob(f'sequences/run.*/{pattern}')
        return str(found.relative_to(self._stored))

    def delete(self, pattern: str) -> None:
        self.store.delete(self.key(pattern))

    def copy(self, pattern: str, name: str) -> None:
        key = self.key(pattern)
        with self.store.open(key) as file:
            self.store.put(f'{key.rsplit("/", 1)[0]}/{name}', file.read())

    def edit(self, pattern: str, **changes: Any) -> None:
        key = self.key(pattern)
        with self.store.open(key) as file:
            body = json.loads(file.read())
        self.store.put(key, json.dumps(body | changes).encode())

    def sql(self, statement: sa.Executable) -> None:
        with self._database.write() as connection:
            connection.execute(statement)

    def bury(self, pattern: str) -> None:
        folder = self.key(pattern)
        stone = to_json(Tombstone('x', folder, 1, {}))
        put_json(self.store, tombstone_key(folder), stone)


TOPIC = 'topics/imu.*'
HARMS: dict[str, tuple[Callable[[Harm], None], str, str]] = {
    'no sequence.json': (lambda h: h.delete('sequence.json'), 'damaged|missing', 'sequence.json'),
    'no topic.json': (lambda h: h.delete(f'{TOPIC}/topic.json'), 'damaged|missing', 'topic.json'),
    'no session': (lambda h: h.delete('sessions/*.json'), 'missing', 'session'),
    'no schema': (lambda h: h.delete(f'{TOPIC}/schema.arrow'), 'damaged|missing', 'schema.arrow'),
    'no chunk': (lambda h: h.delete(f'{TOPIC}/00000001.parquet'), 'missing', '2 rows of run/imu'),
    'short chunk': (
        lambda h: h.store.put(h.key(f'{TOPIC}/00000001.parquet'), b'PAR1'),
        'differs',
        'has 4 bytes',
    ),
    'unknown chunk': (
        lambda h: h.copy(f'{TOPIC}/00000001.parquet', '00000009.parquet'),
        'unknown',
        '00000009.parquet',
    ),
    'other name': (lambda h: h.edit('sequence.json', name='walk'), 'differs', 'name'),
    'other metadata': (
        lambda h: h.edit(f'{TOPIC}/topic.json', user_metadata={'a': 1}),
        'differs',
        'user_metadata',
    ),
    'other state': (
        lambda h: h.edit(f'{TOPIC}/topic.json', state='interrupted'),
        'differs',
        'state',
    ),
    'other list': (lambda h: h.edit(f'{TOPIC}/topic.json', chunks=[]), 'differs', 'chunks'),
    'open session': (
        lambda h: h.edit('sessions/*.json', completed_at_ns=None),
        'differs',
        'completed_at_ns',
    ),
    'other schema': (
        lambda h: h.store.put(
            h.key(f'{TOPIC}/schema.arrow'), pa.schema([('x', pa.int8())]).serialize()
        ),
        'differs',
        'another schema',
    ),
    'broken manifest': (
        lambda h: h.store.put(h.key('sequence.json'), b'{'),
        'damaged',
        'sequence.json',
    ),
    'buried topic': (lambda h: h.bury(TOPIC), 'buried', 'run/imu has a tombstone'),
    'no notice': (lambda h: h.delete('notices/*.json'), 'missing', 'notification'),
    'unknown notice': (lambda h: h.sql(notices.delete()), 'unknown', 'notification'),
    'unknown topic': (
        lambda h: h.sql(topics.delete().where(topics.c.path == 'imu')),
        'unknown',
        'a folder',
    ),
    'unknown session': (lambda h: h.sql(sessions.delete()), 'unknown', 'a session'),
    'other totals': (
        lambda h: h.sql(topics.update().where(topics.c.path == 'imu').values(rows=7)),
        'differs',
        'its chunks give 3',
    ),
    'no folder': (
        lambda h: h.store.delete_folder(h.key(TOPIC)),
        'missing',
        'manifest of run/imu',
    ),
}


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
@pytest.mark.parametrize('name', HARMS)
def test_every_difference_is_named(whole, stored, compare, name):
    if name in ('no session', 'open session'):
        whole.archive.delete_topic(TopicLocator('run', 'created'))
        (other,) = (
            s.locator for s in whole.archive.describe_sequence(RUN).sessions if not s.locked
        )
        whole.archive.delete_session(other)
    assert compare(deep=True).differences == []
    harm, kind, text = HARMS[name]
    harm(Harm(whole, stored))
    found = compare().differences
    assert found
    named = [d for d in found if text in f'{d.where} {d.message}']
    assert named, found
    assert any(d.kind in kind.split('|') for d in named), named


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        (stats.update().values(nulls=1), 'statistics'),
        (chunks.update().values(t_min=0), 't_min 1, not 0'),
        (None, 'damaged'),
    ],
)
def test_only_a_deep_check_reads_chunks(whole, stored, compare, values, text):
    harm = Harm(whole, stored)
    if values is not None:
        harm.sql(values.where(sa.true()))
        if text != 'statistics':
            harm.sql(topics.update().where(topics.c.path == 'imu').values(t_min=0))
    else:  # a flipped bit in a page, found by its checksum
        key = harm.key(f'{TOPIC}/00000001.parquet')
        with harm.store.open(key) as file:
            content = bytearray(file.read())
        values = pq.read_metadata(pa.BufferReader(content)).row_group(0).column(1)
        content[values.data_page_offset + values.total_compressed_size - 1] ^= 1
        harm.store.put(key, content)
    shallow = [d for d in compare().differences if 'chunks' not in d.message]
    assert shallow == []
    assert any(text in f'{d.kind} {d.message}' for d in compare(deep=True).differences)


def test_what_is_under_way_or_waits_is_no_difference(whole, compare, monkeypatch):
    locator, uuid = whole.create('run/open')
    upload = whole.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(rows(1, 2).to_batches()[0])
    upload.commit()
    whole.write(rows(1), 'gone/t')
    whole.write(rows(1), 'run/gone')
    monkeypatch.setattr(Removal, 'settle', lambda *_: None)
    whole.archive.delete_sequence(SequenceLocator('gone'))
    whole.archive.delete_topic(TopicLocator('run', 'gone'))
    found = compare()
    assert found.differences == []
    assert found.waiting == 2
    assert (found.sequences, found.topics, found.chunks) == (1, 3, 3)
    upload.finish()
    assert compare(deep=True).differences == []


def test_catalogs_of_other_stores_are_refused(whole, settings, compare):
    whole.archive._database.close()
    with whole.archive._database.write() as connection:
        connection.execute(archive.update().values(store_id='other'))
    with pytest.raises(FailedPreconditionError, match='store other'):
        compare()
    missing = replace(settings, data_dir=settings.data_dir / 'none', store_bucket='none')
    with pytest.raises(FailedPreconditionError):
        check(missing, lambda done, total: None)
