"""Cost of messages in the client, against the published client and the same daemon.

Per message: constructed, pushed and stored; read back (images as pictures); read merged from 20
topics. Then the memory that streaming a long sequence takes. Wall time, and the processor time
of the client's process: on a machine that does other things meanwhile the second is steadier.

Each client runs in its own interpreter; rounds alternate between them. The same program drives
both, ours with ten times the messages, as what is not per message would drown them.
``MOSAICO_PEER_PYTHON`` names the interpreter that has the published client.

    MOSAICO_PEER_PYTHON=... python test/benchmarks/sdk.py [--rounds 3] [--gigabytes 2]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Messages of the published client; ours gets ten times as many.
CASES = {
    'IMU': 3000,
    'GPS': 3000,
    'RobotJoint, 7 joints': 3000,
    'image 640x480': 15,
    'lidar, 30 000 points': 10,
}
MERGED = 20
BARS = {('IMU', 'write'): 50, ('IMU', 'read'): 30, ('stream', 'memory'): 150}
OWN_SHARE = 10
IMAGE_BYTES = 1 << 20

Now = tuple[float, float]


def makers(sdk: Any) -> dict[str, Callable[[int], Any]]:
    """Return one function per case that makes the data of message number i."""
    import numpy as np
    from PIL import Image as Picture

    lidar = importlib.import_module(f'{sdk.__name__}.models.futures').Lidar
    noise = np.random.default_rng(1)
    points = noise.random(30_000).tolist()
    smooth = np.add.outer(np.arange(480), np.arange(640))[..., None] * np.array([0.1, 0.2, 0.3])
    shade = Picture.fromarray((smooth + noise.integers(0, 8, smooth.shape)).astype(np.uint8))
    return {
        'IMU': lambda i: sdk.IMU(
            acceleration=sdk.Vector3d(x=0.1, y=float(i), z=9.81),
            angular_velocity=sdk.Vector3d(x=0.0, y=0.1, z=0.2),
        ),
        'GPS': lambda i: sdk.GPS(
            position=sdk.Point3d(x=45.0, y=float(i), z=120.0),
            status=sdk.GPSStatus(status=1, service=1),
        ),
        'RobotJoint, 7 joints': lambda i: sdk.RobotJoint(
            names=['j1', 'j2', 'j3', 'j4', 'j5', 'j6', 'j7'],
            positions=[float(i)] * 7,
            velocities=[0.2] * 7,
            efforts=[0.3] * 7,
        ),
        'image 640x480': lambda i: sdk.Image.from_pillow(shade, output_format=sdk.ImageFormat.PNG),
        'lidar, 30 000 points': lambda i: lidar(x=points, y=points, z=points),
    }


def now() -> Now:
    return time.perf_counter(), time.process_time()


def since(begin: Now, messages: int) -> Now:
    """Return microseconds per message, of the clock and of the processor."""
    wall, processor = now()
    return (wall - begin[0]) / messages * 1e6, (processor - begin[1]) / messages * 1e6


def measure(sdk: Any, client: Any, case: str, make: Any, count: int) -> dict[str, Now]:
    """Write and read one topic."""
    name = f'bench-{os.getpid()}-{count}'
    with client.sequence_create(sequence_name=name, metadata={}) as sequence:
        kind = type(make(0))
        writer = sequence.topic_create('t', metadata={}, ontology_type=kind)
        begin = now()
        for number in range(count):
            writer.push(sdk.Message(timestamp_ns=number, data=make(number)))
    written = since(begin, count)
    begin = now()
    total = 0
    for message in client.topic_handler(name, 't').get_data_streamer():
        total += message.timestamp_ns
        if case.startswith('image'):
            message.data.to_pillow()
    read = since(begin, count)
    assert total == count * (count - 1) // 2
    client.sequence_delete(name)
    return {'write': written, 'read': read}


def measure_merge(sdk: Any, client: Any, count: int) -> dict[str, Now]:
    """Read 20 topics as one, in order of time."""
    name = f'bench-{os.getpid()}-merge-{count}'
    with client.sequence_create(sequence_name=name, metadata={}) as sequence:
        for topic in range(MERGED):
            writer = sequence.topic_create(f't{topic}', metadata={}, ontology_type=sdk.Floating64)
            for number in range(topic, count, MERGED):
                writer.push(
                    sdk.Message(timestamp_ns=number, data=sdk.Floating64(data=number * 0.5))
                )
    begin = now()
    last = -1
    for _, message in client.sequence_handler(name).get_data_streamer():
        assert message.timestamp_ns == last + 1
        last += 1
    merged = since(begin, count)
    assert last == count - 1
    client.sequence_delete(name)
    return {'read': merged}


def work(package: str, port: int) -> dict[str, dict[str, Now]]:
    """Measure all cases with one client."""
    sdk = importlib.import_module(package)
    times = OWN_SHARE if package == 'mosaico_ros' else 1
    found = {}
    with sdk.MosaicoClient.connect('127.0.0.1', port) as client:
        for case, make in makers(sdk).items():
            measure(sdk, client, case, make, 3)  # what happens once
            found[case] = measure(sdk, client, case, make, CASES[case] * times)
        found[f'{MERGED} topics merged'] = measure_merge(sdk, client, 4000 * times)
    return found


def fill(port: int, size: int) -> None:
    """Write the long sequence."""
    import mosaico_ros as sdk

    noise = os.urandom(2 * IMAGE_BYTES)
    with (
        sdk.MosaicoClient.connect('127.0.0.1', port) as client,
        client.sequence_create('long') as sequence,
    ):
        writer = sequence.topic_create('camera', ontology_type=sdk.CompressedImage)
        for number in range(size // IMAGE_BYTES):
            start = number * 4099 % IMAGE_BYTES
            image = sdk.CompressedImage(
                data=noise[start : start + IMAGE_BYTES], format=sdk.ImageFormat.JPEG
            )
            writer.push(sdk.Message(timestamp_ns=number, data=image))


def stream(package: str, port: int) -> dict[str, float]:
    """Read the long sequence; return the megabytes it took on top, and megabytes per second."""
    sdk = importlib.import_module(package)
    with sdk.MosaicoClient.connect('127.0.0.1', port) as client:
        next(iter(client.topic_handler('long', 'camera').get_data_streamer(0, 1)))
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin, size = time.perf_counter(), 0
        for _, message in client.sequence_handler('long').get_data_streamer():
            size += len(message.data.data)
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {'memory': (peak - idle) / 1024, 'speed': size / seconds / 1e6}


def drive(python: str, step: str, package: str, port: int) -> Any:
    """Run a step in an interpreter of its own; return what it found."""
    # What the ROS wheels put into this interpreter's environment breaks another one's libraries.
    scrubbed = ('LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    if package != 'mosaico_ros':
        scrubbed += ('PYTHONPATH',)
    environment = {key: value for key, value in os.environ.items() if key not in scrubbed}
    done = subprocess.run(
        [python, __file__, '--worker', step, '--package', package, '--port', str(port)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def serve(folder: str) -> tuple[subprocess.Popen[str], int]:
    daemon = subprocess.Popen(
        [
            *(sys.executable, '-m', 'mosaico_ros.cli.mosaicod', 'run'),
            *('--port', '0', '--data-dir', folder),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    line = daemon.stdout.readline()
    found = re.search(r'ready on \S+:(\d+) ', line)
    if not found:
        raise SystemExit(f'The daemon did not start: {line}')
    return daemon, int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--gigabytes', type=float, default=2)
    parser.add_argument('--port', type=int)
    parser.add_argument('--package', help=argparse.SUPPRESS)
    parser.add_argument('--worker', choices=['work', 'stream'], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        step = {'work': work, 'stream': stream}[options.worker]
        print(json.dumps(step(options.package, options.port)))
        return
    peer = os.environ.get('MOSAICO_PEER_PYTHON')
    if not peer or not Path(peer).exists():
        raise SystemExit('Set MOSAICO_PEER_PYTHON to an interpreter that has the published client')
    sides = ((peer, 'mosaicolabs'), (sys.executable, 'mosaico_ros'))
    rounds: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        daemon, port = serve(folder)
        try:
            for number in range(options.rounds):
                rounds.append([drive(python, 'work', package, port) for python, package in sides])
                print(f'round {number + 1} of {options.rounds}', file=sys.stderr)
            fill(port, int(options.gigabytes * 1e9))
            streams = [drive(python, 'stream', package, port) for python, package in sides]
        finally:
            daemon.terminate()
            daemon.wait()
    print(
        f'{options.rounds} rounds, medians, microseconds per message; in brackets processor time'
    )
    print(f'{"":30}{"published":>22}{"mosaico_ros":>22}{"ratio":>16}{"bar":>6}')
    for case, steps in rounds[0][0].items():
        for step in steps:
            cells = [
                [
                    statistics.median(one[side][case][step][clock] for one in rounds)
                    for side in (0, 1)
                ]
                for clock in (0, 1)
            ]
            (wall, own), (spent, own_spent) = cells
            print(
                f'{case + ", " + step:30}{f"{wall:.1f} ({spent:.1f})":>22}'
                f'{f"{own:.2f} ({own_spent:.2f})":>22}'
                f'{f"{wall / own:.1f} ({spent / own_spent:.1f})":>16}'
                f'{BARS.get((case, step), ""):>6}'
            )
    print(f'{options.gigabytes} GB streamed: megabytes over idle, and per second')
    for (_, package), found in zip(sides, streams, strict=True):
        print(f'{package:14}{found["memory"]:10.0f} MB{found["speed"]:10.0f} MB/s')
    print(f'bar {BARS["stream", "memory"]} MB')


if __name__ == '__main__':
    main()
