"""Reading a stored topic from a daemon, against pyarrow's Flight server on the same files.

The peer hands each Parquet file of the topic's folder to ``ParquetFile(memory_map=True)`` and
its ``iter_batches`` to a ``GeneratorStream``: no catalog, no order, no windows. Each server is
a process of its own, the client is pyarrow's, rounds alternate. CPU time is the server's alone.

    python test/benchmarks/daemon_get.py [--mb 300] [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
from daemon_ingest import image_like, imu_like

TICK = os.sysconf('SC_CLK_TCK')


def nested_imu_like(rows: int, start: int, rng: np.random.Generator) -> pa.RecordBatch:
    """The same numbers as the ontology nests them: vectors as structs, covariances as lists."""
    flat = imu_like(rows, start, rng)

    def vector(at: int) -> pa.Array:
        columns = [flat.column(1 + at * 3 + axis) for axis in range(3)]
        covariance = pa.FixedSizeListArray.from_arrays(
            pa.array(np.tile(np.arange(9) * 0.01, rows)), 9
        ).cast(pa.list_(pa.float64()))
        return pa.StructArray.from_arrays([*columns, covariance], ['x', 'y', 'z', 'covariance'])

    data = {'acceleration': vector(0), 'angular_velocity': vector(1)}
    times = pa.field('timestamp_ns', pa.int64(), nullable=False)
    return pa.record_batch(
        [flat.column(0), *data.values()],
        schema=pa.schema([times, *((name, array.type) for name, array in data.items())]),
    )


KINDS = {
    'imu': (imu_like, 8192, 'default'),
    'imu nested': (nested_imu_like, 8192, 'default'),
    'images': (image_like, 20, 'image'),
}


class FileServer(flight.FlightServerBase):
    """The peer: a ticket is the name of a folder."""

    def do_get(
        self, context: flight.ServerCallContext, ticket: flight.Ticket
    ) -> flight.GeneratorStream:
        paths = sorted(Path(ticket.ticket.decode()).glob('*.parquet'))

        def batches() -> Iterator[pa.RecordBatch]:
            for path in paths:
                yield from pq.ParquetFile(path, memory_map=True).iter_batches(batch_size=8192)

        return flight.GeneratorStream(pq.read_schema(paths[0]), batches())


@contextmanager
def serving(*command: str) -> Iterator[tuple[int, int]]:
    """Run a server that prints its address; give process id and port."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r'grpc://[^:]+:(\d+)', process.stdout.readline())
        assert found is not None
        yield process.pid, int(found.group(1))
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process: int) -> float:
    """Return what a process has used so far."""
    fields = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def new_topic(client: flight.FlightClient, name: str, form: str) -> flight.FlightDescriptor:
    """Create a topic ``<name>/topic``; return what its upload begins with."""

    def act(action: str, **body: object) -> dict[str, str]:
        results = client.do_action(flight.Action(action, json.dumps(body).encode()))
        return json.loads(b''.join(result.body.to_pybytes() for result in results))['response']

    act('sequence_create', locator=name, user_metadata={})
    session = act('session_create', locator=name)
    topic = act(
        'topic_create',
        session_uuid=session['uuid'],
        locator=f'{name}/topic',
        serialization_format=form,
        ontology_tag='IMU',
        user_metadata={},
    )
    command = {'resource_locator': f'{name}/topic', 'topic_uuid': topic['uuid']}
    return flight.FlightDescriptor.for_command(json.dumps(command))


def upload(client: flight.FlightClient, name: str, kind: str, megabytes: int) -> tuple[int, float]:
    """Store a topic ``<name>/topic``; return its rows and megabytes."""
    make, rows, form = KINDS[kind]
    rng = np.random.default_rng(1)
    batch = make(rows, 0, rng)
    count = max(1, megabytes * 1_000_000 // batch.nbytes)
    writer, _ = client.do_put(new_topic(client, name, form), batch.schema)
    for number in range(count):
        writer.write_batch(make(rows, number * 10**12, rng))
    writer.close()
    return count * rows, count * batch.nbytes / 1e6


def read(client: flight.FlightClient, ticket: flight.Ticket) -> int:
    """Read a stream; return its rows."""
    return sum(chunk.data.num_rows for chunk in client.do_get(ticket))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--mb', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--peer', action='store_true', help='be the peer')
    given = parser.parse_args()
    if given.peer:
        peer = FileServer('grpc://127.0.0.1:0')
        print(f'grpc://127.0.0.1:{peer.port}', flush=True)
        peer.serve()
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            *('-m', 'mosaico_ros.cli.mosaicod', 'run', '--port', '0', '--data-dir', folder)
        ) as ours,
        serving(__file__, '--peer') as peers,
    ):
        clients = {
            name: (pid, flight.connect(f'grpc://127.0.0.1:{port}'))
            for name, (pid, port) in (('ours', ours), ('peer', peers))
        }
        print(f'{"":12} {"ours MB/s":>10} {"peer MB/s":>10} {"wall":>6} {"CPU":>6}')
        for number, kind in enumerate(KINDS):
            client = clients['ours'][1]
            rows, size = upload(client, f's{number}', kind, given.mb)
            command = json.dumps({'resource_locator': f's{number}/topic'})
            info = client.get_flight_info(flight.FlightDescriptor.for_command(command))
            (chunks,) = Path(folder).glob(f'store/sequences/s{number}.*/topics/*')
            tickets = {
                'ours': info.endpoints[0].ticket,
                'peer': flight.Ticket(str(chunks).encode()),
            }
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
            for turn in range(given.rounds + 1):
                for name, (pid, client) in clients.items():
                    began, used = time.perf_counter(), cpu_seconds(pid)
                    assert read(client, tickets[name]) == rows
                    if turn:  # the first one warms up
                        took = time.perf_counter() - began
                        times[name].append((took, cpu_seconds(pid) - used))
            ours_taken, peers_taken = times['ours'], times['peer']
            speeds = [size / statistics.median(took for took, _ in times[name]) for name in times]
            wall, cpu = (
                statistics.median(
                    peer[at] / ours[at] for ours, peer in zip(ours_taken, peers_taken, strict=True)
                )
                for at in (0, 1)
            )
            print(f'{kind:12} {speeds[0]:10.0f} {speeds[1]:10.0f} {wall:6.2f} {cpu:6.2f}')


if __name__ == '__main__':
    main()
