"""Hostile streams: whatever arrives, the reader refuses it by its own errors or reads it."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from mosaico_ros.daemon.transport.frames import Frame, read_frame, write_frame
from mosaico_ros.daemon.transport.ipc import BatchReader, BatchWriter
from mosaico_ros.protocol.errors import InvalidArgumentError, ResourceExhaustedError
from mosaico_ros.protocol.ticket import Ticket

LIMIT = 1 << 22
REFUSED = (InvalidArgumentError, ResourceExhaustedError)

BATCH = pa.record_batch(
    {
        'timestamp_ns': pa.array([1, 2, 3]),
        'text': pa.array(['a', None, 'ccc']),
        'lists': pa.array([[1.5], None, [2.5, 3.5]], pa.list_(pa.float64())),
        'code': pa.array(['x', 'y', None]).dictionary_encode(),
        'nested': pa.array([{'a': [b'1']}, {'a': None}, None]),
    }
)


def stream(batch: pa.RecordBatch, compression: str = 'none') -> list[bytes]:
    writer = BatchWriter(batch.schema, compression)
    return [writer.begin(), *writer.write(batch), *writer.write(batch)]


STREAMS = {kind: stream(BATCH, kind) for kind in ('none', 'lz4', 'zstd')}


def read_all(messages: list[bytes]) -> None:
    """Read a stream as an upload does, and touch every value."""
    try:
        first, *rest = [read_frame(message) for message in messages]
        reader = BatchReader(first, LIMIT)
        for frame in rest:
            batch = reader.read(frame)
            if batch is not None:
                batch.to_pylist()
    except REFUSED:
        pass


flips = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=400)
@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 3), flips)
def test_mutated_messages_never_escape(kind, victim, changes):
    messages = list(STREAMS[kind])
    data = bytearray(messages[victim % len(messages)])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    messages[victim % len(messages)] = bytes(data)
    read_all(messages)


@settings(max_examples=200)
@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 3), st.floats(0, 1), st.booleans())
def test_truncated_and_shuffled_streams_never_escape(kind, victim, share, swap):
    messages = list(STREAMS[kind])
    at = victim % len(messages)
    messages[at] = messages[at][: int(share * len(messages[at]))]
    if swap:
        messages.reverse()
    read_all(messages)


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(STREAMS)),
    st.floats(0, 1),
    st.sampled_from([0, -1, 1, 2**31 - 1, -(2**31), 2**62, -(2**63)]),
)
def test_wrong_offsets_and_lengths_never_escape(kind, place, number):
    messages = list(STREAMS[kind])
    frame = read_frame(messages[-1])
    for part in ('header', 'body'):
        data = bytearray(getattr(frame, part))
        if len(data) < 8:
            continue
        at = int(place * (len(data) - 8)) // 4 * 4
        struct.pack_into('<q', data, at, number)
        changed = {'header': bytes(frame.header), 'body': bytes(frame.body)} | {part: bytes(data)}
        read_all([*messages[:-1], write_frame(changed['header'], [changed['body']])])


@given(st.binary(max_size=80))
def test_tickets_of_any_bytes_are_read_or_refused(data):
    for ticket in (data, b'\x0a\x03a/b' + data):
        try:
            Ticket.decode(ticket)
        except InvalidArgumentError:
            pass


@pytest.mark.parametrize('compression', ['lz4', 'zstd'])
def test_a_bomb_of_many_buffers_is_bounded_as_a_whole(compression):
    zeros = pa.array([bytes(LIMIT // 4)])
    batch = pa.record_batch([zeros] * 12, names=[f'c{at}' for at in range(12)])
    first, *rest = [read_frame(message) for message in stream(batch, compression)]
    assert len(rest[0].body) < LIMIT
    with pytest.raises(ResourceExhaustedError, match='in memory'):
        BatchReader(first, LIMIT).read(rest[0])


def test_names_that_are_no_text_are_refused():
    message = bytes(read_frame(STREAMS['none'][0]).header).replace(b'nested', b'nest\xff\xfe')
    with pytest.raises(InvalidArgumentError, match='UTF'):
        BatchReader(Frame(message), LIMIT)


def test_deep_nesting_is_refused():
    deep = pa.int8()
    for _ in range(200):
        deep = pa.list_(deep)
    message = memoryview(pa.schema([('x', deep)]).serialize().to_pybytes())
    (length,) = struct.unpack_from('<i', message, 4)
    with pytest.raises(InvalidArgumentError, match='unusable'):
        BatchReader(Frame(message[8 : 8 + length]), LIMIT)
