"""Telling a daemon to stop while it works, as supervisors do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('x', pa.float64())])
# The waits follow each other without a pause, so that the signal hits one at any instant of it.
STOPPED = """
import os, signal, threading
from mosaico_ros.daemon.process.serving import stop_on_signals
for _ in range(100):
    stop = stop_on_signals()
    threading.Timer(0.003, os.kill, (os.getpid(), signal.SIGTERM)).start()
    while not stop.wait(0):
        pass
"""
# The main thread sleeps for longer than the test may take; the signal hits another one.
STOPPED_BESIDE = """
import signal, threading, time
from mosaico_ros.daemon.process.serving import stop_on_signals
stop = stop_on_signals()
def signalled():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=signalled).start()
assert stop.wait(3600)
"""
GONE = (flight.FlightUnavailableError, flight.FlightCancelledError)


def batch(first: int, rows: int) -> pa.RecordBatch:
    times = np.arange(first, first + rows)
    return pa.record_batch([times, times * 0.5], schema=SCHEMA)


def await_refusal(daemon: Any) -> None:
    """Wait until the daemon takes no new calls."""
    deadline = time.monotonic() + 12
    with pytest.raises(GONE):  # noqa: PT012
        while time.monotonic() < deadline:
            with flight.connect(daemon.url) as client:
                list(client.do_action(flight.Action('info', b'{}')))


def test_a_signal_is_heard_at_any_instant():
    subprocess.run([sys.executable, '-c', STOPPED], check=True, timeout=120)


def test_a_signal_is_heard_whichever_thread_it_hits():
    subprocess.run([sys.executable, '-c', STOPPED_BESIDE], check=True, timeout=60)


@pytest.mark.parametrize('workers', ['1', '2'])
def test_an_upload_may_end_within_the_grace(make_daemon, connect, workers):
    daemon = make_daemon('--workers', workers, MOSAICOD_SHUTDOWN_GRACE='30s')
    remote = connect(daemon)
    writer, _ = remote.client.do_put(remote.topic('t'), SCHEMA)
    writer.write_batch(batch(0, 100))
    time.sleep(0.2)
    begun = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    await_refusal(daemon)
    writer.write_batch(batch(100, 100))
    writer.close()
    assert daemon.process.wait(timeout=20) == 0
    assert time.monotonic() - begun < 20  # not longer than what runs
    daemon.start()
    assert remote.topic_info('t')['locked'] is True
    assert remote.get('t').equals(pa.Table.from_batches([batch(0, 200)]))


def test_an_upload_that_goes_on_is_cut_off_and_keeps_what_arrived(make_daemon, connect):
    daemon = make_daemon(MOSAICOD_SHUTDOWN_GRACE='1')
    remote = connect(daemon)
    # What the first chunk of all imports takes longer on a busy machine than stopping may.
    remote.put('before', [batch(0, 1)])
    writer, _ = remote.client.do_put(remote.topic('t'), SCHEMA)
    writer.write_batch(batch(0, 100))
    time.sleep(0.2)
    begun = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    sent = 100
    with pytest.raises(GONE):  # noqa: PT012
        while time.monotonic() - begun < 10:
            writer.write_batch(batch(sent, 1))
            sent += 1
            time.sleep(0.02)
    assert 0.8 < time.monotonic() - begun < 4
    assert daemon.process.wait(timeout=10) == 0
    assert time.monotonic() - begun < 4.5
    daemon.start()
    assert remote.topic_info('t')['locked'] is False
    (note,) = remote.act('topic_notification_list', locator=f'{remote.sequence}/t')[
        'notifications'
    ]
    assert 'the daemon was stopped' in note['msg']
    got = remote.get('t')
    assert 101 < got.num_rows <= sent
    assert got.equals(pa.Table.from_batches([batch(0, got.num_rows)]))


def test_a_read_may_end_within_the_grace(make_daemon, connect):
    daemon = make_daemon(MOSAICOD_SHUTDOWN_GRACE='30')
    remote = connect(daemon)
    rows = 2_000_000  # far more than what is under way between the two
    remote.put('t', [batch(at, 100_000) for at in range(0, rows, 100_000)])
    reader = remote.client.do_get(remote.info('t').endpoints[0].ticket)
    count = reader.read_chunk().data.num_rows
    daemon.process.send_signal(signal.SIGTERM)
    await_refusal(daemon)
    count += reader.read_all().num_rows
    assert count == rows
    assert daemon.process.wait(timeout=30) == 0


def test_queries_are_answered_rightly_or_refused(make_daemon, connect):
    daemon = make_daemon()
    remote = connect(daemon)
    remote.put('t', [batch(0, 1000)])
    query = json.dumps({'ontology': {'Custom.x': {'$gt': 499}}}).encode()
    answers: list[Any] = []
    failures: list[BaseException] = []

    def ask() -> None:
        with flight.connect(daemon.url) as client:
            try:
                while True:
                    (result,) = client.do_action(flight.Action('query', query))
                    answers.append(json.loads(result.body.to_pybytes())['response'])
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert daemon.stop() == 0
    for thread in threads:
        thread.join(10)
    assert len(failures) == 4
    assert all(isinstance(failure, GONE) for failure in failures), failures
    assert len(answers) > 4
    assert all(answer == answers[0] and answer['items'] for answer in answers)
