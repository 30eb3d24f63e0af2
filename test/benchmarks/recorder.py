"""CPU per message and loss: the recorder, a bare drain loop, and a raw executor subscriber.

``python test/benchmarks/recorder.py [--rounds N] [--topics N] [--rate HZ]``

One publisher process sends IMU messages (324 bytes) on many topics. In each round the three
receivers take turns, each with a publisher of its own. CPU is that of the receiver's whole
process, middleware threads included, over a window in the middle of the run. The recorder really
records: into a daemon, whose CPU is not counted. The bars: the recorder needs at most 1.5 times
the bare loop and 0.35 of the executor, and loses nothing.
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
from pathlib import Path
from typing import Any

RECEIVERS = ('drain', 'recorder', 'executor')
# Seconds until every topic of the recorder has its stream: it opens them at the first flush.
WARM_UP = 8.0
_TICKS = os.sysconf('SC_CLK_TCK')


def publish(topics: int, rate: float, seconds: float) -> None:
    """Publish on all topics in turn by absolute deadlines; print how many messages."""
    import rclpy
    from rclpy.duration import Duration
    from rclpy.qos import QoSProfile
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Imu

    rclpy.init(args=[])
    node = rclpy.create_node('bench_robot')
    qos = QoSProfile(depth=200)
    publishers = [node.create_publisher(Imu, f'/bench/t{number}', qos) for number in range(topics)]
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.05)
    payload = serialize_message(Imu())
    print('publishing', flush=True)
    began = time.monotonic()
    total = int(rate * seconds)
    for index in range(total):
        pause = began + index / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        publishers[index % topics].publish(payload)
    for publisher in publishers:
        publisher.wait_for_all_acked(Duration(seconds=10))
    print(json.dumps({'published': total}), flush=True)


def receive(kind: str, topics: int) -> None:
    """Count raw messages by a bare drain loop or by an executor, until SIGINT."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Imu

    from mosaico_ros.nodes.drain import ParkedGroup

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f'bench_{kind}')
    count = 0

    def callback(_payload: bytes) -> None:
        nonlocal count
        count += 1

    group = {'callback_group': ParkedGroup()} if kind == 'drain' else {}
    subscriptions = [
        node.create_subscription(
            Imu, f'/bench/t{number}', callback, QoSProfile(depth=1000), raw=True, **group
        )
        for number in range(topics)
    ]
    if kind == 'drain':
        handles = [subscription.handle for subscription in subscriptions]
        while not stop.is_set():
            for handle in handles:
                while handle.take_message(Imu, True) is not None:
                    count += 1
            time.sleep(0.01)
    else:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
    print(json.dumps({'received': count}), flush=True)
    os._exit(0)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used, user and system, in seconds."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def last_json(output: str) -> dict[str, Any]:
    """Return the last line that is JSON."""
    return json.loads([line for line in output.splitlines() if line.startswith('{')][-1])


def receiver_command(kind: str, arguments: argparse.Namespace, port: int) -> list[str]:
    """Return the command line of a receiver."""
    if kind == 'recorder':
        flags = [
            f'port:={port}',
            'topics:=["/bench/*"]',
            'report:=json',
            'report_period_sec:=60.0',
        ]
        flags = [part for flag in flags for part in ('-p', flag)]
        return [sys.executable, '-m', 'mosaico_ros.nodes.recorder', '--ros-args', *flags]
    return [sys.executable, __file__, '--role', kind, '--topics', str(arguments.topics)]


def run_once(kind: str, arguments: argparse.Namespace, port: int) -> dict[str, float]:
    """Run one receiver with one publisher; return us of CPU per message and the loss."""
    receiver = subprocess.Popen(
        receiver_command(kind, arguments, port), stdout=subprocess.PIPE, text=True
    )
    robot = subprocess.Popen(
        [sys.executable, __file__, '--role', 'publish', '--topics', str(arguments.topics),
         '--rate', str(arguments.rate), '--seconds', str(arguments.seconds)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert robot.stdout is not None
        assert robot.stdout.readline().strip() == 'publishing'
        time.sleep(WARM_UP)
        window = arguments.seconds - WARM_UP - 1.0
        before = cpu_seconds(receiver.pid)
        time.sleep(window)
        used = cpu_seconds(receiver.pid) - before
        published = last_json(robot.communicate(timeout=60)[0])['published']
        time.sleep(0.5)
        receiver.send_signal(signal.SIGINT)
        said = last_json(receiver.communicate(timeout=60)[0])
    finally:
        robot.kill()
        receiver.kill()
    received = said.get('received')
    if received is None:
        received = sum(topic['stored'] for topic in said['topics'])
    return {
        'us_per_message': used / (window * arguments.rate) * 1e6,
        'lost': published - received,
    }


def main() -> int:
    """Run the benchmark, or one of its roles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--role', choices=('publish', 'drain', 'executor'))
    parser.add_argument('--topics', type=int, default=100)
    parser.add_argument('--rate', type=float, default=1000.0, help='messages/s of all topics')
    parser.add_argument('--seconds', type=float, default=24.0)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args()
    if arguments.role == 'publish':
        publish(arguments.topics, arguments.rate, arguments.seconds)
        return 0
    if arguments.role is not None:
        receive(arguments.role, arguments.topics)
        return 0

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.demo.surroundings import free_domain, free_port

    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    port = free_port(0)
    results: dict[str, list[dict[str, float]]] = {kind: [] for kind in RECEIVERS}
    with tempfile.TemporaryDirectory() as folder:
        os.environ['ROS_LOG_DIR'] = folder
        daemon = subprocess.Popen(
            [sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run', '--port', str(port),
             '--data-dir', f'{folder}/data'], stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            MosaicoClient.connect('127.0.0.1', port, timeout=20).close()
            for _ in range(arguments.rounds):
                for kind in RECEIVERS:
                    os.environ['ROS_DOMAIN_ID'] = str(free_domain())
                    results[kind].append(run_once(kind, arguments, port))
                    print(kind, results[kind][-1], file=sys.stderr, flush=True)
        finally:
            daemon.terminate()
            daemon.wait(20)
    medians = {
        kind: statistics.median(run['us_per_message'] for run in runs)
        for kind, runs in results.items()
    }
    print(
        json.dumps(
            {
                'topics': arguments.topics,
                'rate': arguments.rate,
                'us_per_message': {kind: round(value, 1) for kind, value in medians.items()},
                'lost': {kind: sum(run['lost'] for run in runs) for kind, runs in results.items()},
                'recorder_over_drain': round(medians['recorder'] / medians['drain'], 2),
                'recorder_over_executor': round(medians['recorder'] / medians['executor'], 2),
            },
            indent=2,
        )
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
