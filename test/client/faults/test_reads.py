"""Reads of which the daemon or the line gets lost: every row once and in order, or an error."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.protocol.errors import NotFoundError, UnavailableError

ROWS = 60_000
#: Equal times within batches and over their borders, and one run longer than several batches.
TIMES = np.sort(np.concatenate([np.arange(ROWS - 20_000) // 7, np.full(20_000, 3000)]))


def numbers(rows: Any) -> list[int]:
    """Read the numbers of messages, or of the rows of a table or batch."""
    if isinstance(rows, (pa.Table, pa.RecordBatch)):
        return [int(text) for text in rows.column('data').to_pylist()]
    return [int(message.data.data) for message in rows]


READS = {
    'messages': lambda handler: numbers(handler.get_data_streamer()),
    'batches': lambda handler: [
        number for batch in handler.get_data_streamer().batches() for number in numbers(batch)
    ],
    'table': lambda handler: numbers(handler.get_data_streamer().to_arrow()),
    'stripes': lambda handler: numbers(handler.to_arrow()),
}


@pytest.fixture
def recorded(shared_daemon, connect_to, write, name) -> str:
    """A sequence with the topics `a` and `b` of the shared daemon."""
    write(connect_to(shared_daemon), name, a=TIMES, b=TIMES[: ROWS // 3] * 2)
    return name


@pytest.mark.parametrize('read', READS)
def test_a_line_that_breaks_costs_no_row(
    shared_daemon, recorded, make_line, connect_to, read, caplog
):
    line = make_line(shared_daemon)
    handler = connect_to(line).topic_handler(recorded, 'a')
    cuts = line.cuts = [2_000_000, 10, 200_000, 700_000, 1_500_000, 900_000]
    assert READS[read](handler) == list(range(ROWS))
    assert not cuts
    assert 'going on after the last row' in caplog.text


def test_a_line_that_breaks_costs_no_row_of_a_merged_read(
    shared_daemon, recorded, make_line, connect_to
):
    line = make_line(shared_daemon)
    handler = connect_to(line).sequence_handler(recorded)
    wanted = list(handler.get_data_streamer())
    line.cuts = [1_000_000, 300_000, 2_000_000]
    assert list(handler.get_data_streamer()) == wanted
    assert not line.cuts
    line.cuts = [1_000_000, 300_000]
    assert {k: t.num_rows for k, t in handler.to_arrow().items()} == {'/a': ROWS, '/b': ROWS // 3}
    assert not line.cuts


def test_a_window_stays_a_window(shared_daemon, recorded, make_line, connect_to):
    line = make_line(shared_daemon)
    handler = connect_to(line).topic_handler(recorded, 'a')
    line.cuts = [100_000, 3_000_000]
    table = handler.get_data_streamer(2990, 5000).to_arrow()
    assert numbers(table) == np.flatnonzero((TIMES >= 2990) & (TIMES < 5000)).tolist()
    assert not line.cuts


def test_columns_go_on_without_their_times(shared_daemon, recorded, make_line, connect_to):
    line = make_line(shared_daemon)
    handler = connect_to(line).topic_handler(recorded, 'a')
    line.cuts = [2_000_000, 100_000, 3_000_000]
    table = handler.get_data_streamer(columns=['data']).to_arrow()
    assert table.column_names == ['data']
    assert numbers(table) == list(range(ROWS))
    assert not line.cuts


@pytest.mark.parametrize('read', ['messages', 'stripes'])
def test_a_daemon_that_is_killed_and_comes_back(daemon, connect_to, write, name, read):
    client = connect_to(daemon)
    write(client, name, a=TIMES)
    handler = client.topic_handler(name, 'a')

    def restart() -> None:
        time.sleep(0.2)
        daemon.kill()
        time.sleep(0.5)
        daemon.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    for _ in range(3):
        assert READS[read](handler) == list(range(ROWS))
    restarting.join()


def test_a_daemon_that_is_stopped_in_order_and_comes_back(daemon, connect_to, write, name):
    client = connect_to(daemon)
    write(client, name, a=TIMES)
    streamer = client.topic_handler(name, 'a').get_data_streamer()
    begin = numbers(next(streamer) for _ in range(10))
    daemon.restart()
    assert begin + numbers(streamer) == list(range(ROWS))


@pytest.mark.parametrize('merged', [False, True])
def test_a_daemon_that_does_not_come_back(daemon, connect_to, write, name, merged):
    client = connect_to(daemon, call_timeout=1)
    write(client, name, a=TIMES)
    handler = client.sequence_handler(name) if merged else client.topic_handler(name, 'a')
    streamer = handler.get_data_streamer()
    next(streamer)
    daemon.kill()
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match=rf'Reading {name}/a: .*tried for 1 s'):
        list(streamer)
    assert time.monotonic() - begin < 10
    for ask in (lambda: next(streamer), streamer.next_timestamp):  # not the end: the same error
        with pytest.raises(UnavailableError, match='tried for 1 s'):
            ask()


@pytest.mark.parametrize('successor', [False, True])
def test_a_topic_that_was_deleted_meanwhile(
    shared_daemon, recorded, make_line, connect_to, write, successor
):
    line = make_line(shared_daemon)
    streamer = connect_to(line).topic_handler(recorded, 'a').get_data_streamer()
    next(streamer)
    line.go_dead()
    other = connect_to(shared_daemon)
    other.sequence_delete(recorded)
    if successor:
        write(other, recorded, a=TIMES)
    line.cut()
    line.revive()
    with pytest.raises(NotFoundError, match=f'{recorded}/a .*was deleted'):
        list(streamer)


def test_a_hung_daemon_is_noticed_and_awaited(daemon, connect_to, write, hung, name, silence):
    client = connect_to(daemon)
    write(client, name, a=TIMES)
    streamer = client.topic_handler(name, 'a').get_data_streamer()
    begin = numbers(next(streamer) for _ in range(10))
    read: list[int] = []
    reading = threading.Thread(target=lambda: read.extend(numbers(streamer)))
    with hung(daemon):
        reading.start()
        time.sleep(silence * 2)
        assert reading.is_alive()
    reading.join(60)
    assert begin + read == list(range(ROWS))


def test_a_daemon_that_hangs_for_good_ends_the_read(daemon, connect_to, write, hung, name):
    client = connect_to(daemon, call_timeout=2)
    write(client, name, a=TIMES)
    streamer = client.topic_handler(name, 'a').get_data_streamer()
    next(streamer)
    with hung(daemon):
        begin = time.monotonic()
        with pytest.raises(UnavailableError, match=f'Reading {name}/a: .*{daemon.port}'):
            list(streamer)
        assert time.monotonic() - begin < 20


def test_a_daemon_in_fits_and_starts_is_only_slow(
    daemon, connect_to, write, hung, name, caplog, silence
):
    client = connect_to(daemon)
    write(client, name, a=TIMES)
    handler = client.topic_handler(name, 'a')
    read: list[int] = []
    reading = threading.Thread(target=lambda: read.extend(READS['messages'](handler)))
    reading.start()
    while reading.is_alive():
        with hung(daemon):
            time.sleep(silence / 8)
        time.sleep(0.05)
    assert read == list(range(ROWS))
    assert not caplog.records


def test_a_slow_line_is_no_fault(shared_daemon, recorded, make_line, connect_to, caplog, silence):
    line = make_line(shared_daemon)
    silence *= 5
    handler = connect_to(line, silence).topic_handler(recorded, 'a')
    line.rate = 1.3e6
    begin = time.monotonic()
    assert READS['table'](handler) == list(range(ROWS))
    assert time.monotonic() - begin > silence
    assert not caplog.records


def test_a_reader_that_takes_its_time_is_no_fault(
    shared_daemon, recorded, connect_to, caplog, silence
):
    streamer = connect_to(shared_daemon).topic_handler(recorded, 'a').get_data_streamer()
    begin = numbers(next(streamer) for _ in range(10))
    time.sleep(5 * silence)  # several pings that the daemon must not take for an attack
    assert begin + numbers(streamer) == list(range(ROWS))
    assert not caplog.records
