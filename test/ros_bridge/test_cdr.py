"""The vectorised decoder against rosbags, a plain serializer, and hostile input."""

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
from mosaico_ros.ros_bridge.cdr.columns import derived_array, derived_type
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder, Payloads
from mosaico_ros.ros_bridge.cdr.layout import (
    CDR_LE,
    ENCAPSULATIONS,
    PRIMITIVES,
    ROS1,
    build_tree,
)
from mosaico_ros.ros_bridge.definitions import find_definition, typestore

SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def decode(tree, payloads, *, ros1=False):
    """Rows in payload order (None where left out), and the decoder."""
    decoder = PayloadDecoder(tree, ros1=ros1)
    rows = [None] * len(payloads)
    for part in decoder.decode(Payloads.join(payloads)):
        array = derived_array(part.column, derived_type(tree))
        array.validate(full=True)
        index = range(len(payloads)) if part.rows is None else part.rows.tolist()
        for i, row in zip(index, array.to_pylist(), strict=True):
            rows[i] = row
    return rows, decoder


def plain(message, store, name):
    """rosbags' message object as Arrow's `to_pylist` would give it."""
    row = {}
    for field, desc in store.fielddefs[name][1]:
        row[field] = _plain(getattr(message, field), desc, store)
    return row or {'structure_needs_at_least_one_member': 0}


def _plain(value, desc, store):
    kind, content = int(desc[0]), desc[1]
    if kind == 1:
        # rosbags takes `byte` for signed; ROS 2 defines it as an octet.
        return int(value) & 0xFF if content[0] == 'byte' else value
    if kind == 2:
        return plain(value, store, content)
    if kind == 4 and content[0] in ((1, ('uint8', 0)), (1, ('byte', 0)), (1, ('char', 0))):
        return value.tobytes()
    if isinstance(value, np.ndarray):
        return (value.view('u1') if content[0][1][0] == 'byte' else value).tolist()
    return [_plain(item, content[0], store) for item in value]


@st.composite
def cases(draw):
    types = wire.definitions(draw)
    tree = build_tree(types, 't/msg/Top')
    return types, tree, [wire.values(draw, tree) for _ in range(draw(st.integers(1, 6)))]


@SETTINGS
@given(cases(), st.data())
def test_every_encapsulation_is_read_row_by_row(case, data):
    """Mixed publishers on one topic: each row by its own header, order kept."""
    _, tree, values = case
    wires = [data.draw(st.sampled_from(list(ENCAPSULATIONS.values()))) for _ in values]
    payloads = [wire.serialize(tree, v, w) for v, w in zip(values, wires, strict=True)]
    rows, decoder = decode(tree, payloads)
    assert rows == values
    assert not decoder.problems


@SETTINGS
@given(cases())
def test_ros1_serialization(case):
    _, tree, values = case
    rows, decoder = decode(tree, [wire.serialize(tree, v, ROS1) for v in values], ros1=True)
    assert rows == values
    assert not decoder.problems


@SETTINGS
@given(cases(), st.booleans())
def test_agrees_with_rosbags(case, little_endian):
    from rosbags.typesys.store import Typestore

    types, tree, values = case
    store = Typestore()
    store.register(
        {
            name: (
                constants,
                fields or [('structure_needs_at_least_one_member', (1, ('uint8', 0)))],
            )
            for name, (constants, fields) in types.items()
        }
    )
    payloads = [
        bytes(
            store.serialize_cdr(
                _object(store, 't/msg/Top', value), 't/msg/Top', little_endian=little_endian
            )
        )
        for value in values
    ]
    rows, decoder = decode(tree, payloads)
    expected = [
        plain(store.deserialize_cdr(raw, 't/msg/Top'), store, 't/msg/Top') for raw in payloads
    ]
    assert rows == expected == values
    assert not decoder.problems


def _object(store, name, value):
    members = {}
    for field, desc in store.fielddefs[name][1]:
        members[field] = _member(store, desc, value[field])
    return store.types[name](**members)


def _member(store, desc, value):
    kind, content = int(desc[0]), desc[1]
    if kind == 1:
        return value - 256 if content[0] == 'byte' and value > 127 else value
    if kind == 2:
        return _object(store, content, value)
    item = content[0]
    if int(item[0]) == 1 and item[1][0] != 'string':
        code = PRIMITIVES[item[1][0]]
        return np.array(list(value), code).view('i1' if item[1][0] == 'byte' else code)
    return [_member(store, item, v) for v in value]


@SETTINGS
@given(cases(), st.data())
def test_hostile_bytes_never_hurt_their_neighbours(case, data):
    """Cut, overwritten or random payloads: no exception, and intact ones keep their values."""
    _, tree, values = case
    payloads = [wire.serialize(tree, v, CDR_LE) for v in values]
    hostile = set()
    for i in range(len(payloads)):
        if not data.draw(st.booleans()):
            continue
        hostile.add(i)
        raw = bytearray(payloads[i])
        how = data.draw(st.sampled_from(['cut', 'spoil', 'random']))
        if how == 'cut':
            raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
        elif how == 'spoil':
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
        else:
            raw = data.draw(st.binary(max_size=64))
        payloads[i] = bytes(raw)
    rows, decoder = decode(tree, payloads)
    for i, value in enumerate(values):
        if i not in hostile:
            assert rows[i] == value
    assert sum(decoder.problems.values()) == sum(row is None for row in rows)


