"""Cleanup: what it removes, and above all what it never does."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from mosaico_ros.daemon.catalog.tables import sequences
from mosaico_ros.daemon.catalog.ulid import new_ulid
from mosaico_ros.daemon.removal import Removal, sweep
from mosaico_ros.daemon.routines import cleanup as module
from mosaico_ros.daemon.routines.cleanup import Cleaned, Cleanup
from mosaico_ros.daemon.routines.optimizer import Optimizer
from mosaico_ros.daemon.routines.rebuild import rebuild
from mosaico_ros.protocol.errors import CancelledError, FailedPreconditionError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


def rows(first: int, count: int = 3) -> pa.Table:
    times = np.arange(first, first + count)
    return pa.table([times, times * 0.5], schema=SCHEMA)


@pytest.fixture
def grown_up(monkeypatch):
    """Let folders count as old enough as soon as they are made."""
    monkeypatch.setattr(module, '_YOUNG_NS', 0)


def clean(archive, retention_s: float = 0.0, share: float = 0.5, **options) -> Cleaned:
    return Cleanup(
        archive._database,
        archive._store,
        archive._instance.id,
        retention_s,
        share,
        threading.Event(),
    ).run(**options)


def files(stored: Path) -> set[str]:
    return {
        str(path.relative_to(stored))
        for path in stored.rglob('*')
        if path.is_file() and not path.is_relative_to(stored / 'tmp')
    }


def forget(archive, *names: str) -> None:
    """Have the catalog lose sequences, as one that is restored from an old backup has."""
    with archive._database.write() as connection:
        connection.execute(sequences.delete().where(sequences.c.name.in_(names)))


def test_deleted_folders_go_when_the_retention_has_passed(filled, stored, grown_up):
    kept, doomed = filled.write(rows(0), 'kept/imu'), filled.write(rows(5), 'doomed/imu')
    filled.archive.delete_sequence(SequenceLocator(doomed.sequence))
    before = files(stored)
    assert clean(filled.archive, 3600) == Cleaned()
    assert files(stored) == before
    (purged,) = clean(filled.archive).purged
    assert purged.startswith('sequences/doomed.')
    assert {path for path in before if '/doomed.' not in path} <= files(stored)
    assert not any(path.startswith('sequences/doomed.') for path in files(stored))
    assert filled.read(kept).equals(rows(0))
    assert clean(filled.archive) == Cleaned()


def test_a_dry_run_names_what_would_go_and_touches_nothing(filled, stored, grown_up):
    filled.write(rows(0), 'kept/imu')
    filled.archive.delete_sequence(SequenceLocator(filled.write(rows(5), 'doomed/imu').sequence))
    leftover = f'sequences/half.{new_ulid()}'
    filled.archive._store.put(f'{leftover}/sequence.json', b'{}')
    time.sleep(0.002)
    before = files(stored)
    found = clean(filled.archive, dry_run=True)
    assert found.marked == [leftover]
    assert len(found.purged) == 1
    assert files(stored) == before


def test_leftovers_of_creations_are_marked_then_removed_by_a_later_run(filled, stored, grown_up):
    topic = filled.write(rows(0))
    (sequence,) = stored.glob('sequences/*')
    leftovers = [
        f'sequences/half.{new_ulid()}',
        f'sequences/{sequence.name}/topics/half.{new_ulid()}',
    ]
    for folder in leftovers:
        filled.archive._store.put(f'{folder}/some.json', b'{}')
    time.sleep(0.002)
    first = clean(filled.archive)
    assert (first.marked, first.purged) == (leftovers, [])
    assert all((stored / folder / 'TO_DELETE').exists() for folder in leftovers)
    second = clean(filled.archive)
    assert (second.marked, sorted(second.purged)) == ([], sorted(leftovers))
    assert not any(list((stored / folder).glob('*')) for folder in leftovers)
    assert filled.read(topic).equals(rows(0))


def test_young_folders_and_those_of_others_are_left_alone(filled):
    filled.write(rows(0))
    for folder in (f'sequences/young.{new_ulid()}', 'sequences/notes', 'sequences/notes.txt'):
        filled.archive._store.put(f'{folder}/file', b'x')
    assert clean(filled.archive) == Cleaned()


def test_data_that_was_never_deleted_is_not_marked(filled, stored, grown_up):
    """A catalog restored from an old backup does not know the newest sequences."""
    for number in range(4):
        filled.write(rows(number), f's{number}/imu')
    before = files(stored)
    forget(filled.archive, 's3')
    time.sleep(0.002)
    found = clean(filled.archive)
    assert [Path(folder).name.split('.')[0] for folder in found.unexplained] == ['s3']
    assert found == Cleaned(unexplained=found.unexplained)
    clean(filled.archive)
    assert files(stored) == before
    assert clean(filled.archive, force=True).marked == found.unexplained
    assert clean(filled.archive).purged == found.unexplained


def test_an_empty_catalog_is_refused_even_by_force(filled, stored, grown_up):
    filled.write(rows(0))
    before = files(stored)
    forget(filled.archive, 'run')
    for force in (False, True):
        with pytest.raises(FailedPreconditionError, match='catalog is empty'):
            clean(filled.archive, force=force)
    assert files(stored) == before


def test_an_archive_from_which_all_was_deleted_is_cleaned(filled, stored, grown_up):
    filled.archive.delete_sequence(SequenceLocator(filled.write(rows(0)).sequence))
    assert len(clean(filled.archive).purged) == 1
    assert not list(stored.rglob('*.parquet'))


def test_a_store_of_another_catalog_is_refused(filled, stored, grown_up):
    """Also one that was put in the place of the right one under a running daemon."""
    filled.archive.delete_sequence(SequenceLocator(filled.write(rows(0)).sequence))
    description = json.loads((stored / 'store.json').read_text())
    filled.archive._store.put(
        'store.json', json.dumps(description | {'store_id': 'another'}).encode()
    )
    before = files(stored)
    with pytest.raises(FailedPreconditionError, match='belongs to the store'):
        clean(filled.archive, force=True)
    filled.archive._store.delete('store.json')
    with pytest.raises(FailedPreconditionError, match='nobody'):
        clean(filled.archive)
    assert files(stored) == before - {'store.json'}


def test_too_large_a_share_is_marked_by_force_only(filled, stored, grown_up):
    for number in range(8):
        filled.write(rows(number), f's{number}/imu')
    forget(filled.archive, *(f's{number}' for number in range(1, 8)))
    time.sleep(0.002)
    before = files(stored)
    with pytest.raises(FailedPreconditionError, match='7 of 9 folders'):
        clean(filled.archive)
    assert files(stored) == before
    assert len(clean(filled.archive, force=True).marked) == 7


def test_a_marked_folder_that_is_known_again_loses_its_mark_only(filled, stored, grown_up):
    topic = filled.write(rows(0))
    with filled.archive._database.read() as connection:
        folder = connection.execute(sa.select(sequences.c.folder)).scalar_one()
    Removal(filled.archive._database, filled.archive._store, 60).mark(folder)
    assert (stored / folder / 'TO_DELETE').exists()
    assert clean(filled.archive) == Cleaned()
    assert not (stored / folder / 'TO_DELETE').exists()
    assert filled.read(topic).equals(rows(0))


def test_chunks_that_are_not_the_topics_go_and_its_manifest_is_put_right(filled, stored):
    topic = filled.write(rows(0))
    (manifest,) = stored.glob('sequences/*/topics/*/topic.json')
    right = json.loads(manifest.read_text())
    folder = str(manifest.parent.relative_to(stored))
    (chunk,) = manifest.parent.glob('*.parquet')
    store = filled.archive._store
    store.put(f'{folder}/200000000.parquet', chunk.read_bytes())
    # As if a switch had been cut short just before its commit.
    wrong = right | {'chunks': [right['chunks'][0] | {'number': 200000000}]}
    store.put(f'{folder}/topic.json', json.dumps(wrong).encode())
    assert clean(filled.archive).swept == [f'{folder}/200000000.parquet']
    assert list(manifest.parent.glob('*.parquet')) == [chunk]
    assert json.loads(manifest.read_text())['chunks'] == right['chunks']
    assert filled.read(topic).equals(rows(0))


def test_uploads_creations_and_deletions_go_on_while_it_cleans(filled, open_archive, stored):
    ended = threading.Event()
    faults: list[BaseException] = []

    def keep_cleaning() -> None:
        other = open_archive(cleanup_retention_duration=0)
        while not ended.is_set():
            try:
                clean(other, share=1.0)
            except BaseException as error:
                faults.append(error)
                return

    def write(number: int) -> None:
        try:
            for at in range(3):
                name = f's{number}_{at}'
                topic = filled.write([rows(0), rows(3), rows(6)], f'{name}/imu')
                if at == 1:
                    filled.archive.delete_sequence(SequenceLocator(topic.sequence))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    cleaner = threading.Thread(target=keep_cleaning)
    for thread in (cleaner, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    cleaner.join()
    assert faults == []
    for number in range(3):
        for at in (0, 2):
            table = filled.read(TopicLocator(f's{number}_{at}', 'imu'))
            assert table.equals(rows(0, 9))
    clean(filled.archive, share=1.0)
    assert len(list(stored.rglob('*.parquet'))) == 18


def test_it_is_finished_after_a_fault_at_any_step(filled, stored, grown_up, reaches_end):
    kept = filled.write(rows(0), 'kept/imu')
    archive = filled.archive
    store_calls = archive._store, 'put', 'create', 'delete', 'delete_folder'
    steps = 0
    while True:
        doomed = filled.write(rows(5), f'doomed{steps}/imu')
        archive.delete_sequence(SequenceLocator(doomed.sequence))
        archive._store.put(f'sequences/half.{new_ulid()}/sequence.json', b'{}')
        (manifest,) = stored.glob('sequences/kept.*/topics/*/topic.json')
        folder = str(manifest.parent.relative_to(stored))
        archive._store.put(f'{folder}/{300000000 + steps}.parquet', b'stray')
        time.sleep(0.002)
        done = reaches_end(
            lambda: clean(archive), steps, store_calls, (archive._database, 'write')
        )
        clean(archive)
        clean(archive)
        assert {path.split('/')[1].split('.')[0] for path in files(stored) if '/' in path} <= {
            'kept',
            *(f'doomed{number}' for number in range(steps + 1)),
        }
        assert len(list(stored.rglob('*.parquet'))) == 1
        assert not list(stored.rglob('TO_DELETE'))
        assert filled.read(kept).equals(rows(0))
        if done:
            break
        steps += 1
    assert steps > 5


def test_it_stops_when_told(filled):
    filled.write(rows(0))
    stop = threading.Event()
    stop.set()
    archive = filled.archive
    with pytest.raises(CancelledError):
        Cleanup(archive._database, archive._store, archive._instance.id, 0.0, 0.5, stop).run()


@pytest.fixture
def backup(filled, settings):
    """``backup()`` returns a function that puts the catalog of now back, later."""

    def take():
        copy = settings.data_dir / 'backup.db'
        with (
            closing(sqlite3.connect(settings.data_dir / 'catalog.db')) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            # Whoever was at work then is dead when it is restored.
            target.execute("UPDATE instances SET started = 'another process'")
            target.commit()

        def restore() -> None:
            filled.archive.close()
            for file in settings.data_dir.glob('catalog.db*'):
                file.unlink()
            copy.rename(settings.data_dir / 'catalog.db')
            filled.archive = filled.open_archive()

        return restore

    return take


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
def test_chunks_that_a_restored_catalog_does_not_know_are_kept(
    filled, stored, backup, settings, lose_catalog
):
    """They have replaced all those that it knows."""
    topic = filled.write([rows(at * 3) for at in range(10)])
    restore = backup()
    archive = filled.archive
    Optimizer(
        archive._database, archive._store, archive._instance.id, 1 << 20, threading.Event()
    ).run()
    before = filled.read(topic)
    topic_id = archive.describe_topic(topic).topic_id
    sweep(archive._database, archive._store, topic_id, archive._instance.id)
    (chunk,) = stored.rglob('*.parquet')
    restore()
    assert clean(filled.archive).swept == []
    assert chunk.exists()
    filled.archive.close()
    rebuild(lose_catalog(settings), lambda done, total: None)
    filled.archive = filled.open_archive()
    assert filled.read(topic).equals(before)


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
def test_an_upload_that_a_restored_catalog_knows_in_part_is_kept(
    filled, stored, backup, settings, lose_catalog
):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(rows(0).to_batches()[0])
    upload.commit()
    restore = backup()
    upload.append(rows(3).to_batches()[0])
    upload.finish()
    (manifest,) = stored.glob('sequences/*/topics/*/topic.json')
    before = files(stored), manifest.read_bytes()
    restore()
    assert filled.read(locator).num_rows == 3
    assert clean(filled.archive).swept == []
    assert before[0] <= files(stored)
    assert manifest.read_bytes() == before[1]
    filled.archive.close()
    rebuild(lose_catalog(settings), lambda done, total: None)
    filled.archive = filled.open_archive()
    assert filled.read(locator).equals(rows(0, 6))
