"""CPU per message and loss: the recorder, a bare drain loop, and a raw executor subscriber.

``python test/benchmarks/recorder.py [--scenario many|bulk] [--rounds N] [--topics N] [--rate HZ]``

One publisher process sends IMU messages (324 bytes) on many topics, or in the scenario ``bulk``
a camera's 30 MB/s and a lidar's 10 MB/s. In each round the receivers take turns, each with a
publisher of its own. CPU is that of the receiver's whole process, middleware threads included,
over a window in the middle of the run. The recorder really records: into a daemon, whose CPU is
told beside. ``capture`` is the part of it that takes messages, without what becomes of them. The
bars: the recorder needs at most 1.5 times the bare loop and 0.35 of the executor, and loses
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

RECEIVERS = ('drain', 'capture', 'recorder', 'executor')
# Seconds until every topic of the recorder has its stream: it opens them at the first commit. The
# window behind it, 33 s by default, holds three commits, so that none more or less matters.
WARM_UP = 18.0
_TICKS = os.sysconf('SC_CLK_TCK')


@dataclass(frozen=True)
class Stream:
    """A topic of a scenario: `rate` messages a second of `size` bytes of data."""

    topic: str
    msgtype: str
    rate: float
    size: int = 0

    def message_class(self) -> Any:
        """Import the class."""
        package, _, name = self.msgtype.rpartition('/')
        return getattr(import_module(package.replace('/', '.')), name)

    def payload(self) -> bytes:
        """Return a serialized message."""
        from rclpy.serialization import serialize_message

        message = self.message_class()()
        if self.size:
            message.data = array('B', bytes(self.size))
        if self.msgtype.endswith('Image'):
            message.encoding, message.width, message.height = 'mono8', 1000, self.size // 1000
            message.step = 1000
        if self.msgtype.endswith('PointCloud2'):
            from sensor_msgs.msg import PointField

            message.fields = [
                PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
                for place, name in enumerate('xyzi')
            ]
            message.point_step, message.width, message.height = 16, self.size // 16, 1
            message.row_step = self.size
        return serialize_message(message)


def streams(arguments: argparse.Namespace) -> list[Stream]:
    """Return the topics of the chosen scenario."""
    if arguments.scenario == 'bulk':
        return [
            Stream('/bench/camera', 'sensor_msgs/msg/Image', 30.0, 1_000_000),
            Stream('/bench/lidar', 'sensor_msgs/msg/PointCloud2', 10.0, 1_000_000),
        ]
    rate = arguments.rate / arguments.topics
    return [
        Stream(f'/bench/t{number}', 'sensor_msgs/msg/Imu', rate)
        for number in range(arguments.topics)
    ]


def publish(scenario: list[Stream], seconds: float) -> None:
    """Publish on all topics by absolute deadlines; print how many messages."""
    import rclpy
    from rclpy.duration import Duration
    from rclpy.qos import QoSProfile

    rclpy.init(args=[])
    node = rclpy.create_node('bench_robot')
    depth = 10 if any(stream.size for stream in scenario) else 200
    publishers = [
        node.create_publisher(stream.message_class(), stream.topic, QoSProfile(depth=depth))
        for stream in scenario
    ]
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.05)
    # The readers may know of the publishers a little later than these of them.
    time.sleep(1.0)
    payloads = [stream.payload() for stream in scenario]
    # The topics take turns; those of one rate do not all send in the same instant.
    plan = sorted(
        ((turn + place / len(scenario)) / stream.rate, place)
        for place, stream in enumerate(scenario)
        for turn in range(int(stream.rate * seconds))
    )
    print('publishing', flush=True)
    began = time.monotonic()
    for due, place in plan:
        pause = began + due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        publishers[place].publish(payloads[place])
    for publisher in publishers:
        publisher.wait_for_all_acked(Duration(seconds=10))
    print(json.dumps({'published': len(plan)}), flush=True)


def receive(kind: str, scenario: list[Stream]) -> None:
    """Count raw messages until SIGINT, by a bare drain loop, by an executor or by Capture."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile
    from rclpy.signals import SignalHandlerOptions

    from mosaico_ros.nodes.drain import ParkedGroup

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f'bench_{kind}')
    if kind == 'capture':
        count = capture(node, stop)
        print(json.dumps({'received': count}), flush=True)
        os._exit(0)
    count = 0

    def callback(_payload: bytes) -> None:
        nonlocal count
        count += 1

    group = {'callback_group': ParkedGroup()} if kind == 'drain' else {}
    subscriptions = [
        node.create_subscription(
            stream.message_class(),
            stream.topic,
            callback,
            QoSProfile(depth=50 if stream.size else 1000),
            raw=True,
            **group,
        )
        for stream in scenario
    ]
    if kind == 'drain':
        takes = [(each.handle.take_message, each.msg_type) for each in subscriptions]
        while not stop.is_set():
            for take, message_class in takes:
                while take(message_class, True) is not None:
                    count += 1
            time.sleep(0.01)
    else:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
    print(json.dumps({'received': count}), flush=True)
    os._exit(0)


def capture(node: Any, stop: threading.Event) -> int:
    """Take as the recorder does and throw the parcels away; return how many messages came."""
    from mosaico_ros.nodes.capture import Capture
    from mosaico_ros.nodes.capture_parameters import CAPTURE
    from mosaico_ros.nodes.inbox import FlushPolicy
    from mosaico_ros.nodes.node_parameters import declare

    settings = {**declare(node, CAPTURE), 'topics': ('/bench/*',)}
    count = 0

    def hand_over(bundle: Any) -> None:
        nonlocal count
        count += len(bundle.rows)
        taking.release(sum(parcel.size for parcel in bundle.parcels))

    taking = Capture(
        node, settings, FlushPolicy(8192, 4_000_000, 5.0), hand_over, lambda *_, **__: None
    )
    taking.start()
    while not stop.wait(taking.pause):
        taking.look()
    taking.finish(1.0)
    return count


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used, user and system, in seconds."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def last_json(output: str) -> dict[str, Any]:
    """Return the last line that is JSON."""
    return json.loads([line for line in output.splitlines() if line.startswith('{')][-1])


