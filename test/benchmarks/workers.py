"""Throughput of ``mosaicod run`` with one worker and with two, interleaved in one run.

Clients are processes on the same machine and take their share of its cores: on two cores the
table shows what workers cost rather than what they bring.

    python test/benchmarks/workers.py [--rounds 5] [--megabytes 100]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight

ROWS = 8192
WORKERS = (1, 2)
CLIENTS = (1, 2, 4)


def batch(first: int) -> pa.RecordBatch:
    """One batch of quantised sensors, 0.85 MB in memory."""
    random = np.random.default_rng(first)
    schema = pa.schema(
        [
            pa.field('timestamp_ns', pa.int64(), nullable=False),
            *((f'x{at}', pa.float64()) for at in range(12)),
        ]
    )
    values = (np.round(random.normal(size=ROWS).cumsum(), 3) for _ in range(12))
    times = np.arange(first * ROWS, (first + 1) * ROWS)
    return pa.record_batch([pa.array(times), *map(pa.array, values)], schema=schema)


class Client:
    """What a client process does, told by lines on its standard input."""

    def __init__(self, url: str, batches: int) -> None:
        self.client = flight.connect(url)
        self.batches = [batch(at) for at in range(batches)]

    def act(self, name: str, **body: Any) -> Any:
        """Perform an action."""
        results = self.client.do_action(flight.Action(name, json.dumps(body).encode()))
        answer = json.loads(b''.join(r.body.to_pybytes() for r in results) or b'{}')
        return answer.get('response')

    def put(self) -> None:
        """Upload a topic of a new sequence."""
        self.sequence = f's{uuid.uuid4().hex[:12]}'
        self.act('sequence_create', locator=self.sequence)
        session = self.act('session_create', locator=self.sequence)
        locator = f'{self.sequence}/t'
        topic = self.act(
            'topic_create',
            session_uuid=session['uuid'],
            locator=locator,
            serialization_format='default',
            ontology_tag='X',
        )
        command = json.dumps({'resource_locator': locator, 'topic_uuid': topic['uuid']})
        writer, _ = self.client.do_put(
            flight.FlightDescriptor.for_command(command), self.batches[0].schema
        )
        for rows in self.batches:
            writer.write_batch(rows)
        writer.close()

    def get(self) -> None:
        """Read it back."""
        command = json.dumps({'resource_locator': f'{self.sequence}/t'})
        info = self.client.get_flight_info(flight.FlightDescriptor.for_command(command))
        rows = sum(chunk.data.num_rows for chunk in self.client.do_get(info.endpoints[0].ticket))
        assert rows == ROWS * len(self.batches)

    def delete(self) -> None:
        """Make room."""
        self.act('sequence_delete', locator=self.sequence)


def be_client(url: str, batches: int) -> None:
    """Do what standard input says, one word a line."""
    client = Client(url, batches)
    print('ready', flush=True)
    for line in sys.stdin:
        getattr(client, line.strip())()
        print('done', flush=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a process that can be talked to."""
    return subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def together(clients: list[subprocess.Popen[str]], word: str) -> float:
    """Have all clients do one thing at once; return the seconds until the last has."""
    begin = time.perf_counter()
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(f'{word}\n')
        client.stdin.flush()
    for client in clients:
        assert client.stdout is not None
        assert client.stdout.readline() == 'done\n'
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--client')
    parser.add_argument('--batches', type=int)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--megabytes', type=int, default=100)
    options = parser.parse_args()
    if options.client:
        be_client(options.client, options.batches)
        return
    batches = max(1, options.megabytes * 1_000_000 // batch(0).nbytes)
    megabytes = batches * batch(0).nbytes / 1e6
    daemons, clients = [], {}
    try:
        for workers in WORKERS:
            daemons.append(
                start(
                    *('-m', 'mosaico_ros.cli.mosaicod', 'run', '--ephemeral'),
                    *('--workers', str(workers)),
                )
            )
            ready = re.search(r'(grpc://\S+)', daemons[-1].stdout.readline())
            assert ready
            clients[workers] = [
                start(__file__, '--client', ready[1], '--batches', str(batches))
                for _ in range(max(CLIENTS))
            ]
            for client in clients[workers]:
                assert client.stdout.readline() == 'ready\n'
        print(f'{"clients":8}{"":5}{"1 worker MB/s":>15}{"2 workers MB/s":>16}{"ratio":>7}')
        for count in CLIENTS:
            speeds: dict[tuple[str, int], list[float]] = {}
            for turn in range(options.rounds + 1):
                for workers in WORKERS:
                    for what in ('put', 'get'):
                        taken = together(clients[workers][:count], what)
                        if turn:  # the first round warms up
                            speeds.setdefault((what, workers), []).append(
                                count * megabytes / taken
                            )
                    together(clients[workers][:count], 'delete')
            for what in ('put', 'get'):
                one, two = (statistics.median(speeds[what, workers]) for workers in WORKERS)
                print(f'{count:<8}{what:5}{one:15.0f}{two:16.0f}{two / one:7.2f}')
    finally:
        for process in [client for group in clients.values() for client in group]:
            process.kill()
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()


if __name__ == '__main__':
    main()
