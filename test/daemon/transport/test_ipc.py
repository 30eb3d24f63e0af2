"""Record batches through Flight messages: odd schemas bit by bit, and hostile bytes."""

from __future__ import annotations

import random
import struct

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros.daemon.transport.frames import Frame, read_frame, write_frame
from mosaico_ros.daemon.transport.ipc import BatchReader, BatchWriter
from mosaico_ros.protocol.errors import InvalidArgumentError, ResourceExhaustedError

LIMIT = 1 << 24

ODD = {
    'nested lists': pa.array(
        [[[1, None], []], None, [[2]]], pa.list_(pa.field('item', pa.list_(pa.int16())))
    ),
    'large list': pa.array([['a'], None, ['b', None]], pa.large_list(pa.large_string())),
    'fixed size list': pa.array([[1.0, 2.0], None, [3.0, None]], pa.list_(pa.float32(), 2)),
    'map': pa.array([[('k', 1)], None, []], pa.map_(pa.string(), pa.int32())),
    'struct': pa.array(
        [{'a': 1, 'b': {'c': b'x'}}, None, {'a': None, 'b': None}],
        pa.struct([('a', pa.int8()), ('b', pa.struct([('c', pa.binary())]))]),
    ),
    'dictionary': pa.array(['x', None, 'y']).dictionary_encode(),
    'nested dictionary': pa.ListArray.from_arrays(
        [0, 1, 1, 3], pa.array(['x', 'y', 'x']).dictionary_encode()
    ),
    'halves': pa.array(np.array([1.5, np.nan, -0.0], np.float16)),
    'booleans': pa.array([True, None, False]),
    'decimals': pa.array([None, 1, 2], pa.decimal128(20, 3)),
    'times': pa.array([1, None, 3], pa.timestamp('ns', 'UTC')),
    'views': pa.array(['short', 'a much longer text than fits inline', None], pa.string_view()),
    'run ends': pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(['x', None])),
    'nulls': pa.nulls(3),
    'fixed binary': pa.array([b'ab', None, b'cd'], pa.binary(2)),
    'dense union': pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()),
        pa.array([0, 0, 1], pa.int32()),
        [pa.array([1, 2]), pa.array(['x'])],
    ),
}


def transfer(batches: list[pa.RecordBatch], compression: str = 'none'):
    """Write batches and read them again; return the reader and what it read."""
    writer = BatchWriter(batches[0].schema, compression)
    reader = BatchReader(read_frame(writer.begin()), LIMIT)
    read = [
        reader.read(read_frame(message)) for batch in batches for message in writer.write(batch)
    ]
    return reader, [batch for batch in read if batch is not None]


def one_batch(array: pa.Array) -> pa.RecordBatch:
    field = pa.field('x', array.type, metadata={b'description': b'odd'})
    return pa.record_batch([array], schema=pa.schema([field], {b'schema': b'metadata'}))


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
@pytest.mark.parametrize('kind', ODD)
def test_odd_types_come_back_bit_by_bit(kind, compression):
    batch = one_batch(ODD[kind])
    parts = [batch, batch.slice(1, 1), batch.slice(2)]
    reader, read = transfer(parts, compression)
    assert reader.schema.equals(batch.schema, check_metadata=True)
    assert len(read) == 3
    for sent, got in zip(parts, read, strict=True):
        assert got.schema.equals(sent.schema, check_metadata=True)
        # NaN differs from itself, so compare what stands in memory.
        if kind == 'halves':
            sent = pa.record_batch([sent.column(0).view(pa.uint16())], names=['x'])
            got = pa.record_batch([got.column(0).view(pa.uint16())], names=['x'])
        assert got.equals(sent)


def test_dictionaries_may_change_between_batches():
    first = one_batch(pa.array(['a', 'b']).dictionary_encode())
    second = one_batch(pa.array(['c', 'a', 'c']).dictionary_encode())
    _, read = transfer([first, second, second])
    assert [batch.column(0).to_pylist() for batch in read] == [
        ['a', 'b'],
        ['c', 'a', 'c'],
        ['c', 'a', 'c'],
    ]


def messages_of(batch: pa.RecordBatch, compression: str = 'none') -> tuple[Frame, list[Frame]]:
    writer = BatchWriter(batch.schema, compression)
    return read_frame(writer.begin()), [read_frame(m) for m in writer.write(batch)]


