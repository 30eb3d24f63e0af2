"""Some columns of a topic: nothing else is read from the store or sent."""

from __future__ import annotations

import json

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from mosaico_ros.protocol.errors import DataLossError
from mosaico_ros.protocol.server_info import EXTENSION_COLUMNS

ROWS = 20_000
PAIR = pa.struct([('x', pa.float64()), ('y', pa.float64())])
SCHEMA = pa.schema(
    [
        pa.field('timestamp_ns', pa.int64(), nullable=False),
        pa.field('pair', PAIR),
        ('blob', pa.binary()),
    ]
)


@pytest.fixture
def topic(remote):
    """A topic of which almost all bytes are blobs; every tenth pair is missing."""
    numbers = np.arange(ROWS)
    pair = pa.StructArray.from_arrays(
        [pa.array(numbers * 0.5), pa.array(numbers * 2.0)],
        fields=list(PAIR),
        mask=pa.array(numbers % 10 == 0),
    )
    noise = np.random.default_rng(1).bytes(1000 * ROWS)
    blobs = [noise[at : at + 1000] for at in range(0, len(noise), 1000)]
    remote.put('t', pa.table([numbers, pair, blobs], schema=SCHEMA).to_batches(5000))
    return remote


def test_a_ticket_can_be_narrowed(topic):
    assert EXTENSION_COLUMNS in topic.act('info')['extensions']
    whole = topic.get('t')
    for columns, schema in (
        (['pair.y'], pa.schema([('pair', pa.struct([PAIR[1]]))])),
        (['pair', 'timestamp_ns'], pa.schema(list(SCHEMA)[:2])),
    ):
        (endpoint,) = topic.info('t', columns=columns).endpoints
        table = topic.client.do_get(endpoint.ticket).read_all()
        assert table.schema.equals(schema)
        assert table['pair'].to_pylist() == [
            row and {name: row[name] for name in table.schema.field('pair').type.names}
            for row in whole['pair'].to_pylist()
        ]
    (endpoint,) = topic.info('t', columns=['pair.x'], timestamp_ns_start=7).endpoints
    table = topic.client.do_get(endpoint.ticket).read_all()
    assert table.column_names == ['pair']  # the time was needed, but not asked for
    assert table.num_rows == ROWS - 7


def test_an_unknown_column_is_refused(topic):
    (endpoint,) = topic.info('t', columns=['pair.z']).endpoints
    with pytest.raises(pa.ArrowInvalid, match=r'pair\.z.*pair\.y'):
        topic.client.do_get(endpoint.ticket).read_all()


@pytest.mark.parametrize('columns', ['blob', [1], ['x' * 2000], {'a': 1}])
def test_absurd_columns_are_invalid(remote, columns):
    command = json.dumps({'resource_locator': 'a/b', 'columns': columns})
    request = flight.FlightDescriptor.for_command(command).serialize()
    with pytest.raises(grpc.RpcError) as caught:
        remote.unary('GetFlightInfo', request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert 'column' in caught.value.details()


def test_what_nobody_asked_for_is_not_read(filled, stored):
    """Damage in the blobs stops who reads them, and nobody else."""
    numbers = np.arange(2000)
    noise = np.random.default_rng(1).bytes(1000 * len(numbers))
    blobs = [noise[at : at + 1000] for at in range(0, len(noise), 1000)]
    pair = pa.array([{'x': 0.5, 'y': 1.0}] * len(numbers), PAIR)
    locator = filled.write([pa.table([numbers, pair, blobs], schema=SCHEMA)])
    (chunk,) = (path for path in stored.rglob('*.parquet'))
    data = bytearray(chunk.read_bytes())
    middle = data.index(noise[1_000_000:1_000_100])
    data[middle] ^= 0xFF
    chunk.write_bytes(data)
    assert filled.read(locator, columns=('pair.x', 'timestamp_ns')).num_rows == len(numbers)
    with pytest.raises(DataLossError):
        filled.read(locator)
