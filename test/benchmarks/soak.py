"""Soak of the recorder: daemon killed, network cut, disk short; every message accounted for.

    python test/benchmarks/soak.py [--minutes 20] [--topics 20] [--rate 400] [--seed 1]

A robot publishes numbered messages on many topics, one of them pictures. The recorder gets to the
daemon over a line that is cut or goes dead at random, the daemon is killed and restarted at
random, once for long. At the end the daemon stays away, and a second robot publishes until the
spool's bound is reached and the recorder ends by itself; the next recorder delivers what is there.

Then the recording is read back: of the first robot published = stored + counted losses, of the
second received = stored, every number once and in order. Memory is that of the recorder's process;
its slope is fitted from a quarter of the run on (minute 5 of 20).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
_PAGE = os.sysconf('SC_PAGE_SIZE')
#: Of a picture, bytes.
PICTURE = 100_000
DOMAIN = 77


# --- the robot, a process of its own


def publish(prefix: str, topics: int, rate: float, path: Path) -> None:
    """Publish numbered messages until SIGINT; write how many, per topic."""
    import rclpy
    from rclpy.duration import Duration
    from rclpy.qos import QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import UInt64

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f'robot_of{prefix.replace("/", "_")}')
    numbers = [
        node.create_publisher(UInt64, f'{prefix}/t{i:02}', QoSProfile(depth=500))
        for i in range(topics)
    ]
    camera = node.create_publisher(CompressedImage, f'{prefix}/camera', QoSProfile(depth=50))
    publishers = [*numbers, camera]
    while not all(each.get_subscription_count() for each in publishers):
        time.sleep(0.05)
    time.sleep(1.0)  # a match is known here first
    print('publishing', flush=True)
    counts = dict.fromkeys((each.topic_name for each in publishers), 0)
    picture = CompressedImage(format='jpeg')
    began, sent, pictures = time.monotonic(), 0, 0
    while not stop.is_set():
        elapsed = time.monotonic() - began
        while sent < elapsed * rate:
            publisher = numbers[sent % topics]
            publisher.publish(UInt64(data=counts[publisher.topic_name]))
            counts[publisher.topic_name] += 1
            sent += 1
        if pictures < elapsed * 10:
            picture.header.stamp.sec = counts[camera.topic_name]
            picture.data = os.urandom(PICTURE)  # nothing that could be compressed
            camera.publish(picture)
            counts[camera.topic_name] += 1
            pictures += 1
        time.sleep(0.002)
    for publisher in publishers:
        publisher.wait_for_all_acked(Duration(seconds=20))
    path.write_text(json.dumps(counts))
    os._exit(0)


# --- what runs beside this


class Processes:
    """What was started and has to end with this process, whatever ends that."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._over = False

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a module or script of Python whose standard output is read here."""
        with self._lock:
            if self._over:
                sys.exit('too late')  # which ends the trouble's thread without a word
            process = subprocess.Popen(
                [sys.executable, *command], stdout=subprocess.PIPE, text=True
            )
            self._running.append(process)
        return process

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True
        for process in self._running:
            process.kill()
            process.wait()


# --- what goes wrong


class Line:
    """A line to the daemon that can be cut or go dead."""

    def __init__(self, port: int) -> None:
        self._daemon = '127.0.0.1', port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listener.getsockname()[1]
        self._carrying = threading.Event()
        self._carrying.set()
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what is connected."""
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def dead(self) -> Iterator[None]:
        """Carry nothing and tell nobody."""
        self._carrying.clear()
        try:
            yield
        finally:
            self._carrying.set()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                daemon = socket.create_connection(self._daemon)
            except OSError:
                client.close()
                continue
            self._ends |= {client, daemon}
            for ends in ((client, daemon), (daemon, client)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._carrying.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._ends.discard(end)


def _lasting_port() -> int:
    """Return a free port that the system gives to no connection while the daemon is dead."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(('127.0.0.1', port)):
            return port


class Daemon:
    """A daemon on one port and one folder, however often it is started."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.port = _lasting_port()
        self._processes = processes
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._process = self._processes.start(
            '-m', 'mosaico_ros.cli.mosaicod', 'run', '--data-dir', str(self._folder),
            '--port', str(self.port),
        )  # fmt: skip
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f'the daemon ended with {self._process.wait()} before it served')

    def stop(self, number: signal.Signals) -> None:
        """End it by a signal."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(60)


class Trouble(threading.Thread):
    """One misfortune after the other, until the time is over."""

    def __init__(self, daemon: Daemon, line: Line, seconds: float, seed: int) -> None:
        super().__init__(daemon=True)
        self._daemon_process, self._line = daemon, line
        self._end = time.monotonic() + seconds
        self._long_outage = time.monotonic() + seconds / 2
        self._seconds = seconds
        self._random = random.Random(seed)
        self.happened: dict[str, int] = {}
        self.over = False

    def run(self) -> None:
        """Make trouble, and leave everything in order."""
        choose = self._random
        while time.monotonic() < self._end:
            time.sleep(choose.uniform(2, 12))
            if time.monotonic() > self._long_outage:
                self._long_outage = float('inf')
                self._kill(min(60.0, self._seconds / 8), 'long outage')
                continue
            kind = choose.choice(('kill', 'kill', 'cut', 'dead', 'terminate'))
            if kind == 'kill':
                self._kill(choose.uniform(0, 10), kind)
            elif kind == 'terminate':
                self._kill(choose.uniform(0, 5), kind, signal.SIGTERM)
            elif kind == 'cut':
                self._note(kind)
                self._line.cut()
            else:
                self._note(kind)
                with self._line.dead():
                    time.sleep(choose.uniform(1, 10))
        self.over = True

    def _kill(self, pause: float, kind: str, number: signal.Signals = signal.SIGKILL) -> None:
        self._note(kind)
        self._daemon_process.stop(number)
        time.sleep(pause)
        self._daemon_process.start()

    def _note(self, kind: str) -> None:
        self.happened[kind] = self.happened.get(kind, 0) + 1


# --- the accounts


def rss_mb(pid: int) -> float:
    """Return the memory of a process in MB."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * _PAGE / 1e6


