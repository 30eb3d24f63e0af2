"""What readers get back: windows, metadata and schemas, exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from mosaico_ros import models
from mosaico_ros.daemon.transport import messages
from mosaico_ros.daemon.transport.frames import read_frame
from mosaico_ros.models.core.columns import writer_schema
from mosaico_ros.protocol.fingerprint import schema_fingerprint

FINGERPRINTS = json.loads((Path(__file__).parents[2] / 'models' / 'fingerprints.json').read_text())

WINDOWS: list[tuple[dict[str, int], list[int]]] = [
    ({'timestamp_ns_start': 10, 'timestamp_ns_end': 30}, [10, 20]),
    ({'timestamp_ns_start': 10, 'timestamp_ns_end': 31}, [10, 20, 30]),
    ({'timestamp_ns_start': 11, 'timestamp_ns_end': 30}, [20]),
    ({'timestamp_ns_start': 20}, [20, 30, 40]),
    ({'timestamp_ns_end': 20}, [0, 10]),
    ({'timestamp_ns_start': 40}, [40]),
    ({'timestamp_ns_start': 41}, []),
    ({'timestamp_ns_end': 0}, []),
    ({'timestamp_ns_start': 21, 'timestamp_ns_end': 22}, []),
    ({'timestamp_ns_start': -(2**63), 'timestamp_ns_end': 2**63 - 1}, [0, 10, 20, 30, 40]),
]


@pytest.mark.parametrize(('window', 'expected'), WINDOWS)
def test_windows(wire, window, expected):
    remote = wire.remote
    wire.put(wire.topic('t'), [0, 10, 20], [30, 40])
    wire.put(wire.topic('empty'))
    assert remote.get('t', **window)['timestamp_ns'].to_pylist() == expected
    infos = [json.loads(e.app_metadata) for e in remote.info(**window).endpoints]
    assert [info['resource_locator'] for info in infos] == [
        f'{wire.sequence}/t',
        f'{wire.sequence}/empty',
    ]
    interval = {'start_ns': expected[0], 'end_ns': expected[-1]} if expected else None
    assert infos[0]['time_window_info'] == {'interval': interval, 'row_count': len(expected)}
    assert infos[0]['data_info']['total_row_count'] == 5
    assert infos[1]['time_window_info'] == {'interval': None, 'row_count': 0}


@pytest.mark.parametrize(
    'window',
    [
        {'timestamp_ns_start': 5, 'timestamp_ns_end': 5},
        {'timestamp_ns_start': 6, 'timestamp_ns_end': 5},
        {'timestamp_ns_start': 2**63},
        {'timestamp_ns_end': -(2**63) - 1},
        {'timestamp_ns_start': 1.0},
        {'timestamp_ns_start': '1'},
        {'timestamp_ns_end': True},
    ],
)
def test_impossible_windows(wire, window):
    wire.put(wire.topic('t'), [1])
    for locator in (wire.sequence, f'{wire.sequence}/t', 'no_such/t'):
        code, _ = wire.describe('GetFlightInfo', resource_locator=locator, **window)
        assert code == 'INVALID_ARGUMENT'


def test_windows_that_are_null_are_open(wire):
    wire.put(wire.topic('t'), [1, 2])
    command = {'timestamp_ns_start': None, 'timestamp_ns_end': None}
    info = wire.remote.info('t', **command)
    assert 'time_window_info' not in json.loads(info.endpoints[0].app_metadata)


def test_no_batch_without_rows_is_ever_sent(wire):
    """Published clients take one for the end."""
    wire.put(wire.topic('t'), [], [1, 2], [], [], [3], [])
    wire.put(wire.topic('empty'), [])
    for path, window, batches in (
        ('t', {}, 1),
        ('t', {'timestamp_ns_start': 3}, 1),
        ('t', {'timestamp_ns_start': 9}, 0),
        ('empty', {}, 0),
    ):
        ticket = wire.remote.info(path, **window).endpoints[0].ticket.ticket
        request = messages.Ticket(ticket=ticket).SerializeToString()
        schema, *got = map(read_frame, wire.remote.stream('DoGet', request))
        assert len(schema.header)
        assert not len(schema.app_metadata)
        assert len(got) >= batches
        # A message of metadata alone would end the stream for them too.
        assert all(len(frame.header) and not len(frame.app_metadata) for frame in got)
        chunks = list(wire.remote.client.do_get(flight.Ticket(ticket)))
        assert all(chunk.data.num_rows for chunk in chunks)


def test_tickets_may_be_used_again(wire):
    wire.put(wire.topic('t'), [1, 2, 3])
    ticket = wire.remote.info('t', timestamp_ns_start=2).endpoints[0].ticket
    tables = [wire.remote.client.do_get(ticket).read_all() for _ in range(3)]
    assert all(table.equals(tables[0]) for table in tables)


def test_a_topic_before_its_upload(wire):
    wire.topic('t')
    info = wire.remote.info('t')
    described = json.loads(info.endpoints[0].app_metadata)
    assert (described['locked'], described['completed_at_ns']) == (False, None)
    assert described['data_info']['interval'] is None
    assert list(wire.remote.client.get_schema(info.descriptor).schema) == []
    assert wire.get(info.endpoints[0].ticket.ticket)[0] == 'FAILED_PRECONDITION'
    assert wire.describe('GetSchema', resource_locator=wire.sequence)[0] == 'INVALID_ARGUMENT'


METADATA: dict[str, Any] = {
    'nested': {'a': {'b': {'c': [1, [2, [3]], {'d': None}]}}},
    'null': None,
    'empty': [{}, [], '', {'': {}}],
    'text': 'grün \U0001f916 \u0000 \u2028 "\\\n\t',
    'größe': 1,
    'odd keys': {'': 1, 'a.b': 2, '$eq': 3, 'ros:x': 4, 'a--b': 5, ' ': 6},
    'numbers': [0, -1, 2**53 + 1, 2**63, -(2**100), 10**400, 0.1, 1e-300, 5e-324, 1e308, -0.0],
    'booleans': [True, False],
    'long': 'x' * 100_000,
}


def test_metadata_comes_back_unchanged(wire):
    remote = wire.remote
    remote.act('sequence_create', locator=wire.sequence, user_metadata=METADATA)
    session = remote.session()
    remote.act(
        'topic_create',
        session_uuid=session['uuid'],
        locator=f'{wire.sequence}/t',
        serialization_format='default',
        ontology_tag='Größe \U0001f916',
        user_metadata=METADATA,
    )
    info = remote.info()
    topic = json.loads(info.endpoints[0].app_metadata)
    schema = remote.info('t').schema.metadata
    for got in (
        json.loads(info.app_metadata)['user_metadata'],
        topic['user_metadata'],
        json.loads(info.schema.metadata[b'mosaico:user_metadata']),
        json.loads(schema[b'mosaico:user_metadata']),
    ):
        assert got == METADATA
        assert json.dumps(got) == json.dumps(METADATA)  # 1 is not 1.0, order counts
    assert topic['ontology_tag'] == 'Größe \U0001f916'


@pytest.mark.parametrize('given', [{}, {'user_metadata': {}}, {'user_metadata': None}])
def test_metadata_is_an_object_always(wire, given):
    remote = wire.remote
    remote.act('sequence_create', locator=wire.sequence, **given)
    remote.act(
        'topic_create',
        session_uuid=remote.session()['uuid'],
        locator=f'{wire.sequence}/t',
        serialization_format='default',
        ontology_tag='T',
        **given,
    )
    assert json.loads(remote.info().app_metadata)['user_metadata'] == {}
    assert remote.topic_info('t')['user_metadata'] == {}


def zero(kind: pa.DataType) -> Any:
    """Return a value of a type with nothing null in it."""
    if pa.types.is_struct(kind):
        return {field.name: zero(field.type) for field in kind}
    if pa.types.is_fixed_size_list(kind):
        return [zero(kind.value_type)] * kind.list_size
    if pa.types.is_list(kind):
        return [zero(kind.value_type)]
    if pa.types.is_string(kind):
        return ''
    if pa.types.is_binary(kind):
        return b''
    return False if pa.types.is_boolean(kind) else 0


@pytest.mark.parametrize('tag', FINGERPRINTS)
def test_every_ontology_type_keeps_its_fingerprint(wire, tag):
    """Clients recognise a type by it: order, nullability, list kinds and children count."""
    schema = writer_schema(getattr(models, tag))
    rows = [{field.name: zero(field.type) for field in schema}] * 2
    batch = pa.RecordBatch.from_pylist(rows, schema)
    command = wire.remote.topic('t').command
    assert wire.put_raw(wire.frames(command, [batch], schema))[0] == 'OK'
    info = wire.remote.info('t')
    table = wire.remote.get('t')
    for got in (table.schema, info.schema, wire.remote.client.get_schema(info.descriptor).schema):
        assert schema_fingerprint(got) == FINGERPRINTS[tag]
        assert got.remove_metadata() == schema.remove_metadata()
    assert table.to_pylist() == rows
