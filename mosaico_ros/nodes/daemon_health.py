"""How a daemon inside a node is: what it counts, and whether catalog, store and disk are well."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING

from mosaico_ros.daemon.process import metrics
from mosaico_ros.nodes.diagnostics import Level, Status
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.protocol.sizes import size_text

if TYPE_CHECKING:
    from mosaico_ros.daemon.app import Daemon

# Seconds between two questions to catalog and store; a store that has not answered this long is
# in trouble, whatever it will say.
_CHECK_PERIOD = 5.0
_CHECK_PATIENCE = 10.0
# Shares of what may be buffered, and of the disk.
_FULL = 0.9
_SPARE_SHARE = 0.05


class DaemonHealth:
    """Looks after a serving daemon until closed.

    Parameters
    ----------
    daemon
        The daemon; the only one of this process, as its figures are the process's.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._settings = daemon.settings
        self._closed = threading.Event()
        self._asked = self._answered = time.monotonic()
        self._took: float | None = None
        self._trouble = ''
        self._rates = {
            'rows_received': _Rate(metrics.ROWS_RECEIVED),
            'bytes_received': _Rate(metrics.BYTES_RECEIVED),
            'rows_durable': _Rate(metrics.ROWS_DURABLE),
            'rows_read': _Rate(metrics.ROWS_READ),
            'bytes_read': _Rate(metrics.BYTES_READ),
        }
        # Not in the caller's thread: a store that hangs must not hang the node.
        threading.Thread(target=self._watch, name='health', daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def statuses(self) -> list[Status]:
        """Return how it is now; rates are those since the last call."""
        return [self._throughput(), self._queue(), self._archive(), *self._disk()]

    def _watch(self) -> None:
        while not self._closed.wait(_CHECK_PERIOD):
            self._asked = time.monotonic()
            try:
                self._daemon.check()
                self._trouble = ''
            except MosaicoError as error:
                self._trouble = str(error)
            self._answered = time.monotonic()
            self._took = self._answered - self._asked

    def _throughput(self) -> Status:
        values: dict[str, object] = {'url': self._daemon.url}
        for name, rate in self._rates.items():
            values[name] = int(rate.metric.value())
            values[f'{name}_per_sec'] = rate.per_second()
        values['calls_running'] = int(metrics.RPCS_RUNNING.value())
        return Status('throughput', Level.OK, f'serving on {self._daemon.url}', values)

    def _queue(self) -> Status:
        buffered = int(metrics.BYTES_BUFFERED.value())
        limit = self._settings.max_buffered_size_in_bytes
        values = {
            'buffered_bytes': buffered,
            'buffered_bytes_max': limit,
            'chunks_waiting': int(metrics.CHUNKS_WAITING.value()),
            'uploads_open': int(metrics.UPLOADS_OPEN.value()),
        }
        if buffered >= _FULL * limit:
            text = 'senders wait: rows come faster than they can be made durable'
            return Status('queue', Level.WARN, text, values)
        return Status('queue', Level.OK, f'{size_text(buffered)} on their way', values)

    def _archive(self) -> Status:
        settings = self._settings
        values = {
            'location': settings.location,
            'catalog_connections_used': int(metrics.CATALOG_CONNECTIONS.value()),
            'catalog_connections_max': settings.max_db_connections,
            'check_sec': self._took,
        }
        silent = time.monotonic() - self._asked
        if self._answered < self._asked and silent > _CHECK_PATIENCE:
            text = f'catalog or store have not answered for {silent:.0f} s'
            return Status('catalog and store', Level.ERROR, text, values)
        if self._trouble:
            return Status('catalog and store', Level.ERROR, self._trouble, values)
        return Status('catalog and store', Level.OK, 'both answer', values)

    def _disk(self) -> list[Status]:
        """Where chunks or catalog are on a disk of this host, how full that is."""
        settings = self._settings
        folder = settings.store_dir if settings.store_is_folder else settings.data_dir
        if not settings.store_is_folder and settings.db_url:
            return []
        try:
            usage = shutil.disk_usage(folder)
        except OSError as error:
            return [Status('disk', Level.ERROR, f'{folder}: {error.strerror}')]
        values = {'folder': folder, 'free_bytes': usage.free, 'total_bytes': usage.total}
        text = f'{size_text(usage.free)} free'
        # Rows under way have to fit, whatever the share of a large disk is.
        if usage.free < settings.max_buffered_size_in_bytes:
            return [Status('disk', Level.ERROR, f'{text}: less than what is under way', values)]
        level = Level.WARN if usage.free < _SPARE_SHARE * usage.total else Level.OK
        return [Status('disk', level, text, values)]


class _Rate:
    """How fast a counter grows, between two questions."""

    def __init__(self, metric: metrics.Counter) -> None:
        self.metric = metric
        self._before = metric.value()
        self._when = time.monotonic()

    def per_second(self) -> float:
        value, now = self.metric.value(), time.monotonic()
        rate = (value - self._before) / max(now - self._when, 1e-3)
        self._before, self._when = value, now
        return rate
