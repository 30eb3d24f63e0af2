"""The store alone is enough: a catalog is lost and rebuilt, and every answer is the same."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import flight

from mosaico_ros.daemon.catalog import tables
from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.settings import Settings, variable
from mosaico_ros.protocol.ticket import Ticket

NUMBERS = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
RICH = pa.schema(
    [
        pa.field('timestamp_ns', pa.int64(), nullable=False),
        ('header', pa.struct([('frame_id', pa.string()), ('stamp', pa.timestamp('ns'))])),
        ('values', pa.list_(pa.float32())),
        ('count', pa.int64()),
        ('ok', pa.bool_()),
        ('blob', pa.binary()),
        pa.field('_receive_ns', pa.int64(), metadata={'mosaico:sidecar': 'true'}),
    ],
    {'from': 'a robot ü'},
)
# Seconds do not survive Parquet: these chunks are Arrow files.
SECONDS = pa.schema(
    [
        pa.field('timestamp_ns', pa.int64(), nullable=False),
        ('at', pa.timestamp('s')),
        ('word', pa.dictionary(pa.int8(), pa.string())),
    ]
)
METADATA = {'site': {'halle': 'Straße 7 \U0001f916', 'none': None}, 'big': 2**70, 'x': [1.5, -0.0]}


def numbers(times: Any) -> pa.RecordBatch:
    times = np.asarray(times, np.int64)
    return pa.record_batch([times, times * 0.5], schema=NUMBERS)


def rich(first: int, count: int) -> pa.RecordBatch:
    rows = [
        {
            'timestamp_ns': at,
            'header': None if at % 7 == 0 else {'frame_id': f'främe_{at % 3}', 'stamp': at},
            'values': None if at % 5 == 0 else [at / 3, float('nan'), -0.0][: at % 4],
            'count': 2**62 + at,
            'ok': at % 2 == 0,
            'blob': bytes([at % 256]) * 50,
            '_receive_ns': at + 1,
        }
        for at in range(first, first + count)
    ]
    return pa.RecordBatch.from_pylist(rows, RICH)


def seconds(first: int, count: int) -> pa.RecordBatch:
    times = list(range(first, first + count))
    words = pa.array([f'w{at % 4}' for at in times]).dictionary_encode()
    return pa.record_batch(
        [pa.array(times), pa.array(times, pa.timestamp('s')), words.cast(SECONDS.field(2).type)],
        schema=SECONDS,
    )


class Robot:
    """Fills an archive over the wire."""

    def __init__(self, remote: Any) -> None:
        self.remote = remote

    def sequence(self, name: str, **metadata: Any) -> None:
        self.remote.act('sequence_create', locator=name, user_metadata=metadata)

    def session(self, name: str) -> str:
        return str(self.remote.act('session_create', locator=name)['uuid'])

    def topic(self, session: str, locator: str, tag: str = 'Custom', **metadata: Any) -> str:
        created = self.remote.act(
            'topic_create',
            session_uuid=session,
            locator=locator,
            serialization_format='default',
            ontology_tag=tag,
            user_metadata=metadata,
        )
        return str(created['uuid'])

    def upload(
        self,
        session: str,
        locator: str,
        schema: pa.Schema,
        batches: list[pa.RecordBatch],
        tag: str = 'Custom',
        *,
        end: bool = True,
    ) -> Any:
        """Upload batches as a topic, each as a chunk of its own; return the open writer."""
        uuid = self.topic(session, locator, tag, of=locator)
        command = {'resource_locator': locator, 'topic_uuid': uuid, 'acks': True}
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command))
        writer, acks = self.remote.client.do_put(descriptor, schema)
        rows = 0
        for batch in batches:
            writer.write_with_metadata(batch, b'{"commit": true}')
            rows += batch.num_rows
            while json.loads(acks.read().to_pybytes())['durable_rows'] < rows:
                pass
        if end:
            writer.write_metadata(json.dumps({'end': True, 'rows': rows}).encode())
            writer.close()
        return writer

    def topic_id(self, locator: str) -> int:
        command = json.dumps({'resource_locator': locator}).encode()
        info = self.remote.client.get_flight_info(flight.FlightDescriptor.for_command(command))
        return Ticket.decode(info.endpoints[0].ticket.ticket).topic_id

    def finalize(self, session: str) -> None:
        self.remote.act('session_finalize', session_uuid=session)

    def notify(self, kind: str, locator: str, text: str) -> None:
        self.remote.act(
            f'{kind}_notification_create', locator=locator, notification_type='error', msg=text
        )


def fill(robot: Robot) -> int:
    """Do everything that an archive can have been through; return the highest topic id."""
    robot.sequence('gone')
    robot.upload(robot.session('gone'), 'gone/t', NUMBERS, [numbers([1, 2])])
    robot.sequence('alpha', **METADATA)
    done = robot.session('alpha')
    robot.upload(done, 'alpha/arm/imu', RICH, [rich(i * 100, 100) for i in range(3)], 'IMU')
    robot.upload(done, 'alpha/slow', SECONDS, [seconds(i * 5, 5) for i in range(3)], 'Slow')
    robot.upload(done, 'alpha/nothing', NUMBERS, [])
    # More than 16 chunks that overlap: they are merged when the topic is sealed.
    robot.upload(
        done,
        'alpha/merged',
        NUMBERS,
        [numbers(np.arange(i, 2000, 20)) for i in reversed(range(20))],
        'Merged',
    )
    robot.finalize(done)
    deleted = robot.session('alpha')
    robot.upload(deleted, 'alpha/deleted', NUMBERS, [numbers([1])])
    robot.upload(done2 := robot.session('alpha'), 'alpha/again', NUMBERS, [numbers([5, 6])])
    robot.upload(done2, 'alpha/also_deleted', NUMBERS, [numbers([5, 6])])
    robot.remote.act('topic_delete', locator='alpha/also_deleted')
    robot.finalize(done2)
    robot.remote.act('session_delete', session_uuid=deleted)
    robot.sequence('beta')
    broken = robot.session('beta')
    writer = robot.upload(broken, 'beta/torn', NUMBERS, [numbers([1, 2])], 'Torn', end=False)
    with pytest.raises((pa.ArrowException, OSError)):
        writer.close()
    robot.finalize(broken)
    robot.sequence('empty', note='nothing in it')
    robot.notify('sequence', 'alpha', 'first line\nsecond line ü')
    robot.notify('topic', 'alpha/arm/imu', 'a')
    robot.notify('topic', 'alpha/arm/imu', 'b')
    robot.notify('topic', 'alpha/slow', 'never mind')
    robot.remote.act('topic_notification_purge', locator='alpha/slow')
    robot.remote.act('sequence_delete', locator='gone')
    # The highest ids of all are among those that are deleted.
    robot.sequence('last')
    robot.upload(robot.session('last'), 'last/t', NUMBERS, [numbers([1])])
    topic_id = robot.topic_id('last/t')
    robot.remote.act('sequence_delete', locator='last')
    return topic_id


WINDOWS: list[dict[str, int]] = [
    {},
    {'timestamp_ns_start': 50, 'timestamp_ns_end': 151},
    {'timestamp_ns_start': 120},
    {'timestamp_ns_end': 7},
]
QUERIES: list[dict[str, Any]] = [
    {'sequence': {'locator': {'$match': 'a'}}},
    {'topic': {'ontology_tag': {'$eq': 'IMU'}}},
    {'sequence': {'user_metadata': {'site.halle': {'$eq': METADATA['site']['halle']}}}},
    *(
        {'ontology': condition | {'include_timestamp_range': ranged}}
        for ranged in (False, True)
        for condition in (
            {'IMU.header.frame_id': {'$eq': 'främe_2'}},
            {'IMU.values[?]': {'$gt': 30.0}},
            {'IMU.count': {'$geq': 2**62 + 150}},
            {'Slow.word': {'$match': '%3'}},
            {'Merged.x': {'$between': [100, 101]}},
            {'Torn.x': {'$gt': 0.6}},
            {'Custom.x': {'$eq': 2.5}},
        )
    ),
]
CLUSTERS: list[dict[str, Any]] = [
    {'locator': 'alpha/arm/imu', 'ontology': {'IMU.ok': {'$eq': True}}, 'clustering_dt_ns': 1},
    {'locator': 'alpha/merged', 'ontology': {'Merged.x': {'$gt': 900}}, 'clustering_dt_ns': 5},
]


def digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, 'big') + part)
    return found.hexdigest()


def answers(remote: Any) -> dict[str, str]:
    """Return a hash of everything that a client can ask."""
    found: dict[str, str] = {}
    names = [info.descriptor.path[0].decode() for info in remote.client.list_flights()]
    found['list'] = digest(*(name.encode() for name in names))

    def act(name: str, **body: Any) -> None:
        request = flight.Action(name, json.dumps(body).encode())
        try:
            parts = [item.body.to_pybytes() for item in remote.client.do_action(request)]
        except pa.ArrowException as error:
            parts = [str(error).encode()]
        found[f'{name} {body}'] = digest(*parts)

    def read(locator: str, **window: Any) -> Any:
        command = json.dumps({'resource_locator': locator} | window).encode()
        descriptor = flight.FlightDescriptor.for_command(command)
        info = remote.client.get_flight_info(descriptor)
        found[f'info {command!r}'] = digest(info.serialize())
        for endpoint in info.endpoints:
            try:
                table = remote.client.do_get(endpoint.ticket).read_all()
            except pa.ArrowException as error:
                found[f'get {endpoint.ticket!r}'] = str(error)
                continue
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            found[f'get {endpoint.ticket!r}'] = digest(sink.getvalue().to_pybytes())
        return info

    for name in names:
        act('sequence_notification_list', locator=name)
        for window in WINDOWS:
            info = read(name, **window)
        for topic in [json.loads(e.app_metadata)['resource_locator'] for e in info.endpoints]:
            act('topic_notification_list', locator=topic)
            for window in WINDOWS:
                read(topic, **window)
                read(topic, sidecars=True, **window)
            command = json.dumps({'resource_locator': topic}).encode()
            schema = remote.client.get_schema(flight.FlightDescriptor.for_command(command))
            found[f'schema {topic}'] = digest(schema.schema.serialize().to_pybytes())
    for query in QUERIES:
        act('query', **query)
    for cluster in CLUSTERS:
        act('topic_filter_clusterize', **cluster)
    act('topic_filter_intersect', topics=CLUSTERS, intersect_dt_ns=0)
    return found


def statistics(settings: Settings) -> list[Any]:
    """Return everything that the catalog knows of chunks."""
    database = Database(settings.database_url)
    t, c, f, s = tables.topics, tables.chunks, tables.fields, tables.stats
    known = [column for column in s.c if column.name not in ('chunk_id', 'field_id')]
    kept = [column for column in c.c if column.name != 'id']
    with database.read() as connection:
        chunks = connection.execute(sa.select(*kept).order_by(c.c.topic_id, c.c.number)).all()
        bounds = connection.execute(
            sa.select(t.c.folder, c.c.number, f.c.path, *known)
            .join(c, c.c.topic_id == t.c.id)
            .join(s, s.c.chunk_id == c.c.id)
            .join(f, f.c.id == s.c.field_id)
            .order_by(t.c.id, c.c.number, f.c.path)
        ).all()
        totals = [column for column in t.c if column.name not in ('uuid', 'instance_id', 'fence')]
        totals.remove(t.c.schema_id)
        rows = connection.execute(sa.select(*totals).order_by(t.c.id)).all()
    database.close()
    return [*map(tuple, chunks), *map(tuple, bounds), *map(tuple, rows)]


def environment_of(settings: Settings) -> dict[str, str]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {variable(name): str(value) for name, value in values.items() if name != 'port'}


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', *arguments],
        env=os.environ | environment_of(settings),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def serve(make_daemon: Callable[..., Any], connect: Callable[..., Any]) -> Callable[..., Any]:
    """``serve(settings)`` returns a daemon of an archive, and a connection to it."""

    def start(settings: Settings) -> tuple[Any, Any]:
        daemon = make_daemon('--data-dir', str(settings.data_dir), **environment_of(settings))
        return daemon, connect(daemon)

    return start


def test_every_answer_is_the_same_after_the_catalog_is_lost(settings, serve, lose_catalog):
    daemon, remote = serve(settings)
    buried = fill(Robot(remote))
    before = answers(remote)
    assert len(before) > 100
    daemon.stop()
    known = statistics(settings)
    settings = lose_catalog(settings)
    done = run(settings, 'rebuild')
    assert done.returncode == 0, done.stderr
    assert 'API keys are not in the store' in done.stdout
    assert statistics(settings) == known
    daemon, remote = serve(settings)
    assert answers(remote) == before
    checked = run(settings, 'check', '--deep', '--json')
    assert json.loads(checked.stdout)['differences'] == []
    # What was deleted is not only gone: its tickets read no successor either.
    robot = Robot(remote)
    robot.sequence('last')
    robot.upload(robot.session('last'), 'last/t', NUMBERS, [numbers([9])])
    assert robot.topic_id('last/t') > buried


def test_a_killed_daemon_leaves_interrupted_topics(settings, serve, lose_catalog):
    daemon, remote = serve(settings)
    robot = Robot(remote)
    robot.sequence('run')
    session = robot.session('run')
    robot.upload(session, 'run/whole', NUMBERS, [numbers([1])])
    robot.topic(session, 'run/created')
    writer = robot.upload(session, 'run/torn', NUMBERS, [numbers([1, 2]), numbers([3])], end=False)
    daemon.kill()
    with pytest.raises((pa.ArrowException, OSError)):
        writer.close()
    for attempt in range(2):  # the second one finds what the first has written
        settings = lose_catalog(settings)
        done = run(settings, 'rebuild', '--json')
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report['interrupted'] == ([] if attempt else ['run/created', 'run/torn'])
    _, remote = serve(settings)
    remote.sequence = 'run'
    assert remote.get('torn').column('timestamp_ns').to_pylist() == [1, 2, 3]
    assert remote.topic_info('whole')['locked']
    for name, rows in (('torn', 3), ('created', 0)):
        assert not remote.topic_info(name)['locked']
        (note,) = remote.act('topic_notification_list', locator=f'run/{name}')['notifications']
        assert 'The catalog was rebuilt from the store' in note['msg']
        assert f'{rows} rows are durable' in note['msg']
    (note,) = remote.act('sequence_notification_list', locator='run')['notifications']
    assert 'cannot be continued' in note['msg']
    with pytest.raises(pa.ArrowException):
        remote.act('session_finalize', session_uuid=session)
