"""Cost of a message on its way into columns and back, against the published client.

Each side runs in its own interpreter and does what its writer and its reader do between user
code and the wire; pictures begin and end as numpy arrays. Rounds alternate. The peer is named by
``--peer`` or ``MOSAICO_PEER_PYTHON``.

    python test/benchmarks/models.py --peer /path/to/python [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

STEPS = ('construct', 'encode', 'decode')
# Messages per round; the peer's slow cases would otherwise dominate the run.
CASES = {
    'IMU': 1000,
    'Floating64': 2000,
    'RobotJoint, 7 joints': 1000,
    'FrameTransform, 5 transforms': 100,
    'MotionState': 300,
    'Lidar, 10 000 points': 3,
    'CompressedImage, 50 kB': 300,
    'Image, 640 x 480 rgb8, raw': 4,
    'Image, 640 x 480 rgb8, png': 4,
    'Image, 640 x 480 16UC1, raw': 4,
}


def pictures() -> tuple[Any, Any]:
    """Colours and depths with the noise of a camera."""
    import numpy as np

    noise = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    ramp = np.stack([rows / 4 + 40, columns / 4 + 40, (rows + columns) / 8 + 40], axis=-1)
    colours = (ramp + noise.normal(0, 2, ramp.shape)).astype(np.uint8)
    depths = 800 + 3 * rows + columns + noise.normal(0, 2, rows.shape)
    return colours, depths.astype(np.uint16)


def makers(
    sdk: Any, futures: Any, frame_transform: Any, image: Any
) -> dict[str, Callable[[int], Any]]:
    """Return one function per case that makes the message of an index."""
    points = [i * 0.001 for i in range(10_000)]
    picture = bytes(range(256)) * 200
    colours, depths = pictures()

    def header(i: int) -> Any:
        return sdk.Header(timestamp=sdk.Time(seconds=i, nanoseconds=5), frame_id='base_link')

    def vector(i: int) -> Any:
        return sdk.Vector3d(x=0.1 * i, y=0.2, z=9.81)

    def quaternion() -> Any:
        return sdk.Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)

    def transform(i: int) -> Any:
        return sdk.Transform(
            header=header(i),
            translation=vector(i),
            rotation=quaternion(),
            target_frame_id='camera',
        )

    data = {
        'IMU': lambda i: sdk.IMU(
            header=header(i),
            acceleration=vector(i),
            angular_velocity=vector(i),
            orientation=quaternion(),
        ),
        'Floating64': lambda i: sdk.Floating64(data=0.1 * i),
        'RobotJoint, 7 joints': lambda i: sdk.RobotJoint(
            header=header(i),
            names=['j1', 'j2', 'j3', 'j4', 'j5', 'j6', 'j7'],
            positions=[0.1 * i] * 7,
            velocities=[0.2] * 7,
            efforts=[0.3] * 7,
        ),
        'FrameTransform, 5 transforms': lambda i: frame_transform(
            transforms=[transform(i) for _ in range(5)]
        ),
        'MotionState': lambda i: sdk.MotionState(
            header=header(i),
            pose=sdk.Pose(
                position=sdk.Point3d(x=0.1 * i, y=0.0, z=0.0),
                orientation=quaternion(),
                covariance=[0.0] * 36,
            ),
            velocity=sdk.Velocity(linear=vector(i), angular=vector(i), covariance=[0.0] * 36),
            target_frame_id='base_link',
        ),
        'Lidar, 10 000 points': lambda i: futures.Lidar(
            header=header(i), x=points, y=points, z=points, intensity=points
        ),
        'CompressedImage, 50 kB': lambda i: sdk.CompressedImage(
            header=header(i), data=picture, format=sdk.ImageFormat.JPEG
        ),
        'Image, 640 x 480 rgb8, raw': lambda i: image(colours, 'rgb8', sdk.ImageFormat.RAW),
        'Image, 640 x 480 rgb8, png': lambda i: image(colours, 'rgb8', sdk.ImageFormat.PNG),
        'Image, 640 x 480 16UC1, raw': lambda i: image(depths, '16UC1', sdk.ImageFormat.RAW),
    }
    assert data.keys() == CASES.keys()
    return {
        case: lambda i, make=make: sdk.Message(timestamp_ns=i, data=make(i))
        for case, make in data.items()
    }


def own_side() -> tuple[dict[str, Callable[[int], Any]], Any, Any]:
    import mosaico_ros
    from mosaico_ros.models import FrameTransform, futures
    from mosaico_ros.models.core.columns import decode, encode

    def decode_all(messages: list[Any], batch: Any) -> list[Any]:
        back = decode(messages[0].ontology_type(), batch)
        if isinstance(messages[0].data, mosaico_ros.Image):
            return [message.data.to_numpy() for message in back]
        return back

    return (
        makers(mosaico_ros, futures, FrameTransform, mosaico_ros.Image.from_numpy),
        lambda messages: encode(messages[0].ontology_type(), messages),
        decode_all,
    )


def peer_side() -> tuple[dict[str, Callable[[int], Any]], Any, Any]:
    import mosaicolabs
    import numpy as np
    from mosaicolabs.bridges.ros.data_ontology import FrameTransform
    from mosaicolabs.handlers.internal.topic_write_state import _TopicWriteState
    from mosaicolabs.models import futures
    from PIL import Image as PillowImage

    def image(array: Any, encoding: str, format: Any) -> Any:
        return mosaicolabs.Image.from_pillow(PillowImage.fromarray(array), encoding, format)

    class Sink:
        def write(self, batch: Any) -> None:
            self.batch = batch

    def encode(messages: list[Any]) -> Any:
        struct = messages[0].ontology_type().__msco_pyarrow_struct__
        sink = Sink()
        state = _TopicWriteState('t', struct, sink, 1 << 30)
        for message in messages:
            state.push_record(message)
        state._write_current_batch()
        return sink.batch

    def decode(messages: list[Any], batch: Any) -> list[Any]:
        kind, names = messages[0].ontology_type(), batch.schema.names
        rows = zip(*batch.columns, strict=True)
        back = [
            mosaicolabs.Message._decode(
                tag_or_type=kind,
                **{n: v.as_py(maps_as_pydicts='strict') for n, v in zip(names, row, strict=True)},
            )
            for row in rows
        ]
        if kind is mosaicolabs.Image:
            return [np.asarray(message.data.to_pillow()) for message in back]
        return back

    return makers(mosaicolabs, futures, FrameTransform, image), encode, decode


def work(side: str) -> None:
    """Answer each case named on stdin with the seconds per message of every step."""
    make, encode, decode = own_side() if side == 'own' else peer_side()
    for line in sys.stdin:
        case = line.strip()
        count = CASES[case]
        make[case](0)
        marks = [time.perf_counter()]
        messages = [make[case](i) for i in range(count)]
        marks.append(time.perf_counter())
        batch = encode(messages)
        marks.append(time.perf_counter())
        back = decode(messages, batch)
        marks.append(time.perf_counter())
        assert len(back) == count
        steps = [(b - a) / count for a, b in pairwise(marks)]
        print(json.dumps(steps), flush=True)


class Side:
    """A worker in an interpreter of its own."""

    def __init__(self, python: str, side: str) -> None:
        drop = {'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'}
        environment = {name: value for name, value in os.environ.items() if name not in drop}
        environment['PYTHONPATH'] = str(Path(__file__).parents[2]) if side == 'own' else ''
        self._process = subprocess.Popen(
            [python, __file__, '--worker', side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def measure(self, case: str) -> list[float]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f'{case}\n')
        self._process.stdin.flush()
        steps: list[float] = json.loads(self._process.stdout.readline())
        return steps

    def close(self) -> None:
        self._process.communicate(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peer', default=os.environ.get('MOSAICO_PEER_PYTHON'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--worker', choices=['own', 'peer'], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    if not options.peer:
        parser.error('name the interpreter of the published client: --peer or MOSAICO_PEER_PYTHON')
    sides = [Side(sys.executable, 'own'), Side(options.peer, 'peer')]
    print(f'{"us per message, ours / peer":32}', *(f'{step:>26}' for step in STEPS))
    for case in CASES:
        rounds = [[side.measure(case) for side in sides] for _ in range(options.rounds)]
        cells = []
        for step in range(len(STEPS)):
            own, peer = (
                statistics.median(each[side][step] for each in rounds) * 1e6 for side in (0, 1)
            )
            cells.append(f'{own:9.1f} /{peer:9.1f} {peer / own:5.0f}x')
        print(f'{case:32}', *cells, flush=True)
    for side in sides:
        side.close()


if __name__ == '__main__':
    main()
