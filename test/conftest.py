"""Fixtures for all tests: real daemons, each a process of its own, and short ways to call them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from mosaico_ros import MosaicoClient

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.flight as flight

# Test machines are shared; a slow example says nothing about the code. Whoever asks for a thorough
# test, by MOSAICO_THOROUGH=1, has hours: more examples, all crash points on PostgreSQL and S3.
hypothesis.settings.register_profile('shared', deadline=None)
hypothesis.settings.register_profile('thorough', deadline=None, max_examples=1000)
THOROUGH = bool(os.environ.get('MOSAICO_THOROUGH'))
hypothesis.settings.load_profile('thorough' if THOROUGH else 'shared')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a thorough test take its time."""
    if THOROUGH:
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


SERVICE = '/arrow.flight.protocol.FlightService/'
READY = re.compile(r'ready on (grpc(?:\+tls)?)://(.+):(\d+) ')


class Nursery:
    """The process whose forks are the daemons and commands of a worker; see ``nursery.py``."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        program = Path(__file__).with_name('nursery.py')
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(program)], stdin=theirs, env=inherited
            )
        self._answers = self._socket.makefile()
        self._turn = threading.Lock()

    def start(
        self,
        program: str,
        arguments: Iterable[object],
        environment: dict[str, str],
        *streams: int,
        folder: Path | str = '.',
    ) -> Forked:
        """Start ``mosaico`` or ``mosaicod`` on three descriptors."""
        told, code = os.pipe()
        asked = [program, [*map(str, arguments)], environment, str(Path(folder).absolute())]
        request = json.dumps(asked).encode() + b'\n'
        with self._turn:
            sent = socket.send_fds(self._socket, [request], [*streams, code])
            self._socket.sendall(request[sent:])
            pid = int(self._answers.readline())
        os.close(code)
        return Forked(pid, told)

    def end(self) -> None:
        self._answers.close()
        self._socket.close()
        self._process.wait()


class Forked:
    """A process of another one's, used like a :class:`subprocess.Popen`."""

    def __init__(self, pid: int, code: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._code = code

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._code], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired('mosaicod', timeout or 0)
            self.returncode = int(os.read(self._code, 20) or -signal.SIGKILL)
            os.close(self._code)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # just ended; its code is on the way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def nursery() -> Nursery:
    """Return the nursery of this worker."""
    made = Nursery()
    atexit.register(made.end)
    return made


class Reservation:
    """The first free number of a range; no other process of the tests gets it while this lives."""

    def __init__(self, kind: str, numbers: Iterable[int]) -> None:
        self._lock = socket.socket(socket.AF_UNIX)
        for self.number in numbers:
            # A name without a file, which the system forgets with the process.
            with contextlib.suppress(OSError):
                self._lock.bind(f'\0mosaico_ros_test_{kind}_{self.number}')
                return
        raise RuntimeError(f'Every {kind} for tests is taken by other runs')

    def end(self) -> None:
        """Let others have it."""
        self._lock.close()


def reserve_port() -> Reservation:
    """Reserve a port on which nobody listens.

    The system never gives it to a connection, as it does with ports from 32768 on: it is still
    free when a daemon that was killed comes back to it.
    """

    def unused() -> Iterator[int]:
        for port in random.Random().sample(range(15_000, 32_000), 1_000):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(('127.0.0.1', port))
                yield port

    return Reservation('port', unused())


