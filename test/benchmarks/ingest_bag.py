"""Bag ingest: this package against the published injector, same bag, same daemon, in turns.

    python test/benchmarks/ingest_bag.py --seconds 10 --variant numeric --rounds 3

Each side runs in a process of its own, timed from start to end by the process itself (imports
excluded, connecting, reading, sending and finalizing included), so that CPU seconds and peak
memory are its own. ``MOSAICO_PEER_PYTHON`` names the interpreter that has the published client;
without it only this package is measured. The published side ingests ``--peer-seconds`` of the
same recording (it is slow); ratios compare rates.

Two floors run in the same rounds: ``iteration`` is rosbags handing out every payload of the bag,
nothing else; ``raw put`` sends the same rows, made columns beforehand, to pyarrow's Flight server,
which encodes the same Parquet (`daemon_put.py`).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_NS = 1_700_000_000_000_000_000
#: Topic, type, rate in Hz.
NUMERIC = [
    ('/imu', 'sensor_msgs/msg/Imu', 400),
    ('/joints', 'sensor_msgs/msg/JointState', 200),
    ('/odom', 'nav_msgs/msg/Odometry', 50),
    ('/tf', 'tf2_msgs/msg/TFMessage', 100),
    ('/gps', 'sensor_msgs/msg/NavSatFix', 10),
]
MIXED = [
    *NUMERIC,
    ('/camera/compressed', 'sensor_msgs/msg/CompressedImage', 30),
    ('/lidar', 'sensor_msgs/msg/PointCloud2', 10),
]


# --- the recording ------------------------------------------------------------------------------


def write_bag(path: Path, seconds: float, variant: str, kind: str) -> int:
    """Write a synthetic recording; returns the number of messages."""
    from rosbags.typesys import get_types_from_msg

    from mosaico_ros.ros_bridge.definitions import typestore

    store = typestore('noetic' if kind == 'bag' else 'jazzy')
    if kind == 'bag':  # the type set of ROS 1 comes without tf2
        transforms = 'geometry_msgs/TransformStamped[] transforms\n'
        store.register(get_types_from_msg(transforms, 'tf2_msgs/msg/TFMessage'))
    maker = _Maker(store, ros1=kind == 'bag')
    topics = NUMERIC if variant == 'numeric' else MIXED
    due = sorted(
        (START_NS + int(i * 1e9 / rate), topic, msgtype, i)
        for topic, msgtype, rate in topics
        for i in range(int(seconds * rate))
    )
    with _Writer(path, kind, store) as writer:
        for stamp, topic, msgtype, i in due:
            writer.write(topic, msgtype, stamp, maker.make(msgtype, stamp, i))
    return len(due)


class _Maker:
    """Messages with quantised, noisy values; images and clouds are random bytes."""

    def __init__(self, store: Any, *, ros1: bool) -> None:
        import numpy as np

        self.np, self.types, self.ros1 = np, store.types, ros1
        self.random = np.random.default_rng(1)
        self.image = self.random.integers(0, 256, 100_000, np.uint8)
        self.cloud = self.random.integers(0, 256, 1_048_576, np.uint8)

    def make(self, msgtype: str, stamp: int, i: int) -> Any:
        return getattr(self, msgtype.split('/')[-1])(stamp, i)

    def _new(self, name: str, *values: Any) -> Any:
        return self.types[name](*values)

    def header(self, stamp: int, frame: str) -> Any:
        time = self._new('builtin_interfaces/msg/Time', stamp // 10**9, stamp % 10**9)
        values = (0, time, frame) if self.ros1 else (time, frame)
        return self._new('std_msgs/msg/Header', *values)

    def numbers(self, count: int) -> Any:
        return self.np.round(self.random.normal(size=count), 4)

    def vector(self) -> Any:
        return self._new('geometry_msgs/msg/Vector3', *self.numbers(3).tolist())

    def point(self) -> Any:
        return self._new('geometry_msgs/msg/Point', *self.numbers(3).tolist())

    def quaternion(self) -> Any:
        return self._new('geometry_msgs/msg/Quaternion', *self.numbers(4).tolist())

    def diagonal(self, size: int) -> Any:
        return self.np.eye(size).reshape(-1) * 0.01

    def Imu(self, stamp: int, i: int) -> Any:
        return self._new(
            'sensor_msgs/msg/Imu',
            self.header(stamp, 'imu_link'),
            self.quaternion(),
            self.diagonal(3),
            self.vector(),
            self.diagonal(3),
            self.vector(),
            self.diagonal(3),
        )

    def JointState(self, stamp: int, i: int) -> Any:
        names = [f'joint_{k}' for k in range(7)]
        values = [self.numbers(7) for _ in range(3)]
        return self._new('sensor_msgs/msg/JointState', self.header(stamp, 'base'), names, *values)

    def Odometry(self, stamp: int, i: int) -> Any:
        pose = self._new('geometry_msgs/msg/Pose', self.point(), self.quaternion())
        twist = self._new('geometry_msgs/msg/Twist', self.vector(), self.vector())
        return self._new(
            'nav_msgs/msg/Odometry',
            self.header(stamp, 'odom'),
            'base_link',
            self._new('geometry_msgs/msg/PoseWithCovariance', pose, self.diagonal(6)),
            self._new('geometry_msgs/msg/TwistWithCovariance', twist, self.diagonal(6)),
        )

    def TFMessage(self, stamp: int, i: int) -> Any:
        frames = ['map', 'odom', 'base_link', 'lidar_front']
        transforms = [
            self._new(
                'geometry_msgs/msg/TransformStamped',
                self.header(stamp, frames[k]),
                frames[k + 1],
                self._new('geometry_msgs/msg/Transform', self.vector(), self.quaternion()),
            )
            for k in range(1 + i % 3)
        ]
        return self._new('tf2_msgs/msg/TFMessage', transforms)

    def NavSatFix(self, stamp: int, i: int) -> Any:
        x, y, z = self.numbers(3).tolist()
        return self._new(
            'sensor_msgs/msg/NavSatFix',
            self.header(stamp, 'gps'),
            self._new('sensor_msgs/msg/NavSatStatus', 0, 1),
            45 + x / 1e3,
            9 + y / 1e3,
            120 + z,
            self.diagonal(3),
            2,
        )

    def CompressedImage(self, stamp: int, i: int) -> Any:
        head = self.header(stamp, 'camera')
        return self._new('sensor_msgs/msg/CompressedImage', head, 'jpeg', self.image)

    def PointCloud2(self, stamp: int, i: int) -> Any:
        fields = [
            self._new('sensor_msgs/msg/PointField', name, 4 * k, 7, 1)
            for k, name in enumerate(('x', 'y', 'z', 'intensity'))
        ]
        return self._new(
            'sensor_msgs/msg/PointCloud2',
            self.header(stamp, 'lidar'),
            *(1, 65_536, fields, False, 16, 1_048_576, self.cloud, True),
        )


class _Writer:
    """The three kinds of bag behind one call."""

    def __init__(self, path: Path, kind: str, store: Any) -> None:
        self.path, self.kind, self.store = path, kind, store
        self.channels: dict[str, Any] = {}

    def __enter__(self) -> _Writer:
        if self.kind == 'mcap':
            from mcap.writer import CompressionType, Writer

            self.file = self.path.open('wb')
            self.writer = Writer(self.file, compression=CompressionType.NONE)
            self.writer.start(profile='ros2')
        elif self.kind == 'db3':
            from rosbags.rosbag2 import Writer as Rosbag2Writer

            self.folder = self.path.with_suffix('')
            self.writer = Rosbag2Writer(self.folder, version=9)
            self.writer.open()
        else:
            from rosbags.rosbag1 import Writer as Rosbag1Writer

            self.writer = Rosbag1Writer(self.path)
            self.writer.open()
        return self

    def write(self, topic: str, msgtype: str, stamp: int, message: Any) -> None:
        if self.kind == 'bag':
            data = self.store.serialize_ros1(message, msgtype)
        else:
            data = self.store.serialize_cdr(message, msgtype)
        if topic not in self.channels:
            self.channels[topic] = self._channel(topic, msgtype)
        if self.kind == 'mcap':
            self.writer.add_message(self.channels[topic], stamp, bytes(data), stamp)
        else:
            self.writer.write(self.channels[topic], stamp, bytes(data))

    def _channel(self, topic: str, msgtype: str) -> Any:
        if self.kind == 'mcap':
            text, _ = self.store.generate_msgdef(msgtype, ros_version=2)
            schema = self.writer.register_schema(msgtype, 'ros2msg', text.encode())
            return self.writer.register_channel(topic, 'cdr', schema)
        return self.writer.add_connection(topic, msgtype, typestore=self.store)

    def __exit__(self, *error: object) -> None:
        if self.kind == 'mcap':
            self.writer.finish()
            self.file.close()
            return
        self.writer.close()
        if self.kind == 'db3':
            next(self.folder.glob('*.db3')).rename(self.path)


# --- the two sides, each in a process of its own ------------------------------------------------


def ingest_here(path: str, sequence: str, port: int) -> None:
    from mosaico_ros.ros_bridge.adapters.maps import column_map
    from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
    from mosaico_ros.ros_bridge.injector import RosbagInjector

    config = ROSInjectionConfig(Path(path), sequence, host='127.0.0.1', port=port)
    # Imported on first use; the published package imports everything at once, above its clock.
    for name in ('pyarrow.flight', 'rosbags.rosbag1', 'rosbags.typesys', 'mosaico_ros.models.ros'):
        importlib.import_module(name)
    for name in ('builtin_interfaces', 'geometry_msgs', 'nav_msgs', 'sensor_msgs'):
        column_map(f'{name}/msg/_')
    usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    injector = RosbagInjector(config)
    injector.run()
    _print_figures(begin, usage, injector.report.stored)


def ingest_published(path: str, sequence: str, port: int) -> None:
    # Names of the published package, which only the other interpreter has.
    from mosaicolabs.bridges.ros import RosbagInjector, ROSInjectionConfig  # type: ignore

    config = ROSInjectionConfig(
        file_path=Path(path),
        sequence_name=sequence,
        host='127.0.0.1',
        port=port,
        log_level='ERROR',
    )
    usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    RosbagInjector(config).run()
    _print_figures(begin, usage, None)


def iterate(path: str, *_: object) -> None:
    """Hand out every payload of a bag: what reading alone costs with the field's library."""
    from rosbags.highlevel import AnyReader

    usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with AnyReader([Path(path)]) as reader:
        count = sum(1 for _ in reader.messages())
    _print_figures(begin, usage, count)


