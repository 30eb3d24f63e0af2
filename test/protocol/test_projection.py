"""Narrowing to some columns: what is kept, and in which order."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.projection import narrowed, narrowed_schema

INNER = pa.struct([pa.field('n', pa.int8(), nullable=False), ('m', pa.int8())])
SCHEMA = pa.schema(
    [
        pa.field('time', pa.int64(), nullable=False),
        ('a', pa.struct([('x', pa.float64()), pa.field('in', INNER, metadata={'k': 'v'})])),
        ('b', pa.string()),
    ],
    {'of': 'the schema'},
)
BATCH = pa.record_batch(
    [
        pa.array([1, 2, 3]),
        pa.array([{'x': 0.5, 'in': {'n': 1, 'm': 2}}, None, {'x': 1, 'in': None}], SCHEMA[1].type),
        pa.array(['p', 'q', None]),
    ],
    schema=SCHEMA,
)


@pytest.mark.parametrize(
    ('columns', 'rows'),
    [
        (['b', 'time'], [{'time': 1, 'b': 'p'}, {'time': 2, 'b': 'q'}, {'time': 3, 'b': None}]),
        (['a.x', 'a.x'], [{'a': {'x': 0.5}}, {'a': None}, {'a': {'x': 1.0}}]),
        (['a.in.n'], [{'a': {'in': {'n': 1}}}, {'a': None}, {'a': {'in': None}}]),
        (
            ['a.in', 'a.in.n'],
            [{'a': {'in': {'n': 1, 'm': 2}}}, {'a': None}, {'a': {'in': None}}],
        ),
        (['a', 'b', 'time'], BATCH.to_pylist()),
    ],
)
def test_what_is_kept(columns, rows):
    schema = narrowed_schema(SCHEMA, columns)
    for batch in (BATCH, BATCH.slice(1)):
        narrow = narrowed(batch, schema)
        assert narrow.schema.equals(schema, check_metadata=True)
        assert narrow.to_pylist() == rows[-batch.num_rows :]
        narrow.validate(full=True)
        assert narrowed(narrow, schema) is narrow
    assert schema.metadata == SCHEMA.metadata


@pytest.mark.parametrize('columns', [[], ['x'], ['time', 'a.y'], ['a.'], ['b.x'], ['']])
def test_unknown_columns_are_named_with_those_that_exist(columns):
    with pytest.raises(InvalidArgumentError, match=r'a\.in\.n') as caught:
        narrowed_schema(SCHEMA, columns)
    if columns:
        assert repr(columns[-1]) in str(caught.value)