class DaemonProcess:
    """A daemon in a process of its own, on a port of its own.

    After :meth:`kill` or :meth:`stop`, :meth:`start` serves the same data folder again, on the
    same port.
    """

    host = '127.0.0.1'

    def __init__(
        self,
        data_dir: Path,
        options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.options = options
        self.environment = environment or {}
        self._reservation = reserve_port()
        self.port = self._reservation.number
        self.log = data_dir.parent / f'{data_dir.name}.log'
        self.process: Forked | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        options = ['--port', self.port, '--data-dir', self.data_dir, '--log-level', 'debug']
        options += ['--log-format', 'plain', *self.options]
        reading, writing = os.pipe()
        with open(os.devnull) as nothing, self.log.open('a') as log, open(writing, 'w') as told:
            self.process = nursery().start(
                *('mosaicod', ['run', *options], inherited | self.environment),
                *(nothing.fileno(), told.fileno(), log.fileno()),
            )
        self._output = os.fdopen(reading)
        line = self._output.readline()
        ready = READY.search(line)
        if not ready:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f'The daemon did not start: {line!r}\n{self.log.read_text()}')

    @property
    def url(self) -> str:
        """Where Flight clients connect."""
        return f'grpc://{self.host}:{self.port}'

    def client(self) -> MosaicoClient:
        """A client of our SDK."""
        return MosaicoClient.connect(self.host, self.port, timeout=10)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order; return its exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop it (unless it is dead already) and serve the same folder again."""
        self.stop()
        self.start()

    def make_keys(self) -> dict[str, str]:
        """Make one token per permission, and some that are not valid any more; by kind."""
        from mosaico_ros.daemon.catalog.database import Database
        from mosaico_ros.daemon.keys import Keys
        from mosaico_ros.protocol.api_keys import ApiKeyToken, Permission

        database = Database(f'sqlite:///{self.data_dir}/catalog.db')
        keys = Keys(database)
        made = {permission.value: keys.create(permission).reveal() for permission in Permission}
        expires_at_ns = time.time_ns() + 1_000_000_000
        made['expired'] = keys.create(Permission.MANAGE, '', expires_at_ns).reveal()
        revoked = keys.create(Permission.MANAGE)
        keys.revoke(revoked.fingerprint)
        made['revoked'] = revoked.reveal()
        made['unknown'] = ApiKeyToken('0a' * 16).reveal()
        time.sleep(max(0, expires_at_ns - time.time_ns()) / 1e9)
        database.close()
        return made

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self._output.close()
        return code


@pytest.fixture(scope='session')
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``run_command('mosaico', 'ls')`` runs one of our commands to its end."""

    def run(
        program: str,
        *arguments: object,
        env: dict[str, str] | None = None,
        cwd: Path | str = '.',
        answer: str = '',
    ) -> subprocess.CompletedProcess[str]:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile('w+')) for _ in range(3)]
            files[0].write(answer)
            files[0].seek(0)
            streams = [file.fileno() for file in files]
            environment = dict(os.environ) if env is None else env
            process = nursery().start(program, arguments, environment, *streams, folder=cwd)
            try:
                code = process.wait(timeout=120)
            finally:
                process.kill()
            for file in files:
                file.seek(0)
            return subprocess.CompletedProcess(
                [program, *arguments], code, files[1].read(), files[2].read()
            )

    return run


@pytest.fixture(scope='session')
def postgres() -> Iterator[Callable[[], str]]:
    """``postgres()`` returns the URL of an empty catalog on a PostgreSQL server of the tests."""
    pgserver = pytest.importorskip('pgserver', reason='pgserver is not installed')
    import psycopg

    # Not below pytest's folder: run as root, the server has a user of its own.
    folder = Path(tempfile.mkdtemp(prefix='mosaico-postgres-'))
    server = pgserver.get_server(folder)
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('ALTER SYSTEM SET fsync = off')  # for speed; it is never killed
        connection.execute('SELECT pg_reload_conf()')

        def new() -> str:
            name = f'test_{uuid.uuid4().hex}'
            connection.execute(f'CREATE SCHEMA {name}')
            return f'{url}&options=-csearch_path%3D{name}'

        yield new
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


class S3Server:
    """rclone, serving a folder as S3."""

    access_key, secret_key = 'mosaico-test', 'mosaico-test-secret'

    def __init__(self, root: Path) -> None:
        self.root = root / 'objects'
        self.root.mkdir()
        self.log = root / 'rclone.log'
        program = shutil.which('rclone', path=str(Path(sys.executable).parent))
        if program is None:
            pytest.skip('rclone is not installed')
        command = [program, 'serve', 's3', '--addr', '127.0.0.1:0', '--config', '']
        command += ['--auth-key', f'{self.access_key},{self.secret_key}', str(self.root)]
        with self.log.open('w') as log:
            self.process = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + 20
        while not (found := re.search(r'server on \[(http://.*?)/\]', self.log.read_text())):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        self.endpoint = found.group(1)

    def new_bucket(self) -> str:
        """Return the name of a new bucket; its objects are files below ``root / name``."""
        name = f'test-{uuid.uuid4().hex[:16]}'
        self.client.create_bucket(Bucket=name)
        return name

    @functools.cached_property
    def client(self) -> Any:
        """A boto3 client."""
        import boto3

        return boto3.client(
            's3',
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name='us-east-1',
        )

    @property
    def credentials(self) -> dict[str, str]:
        """Where it is and how to get in."""
        return {
            'endpoint': self.endpoint,
            'access_key': self.access_key,
            'secret_key': self.secret_key,
        }