def put_raw(folder: str, sequence: str, port: int) -> None:
    """Send the rows of an ingested sequence to the peer of `daemon_put.py`, topic by topic."""
    import pyarrow.flight as flight
    from daemon_put import put

    from mosaico_ros import MosaicoClient

    server, peer_port = folder, int(os.environ['RAW_PUT_PORT'])
    peer = flight.connect(f'grpc://127.0.0.1:{peer_port}')
    uploads = []
    with MosaicoClient.connect('127.0.0.1', port) as client:
        handler = client.sequence_handler(sequence)
        assert handler is not None
        for number, name in enumerate(handler.topics):
            topic = handler.get_topic_handler(name)
            with topic.get_data_streamer(sidecars=True) as streamer:
                batches = list(streamer.batches())
            place = f'{server}/{sequence}_{number}_{os.getpid()}'
            command = json.dumps({'folder': place, 'format': topic.serialization_format.value})
            uploads.append((flight.FlightDescriptor.for_command(command), batches))
    usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for descriptor, batches in uploads:
        put(peer, descriptor, batches)
    _print_figures(begin, usage, sum(b.num_rows for _, batches in uploads for b in batches))


SIDES = {
    'here': ingest_here,
    'published': ingest_published,
    'iteration': iterate,
    'raw put': put_raw,
}


