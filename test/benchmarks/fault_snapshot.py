"""Memory of the fault snapshot node with a camera, while several snapshots are delivered.

    python test/benchmarks/fault_snapshot.py [--rate 10] [--rounds 2]

A robot publishes pictures of 1 MB. In each round four snapshots are asked for within 5 s, each of
the default 15 s; they are written and delivered to a daemon. What the node has at most, less what
it had without a camera and the most that ring and windows held (its diagnostics say that), is what
it needs itself (bar: 150 MB).
"""

from __future__ import annotations

import argparse
import array
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PAGE = os.sysconf('SC_PAGE_SIZE')
DOMAIN = 79
#: Of a picture, bytes.
WIDTH, HEIGHT = 694, 480
SNAPSHOTS = 4
NODE = '/mosaico_fault_snapshot'


def publish(rate: float) -> None:
    """Publish pictures until killed."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init(args=[])
    camera = rclpy.create_node('robot').create_publisher(Image, '/camera', 10)
    noise = os.urandom(2 * WIDTH * HEIGHT * 3)  # nothing that could be compressed
    picture = Image(width=WIDTH, height=HEIGHT, encoding='rgb8', step=WIDTH * 3)
    began, sent = time.monotonic(), 0
    while True:
        picture.data = array.array('B', noise[sent % 1000 :][: WIDTH * HEIGHT * 3])
        camera.publish(picture)
        sent += 1
        time.sleep(max(0.0, began + sent / rate - time.monotonic()))


class Operator:
    """Who asks for snapshots and hears of them, and watches the node's memory."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from std_msgs.msg import String
        from std_srvs.srv import Trigger

        rclpy.init(args=[])
        self._pid = process.pid
        self._rclpy = rclpy
        self._node = rclpy.create_node('operator')
        self._trigger = self._node.create_client(Trigger, f'{NODE}/trigger')
        self._request = Trigger.Request()
        self.delivered = 0
        self.peak = 0.0
        #: MB that ring and windows held at most.
        self.held = 0.0
        self._node.create_subscription(String, f'{NODE}/snapshot_stored', self._hear, 100)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 10)

    def _hear(self, message: Any) -> None:
        self.delivered += '"state": "delivered"' in message.data

    def _diagnosed(self, message: Any) -> None:
        values = {each.key: each.value for status in message.status for each in status.values}
        self.held = max(self.held, float(values.get('high water MB', 0.0)))

    def memory(self) -> float:
        """Return the node's memory in MB."""
        return int(Path(f'/proc/{self._pid}/statm').read_text().split()[1]) * _PAGE / 1e6

    def wait_active(self) -> None:
        """Wait until snapshots can be asked for."""
        assert self._trigger.wait_for_service(60.0), 'the node did not start'

    def wait(self, seconds: float, until: int | None = None) -> None:
        """Watch for so long, or until so many snapshots have arrived."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (until is None or self.delivered < until):
            self._rclpy.spin_once(self._node, timeout_sec=0.02)
            self.peak = max(self.peak, self.memory())

    def ask(self) -> None:
        """Ask for a snapshot."""
        future = self._trigger.call_async(self._request)
        self._rclpy.spin_until_future_complete(self._node, future, timeout_sec=30)


def main() -> None:
    """Run the rounds and print what the node needed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rate', type=float, default=10.0, help='pictures of 1 MB per second')
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--role', choices=('robot',))
    given = parser.parse_args()
    if given.role:
        publish(given.rate)
    sys.path.insert(0, str(ROOT))
    os.environ.update(
        ROS_DOMAIN_ID=str(DOMAIN),
        ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
        PYTHONPATH=str(ROOT),
    )
    with socket.create_server(('127.0.0.1', 0)) as probe:
        port = probe.getsockname()[1]

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix='snapshots_'))

        def start(*command: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, *command], stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        daemon = start(
            '-m', 'mosaico_ros.cli.mosaicod', 'run', '--data-dir', f'{folder}/archive',
            '--port', str(port),
        )  # fmt: skip
        assert daemon.stdout is not None
        assert daemon.stdout.readline(), 'the daemon did not start'
        flags = {'port': port, 'snapshot_dir': f'{folder}/snapshots'}
        node = start(
            '-m', 'mosaico_ros.nodes.fault_snapshot', '--ros-args', '--log-level', 'error',
            *(part for key, value in flags.items() for part in ('-p', f'{key}:={value}')),
        )  # fmt: skip
        operator = Operator(node)
        operator.wait_active()
        operator.wait(5.0)
        idle = operator.memory()
        start(__file__, '--role', 'robot', '--rate', str(given.rate))
        operator.wait(25.0)
        full = operator.memory()
        print(f'{idle:.0f} MB idle, {full:.0f} with a full ring', flush=True)
        for number in range(1, given.rounds + 1):
            operator.peak = 0.0
            began = time.monotonic()
            for _ in range(SNAPSHOTS):
                operator.ask()
                operator.wait(1.5)
            operator.wait(120.0, until=number * SNAPSHOTS)
            seconds = time.monotonic() - began
            peak = operator.peak
            operator.wait(5.0)
            own = peak - idle - operator.held
            print(
                f'round {number}: {operator.delivered} delivered, {seconds:.0f} s, '
                f'{peak:.0f} MB at most, {operator.memory():.0f} after; '
                f'ring and windows {operator.held:.0f}, itself {own:.0f} MB (bar 150)',
                flush=True,
            )
        node.send_signal(signal.SIGINT)
        node.wait(30)


if __name__ == '__main__':
    main()
