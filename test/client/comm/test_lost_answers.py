"""A connection that breaks between a request and its answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mosaico_ros import MosaicoClient
from mosaico_ros.models.sensors import IMU
from mosaico_ros.protocol.errors import AlreadyExistsError, UnavailableError
from mosaico_ros.protocol.server_info import EXTENSION_TOKENS


class Line:
    """A line to a daemon that can keep answers back, and break."""

    def __init__(self, host: str, port: int) -> None:
        self._daemon = host, port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._answers = threading.Event()
        self._answers.set()
        self.breaks = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, done: Callable[[], bool]) -> threading.Thread:
        """Keep answers back from now on, and break once `done` says that it is time."""
        self._answers.clear()

        def watch() -> None:
            try:
                while not done():
                    time.sleep(0.01)
                self._break()
            finally:
                self._answers.set()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self._listener.close()
        self._break()
        self._answers.set()

    def _break(self) -> None:
        self.breaks += 1
        ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                daemon = socket.create_connection(self._daemon)
                self._open += [client, daemon]
                for way in ((client, daemon, False), (daemon, client, True)):
                    threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, towards_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if towards_client:
                    self._answers.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(shared_daemon) -> Iterator[Line]:
    made = Line(shared_daemon.host, shared_daemon.port)
    yield made
    made.close()


@pytest.fixture
def far_client(line) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect('127.0.0.1', line.port) as connected:
        yield connected


def test_a_sequence_is_created_once(line, far_client, client, name):
    watch = line.break_after(lambda: client.sequence_exists(name))
    with far_client.sequence_create(name) as writer:
        watch.join()
        writer.topic_create('imu', ontology_type=IMU)
    assert line.breaks == 1
    assert len(client.sequence_handler(name).sessions) == 1


def test_a_topic_is_created_once(line, far_client, client, name, make_imu):
    with far_client.sequence_create(name) as writer:
        watch = line.break_after(lambda: client.topic_exists(name, 'imu'))
        imu = writer.topic_create('imu', ontology_type=IMU)
        watch.join()
        imu.push(make_imu(1))
    assert client.topic_handler(name, 'imu').message_count == 1


def test_a_notification_is_left_once(line, far_client, client, name, make_imu):
    def break_and_fail() -> None:
        with far_client.sequence_create(name) as writer:
            imu = writer.topic_create('imu', ontology_type=IMU)
            imu.push(make_imu(1))
            imu.close()
            line.break_after(lambda: bool(client.list_sequence_notifications(name)))
            raise ValueError('rain')

    with pytest.raises(ValueError, match='rain'):
        break_and_fail()
    assert line.breaks == 1
    assert len(client.list_sequence_notifications(name)) == 1


def test_nothing_is_repeated_where_the_daemon_cannot_tell(line, far_client, client, name):
    info = far_client._connection.server
    info.extensions.remove(EXTENSION_TOKENS)
    line.break_after(lambda: client.sequence_exists(name))
    with pytest.raises(UnavailableError), far_client.sequence_create(name):
        pytest.fail('the answer was lost')
    with pytest.raises(AlreadyExistsError), far_client.sequence_create(name):
        pytest.fail('the first request has created it')
