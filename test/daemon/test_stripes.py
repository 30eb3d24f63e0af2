"""Stripes: together they are the topic, each before the next, of about equal work."""

from __future__ import annotations

import json

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from mosaico_ros.protocol.errors import NotFoundError
from mosaico_ros.protocol.server_info import EXTENSION_STRIPES

SCHEMA = pa.schema(
    [
        pa.field('timestamp_ns', pa.int64(), nullable=False),
        ('row', pa.int64()),
        ('x', pa.float64()),
    ]
)


def noise(times: np.ndarray, first_row: int = 0) -> pa.Table:
    """Rows that hardly compress, numbered as they are sent."""
    numbers = first_row + np.arange(len(times))
    values = np.random.default_rng(first_row).random(len(times))
    return pa.table([times, numbers, values], schema=SCHEMA)


ROWS = 600_000
ORDERS = {
    'regular': lambda: [noise(np.arange(ROWS))],
    # Runs of equal times that are longer than a row group.
    'equal times': lambda: [noise(np.arange(ROWS) // 30_000)],
    'one time': lambda: [noise(np.full(ROWS, 7))],
    'overlapping chunks': lambda: [
        noise(np.arange(start, start + 150_000) // 5, start) for start in range(0, ROWS, 100_000)
    ],
    'dense and sparse': lambda: [noise(np.sort(np.geomspace(1, 1e15, ROWS).astype(np.int64)))],
}


@pytest.mark.parametrize('order', ORDERS)
def test_stripes_are_the_topic_in_order(filled, order):
    locator = filled.write(ORDERS[order]())
    for start, end in ((None, None), (5, 100_000)):
        whole = filled.read(locator, start, end)
        for count in (2, 4):
            parts = filled.archive.stripe_topic(locator, start, end, count)
            assert len(parts) <= count
            assert (parts[0][0], parts[-1][1]) == (start, end)
            read = [filled.read(locator, *part) for part in parts]
            assert pa.concat_tables(read).equals(whole)
            if order == 'regular' and whole.num_rows > ROWS / 2:
                assert len(parts) == count
                sizes = [table.num_rows for table in read]
                assert max(sizes) < 1.3 * min(sizes)


def test_small_topics_are_not_split(filled):
    locator = filled.write(noise(np.arange(10_000)))
    assert filled.archive.stripe_topic(locator, None, None, 8) == [(None, None)]
    locator = filled.write(noise(np.arange(ROWS)), 'run/long')
    assert filled.archive.stripe_topic(locator, 100, 50_000, 8) == [(100, 50_000)]


@pytest.fixture
def striped(remote):
    """A topic large enough to be split."""
    remote.put('t', noise(np.arange(ROWS)).to_batches(max_chunksize=100_000))
    return remote


def test_endpoints_are_as_many_as_asked_for_and_tell_of_the_whole(striped):
    (plain,) = striped.info('t').endpoints
    endpoints = striped.info('t', stripes=4).endpoints
    assert EXTENSION_STRIPES in striped.act('info')['extensions']
    assert len(endpoints) == 4
    assert {endpoint.app_metadata for endpoint in endpoints} == {plain.app_metadata}
    assert all(not endpoint.locations for endpoint in endpoints)
    rows = [striped.client.do_get(endpoint.ticket).read_all() for endpoint in endpoints]
    assert pa.concat_tables(rows).equals(striped.get('t'))
    assert len(striped.info('', stripes=4).endpoints) == 1  # sequences are not striped


@pytest.mark.parametrize('stripes', [0, -1, 65, 'two'])
def test_absurd_numbers_of_stripes_are_invalid(remote, stripes):
    command = json.dumps({'resource_locator': 'a/b', 'stripes': stripes})
    request = flight.FlightDescriptor.for_command(command).serialize()
    with pytest.raises(grpc.RpcError) as caught:
        remote.unary('GetFlightInfo', request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert 'stripes' in caught.value.details()


def test_the_client_reads_stripes_as_one_table(striped, shared_daemon):
    with shared_daemon.client() as client:
        handler = client.topic_handler(striped.sequence, 't')
        table = handler.to_arrow()
        assert table.equals(striped.get('t').replace_schema_metadata(None))
        assert handler.to_arrow(10, 500_000).num_rows == 499_990


def test_the_client_tells_why_a_stripe_failed(striped, shared_daemon):
    from mosaico_ros.client.handlers import topic_handler
    from mosaico_ros.client.progress import Meter

    tickets = [endpoint.ticket for endpoint in striped.info('t', stripes=2).endpoints]
    striped.act('topic_delete', locator=f'{striped.sequence}/t')
    striped.put('other', noise(np.arange(10)).to_batches())
    with shared_daemon.client() as client:
        handler = client.topic_handler(striped.sequence, 'other')
        with pytest.raises(NotFoundError, match='deleted'):
            topic_handler.read_stripes(handler._connection, handler._locator, tickets, Meter(''))
