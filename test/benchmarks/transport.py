"""Throughput of our Flight transport against pyarrow's own Flight server.

Both servers do the same work: discard what is put, serve the same batches on get. Each runs
in its own process; the client is pyarrow's; rounds alternate between the servers.

    python test/benchmarks/transport.py [--rounds 7] [--megabytes 400]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight

from mosaico_ros.daemon.calls import Descriptor
from mosaico_ros.daemon.transport.server import FlightServer, ServerOptions


def batches() -> dict[str, pa.RecordBatch]:
    """One batch per kind of topic, in the sizes that clients send."""
    random = np.random.default_rng(1)
    rows = 8192
    imu = pa.record_batch(
        [pa.array(np.arange(rows)), *(pa.array(random.random(rows)) for _ in range(20))],
        names=['timestamp_ns', *(f'c{i}' for i in range(20))],
    )
    images = pa.record_batch(
        [pa.array(np.arange(4)), pa.array([random.bytes(1 << 20) for _ in range(4)])],
        names=['timestamp_ns', 'data'],
    )
    narrow = imu.select([0, 1])
    small = imu.slice(0, 256)
    return {
        'imu 1.4 MB': imu,
        'image 4 MB': images,
        'narrow 131 kB': narrow,
        'imu 43 kB': small,
    }


class DiscardingPut:
    """Takes an upload apart like the daemon would, and keeps nothing."""

    acknowledges = False
    ended = True

    def append(self, batch: pa.RecordBatch | None, app_metadata: bytes) -> None:
        assert batch is not None

    def settle(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def interrupt(self, reason: str) -> None:
        pass


class FixedCalls:
    """Serves `<count>:<kind>` tickets from memory."""

    def check(self) -> None:
        pass

    def do_get(self, ticket: bytes):
        count, _, kind = ticket.decode().partition(':')
        batch = batches()[kind]
        return batch.schema, iter([batch] * int(count))

    def begin_put(self, descriptor: Descriptor, schema: pa.Schema, send) -> DiscardingPut:
        return DiscardingPut()


class PyarrowServer(flight.FlightServerBase):
    """The peer."""

    def do_get(self, context, ticket):
        schema, rows = FixedCalls().do_get(ticket.ticket)
        return flight.GeneratorStream(schema, rows)

    def do_put(self, context, descriptor, reader, writer):
        for chunk in reader:
            assert chunk.data is not None


def serve(kind: str) -> None:
    """Run one server until it is killed; the first line on stdout is its port."""
    if kind == 'ours':
        server = FlightServer(FixedCalls(), ServerOptions('127.0.0.1', 0, 64 << 20, 32))
        print(server.bind(), flush=True)
        server.start()
        time.sleep(3600)
    else:
        peer = PyarrowServer('grpc://127.0.0.1:0')
        print(peer.port, flush=True)
        peer.serve()


def put(client: flight.FlightClient, batch: pa.RecordBatch, count: int) -> None:
    """Upload a batch `count` times."""
    writer, _ = client.do_put(flight.FlightDescriptor.for_command(b'x'), batch.schema)
    for _ in range(count):
        writer.write_batch(batch)
    writer.close()


def get(client: flight.FlightClient, kind: str, batch: pa.RecordBatch, count: int) -> None:
    """Read a batch `count` times."""
    rows = 0
    for chunk in client.do_get(flight.Ticket(f'{count}:{kind}'.encode())):
        rows += chunk.data.num_rows
    assert rows == count * batch.num_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--serve')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--megabytes', type=int, default=400)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    processes, clients = [], {}
    for kind in ('ours', 'pyarrow'):
        process = subprocess.Popen(
            [sys.executable, __file__, '--serve', kind], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        clients[kind] = flight.connect(f'grpc://127.0.0.1:{int(process.stdout.readline())}')
    try:
        print(f'{"batch":13} {"":4} {"ours MB/s":>10} {"pyarrow MB/s":>13} {"ratio":>6}')
        for name, batch in batches().items():
            count = max(1, options.megabytes * 1_000_000 // batch.nbytes)
            if batch.nbytes < 200_000:
                count //= 8
            for what in ('put', 'get'):
                speeds = {kind: [] for kind in clients}
                for turn in range(options.rounds + 1):
                    for kind, client in clients.items():
                        begin = time.perf_counter()
                        if what == 'put':
                            put(client, batch, count)
                        else:
                            get(client, name, batch, count)
                        taken = time.perf_counter() - begin
                        if turn:  # the first round warms up
                            speeds[kind].append(count * batch.nbytes / taken / 1e6)
                ours, peer = (statistics.median(speeds[kind]) for kind in ('ours', 'pyarrow'))
                print(f'{name:13} {what:4} {ours:10.0f} {peer:13.0f} {ours / peer:6.2f}')
    finally:
        for process in processes:
            process.kill()


if __name__ == '__main__':
    main()
