"""Queries and clusters whose client has gone: the daemon does not work for nobody."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
ROWS = 1 << 19
SOON_SECONDS = 10


@pytest.fixture
def busy(make_daemon: Any, connect: Any, free_port: int) -> tuple[Any, Any, int]:
    """A daemon with room for one query at a time, and rows that no bounds tell anything of."""
    daemon = make_daemon(
        MOSAICOD_METRICS_PORT=str(free_port),
        MOSAICOD_MAX_CONCURRENT_CHUNK_QUERIES='1',
        MOSAICOD_QUERY_ENGINE_MEMORY_POOL_SIZE=str(16 << 20),
    )
    remote = connect(daemon)
    values = np.random.default_rng(1).uniform(0, 1000, ROWS)
    remote.put('t', [pa.record_batch([np.arange(ROWS), values], schema=SCHEMA)])
    return daemon, remote, free_port


def long_work(seed: int) -> dict[str, Any]:
    """Conditions that no row satisfies and each row has to be held against."""
    return {
        'Custom.x': [{'$between': [at + seed / 100, at + 0.5 + seed / 100]} for at in range(400)]
    }


def cpu_seconds(pid: int) -> float:
    """Time that a process has worked."""
    spent = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(spent[11]) + int(spent[12])) / 100


def running(port: int) -> float:
    """Actions that the daemon is at, by its own word."""
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10) as answer:
        found = re.search(r'rpcs_running\{rpc="DoAction"\} (\S+)', answer.read().decode())
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize('action', ['query', 'topic_filter_clusterize'])
def test_nobody_is_worked_for(busy, action):
    daemon, remote, port = busy
    if action == 'query':  # many times the work, as alternatives are evaluated one by one
        body: Any = {'where': {'$or': [{'ontology': long_work(seed)} for seed in range(40)]}}
    else:
        locator = f'{remote.sequence}/t'
        conditions = {'Custom.x': [one for s in range(40) for one in long_work(s)['Custom.x']]}
        body = {'locator': locator, 'clustering_dt_ns': 1, 'ontology': conditions}
    request = flight.Action(action, json.dumps(body).encode())
    with pytest.raises(flight.FlightTimedOutError):
        list(remote.client.do_action(request, flight.FlightCallOptions(timeout=2)))

    deadline = time.monotonic() + SOON_SECONDS
    while running(port) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(port)
    spent = cpu_seconds(daemon.process.pid)
    time.sleep(1)
    assert cpu_seconds(daemon.process.pid) - spent < 0.3
    # Its place and its memory are free: the only ones there are.
    found = remote.act('query', ontology={'Custom.x': {'$between': [500, 500.5]}})
    assert len(found['items']) == 1
