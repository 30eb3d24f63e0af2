"""Bodies: what clients send is read, what is wrong is named."""

from __future__ import annotations

from uuid import UUID

import pytest

from mosaico_ros.protocol import flights, requests, shapes
from mosaico_ros.protocol.envelope import open_envelope, seal
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.locators import SequenceLocator, SessionLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.server_info import ServerConfig, ServerIdentity, ServerInfo

UID = '6f0b1c2e-51ab-4f0e-9c69-0d6b1f9d2a11'
ULID = '01JB2M4T9QX7WZ3N5V8K6R1C0D'
TOPIC_CREATE = {
    'session_uuid': UID,
    'locator': 'dock_07/arm/imu',
    'serialization_format': 'default',
    'ontology_tag': 'IMU',
    'user_metadata': {'mount': 'wrist'},
}


def test_topic_create_is_read_and_written():
    request = shapes.from_json(requests.TopicCreate, TOPIC_CREATE | {'extra': 1}, 'topic_create')
    assert request == requests.TopicCreate(
        UUID(UID),
        TopicLocator('dock_07', 'arm/imu'),
        SerializationFormat.Default,
        'IMU',
        {'mount': 'wrist'},
    )
    assert shapes.to_json(request) == TOPIC_CREATE


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'locator': None}, "'locator' of topic_create is null"),
        ({'locator': 5}, "'locator' of topic_create must be text, not 5"),
        ({'locator': 'a/b c'}, "' '"),
        ({'session_uuid': 'xyz'}, "'session_uuid' of topic_create cannot be 'xyz'"),
        ({'session_uuid': '{' + UID + '}'}, 'session_uuid'),
        ({'serialization_format': 'zip'}, 'default, ragged, image'),
        ({'user_metadata': []}, "'user_metadata' of topic_create must be a JSON object"),
        ({'ontology_tag': ''}, 'ontology tag'),
    ],
)
def test_wrong_fields_are_named(change, named):
    with pytest.raises(InvalidArgumentError) as caught:
        shapes.from_json(requests.TopicCreate, TOPIC_CREATE | change, 'topic_create')
    assert named in str(caught.value)


@pytest.mark.parametrize('name', ['session_uuid', 'locator', 'ontology_tag'])
def test_missing_fields_are_named(name):
    body = {key: value for key, value in TOPIC_CREATE.items() if key != name}
    with pytest.raises(InvalidArgumentError, match=f"'{name}' of topic_create is missing"):
        shapes.from_json(requests.TopicCreate, body, 'topic_create')


def test_optional_metadata_defaults_to_an_empty_object():
    for body in ({'locator': '/s/'}, {'locator': 's', 'user_metadata': None}):
        request = shapes.from_json(requests.SequenceCreate, body, 'sequence_create')
        assert request == requests.SequenceCreate(SequenceLocator('s'), {})


def test_session_delete_takes_either_name():
    by_locator = shapes.from_json(
        requests.SessionDelete, {'locator': f's:{ULID}'}, 'session_delete'
    )
    assert by_locator.locator == SessionLocator('s', ULID)
    by_uuid = shapes.from_json(requests.SessionDelete, {'session_uuid': UID}, 'session_delete')
    assert by_uuid.session_uuid == UUID(UID)
    with pytest.raises(InvalidArgumentError):
        shapes.from_json(requests.SessionDelete, {}, 'session_delete')


@pytest.mark.parametrize(
    ('body', 'fine'),
    [
        ({'resource_locator': 's'}, True),
        ({'resource_locator': 's/t', 'timestamp_ns_start': -(2**63)}, True),
        ({'resource_locator': 's/t', 'timestamp_ns_start': 1, 'timestamp_ns_end': 2}, True),
        ({'resource_locator': 's/t', 'timestamp_ns_start': 2, 'timestamp_ns_end': 2}, False),
        ({'resource_locator': 's/t', 'timestamp_ns_end': 2**63}, False),
        ({'resource_locator': 's/t', 'timestamp_ns_start': 1.5}, False),
        ({'resource_locator': 's/t', 'timestamp_ns_start': True}, False),
        ({'resource_locator': f's:{ULID}'}, False),
        ({}, False),
    ],
)
def test_info_command(body, fine):
    if fine:
        assert shapes.to_json(shapes.from_json(flights.InfoCommand, body, 'it')).items() >= set(
            body.items()
        )
    else:
        with pytest.raises(InvalidArgumentError):
            shapes.from_json(flights.InfoCommand, body, 'it')


def test_clustering_is_checked():
    body = {'locator': 's/t', 'clustering_dt_ns': 0, 'ontology': {'A.x': {'$gt': 1}}}
    assert (
        shapes.from_json(
            requests.Clusterize, body | {'timestamp_range': None}, 'it'
        ).timestamp_range
        is None
    )
    for change in (
        {'clustering_dt_ns': -1},
        {'ontology': {}},
        {'timestamp_range': {'start_ns': 5, 'end_ns': 5}},
        {'timestamp_range': {'start_ns': 5}},
        {'timestamp_range': 5},
    ):
        with pytest.raises(InvalidArgumentError):
            shapes.from_json(requests.Clusterize, body | change, 'it')
    other = body | {'locator': 'other/t'}
    for topics in ([body], [body, other]):
        with pytest.raises(InvalidArgumentError):
            shapes.from_json(requests.Intersect, {'topics': topics}, 'it')


def test_topic_info_round_trip_keeps_nulls():
    info = flights.TopicInfo(
        TopicLocator('s', 't'),
        SessionLocator('s', ULID),
        1,
        None,
        False,
        'IMU',
        SerializationFormat.Ragged,
        {},
        flights.DataInfo(None, 0, 0, 0),
        flights.LegacyInfo(0, 0, None),
    )
    body = shapes.to_json(info)
    assert body['data_info']['interval'] is None
    assert body['completed_at_ns'] is None
    assert 'time_window_info' not in body
    assert shapes.from_json(flights.TopicInfo, body, 'it') == info


def test_server_info_round_trip():
    info = ServerInfo.of(ServerConfig(3, 2, 1), ServerIdentity('mosaico_ros', '1.2.3'))
    body = shapes.to_json(info)
    assert body['semver']['major'] == 0
    announced = {'acks', 'sidecars', 'stripes', 'tokens', 'notifications', 'columns', 'query'}
    assert announced <= set(body['extensions'])
    assert shapes.from_json(ServerInfo, body, 'info') == info
    assert set(info.version_json()) == {'version', 'semver'}
    bare = {key: body[key] for key in ('version', 'semver', 'config')}
    assert shapes.from_json(ServerInfo, bare, 'info').extensions == []


def test_envelope():
    assert open_envelope('info', seal('info', {'a': 1})) == {'a': 1}
    assert open_envelope('info', seal('info', None)) is None
    assert open_envelope('info', seal('other', {'a': 1})) is None
