"""Sessions ended as they stand: what a writer is told then is final."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from mosaico_ros.protocol.errors import AbortedError, FailedPreconditionError, NotFoundError
from mosaico_ros.protocol.locators import TopicLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])


def rows(*stamps: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(stamps, pa.int64())], SCHEMA)


def test_nothing_becomes_durable_after_the_answer(filled) -> None:
    session = filled.session()
    locator, uuid = filled.create('run/imu', session=session)
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(rows(1, 2, 3))
    upload.commit()
    upload.append(rows(4, 5))

    assert filled.archive.seal_session(session) == ({locator: 3}, True)
    with pytest.raises(AbortedError, match='lost its lease'):
        upload.commit()
    upload.abort('its stream has ended', keep_received=True)
    assert filled.read(locator).column(0).to_pylist() == [1, 2, 3]
    notes = filled.archive.notifications(locator, include_topics=False)
    assert ['3 rows are durable' in note.message for note in notes] == [True]
    with pytest.raises(FailedPreconditionError, match='finalized'):
        filled.create('run/more', session=session)
    # Again, after an answer that was lost.
    assert filled.archive.seal_session(session) == ({locator: 3}, True)


def test_a_complete_topic_stays_complete(filled) -> None:
    session = filled.session()
    locator = filled.write(pa.table([[1, 2]], SCHEMA), 'run/imu', session=session)
    assert filled.archive.seal_session(session) == ({locator: 2}, True)
    assert filled.archive.describe_topic(locator).locked
    assert not filled.archive.notifications(locator, include_topics=False)


def test_topics_without_rows_go_and_an_empty_session_can_be_used_on(filled, stored) -> None:
    session = filled.session()
    waiting, uuid = filled.create('run/waiting', session=session)
    begun, begun_uuid = filled.create('run/begun', session=session)
    upload = filled.archive.begin_upload(begun, begun_uuid, SCHEMA)
    upload.append(rows(1))

    assert filled.archive.seal_session(session) == ({}, False)
    for locator in (waiting, begun):
        with pytest.raises(NotFoundError):
            filled.archive.describe_topic(locator)
    with pytest.raises(AbortedError):
        upload.commit()
    upload.abort('its stream has ended', keep_received=True)
    with pytest.raises(NotFoundError):
        filled.archive.begin_upload(waiting, uuid, SCHEMA)

    again = filled.write(pa.table([[1, 2]], SCHEMA), 'run/begun', session=session)
    assert filled.archive.seal_session(session) == ({again: 2}, True)
    assert filled.read(again).column(0).to_pylist() == [1, 2]


def test_an_unknown_session_is_not_found(filled) -> None:
    with pytest.raises(NotFoundError):
        filled.archive.seal_session('00000000-0000-0000-0000-000000000000')


def test_the_count_is_exact_while_chunks_are_being_recorded(filled) -> None:
    told: list[int] = []
    for number in range(5):
        session = filled.session()
        locator, uuid = filled.create(f'run/t{number}', session=session)
        upload = filled.archive.begin_upload(locator, uuid, SCHEMA, told.append)
        begun = threading.Event()

        def write(upload=upload, begun=begun) -> None:
            try:
                for stamp in range(1000):
                    upload.append(rows(stamp))
                    upload.cut()
                    begun.set()
            except AbortedError:
                pass

        thread = threading.Thread(target=write)
        thread.start()
        begun.wait()
        counted, finalized = filled.archive.seal_session(session)
        thread.join()
        upload.abort('its stream has ended', keep_received=True)
        durable = counted.get(locator, 0)
        assert finalized == bool(durable)
        if durable:
            assert filled.read(locator).column(0).to_pylist() == list(range(durable))
        else:
            assert isinstance(locator, TopicLocator)
            with pytest.raises(NotFoundError):
                filled.archive.describe_topic(locator)