def numbers_of(topic: Any) -> np.ndarray:
    """Return the numbers of the stored messages of a topic, in order."""
    columns = ['header.timestamp.seconds'] if topic.name.endswith('camera') else ['data']
    arrays = topic.to_numpy(columns=columns)
    return np.asarray(arrays[columns[0]], np.int64)


def check(recording: Any, published: dict[str, int], accounts: dict[str, Any]) -> bool:
    """Print the account of every topic; tell whether all of them are exact."""
    head = ('topic', 'published', 'received', 'lost', 'dropped', 'read')
    print(f'{head[0]:16}' + ''.join(f'{name:>10}' for name in head[1:]))
    good = True
    for name, account in sorted(accounts.items()):
        count = published.get(name)
        received, lost = account['received'], account['lost']
        dropped = sum(account[key] for key in ('dropped', 'throttled', 'thinned', 'malformed'))
        numbers = numbers_of(recording.get_topic_handler(name))
        faults = []
        if not (np.diff(numbers) > 0).all():
            faults.append('not in order, once each')
        if len(numbers) != received - dropped:
            faults.append('read is not received')
        if lost is None or count not in (None, received + lost):
            faults.append('published is not received and lost')
        good &= not faults
        cells = ('-' if count is None else count, received, lost, dropped, len(numbers))
        print(f'{name:16}' + ''.join(f'{cell!s:>10}' for cell in cells), ', '.join(faults).upper())
    return good


