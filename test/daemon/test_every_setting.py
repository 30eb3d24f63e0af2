"""Every setting: read from its variable and from a file, with one effect that a test can see.

``TESTS`` names the test of each setting's effect; those that no other file has a place for are
here. A setting without a test fails :func:`test_no_setting_is_without_a_test`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.daemon.settings import Settings, as_environment, load, sources, variable
from mosaico_ros.protocol.errors import FailedPreconditionError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.ticket import Ticket

TEST = Path(__file__).resolve().parents[1]
HERE = 'daemon/test_every_setting.py'
TESTS = {
    'host': 'daemon/test_lifecycle.py::test_hosts_that_are_not_here_are_refused',
    'port': 'daemon/test_lifecycle.py::test_a_port_in_use_is_one_clear_line',
    'data_dir': f'{HERE}::test_data_dir',
    'db_url': f'{HERE}::test_db_url',
    'max_db_connections': f'{HERE}::test_max_db_connections',
    'store_endpoint': f'{HERE}::test_store_endpoint_and_bucket',
    'store_bucket': f'{HERE}::test_store_endpoint_and_bucket',
    'store_region': f'{HERE}::test_store_region_and_access_key',
    'store_access_key': f'{HERE}::test_store_region_and_access_key',
    'store_secret_key': 'daemon/store/test_s3.py::test_unusable_stores_are_explained',
    'max_chunk_size_in_bytes': 'daemon/test_ingest.py::test_chunks_are_cut_by_size',
    'max_chunk_age_seconds': 'daemon/test_ingest.py::test_slow_stream_becomes_durable_by_age',
    'max_buffered_size_in_bytes': 'daemon/test_ingest.py::test_memory_stays_within_the_budget',
    'parquet_in_memory_encoding_buffer_size': f'{HERE}::test_encoding_buffer',
    'default_parallelism': f'{HERE}::test_encoders_at_once',
    'max_concurrent_writes': f'{HERE}::test_encoders_at_once',
    'max_grpc_message_size': f'{HERE}::test_max_grpc_message_size',
    'target_message_size': 'daemon/transport/test_limits.py::test_target_message_size',
    'max_batch_size': 'daemon/transport/test_limits.py::test_max_batch_size',
    'idle_timeout': 'daemon/transport/test_limits.py::test_a_silent_upload_is_ended_with_what_'
    'arrived',
    'max_concurrent_rpcs': 'daemon/test_lifecycle.py::test_overload_is_refused_not_queued',
    'workers': 'daemon/test_workers.py::test_a_session_may_pass_through_all_workers',
    'ipc_compression': 'daemon/test_lifecycle.py::test_reads_are_compressed_as_set',
    'legacy_clients': 'daemon/test_lifecycle.py::test_legacy_clients_get_what_they_need',
    'require_api_keys': f'{HERE}::test_require_api_keys',
    'tls': 'daemon/test_tls.py::test_it_encrypts_and_only_that',
    'tls_cert_file': 'daemon/test_tls.py::test_missing_files',
    'tls_private_key_file': 'daemon/test_tls.py::test_exchanged_files',
    'tls_client_ca_file': 'daemon/test_tls.py::test_mutual_tls',
    'lease_seconds': 'daemon/test_fleet.py::test_uploads_of_a_killed_daemon_are_sealed_by_another',
    'shutdown_grace': 'daemon/test_shutdown.py::test_an_upload_that_goes_on_is_cut_off_and_keeps_'
    'what_arrived',
    'cleanup_time_interval': 'daemon/routines/test_turns.py::test_two_daemons_share_out_the_'
    'cleanups_of_an_archive',
    'cleanup_retention_duration': 'daemon/test_removal.py::test_without_retention_files_go_with_'
    'the_deletion',
    'cleanup_max_share': 'daemon/routines/test_cleanup.py::test_too_large_a_share_is_marked_by_'
    'force_only',
    'optimizer_time_interval': 'daemon/routines/test_optimizer.py::test_the_interval_finds_topics_'
    'nobody_asked_about',
    'optimizer_max_chunk_size': 'daemon/routines/test_optimizer.py::test_the_size_of_new_chunks_'
    'is_a_setting',
    'webhook_url': 'daemon/test_events.py::test_news_of_what_happens_reach_the_subscriber',
    'metrics_port': 'daemon/test_metrics.py::test_work_is_counted',
    'log_level': f'{HERE}::test_logs',
    'log_format': f'{HERE}::test_logs',
    'max_concurrent_chunk_queries': 'daemon/test_budget.py::test_queries_that_read_chunks_wait_for'
    '_a_place',
    'query_engine_memory_pool_size': 'daemon/test_budget.py::test_a_row_group_larger_than_the_pool'
    '_is_refused',
}

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
#: A value of each setting that is not its default.
OTHER: dict[str, Any] = {
    name: {'bool': True, 'int': 70_000_000, 'float': 7.5, 'Path': '/srv/other', 'str': 'other'}[
        str(field.type)
    ]
    for name, field in FIELDS.items()
} | {
    'port': 4000,
    'metrics_port': 9000,
    'workers': 3,
    'default_parallelism': 3,
    'max_concurrent_writes': 3,
    'max_concurrent_rpcs': 30,
    'max_concurrent_chunk_queries': 3,
    'max_db_connections': 30,
    'max_batch_size': 300,
    'target_message_size': 100_000,
    'store_endpoint': 'file:///srv/other',
    'ipc_compression': 'zstd',
    'log_level': 'debug',
    'log_format': 'json',
    'cleanup_max_share': 0.25,
    'webhook_url': 'https://hooks.example.com/other',
}
#: Settings that are needed for a value to make sense.
COMPANIONS = {
    'tls': ('tls_cert_file', 'tls_private_key_file'),
    'tls_cert_file': ('tls_private_key_file',),
    'tls_private_key_file': ('tls_cert_file',),
    'tls_client_ca_file': ('tls', 'tls_cert_file', 'tls_private_key_file'),
    'store_access_key': ('store_secret_key',),
    'store_secret_key': ('store_access_key',),
}


def test_no_setting_is_without_a_test():
    assert set(TESTS) == set(FIELDS)
    for place in TESTS.values():
        path, _, name = place.partition('::')
        assert f'\ndef {name}(' in (TEST / path).read_text(), place


@pytest.mark.parametrize('name', FIELDS)
def test_variable_and_file_say_the_same(name, tmp_path):
    given = {key: OTHER[key] for key in (name, *COMPANIONS.get(name, ()))}
    by_variable = load({variable(key): str(value) for key, value in given.items()})
    file = tmp_path / 'config.toml'
    file.write_text(''.join(f'{key} = {json.dumps(value)}\n' for key, value in given.items()))
    by_file = load({'MOSAICOD_CONFIG': str(file)})
    assert by_variable == by_file
    assert str(getattr(by_file, name)) == str(OTHER[name])
    assert str(getattr(by_file, name)) != str(getattr(Settings(), name))
    assert load(as_environment(by_file)) == by_file
    assert sources({}, config=file)[name] == f'{file}: {name}'


# --- Effects ----------------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path):
    """``opened(**changes)`` opens an archive in a folder, as the variables say it."""
    made: list[Archive] = []

    def open_it(**changes: Any) -> Archive:
        environment = {variable(name): str(value) for name, value in changes.items()}
        archive = Archive(load({'MOSAICOD_DATA_DIR': str(tmp_path / 'data')} | environment))
        archive.start()
        made.append(archive)
        return archive

    yield open_it
    for archive in made:
        archive.close()


def batch(first: int, rows: int) -> pa.RecordBatch:
    times = np.arange(first, first + rows)
    return pa.record_batch([times, times * 0.5], schema=SCHEMA)


def write(archive: Archive, batches: list[pa.RecordBatch], *, commit: bool = False) -> Ticket:
    sequence = SequenceLocator('run')
    archive.create_sequence(sequence, {})
    session, _ = archive.create_session(sequence)
    locator = TopicLocator('run', 't')
    uuid = archive.create_topic(session, locator, 'X', SerializationFormat.Default, {})
    upload = archive.begin_upload(locator, uuid, SCHEMA)
    for rows in batches:
        upload.append(rows)
        if commit:
            upload.cut()
    upload.finish()
    return Ticket(locator, archive.describe_topic(locator).topic_id)


def test_data_dir(opened, tmp_path):
    opened(data_dir=tmp_path / 'elsewhere')
    assert (tmp_path / 'elsewhere' / 'catalog.db').exists()
    assert (tmp_path / 'elsewhere' / 'store' / 'store.json').exists()


def test_db_url(opened, tmp_path):
    opened(db_url=f'sqlite:///{tmp_path}/other.db')
    assert (tmp_path / 'other.db').exists()
    assert not (tmp_path / 'data' / 'catalog.db').exists()


def test_store_endpoint_and_bucket(opened, tmp_path):
    opened(store_endpoint=f'file://{tmp_path}/far', store_bucket='lab')
    assert (tmp_path / 'far' / 'lab' / 'store.json').exists()
    assert not (tmp_path / 'data' / 'store').exists()


def test_store_region_and_access_key(opened):
    seen = []

    class Denies(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers['Authorization'])
            self.send_error(403)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Denies)
    threading.Thread(target=server.serve_forever).start()
    with pytest.raises(FailedPreconditionError, match='denies access'):
        opened(
            store_endpoint=f'http://127.0.0.1:{server.server_port}',
            store_region='eu-south-7',
            store_access_key='robot',
            store_secret_key='hush',
        )
    server.shutdown()
    server.server_close()
    assert re.search(r'Credential=robot/\d+/eu-south-7/s3/', seen[0])


def test_max_db_connections(opened, postgres):
    url = postgres()
    archive = opened(db_url=f'{url}&application_name=few', max_db_connections=3)
    import psycopg

    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        with psycopg.connect(url, autocommit=True) as connection:
            while not done.wait(0.005):
                (count,) = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'few'"
                ).fetchone()
                most = max(most, count)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(12) as pool:
        for at in range(100):
            pool.submit(archive.create_sequence, SequenceLocator(f's{at}'), {})
            pool.submit(archive.list_sequences)
    done.set()
    watcher.join()
    assert most == 3
    assert len(archive.list_sequences()) == 100


def test_encoding_buffer(opened):
    """It bounds a chunk where the limit on chunks does not."""
    archive = opened(max_chunk_size_in_bytes=0, parquet_in_memory_encoding_buffer_size=1 << 20)
    ticket = write(archive, [batch(0, 200_000)])  # 3.2 MB
    assert archive.describe_topic(ticket.locator).chunks == 4


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'default_parallelism': 2}, 2),
        ({'default_parallelism': 1}, 1),
        ({'default_parallelism': 1, 'max_concurrent_writes': 3}, 3),
    ],
)
def test_encoders_at_once(opened, monkeypatch, changes, expected):
    encode = ChunkEncoder.encode
    running: set[int] = set()
    most = 0

    def watched(self: ChunkEncoder, *arguments: Any) -> Any:
        nonlocal most
        running.add(threading.get_ident())
        most = max(most, len(running))
        time.sleep(0.02)
        running.discard(threading.get_ident())
        return encode(self, *arguments)

    monkeypatch.setattr(ChunkEncoder, 'encode', watched)
    write(opened(**changes), [batch(at * 10, 10) for at in range(12)], commit=True)
    assert most == expected


def test_max_grpc_message_size(make_daemon, connect):
    remote = connect(make_daemon(MOSAICOD_MAX_GRPC_MESSAGE_SIZE=str(4 << 20)))
    config = remote.act('info')['config']
    assert config['grpc_max_decode_message_size'] == 4 << 20
    remote.put('fits', [batch(0, 200_000)])
    with pytest.raises((pa.ArrowException, OSError)):
        remote.put('does_not', [batch(0, 300_000)])
    with pytest.raises(grpc.RpcError) as caught:
        remote.stream('DoAction', flight.Action('info', b' ' * (5 << 20)).serialize())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_require_api_keys(make_daemon, connect):
    with pytest.raises(flight.FlightUnauthorizedError):
        connect(make_daemon(MOSAICOD_REQUIRE_API_KEYS='true')).act('info')


@pytest.mark.parametrize('form', ['json', 'pretty', 'plain'])
def test_logs(tmp_path, form):
    """A line below the level is not there, one at the level has the form."""

    def logged(level: str) -> list[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('MOSAICOD_')}
        process = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run', '--port', '0'],
            env=inherited
            | {
                'MOSAICOD_LOG_LEVEL': level,
                'MOSAICOD_LOG_FORMAT': form,
                'MOSAICOD_DATA_DIR': str(tmp_path / 'data'),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert 'ready on' in process.stdout.readline()
        process.terminate()
        _, lines = process.communicate(timeout=20)
        return [line for line in lines.splitlines() if 'Serving' in line]

    assert logged('warning') == []
    (line,) = logged('info')
    if form == 'json':
        entry = json.loads(line)
        assert (entry['level'], entry['logger']) == ('info', 'mosaico_ros.daemon.app')
    else:  # no terminal, no colours
        assert re.match(r'\d{4}-\d\d-\d\d .* INFO    mosaico_ros\.daemon\.app: Serving', line)
