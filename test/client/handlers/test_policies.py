"""What is kept, told and raised when a block fails."""
# ruff: noqa: PT012 - whole blocks are what fails here

from __future__ import annotations

import pytest

from mosaico_ros import (
    GPS,
    IMU,
    MosaicoClient,
    SessionLevelErrorPolicy,
    SessionStatus,
    TopicLevelErrorPolicy,
    TopicWriterStatus,
)
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError


class SensorFault(Exception):
    """What a user's own code may raise."""


def rows(client: MosaicoClient, sequence: str, topic: str) -> int:
    return client.topic_handler(sequence, topic).message_count


def test_session_report_keeps_every_accepted_row(client, name, make_imu, make_gps):
    writer = client.sequence_create(name)
    with pytest.raises(SensorFault, match='smoke'), writer:
        imu = writer.topic_create('imu', ontology_type=IMU)
        gps = writer.topic_create('gps', ontology_type=GPS)
        for time_ns in range(1000):
            imu.push(make_imu(time_ns))
        gps.push(make_gps(1))
        raise SensorFault('smoke')
    assert writer.status is SessionStatus.Error
    assert imu.status is TopicWriterStatus.FinalizedWithError
    assert rows(client, name, 'imu') == 1000
    assert rows(client, name, 'gps') == 1
    handler = client.sequence_handler(name)
    assert [session.locked for session in handler.sessions] == [True]
    (note,) = client.list_sequence_notifications(name)
    assert 'smoke' in note.message
    assert handler.sessions[0].locator in note.message
    assert note.topic_name is None
    for topic in ('imu', 'gps'):
        (note,) = client.list_topic_notifications(name, topic)
        assert note.message == 'smoke'
    client.clear_sequence_notifications(name)
    client.clear_topic_notifications(name, 'imu')
    assert client.list_sequence_notifications(name) == []
    assert client.list_topic_notifications(name, 'imu') == []


def test_session_delete_leaves_nothing_of_a_new_sequence(client, name, make_imu):
    writer = client.sequence_create(name, on_error=SessionLevelErrorPolicy.Delete)
    with pytest.raises(SensorFault), writer:
        writer.topic_create('imu', ontology_type=IMU).push(make_imu(1))
        raise SensorFault
    assert writer.status is SessionStatus.Error
    assert not client.sequence_exists(name)


def test_session_delete_of_an_updater_leaves_the_sequence(client, name, make_imu):
    with client.sequence_create(name) as writer:
        writer.topic_create('imu', ontology_type=IMU).push(make_imu(1))
    updater = client.sequence_update(name, on_error=SessionLevelErrorPolicy.Delete)
    with pytest.raises(SensorFault), updater:
        updater.topic_create('more', ontology_type=IMU).push(make_imu(1))
        raise SensorFault
    assert client.sequence_handler(name).topics == ['/imu']
    assert rows(client, name, 'imu') == 1


