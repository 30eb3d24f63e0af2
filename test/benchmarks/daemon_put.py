"""Uploading a topic to a daemon, against pyarrow's Flight server doing the same Parquet work.

The peer cuts chunks of the same size, encodes them with the daemon's own encoder (same bytes,
schema, codecs and statistics) in the thread of the call, syncs and renames them: no catalog, no
leases, no acknowledgements, no bound on memory. Each server is a process of its own, the client
is pyarrow's, rounds alternate. CPU time is the server's alone.

    python test/benchmarks/daemon_put.py [--mb 300] [--rounds 5]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
from daemon_get import KINDS, cpu_seconds, new_topic, serving

from mosaico_ros.daemon.encoding import ChunkEncoder
from mosaico_ros.protocol.serialization import SerializationFormat

CHUNK_BYTES = 64 << 20


class FileServer(flight.FlightServerBase):
    """The peer: the descriptor's command is a folder and a serialization format."""

    def do_put(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        command = json.loads(descriptor.command)
        encoder = ChunkEncoder(reader.schema, SerializationFormat(command['format']))
        folder = Path(command['folder'])
        folder.mkdir()
        numbers, batches, size = itertools.count(1), [], 0
        for chunk in reader:
            batches.append(chunk.data)
            size += chunk.data.nbytes
            if size >= CHUNK_BYTES:
                self._store(folder, next(numbers), encoder, batches)
                batches, size = [], 0
        if batches:
            self._store(folder, next(numbers), encoder, batches)

    @staticmethod
    def _store(
        folder: Path, number: int, encoder: ChunkEncoder, batches: list[pa.RecordBatch]
    ) -> None:
        temporary = folder / f'{number}.tmp'
        with pa.OSFile(str(temporary), 'wb') as sink:
            encoder.encode(batches, sink)
        for path in (temporary, folder):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        temporary.rename(folder / f'{number:08d}.parquet')


def put(
    client: flight.FlightClient,
    descriptor: flight.FlightDescriptor,
    batches: list[pa.RecordBatch],
) -> None:
    """Upload; returns when the server has stored everything."""
    writer, _ = client.do_put(descriptor, batches[0].schema)
    for batch in batches:
        writer.write_batch(batch)
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--mb', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=5)
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
            *('-m', 'mosaico_ros.cli.mosaicod', 'run', '--port', '0', '--data-dir'),
            f'{folder}/ours',
        ) as (our_pid, our_port),
        serving(__file__, '--peer') as (peer_pid, peer_port),
    ):
        ours = flight.connect(f'grpc://127.0.0.1:{our_port}')
        peer_client = flight.connect(f'grpc://127.0.0.1:{peer_port}')
        print(f'{"":12} {"ours MB/s":>10} {"peer MB/s":>10} {"wall":>6} {"CPU":>6}')
        for kind, (make, rows, form) in KINDS.items():
            rng = np.random.default_rng(1)
            size = make(rows, 0, rng).nbytes
            count = max(1, given.mb * 1_000_000 // size)
            batches = [make(rows, number * 10**12, rng) for number in range(count)]
            taken: dict[str, list[tuple[float, float]]] = {'ours': [], 'peer': []}
            for turn in range(given.rounds + 1):
                name = f'{kind.replace(" ", "_")}_{turn}'
                to_peer = json.dumps({'folder': f'{folder}/{name}', 'format': form})
                for side, pid, client, descriptor in (
                    ('ours', our_pid, ours, new_topic(ours, name, form)),
                    ('peer', peer_pid, peer_client, flight.FlightDescriptor.for_command(to_peer)),
                ):
                    began, used = time.perf_counter(), cpu_seconds(pid)
                    put(client, descriptor, batches)
                    if turn:  # the first one warms up
                        took = time.perf_counter() - began
                        taken[side].append((took, cpu_seconds(pid) - used))
            speeds = [
                count * size / 1e6 / statistics.median(took for took, _ in taken[side])
                for side in taken
            ]
            wall, cpu = (
                statistics.median(
                    theirs[at] / mine[at]
                    for mine, theirs in zip(taken['ours'], taken['peer'], strict=True)
                )
                for at in (0, 1)
            )
            print(f'{kind:12} {speeds[0]:10.0f} {speeds[1]:10.0f} {wall:6.2f} {cpu:6.2f}')


if __name__ == '__main__':
    main()