STRINGS = build_tree(
    {
        't/msg/Pair': ([], [('key', (1, ('string', 0))), ('value', (1, ('float64', 0)))]),
        't/msg/Top': ([], [('pairs', (4, ((2, 't/msg/Pair'), 0))), ('end', (1, ('uint8', 0)))]),
    },
    't/msg/Top',
)


@pytest.mark.parametrize('rows', [10, 200])
@pytest.mark.parametrize('variety', [1, 3, 1000])
def test_items_of_varying_size_by_template_abreast_and_walk(rows, variety):
    """Few layouts (templates), many (side by side), and a handful of rows (walk)."""
    rng = np.random.default_rng(rows + variety)
    values = [
        {
            'pairs': [
                {'key': 'k' * (int(rng.integers(1000)) % variety % 23), 'value': float(j)}
                for j in range(int(rng.integers(0, 6)))
            ],
            'end': i % 256,
        }
        for i in range(rows)
    ]
    payloads = [wire.serialize(STRINGS, v, CDR_LE) for v in values]
    assert decode(STRINGS, payloads)[0] == values


def test_hostile_counts_allocate_nothing():
    """A length word of 4 billion in a payload of 16 bytes is refused before any allocation."""
    good = wire.serialize(STRINGS, {'pairs': [], 'end': 7}, CDR_LE)
    for count in (0xFFFFFFFF, 0x7FFFFFFF, 1000):
        bad = b'\0\1\0\0' + count.to_bytes(4, 'little') + b'\0' * 12
        rows, decoder = decode(STRINGS, [good, bad, good])
        assert rows[1] is None
        assert rows[0] == rows[2] == {'pairs': [], 'end': 7}
        assert sum(decoder.problems.values()) == 1


def test_many_broken_payloads_are_each_named():
    values = [{'pairs': [{'key': 'ab', 'value': 1.0}], 'end': i % 256} for i in range(300)]
    payloads = [wire.serialize(STRINGS, v, CDR_LE) for v in values]
    for i in range(0, 300, 3):
        payloads[i] = payloads[i][: 4 + i % (len(payloads[i]) - 4)]
    rows, decoder = decode(STRINGS, payloads)
    assert [i for i, row in enumerate(rows) if row is None] == list(range(0, 300, 3))
    assert sum(decoder.problems.values()) == 100


@pytest.mark.parametrize('header', [b'\0\2', b'\0\3', b'\0\x08', b'\0\x0a', b'\1\1', b'\xff\xff'])
def test_other_encapsulations_are_named(header):
    good = wire.serialize(STRINGS, {'pairs': [], 'end': 1}, CDR_LE)
    rows, decoder = decode(STRINGS, [header + good[2:], good])
    assert rows == [None, {'pairs': [], 'end': 1}]
    assert list(decoder.problems) == [f'unsupported encapsulation 0x{header.hex()}']


def test_trailing_bytes_are_padding():
    good = wire.serialize(STRINGS, {'pairs': [], 'end': 1}, CDR_LE)
    assert decode(STRINGS, [good + b'\0' * 3, good])[0] == [{'pairs': [], 'end': 1}] * 2


TEXT = build_tree({'t/msg/Top': ([], [('text', (1, ('string', 0)))])}, 't/msg/Top')


def _text(raw: bytes) -> bytes:
    return b'\0\1\0\0' + len(raw).to_bytes(4, 'little') + raw


def test_text_that_is_not_utf8_is_kept_readable_and_counted():
    payloads = [_text(b'caf\xe9\0'), _text('café'.encode() + b'\0'), _text(b'\xa9\0')]
    rows, decoder = decode(TEXT, payloads)
    assert [row['text'] for row in rows] == ['caf�', 'café', '�']
    assert decoder.invalid_text == 2


def test_text_broken_across_two_messages_is_not_mistaken_for_valid():
    """Two halves of one character, which end to end look like UTF-8."""
    rows, decoder = decode(TEXT, [_text(b'\xc3\0'), _text(b'\xa9\0')])
    assert [row['text'] for row in rows] == ['�', '�']
    assert decoder.invalid_text == 2


def test_text_without_closing_nul():
    rows, _ = decode(TEXT, [_text(b'abc'), _text(b'abc\0'), _text(b'')])
    assert [row['text'] for row in rows] == ['abc', 'abc', '']


def test_wide_text():
    tree = build_tree({'t/msg/Top': ([], [('text', (1, ('wstring', 0)))])}, 't/msg/Top')
    units = '\u00e9\U0001f916'.encode('utf-16-le')
    words = np.frombuffer(units, '<u2').astype('<u4')
    payload = b'\0\1\0\0' + len(words).to_bytes(4, 'little') + words.tobytes()
    assert decode(tree, [payload])[0] == [{'text': '\u00e9\U0001f916'}]


