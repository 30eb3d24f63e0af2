"""Stored size against a zstd MCAP of the same messages.

    python test/benchmarks/stored_size.py [--messages 60000]

IMU messages of three kinds, each into an MCAP with zstd chunks (as recorders write them) and
through the injector into an archive: values as 16-bit converters give them, values that were
born as 32-bit floats, and doubles of full entropy. Sizes are of the whole file and of the chunks.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ingest_bag import START_NS, daemon_process
from mcap.writer import CompressionType, Writer

from mosaico_ros import MosaicoClient
from mosaico_ros.ros_bridge.definitions import typestore
from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
from mosaico_ros.ros_bridge.injector import RosbagInjector

IMU = 'sensor_msgs/msg/Imu'
Values = npt.NDArray[np.float64]

#: How measured values look, from noise of unit variance, and the bar of each kind.
KINDS: dict[str, tuple[Callable[[Values], Values], float]] = {
    'quantised': (lambda noise: np.round(noise * 300) / 1024, 0.45),
    'float32-born': (lambda noise: noise.astype(np.float32).astype(np.float64), 0.55),
    'full-entropy': (lambda noise: noise, 0.75),
}


def write_bag(path: Path, messages: int, shape: Callable[[Values], Values]) -> None:
    """Write an IMU at 200 Hz; orientation, rates and accelerations vary, covariances do not."""
    store = typestore('jazzy')
    new: Callable[..., Any] = lambda name, *values: store.types[name](*values)  # noqa: E731
    noise = shape(np.random.default_rng(1).normal(size=(messages, 10))).tolist()
    covariance = np.eye(3).reshape(-1) * 0.01
    text, _ = store.generate_msgdef(IMU, ros_version=2)
    with path.open('wb') as file:
        writer = Writer(file, compression=CompressionType.ZSTD)
        writer.start(profile='ros2')
        schema = writer.register_schema(IMU, 'ros2msg', text.encode())
        channel = writer.register_channel('/imu', 'cdr', schema)
        for at, row in enumerate(noise):
            stamp = START_NS + at * 5_000_000
            time = new('builtin_interfaces/msg/Time', stamp // 10**9, stamp % 10**9)
            message = new(
                IMU,
                new('std_msgs/msg/Header', time, 'imu_link'),
                new('geometry_msgs/msg/Quaternion', *row[:4]),
                covariance,
                new('geometry_msgs/msg/Vector3', *row[4:7]),
                covariance,
                new('geometry_msgs/msg/Vector3', *row[7:]),
                covariance,
            )
            writer.add_message(channel, stamp, bytes(store.serialize_cdr(message, IMU)), stamp)
        writer.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--messages', type=int, default=60_000)
    given = parser.parse_args()
    print(f'{"values":13} {"MCAP zstd":>12} {"stored":>12}  ratio   bar')
    with tempfile.TemporaryDirectory(prefix='stored_size_') as name:
        folder = Path(name)
        with daemon_process(folder / 'archive') as port:
            for kind, (shape, bar) in KINDS.items():
                bag = folder / f'{kind}.mcap'
                write_bag(bag, given.messages, shape)
                RosbagInjector(
                    ROSInjectionConfig(bag, kind, host='127.0.0.1', port=port, log_level='ERROR')
                ).run()
                with MosaicoClient.connect('127.0.0.1', port) as client:
                    handler = client.topic_handler(kind, '/imu')
                    if handler is None or handler.message_count != given.messages:
                        raise SystemExit(f'{kind}: not everything was stored')
                    stored = handler.total_size_bytes
                size = bag.stat().st_size
                print(f'{kind:13} {size:12,} {stored:12,}  {stored / size:5.2f}  {bar:4.2f}')


if __name__ == '__main__':
    main()