def role_command(role: str, arguments: argparse.Namespace) -> list[str]:
    """Return the command line of this program in a role."""
    return [
        sys.executable, __file__, '--role', role, '--scenario', arguments.scenario,
        '--topics', str(arguments.topics), '--rate', str(arguments.rate),
        '--seconds', str(arguments.seconds),
    ]  # fmt: skip


def receiver_command(kind: str, arguments: argparse.Namespace, port: int) -> list[str]:
    """Return the command line of a receiver."""
    if kind == 'recorder':
        flags = [
            f'port:={port}',
            'topics:=["/bench/*"]',
            'report:=json',
            'report_period_sec:=60.0',
            f'spool_dir:={tempfile.mkdtemp(prefix="mosaico-spool-")}',
            'min_free_space_mb:=0.0',
        ]
        flags = [part for flag in flags for part in ('-p', flag)]
        return [sys.executable, '-m', 'mosaico_ros.nodes.recorder', '--ros-args', *flags]
    return role_command(kind, arguments)


def run_once(kind: str, arguments: argparse.Namespace, port: int, daemon: int) -> dict[str, float]:
    """Run one receiver with one publisher; return us of CPU per message and the loss.

    `daemon` is the process of the daemon at `port`.
    """
    rate = sum(stream.rate for stream in streams(arguments))
    receiver = subprocess.Popen(
        receiver_command(kind, arguments, port), stdout=subprocess.PIPE, text=True
    )
    robot = subprocess.Popen(role_command('publish', arguments), stdout=subprocess.PIPE, text=True)
    try:
        assert robot.stdout is not None
        assert robot.stdout.readline().strip() == 'publishing'
        time.sleep(WARM_UP)
        window = arguments.seconds - WARM_UP - 1.0
        before, before_there = cpu_seconds(receiver.pid), cpu_seconds(daemon)
        time.sleep(window)
        used = cpu_seconds(receiver.pid) - before
        used_there = cpu_seconds(daemon) - before_there
        published = last_json(robot.communicate(timeout=60)[0])['published']
        time.sleep(0.5)
        receiver.send_signal(signal.SIGINT)
        said = last_json(receiver.communicate(timeout=60)[0])
    finally:
        robot.kill()
        receiver.kill()
    received = said.get('received')
    counted = 0
    if received is None:
        topics = said['topics']
        received = sum(topic['stored'] for topic in topics)
        counted = sum(
            topic[name] or 0 for topic in topics for name in ('lost', 'thinned', 'dropped')
        )
    return {
        'us_per_message': used / (window * rate) * 1e6,
        'daemon_us_per_message': used_there / (window * rate) * 1e6,
        'lost': published - received,
        'unexplained': published - received - counted if kind == 'recorder' else 0,
    }


def main() -> int:
    """Run the benchmark, or one of its roles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--role', choices=('publish', 'drain', 'capture', 'executor'))
    parser.add_argument('--scenario', choices=('many', 'bulk'), default='many')
    parser.add_argument('--receivers', nargs='+', choices=RECEIVERS, default=RECEIVERS)
    parser.add_argument('--topics', type=int, default=100)
    parser.add_argument('--rate', type=float, default=1000.0, help='messages/s of all topics')
    parser.add_argument('--seconds', type=float, default=52.0)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args()
    if arguments.role == 'publish':
        publish(streams(arguments), arguments.seconds)
        return 0
    if arguments.role is not None:
        receive(arguments.role, streams(arguments))
        return 0

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.demo.surroundings import free_domain, free_port

    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    port = free_port(0)
    results: dict[str, list[dict[str, float]]] = {kind: [] for kind in arguments.receivers}
    with tempfile.TemporaryDirectory() as folder:
        os.environ['ROS_LOG_DIR'] = folder
        daemon = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run', '--port', str(port),
             '--data-dir', f'{folder}/data'], stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            MosaicoClient.connect('127.0.0.1', port, timeout=20).close()
            for _ in range(arguments.rounds):
                for kind in arguments.receivers:
                    os.environ['ROS_DOMAIN_ID'] = str(free_domain())
                    results[kind].append(run_once(kind, arguments, port, daemon.pid))
                    print(kind, results[kind][-1], file=sys.stderr, flush=True)
        finally:
            daemon.terminate()
            daemon.wait(20)
    medians = {
        kind: statistics.median(run['us_per_message'] for run in runs)
        for kind, runs in results.items()
    }
    ratios = {
        f'{kind}_over_{base}': round(medians[kind] / medians[base], 2)
        for kind in ('capture', 'recorder')
        for base in ('drain', 'executor')
        if kind in medians and base in medians
    }
    result = {
        'scenario': arguments.scenario,
        'messages_per_second': sum(stream.rate for stream in streams(arguments)),
        'us_per_message': {kind: round(value, 1) for kind, value in medians.items()},
        'daemon_us_per_message': {
            kind: round(statistics.median(run['daemon_us_per_message'] for run in runs), 1)
            for kind, runs in results.items()
            if kind == 'recorder'
        },
        'lost': {kind: sum(run['lost'] for run in runs) for kind, runs in results.items()},
        'not_counted_by_the_recorder': sum(
            run['unexplained'] for runs in results.values() for run in runs
        ),
        **ratios,
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
