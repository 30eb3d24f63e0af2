"""Several daemons over one catalog on PostgreSQL and one bucket on S3, each a process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros import IMU, Message, MosaicoClient, QueryOntologyCatalog, Vector3d
from mosaico_ros.daemon.settings import variable

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])


@pytest.fixture
def start_daemon(
    make_daemon: Callable[..., Any], remote_storage: dict[str, Any]
) -> Callable[..., Any]:
    """``start_daemon()`` starts another daemon of the same archive."""
    environment = {variable(name): value for name, value in remote_storage.items()}
    return lambda **more: make_daemon(**environment, **more)


def batch(first: int, rows: int) -> pa.RecordBatch:
    times = np.arange(first, first + rows)
    return pa.record_batch([times, times * 0.5], schema=SCHEMA)


def test_our_client_writes_reads_queries_and_deletes(start_daemon):
    daemon = start_daemon()
    assert str(daemon.data_dir) not in daemon.log.read_text()
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        with client.sequence_create('run', {'site': 'B'}) as writer:
            topic = writer.topic_create('imu', {}, IMU)
            for at in range(2000):
                topic.push(
                    Message(
                        timestamp_ns=at,
                        data=IMU(
                            acceleration=Vector3d(x=at / 100, y=0.0, z=9.8),
                            angular_velocity=Vector3d(x=0.0, y=0.0, z=0.0),
                        ),
                    )
                )
        table = client.topic_handler('run', 'imu').to_arrow()
        assert table['timestamp_ns'].to_pylist() == list(range(2000))
        hits = client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(19.98)))
        assert [item.sequence.name for item in hits] == ['run']
        assert not client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(20)))
        client.sequence_delete('run')
        assert client.list_sequences() == []
    assert not (daemon.data_dir / 'catalog.db').exists()
    assert not (daemon.data_dir / 'store').exists()


def test_a_session_is_created_filled_and_finalized_on_three_daemons(start_daemon, connect):
    one, two, three = (connect(start_daemon()) for _ in range(3))
    two.sequence = three.sequence = one.sequence
    session = one.session()
    descriptor = one.topic('imu', session)
    writer, _ = two.client.do_put(descriptor, SCHEMA)
    writer.write_batch(batch(0, 5000))
    writer.close()
    three.act('session_finalize', session_uuid=session['uuid'])
    for remote in (one, two, three):
        assert remote.get('imu').equals(pa.Table.from_batches([batch(0, 5000)]))
        assert remote.topic_info('imu')['locked']
    with pytest.raises(pa.ArrowException, match='finalized'):
        two.topic('more', session)


def test_of_creators_on_different_daemons_exactly_one_wins(start_daemon, connect):
    remotes = [connect(start_daemon()) for _ in range(2)]

    def create(at: int) -> str:
        try:
            remotes[at % 2].act('sequence_create', locator=f'race{at // 8}', user_metadata={})
        except pa.ArrowException as error:
            return str(error)
        return 'won'

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(64)))
    assert [outcomes[at : at + 8].count('won') for at in range(0, 64, 8)] == [1] * 8
    assert all('already exists' in outcome for outcome in outcomes if outcome != 'won')


def test_uploads_of_a_killed_daemon_are_sealed_by_another(start_daemon, connect):
    doomed, other = start_daemon(), start_daemon(MOSAICOD_LEASE_SECONDS='1')
    remote, witness = connect(doomed), connect(other)
    witness.sequence = remote.sequence
    locator = f'{remote.sequence}/imu'
    command = json.loads(remote.topic('imu').command) | {'acks': True}
    writer, acks = remote.client.do_put(
        flight.FlightDescriptor.for_command(json.dumps(command)), SCHEMA
    )
    for number in range(3):
        writer.write_with_metadata(batch(number * 100, 100), b'{"commit": true}')
    while json.loads(acks.read().to_pybytes())['durable_rows'] < 300:
        pass
    writer.write_batch(batch(300, 100))  # never acknowledged
    doomed.kill()
    deadline = time.monotonic() + 15
    while not (notes := witness.act('topic_notification_list', locator=locator)['notifications']):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert '300 rows are durable' in str(notes[0])
    assert witness.get('imu').equals(
        pa.Table.from_batches([batch(at, 100) for at in (0, 100, 200)])
    )
    assert not witness.topic_info('imu')['locked']


def test_writers_on_two_daemons_share_a_sequence_while_others_delete(start_daemon, connect):
    """Uploads, seals, finalizations and deletions side by side: no deadlock, nothing lost."""
    remotes = [connect(start_daemon()) for _ in range(2)]
    remotes[1].sequence = remotes[0].sequence
    remotes[0].session()

    def write(at: int) -> str:
        remote = remotes[at % 2]
        session = remote.act('session_create', locator=remote.sequence)
        writer, _ = remote.client.do_put(remote.topic(f't{at}', session), SCHEMA)
        writer.write_batch(batch(0, 1000))
        writer.close()
        if at % 4 == 3:
            other = remotes[(at + 1) % 2]
            other.act('session_delete', session_uuid=session['uuid'])
            return ''
        remotes[(at + 1) % 2].act('session_finalize', session_uuid=session['uuid'])
        return f't{at}'

    with ThreadPoolExecutor(8) as pool:
        kept = {name for name in pool.map(write, range(32)) if name}
    assert len(kept) == 24
    assert {f't{at}' for at in range(32) if at % 4 != 3} == kept
    for name in kept:
        assert remotes[0].get(name).num_rows == 1000
    assert len(remotes[0].info().endpoints) == 24
