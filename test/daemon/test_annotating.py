"""User metadata that is added while a session is open."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from mosaico_ros.protocol.errors import FailedPreconditionError, NotFoundError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])
RUN = SequenceLocator('run')


def test_keys_are_added_and_replaced_in_catalog_and_store(filled, stored) -> None:
    session = filled.session(metadata={'robot': 'r1', 'state': 'recording'})
    imu = filled.write(
        pa.table([[1, 2]], SCHEMA), 'run/imu', session=session, metadata={'frame': 'base'}
    )
    archive = filled.archive
    archive.annotate_session(session, {'state': 'closed'}, {imu: {'account': {'lost': 3}}})
    archive.annotate_session(session, {'note': 'x'}, {imu: {'account': {'lost': 4}}})
    sequence, topic = archive.describe_sequence(RUN), archive.describe_topic(imu)
    expected = {'robot': 'r1', 'state': 'closed', 'note': 'x'}
    assert sequence.user_metadata == expected
    assert topic.user_metadata == {'frame': 'base', 'account': {'lost': 4}}
    (kept,) = stored.rglob('sequence.json')
    assert json.loads(kept.read_bytes())['user_metadata'] == expected
    (kept,) = stored.rglob('topic.json')
    manifest = json.loads(kept.read_bytes())
    assert manifest['user_metadata'] == topic.user_metadata
    assert [chunk['rows'] for chunk in manifest['chunks']] == [2]
    assert filled.read(imu).column(0).to_pylist() == [1, 2]


def test_what_is_fixed_or_foreign_is_refused_and_nothing_of_it_is_done(filled) -> None:
    session = filled.session()
    imu, uuid = filled.create('run/imu', session=session)
    other = filled.write(pa.table([[1]], SCHEMA), 'other/imu')
    archive = filled.archive
    upload = archive.begin_upload(imu, uuid, SCHEMA)
    upload.append(pa.record_batch([pa.array([1])], SCHEMA))
    for locator in (other, TopicLocator('run', 'none')):
        with pytest.raises(NotFoundError, match=str(locator)):
            archive.annotate_session(session, {'a': 1}, {locator: {'b': 2}})
    with pytest.raises(FailedPreconditionError, match='still being uploaded'):
        archive.annotate_session(session, {'a': 1}, {imu: {'b': 2}})
    assert archive.describe_sequence(RUN).user_metadata == {}
    upload.finish()
    archive.finalize_session(session)
    with pytest.raises(FailedPreconditionError, match='finalized'):
        archive.annotate_session(session, {'a': 1}, {})