def _print_figures(begin: float, before: Any, messages: int | None) -> None:
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = after.ru_maxrss / 1024
    print(json.dumps({'wall': wall, 'cpu': cpu, 'peak_mb': peak, 'messages': messages}))


# --- the comparison -----------------------------------------------------------------------------


def _run(python: str, side: str, source: Path, sequence: str, port: int) -> dict[str, float]:
    environment = dict(os.environ)
    if side == 'published':
        for name in ('LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'PYTHONPATH'):
            environment.pop(name, None)
    else:
        environment['PYTHONPATH'] = str(ROOT)
    done = subprocess.run(
        [python, __file__, f'--side={side}', str(source), sequence, str(port)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    if done.returncode:
        sys.exit(f'{side} failed:\n{done.stderr[-3000:]}')
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _stored(sequence: str, port: int) -> int:
    """Messages that the archive has: the published injector leaves out what it cannot send."""
    from mosaico_ros import MosaicoClient

    with MosaicoClient.connect('127.0.0.1', port) as client:
        handler = client.sequence_handler(sequence)
        assert handler is not None
        counts = [handler.get_topic_handler(topic).message_count for topic in handler.topics]
    return sum(filter(None, counts))


@contextmanager
def daemon_process(folder: Path) -> Iterator[int]:
    """Serve a folder for as long as the block lasts; yields the port."""
    process = subprocess.Popen(
        [
            *(sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run'),
            *('--port', '0', '--data-dir', str(folder)),
        ],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield int(line.split('://', 1)[1].split(':', 1)[1].split()[0])
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--peer-seconds', type=float, default=5)
    parser.add_argument('--variant', choices=('numeric', 'mixed'), default='numeric')
    parser.add_argument('--kind', choices=('mcap', 'db3', 'bag'), default='mcap')
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    # Not above: the published side runs this file where our package is not there.
    from daemon_get import serving

    peer = os.environ.get('MOSAICO_PEER_PYTHON')
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix='ingest_bag_') as name:
        folder = Path(name)
        sides = {'here': (sys.executable, options.seconds)}
        if peer:
            sides['published'] = (peer, options.peer_seconds)
        bags = {}
        for side, (_, seconds) in sides.items():
            path = folder / f'{side}.{options.kind}'
            bags[side] = (path, write_bag(path, seconds, options.variant, options.kind))
        for side in ('iteration', 'raw put'):
            sides[side], bags[side] = sides['here'], bags['here']
        rates: dict[str, list[float]] = {side: [] for side in sides}
        with (
            daemon_process(folder / 'archive') as port,
            serving(str(ROOT / 'test/benchmarks/daemon_put.py'), '--peer') as (_, raw_port),
        ):
            os.environ['RAW_PUT_PORT'] = str(raw_port)
            for number in range(options.rounds):
                for side, (python, _) in sides.items():
                    bag, count = bags[side]
                    # The raw put sends what was ingested in this round.
                    sequence = f'{"here" if side == "raw put" else side}_{number}'
                    source = folder if side == 'raw put' else bag
                    figures = _run(python, side, source, sequence, port)
                    if side == 'published':
                        figures['messages'] = _stored(sequence, port)
                    if figures['messages'] != count:
                        sys.exit(f'{side} stored {figures["messages"]} of {count} messages')
                    size = bag.stat().st_size / 1e6
                    rates[side].append(count / figures['wall'])
                    print(
                        f'{side:10} {count:8,} messages {size:7.1f} MB  '
                        f'{figures["wall"]:7.2f} s  {count / figures["wall"]:10,.0f} msg/s  '
                        f'{size / figures["wall"]:7.1f} MB/s  CPU {figures["cpu"]:6.2f} s '
                        f'({figures["cpu"] / count * 1e6:7.1f} us/msg)  '
                        f'peak {figures["peak_mb"]:5.0f} MB',
                        flush=True,
                    )
    median = {side: statistics.median(values) for side, values in rates.items()}
    for floor in ('iteration', 'raw put'):
        print(f'{median["here"] / median[floor]:.2f} of {floor}')
    if peer:
        ratios = [a / b for a, b in zip(rates['here'], rates['published'], strict=True)]
        print(
            f'median {median["here"]:,.0f} against {median["published"]:,.0f} msg/s: '
            f'{median["here"] / median["published"]:.0f}x '
            f'(rounds {min(ratios):.0f}x to {max(ratios):.0f}x)'
        )


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1].startswith('--side='):
        SIDES[sys.argv[1].removeprefix('--side=')](sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
