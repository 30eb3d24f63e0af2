"""Real daemons, real ROS processes: own ports, own data folders, one ROS domain per worker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# A recorder has taken half of it to start, on a machine with six times the work it can do.
PATIENCE = 60.0


def wait_for(ready: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Poll until `ready` returns something true; return that."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = ready()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f'{what} did not happen within {patience:g} s')


@pytest.fixture(scope='session', name='wait_for')
def _wait_for() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def ros_environment(domain: int, tmp_path: Path) -> dict[str, str]:
    """Environment of every ROS process of a test."""
    return {
        **os.environ,
        'ROS_DOMAIN_ID': str(domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_LOG_DIR': str(tmp_path / 'ros_log'),
        'ROS_HOME': str(tmp_path / 'ros_home'),
        'ROS_PYTHON_CHECK_FIELDS': '1',
        'PYTHONUNBUFFERED': '1',
    }


@pytest.fixture
def daemon(shared_daemon: Any) -> Any:
    """A daemon that the tests of a worker share."""
    return shared_daemon


@pytest.fixture
def mortal_daemon(make_daemon: Callable[..., Any]) -> Any:
    """A daemon to be killed; with short leases, because the test waits for one to lapse."""
    return make_daemon(MOSAICOD_LEASE_SECONDS='2')


@dataclass
class RecorderProcess:
    """The recorder as its own process, reporting as JSON."""

    process: subprocess.Popen[str]
    said: list[dict[str, Any]] = field(default_factory=list)
    errors: Path = Path()

    def events(self) -> list[str]:
        return [entry['event'] for entry in self.said if 'event' in entry]

    def state(self) -> dict[str, Any]:
        return next((entry for entry in reversed(self.said) if 'state' in entry), {})

    def topic(self, name: str) -> dict[str, Any]:
        topics = {topic['name']: topic for topic in self.state().get('topics', ())}
        return topics.get(name, {})

    def wait_recording(self, *topics: str) -> None:
        """Wait until it has subscribed to the topics."""
        for name in topics:
            wait_for(
                lambda name=name: any(
                    event.startswith(f'recording {name} ') for event in self.events()
                ),
                f'subscription to {name}',
            )

    def wait_received(self, name: str, count: int) -> None:
        wait_for(
            lambda: self.topic(name).get('received', 0) >= count, f'{count} messages on {name}'
        )

    def finish(self, *signals: signal.Signals, patience: float = PATIENCE) -> int:
        """Send signals 50 ms apart and wait for the end; return the exit code."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.05)
        code = self.process.wait(patience)
        wait_for(lambda: 'failure' in self.state(), 'the last report', 5.0)
        return code


@pytest.fixture
def start_recorder(
    daemon: Any, ros_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., RecorderProcess]]:
    """Start recorders by parameters: ``start_recorder(topics=['/imu'])``."""
    import threading

    started: list[RecorderProcess] = []

    def start(**parameters: Any) -> RecorderProcess:
        values = {
            'port': daemon.port,
            'report': 'json',
            'report_period_sec': 0.1,
            'commit_period_sec': 0.3,
            'flush_period_sec': 0.2,
            'spool_dir': str(tmp_path / 'spool'),
            'min_free_space_mb': 0.0,
            **parameters,
        }
        # JSON is YAML, with the quotes that texts need.
        flags = [
            part
            for name, value in values.items()
            for part in ('-p', f'{name}:={json.dumps(value)}')
        ]
        errors = tmp_path / f'recorder_{len(started)}.err'
        process = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.nodes.recorder', '--ros-args', *flags],
            env=ros_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors.open('w'),
            text=True,
        )
        recorder = RecorderProcess(process, errors=errors)
        started.append(recorder)

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                with contextlib.suppress(json.JSONDecodeError):
                    recorder.said.append(json.loads(line))

        threading.Thread(target=read, daemon=True).start()
        wait_for(
            lambda: (
                process.poll() is not None
                or any(
                    event.startswith('recording into ') or 'begins when there is room' in event
                    for event in recorder.events()
                )
            ),
            'the start of the recorder',
        )
        return recorder

    yield start
    for recorder in started:
        if recorder.process.poll() is None:
            recorder.process.kill()
            recorder.process.wait()


class Robot:
    """Publishers of the test itself, in an own ROS context."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.context import Context

        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self.node = rclpy.create_node(f'test_robot_{os.getpid()}', context=self._context)

    def publisher(self, message_type: type[Any], topic: str, qos: Any = 100) -> Any:
        return self.node.create_publisher(message_type, topic, qos)

    def wait_matched(self, *publishers: Any) -> None:
        for publisher in publishers:
            wait_for(publisher.get_subscription_count, f'a subscriber of {publisher.topic_name}')

    def wait_heard(self, publisher: Any, message: Any, heard: Callable[[], bool]) -> None:
        """Publish a message until it is heard: what is sent before that may reach nobody."""

        def sent() -> bool:
            publisher.publish(message)
            return heard()

        wait_for(sent, f'a message on {publisher.topic_name}')

    def publish(self, publisher: Any, messages: Sequence[Any], period: float = 0.0) -> None:
        """Publish messages and wait until every reader has acknowledged them."""
        from rclpy.duration import Duration

        for message in messages:
            publisher.publish(message)
            if period:
                time.sleep(period)
        assert publisher.wait_for_all_acked(Duration(seconds=10))

    def close(self) -> None:
        import rclpy

        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@pytest.fixture
def ros_here(monkeypatch: pytest.MonkeyPatch, ros_environment: dict[str, str]) -> None:
    """What nodes inside the process of a test need."""
    pytest.importorskip('rclpy')
    for name in ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOG_DIR'):
        monkeypatch.setenv(name, ros_environment[name])


@pytest.fixture
def robot(domain: int, ros_here: None) -> Iterator[Robot]:
    built = Robot(domain)
    try:
        yield built
    finally:
        built.close()


class Operator:
    """Somebody who calls services of nodes and listens to topics, in an own ROS context."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self.node = rclpy.create_node(f'test_operator_{os.getpid()}', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def call(self, service: type[Any], name: str, **fields: Any) -> Any:
        """Call a service and return the answer."""
        client = self.node.create_client(service, name)
        try:
            assert client.wait_for_service(PATIENCE), f'nobody offers {name}'
            future = client.call_async(service.Request(**fields))
            self._executor.spin_until_future_complete(future, PATIENCE)
            assert future.done(), f'no answer of {name}'
            return future.result()
        finally:
            self.node.destroy_client(client)

    def change(self, node: str, transition: int) -> bool:
        """Ask a node for a transition of its life cycle; tell whether it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        asked = Transition(id=transition)
        return bool(self.call(ChangeState, f'{node}/change_state', transition=asked).success)

    def listen(self, message_type: type[Any], topic: str, qos: Any = 1000) -> list[Any]:
        """Subscribe; what :meth:`wait` has received is in the list returned."""
        heard: list[Any] = []
        self.node.create_subscription(message_type, topic, heard.append, qos)
        return heard

    def wait(self, ready: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Receive until `ready` returns something true; return that."""

        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)
            value = ready()
            if value:
                return value
        pytest.fail(f'{what} did not happen within {patience:g} s')

    def close(self) -> None:
        import rclpy

        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@pytest.fixture
def operator(domain: int, ros_here: None) -> Iterator[Operator]:
    built = Operator(domain)
    try:
        yield built
    finally:
        built.close()
