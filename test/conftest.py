"""Fixtures for all tests: real daemons, each a process of its own, and short ways to call them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).with_name('support')))
from daemon_process import DaemonProcess
from forks import nursery
from remote import Remote
from reservations import Reservation, reserve_port
from s3_server import S3Server
from thoroughness import THOROUGH
from tls_files import TlsFiles

# Test machines are shared; a slow example says nothing about the code.
hypothesis.settings.register_profile('shared', deadline=None)
hypothesis.settings.register_profile('thorough', deadline=None, max_examples=1000)
hypothesis.settings.load_profile('thorough' if THOROUGH else 'shared')

# Of all ROS nodes here, before the first one; Fast DDS reads it.
_PROFILES = Path(__file__).parents[1] / 'config' / 'quick_discovery.xml'
os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(_PROFILES))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a thorough test take its time."""
    if THOROUGH:
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


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


@pytest.fixture(scope='session')
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Certificates for localhost."""
    return TlsFiles(tmp_path_factory.mktemp('tls'))


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
