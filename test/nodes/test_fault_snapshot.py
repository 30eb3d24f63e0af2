"""The fault snapshot node against real publishers and a real daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import Imu
from std_msgs.msg import String
from std_srvs.srv import Trigger

SIGINT = signal.SIGINT


@dataclass
class Snapshots:
    """The node as its own process, and what it says of snapshots."""

    robot: Any
    folder: Path
    command: list[str]
    environment: dict[str, str]
    log: Path
    wait_for: Callable[..., Any]
    process: subprocess.Popen[bytes] | None = None
    said: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open('a') as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        begun = self.log.read_text().count('holding the last')
        self.wait_for(
            lambda: (
                self.process.poll() is not None
                or self.log.read_text().count('holding the last') > begun
            ),
            'the start of the node',
        )
        assert self.process.poll() is None, self.log.read_text()

    def captures(self, *topics: str) -> None:
        """Wait until it has subscribed to topics."""
        for topic in topics:
            self.wait_for(
                lambda topic=topic: f'recording {topic} ' in self.log.read_text(),
                f'subscription to {topic}',
            )

    def told(self, state: str, count: int = 1, **metadata: Any) -> list[dict[str, Any]]:
        """Wait for snapshots in a state; return what the node says of them."""

        def found() -> list[dict[str, Any]]:
            return [
                each
                for each in self.said
                if each['state'] == state
                and all(each[key] == value for key, value in metadata.items())
            ]

        self.wait_for(lambda: len(found()) >= count, f'{count} snapshots {state} {metadata}')
        return found()

    def trigger(self) -> str:
        node = self.robot._node
        client = node.create_client(Trigger, '/mosaico_fault_snapshot/trigger')
        assert client.wait_for_service(20.0)
        future = client.call_async(Trigger.Request())
        self.wait_for(future.done, 'the answer of ~/trigger')
        return future.result().message

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(SIGINT)
        return self.process.wait(30)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def snapshots(
    daemon: Any,
    robot: Any,
    ros_environment: dict[str, str],
    tmp_path: Path,
    wait_for: Callable[..., Any],
) -> Iterator[Callable[..., Snapshots]]:
    """``snapshots(pre_sec=1.0)`` starts a node whose events are heard."""
    import threading

    from rclpy.executors import SingleThreadedExecutor

    started: list[Snapshots] = []
    executor = SingleThreadedExecutor(context=robot._context)
    executor.add_node(robot._node)
    thread = threading.Thread(target=executor.spin, daemon=True)

    def start(**parameters: Any) -> Snapshots:
        values = {
            'port': daemon.port,
            'robot_id': 'r1',
            'snapshot_dir': str(tmp_path / 'snapshots'),
            'pre_sec': 1.0,
            'post_sec': 0.5,
            'ring_sec': 2.0,
            'segment_sec': 0.1,
            'discovery_period_sec': 0.2,
            'retry_max_sec': 1.0,
            **parameters,
        }
        flags = [f for name, v in values.items() for f in ('-p', f'{name}:={json.dumps(v)}')]
        node = Snapshots(
            robot,
            tmp_path / 'snapshots',
            [sys.executable, '-m', 'mosaico_ros.nodes.fault_snapshot', '--ros-args', *flags],
            ros_environment,
            tmp_path / f'node_{len(started)}.log',
            wait_for,
        )
        started.append(node)
        robot._node.create_subscription(
            String,
            '/mosaico_fault_snapshot/snapshot_stored',
            lambda message: node.said.append(json.loads(message.data)),
            100,
        )
        node.start()
        if not thread.is_alive():
            thread.start()
        wait_for(
            lambda: robot._node.count_publishers('/mosaico_fault_snapshot/snapshot_stored'),
            'the events of the node',
        )
        return node

    yield start
    executor.shutdown()
    for node in started:
        if node.process is not None and node.process.poll() is None:
            node.kill()


def imu(index: int) -> Imu:
    message = Imu()
    message.linear_acceleration.x = float(index)
    return message


def test_a_trigger_brings_the_seconds_around_it_into_the_archive(
    daemon: Any, robot: Any, snapshots: Any
) -> None:
    publisher = robot.publisher(Imu, '/imu')
    node = snapshots(topics=['/imu'])
    robot.wait_matched(publisher)
    robot.publish(publisher, [imu(i) for i in range(100)], period=0.01)
    snapshot_id = node.trigger()
    robot.publish(publisher, [imu(i) for i in range(100, 200)], period=0.01)
    (told,) = node.told('delivered', snapshot_id=snapshot_id)
    assert told['robot_id'] == 'r1'
    with daemon.client() as client:
        sequence = client.sequence_handler(told['sequence'])
        assert sequence.user_metadata['fault_code'] == 'MANUAL'
        stream = client.topic_handler(told['sequence'], '/imu').get_data_streamer()
        got = [(each.timestamp_ns, each.data.acceleration.x) for each in stream]
    values = [value for _, value in got]
    assert values == list(map(float, range(int(values[0]), int(values[-1]) + 1)))
    assert values[0] < 50 < 120 < values[-1]
    assert told['window_start_ns'] <= got[0][0] <= got[-1][0] <= told['window_end_ns']
    assert node.stop() == 0
