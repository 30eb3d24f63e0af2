"""Places and memory of queries: bounded, in line, given back."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.daemon.query.budget import Budget
from mosaico_ros.daemon.query.windows import ClusterRequest
from mosaico_ros.protocol.errors import CancelledError, ResourceExhaustedError
from mosaico_ros.protocol.query import parse

TIME = pa.field('timestamp_ns', pa.int64(), nullable=False)


def here() -> bool:
    return True


def test_callers_are_served_in_line():
    budget, order = Budget(2), []
    threads = []

    def ask(name: int, amount: int) -> None:
        with budget.hold(amount, here):
            order.append(name)

    with budget.hold(1, here):
        for name, amount in enumerate((2, 1, 1)):  # the second fits, but came later
            threads.append(threading.Thread(target=ask, args=(name, amount)))
            threads[-1].start()
            while len(budget._waiting) <= name:
                time.sleep(0.001)
        assert not order
    for thread in threads:
        thread.join()
    assert order[0] == 0
    assert sorted(order) == [0, 1, 2]


def test_who_has_gone_leaves_the_line():
    budget = Budget(1)
    with budget.hold(1, here), pytest.raises(CancelledError), budget.hold(1, lambda: False):
        pytest.fail('there was no place')
    with budget.hold(1, here):
        pass


def test_no_limit_never_waits():
    budget = Budget(0)
    with budget.hold(1 << 60, here), budget.hold(1 << 60, here):
        pass


def undecided(filled: Any) -> tuple[Any, dict[str, Any]]:
    """Write a topic, and return a query that has to open it."""
    schema = pa.schema([TIME, ('x', pa.float64())])
    locator = filled.write(pa.table([[1, 2, 3], [0.0, 5.0, 9.0]], schema=schema))
    return locator, {'ontology': {'IMU.x': {'$between': [4, 6]}}}


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
def test_queries_that_read_chunks_wait_for_a_place(filled):
    filled.reopen(max_concurrent_chunk_queries=1)
    locator, body = undecided(filled)
    engine = filled.archive._queries
    done: list[int] = []
    with engine.places.hold(1, here):
        thread = threading.Thread(
            target=lambda: done.append(len(filled.archive.query(parse(body))))
        )
        thread.start()
        assert len(filled.archive.query(parse({'ontology': {'IMU.x': {'$lt': 1}}}))) == 1
        with pytest.raises(CancelledError):
            filled.archive.query(parse(body), lambda: False)
        thread.join(0.2)
        assert not done
    thread.join()
    assert done == [1]
    # A reader of clusters that takes its time holds no place.
    request = ClusterRequest(locator, parse(body).ontology, 1)
    clusters = filled.archive.clusterize(request)
    assert next(clusters).start_ns == 2
    with engine.places.hold(1, lambda: False):
        pass


@pytest.mark.parametrize('settings', ['sqlite+folder'], indirect=True)
def test_a_row_group_larger_than_the_pool_is_refused(filled):
    _, body = undecided(filled)
    filled.reopen(query_engine_memory_pool_size=10)
    with pytest.raises(ResourceExhaustedError, match='MEMORY_POOL_SIZE'):
        filled.archive.query(parse(body))
    filled.reopen(query_engine_memory_pool_size=100_000)
    assert len(filled.archive.query(parse(body))) == 1


def peak(pid: int, name: str) -> int:
    status = Path(f'/proc/{pid}/status').read_text()
    found = re.search(rf'{name}:\s+(\d+) kB', status)
    assert found is not None
    return int(found.group(1)) << 10


@pytest.mark.slow
def test_memory_stays_bounded_over_two_gigabytes(make_daemon, connect):
    pool = 32 << 20
    daemon = make_daemon(MOSAICOD_QUERY_ENGINE_MEMORY_POOL_SIZE=str(pool))
    remote = connect(daemon)
    # Quantised, so that it compresses; both bounds of each chunk enclose what is asked for.
    rows = 1 << 20
    names = [f'c{at}' for at in range(31)]
    schema = pa.schema([TIME, *((name, pa.float64()) for name in names)])
    values = pa.array(np.arange(rows) % 64 * 2.0)
    batch = pa.record_batch([pa.array(np.arange(rows)), *[values] * 31], schema=schema)
    size = batch.nbytes
    pieces = [batch.slice(at, 16384) for at in range(0, rows, 16384)]
    for number in range(-(-(2 << 30) // size)):
        remote.put(f't{number}', pieces)
    daemon.restart()
    remote = connect(daemon)
    assert daemon.process is not None
    pid = daemon.process.pid
    remote.act('query', ontology={'Custom.c0': {'$gt': 1e9}})
    idle = peak(pid, 'VmRSS')
    Path(f'/proc/{pid}/clear_refs').write_text('5')
    odd = {f'Custom.{name}': {'$between': [30.5, 31.5]} for name in names}
    plan = remote.act('query', ontology=odd, explain=True)
    assert plan['items'] == []
    (group,) = plan['plan']['alternatives'][0]['groups']
    assert group['chunks_opened'] > 0
    assert peak(pid, 'VmHWM') - idle < pool + (150 << 20)
