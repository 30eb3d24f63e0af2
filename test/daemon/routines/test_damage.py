"""Stores that are damaged, or ahead of their catalog: what comes back, and what is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.daemon import archive as archive_module, merging
from mosaico_ros.daemon.manifests import write_topic_manifest
from mosaico_ros.daemon.routines.rebuild import rebuild
from mosaico_ros.protocol.errors import FailedPreconditionError, NotFoundError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
RUN = SequenceLocator('run')


def rows(*times: int) -> pa.Table:
    return pa.table([list(times), [float(time) for time in times]], schema=SCHEMA)


def key_of(stored: Path, pattern: str) -> str:
    (found,) = stored.glob(pattern)
    return str(found.relative_to(stored))


def nothing(done: int, total: int) -> None:
    pass


@pytest.fixture
def two(filled: Any) -> list[TopicLocator]:
    """Two sequences of one topic each, with two chunks."""
    return [filled.write([rows(1, 2), rows(3)], f'{name}/imu') for name in ('run', 'walk')]


@pytest.mark.parametrize(
    ('pattern', 'gone'),
    [
        ('sequences/run.*/sequence.json', True),
        ('sequences/run.*/topics/*/topic.json', True),
        ('sequences/run.*/sessions/*.json', False),
        ('sequences/run.*/notices/*.json', False),
        ('tombstones/gone.*.json', False),
    ],
)
def test_a_damaged_manifest_is_named_and_all_else_comes_back(
    filled, two, stored, rebuilt, pattern, gone
):
    filled.archive.notify(RUN, 'error', 'x')
    filled.archive.create_sequence(SequenceLocator('gone'), {})
    filled.archive.delete_sequence(SequenceLocator('gone'))
    damaged = key_of(stored, pattern)
    filled.archive._store.put(damaged, b'{"id": 1')
    report = rebuilt()
    assert any(damaged in fault for fault in report.faults)
    assert filled.read(two[1]).num_rows == 3
    if gone:
        with pytest.raises(NotFoundError):
            filled.archive.describe_topic(two[0])
        # The ids of what did not come back are not given to others.
        filled.archive.create_sequence(SequenceLocator('next'), {})
        assert filled.write(rows(1), 'next/imu')
        assert filled.archive.describe_topic(two[1]).topic_id == 2
        assert filled.archive.describe_topic(TopicLocator('next', 'imu')).topic_id > 3
    else:
        assert filled.read(two[0]).num_rows == 3


def test_without_its_schema_a_topic_is_named_and_kept(filled, two, stored, rebuilt):
    schema = key_of(stored, 'sequences/run.*/topics/*/schema.arrow')
    filled.archive._store.put(schema, b'nonsense')
    (fault,) = rebuilt().faults
    assert schema in fault
    assert filled.archive.describe_topic(two[0]).locked
    (note,) = filled.archive.notifications(two[0])
    assert '2 of the 2 chunks' in note.message
    assert filled.read(two[1]).num_rows == 3


@pytest.mark.parametrize('content', [None, b'PAR1 but not really PAR1'])
def test_a_lost_or_damaged_chunk_is_named_and_the_others_are_read(
    filled, two, stored, rebuilt, content
):
    chunk = key_of(stored, 'sequences/run.*/topics/*/00000001.parquet')
    if content is None:
        filled.archive._store.delete(chunk)
    else:
        filled.archive._store.put(chunk, content)
    for _ in range(2):
        report = rebuilt()
        (fault,) = report.faults
        assert chunk in fault
        assert filled.read(two[0])['timestamp_ns'].to_pylist() == [3]
        (note,) = filled.archive.notifications(two[0])
        assert '1 of the 2 chunks of run/imu are missing or damaged' in note.message


def test_a_lost_folder_of_a_topic_is_named(filled, two, stored, rebuilt):
    session = filled.session('run')
    filled.write(rows(1), 'run/lost', session=session)
    filled.archive.finalize_session(session)
    filled.archive._store.delete_folder(key_of(stored, 'sequences/run.*/topics/lost.*'))
    report = rebuilt()
    (fault,) = report.faults
    assert 'run/lost' in fault
    assert filled.read(two[0]).num_rows == 3


class BrokenError(RuntimeError):
    pass


def broken(*_: Any, **__: Any) -> None:
    raise BrokenError


def after(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function fail once it has done its work: the transaction never commits."""
    work = getattr(module, name)

    def run(*given: Any, **named: Any) -> None:
        work(*given, **named)
        broken()

    monkeypatch.setattr(module, name, run)


@pytest.mark.parametrize('again', [False, True])
def test_creations_that_failed_make_no_trouble(filled, rebuilt, monkeypatch, again):
    attempts = [
        ('write_sequence_manifest', lambda: filled.archive.create_sequence(RUN, {'a': 1})),
        ('write_session_manifest', lambda: filled.archive.create_session(RUN)),
        ('write_topic_manifest', lambda: filled.create('run/imu', session=session)),
    ]
    session = ''
    for name, attempt in attempts:
        with monkeypatch.context() as failing:
            after(archive_module, name, failing)
            with pytest.raises(BrokenError):
                attempt()
        if not again:
            break
        if name == 'write_sequence_manifest':
            filled.archive.create_sequence(RUN, {'b': 2})
        elif name == 'write_session_manifest':
            session, _ = filled.archive.create_session(RUN)
        else:
            filled.write(rows(1, 2), session=session)
    report = rebuilt()
    assert report.faults == []
    if again:
        assert filled.archive.describe_sequence(RUN).user_metadata == {'b': 2}
        assert filled.read(TopicLocator('run', 'imu')).num_rows == 2
        assert len(report.remarks) >= 2
    filled.write(rows(5), 'other/imu')


