"""What a daemon counts, and how it is read."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.daemon.process import metrics

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')


def scraped(port: int) -> dict[str, float]:
    """All samples; every line must be one, or a comment of the right form."""
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10) as answer:
        assert answer.headers['Content-Type'].startswith('text/plain; version=0.0.4')
        lines = answer.read().decode().splitlines()
    samples = {}
    for line in lines:
        if line.startswith('#'):
            assert re.fullmatch(r'# (HELP|TYPE) [a-z_]+ .+', line)
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        samples[line.rpartition(' ')[0]] = float(found[3])
    return samples


def test_work_is_counted(make_daemon, connect, free_port):
    daemon = make_daemon(MOSAICOD_METRICS_PORT=str(free_port))
    remote = connect(daemon)
    times = np.arange(5000)
    batch = pa.record_batch([times, times * 0.5], schema=SCHEMA)
    descriptor = remote.topic('t')
    writer, _ = remote.client.do_put(descriptor, SCHEMA)
    writer.write_batch(batch)
    while not (during := scraped(free_port))['mosaicod_ingest_rows_received_total']:
        pass
    assert during['mosaicod_uploads_open'] == 1
    assert during['mosaicod_rpcs_running{rpc="DoPut"}'] == 1
    assert during['mosaicod_ingest_buffered_bytes'] == batch.nbytes
    writer.close()
    assert remote.get('t').num_rows == 5000
    remote.act('query', ontology={'Custom.x': {'$gt': 1}})
    with contextlib.suppress(pa.ArrowException):
        remote.act('sequence_delete', locator='no_such')
    after = scraped(free_port)
    assert after['mosaicod_ingest_rows_received_total'] == 5000
    assert after['mosaicod_ingest_bytes_received_total'] == batch.nbytes
    assert after['mosaicod_ingest_rows_durable_total'] == 5000
    assert after['mosaicod_ingest_bytes_durable_total'] > 0
    for gauge in ('uploads_open', 'ingest_buffered_bytes', 'ingest_chunks_waiting'):
        assert after[f'mosaicod_{gauge}'] == 0
    assert after['mosaicod_rpcs_running{rpc="DoPut"}'] == 0
    assert after['mosaicod_rpcs_total{rpc="DoPut",code="OK"}'] == 1
    assert after['mosaicod_rpcs_total{rpc="DoAction",code="NOT_FOUND"}'] == 1
    assert after['mosaicod_read_rows_total'] == 5000
    assert after['mosaicod_read_bytes_total'] > 5000
    for histogram in ('chunk_encode', 'chunk_commit', 'query'):
        name = f'mosaicod_{histogram}_seconds'
        assert after[f'{name}_count'] == 1
        assert after[f'{name}_bucket{{le="+Inf"}}'] == 1
        assert 0 < after[f'{name}_sum'] < 60
    assert after['mosaicod_catalog_connections_used{for="reading"}'] == 0


def test_there_is_one_page(make_daemon, free_port):
    make_daemon(MOSAICOD_METRICS_PORT=str(free_port))
    with pytest.raises(urllib.error.HTTPError, match='404'):
        urllib.request.urlopen(f'http://127.0.0.1:{free_port}/', timeout=5)


def test_a_port_in_use_is_one_clear_line(make_daemon, shared_daemon):
    with pytest.raises(RuntimeError) as caught:
        make_daemon(MOSAICOD_METRICS_PORT=str(shared_daemon.port))
    assert f'Metrics cannot be served on 127.0.0.1:{shared_daemon.port}: address already in' in (
        str(caught.value)
    )


@pytest.fixture
def registry(monkeypatch) -> list[Any]:
    """An empty registry of the test."""
    made: list[Any] = []
    monkeypatch.setattr(metrics, '_registry', made)
    return made


def test_histograms_are_cumulative(registry):
    histogram = metrics.Histogram('h', 'Some.', (1, 2.5))
    for value in (0.5, 1, 2, 99):
        histogram.observe(value)
    assert metrics.exposition().splitlines() == [
        '# HELP h Some.',
        '# TYPE h histogram',
        'h_bucket{le="1"} 2',
        'h_bucket{le="2.5"} 3',
        'h_bucket{le="+Inf"} 4',
        'h_sum 102.5',
        'h_count 4',
    ]


def test_label_values_are_escaped(registry):
    counter = metrics.Counter('c', 'Some.', ('what',))
    counter.add(2, 'a "b"\\\n')
    assert metrics.exposition().splitlines()[-1] == r'c{what="a \"b\"\\\n"} 2'
    assert json.loads('"' + r'a \"b\"\\\n' + '"') == 'a "b"\\\n'
