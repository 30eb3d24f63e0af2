"""Finding a daemon, and failing at once where waiting is no use."""

from __future__ import annotations

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mosaico_ros import GRPCCompression, MosaicoClient
from mosaico_ros.client.comm.connection import API_KEY_HEADER
from mosaico_ros.client.enums import GRPCCompressionAlgorithm, GRPCCompressionLevel
from mosaico_ros.models.core import columns
from mosaico_ros.models.sensors import IMU
from mosaico_ros.protocol.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    UnavailableError,
)


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    """A self-signed certificate for localhost: paths of key and certificate."""
    folder = tmp_path_factory.mktemp('tls')
    key, cert = folder / 'key.pem', folder / 'cert.pem'
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'),
            *('-keyout', str(key), '-out', str(cert), '-subj', '/CN=localhost'),
            *('-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


@pytest.fixture
def tls_daemon(make_daemon, certificate):
    key, cert = certificate
    return make_daemon(
        '--tls', MOSAICOD_TLS_CERT_FILE=str(cert), MOSAICOD_TLS_PRIVATE_KEY_FILE=str(key)
    )


class ScriptedDaemon(grpc.GenericRpcHandler):
    """Answers single actions from a table: bytes of an envelope, or a status to refuse with."""

    def __init__(self, answers, key=None):
        self._answers = answers
        self._key = key

    def service(self, details):
        metadata = dict(details.invocation_metadata)

        def act(request: bytes, context: grpc.ServicerContext):
            if self._key and metadata.get(API_KEY_HEADER.decode()) != self._key:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, 'no such key')
            name = request[2 : 2 + request[1]].decode()
            answer = self._answers.get(name, grpc.StatusCode.INVALID_ARGUMENT)
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, f'unknown action {name}')
            yield b'\x0a' + bytes([len(answer)]) + answer

        return grpc.unary_stream_rpc_method_handler(act)


@pytest.fixture
def serve():
    servers = []

    def start(*arguments) -> int:
        server = grpc.server(ThreadPoolExecutor(4), handlers=[ScriptedDaemon(*arguments)])
        servers.append(server)
        port = server.add_insecure_port('127.0.0.1:0')
        server.start()
        return port

    yield start
    for server in servers:
        server.stop(0)


def test_the_daemon_introduces_itself(client):
    info = client.info()
    assert (info.semver.major, info.semver.minor) == (0, 7)
    assert client.version() == info.version
    assert info.config.grpc_max_decode_message_size > 2**22
    assert {'acks', 'sidecars'} <= set(info.extensions)


def test_the_constructor_is_not_for_users():
    with pytest.raises(RuntimeError, match='connect'):
        MosaicoClient(connection=None)


def test_nobody_there(free_port):
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match=f'127.0.0.1:{free_port}') as caught:
        MosaicoClient.connect('127.0.0.1', free_port, timeout=0.5)
    assert 0.3 < time.monotonic() - begin < 10
    assert isinstance(caught.value, ConnectionError)
    assert 'mosaicod run' in str(caught.value)


def test_a_daemon_that_comes_up_late_is_found(make_daemon):
    early = make_daemon()
    early.stop()
    timer = threading.Timer(0.5, early.start)
    timer.start()
    with MosaicoClient.connect('127.0.0.1', early.port, timeout=20) as client:
        assert client.list_sequences() == []
    timer.join()


def test_a_wrong_key_fails_at_once(serve):
    port = serve({}, 'msco_right')
    begin = time.monotonic()
    with pytest.raises(PermissionDeniedError, match='refused the API key'):
        MosaicoClient.connect('127.0.0.1', port, timeout=30, api_key='msco_wrong')
    with pytest.raises(PermissionDeniedError, match='demands an API key'):
        MosaicoClient.connect('127.0.0.1', port, timeout=30)
    assert time.monotonic() - begin < 15


def test_older_daemons_answer_version_only(serve, monkeypatch):
    answer = (
        b'{"action":"version","response":{"version":"0.6",'
        b'"semver":{"major":0,"minor":6,"patch":3}}}'
    )
    port = serve({'version': answer}, 'msco_right')
    monkeypatch.setenv('MOSAICO_API_KEY', 'msco_right')
    with MosaicoClient.from_env('127.0.0.1', port) as client:
        info = client.info()
        assert info.version == '0.6'
        assert info.extensions == []
        assert info.config.grpc_max_decode_message_size == 16 * 1024 * 1024


def test_tls(tls_daemon, certificate, monkeypatch):
    _, cert = certificate
    with MosaicoClient.connect('localhost', tls_daemon.port, tls_cert_path=cert) as client:
        assert client.list_sequences() == []
    for variable in ('MOSAICO_TLS_CERT_FILE', 'MOSAICO_CERT_PATH'):
        monkeypatch.setenv(variable, str(cert))
        with MosaicoClient.from_env('localhost', tls_daemon.port) as client:
            assert client.version()
        monkeypatch.delenv(variable)


def test_an_untrusted_certificate_fails_at_once(tls_daemon):
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match='tls_cert_path'):
        MosaicoClient.connect('localhost', tls_daemon.port, timeout=30, enable_tls=True)
    assert time.monotonic() - begin < 15


def test_tls_towards_a_plain_daemon_fails_at_once(shared_daemon, certificate):
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match='--tls'):
        MosaicoClient.connect(
            'localhost', shared_daemon.port, timeout=30, tls_cert_path=certificate[1]
        )
    assert time.monotonic() - begin < 15


def test_a_certificate_file_that_cannot_be_used(tmp_path):
    with pytest.raises(InvalidArgumentError, match='cannot be read'):
        MosaicoClient.connect('localhost', tls_cert_path=tmp_path / 'missing.pem')
    empty = tmp_path / 'empty.pem'
    empty.write_bytes(b'')
    with pytest.raises(ValueError, match='no PEM'):
        MosaicoClient.connect('localhost', tls_cert_path=str(empty))


@pytest.mark.parametrize(
    'compression',
    [
        GRPCCompressionAlgorithm.Gzip,
        GRPCCompressionAlgorithm.StreamGzip,
        GRPCCompression(GRPCCompressionAlgorithm.Gzip, GRPCCompressionLevel.High),
    ],
)
def test_compressed_uploads(shared_daemon, name, make_imu, compression):
    messages = [make_imu(time_ns) for time_ns in range(1000)]
    with MosaicoClient.connect(
        shared_daemon.host, shared_daemon.port, compression=compression
    ) as client:
        with client.sequence_create(name) as sequence:
            sequence.topic_create('imu', ontology_type=IMU).push_batch(
                columns.encode(IMU, messages)
            )
        assert list(client.topic_handler(name, 'imu').get_data_streamer()) == messages