class Soak:
    """The processes of one run."""

    def __init__(self, given: argparse.Namespace, folder: Path, processes: Processes) -> None:
        self.given = given
        self.folder = folder
        self._processes = processes
        self.daemon = Daemon(processes, folder / 'archive')
        self.line = Line(self.daemon.port)

    def record(self, name: str, topics: list[str], said: list[dict[str, Any]]) -> Any:
        """Start a recorder; what it reports is appended to `said`."""
        parameters = {
            'port': self.line.port,
            'topics': topics,
            'sequence_name': name,
            'report': 'json',
            'report_period_sec': 2.0,
            'spool_dir': str(self.folder / 'spool'),
            'spool_max_mb': self.given.spool_mb,
            'spool_segment_mb': 4.0,
            'commit_period_sec': 2.0,
        }
        flags = [
            part
            for key, value in parameters.items()
            for part in ('-p', f'{key}:={json.dumps(value)}')
        ]
        process = self._processes.start('-m', 'mosaico_ros.nodes.recorder', '--ros-args', *flags)

        def hear() -> None:
            assert process.stdout is not None
            for text in process.stdout:
                with contextlib.suppress(json.JSONDecodeError):
                    said.append(json.loads(text))
                del said[:-100]

        threading.Thread(target=hear, daemon=True).start()
        return process

    def robot(self, prefix: str) -> tuple[Any, Path]:
        """Start a robot and wait until it publishes; return where it will write its counts."""
        counts = self.folder / f'{prefix.strip("/")}.json'
        robot = self._processes.start(
            __file__, '--role', 'robot', '--counts', str(counts), '--prefix', prefix,
            '--topics', str(self.given.topics), '--rate', str(self.given.rate),
        )  # fmt: skip
        assert robot.stdout is not None
        assert robot.stdout.readline().strip() == 'publishing'
        return robot, counts

    def suffer(self, recorder: Any) -> tuple[dict[str, int], list[tuple[float, float]]]:
        """Have the trouble; return what happened, and minutes and MB of memory."""
        trouble = Trouble(self.daemon, self.line, self.given.minutes * 60, self.given.seed)
        trouble.start()
        began, memory = time.monotonic(), []
        while trouble.is_alive():
            if recorder.poll() is not None:
                sys.exit(f'the recorder ended with {recorder.returncode}')
            memory.append(((time.monotonic() - began) / 60, rss_mb(recorder.pid)))
            time.sleep(1.0)
        if not trouble.over:
            sys.exit('the trouble broke off')
        return trouble.happened, memory

    def deliver_the_rest(self) -> None:
        """Start a recorder of nothing, which delivers what the one before has left."""
        self.daemon.start()
        recorder = self.record('soak_rest', ['/nothing'], [])
        deadline = time.monotonic() + 120
        while list((self.folder / 'spool').glob('soak-*')) and time.monotonic() < deadline:
            time.sleep(0.5)
        recorder.send_signal(signal.SIGINT)
        recorder.wait(60)


def main() -> int:
    """Run the soak; exit code 1 if an account is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=20.0)
    parser.add_argument('--topics', type=int, default=20)
    parser.add_argument('--rate', type=float, default=400, help='messages/s over all topics')
    parser.add_argument('--spool-mb', type=float, default=100.0)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--role', choices=('robot',))
    parser.add_argument('--prefix')
    parser.add_argument('--counts', type=Path)
    given = parser.parse_args()
    if given.role:
        publish(given.prefix, given.topics, given.rate, given.counts)
    sys.path.insert(0, str(ROOT))
    os.environ.update(
        ROS_DOMAIN_ID=str(DOMAIN),
        ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
        PYTHONPATH=str(ROOT),
    )
    from mosaico_ros import MosaicoClient

    for number in (signal.SIGTERM, signal.SIGINT):  # ignored, where a shell started it with &
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix='soak_') as name, Processes() as processes:
        os.environ['ROS_LOG_DIR'] = f'{name}/log'
        soak = Soak(given, Path(name), processes)
        said: list[dict[str, Any]] = []
        recorder = soak.record('soak', ['/soak/*', '/disk/*'], said)
        robot, counts = soak.robot('/soak')
        happened, memory = soak.suffer(recorder)
        robot.send_signal(signal.SIGINT)
        robot.wait(60)
        time.sleep(2.0)
        soak.daemon.stop(signal.SIGKILL)
        glutton, _ = soak.robot('/disk')
        code = recorder.wait(600)
        glutton.kill()
        time.sleep(0.5)
        state = next(entry for entry in reversed(said) if 'topics' in entry)
        soak.deliver_the_rest()
        with MosaicoClient.connect('127.0.0.1', soak.daemon.port) as client:
            recording = client.recording_handler('soak')
            assert recording is not None
            accounts = {topic['name']: topic for topic in state['topics']}
            good = check(recording, json.loads(counts.read_text()), accounts)
            parts = len(recording.parts)
        soak.daemon.stop(signal.SIGTERM)
    late = np.array([each for each in memory if each[0] >= given.minutes / 4])
    slope = float(np.polyfit(late[:, 0], late[:, 1], 1)[0])
    series = [f'{mb:.0f}' for _, mb in memory[:: max(1, len(memory) // 20)]]
    received = sum(topic['received'] for topic in state['topics'])
    print(
        f'{received} messages in {given.minutes:g} min, {parts} parts, trouble {happened}, '
        f'the full spool ended the recorder with {code}: {state.get("failure")}\n'
        f'memory: {late[0, 1]:.0f} MB at first, {late[:, 1].max():.0f} MB at most, '
        f'{slope:+.2f} MB/min (bar 1); in steps: {" ".join(series)}'
    )
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