def test_wrong_orders_are_refused():
    schema, (batch,) = messages_of(one_batch(pa.array([1, 2])))
    with pytest.raises(InvalidArgumentError, match='does not begin with a schema'):
        BatchReader(batch, LIMIT)
    with pytest.raises(InvalidArgumentError, match='does not begin with a schema'):
        BatchReader(Frame(), LIMIT)
    reader = BatchReader(schema, LIMIT)
    with pytest.raises(InvalidArgumentError, match='kind schema'):
        reader.read(schema)
    assert reader.read(Frame(app_metadata=b'x')) is None


def test_bodies_must_have_the_length_they_announce():
    schema, (batch,) = messages_of(one_batch(pa.array([1, 2])))
    for body in (batch.body[:-8], bytes(batch.body) + b'\0' * 8, b''):
        with pytest.raises(InvalidArgumentError, match='announces a body'):
            BatchReader(schema, LIMIT).read(Frame(batch.header, body))


@pytest.mark.parametrize(
    ('array', 'at', 'value'),
    [
        (pa.array(['ab', 'cd']), 8, 2**30),  # last offset far behind the data
        (pa.array(['ab', 'cd']), 4, -5),
        (pa.array([[1], [2]]), 8, 2**30),
        (pa.array([b'ab', b'cd']), 0, 2**30),
    ],
)
def test_offsets_out_of_bounds_are_refused(array, at, value):
    schema, (batch,) = messages_of(one_batch(array))
    body = bytearray(batch.body)
    struct.pack_into('<i', body, at, value)
    with pytest.raises(InvalidArgumentError, match='unusable'):
        BatchReader(schema, LIMIT).read(Frame(batch.header, bytes(body)))


def test_text_must_be_utf8():
    schema, (batch,) = messages_of(one_batch(pa.array(['abcd'])))
    body = bytes(batch.body).replace(b'abcd', b'\xff\xfe\xfd\xfc')
    with pytest.raises(InvalidArgumentError, match=r'(?i)utf'):
        BatchReader(schema, LIMIT).read(Frame(batch.header, body))


def test_dictionary_indices_out_of_bounds_are_refused():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(['a', 'b']))
    schema, (dictionary, batch) = messages_of(one_batch(array))
    reader = BatchReader(schema, LIMIT)
    assert reader.read(dictionary) is None
    body = bytearray(batch.body)
    struct.pack_into('<i', body, 4, 1000)
    with pytest.raises(InvalidArgumentError):
        reader.read(Frame(batch.header, bytes(body)))


@pytest.mark.parametrize('compression', ['lz4', 'zstd'])
def test_decompression_is_bounded(compression):
    zeros = one_batch(pa.array(np.zeros(LIMIT // 8 * 3)))
    schema, (batch,) = messages_of(zeros, compression)
    assert len(batch.body) < LIMIT // 10
    with pytest.raises(ResourceExhaustedError, match='in memory'):
        BatchReader(schema, LIMIT).read(batch)
    claim = bytearray(batch.body)
    struct.pack_into('<q', claim, 0, 2**60)
    with pytest.raises(ResourceExhaustedError):
        BatchReader(schema, LIMIT).read(Frame(batch.header, bytes(claim)))


def test_dictionaries_cannot_pile_up():
    array = pa.array(['x' * 1_000_000, 'y']).dictionary_encode()
    schema, (dictionary, _) = messages_of(one_batch(array))
    reader = BatchReader(schema, LIMIT)
    for _ in range(2 * LIMIT // 1_000_000):
        reader.read(dictionary)
    with pytest.raises(ResourceExhaustedError):
        reader.read(dictionary)


@pytest.mark.parametrize('kind', ['nested lists', 'map', 'dictionary', 'views', 'dense union'])
def test_flipped_bytes_never_escape_as_another_error(kind):
    source = random.Random(kind)
    schema, batches = messages_of(one_batch(ODD[kind]))
    for _ in range(300):
        frames = [schema, *batches]
        victim = source.randrange(len(frames))
        header, body = bytearray(frames[victim].header), bytearray(frames[victim].body)
        for _ in range(source.randrange(1, 4)):
            part = body if body and source.random() < 0.3 else header
            part[source.randrange(len(part))] = source.choice((0, 1, 0x7F, 0x80, 0xFF))
        frames[victim] = Frame(bytes(header), bytes(body))
        try:
            reader = BatchReader(frames[0], LIMIT)
            for frame in frames[1:]:
                batch = reader.read(frame)
                if batch is not None:
                    batch.to_pylist()
        except (InvalidArgumentError, ResourceExhaustedError):
            pass


def test_app_metadata_travels_beside_nothing():
    frame = read_frame(write_frame(b'', app_metadata=b'{"end": true}'))
    assert not len(frame.header)
    assert frame.app_metadata == b'{"end": true}'
