"""Columns back to payloads, byte by byte, against a plain serializer."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import wire

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.cdr.columns import Group, column_of, derived_type
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder, Payloads
from mosaico_ros.ros_bridge.cdr.encoder import PayloadEncoder
from mosaico_ros.ros_bridge.cdr.layout import (
    ENCAPSULATIONS,
    ROS1,
    Array,
    Primitive,
    Sequence,
    Struct,
    Text,
    build_tree,
)

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WIRES = st.sampled_from([*ENCAPSULATIONS.values(), ROS1])


@st.composite
def cases(draw):
    tree = build_tree(wire.definitions(draw), 't/msg/Top')
    return tree, [wire.values(draw, tree) for _ in range(draw(st.integers(1, 6)))]


def texts(payloads: Payloads) -> list[bytes]:
    cuts = zip(payloads.offsets.tolist(), payloads.lengths.tolist(), strict=True)
    return [payloads.buffer[at : at + size].tobytes() for at, size in cuts]


@SETTINGS
@given(cases(), WIRES)
def test_what_was_decoded_is_encoded_as_it_was(case, layout):
    tree, values = case
    payloads = [wire.serialize(tree, value, layout) for value in values]
    (part,) = PayloadDecoder(tree, ros1=layout is ROS1).decode(Payloads.join(payloads))
    assert texts(PayloadEncoder(tree, layout).encode(part.column)) == payloads


@SETTINGS
@given(cases(), WIRES)
def test_arrow_values_are_encoded(case, layout):
    """A slice out of the middle, with nulls around it."""
    tree, values = case
    array = pa.array([None, *values, None], derived_type(tree)).slice(1, len(values))
    encoded = PayloadEncoder(tree, layout).encode(column_of(tree, array, len(values)))
    assert texts(encoded) == [wire.serialize(tree, value, layout) for value in values]


def test_wide_text():
    tree = Struct('t/msg/T', (('before', Primitive('u1')), ('name', Text(wide=True))))
    values = [{'before': 1, 'name': 'Größe 🤖'}, {'before': 2, 'name': ''}]
    for layout in ENCAPSULATIONS.values():
        column = column_of(tree, pa.array(values, derived_type(tree)), 2)
        encoded = PayloadEncoder(tree, layout).encode(column)
        assert texts(encoded) == [wire.serialize(tree, value, layout) for value in values]


def test_no_rows():
    tree = Struct('t/msg/T', (('name', Text()),))
    column = column_of(tree, pa.array([], derived_type(tree)), 0)
    assert isinstance(column, Group)
    assert len(PayloadEncoder(tree).encode(column)) == 0


MIXED = Struct(
    't/msg/T',
    (
        ('count', Primitive('i2')),
        ('text', Text()),
        ('blob', Sequence(Primitive('u1'))),
        ('list', Sequence(Primitive('f4'))),
        ('fixed', Array(Primitive('f8'), 3)),
        ('names', Array(Text(), 2)),
    ),
)


def test_what_is_null_or_missing_is_zero():
    given_ = pa.array(
        [
            {'count': None, 'text': None, 'fixed': None, 'names': None},
            None,
            {'count': 7, 'text': 'x', 'fixed': [1, 2, 3], 'names': [None, 'b']},
        ],
        pa.struct(
            {
                'count': pa.int64(),
                'text': pa.large_string(),
                'fixed': pa.list_(pa.float64()),
                'names': pa.list_(pa.string(), 2),
                'foreign': pa.int8(),
            }
        ),
    )
    zero = {'count': 0, 'text': '', 'blob': b'', 'list': [], 'fixed': [0.0] * 3, 'names': ['', '']}
    last = zero | {'count': 7, 'text': 'x', 'fixed': [1.0, 2.0, 3.0], 'names': ['', 'b']}
    encoded = PayloadEncoder(MIXED).encode(column_of(MIXED, given_, 3))
    layout = ENCAPSULATIONS[1]
    assert texts(encoded) == [wire.serialize(MIXED, row, layout) for row in (zero, zero, last)]


@pytest.mark.parametrize(
    ('row', 'kind', 'told'),
    [
        ({'count': 40_000}, {'count': pa.int32()}, 'do not fit int16'),
        ({'count': 1.5}, {'count': pa.float64()}, 'values from 1.5 to 1.5 do not fit int16'),
        ({'text': [3]}, {'text': pa.list_(pa.int8())}, 'where the definition has string'),
        ({'list': 3}, {'list': pa.int8()}, 'where the definition has list'),
        ({'fixed': [1.0]}, {'fixed': pa.list_(pa.float64())}, '1 items .* has 3'),
    ],
)
def test_what_does_not_fit_is_named(row, kind, told):
    array = pa.array([row], pa.struct(kind))
    with pytest.raises(InvalidArgumentError, match=told):
        column_of(MIXED, array, 1)


def test_many_items_of_varying_size_keep_their_phase():
    """Each item's size depends on where the one before it ended."""
    item = Struct(
        't/msg/I', (('flag', Primitive('u1')), ('name', Text()), ('value', Primitive('f8')))
    )
    tree = Struct('t/msg/T', (('items', Sequence(item)), ('end', Primitive('u2'))))
    rng = np.random.default_rng(5)
    rows = [
        {
            'items': [
                {'flag': i % 256, 'name': 'n' * int(rng.integers(0, 11)), 'value': float(i)}
                for i in range(count)
            ],
            'end': count,
        }
        for count in (0, 1, 1000, 3, 17, 0)
    ]
    encoded = PayloadEncoder(tree).encode(
        column_of(tree, pa.array(rows, derived_type(tree)), len(rows))
    )
    assert texts(encoded) == [wire.serialize(tree, row, ENCAPSULATIONS[1]) for row in rows]
