"""The SDK over TLS, with API keys."""

from __future__ import annotations

import time

import pytest

from mosaico_ros import (
    IMU,
    Message,
    MosaicoClient,
    QueryOntologyCatalog,
    Vector3d,
)
from mosaico_ros.client.comm.connection import Endpoint
from mosaico_ros.protocol.errors import InvalidArgumentError, PermissionDeniedError


@pytest.fixture
def secure(make_daemon, tls_files):
    """A daemon with TLS that demands keys, and its keys."""
    daemon = make_daemon('--tls', '--api-key', **tls_files.settings())
    return daemon, daemon.make_keys()


@pytest.fixture
def connect(secure, tls_files):
    daemon, keys = secure

    def as_holder_of(key: str) -> MosaicoClient:
        return MosaicoClient.connect(
            'localhost', daemon.port, tls_cert_path=tls_files.ca, api_key=keys.get(key, key)
        )

    return as_holder_of


def imu(x: float) -> IMU:
    zero = Vector3d(x=0.0, y=0.0, z=0.0)
    return IMU(acceleration=Vector3d(x=x, y=0.0, z=9.81), angular_velocity=zero)


def test_each_key_does_what_it_may(connect):
    with connect('write') as client:
        with client.sequence_create('run', {}) as sequence:
            topic = sequence.topic_create('imu', {}, IMU)
            for i in range(100):
                topic.push(Message(timestamp_ns=i, data=imu(i)))
        with pytest.raises(PermissionDeniedError, match=r"sequence_delete.*'delete'"):
            client.sequence_delete('run')
    with connect('read') as client:
        read = [message.data for message in client.topic_handler('run', 'imu').get_data_streamer()]
        assert read == [imu(i) for i in range(100)]
        assert len(client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(98.5)))) == 1
        with pytest.raises(PermissionDeniedError, match=r"sequence_create.*'write'"):
            client.sequence_create('other', {}).__enter__()
    with connect('delete') as client:
        client.sequence_delete('run')
        assert client.list_sequences() == []


@pytest.mark.parametrize('key', ['expired', 'revoked', 'unknown', 'open sesame'])
def test_keys_that_are_not_valid_fail_at_once(connect, secure, key):
    begin = time.monotonic()
    with pytest.raises(PermissionDeniedError, match='refused the API key') as caught:
        connect(key)
    assert time.monotonic() - begin < 8
    secret = secure[1].get(key, key)
    assert secret not in str(caught.value)


@pytest.mark.parametrize('key', ['msco_abc\n', ' msco_abc', 'msco_ключ', 'msco_\x00'])
def test_a_key_that_cannot_be_sent(key):
    with pytest.raises(InvalidArgumentError, match='line break') as caught:
        MosaicoClient.connect('127.0.0.1', 1, api_key=key)
    assert 'msco_' not in str(caught.value)


def test_a_key_is_not_shown_by_what_holds_it():
    assert 'msco_' not in repr(Endpoint('host', 1, api_key='msco_abc'))


def test_credentials_come_from_the_environment(secure, tls_files, monkeypatch):
    daemon, keys = secure
    monkeypatch.setenv('MOSAICO_TLS_CERT_FILE', str(tls_files.ca))
    with pytest.raises(PermissionDeniedError, match='demands an API key'):
        MosaicoClient.from_env('localhost', daemon.port)
    monkeypatch.setenv('MOSAICO_API_KEY', keys['read'])
    with MosaicoClient.from_env('localhost', daemon.port) as client:
        assert client.list_sequences() == []
