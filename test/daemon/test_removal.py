"""What becomes of the files of deleted objects."""

from __future__ import annotations

import json
import threading

import pyarrow as pa
import pytest

from mosaico_ros.daemon import deletion
from mosaico_ros.daemon.removal import Removal
from mosaico_ros.protocol.errors import MosaicoError, NotFoundError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
RUN = SequenceLocator('run')


def rows(*times: int) -> pa.Table:
    return pa.table([list(times), [0.5] * len(times)], schema=SCHEMA)


def delete(filled, what: str) -> str:
    """Delete a topic by itself, with its session, or with its sequence; return its name."""
    uuid, session = filled.archive.create_session(RUN)
    topic = filled.write(rows(1, 2), 'run/imu', session=uuid)
    if what == 'topic':
        filled.archive.delete_topic(topic)
        return 'run/imu'
    if what == 'session':
        filled.archive.delete_session(session)
        return str(session)
    filled.archive.delete_sequence(RUN)
    return 'run'


@pytest.mark.parametrize('what', ['topic', 'session', 'sequence'])
def test_deleted_objects_are_gone_at_once_and_their_files_marked(filled, stored, what):
    filled.archive.create_sequence(RUN, {})
    name = delete(filled, what)
    with pytest.raises(NotFoundError):
        filled.archive.describe_topic(TopicLocator('run', 'imu'))
    (marker,) = stored.rglob('TO_DELETE')
    assert json.loads(marker.read_text())['what'] == name
    assert len(list(marker.parent.rglob('*.parquet'))) == 1
    # The name is free, and another one's files are its own.
    again = filled.write(rows(7), 'run/imu')
    assert filled.read(again)['timestamp_ns'].to_pylist() == [7]


@pytest.mark.parametrize('what', ['topic', 'session', 'sequence'])
def test_without_retention_files_go_with_the_deletion(filled, stored, what):
    filled.reopen(cleanup_retention_duration=0)
    filled.archive.create_sequence(RUN, {})
    delete(filled, what)
    assert not list(stored.rglob('TO_DELETE'))
    assert not list(stored.rglob('*.parquet'))


def test_deletion_cut_short_is_finished_at_the_next_start(filled, stored, monkeypatch):
    filled.reopen(cleanup_retention_duration=0)
    filled.write(rows(1))
    with monkeypatch.context() as crash:
        crash.setattr(Removal, 'settle', lambda *_: None)
        filled.archive.delete_sequence(RUN)
    assert list(stored.glob('sequences/*/*'))
    filled.reopen(cleanup_retention_duration=0)
    assert not list(stored.glob('sequences/*/*'))
    assert filled.archive.list_sequences() == []


@pytest.mark.parametrize('what', ['topic', 'session', 'sequence'])
def test_tombstones_follow_deletions_and_failed_ones_bury_nothing(
    filled, stored, monkeypatch, what
):
    filled.archive.create_sequence(RUN, {})
    with monkeypatch.context() as fault:
        fault.setattr(deletion, 'schedule', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            delete(filled, what)
    assert not list(stored.glob('tombstones/*'))
    assert filled.archive.describe_topic(TopicLocator('run', 'imu')).rows == 2
    filled.archive.delete_sequence(RUN)
    before = set(stored.glob('tombstones/*'))
    filled.archive.create_sequence(RUN, {})
    with monkeypatch.context() as crash:
        crash.setattr(Removal, 'settle', lambda *_: None)
        delete(filled, what)
    assert set(stored.glob('tombstones/*')) == before
    filled.reopen()
    buried = [json.loads(path.read_text()) for path in set(stored.glob('tombstones/*')) - before]
    # A session's topics are buried with it.
    assert len(buried) == (2 if what == 'session' else 1)
    assert all(stone['ids'] for stone in buried)
    assert not any((stored / f'{stone["folder"]}.json').exists() for stone in buried)


def test_chunk_that_comes_after_the_deletion_does_not_bring_the_folder_back(filled, stored):
    filled.reopen(cleanup_retention_duration=0)
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(rows(1).to_batches()[0])
    upload.commit()
    filled.archive.delete_topic(locator)
    upload.append(rows(2).to_batches()[0])
    with pytest.raises(MosaicoError):
        upload.finish()
    assert not list(stored.rglob('*.parquet'))


def test_deletions_of_two_daemons_at_once_remove_all(filled, open_archive, stored):
    filled.reopen(cleanup_retention_duration=0)
    other = open_archive(cleanup_retention_duration=0)
    names = [f's{number}' for number in range(8)]
    for name in names:
        filled.write(rows(1), f'{name}/imu')
    threads = [
        threading.Thread(target=archive.delete_sequence, args=(SequenceLocator(name),))
        for name, archive in zip(names, [filled.archive, other] * 4, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert filled.archive.list_sequences() == []
    assert not list(stored.rglob('*.parquet'))
