"""Several processes on one port: one archive to clients, whichever of them answers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros.daemon.settings import variable

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False)])
CONNECTIONS = 12  # all on one of two workers: once in 2048 runs


@pytest.fixture
def two_ports(new_port: Callable[[], int]) -> int:
    """A port on which nobody listens, nor on the next one."""
    while True:
        port = new_port()
        with socket.socket() as next_one, contextlib.suppress(OSError):
            next_one.bind(('127.0.0.1', port + 1))
            return port


def connection(daemon: Any) -> flight.FlightClient:
    """A client with a connection of its own; gRPC shares them otherwise."""
    return flight.FlightClient(daemon.url, generic_options=[('grpc.use_local_subchannel_pool', 1)])


@pytest.fixture
def connections(make_daemon: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """``connections(daemon)`` returns many clients, spread over the workers."""
    made: list[flight.FlightClient] = []

    def make(daemon: Any) -> list[flight.FlightClient]:
        made.extend(connection(daemon) for _ in range(CONNECTIONS))
        return made

    yield make
    for client in made:
        client.close()


def act(client: flight.FlightClient, name: str, **body: object) -> Any:
    results = client.do_action(flight.Action(name, json.dumps(body).encode()))
    return json.loads(b''.join(r.body.to_pybytes() for r in results) or b'{}').get('response')


def create_topic(client: flight.FlightClient, locator: str, session: str) -> dict[str, Any]:
    created = act(
        client,
        'topic_create',
        session_uuid=session,
        locator=locator,
        serialization_format='default',
        ontology_tag='X',
    )
    return {'resource_locator': locator, 'topic_uuid': created['uuid']}


def put(client: flight.FlightClient, command: dict[str, Any], count: int) -> None:
    descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
    writer, _ = client.do_put(descriptor, SCHEMA)
    writer.write_batch(pa.record_batch([pa.array(range(count))], schema=SCHEMA))
    writer.close()


def get(client: flight.FlightClient, locator: str) -> list[int]:
    command = json.dumps({'resource_locator': locator})
    (endpoint,) = client.get_flight_info(flight.FlightDescriptor.for_command(command)).endpoints
    return client.do_get(endpoint.ticket).read_all().column(0).to_pylist()


def worker_ids(daemon: Any) -> list[int]:
    pid = daemon.process.pid
    return [int(p) for p in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def metrics(port: int) -> str:
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10) as answer:
        return answer.read().decode()


def await_true(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize('storage', ['sqlite+folder', 'postgres+s3'])
def test_a_session_may_pass_through_all_workers(
    make_daemon, connections, two_ports, request, storage
):
    environment: dict[str, str] = {}
    if storage == 'postgres+s3':
        remote = request.getfixturevalue('remote_storage')
        environment = {variable(name): value for name, value in remote.items()}
    daemon = make_daemon('--workers', '2', MOSAICOD_METRICS_PORT=str(two_ports), **environment)
    clients = connections(daemon)
    act(clients[0], 'sequence_create', locator='run')
    session = act(clients[1], 'session_create', locator='run')['uuid']

    def write(at: int) -> None:
        command = create_topic(clients[at], f'run/t{at}', session)
        put(clients[(at + 5) % CONNECTIONS], command, 100 + at)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(CONNECTIONS)))
    act(clients[2], 'session_finalize', session_uuid=session)
    for at, client in enumerate(clients):
        assert get(client, f'run/t{CONNECTIONS - 1 - at}') == list(range(111 - at))
    for number in (0, 1):
        assert 'mosaicod_rpcs_total{rpc="DoPut",code="OK"}' in metrics(two_ports + number)
    assert daemon.stop() == 0
    assert 'mosaicod stopped' in daemon.log.read_text()


def test_uploads_of_a_killed_worker_are_sealed_and_it_is_replaced(make_daemon, connections):
    daemon = make_daemon('--workers', '2')
    clients = connections(daemon)
    act(clients[0], 'sequence_create', locator='run')
    session = act(clients[0], 'session_create', locator='run')['uuid']
    writers = []
    for at, client in enumerate(clients):
        command = create_topic(client, f'run/t{at}', session) | {'acks': True}
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
        writer, acks = client.do_put(descriptor, SCHEMA)
        rows = pa.record_batch([pa.array(range(10))], schema=SCHEMA)
        writer.write_with_metadata(rows, b'{"commit": true}')
        assert json.loads(acks.read().to_pybytes())['durable_rows'] == 10
        writers.append(writer)
    before = worker_ids(daemon)
    os.kill(before[0], signal.SIGKILL)
    killed_at = time.monotonic()
    broken = []
    for at, writer in enumerate(writers):
        try:
            writer.write_metadata(b'{"end": true, "rows": 10}')
            writer.close()
        except (pa.ArrowException, OSError):
            broken.append(at)
    assert 0 < len(broken) < CONNECTIONS

    def sealed() -> bool:
        with connection(daemon) as client:
            return all(
                act(client, 'topic_notification_list', locator=f'run/t{at}')['notifications']
                for at in broken
            )

    await_true(sealed)
    # Far sooner than the lease: on one host a dead process is known to be dead.
    assert time.monotonic() - killed_at < 10
    for at, client in enumerate(clients):  # all reconnect; what was acknowledged is there
        assert get(client, f'run/t{at}') == list(range(10))
    await_true(lambda: len(worker_ids(daemon)) == 2)
    assert before[0] not in worker_ids(daemon)
    assert f'Worker {before[0]} has ended with -9' in daemon.log.read_text()
    assert daemon.stop() == 0


def test_workers_end_with_their_supervisor(make_daemon):
    daemon = make_daemon('--workers', '2')
    workers = worker_ids(daemon)
    daemon.kill()
    await_true(lambda: not any(Path(f'/proc/{pid}').exists() for pid in workers))
    daemon.start()


@pytest.mark.parametrize('options', [(), ('--workers', '2')])
def test_a_shared_port_is_refused_to_strangers(make_daemon, options):
    daemon = make_daemon('--workers', '2')
    with pytest.raises(RuntimeError, match='address already in use'):
        make_daemon('--port', str(daemon.port), *options)


def test_an_archive_that_cannot_be_opened_is_said_once(make_daemon, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(RuntimeError) as caught:
        make_daemon('--workers', '3', '--data-dir', str(tmp_path / 'file'))
    assert str(caught.value).count('mosaicod: The data folder') == 1


def test_it_gives_up_when_a_worker_cannot_start_any_more(make_daemon):
    daemon = make_daemon('--workers', '2')
    (daemon.data_dir / 'store' / 'store.json').write_text('{"layout": 1, "store_id": "other"}')
    os.kill(worker_ids(daemon)[0], signal.SIGKILL)
    assert daemon.process.wait(timeout=60) == 1
    log = daemon.log.read_text()
    assert len(re.findall('mosaicod: The catalog belongs to the store', log)) == 5
    assert 'mosaicod: A worker cannot start: it has ended 5 times' in log


def test_a_revoked_key_is_refused_by_all_workers(make_daemon, connections):
    from mosaico_ros.daemon.catalog.database import Database
    from mosaico_ros.daemon.keys import Keys
    from mosaico_ros.protocol.api_keys import Permission

    daemon = make_daemon('--workers', '2', '--api-key')
    database = Database(f'sqlite:///{daemon.data_dir}/catalog.db')
    key = Keys(database).create(Permission.READ)
    headers = [(b'mosaico-api-key-token', key.reveal().encode())]
    options = flight.FlightCallOptions(headers=headers)

    def admitted(client: flight.FlightClient) -> bool:
        try:
            list(client.do_action(flight.Action('info', b'{}'), options))
        except flight.FlightUnauthorizedError:
            return False
        return True

    clients = connections(daemon)
    assert all(map(admitted, clients))
    Keys(database).revoke(key.fingerprint)
    database.close()
    await_true(lambda: not any(map(admitted, clients)), 3)
