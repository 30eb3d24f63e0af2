"""The fault snapshot node as its own process, and a robot that never holds still."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Imu
from std_msgs.msg import String
from std_srvs.srv import Trigger

NODE = '/mosaico_fault_snapshot'


def wait_for(ready: Callable[[], Any], what: str, patience: float = 30.0) -> Any:
    """Poll until `ready` returns something true; return that."""
    deadline = time.monotonic() + patience
    while not (value := ready()):
        assert time.monotonic() < deadline, f'{what} did not happen within {patience:g} s'
        time.sleep(0.02)
    return value


class Peer:
    """A node of the test that spins by itself."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self.node = rclpy.create_node(f'test_peer_{os.getpid()}', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def publisher(self, message_type: type[Any], topic: str, qos: Any = 100) -> Any:
        return self.node.create_publisher(message_type, topic, qos)

    def publish(self, publisher: Any, *messages: Any) -> None:
        """Publish to a subscriber that is there."""
        wait_for(publisher.get_subscription_count, f'a subscriber of {publisher.topic_name}')
        for message in messages:
            publisher.publish(message)
        assert publisher.wait_for_all_acked(Duration(seconds=10))

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(10)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@dataclass
class SnapshotNode:
    """The process; `said` is what it published of snapshots."""

    peer: Peer
    folder: Path
    environment: dict[str, str]
    parameters: dict[str, Any]
    said: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self._log = self.folder.parent / f'{self.folder.name}.log'
        self.peer.node.create_subscription(
            String,
            f'{NODE}/snapshot_stored',
            lambda message: self.said.append(json.loads(message.data)),
            100,
        )

    def start(self) -> SnapshotNode:
        values = {
            'robot_id': 'r1',
            'snapshot_dir': str(self.folder),
            'discovery_period_sec': 0.1,
            'segment_sec': 0.1,
            'retry_max_sec': 1.0,
            **self.parameters,
        }
        flags = [f for name, v in values.items() for f in ('-p', f'{name}:={json.dumps(v)}')]
        before = len(self.log)
        with self._log.open('a') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'mosaico_ros.nodes.fault_snapshot', '--ros-args', *flags],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = self.process
        wait_for(
            lambda: process.poll() is not None or 'holding the last' in self.log[before:],
            'the start of the node',
        )
        assert process.poll() is None, self.log
        self._begun = before
        topic = f'{NODE}/snapshot_stored'
        wait_for(lambda: self.peer.node.count_publishers(topic), 'the events of the node')
        return self

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ''

    def captures(self, *topics: str) -> None:
        """Wait until it has subscribed to topics."""
        for topic in topics:
            wait_for(
                lambda topic=topic: f'recording {topic} ' in self.log[self._begun :],
                f'the subscription to {topic}',
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

        wait_for(lambda: len(found()) >= count, f'{count} snapshots {state} {metadata}')
        return found()

    def trigger(self) -> str:
        """Call ~/trigger; return the id of the snapshot."""
        client = self.peer.node.create_client(Trigger, f'{NODE}/trigger')
        assert client.wait_for_service(20.0)
        future = client.call_async(Trigger.Request())
        wait_for(future.done, 'the answer of ~/trigger')
        self.peer.node.destroy_client(client)
        return future.result().message

    def change_state(self, transition: int) -> bool:
        """Ask for a transition of the life cycle; tell whether it succeeded."""
        client = self.peer.node.create_client(ChangeState, f'{NODE}/change_state')
        assert client.wait_for_service(20.0)
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        wait_for(future.done, 'the answer of ~/change_state')
        self.peer.node.destroy_client(client)
        return future.result().success

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def imu(index: int, z: float = 9.8) -> Imu:
    message = Imu()
    message.header.frame_id = 'imu'
    message.linear_acceleration.x = float(index)
    message.linear_acceleration.z = z
    return message


class Stream:
    """Publishes /imu at 100 Hz in a thread; knows what it has published."""

    def __init__(self, peer: Peer) -> None:
        self._publisher = peer.publisher(Imu, '/imu')
        self.published: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            message = imu(len(self.published))
            self.published.append(serialize_message(message))
            self._publisher.publish(message)
            due += 0.01
            self._stop.wait(max(0.0, due - time.monotonic()))

    def wait(self, count: int) -> int:
        """Wait for so many more messages; return how many there are."""
        wanted = len(self.published) + count
        wait_for(lambda: len(self.published) >= wanted, f'{count} messages')
        return len(self.published)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