@pytest.mark.parametrize('instant', ['listed', 'written', 'replaced', 'committed'])
def test_a_crash_while_chunks_are_merged_loses_and_doubles_nothing(
    filled, settings, lose_catalog, monkeypatch, instant
):
    """The process ends at some instant of the merge: nothing that follows happens."""
    monkeypatch.setattr(merging, 'FAN_IN', 2)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    for first in range(5):
        upload.append(rows(*range(first, 100, 5)).to_batches()[0])
        upload.commit()
    store = filled.archive._store
    if instant == 'listed':
        monkeypatch.setattr(merging.ChunkEncoder, 'encode', broken)
    elif instant == 'written':
        monkeypatch.setattr(merging, 'replace_chunks', broken)
    elif instant == 'replaced':
        calls = []

        def written(*given: Any) -> None:
            write_topic_manifest(*given)
            calls.append(given)
            if len(calls) == 2:
                broken()

        monkeypatch.setattr(merging, 'write_topic_manifest', written)
    else:
        monkeypatch.setattr(type(store), 'delete', broken)
    with pytest.raises(BrokenError):
        upload.finish()
    monkeypatch.undo()
    store.close()  # dead: it seals nothing any more
    lost = lose_catalog(settings)
    report = rebuild(lost, nothing)
    assert (report.faults, report.interrupted) == ([], ['run/imu'])
    filled.archive = filled.open_archive(db_url=lost.db_url)
    table = filled.read(locator)
    assert table['timestamp_ns'].to_pylist() == list(range(100))
    assert np.array_equal(table['x'].to_numpy(), np.arange(100.0))


def test_what_was_deleted_stays_deleted_though_its_files_are_there(filled, two, stored, rebuilt):
    filled.archive.delete_sequence(RUN)
    filled.archive.delete_topic(two[1])
    assert list(stored.glob('sequences/run.*/topics/*/*.parquet'))
    report = rebuilt()
    assert (report.sequences, report.topics, report.faults) == (1, 0, [])
    assert [str(name) for name in filled.archive.list_sequences()] == ['walk']


def test_a_folder_that_only_a_cleanup_has_marked_comes_back_if_it_holds_rows(
    filled, two, stored, rebuilt
):
    filled.create('run/unused')
    for folder in stored.glob('sequences/run.*/topics/*'):
        filled.archive._store.put(f'{folder.relative_to(stored)}/TO_DELETE', b'{}')
    report = rebuilt()
    assert [t.locator.path for t in filled.archive.describe_sequence(RUN).topics] == ['imu']
    (remark,) = report.remarks
    assert 'unused' in remark


def test_notifications_that_were_purged_stay_away(filled, two, rebuilt):
    for text in ('one\ntwo', 'ü'):
        filled.archive.notify(RUN, 'error', text)
        filled.archive.notify(two[0], 'error', text)
    filled.archive.purge_notifications(two[0])
    before = filled.archive.notifications(RUN)
    rebuilt()
    assert filled.archive.notifications(RUN)[:2] == before
    assert [note.message for note in before] == ['one\ntwo', 'ü']
    assert filled.archive.notifications(two[0]) == []


def test_only_an_empty_catalog_is_rebuilt(filled, two, settings):
    with pytest.raises(FailedPreconditionError, match=r'in use|not empty'):
        rebuild(settings, nothing)
    filled.archive.close()
    with pytest.raises(FailedPreconditionError, match='knows 2 sequences'):
        rebuild(settings, nothing)
    filled.archive = filled.open_archive()
    assert filled.read(two[0]).num_rows == 3


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
def test_a_store_that_a_daemon_uses_is_refused(filled, two, settings, tmp_path):
    other = replace(settings, db_url=f'sqlite:///{tmp_path}/other.db')
    with pytest.raises(FailedPreconditionError, match='in use'):
        rebuild(other, nothing)


def test_a_place_without_a_store_is_refused(settings):
    with pytest.raises(FailedPreconditionError, match=r'store\.json is missing'):
        rebuild(settings, nothing)
    assert not settings.data_dir.exists()


def test_a_new_catalog_over_a_full_store_is_not_served(
    filled, two, settings, lose_catalog, open_archive
):
    filled.archive.close()
    lost = lose_catalog(settings)
    with pytest.raises(FailedPreconditionError, match='mosaicod rebuild'):
        open_archive(db_url=lost.db_url)
    assert rebuild(lost, nothing).sequences == 2


def test_a_rebuild_that_was_broken_off_starts_over_and_is_not_served(
    filled, two, settings, lose_catalog, open_archive
):
    filled.archive.close()
    lost = lose_catalog(settings)

    def stop(done: int, total: int) -> None:
        assert total == 2
        if done == 1:
            raise BrokenError

    with pytest.raises(BrokenError):
        rebuild(lost, stop)
    with pytest.raises(FailedPreconditionError, match='mosaicod rebuild'):
        open_archive(db_url=lost.db_url)
    report = rebuild(lost, nothing)
    assert (report.topics, report.chunks) == (2, 4)
    filled.archive = filled.open_archive(db_url=lost.db_url)
    for topic in two:
        assert filled.read(topic).num_rows == 3
