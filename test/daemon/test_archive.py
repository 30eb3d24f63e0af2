"""Life of sequences, sessions, topics and notifications."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pyarrow as pa
import pytest

from mosaico_ros.protocol.errors import (
    AbortedError,
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.ticket import Ticket

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
RUN = SequenceLocator('run')


def rows(*times: int) -> pa.Table:
    return pa.table([list(times), [float(time) for time in times]], schema=SCHEMA)


def test_sequence_keeps_its_metadata_and_order_of_creation(filled):
    metadata = {'site': {'hall': 'B', 'none': None}, 'list': [1, 'ü', 2**70], 'x': 1.5}
    filled.archive.create_sequence(SequenceLocator('b'), metadata)
    filled.archive.create_sequence(SequenceLocator('a'), {})
    assert [str(name) for name in filled.archive.list_sequences()] == ['b', 'a']
    assert filled.archive.describe_sequence(SequenceLocator('b')).user_metadata == metadata


def test_of_racing_creators_exactly_one_wins(filled):
    start = threading.Barrier(8)

    def create(_: int) -> str:
        start.wait()
        try:
            filled.archive.create_sequence(RUN, {})
        except AlreadyExistsError as error:
            return str(error)
        return 'won'

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(8)))
    assert outcomes.count('won') == 1
    assert all('run' in outcome for outcome in outcomes if outcome != 'won')


def test_unknown_names_are_not_found(filled):
    unknown = TopicLocator('run', 'x')
    for call in (
        lambda: filled.archive.describe_sequence(RUN),
        lambda: filled.archive.delete_sequence(RUN),
        lambda: filled.archive.create_session(RUN),
        lambda: filled.archive.describe_topic(unknown),
        lambda: filled.archive.delete_topic(unknown),
        lambda: filled.archive.finalize_session(str(uuid4())),
        lambda: filled.archive.delete_session(uuid=str(uuid4())),
        lambda: filled.archive.delete_session(SessionLocator('run', '0' * 26)),
        lambda: filled.archive.notify(RUN, 'error', 'x'),
        lambda: filled.archive.notifications(unknown),
        lambda: filled.archive.purge_notifications(unknown),
        lambda: filled.archive.begin_upload(unknown, str(uuid4()), SCHEMA),
        lambda: filled.archive.read(Ticket(unknown, 1)),
    ):
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(InvalidArgumentError, match='uuid'):
        filled.archive.finalize_session('not-a-uuid')


def test_topic_names_are_unique_in_the_whole_sequence(filled):
    filled.write(rows(1))
    with pytest.raises(AlreadyExistsError, match='run/imu'):
        filled.create('run/imu', session=filled.session())


def test_topic_needs_a_session_of_its_sequence(filled):
    other = filled.session('other')
    with pytest.raises(PermissionDeniedError, match='run'):
        filled.create('run/imu', session=other)


def test_finalize_refuses_what_is_not_finished(filled):
    session = filled.session()
    with pytest.raises(FailedPreconditionError, match='no topics'):
        filled.archive.finalize_session(session)
    locator, uuid = filled.create(session=session)
    with pytest.raises(FailedPreconditionError, match='no data'):
        filled.archive.finalize_session(session)
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    with pytest.raises(FailedPreconditionError, match='being uploaded'):
        filled.archive.finalize_session(session)
    upload.finish()
    filled.archive.finalize_session(session)
    with pytest.raises(FailedPreconditionError, match='already finalized'):
        filled.archive.finalize_session(session)
    with pytest.raises(FailedPreconditionError, match='finalized'):
        filled.create('run/other', session=session)
    described = filled.archive.describe_sequence(RUN).sessions[0]
    assert described.locked
    assert described.completed_at_ns is not None
    assert [str(topic) for topic in described.topics] == ['run/imu']


def test_session_with_an_interrupted_topic_can_be_ended(filled):
    session = filled.session()
    locator, uuid = filled.create(session=session)
    filled.archive.begin_upload(locator, uuid, SCHEMA).abort('cable pulled')
    filled.archive.finalize_session(session)
    assert not filled.archive.describe_topic(locator).locked


def test_upload_needs_the_right_uuid_once(filled):
    session = filled.session()
    imu, imu_uuid = filled.create('run/imu', session=session)
    _, gps_uuid = filled.create('run/gps', session=session)
    with pytest.raises(PermissionDeniedError, match='run/imu'):
        filled.archive.begin_upload(imu, gps_uuid, SCHEMA)
    upload = filled.archive.begin_upload(imu, imu_uuid, SCHEMA)
    with pytest.raises(FailedPreconditionError, match='uploading'):
        filled.archive.begin_upload(imu, imu_uuid, SCHEMA)
    upload.finish()
    with pytest.raises(FailedPreconditionError, match='locked'):
        filled.archive.begin_upload(imu, imu_uuid, SCHEMA)


def test_deleted_sequence_is_gone_and_its_name_free(filled, stored):
    locator = filled.write(rows(1, 2))
    old = filled.archive.describe_topic(locator)
    folders = list((stored / 'sequences').iterdir())
    filled.archive.delete_sequence(RUN)
    assert filled.archive.list_sequences() == []
    marker = json.loads((folders[0] / 'TO_DELETE').read_text())
    assert marker['what'] == 'run'
    tombstone = stored / 'tombstones' / f'{folders[0].name}.json'
    assert json.loads(tombstone.read_text())['deleted'] == 'run'
    # A ticket of the deleted topic does not read its successor.
    filled.write(rows(7))
    with pytest.raises(NotFoundError, match='deleted'):
        filled.archive.read(Ticket(locator, old.topic_id))
    assert filled.archive.describe_topic(locator).topic_id > old.topic_id


@pytest.mark.parametrize('finalized', [False, True])
@pytest.mark.parametrize('by', ['locator', 'uuid'])
def test_session_deletion_takes_its_topics_only(filled, finalized, by):
    keep = filled.write(rows(1), 'run/keep')
    uuid, session = filled.archive.create_session(RUN)
    doomed = filled.write(rows(1), 'run/doomed', session=uuid)
    filled.archive.notify(doomed, 'error', 'x')
    if finalized:
        filled.archive.finalize_session(uuid)
    filled.archive.delete_session(**{by: session if by == 'locator' else uuid})
    with pytest.raises(NotFoundError):
        filled.archive.describe_topic(doomed)
    assert filled.read(keep).num_rows == 1
    assert len(filled.archive.describe_sequence(RUN).sessions) == 1


def test_deleting_a_topic_during_its_upload_ends_the_upload(filled):
    locator, uuid = filled.create()
    upload = filled.archive.begin_upload(locator, uuid, SCHEMA)
    upload.append(rows(1, 2).to_batches()[0])
    upload.commit()
    filled.archive.delete_topic(locator)
    upload.append(rows(3).to_batches()[0])
    with pytest.raises((NotFoundError, AbortedError), match=r'run/imu|deleted'):
        upload.finish()
    with pytest.raises(NotFoundError):
        filled.archive.describe_topic(locator)


def test_notifications_belong_to_exactly_one_target(filled):
    topic = filled.write(rows(1))
    filled.archive.notify(RUN, 'error', 'first\nline two ü')
    filled.archive.notify(RUN, 'error', 'second')
    filled.archive.notify(topic, 'error', 'of the topic')
    assert [n.message for n in filled.archive.notifications(RUN)] == [
        'first\nline two ü',
        'second',
    ]
    assert [n.message for n in filled.archive.notifications(topic)] == ['of the topic']
    for _ in range(2):
        filled.archive.purge_notifications(RUN)
    assert filled.archive.notifications(RUN) == []
    assert len(filled.archive.notifications(topic)) == 1
    with pytest.raises(InvalidArgumentError, match='info'):
        filled.archive.notify(RUN, 'info', 'x')


def test_endpoints_come_by_session_then_topic(filled):
    first, second = filled.session(), filled.session()
    filled.write(rows(1), 'run/c', session=second)
    filled.write(rows(1), 'run/b', session=first)
    filled.write(rows(1), 'run/a', session=first)
    described = filled.archive.describe_sequence(RUN)
    assert [topic.locator.path for topic in described.topics] == ['b', 'a', 'c']


def test_catalog_and_store_must_belong_together(filled, open_archive, tmp_path):
    with pytest.raises(FailedPreconditionError, match='store'):
        open_archive(store_endpoint=f'file://{tmp_path}/elsewhere')


def test_archive_survives_reopening(filled):
    locator = filled.write(rows(3, 1, 2))
    filled.reopen()
    assert filled.read(locator)['timestamp_ns'].to_pylist() == [1, 2, 3]