@pytest.fixture(scope='session')
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server of the tests."""
    pytest.importorskip('boto3', reason='boto3 is not installed')
    server = S3Server(tmp_path_factory.mktemp('s3'))
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(scope='session')
def new_storage(postgres: Callable[[], str], s3_server: S3Server) -> Callable[[], dict[str, Any]]:
    """``new_storage()`` returns settings of an archive on PostgreSQL and S3, both new."""
    return lambda: {
        'db_url': postgres(),
        'store_endpoint': s3_server.endpoint,
        'store_bucket': s3_server.new_bucket(),
        'store_access_key': s3_server.access_key,
        'store_secret_key': s3_server.secret_key,
    }


@pytest.fixture
def remote_storage(new_storage: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Settings of an archive of this test alone on PostgreSQL and S3."""
    return new_storage()


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """``make_daemon('--option', VARIABLE='value')`` starts a daemon in a fresh folder."""
    with contextlib.ExitStack() as stack:
        count = 0

        def make(*options: str, **environment: str) -> DaemonProcess:
            nonlocal count
            count += 1
            process = DaemonProcess(tmp_path / f'archive{count}', options, environment)
            process.start()
            stack.callback(process.kill)
            return process

        yield make


@pytest.fixture
def daemon(make_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    """A daemon of this test alone, with default settings."""
    return make_daemon()


@pytest.fixture(scope='session')
def start_shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., DaemonProcess]]:
    """``start_shared(VARIABLE='value')`` starts a daemon that many tests of a worker share."""
    with contextlib.ExitStack() as stack:

        def start(**environment: str) -> DaemonProcess:
            folder = tmp_path_factory.mktemp('shared') / 'archive'
            process = DaemonProcess(folder, environment=environment)
            process.start()
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture(scope='session')
def shared_daemon(start_shared: Callable[..., DaemonProcess]) -> DaemonProcess:
    """One daemon for all tests of a worker that keep to sequence names of their own."""
    return start_shared()


@pytest.fixture(scope='session')
def keyed_daemon(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[DaemonProcess, dict[str, str]]]:
    """One daemon that demands API keys, and its keys; for tests that revoke none of these."""
    process = DaemonProcess(tmp_path_factory.mktemp('keyed') / 'archive', ('--api-key',))
    keys = process.make_keys()
    process.start()
    yield process, keys
    process.kill()


