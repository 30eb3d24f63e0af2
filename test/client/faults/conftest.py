"""A line that fails, daemons that hang, and topics whose every row is known."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros import MosaicoClient, String
from mosaico_ros.models.core import columns

SCHEMA = columns.writer_schema(String)
#: Rows are wide, so that few of them are more than sockets and gRPC hold on their way.
_WIDTH = 250
_BUFFER = 1 << 17
_SILENCE_S = 2  # the shortest that a client may be told to bear


class Line:
    """A line to a daemon that can be cut, go dead, or be slow."""

    def __init__(self, port: int) -> None:
        self._daemon = '127.0.0.1', port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._to_client, self._to_daemon = threading.Event(), threading.Event()
        self.revive()
        self._lock = threading.Lock()
        #: Bytes per second towards the client.
        self.rate = float('inf')
        #: Seconds that anything takes one way.
        self.delay = 0.0
        #: How many bytes reach the client before each of the next cuts.
        self.cuts: list[int] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what is connected; new connections are possible."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def go_dead(self) -> None:
        """Carry nothing any more, and tell nobody."""
        self._to_client.clear()
        self._to_daemon.clear()

    def lose_answers(self) -> None:
        """Carry nothing to the client any more."""
        self._to_client.clear()

    def revive(self) -> None:
        """Carry again."""
        self._to_client.set()
        self._to_daemon.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.revive()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                # Small buffers: a line that is slow does not hold megabytes.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                daemon = socket.socket()
                daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                try:
                    daemon.connect(self._daemon)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._ends += [client, daemon]
                for ends in ((client, daemon), (daemon, client)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            to_client = source.getpeername() == self._daemon
            open_way = self._to_client if to_client else self._to_daemon
            carried = 0
            while data := source.recv(1 << 14):
                open_way.wait()
                time.sleep(self.delay)
                target.sendall(data)
                if to_client:
                    time.sleep(len(data) / self.rate)
                    carried += len(data)
                    if self.cuts and carried >= self.cuts[0]:
                        self.cuts.pop(0)
                        self.cut()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def make_line() -> Iterator[Callable[..., Line]]:
    """``make_line(daemon)`` returns a line to it."""
    with contextlib.ExitStack() as stack:

        def make(daemon) -> Line:
            line = Line(daemon.port)
            stack.callback(line.close)
            return line

        yield make


@pytest.fixture
def silence() -> float:
    """Seconds after which the clients of these tests take silence for a fault."""
    return _SILENCE_S


@pytest.fixture
def connect_to() -> Iterator[Callable[..., MosaicoClient]]:
    """``connect_to(daemon or line)`` returns a client that bears `silence` only."""
    with contextlib.ExitStack() as stack:

        def make(end, silence_timeout: float = _SILENCE_S, **options) -> MosaicoClient:
            return stack.enter_context(
                MosaicoClient.connect(
                    '127.0.0.1', end.port, 20, silence_timeout=silence_timeout, **options
                )
            )

        yield make


@pytest.fixture
def hung() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """``with hung(daemon):`` the daemon does nothing; its sockets stay open."""

    @contextlib.contextmanager
    def hang(daemon) -> Iterator[None]:
        daemon.process.send_signal(signal.SIGSTOP)
        while not _stopped(daemon.process.pid):  # a thread on a busy core goes on for a moment
            time.sleep(0.001)
        try:
            yield
        finally:
            daemon.process.send_signal(signal.SIGCONT)

    return hang


def _stopped(pid: int) -> bool:
    states = [
        path.read_text().rpartition(')')[2] for path in Path(f'/proc/{pid}/task').glob('*/stat')
    ]
    return all(state.split()[0] == 'T' for state in states)


@pytest.fixture
def rows_of() -> Callable[..., pa.RecordBatch]:
    """``rows_of(times)`` returns rows with these times, numbered in a text from `first` on."""

    def make(times: np.ndarray, first: int = 0) -> pa.RecordBatch:
        texts = [f'{number:0{_WIDTH}}' for number in range(first, first + len(times))]
        return pa.record_batch([np.asarray(times, np.int64), texts], schema=SCHEMA)

    return make


@pytest.fixture
def write(rows_of) -> Callable[..., None]:
    """``write(client, sequence, topic=times, ...)`` records topics of numbered rows."""

    def record(client: MosaicoClient, sequence: str, **topics: np.ndarray) -> None:
        with client.sequence_create(sequence) as writer:
            for topic, times in topics.items():
                writer.topic_create(topic, ontology_type=String).push_batch(rows_of(times))

    return record
