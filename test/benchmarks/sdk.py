"""Cost of one IMU message in the client, against the published client and the same daemon.

Wall time, and the processor time of the client's process: on a machine that does other things
meanwhile the second is the steadier one.
Each client runs in its own interpreter; rounds alternate between them. The same program drives
both. ``MOSAICO_PEER_PYTHON`` names the interpreter that has the published client.

    MOSAICO_PEER_PYTHON=... python test/benchmarks/sdk.py [--rounds 3] [--rows 10000]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

BARS = {'write': 50, 'read': 30}


def work(package: str, host: str, port: int, rows: int) -> None:
    """Write and read one topic, and print microseconds per message."""
    sdk = importlib.import_module(package)
    with sdk.MosaicoClient.connect(host, port) as client:
        measure(sdk, client, 200)  # imports on first use, and whatever else happens once
        seconds = measure(sdk, client, rows)
    print(json.dumps({step: value / rows * 1e6 for step, value in seconds.items()}))


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def measure(sdk: ModuleType, client: Any, rows: int) -> dict[str, float]:
    name = f'bench-{os.getpid()}-{rows}'
    begin = now()
    with client.sequence_create(sequence_name=name, metadata={}) as sequence:
        writer = sequence.topic_create('imu', metadata={}, ontology_type=sdk.IMU)
        for number in range(rows):
            writer.push(
                sdk.Message(
                    timestamp_ns=number,
                    data=sdk.IMU(
                        acceleration=sdk.Vector3d(x=0.1, y=float(number), z=9.81),
                        angular_velocity=sdk.Vector3d(x=0.0, y=0.1, z=0.2),
                    ),
                )
            )
    written = now()
    total = 0
    for message in client.topic_handler(name, 'imu').get_data_streamer():
        total += message.timestamp_ns
    read = now()
    assert total == rows * (rows - 1) // 2
    client.sequence_delete(name)
    return {
        'write': written[0] - begin[0],
        'write, processor': written[1] - begin[1],
        'read': read[0] - written[0],
        'read, processor': read[1] - written[1],
    }


def drive(python: str, package: str, port: int, rows: int) -> dict[str, float]:
    # What the ROS wheels put into this interpreter's environment breaks another one's libraries.
    scrubbed = ('LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    if package != 'mosaico_ros':
        scrubbed += ('PYTHONPATH',)
    environment = {key: value for key, value in os.environ.items() if key not in scrubbed}
    done = subprocess.run(
        [python, __file__, '--worker', package, '--port', str(port), '--rows', str(rows)],
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
    parser.add_argument('--rows', type=int, default=10_000)
    parser.add_argument('--port', type=int)
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, '127.0.0.1', options.port, options.rows)
        return
    peer = os.environ.get('MOSAICO_PEER_PYTHON')
    if not peer or not Path(peer).exists():
        raise SystemExit('Set MOSAICO_PEER_PYTHON to an interpreter that has the published client')
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        daemon, port = serve(folder)
        try:
            for number in range(options.rounds):
                ours.append(drive(sys.executable, 'mosaico_ros', port, options.rows))
                theirs.append(drive(peer, 'mosaicolabs', port, options.rows))
                print(f'round {number + 1} of {options.rounds}', file=sys.stderr)
        finally:
            daemon.terminate()
            daemon.wait()
    print(f'{options.rows} IMU messages, {options.rounds} rounds, medians, microseconds each')
    print(f'{"":20}{"published":>12}{"mosaico_ros":>13}{"ratio":>8}{"bar":>6}')
    for step in ours[0]:
        theirs_us = statistics.median(result[step] for result in theirs)
        ours_us = statistics.median(result[step] for result in ours)
        bar = BARS[step.partition(',')[0]]
        print(f'{step:20}{theirs_us:12.1f}{ours_us:13.2f}{theirs_us / ours_us:8.1f}{bar:6}')


if __name__ == '__main__':
    main()