@pytest.mark.parametrize('interrupt', [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize('policy', list(TopicLevelErrorPolicy))
def test_interrupts_pass_every_policy(client, name, make_imu, policy, interrupt):
    writer = client.sequence_create(name)
    with pytest.raises(interrupt), writer:
        imu = writer.topic_create('imu', ontology_type=IMU, on_error=policy)
        with imu:
            imu.push(make_imu(1))
            raise interrupt
    assert rows(client, name, 'imu') == 1


def test_topic_raise_reaches_the_session(client, name, make_imu):
    writer = client.sequence_create(name)
    with pytest.raises(SensorFault), writer:
        imu = writer.topic_create('imu', ontology_type=IMU)
        try:
            with imu:
                imu.push(make_imu(1))
                raise SensorFault('smoke')
        finally:
            assert imu.status is TopicWriterStatus.RaisedException
            assert imu.last_error == 'smoke'
    assert len(client.list_topic_notifications(name, 'imu')) == 1
    assert rows(client, name, 'imu') == 1


def test_topic_ignore_goes_on(client, name, make_imu):
    with client.sequence_create(name) as writer:
        imu = writer.topic_create('imu', ontology_type=IMU, on_error=TopicLevelErrorPolicy.Ignore)
        with imu:
            imu.push(make_imu(1))
        with imu:
            imu.push(None)
        assert imu.status is TopicWriterStatus.IgnoredLastError
        assert 'IMU' in imu.last_error
        assert imu.is_active
        with imu:
            imu.push(make_imu(2))
        assert imu.status is TopicWriterStatus.Active
    assert writer.status is SessionStatus.Finalized
    assert imu.status is TopicWriterStatus.Finalized
    assert rows(client, name, 'imu') == 2
    (note,) = client.list_topic_notifications(name, 'imu')
    assert 'NoneType' in note.message


def test_ignored_errors_are_told_in_bulk_when_they_are_many(client, name, make_imu):
    with client.sequence_create(name) as writer:
        imu = writer.topic_create('imu', ontology_type=IMU, on_error=TopicLevelErrorPolicy.Ignore)
        for time_ns in range(500):
            with imu:
                if time_ns % 2:
                    raise SensorFault(f'smoke {time_ns}')
                imu.push(make_imu(time_ns))
    assert rows(client, name, 'imu') == 250
    notes = client.list_topic_notifications(name, 'imu')
    assert len(notes) == 11
    assert notes[0].message == 'smoke 1'
    assert '240 more' in notes[-1].message
    assert 'smoke 499' in notes[-1].message


def test_topic_finalize_closes_one_topic_with_its_rows(client, name, make_imu, make_gps):
    with client.sequence_create(name) as writer:
        imu = writer.topic_create(
            'imu', ontology_type=IMU, on_error=TopicLevelErrorPolicy.Finalize
        )
        gps = writer.topic_create('gps', ontology_type=GPS)
        with imu:
            imu.push(make_imu(1))
            raise SensorFault('smoke')
        assert imu.status is TopicWriterStatus.FinalizedWithError
        assert not imu.is_active
        with pytest.raises(FailedPreconditionError, match='is_active'):
            imu.push(make_imu(2))
        gps.push(make_gps(1))
    assert writer.status is SessionStatus.Finalized
    assert rows(client, name, 'imu') == 1
    assert rows(client, name, 'gps') == 1
    assert [note.message for note in client.list_topic_notifications(name, 'imu')] == ['smoke']
    assert client.topic_handler(name, 'imu').locked


def test_policies_hold_only_inside_the_topics_own_block(client, name):
    with client.sequence_create(name) as writer:
        imu = writer.topic_create('imu', ontology_type=IMU, on_error=TopicLevelErrorPolicy.Ignore)
        with pytest.raises(InvalidArgumentError):
            imu.push(None)
        assert imu.status is TopicWriterStatus.RaisedException
    assert client.list_topic_notifications(name, 'imu') == []


@pytest.mark.parametrize('policy', list(SessionLevelErrorPolicy))
def test_a_clean_block_that_cannot_be_completed(client, name, make_imu, policy):
    """A row that does not fit shows only when the topic is closed."""
    broken = make_imu(2)
    broken.data.acceleration.__dict__['x'] = 'fast'
    writer = client.sequence_create(name, on_error=policy)
    with pytest.raises(InvalidArgumentError, match='timestamp_ns=2'), writer:
        imu = writer.topic_create('imu', ontology_type=IMU)
        gps = writer.topic_create('gps', ontology_type=GPS)
        imu.push(make_imu(1))
        imu.push(broken)
    assert writer.status is SessionStatus.Error
    assert imu.status is TopicWriterStatus.FinalizedWithError
    assert gps.status is TopicWriterStatus.Finalized
    assert client.sequence_exists(name) is (policy is SessionLevelErrorPolicy.Report)
    if policy is SessionLevelErrorPolicy.Report:
        assert rows(client, name, 'imu') == 1
        (note,) = client.list_sequence_notifications(name)
        assert 'timestamp_ns=2' in note.message


def test_a_block_without_topics_is_refused_by_the_daemon(client, name):
    with pytest.raises(FailedPreconditionError), client.sequence_create(name):
        pass
    assert client.sequence_exists(name)
    with (
        pytest.raises(FailedPreconditionError),
        client.sequence_create(f'{name}-b', on_error=SessionLevelErrorPolicy.Delete),
    ):
        pass
    assert not client.sequence_exists(f'{name}-b')
