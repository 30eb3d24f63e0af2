"""What a daemon counts, in the text format of Prometheus.

A metric is made once, where this module ends, and belongs to the process. Updating one costs
about a microsecond: per batch or per call that is nothing, per row it would be too much.
"""

from __future__ import annotations

import bisect
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ['Counter', 'Gauge', 'Histogram', 'exposition', 'registered']

_registry: list[Counter | Histogram] = []


class Counter:
    """A number that only grows, for each combination of label values.

    Parameters
    ----------
    name, text
        What it is called, and what it counts.
    labels
        Names of its labels; values come from a small set.

    """

    kind = 'counter'

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        # Without labels there is one series, which is there from the beginning.
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}
        self._lock = threading.Lock()
        _registry.append(self)

    def add(self, amount: float, *labels: str) -> None:
        """Add to the series of these label values."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def value(self) -> float:
        """Return the sum of all its series."""
        with self._lock:
            return sum(self._values.values())

    def lines(self) -> Iterator[str]:
        """Yield the samples."""
        with self._lock:
            values = dict(self._values)
        for labels, value in values.items():
            yield f'{self.name}{_shown(self.labels, labels)} {_number(value)}'


class Gauge(Counter):
    """A number that goes up and down."""

    kind = 'gauge'

    def set(self, value: float, *labels: str) -> None:
        """Replace the value of the series of these label values."""
        with self._lock:
            self._values[labels] = value

    @contextmanager
    def held(self, *labels: str) -> Iterator[None]:
        """Count one more while the block runs."""
        self.add(1, *labels)
        try:
            yield
        finally:
            self.add(-1, *labels)


class Histogram:
    """How values are distributed.

    Parameters
    ----------
    name, text
        What it is called, and what it measures.
    bounds
        Upper bounds of the buckets, ascending; what is above all is counted, too.

    """

    kind = 'histogram'

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self.name, self.text = name, text
        self._bounds = (*bounds, math.inf)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        self._lock = threading.Lock()
        _registry.append(self)

    def observe(self, value: float) -> None:
        """Count a value."""
        at = bisect.bisect_left(self._bounds, value)
        with self._lock:
            self._counts[at] += 1
            self._sum += value

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds that the block takes."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - begun)

    def lines(self) -> Iterator[str]:
        """Yield the samples."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        below = 0
        for bound, count in zip(self._bounds, counts, strict=True):
            below += count
            yield f'{self.name}_bucket{_shown(("le",), (_number(bound),))} {below}'
        yield f'{self.name}_sum {_number(total)}'
        yield f'{self.name}_count {below}'


def registered() -> Sequence[Counter | Histogram]:
    """Return all metrics, in the order of their making."""
    return _registry


def exposition() -> str:
    """Return all metrics as Prometheus reads them."""
    lines = []
    for metric in _registry:
        lines += [f'# HELP {metric.name} {metric.text}', f'# TYPE {metric.name} {metric.kind}']
        lines += metric.lines()
    return '\n'.join(lines) + '\n'


def _shown(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ''
    pairs = zip(names, values, strict=True)
    return '{' + ','.join(f'{name}="{_escaped(value)}"' for name, value in pairs) + '}'


def _escaped(value: str) -> str:
    return value.replace('\\', r'\\').replace('"', r'\"').replace('\n', r'\n')


def _number(value: float) -> str:
    if math.isinf(value):
        return '+Inf'
    return str(int(value)) if value == int(value) else repr(value)


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

STARTED = Gauge('process_start_time_seconds', 'When the process began, since 1970.')
STARTED.set(round(time.time(), 3))
RPCS = Counter('mosaicod_rpcs_total', 'Calls that have ended.', ('rpc', 'code'))
RPCS_RUNNING = Gauge('mosaicod_rpcs_running', 'Calls that are being served.', ('rpc',))
ROWS_RECEIVED = Counter('mosaicod_ingest_rows_received_total', 'Rows taken from uploads.')
BYTES_RECEIVED = Counter('mosaicod_ingest_bytes_received_total', 'Their size in memory.')
ROWS_DURABLE = Counter('mosaicod_ingest_rows_durable_total', 'Rows that survive a crash.')
BYTES_DURABLE = Counter('mosaicod_ingest_bytes_durable_total', 'Their size in the store.')
BYTES_BUFFERED = Gauge('mosaicod_ingest_buffered_bytes', 'Rows in memory, not durable yet.')
CHUNKS_WAITING = Gauge('mosaicod_ingest_chunks_waiting', 'Chunks cut, but not recorded yet.')
UPLOADS_OPEN = Gauge('mosaicod_uploads_open', 'Uploads going on.')
CHUNK_ENCODE_SECONDS = Histogram(
    'mosaicod_chunk_encode_seconds', 'Encoding a chunk and putting it into the store.', _SECONDS
)
CHUNK_COMMIT_SECONDS = Histogram(
    'mosaicod_chunk_commit_seconds', 'Recording chunks in the catalog.', _SECONDS
)
ROWS_READ = Counter('mosaicod_read_rows_total', 'Rows sent to readers.')
BYTES_READ = Counter('mosaicod_read_bytes_total', 'Bytes of messages sent to readers.')
QUERY_SECONDS = Histogram('mosaicod_query_seconds', 'Answering queries.', _SECONDS)
ROUTINE_RUNS = Counter(
    'mosaicod_routine_runs_total', 'Runs of routines on this daemon.', ('routine', 'outcome')
)
CATALOG_CONNECTIONS = Gauge(
    'mosaicod_catalog_connections_used', 'Connections to the catalog at work.', ('for',)
)