class TlsFiles:
    """PEM files in a folder: an authority, and certificates that it signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.ca_key = folder / 'ca.pem', folder / 'ca.key'
        self._openssl(
            *('req', '-x509', '-new', '-nodes', *self._new_key(self.ca_key)),
            *('-days', '2', '-subj', '/CN=Test authority', '-out', self.ca),
        )
        self.cert, self.key = self.issue('server')

    def issue(self, name: str, days: int = 2, usage: str = 'serverAuth') -> tuple[Path, Path]:
        """Return paths of a new certificate for localhost and of its key."""
        cert, key = self.folder / f'{name}.pem', self.folder / f'{name}.key'
        request, extensions = self.folder / f'{name}.csr', self.folder / f'{name}.ext'
        extensions.write_text(
            'basicConstraints=CA:FALSE\n'
            f'extendedKeyUsage={usage}\n'
            'subjectAltName=DNS:localhost,IP:127.0.0.1\n'
        )
        self._openssl(
            *('req', '-new', '-nodes', *self._new_key(key)),
            *('-subj', '/CN=localhost', '-out', request),
        )
        self._openssl(
            *('x509', '-req', '-in', request, '-CA', self.ca, '-CAkey', self.ca_key),
            *('-CAcreateserial', '-days', days, '-extfile', extensions, '-out', cert),
        )
        return cert, key

    def settings(self, **changes: Path) -> dict[str, str]:
        """Return the variables that name the server's files."""
        files = {'cert_file': self.cert, 'private_key_file': self.key} | changes
        return {f'MOSAICOD_TLS_{name.upper()}': str(path) for name, path in files.items()}

    @staticmethod
    def _new_key(path: Path) -> list[object]:
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', path]

    @staticmethod
    def _openssl(*arguments: object) -> None:
        subprocess.run(['openssl', *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope='session')
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Certificates for localhost."""
    return TlsFiles(tmp_path_factory.mktemp('tls'))


class Remote:
    """A daemon as its clients see it; every instance has a sequence name of its own."""

    def __init__(self, url: str) -> None:
        import grpc
        from pyarrow import flight

        self.url = url
        self.client = flight.connect(url)
        self.channel = grpc.insecure_channel(
            url.removeprefix('grpc://'), options=[('grpc.max_send_message_length', -1)]
        )
        self.sequence = f's{uuid.uuid4().hex[:12]}'

    def close(self) -> None:
        self.client.close()
        self.channel.close()

    def act(self, name: str, **body: Any) -> Any:
        """Perform an action; return its response."""
        from pyarrow import flight

        results = self.client.do_action(flight.Action(name, json.dumps(body).encode()))
        data = b''.join(result.body.to_pybytes() for result in results)
        return json.loads(data)['response']

    def session(self) -> dict[str, str]:
        """Create the sequence (once) and a session on it."""
        import pyarrow as pa

        try:
            self.act('sequence_create', locator=self.sequence, user_metadata={})
        except pa.ArrowException:
            pass
        return self.act('session_create', locator=self.sequence)

    def topic(self, path: str, session: dict[str, str] | None = None) -> flight.FlightDescriptor:
        """Create a topic; return the descriptor to upload it with."""
        from pyarrow import flight

        locator = f'{self.sequence}/{path}'
        created = self.act(
            'topic_create',
            session_uuid=(session or self.session())['uuid'],
            locator=locator,
            serialization_format='default',
            ontology_tag='Custom',
            user_metadata={},
        )
        command = {'resource_locator': locator, 'topic_uuid': created['uuid']}
        return flight.FlightDescriptor.for_command(json.dumps(command))

    def put(
        self, path: str, batches: list[pa.RecordBatch], schema: pa.Schema | None = None
    ) -> None:
        """Upload a topic as published clients do."""
        descriptor = self.topic(path)
        writer, _ = self.client.do_put(descriptor, schema or batches[0].schema)
        for batch in batches:
            writer.write_batch(batch)
        writer.close()

    def info(self, path: str = '', **window: int) -> flight.FlightInfo:
        """GetFlightInfo of a topic, or of the sequence."""
        from pyarrow import flight

        locator = f'{self.sequence}/{path}' if path else self.sequence
        command = json.dumps({'resource_locator': locator} | window)
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(command))

    def get(self, path: str, **window: int) -> pa.Table:
        """Read a topic."""
        (endpoint,) = self.info(path, **window).endpoints
        return self.client.do_get(endpoint.ticket).read_all()

    def topic_info(self, path: str) -> dict[str, Any]:
        """The endpoint's app_metadata."""
        (endpoint,) = self.info(path).endpoints
        return json.loads(endpoint.app_metadata)

    def unary(self, method: str, request: bytes) -> bytes:
        """Call an RPC with one answer by bare gRPC."""
        return self.channel.unary_unary(SERVICE + method)(request, timeout=20)

    def stream(self, method: str, request: bytes) -> list[bytes]:
        """Call an RPC with a stream of answers by bare gRPC."""
        return list(self.channel.unary_stream(SERVICE + method)(request, timeout=20))

    def raw_put(self, frames: Iterable[bytes], **options: Any) -> list[bytes]:
        """DoPut by bare gRPC: serialized FlightData in, serialized PutResults out."""
        call = self.channel.stream_stream(SERVICE + 'DoPut')
        return list(call(iter(frames), timeout=60, **options))


@pytest.fixture
def remote(shared_daemon: DaemonProcess) -> Iterator[Remote]:
    """The shared daemon; it must survive whatever a test does to it."""
    connected = Remote(shared_daemon.url)
    yield connected
    assert connected.act('info')['server']['name'] == 'mosaico_ros'
    assert shared_daemon.process is not None
    assert shared_daemon.process.poll() is None
    connected.close()


@pytest.fixture
def connect() -> Iterator[Callable[[DaemonProcess], Remote]]:
    """``connect(daemon)`` returns a :class:`Remote`."""
    made: list[Remote] = []

    def make(daemon: DaemonProcess) -> Remote:
        made.append(Remote(daemon.url))
        return made[-1]

    yield make
    for connected in made:
        connected.close()


@pytest.fixture(scope='session')
def domain() -> Iterator[int]:
    """A ROS domain that no other worker and no other run of the tests uses."""
    reserved = Reservation('domain', range(90, 102))
    yield reserved.number
    reserved.end()


@pytest.fixture(scope='session')
def new_port() -> Callable[[], int]:
    """``new_port()`` returns a port on which nobody listens."""
    reserved: list[Reservation] = []

    def new() -> int:
        reserved.append(reserve_port())
        return reserved[-1].number

    return new


@pytest.fixture
def free_port(new_port: Callable[[], int]) -> int:
    """A port on which nobody listens."""
    return new_port()