def test_booleans_other_than_0_and_1_are_true():
    tree = build_tree({'t/msg/Top': ([], [('flag', (1, ('bool', 0)))])}, 't/msg/Top')
    assert decode(tree, [b'\0\1\0\0\2', b'\0\1\0\0\0'])[0] == [{'flag': True}, {'flag': False}]


def test_padding_before_absent_items_is_not_expected():
    """An empty sequence of 8-byte items is its length word alone (as Fast CDR writes it)."""
    tree = build_tree(
        {'t/msg/Top': ([], [('a', (4, ((1, ('float64', 0)), 0))), ('b', (1, ('uint32', 0)))])},
        't/msg/Top',
    )
    payload = b'\0\1\0\0' + (0).to_bytes(4, 'little') + (9).to_bytes(4, 'little')
    assert decode(tree, [payload])[0] == [{'a': [], 'b': 9}]


def test_payloads_are_taken_from_a_shared_buffer_in_any_order():
    definition = find_definition('geometry_msgs/msg/Vector3')
    values = [{'x': 1.0, 'y': 2.0, 'z': 3.0}, {'x': 4.0, 'y': 5.0, 'z': 6.0}]
    raw = [wire.serialize(definition.tree, v, CDR_LE) for v in values]
    buffer = np.frombuffer(b'junk!' + raw[1] + b'more junk' + raw[0], np.uint8)
    at = np.array([5 + 28 + 9, 5])
    payloads = Payloads(buffer, at, np.array([28, 28]))
    (part,) = PayloadDecoder(definition.tree).decode(payloads)
    assert derived_array(part.column, derived_type(definition.tree)).to_pylist() == values


def test_blobs_are_binary_and_keep_one_buffer():
    store = typestore('jazzy')
    tree = build_tree(store.fielddefs, 'sensor_msgs/msg/CompressedImage')
    assert derived_type(tree).field('data').type == pa.binary()


@pytest.mark.parametrize('layout', [CDR_LE, ROS1, *ENCAPSULATIONS.values()])
def test_large_blobs_are_lifted_out_of_separate_payloads(layout):
    """Sizes of every remainder modulo 8, two blobs, and members of all alignments behind them."""
    tree = build_tree(
        {
            't/msg/Top': (
                [],
                [
                    ('name', (1, ('string', 0))),
                    ('one', (4, ((1, ('uint8', 0)), 0))),
                    ('small', (1, ('uint8', 0))),
                    ('wide', (1, ('float64', 0))),
                    ('two', (4, ((1, ('byte', 0)), 0))),
                    ('tail', (4, ((1, ('uint16', 0)), 0))),
                ],
            )
        },
        't/msg/Top',
    )
    values = [
        {
            'name': 'n' * (i % 3),
            'one': bytes([i]) * (300_000 + i),
            'small': i,
            'wide': i / 3,
            'two': bytes([255 - i]) * (i % 5),
            'tail': [i] * (i % 4),
        }
        for i in range(17)
    ]
    payloads = [wire.serialize(tree, value, layout) for value in values]
    decoder = PayloadDecoder(tree, ros1=layout is ROS1)
    (part,) = decoder.decode(payloads)
    array = derived_array(part.column, derived_type(tree))
    array.validate(full=True)
    assert array.to_pylist() == values
    assert not decoder.problems


def test_recursive_and_unknown_types_are_refused():
    loop = {'t/msg/A': ([], [('b', (2, 't/msg/B'))]), 't/msg/B': ([], [('a', (2, 't/msg/A'))])}
    with pytest.raises(InvalidArgumentError, match='contains itself'):
        build_tree(loop, 't/msg/A')
    with pytest.raises(InvalidArgumentError, match='t/msg/B'):
        build_tree({'t/msg/A': loop['t/msg/A']}, 't/msg/A')
    with pytest.raises(InvalidArgumentError, match='float128'):
        build_tree({'t/msg/A': ([], [('x', (1, ('float128', 0)))])}, 't/msg/A')


def test_messages_without_members():
    """``std_msgs/Empty`` is one byte in ROS 2 and nothing at all in ROS 1."""
    tree = build_tree({'std_msgs/msg/Empty': ([], [])}, 'std_msgs/msg/Empty')
    row = {'structure_needs_at_least_one_member': 0}
    assert decode(tree, [b'', b''], ros1=True)[0] == [row, row]
    assert decode(tree, [b'\0\1\0\0\0'])[0] == [row]


def test_endless_lists_of_nothing_are_malformed():
    types = {'t/msg/E': ([], []), 't/msg/T': ([], [('items', (4, ((2, 't/msg/E'), 0)))])}
    rows, decoder = decode(
        build_tree(types, 't/msg/T'), [b'\xff\xff\xff\xff', b'\2\0\0\0'], ros1=True
    )
    assert rows[0] is None
    assert len(rows[1]['items']) == 2
    assert sum(decoder.problems.values()) == 1
